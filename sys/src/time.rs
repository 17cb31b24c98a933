// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Clocks and processors.

use crate::context::CanSleep;
use crate::ffi;

/// Microseconds since boot, as of the last tick. Any context.
pub fn uptime_us() -> u64 {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_uptime_us() }
}

/// Microseconds since boot. Any context; reading the clock may take long.
pub fn uptime_exact_us() -> u64 {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_uptime_exact_us() }
}

/// Milliseconds since boot. Any context.
pub fn uptime_ms() -> u64 {
    uptime_us() / 1000
}

/// Seconds and nanoseconds of the real-time clock. Any context.
pub fn realtime() -> (u64, u32) {
    let (mut sec, mut nsec) = (0, 0);
    // SAFETY: both point to valid storage.
    unsafe { ffi::nvrs_realtime(&mut sec, &mut nsec) };
    (sec, nsec)
}

/// Sleeps for `ms` milliseconds.
pub fn pause_ms(ms: u32, _sleep: CanSleep<'_>) {
    // SAFETY: the context may sleep.
    unsafe { ffi::nvrs_pause_ms(ms) }
}

/// The processor that runs this code; a hint, since it may change at once.
pub fn current_cpu() -> u32 {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_curcpu() }
}

/// One more than the highest processor number.
pub fn max_cpus() -> u32 {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_maxcpus() }
}

/// Whether enough of the kernel stack is left to call into the network stack.
pub fn stack_ok() -> bool {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_stack_ok() }
}
