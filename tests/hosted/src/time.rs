// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Clocks, processors, stack.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::context::may_sleep;
use crate::fault;

/// Microseconds since the process started.
pub fn now_us() -> u64 {
    static BOOT: OnceLock<Instant> = OnceLock::new();
    // One second of uptime: zero means "never" to many.
    BOOT.get_or_init(Instant::now).elapsed().as_micros() as u64 + 1_000_000
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_uptime_us() -> u64 {
    now_us()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_realtime(sec: *mut u64, nsec: *mut u32) {
    let t = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    // SAFETY: the caller's storage.
    unsafe {
        *sec = t.as_secs();
        *nsec = t.subsec_nanos();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_pause_ms(ms: u32) {
    may_sleep("pause");
    std::thread::sleep(Duration::from_millis(ms.into()));
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_curcpu() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::sched_getcpu() }.max(0) as u32
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_maxcpus() -> u32 {
    // SAFETY: no preconditions.
    unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }.max(1) as u32
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_stack_ok() -> bool {
    !fault::stack_low()
}
