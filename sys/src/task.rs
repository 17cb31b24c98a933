// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Deferred work: [`TaskQueue`], [`Task`], [`Callout`], [`Thread`].
//!
//! Work that is queued, armed or running holds a reference to the object that
//! it works on, so that object cannot be freed under it.

use core::ffi::{CStr, c_void};
use core::marker::PhantomData;
use core::ptr::NonNull;

use crate::context::{CanSleep, Wait};
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mem::KArc;

/// Threads that run tasks.
pub struct TaskQueue(NonNull<ffi::nvrs_taskqueue>);

// SAFETY: the kernel object may be used from any thread.
unsafe impl Sync for TaskQueue {}
// SAFETY: as above.
unsafe impl Send for TaskQueue {}

impl TaskQueue {
    /// Starts `threads` threads named after `name`.
    pub fn new(name: &'static CStr, threads: u32, _sleep: CanSleep<'_>) -> Result<Self> {
        // SAFETY: the context may sleep; name is static.
        let raw = unsafe { ffi::nvrs_taskqueue_create(name.as_ptr(), threads.clamp(1, 64) as i32) };
        NonNull::new(raw).map(TaskQueue).ok_or(Errno::ENOMEM)
    }

    /// Runs what is queued and ends the threads. Without this call a queue is
    /// leaked: ending threads sleeps, and Drop may run anywhere.
    pub fn free(self, _sleep: CanSleep<'_>) {
        // SAFETY: the queue is owned and not used afterwards; may sleep.
        unsafe { ffi::nvrs_taskqueue_free(self.0.as_ptr()) }
    }

    /// Waits until everything queued before has run. Not from a task.
    pub fn drain_all(&self, _sleep: CanSleep<'_>) {
        // SAFETY: live queue; may sleep.
        unsafe { ffi::nvrs_taskqueue_drain_all(self.0.as_ptr()) }
    }
}

/// What a [`Task`] does. `TAG` lets one type have several kinds of task.
pub trait TaskHandler<const TAG: u32>: Sized + Send + Sync + 'static {
    /// Runs in a thread of the queue.
    fn run(this: KArc<Self>, sleep: CanSleep<'_>);
}

/// A piece of work that can be queued again and again; queueing it while it
/// waits does nothing.
pub struct Task<T: TaskHandler<TAG>, const TAG: u32 = 0> {
    raw: NonNull<ffi::nvrs_task>,
    _handler: PhantomData<fn(KArc<T>)>,
}

// SAFETY: the kernel object may be used from any thread.
unsafe impl<T: TaskHandler<TAG>, const TAG: u32> Sync for Task<T, TAG> {}
// SAFETY: as above.
unsafe impl<T: TaskHandler<TAG>, const TAG: u32> Send for Task<T, TAG> {}

unsafe extern "C" fn run_task<T: TaskHandler<TAG>, const TAG: u32>(arg: *mut c_void) {
    // SAFETY: enqueue() gave this reference to the task.
    let this = unsafe { KArc::from_raw(arg.cast::<T>().cast_const()) };
    // SAFETY: task queue threads hold no lock while they run a task.
    T::run(this, unsafe { CanSleep::assert() });
}

impl<T: TaskHandler<TAG>, const TAG: u32> Task<T, TAG> {
    /// A task that is not queued.
    pub fn new(wait: Wait<'_>) -> Result<Self> {
        // SAFETY: the handler takes the pointer that enqueue() passes.
        let raw = unsafe { ffi::nvrs_task_alloc(Some(run_task::<T, TAG>), wait.flags()) };
        Ok(Task {
            raw: NonNull::new(raw).ok_or(Errno::ENOMEM)?,
            _handler: PhantomData,
        })
    }

    /// Queues the task to work on `target`. Any context.
    pub fn enqueue(&self, tq: &TaskQueue, target: KArc<T>) {
        let arg = KArc::into_raw(target);
        // SAFETY: both objects are live, and the reference goes with the call.
        let taken = unsafe {
            ffi::nvrs_task_enqueue(
                tq.0.as_ptr(),
                self.raw.as_ptr(),
                arg.cast_mut().cast::<c_void>(),
            )
        };
        if !taken {
            // SAFETY: the reference was not taken.
            drop(unsafe { KArc::from_raw(arg) });
        }
    }

    /// Waits until the task is neither queued nor running. Not from a task.
    pub fn drain(&self, tq: &TaskQueue, _sleep: CanSleep<'_>) {
        // SAFETY: live objects; may sleep.
        unsafe { ffi::nvrs_task_drain(tq.0.as_ptr(), self.raw.as_ptr()) }
    }
}

impl<T: TaskHandler<TAG>, const TAG: u32> Drop for Task<T, TAG> {
    fn drop(&mut self) {
        // SAFETY: a queued task holds a reference to the object that owns it,
        // so it is not queued now; freeing it in its own handler is allowed.
        unsafe { ffi::nvrs_task_free(self.raw.as_ptr()) }
    }
}

/// What a [`Callout`] does. `TAG` lets one type have several kinds of timer.
pub trait CalloutHandler<const TAG: u32>: Sized + Send + Sync + 'static {
    /// Runs in a clock thread: must not sleep.
    fn fire(this: KArc<Self>);
}

