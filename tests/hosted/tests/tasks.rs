// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Tasks of `sys`, and who keeps what they work on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hosted::Kernel;
use hosted::os::wait_for;
use sys::CanSleep;
use sys::mem::KArc;
use sys::task::{Task, TaskHandler, TaskQueue};

struct Target {
    task: Task<Target>,
    runs: AtomicU32,
    /// Runs end when this is set.
    go: AtomicBool,
    gone: Arc<AtomicBool>,
}

impl TaskHandler<0> for Target {
    fn run(this: KArc<Self>, _sleep: CanSleep<'_>) {
        this.runs.fetch_add(1, Ordering::SeqCst);
        wait_for("leave to go on", || this.go.load(Ordering::SeqCst));
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

/// A task that runs can be queued once more, and then no more: whatever it is
/// queued for, all references are given back.
#[test]
fn a_task_that_waits_already_takes_no_further_reference() {
    let k = Kernel::boot();
    let gone = Arc::new(AtomicBool::new(false));
    let queue = TaskQueue::new(c"tasks", 1, k.sleep()).expect("a queue");
    let target = Target {
        task: Task::new(k.sleep().into()).expect("memory"),
        runs: AtomicU32::new(0),
        go: AtomicBool::new(false),
        gone: gone.clone(),
    };
    let target = KArc::new(target, k.sleep().into()).expect("memory");
    target.task.enqueue(&queue, target.clone());
    wait_for("a run", || target.runs.load(Ordering::SeqCst) == 1);
    for _ in 0..3 {
        target.task.enqueue(&queue, target.clone());
    }
    target.go.store(true, Ordering::SeqCst);
    target.task.drain(&queue, k.sleep());
    assert_eq!(target.runs.load(Ordering::SeqCst), 2);
    assert!(!gone.load(Ordering::SeqCst));
    drop(target);
    assert!(gone.load(Ordering::SeqCst), "somebody keeps it");
    queue.free(k.sleep());
    k.shutdown();
}
