// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! mutex(9), sx(9), condvar(9).

use std::cell::UnsafeCell;
use std::ffi::{c_char, c_int};
use std::sync::PoisonError;
use std::time::Duration;

use sys::ffi::{nvrs_cv, nvrs_mtx, nvrs_sx};

use crate::context::{self, Class, check_sleep, die, name_of};
use crate::fault::jitter;
use crate::mem::check_flags;
use crate::object::{Kind, give, object, take};
use crate::os::{Condvar, Mutex, MutexGuard};

struct Mtx {
    class: Class,
    inner: Mutex<()>,
    /// The guard of the thread that holds it.
    guard: UnsafeCell<Option<MutexGuard<'static, ()>>>,
}

// SAFETY: the guard's cell is touched by the thread that holds the mutex only.
unsafe impl Sync for Mtx {}
// SAFETY: as above; an unlocked mutex has no guard.
unsafe impl Send for Mtx {}

impl Mtx {
    /// # Safety
    ///
    /// This thread has just locked `inner` and `self` outlives the guard.
    unsafe fn keep(&self, guard: MutexGuard<'_, ()>) {
        // SAFETY: the caller's promise.
        unsafe {
            *self.guard.get() = Some(std::mem::transmute::<
                MutexGuard<'_, ()>,
                MutexGuard<'static, ()>,
            >(guard));
        }
    }

    fn part(&self) -> MutexGuard<'static, ()> {
        // SAFETY: callers checked that this thread holds the mutex.
        match unsafe { (*self.guard.get()).take() } {
            Some(g) => g,
            None => die("mutex is not locked"),
        }
    }

    fn at(&self) -> usize {
        (&raw const *self).addr()
    }
}

