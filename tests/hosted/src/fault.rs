// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Conditions that tests set: allocation failures, a full stack, odd mbufs.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use crate::sim::{alloc, sched};

static NOWAIT_ONE_IN: AtomicU32 = AtomicU32::new(0);
static STACK_LOW: AtomicBool = AtomicBool::new(false);
static RX_SEGMENT: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static RANDOM: Cell<u64> = const { Cell::new(0) };
}

/// A random number of this thread (xorshift64*), or of the simulation's.
pub fn random() -> u64 {
    if let Some(r) = sched::random() {
        return r;
    }
    RANDOM.with(|r| {
        let mut x = r.get();
        if x == 0 {
            x = crate::time::now_us() ^ (&raw const *r).addr() as u64 | 1;
        }
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        r.set(x);
        x.wrapping_mul(0x2545_f491_4f6c_dd1d)
    })
}

/// A point at which the simulator may let another thread go on. Otherwise it
/// disturbs the schedule: with HOSTED_JITTER=n set, every n-th call or so that
/// locks, unlocks, wakes or queues sleeps for a moment before.
pub fn jitter() {
    if sched::is_simulated() {
        return sched::point();
    }
    static ONE_IN: OnceLock<u64> = OnceLock::new();
    let n = *ONE_IN.get_or_init(|| {
        let n = std::env::var("HOSTED_JITTER").ok();
        n.and_then(|n| n.parse().ok()).unwrap_or(0)
    });
    if n != 0 && (random() >> 16).is_multiple_of(n) {
        let us = (random() >> 16) % 300;
        std::thread::sleep(Duration::from_micros(us));
    }
}

/// One of `n` allocations that may not wait fails; zero: none.
pub fn fail_nowait(one_in: u32) {
    NOWAIT_ONE_IN.store(one_in, Ordering::Relaxed);
}

/// Whether this allocation fails.
pub fn nowait_fails() -> bool {
    if sched::is_simulated() {
        return alloc::fails();
    }
    let n = NOWAIT_ONE_IN.load(Ordering::Relaxed);
    n != 0 && (random() >> 16).is_multiple_of(n.into())
}

/// Makes `nvrs_stack_ok` false.
pub fn set_stack_low(low: bool) {
    STACK_LOW.store(low, Ordering::Relaxed);
}

/// Whether the stack is said to be nearly used up.
pub fn stack_low() -> bool {
    STACK_LOW.load(Ordering::Relaxed)
}

/// Received chains have mbufs of at most this many bytes; zero: as they come.
pub fn set_rx_segment(bytes: u32) {
    RX_SEGMENT.store(bytes, Ordering::Relaxed);
}

/// See [`set_rx_segment`].
pub fn rx_segment() -> u32 {
    RX_SEGMENT.load(Ordering::Relaxed)
}

/// Ends what tests set.
pub fn reset() {
    fail_nowait(0);
    set_stack_low(false);
    set_rx_segment(0);
}
