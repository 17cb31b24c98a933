// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! All four modules while allocations fail, mbufs are odd, bits flip and
//! connections break.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Target, pattern};
use hosted::ctl::Style;
use hosted::middle::{Faults, Middle};
use hosted::userland::{Association, Options};
use hosted::{Kernel, cdev, fault, newbus, system};
use sys::ffi::NVRS_IOC_RECONNECT_HOST;

#[test]
fn failing_allocations_lose_nothing() {
    let k = Kernel::boot_all();
    newbus::set_fail_on_disconnection(true);
    for one_in in [3, 20, 200] {
        let t = Target::new(Style::default(), 1);
        let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
        let disk = system::disk(&dev, 1).expect("a disk");
        fault::fail_nowait(one_in);
        let start = Instant::now();
        let good = AtomicU64::new(0);
        std::thread::scope(|s| {
            for i in 0..8u64 {
                let (disk, good) = (disk.clone(), &good);
                s.spawn(move || {
                    for n in 0..60 {
                        let at = i * 512;
                        let data = pattern(at + n, 512 << (n % 7));
                        let len = data.len();
                        if disk.write(at, data.clone()).is_err() {
                            continue;
                        }
                        if let Ok(got) = disk.read(at, len) {
                            assert!(got == data);
                            good.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        fault::reset();
        let took = start.elapsed();
        assert!(took < Duration::from_secs(10), "commands waited: {took:?}");
        assert!(one_in < 200 || good.into_inner() > 0);
        system::disconnect_all().expect("disconnected");
        t.end();
    }
    newbus::set_fail_on_disconnection(false);
    k.shutdown();
}

#[test]
fn odd_mbufs_and_a_small_stack_change_nothing() {
    for (segment, low) in [(1, false), (7, true), (1448, false), (0, true)] {
        let k = Kernel::boot_all();
        fault::set_rx_segment(segment);
        fault::set_stack_low(low);
        let t = Target::new(Style::default(), 1);
        let o = Options {
            hdgst: true,
            ddgst: true,
            ..Options::default()
        };
        let dev = system::connect(t.daemon.addr, &o).expect("connected");
        let disk = system::disk(&dev, 1).expect("a disk");
        for (i, len) in [512, 8192, 8704, 65536].into_iter().enumerate() {
            let data = pattern(len as u64, len);
            disk.write(i as u64 * 200, data.clone()).expect("written");
            assert!(disk.read(i as u64 * 200, len).expect("read") == data);
        }
        system::disconnect_all().expect("disconnected");
        t.end();
        k.shutdown();
    }
}

/// Reconnects as devd would, until it is told to stop.
fn devd(wire: &Middle, o: &Options, stop: &AtomicBool) -> u32 {
    let mut count = 0;
    while !stop.load(Ordering::Acquire) {
        for dev in newbus::take_reconnects() {
            // Over a bad wire it may take several attempts; the kernel asks again.
            if system::reconnect(&dev, wire.addr, o).is_ok() {
                count += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    count
}

fn over_a_bad_wire(seed: u64, faults: Faults) {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    let t = Target::new(Style::default(), 1);
    let wire = Middle::wire(t.daemon.addr, Faults::default(), seed).expect("loopback");
    let o = Options {
        hdgst: true,
        ddgst: true,
        loss_timeout: 60,
        ..Options::default()
    };
    let dev = system::connect(wire.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    wire.set(faults);
    let stop = AtomicBool::new(false);
    let end = Instant::now() + Duration::from_millis(1500);
    std::thread::scope(|s| {
        let helper = s.spawn(|| devd(&wire, &o, &stop));
        let writers: Vec<_> = (0..4u64)
            .map(|i| {
                let disk = disk.clone();
                s.spawn(move || {
                    let mut n = 0;
                    while Instant::now() < end {
                        let at = i * 4000;
                        let data = pattern(seed ^ at ^ n, 512 * (1 + (n as usize * 7) % 90));
                        // An error says that it may or may not be written.
                        while disk.write(at, data.clone()).is_err() {}
                        let got = loop {
                            if let Ok(got) = disk.read(at, data.len()) {
                                break got;
                            }
                        };
                        assert!(got == data, "seed {seed}: thread {i}, round {n}");
                        n += 1;
                    }
                    n
                })
            })
            .collect();
        std::thread::sleep(Duration::from_millis(1200));
        // Whatever is under way ends over a good wire.
        wire.set(Faults::default());
        let rounds: u64 = writers
            .into_iter()
            .map(|w| w.join().expect("no panic"))
            .sum();
        assert!(rounds > 0);
        stop.store(true, Ordering::Release);
        helper.join().expect("no panic");
    });
    assert!(wire.count.load(Ordering::Relaxed) > 0, "there was no fault");
    system::disconnect_all().expect("disconnected");
    drop(wire);
    t.end();
    k.shutdown();
}

#[test]
fn flipped_bits_are_noticed() {
    for seed in 0..3 {
        over_a_bad_wire(
            seed,
            Faults {
                flip: 400_000,
                piece: 9000,
                ..Faults::default()
            },
        );
    }
}

#[test]
fn connections_that_break_anywhere_are_made_again() {
    for seed in 10..12 {
        over_a_bad_wire(
            seed,
            Faults {
                cut: 2_000_000,
                ..Faults::default()
            },
        );
    }
}

/// Where requests are to fail while there is no association, they also fail
/// after an attempt to make one.
#[test]
fn requests_fail_after_a_reconnect_that_failed() {
    let k = Kernel::boot_all();
    newbus::set_fail_on_disconnection(true);
    let t = Target::new(Style::default(), 1);
    let o = Options {
        loss_timeout: 60,
        ..Options::default()
    };
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    system::terminate_all();
    let end = Instant::now() + Duration::from_secs(5);
    while disk.read(0, 512).is_ok() {
        assert!(Instant::now() < end, "the association lives on");
    }
    // Queues that are dead when the kernel gets them.
    let a = Association::connect(t.daemon.addr, &o).expect("queues");
    system::terminate_all();
    let r = cdev::ioctl_list(&dev, NVRS_IOC_RECONNECT_HOST.into(), &a.packed());
    assert!(r.is_err());
    drop(a);
    let failed = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (disk, failed) = (&disk, &failed);
        s.spawn(move || failed.store(disk.read(0, 512).is_err(), Ordering::Release));
        std::thread::sleep(Duration::from_millis(200));
        let in_time = failed.load(Ordering::Acquire);
        // Also ends a request that waits.
        system::reconnect(&dev, t.daemon.addr, &o).expect("reconnected");
        assert!(in_time, "the request waits for an association");
    });
    let disk = system::disk(&dev, 1).expect("the disk again");
    disk.read(0, 512).expect("read");
    system::disconnect_all().expect("disconnected");
    newbus::set_fail_on_disconnection(false);
    t.end();
    k.shutdown();
}