/// # Safety
///
/// `m` is NULL or from `nvrs_mtx_alloc`, perhaps freed lately.
unsafe fn mtx<'a>(m: *const nvrs_mtx, what: &str) -> &'a Mtx {
    // SAFETY: the caller's promise.
    unsafe { object(m, what) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_mtx_alloc(name: *const c_char, flags: c_int) -> *mut nvrs_mtx {
    if !check_flags(flags, "mtx_init") {
        return std::ptr::null_mut();
    }
    // SAFETY: lock names are static strings.
    let class = unsafe { context::class(name) };
    give(
        Kind::Mutex,
        Mtx {
            class,
            inner: Mutex::new(()),
            guard: UnsafeCell::new(None),
        },
    )
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_mtx_free(m: *mut nvrs_mtx) {
    // SAFETY: a mutex of the caller's.
    let mx = unsafe { mtx(m, "mtx_destroy") };
    if mx.inner.try_lock().is_err() {
        die(&format!(
            "mutex {:?} is destroyed while locked",
            name_of(mx.class)
        ));
    }
    // SAFETY: not locked, and given up by its owner.
    unsafe { take::<Mtx, _>(Kind::Mutex, m, "mtx_destroy") }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_mtx_lock(m: *mut nvrs_mtx) {
    // SAFETY: a mutex of the caller's.
    let mx = unsafe { mtx(m, "mtx_lock") };
    jitter();
    context::before_lock(mx.at(), mx.class, true);
    let guard = mx.inner.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: just locked.
    unsafe { mx.keep(guard) };
    context::locked(mx.at(), mx.class, true);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_mtx_trylock(m: *mut nvrs_mtx) -> bool {
    // SAFETY: a mutex of the caller's.
    let mx = unsafe { mtx(m, "mtx_trylock") };
    if context::holds(mx.at()) {
        return false;
    }
    let Ok(guard) = mx.inner.try_lock() else {
        return false;
    };
    // SAFETY: just locked.
    unsafe { mx.keep(guard) };
    context::locked(mx.at(), mx.class, true);
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_mtx_unlock(m: *mut nvrs_mtx) {
    // SAFETY: a mutex of the caller's.
    let mx = unsafe { mtx(m, "mtx_unlock") };
    context::unlocked(mx.at(), mx.class);
    drop(mx.part());
    jitter();
}

#[derive(Default)]
struct SxState {
    readers: usize,
    writer: bool,
}

struct Sx {
    class: Class,
    state: Mutex<SxState>,
    changed: Condvar,
}

impl Sx {
    fn acquire(&self, exclusive: bool) {
        let at = (&raw const *self).addr();
        context::before_lock(at, self.class, false);
        let mut st = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while st.writer || (exclusive && st.readers != 0) {
            st = self
                .changed
                .wait(st)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if exclusive {
            st.writer = true;
        } else {
            st.readers += 1;
        }
        context::locked(at, self.class, false);
    }

    fn release(&self, exclusive: bool) {
        context::unlocked((&raw const *self).addr(), self.class);
        let mut st = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if exclusive {
            st.writer = false;
        } else {
            st.readers -= 1;
        }
        self.changed.notify_all();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sx_alloc(name: *const c_char, flags: c_int) -> *mut nvrs_sx {
    if !check_flags(flags, "sx_init") {
        return std::ptr::null_mut();
    }
    // SAFETY: lock names are static strings.
    let class = unsafe { context::class(name) };
    give(
        Kind::Sx,
        Sx {
            class,
            state: Mutex::default(),
            changed: Condvar::new(),
        },
    )
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sx_free(sx: *mut nvrs_sx) {
    // SAFETY: a lock of the caller's, given up by it.
    unsafe {
        let s = object::<Sx, _>(sx, "sx_destroy");
        let busy = {
            let st = s.state.lock().unwrap_or_else(PoisonError::into_inner);
            st.writer || st.readers != 0
        };
        if busy {
            die(&format!(
                "sx {:?} is destroyed while locked",
                name_of(s.class)
            ));
        }
        take::<Sx, _>(Kind::Sx, sx, "sx_destroy");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sx_slock(sx: *mut nvrs_sx) {
    // SAFETY: a lock of the caller's.
    unsafe { object::<Sx, _>(sx, "sx_slock") }.acquire(false);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sx_sunlock(sx: *mut nvrs_sx) {
    // SAFETY: a lock of the caller's.
    unsafe { object::<Sx, _>(sx, "sx_sunlock") }.release(false);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sx_xlock(sx: *mut nvrs_sx) {
    // SAFETY: a lock of the caller's.
    unsafe { object::<Sx, _>(sx, "sx_xlock") }.acquire(true);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sx_xunlock(sx: *mut nvrs_sx) {
    // SAFETY: a lock of the caller's.
    unsafe { object::<Sx, _>(sx, "sx_xunlock") }.release(true);
}

struct Cv {
    name: Class,
    cv: Condvar,
    waiters: Mutex<usize>,
}

impl Cv {
    fn waiters(&self, change: isize) -> usize {
        let mut w = self.waiters.lock().unwrap_or_else(PoisonError::into_inner);
        *w = w.saturating_add_signed(change);
        *w
    }

    /// Waits; true when the time ran out.
    fn wait(&self, mx: &Mtx, ms: Option<u32>) -> bool {
        if !context::holds(mx.at()) {
            die(&format!(
                "cv_wait on {:?} without its mutex",
                name_of(self.name)
            ));
        }
        context::unlocked(mx.at(), mx.class);
        check_sleep("cv_wait");
        self.waiters(1);
        let guard = mx.part();
        let (guard, timed_out) = match ms {
            None => {
                let g = self.cv.wait(guard).unwrap_or_else(PoisonError::into_inner);
                (g, false)
            }
            Some(ms) => {
                let r = self
                    .cv
                    .wait_timeout(guard, Duration::from_millis(ms.into()));
                let (g, t) = r.unwrap_or_else(PoisonError::into_inner);
                (g, t.timed_out())
            }
        };
        self.waiters(-1);
        jitter();
        // SAFETY: the wait returned with the mutex locked.
        unsafe { mx.keep(guard) };
        context::locked(mx.at(), mx.class, true);
        timed_out
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cv_alloc(name: *const c_char, flags: c_int) -> *mut nvrs_cv {
    if !check_flags(flags, "cv_init") {
        return std::ptr::null_mut();
    }
    // SAFETY: names are static strings.
    let name = unsafe { context::class(name) };
    give(
        Kind::Condvar,
        Cv {
            name,
            cv: Condvar::new(),
            waiters: Mutex::new(0),
        },
    )
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cv_free(cv: *mut nvrs_cv) {
    // SAFETY: an object of the caller's, given up by it.
    unsafe {
        let c = object::<Cv, _>(cv, "cv_destroy");
        if c.waiters(0) != 0 {
            die(&format!(
                "cv {:?} is destroyed with waiters",
                name_of(c.name)
            ));
        }
        take::<Cv, _>(Kind::Condvar, cv, "cv_destroy");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cv_wait(cv: *mut nvrs_cv, m: *mut nvrs_mtx) {
    // SAFETY: objects of the caller's.
    unsafe { object::<Cv, _>(cv, "cv_wait").wait(mtx(m, "cv_wait"), None) };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cv_timedwait(
    cv: *mut nvrs_cv,
    m: *mut nvrs_mtx,
    ms: u32,
) -> bool {
    // SAFETY: objects of the caller's.
    unsafe { object::<Cv, _>(cv, "cv_timedwait").wait(mtx(m, "cv_timedwait"), Some(ms)) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cv_signal(cv: *mut nvrs_cv) {
    // SAFETY: an object of the caller's.
    unsafe { object::<Cv, _>(cv, "cv_signal") }.cv.notify_one();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cv_broadcast(cv: *mut nvrs_cv) {
    // SAFETY: an object of the caller's.
    unsafe { object::<Cv, _>(cv, "cv_broadcast") }
        .cv
        .notify_all();
}
