// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Clocks, processors, stack.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::context::may_sleep;
use crate::sim::sched;
use crate::{fault, os};

/// Processors of the simulator.
const SIMULATED_CPUS: u32 = 4;

static CPUS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CPU: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Kernels that are booted from now on see so many processors; zero: those that the machine has.
pub fn set_cpus(cpus: u32) {
    CPUS.store(cpus, Ordering::Relaxed);
}

/// The caller's thread runs on this processor, as far as the kernel knows.
pub fn run_on(cpu: u32) {
    CPU.set(Some(cpu));
}

/// Microseconds since the process started.
pub fn now_us() -> u64 {
    // One second of uptime: zero means "never" to many.
    os::clock::now_us() + 1_000_000
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_uptime_us() -> u64 {
    now_us()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_uptime_exact_us() -> u64 {
    now_us()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_realtime(sec: *mut u64, nsec: *mut u32) {
    let t = match sched::now_us() {
        // Some time in 2026.
        Some(us) => Duration::from_secs(1_790_000_000) + Duration::from_micros(us),
        None => SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default(),
    };
    // SAFETY: the caller's storage.
    unsafe {
        *sec = t.as_secs();
        *nsec = t.subsec_nanos();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_pause_ms(ms: u32) {
    may_sleep("pause");
    os::sleep(Duration::from_millis(ms.into()));
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_curcpu() -> u32 {
    match sched::processor(SIMULATED_CPUS).or(CPU.get()) {
        Some(cpu) => cpu,
        // SAFETY: no preconditions.
        None => unsafe { libc::sched_getcpu() }.max(0) as u32,
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_maxcpus() -> u32 {
    if sched::is_simulated() {
        return SIMULATED_CPUS;
    }
    let cpus = CPUS.load(Ordering::Relaxed);
    if cpus != 0 {
        return cpus;
    }
    // SAFETY: no preconditions.
    unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) }.max(1) as u32
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_stack_ok() -> bool {
    !fault::stack_low()
}
