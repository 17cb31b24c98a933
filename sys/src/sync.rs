// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Locks: [`Mutex`], [`Sx`], [`Condvar`], [`Gate`], [`Global`].
//!
//! The kernel's lock objects live on the heap, so the Rust values that own
//! them may move. Names are static because WITNESS keeps them.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::context::{CanSleep, Wait};
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mem::KArc;

/// A mutex of mutex(9): blocks, but must not be held across a sleep.
pub struct Mutex<T> {
    raw: NonNull<ffi::nvrs_mtx>,
    value: UnsafeCell<T>,
}

// SAFETY: the kernel mutex gives exclusive access to the value.
unsafe impl<T: Send> Sync for Mutex<T> {}
// SAFETY: the kernel lock has no owner thread while unlocked, and a Mutex that
// can be moved is unlocked (guards borrow it).
unsafe impl<T: Send> Send for Mutex<T> {}

impl<T> Mutex<T> {
    /// A new, unlocked mutex of lock class `name`.
    pub fn new(name: &'static CStr, value: T, wait: Wait<'_>) -> Result<Self> {
        // SAFETY: name is a static NUL-terminated string; flags fit the context.
        let raw = unsafe { ffi::nvrs_mtx_alloc(name.as_ptr(), wait.flags()) };
        Ok(Mutex {
            raw: NonNull::new(raw).ok_or(Errno::ENOMEM)?,
            value: UnsafeCell::new(value),
        })
    }

    /// Waits for the mutex. Does not recurse.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        // SAFETY: raw is a live mutex.
        unsafe { ffi::nvrs_mtx_lock(self.raw.as_ptr()) };
        MutexGuard { mutex: self }
    }

    /// The mutex, if nobody holds it.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        // SAFETY: raw is a live mutex.
        unsafe { ffi::nvrs_mtx_trylock(self.raw.as_ptr()) }.then_some(MutexGuard { mutex: self })
    }

    /// The value, without locking: there is no other user.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

impl<T> Drop for Mutex<T> {
    fn drop(&mut self) {
        // SAFETY: nobody holds the mutex: guards borrow it.
        unsafe { ffi::nvrs_mtx_free(self.raw.as_ptr()) }
    }
}

/// Exclusive access to what a [`Mutex`] protects.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: the mutex is held.
        unsafe { &*self.mutex.value.get() }
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the mutex is held.
        unsafe { &mut *self.mutex.value.get() }
    }
}

impl<T> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this thread holds the mutex.
        unsafe { ffi::nvrs_mtx_unlock(self.mutex.raw.as_ptr()) }
    }
}

/// A shared/exclusive lock of sx(9): may be held across a sleep.
pub struct Sx<T> {
    raw: NonNull<ffi::nvrs_sx>,
    value: UnsafeCell<T>,
}

// SAFETY: readers share, a writer is alone.
unsafe impl<T: Send + Sync> Sync for Sx<T> {}
// SAFETY: unlocked when movable, as for Mutex.
unsafe impl<T: Send> Send for Sx<T> {}

impl<T> Sx<T> {
    /// A new, unlocked lock of class `name`.
    pub fn new(name: &'static CStr, value: T, wait: Wait<'_>) -> Result<Self> {
        // SAFETY: name is a static NUL-terminated string; flags fit the context.
        let raw = unsafe { ffi::nvrs_sx_alloc(name.as_ptr(), wait.flags()) };
        Ok(Sx {
            raw: NonNull::new(raw).ok_or(Errno::ENOMEM)?,
            value: UnsafeCell::new(value),
        })
    }