/// A one-shot timer.
pub struct Callout<T: CalloutHandler<TAG>, const TAG: u32 = 0> {
    raw: NonNull<ffi::nvrs_callout>,
    _handler: PhantomData<fn(KArc<T>)>,
}

// SAFETY: the kernel object may be used from any thread.
unsafe impl<T: CalloutHandler<TAG>, const TAG: u32> Sync for Callout<T, TAG> {}
// SAFETY: as above.
unsafe impl<T: CalloutHandler<TAG>, const TAG: u32> Send for Callout<T, TAG> {}

unsafe extern "C" fn run_callout<T: CalloutHandler<TAG>, const TAG: u32>(arg: *mut c_void) {
    // SAFETY: arm_ms() gave this reference to the timer.
    T::fire(unsafe { KArc::from_raw(arg.cast::<T>().cast_const()) });
}

impl<T: CalloutHandler<TAG>, const TAG: u32> Callout<T, TAG> {
    /// A timer that is not armed.
    pub fn new(wait: Wait<'_>) -> Result<Self> {
        // SAFETY: the handler takes the pointer that arm_ms() passes.
        let raw = unsafe { ffi::nvrs_callout_alloc(Some(run_callout::<T, TAG>), wait.flags()) };
        Ok(Callout {
            raw: NonNull::new(raw).ok_or(Errno::ENOMEM)?,
            _handler: PhantomData,
        })
    }

    fn take_back(old: *mut c_void) {
        if !old.is_null() {
            // SAFETY: the shim gives a reference back when its run was prevented.
            drop(unsafe { KArc::from_raw(old.cast::<T>().cast_const()) });
        }
    }

    /// (Re)arms the timer to fire once in `ms` milliseconds. Any context.
    pub fn arm_ms(&self, ms: u32, target: KArc<T>) {
        let arg = KArc::into_raw(target).cast_mut().cast::<c_void>();
        // SAFETY: live timer; the reference goes with the call.
        Self::take_back(unsafe { ffi::nvrs_callout_arm(self.raw.as_ptr(), ms, arg) });
    }

    /// Disarms; the handler may still be running. Any context.
    pub fn stop(&self) {
        // SAFETY: live timer.
        Self::take_back(unsafe { ffi::nvrs_callout_stop(self.raw.as_ptr()) });
    }

    /// Disarms and waits for a running handler. Not from the handler, and not
    /// with anything held that the handler waits for.
    pub fn drain(&self, _sleep: CanSleep<'_>) {
        // SAFETY: live timer; may sleep.
        Self::take_back(unsafe { ffi::nvrs_callout_drain(self.raw.as_ptr()) });
    }
}

impl<T: CalloutHandler<TAG>, const TAG: u32> Drop for Callout<T, TAG> {
    fn drop(&mut self) {
        // SAFETY: an armed timer holds a reference to the object that owns it,
        // so it is not armed now; freeing it in its own handler is allowed.
        unsafe { ffi::nvrs_callout_free(self.raw.as_ptr()) }
    }
}

/// A kernel thread that works on an object until its body returns.
pub struct Thread(NonNull<ffi::nvrs_thread>);

// SAFETY: the handle may be joined from any thread.
unsafe impl Sync for Thread {}
// SAFETY: as above.
unsafe impl Send for Thread {}

/// The body of a [`Thread`].
pub trait ThreadBody {
    /// What the thread works on.
    type Target: Send + Sync + 'static;

    /// Runs in the new thread.
    fn body(target: KArc<Self::Target>, sleep: CanSleep<'_>);
}

unsafe extern "C" fn run_thread<B: ThreadBody>(arg: *mut c_void) {
    // SAFETY: spawn() gave this reference to the thread.
    let target = unsafe { KArc::from_raw(arg.cast::<B::Target>().cast_const()) };
    // SAFETY: a fresh kernel thread holds no lock.
    B::body(target, unsafe { CanSleep::assert() });
}

impl Thread {
    /// Starts a thread. It must be joined: a handle that is dropped leaks it.
    pub fn spawn<B: ThreadBody>(
        name: &'static CStr,
        target: KArc<B::Target>,
        _sleep: CanSleep<'_>,
    ) -> Result<Thread> {
        let arg = KArc::into_raw(target);
        let mut error = 0;
        // SAFETY: the reference goes with the call; may sleep; name is static.
        let raw = unsafe {
            ffi::nvrs_thread_spawn(
                name.as_ptr(),
                Some(run_thread::<B>),
                arg.cast_mut().cast::<c_void>(),
                &mut error,
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(Thread(raw)),
            None => {
                // SAFETY: no thread took the reference.
                drop(unsafe { KArc::from_raw(arg) });
                Err(Errno::from_code(error).unwrap_or(Errno::ENOMEM))
            }
        }
    }

    /// Waits until the body returned and the thread left this module.
    pub fn join(self, _sleep: CanSleep<'_>) {
        // SAFETY: the handle is owned and not used afterwards; may sleep.
        unsafe { ffi::nvrs_thread_join(self.0.as_ptr()) }
    }
}
