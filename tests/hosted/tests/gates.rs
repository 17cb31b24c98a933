// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Gates of `sys`, in virtual time.

use std::sync::Arc;
use std::time::Duration;

use hosted::Kernel;
use hosted::kernel::can_sleep;
use hosted::os::{self, Instant};
use hosted::sim::sched::{self, Config};
use sys::sync::Gate;

#[test]
fn a_gate_closes_when_the_last_has_left_and_at_once() {
    let config = Config {
        seed: 1,
        switch_one_in: 2,
        jump_one_in: 0,
        jump_us: 0,
        jumps: 0,
    };
    sched::simulate(config, || {
        let k = Kernel::boot();
        let gate = Gate::new(c"gate", 7, k.sleep().into()).expect("memory");
        let gate = Arc::new(gate);
        let inside = gate.enter().expect("an open gate");
        let same = gate.clone();
        let closer = os::spawn("closer", move || (same.close(can_sleep()), Instant::now()));
        let closer = closer.expect("a thread");
        os::sleep(Duration::from_millis(250));
        assert!(!closer.is_finished(), "it does not wait for who is inside");
        assert!(gate.enter().is_none(), "it is open");
        let left = Instant::now();
        drop(inside);
        let (value, closed) = closer.join().expect("no panic");
        assert_eq!(value, Some(7));
        let late = closed.saturating_duration_since(left);
        assert!(late < Duration::from_millis(5), "nobody told it: {late:?}");
        assert_eq!(gate.close(can_sleep()), None);
        drop(gate);
        k.shutdown();
    });
}
