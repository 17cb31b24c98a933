// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Those who do the right things at the wrong time: administrators of the host
//! who connect, reconnect and disconnect as they like, and a host that writes
//! CC in any order and goes away in between.

use std::time::Duration;

use super::target::addr;
use super::{net, sched};
use crate::os;
use crate::userland::{Options, Queue};
use crate::{newbus, system};

pub(super) fn rng(below: u64) -> u64 {
    (sched::random().unwrap_or(0) >> 16) % below.max(1)
}

pub(super) fn pause_us(us: u64) {
    os::sleep(Duration::from_micros(us));
}

pub(super) const CC: u32 = 0x14;
/// IOCQES and IOSQES.
pub(super) const SIZES: u64 = 0x0046_0000;

/// One of several administrators.
pub fn administrator(o: &Options) {
    // Some are quick.
    let most = [100, 1_500, 6_000][rng(3) as usize];
    for _ in 0..16 {
        pause_us(rng(most));
        match rng(10) {
            0 | 1 => drop(system::connect(addr(), o)),
            2 => drop(system::disconnect_all()),
            3 => net::reset_all(),
            _ => {
                for (name, _) in newbus::devices() {
                    // Refused, most of the time.
                    let _ = system::reconnect(&name, addr(), o);
                }
            }
        }
    }
}

pub(super) fn any_cc() -> u64 {
    match rng(8) {
        0..3 => SIZES | 1,
        3 => SIZES,
        4 => SIZES | 1 << 14 | rng(2),
        5 => SIZES | 2 << 14,
        6 => 0,
        // No such command set.
        _ => SIZES | 1 | 1 << 4,
    }
}

/// A host with an admin queue and no interest in disks.
pub fn odd_host(o: &Options) {
    for _ in 0..12 {
        let Ok(mut q) = Queue::connect(addr(), o, 0, 0xffff) else {
            pause_us(50_000);
            continue;
        };
        let hasty = rng(2) == 0;
        for _ in 0..1 + rng(7) {
            let value = any_cc();
            q.write_property(CC, value, !hasty && rng(2) == 0);
            if value & 1 == 0 && rng(4) == 0 {
                // While what was written takes effect.
                pause_us(rng(300));
                system::terminate_all();
            }
            match rng(16) {
                // As long as a controller waits to be enabled, or nearly.
                0 => pause_us(119_999_000 + rng(2_000)),
                1 => pause_us(121_000_000),
                2 | 3 => drop(system::terminate_all()),
                4..7 => pause_us(rng(1_000)),
                _ => {}
            }
        }
    }
}
