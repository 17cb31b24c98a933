// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Instant;
use crate::sim::sched::{self, Tid};

/// What a test or a tour waits for does not take longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// A thread that can be waited for.
pub struct JoinHandle<T> {
    inner: std::thread::JoinHandle<()>,
    result: Arc<Mutex<Option<T>>>,
    simulated: Option<Tid>,
}

/// Starts a thread, which is simulated if this one is.
pub fn spawn<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    let result = Arc::new(Mutex::new(None));
    let slot = result.clone();
    let body = move || {
        let r = f();
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(r);
    };
    let builder = std::thread::Builder::new().name(name.into());
    let (inner, simulated) = if sched::is_simulated() {
        let (tid, body) = sched::adopt(name, body);
        let inner = builder.spawn(body)?;
        sched::started(tid);
        (inner, Some(tid))
    } else {
        (builder.spawn(body)?, None)
    };
    Ok(JoinHandle {
        inner,
        result,
        simulated,
    })
}

/// Ends the process if the thread panics.
struct Kernel;

impl Drop for Kernel {
    fn drop(&mut self) {
        if std::thread::panicking() {
            crate::context::die("a kernel thread panicked");
        }
    }
}

/// Starts a thread of the kernel's. Nobody waits for it, so its panic is the machine's: without it whoever needs
/// the thread would wait for ever.
pub fn spawn_kernel<T: Send + 'static>(
    name: &str,
    f: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    spawn(name, || {
        let _panics = Kernel;
        f()
    })
}

impl<T> JoinHandle<T> {
    /// Waits for the thread's end.
    pub fn join(self) -> std::thread::Result<T> {
        if let Some(tid) = self.simulated {
            sched::join(tid);
        }
        self.inner.join()?;
        let mut r = self.result.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(r.take().expect("a thread that did not panic has a result"))
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        match self.simulated {
            Some(tid) => sched::is_finished(tid),
            None => self.inner.is_finished(),
        }
    }

    /// The thread.
    pub fn thread(&self) -> &std::thread::Thread {
        self.inner.thread()
    }
}

/// Waits.
pub fn sleep(time: Duration) {
    if sched::is_simulated() {
        sched::sleep(time);
    } else {
        std::thread::sleep(time);
    }
}

/// Waits until something is so, which must not take long.
pub fn wait_for(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        sleep(Duration::from_micros(100));
    }
}