    /// Waits for shared access.
    pub fn read(&self, _sleep: CanSleep<'_>) -> SxRead<'_, T> {
        // SAFETY: raw is live and the context may sleep.
        unsafe { ffi::nvrs_sx_slock(self.raw.as_ptr()) };
        SxRead { sx: self }
    }

    /// Waits for exclusive access.
    pub fn write(&self, _sleep: CanSleep<'_>) -> SxWrite<'_, T> {
        // SAFETY: raw is live and the context may sleep.
        unsafe { ffi::nvrs_sx_xlock(self.raw.as_ptr()) };
        SxWrite { sx: self }
    }
}

impl<T> Drop for Sx<T> {
    fn drop(&mut self) {
        // SAFETY: nobody holds it: guards borrow it.
        unsafe { ffi::nvrs_sx_free(self.raw.as_ptr()) }
    }
}

/// Shared access to what an [`Sx`] protects.
pub struct SxRead<'a, T> {
    sx: &'a Sx<T>,
}

impl<T> Deref for SxRead<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held shared.
        unsafe { &*self.sx.value.get() }
    }
}

impl<T> Drop for SxRead<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds it shared.
        unsafe { ffi::nvrs_sx_sunlock(self.sx.raw.as_ptr()) }
    }
}

/// Exclusive access to what an [`Sx`] protects.
pub struct SxWrite<'a, T> {
    sx: &'a Sx<T>,
}

impl<T> Deref for SxWrite<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: held exclusively.
        unsafe { &*self.sx.value.get() }
    }
}

impl<T> DerefMut for SxWrite<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: held exclusively.
        unsafe { &mut *self.sx.value.get() }
    }
}

impl<T> Drop for SxWrite<'_, T> {
    fn drop(&mut self) {
        // SAFETY: this thread holds it exclusively.
        unsafe { ffi::nvrs_sx_xunlock(self.sx.raw.as_ptr()) }
    }
}

/// A condition variable of condvar(9).
pub struct Condvar(NonNull<ffi::nvrs_cv>);

// SAFETY: the kernel object may be used from any thread.
unsafe impl Sync for Condvar {}
// SAFETY: as above.
unsafe impl Send for Condvar {}

impl Condvar {
    /// A new condition variable; `name` is what ps(1) shows of a waiter.
    pub fn new(name: &'static CStr, wait: Wait<'_>) -> Result<Self> {
        // SAFETY: name is a static NUL-terminated string; flags fit the context.
        let raw = unsafe { ffi::nvrs_cv_alloc(name.as_ptr(), wait.flags()) };
        NonNull::new(raw).map(Condvar).ok_or(Errno::ENOMEM)
    }

    /// Waits for a signal, releasing the mutex meanwhile. May wake for no
    /// reason: loop on the condition.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>, _sleep: CanSleep<'_>) {
        // SAFETY: both objects are live and the mutex is held by this thread.
        unsafe { ffi::nvrs_cv_wait(self.0.as_ptr(), guard.mutex.raw.as_ptr()) }
    }

    /// Like [`Condvar::wait`], at most `ms` milliseconds; true when they passed.
    pub fn wait_ms<T>(&self, guard: &mut MutexGuard<'_, T>, ms: u32, _sleep: CanSleep<'_>) -> bool {
        // SAFETY: as in wait().
        unsafe { ffi::nvrs_cv_timedwait(self.0.as_ptr(), guard.mutex.raw.as_ptr(), ms) }
    }

    /// Wakes one waiter.
    pub fn signal(&self) {
        // SAFETY: live object.
        unsafe { ffi::nvrs_cv_signal(self.0.as_ptr()) }
    }

    /// Wakes all waiters.
    pub fn broadcast(&self) {
        // SAFETY: live object.
        unsafe { ffi::nvrs_cv_broadcast(self.0.as_ptr()) }
    }
}

impl Drop for Condvar {
    fn drop(&mut self) {
        // SAFETY: nobody waits: waiters borrow it.
        unsafe { ffi::nvrs_cv_free(self.0.as_ptr()) }
    }
}

const CLOSED: usize = 1 << (usize::BITS - 1);

/// Rundown protection: many threads use a value at once until somebody closes
/// the gate, waits for them to leave, and takes the value away.
pub struct Gate<T> {
    /// Users inside, plus CLOSED.
    users: AtomicUsize,
    value: UnsafeCell<Option<T>>,
    idle: Mutex<()>,
    left: Condvar,
}

