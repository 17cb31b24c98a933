// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Mutexes and condition variables.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

use crate::sim::{brake, sched};

/// A mutex. A panic of its holder does not poison it.
#[derive(Default)]
pub struct Mutex<T: ?Sized> {
    /// Simulated threads that wait for it.
    waiters: AtomicU32,
    inner: std::sync::Mutex<T>,
}

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Self {
        Mutex {
            waiters: AtomicU32::new(0),
            inner: std::sync::Mutex::new(value),
        }
    }
}

impl<T: ?Sized> Mutex<T> {
    fn at(&self) -> usize {
        (&raw const self.waiters).addr()
    }

    fn guard<'a>(&'a self, inner: std::sync::MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        brake::note_lock(true);
        MutexGuard {
            mutex: self,
            inner: Some(inner),
        }
    }

    /// Waits for the mutex.
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        if !sched::is_simulated() {
            let g = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(self.guard(g));
        }
        loop {
            if let Ok(g) = self.try_lock() {
                return Ok(g);
            }
            self.waiters.fetch_add(1, Ordering::Relaxed);
            sched::block(self.at(), "a mutex", None);
            self.waiters.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Takes the mutex if nobody has it.
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        match self.inner.try_lock() {
            Ok(g) => Ok(self.guard(g)),
            Err(TryLockError::Poisoned(p)) => Ok(self.guard(p.into_inner())),
            Err(TryLockError::WouldBlock) => Err(TryLockError::WouldBlock),
        }
    }
}

/// A locked mutex.
pub struct MutexGuard<'a, T: ?Sized> {
    mutex: &'a Mutex<T>,
    inner: Option<std::sync::MutexGuard<'a, T>>,
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.inner.as_ref().expect("locked until it is dropped")
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.inner.as_mut().expect("locked until it is dropped")
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    fn drop(&mut self) {
        self.inner = None;
        brake::note_lock(false);
        if self.mutex.waiters.load(Ordering::Relaxed) != 0 {
            sched::wake_all(self.mutex.at());
        }
    }
}

/// Whether a wait ended because its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitTimeoutResult(bool);

impl WaitTimeoutResult {
    /// It did.
    pub fn timed_out(self) -> bool {
        self.0
    }
}

/// A condition variable.
#[derive(Default)]
pub struct Condvar {
    inner: std::sync::Condvar,
}

impl Condvar {
    /// Nobody waits.
    pub const fn new() -> Self {
        Condvar {
            inner: std::sync::Condvar::new(),
        }
    }

    fn at(&self) -> usize {
        (&raw const *self).addr()
    }

    /// Waits for a notification.
    pub fn wait<'a, T>(&self, mut guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        if sched::is_simulated() {
            return Ok(self.simulated(guard, None).0);
        }
        let inner = guard.inner.take().expect("locked until it is dropped");
        let inner = self
            .inner
            .wait(inner)
            .unwrap_or_else(PoisonError::into_inner);
        guard.inner = Some(inner);
        Ok(guard)
    }

    /// Waits for a notification, but not longer than this.
    pub fn wait_timeout<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        time: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        if sched::is_simulated() {
            let (guard, timed_out) = self.simulated(guard, Some(time));
            return Ok((guard, WaitTimeoutResult(timed_out)));
        }
        let inner = guard.inner.take().expect("locked until it is dropped");
        let r = self.inner.wait_timeout(inner, time);
        let (inner, t) = r.unwrap_or_else(PoisonError::into_inner);
        guard.inner = Some(inner);
        Ok((guard, WaitTimeoutResult(t.timed_out())))
    }

    fn simulated<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        time: Option<Duration>,
    ) -> (MutexGuard<'a, T>, bool) {
        let mutex = guard.mutex;
        // Nobody else runs before this thread waits.
        drop(guard);
        let timed_out = sched::block(self.at(), "a condition", time);
        (
            mutex.lock().unwrap_or_else(PoisonError::into_inner),
            timed_out,
        )
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        if sched::is_simulated() {
            sched::wake_one(self.at());
        } else {
            self.inner.notify_one();
        }
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        if sched::is_simulated() {
            sched::wake_all(self.at());
        } else {
            self.inner.notify_all();
        }
    }
}
