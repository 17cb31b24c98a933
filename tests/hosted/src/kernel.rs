// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Loading and unloading of the modules, and what they leave behind.

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sys::CanSleep;
use sys::ffi::nvmf_transport_ops;

use crate::os::{self, Instant};
use crate::{console, fault, mem, object, task};

static ONE: Mutex<()> = Mutex::new(());
/// A test failed: what it left behind would fail the others, too.
static DISORDER: AtomicBool = AtomicBool::new(false);

/// How long the network may take to let go of the last mbufs.
const SETTLE_MS: u64 = 6_000;

/// [`SETTLE_MS`], unless HOSTED_SETTLE_MS says otherwise.
fn settle() -> Duration {
    let ms = std::env::var("HOSTED_SETTLE_MS").ok();
    Duration::from_millis(ms.and_then(|v| v.parse().ok()).unwrap_or(SETTLE_MS))
}

/// The kernel with its modules loaded; one at a time.
pub struct Kernel {
    _one: MutexGuard<'static, ()>,
    drivers: bool,
}

fn tcp_ops() -> *mut std::ffi::c_void {
    let ops: *const nvmf_tcp::ffi::Ops = &raw const nvmf_tcp::ffi::nvrs_tcp_ops;
    ops.cast::<nvmf_transport_ops>().cast_mut().cast()
}

impl Kernel {
    /// Loads `nvmf_transport` and `nvmf_tcp`.
    pub fn boot() -> Self {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            !DISORDER.load(Ordering::Relaxed),
            "an earlier test failed and left the kernel in disorder"
        );
        console::take();
        fault::reset();
        assert_eq!(nvmf_transport::ffi::nvrs_transport_load(), 0);
        nvmf_tcp::ffi::nvrs_tcp_prepare();
        // SAFETY: the table is static.
        let r = unsafe {
            nvmf_transport::ffi::nvmf_transport_module_handler(ptr::null_mut(), 0, tcp_ops())
        };
        assert_eq!(r, 0, "nvmf_tcp does not load");
        Kernel {
            _one: one,
            drivers: false,
        }
    }

    /// Loads `nvmft` and `nvmf`, too.
    pub fn boot_all() -> Self {
        let mut k = Self::boot();
        k.drivers = true;
        assert_eq!(nvmft::ffi::nvmft_rs_load(), 0, "nvmft does not load");
        assert_eq!(nvmf::ffi::nvrs_nvmf_load(), 0, "nvmf does not load");
        k
    }

    /// This thread may sleep: tests are threads of the kernel's.
    pub fn sleep(&self) -> CanSleep<'_> {
        can_sleep()
    }

    /// Unloads the modules; nothing may be left.
    pub fn shutdown(self) {
        drop(self);
    }

    fn unload(&mut self) {
        fault::reset();
        if self.drivers {
            nvmf::ffi::nvrs_nvmf_unload();
            assert_eq!(nvmft::ffi::nvmft_rs_unload(), 0, "nvmft does not unload");
        }
        assert_eq!(
            nvmf_tcp::ffi::nvrs_tcp_busy(),
            0,
            "queue pairs are left: {:?}",
            object::census()
        );
        // SAFETY: the table is static.
        let r = unsafe {
            nvmf_transport::ffi::nvmf_transport_module_handler(ptr::null_mut(), 1, tcp_ops())
        };
        assert_eq!(r, 0, "nvmf_tcp does not unload");
        assert_eq!(nvmf_transport::ffi::nvrs_transport_unload(false), 0);
        assert_eq!(nvmf_transport::ffi::nvrs_transport_unload(true), 0);
        let end = Instant::now() + settle();
        while !object::census().is_empty() && Instant::now() < end {
            os::sleep(Duration::from_millis(1));
        }
        let left = object::census();
        assert!(left.is_empty(), "left behind: {left:?}\n{}", mem::report());
        assert_eq!(task::armed_callouts(), 0, "callouts are armed");
        mem::check_freed();
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        DISORDER.store(true, Ordering::Relaxed);
        if !std::thread::panicking() {
            self.unload();
            DISORDER.store(false, Ordering::Relaxed);
        }
    }
}

/// For threads of a test: they hold nothing and may sleep.
pub fn can_sleep<'a>() -> CanSleep<'a> {
    crate::context::may_sleep("a test");
    // SAFETY: just checked.
    unsafe { CanSleep::assert() }
}
