// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Brakes: threads of a simulation stop where a tour wants them to, so that
//! a state that lasts a moment lasts until all has been tried in it. A thread
//! that stops holds no lock; the kernel could have preempted it there.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::sched::{self, Tid};

/// A thread does not stand longer than this.
const LIMIT: Duration = Duration::from_secs(600);
/// Nor does anybody wait longer than this for one to stop.
const PATIENCE: Duration = Duration::from_secs(30);

/// Called by the threads that may stop, without locks of their own.
type When = Box<dyn Fn() -> bool + Send + Sync>;

struct Inner {
    owner: Tid,
    /// How the names of the threads begin that stop.
    thread: &'static str,
    when: When,
    /// Only the first one that comes to it stops.
    first_only: bool,
    caught: Mutex<Vec<Tid>>,
    standing: AtomicUsize,
}

static BRAKES: Mutex<Vec<Arc<Inner>>> = Mutex::new(Vec::new());
/// How many there are.
static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// Locks of the hosted kernel that this thread holds.
    static LOCKS: Cell<usize> = const { Cell::new(0) };
}

/// This thread holds a lock more, or less.
pub(crate) fn note_lock(taken: bool) {
    LOCKS.set(if taken {
        LOCKS.get() + 1
    } else {
        LOCKS.get().saturating_sub(1)
    });
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn at(&self) -> usize {
        (&raw const *self).addr()
    }

    fn is_on(&self) -> bool {
        lock(&BRAKES).iter().any(|b| b.at() == self.at())
    }

    /// Whether a thread is to stop, as soon as it can.
    fn catches(&self, tid: Tid) -> bool {
        if tid == self.owner {
            return false;
        }
        let mut caught = lock(&self.caught);
        if caught.contains(&tid) {
            return true;
        }
        let may = caught.is_empty() || !self.first_only;
        let named = self.thread.is_empty() || sched::name_starts_with(tid, self.thread);
        if !may || !named || !(self.when)() {
            return false;
        }
        caught.push(tid);
        true
    }
}

/// A simulated thread comes to a point at which it may stop.
pub(super) fn pass(tid: Tid) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let all = lock(&BRAKES).clone();
    for brake in all {
        if brake.catches(tid) && LOCKS.get() == 0 {
            brake.standing.fetch_add(1, Ordering::Relaxed);
            sched::wake_all(brake.at() + 1);
            if brake.is_on() {
                sched::stand(brake.at(), LIMIT);
            }
            brake.standing.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Dropping it lets go who stands.
pub struct Brake(Arc<Inner>);

impl Brake {
    fn new(thread: &'static str, first_only: bool, when: When) -> Self {
        let inner = Arc::new(Inner {
            owner: sched::me(),
            thread,
            when,
            first_only,
            caught: Mutex::default(),
            standing: AtomicUsize::new(0),
        });
        lock(&BRAKES).push(inner.clone());
        COUNT.fetch_add(1, Ordering::Relaxed);
        Brake(inner)
    }

    /// All threads whose names begin like this stop.
    pub fn threads(name: &'static str) -> Self {
        Self::new(name, false, Box::new(|| true))
    }

    /// The first thread whose name begins like this, and for which `when` is
    /// true, stops.
    pub fn once(name: &'static str, when: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self::new(name, true, Box::new(when))
    }

    /// Waits until a thread stands; false if none does in time.
    pub fn wait(&self) -> bool {
        while self.0.standing.load(Ordering::Relaxed) == 0 {
            if sched::block(self.0.at() + 1, "a thread to stop", Some(PATIENCE)) {
                return false;
            }
        }
        true
    }
}

impl Drop for Brake {
    fn drop(&mut self) {
        lock(&BRAKES).retain(|b| b.at() != self.0.at());
        COUNT.fetch_sub(1, Ordering::Relaxed);
        sched::wake_all(self.0.at());
    }
}