// SAFETY: users share the value; the closer takes it when nobody is inside.
unsafe impl<T: Send + Sync> Sync for Gate<T> {}
// SAFETY: owns its value.
unsafe impl<T: Send> Send for Gate<T> {}

impl<T> Gate<T> {
    /// An open gate.
    pub fn new(name: &'static CStr, value: T, wait: Wait<'_>) -> Result<Self> {
        Ok(Gate {
            users: AtomicUsize::new(0),
            value: UnsafeCell::new(Some(value)),
            idle: Mutex::new(name, (), wait)?,
            left: Condvar::new(name, wait)?,
        })
    }

    /// Uses the value, unless the gate is closed.
    #[inline]
    pub fn enter(&self) -> Option<GateGuard<'_, T>> {
        if self.users.fetch_add(1, Ordering::Acquire) & CLOSED != 0 {
            self.leave();
            return None;
        }
        // SAFETY: the gate was open when we were counted, so the closer waits
        // for us before it touches the value.
        let value = unsafe { (*self.value.get()).as_ref() }?;
        Some(GateGuard { gate: self, value })
    }

    #[inline]
    fn leave(&self) {
        if self.users.fetch_sub(1, Ordering::AcqRel) == CLOSED | 1 {
            let _idle = self.idle.lock();
            self.left.broadcast();
        }
    }

    /// Refuses new users from now on, without waiting. True for the first call.
    pub fn shut(&self) -> bool {
        self.users.fetch_or(CLOSED, Ordering::AcqRel) & CLOSED == 0
    }

    /// Whether new users are refused.
    pub fn is_shut(&self) -> bool {
        self.users.load(Ordering::Acquire) & CLOSED != 0
    }

    /// Closes the gate, waits until the last user left, and takes the value;
    /// `None` if it was taken before. Users must not wait for the closer.
    pub fn close(&self, sleep: CanSleep<'_>) -> Option<T> {
        self.shut();
        let mut idle = self.idle.lock();
        while self.users.load(Ordering::Acquire) != CLOSED {
            self.left.wait_ms(&mut idle, 100, sleep);
        }
        // SAFETY: closed and empty; the mutex excludes a second closer.
        let value = unsafe { (*self.value.get()).take() };
        drop(idle);
        value
    }
}

/// A user inside a [`Gate`].
pub struct GateGuard<'a, T> {
    gate: &'a Gate<T>,
    value: &'a T,
}

impl<T> Deref for GateGuard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> Drop for GateGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.gate.leave();
    }
}

/// A module-wide object that exists between load and unload.
pub struct Global<T> {
    busy: AtomicBool,
    value: UnsafeCell<Option<KArc<T>>>,
}

// SAFETY: the value is only touched with `busy` held.
unsafe impl<T: Send + Sync> Sync for Global<T> {}

impl<T> Global<T> {
    /// Nothing there yet.
    pub const fn new() -> Self {
        Global {
            busy: AtomicBool::new(false),
            value: UnsafeCell::new(None),
        }
    }

    /// Runs `f` with the value; a few instructions, so spinning is right.
    fn with<R>(&self, f: impl FnOnce(&mut Option<KArc<T>>) -> R) -> R {
        while self
            .busy
            .compare_exchange_weak(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            core::hint::spin_loop();
        }
        // SAFETY: busy is held.
        let r = f(unsafe { &mut *self.value.get() });
        self.busy.store(false, Ordering::Release);
        r
    }

    /// Publishes the object; gives back the one it replaces.
    pub fn set(&self, value: KArc<T>) -> Option<KArc<T>> {
        self.with(|v| v.replace(value))
    }

    /// A reference to the object, if it exists.
    pub fn get(&self) -> Option<KArc<T>> {
        self.with(|v| v.clone())
    }

    /// Withdraws the object.
    pub fn take(&self) -> Option<KArc<T>> {
        self.with(|v| v.take())
    }
}

impl<T> Default for Global<T> {
    fn default() -> Self {
        Self::new()
    }
}
