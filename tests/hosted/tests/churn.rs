// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Set-up and tear-down of everything at once, under load.

mod common;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use common::Target;
use hosted::ctl::{self, Lun, Style};
use hosted::system::{self, Port};
use hosted::userland::{Options, Queue};
use hosted::{Kernel, newbus};

#[test]
fn connecting_and_disconnecting_from_many_threads() {
    let k = Kernel::boot_all();
    newbus::set_fail_on_disconnection(true);
    let t = Target::new(Style::default(), 1);
    let end = Instant::now() + Duration::from_millis(1500);
    let (made, addr) = (AtomicU32::new(0), t.daemon.addr);
    std::thread::scope(|s| {
        for n in 0..4u32 {
            let made = &made;
            s.spawn(move || {
                let o = Options {
                    queues: 1 + n as u16,
                    ..Options::default()
                };
                while Instant::now() < end {
                    if let Ok(dev) = system::connect(addr, &o) {
                        made.fetch_add(1, Ordering::Relaxed);
                        let disk = hosted::cam::wait_disk(&dev, 1, Duration::from_millis(20));
                        if let Some(disk) = disk {
                            let _ = disk.write(0, vec![1; 4096]);
                        }
                    }
                }
            });
        }
        for _ in 0..2 {
            s.spawn(move || {
                while Instant::now() < end {
                    let _ = system::disconnect_all();
                    std::thread::sleep(Duration::from_millis(3));
                }
            });
        }
        s.spawn(move || {
            while Instant::now() < end {
                let _ = (system::associations(), newbus::devices());
                std::thread::sleep(Duration::from_millis(2));
            }
        });
    });
    while system::disconnect_all().is_ok() {}
    assert!(made.into_inner() > 5);
    newbus::set_fail_on_disconnection(false);
    t.end();
    k.shutdown();
}

#[test]
fn ports_that_come_and_go_under_their_hosts() {
    let k = Kernel::boot_all();
    newbus::set_fail_on_disconnection(true);
    let t = Target::new(Style::default(), 1);
    let stop = AtomicBool::new(false);
    let addr = t.daemon.addr;
    let Target { port, daemon, luns } = t;
    std::thread::scope(|s| {
        for _ in 0..3 {
            let stop = &stop;
            s.spawn(move || {
                let o = Options {
                    loss_timeout: 1,
                    ..Options::default()
                };
                while !stop.load(Ordering::Acquire) {
                    // An admin queue alone, then a whole host.
                    let q = Queue::connect(addr, &o, 0, 0xffff);
                    drop(q);
                    if let Ok(dev) = system::connect(addr, &o)
                        && let Some(disk) =
                            hosted::cam::wait_disk(&dev, 1, Duration::from_millis(50))
                    {
                        while !stop.load(Ordering::Acquire) && disk.read(0, 8192).is_ok() {}
                    }
                }
            });
        }
        let mut port = Some(port);
        let nqn = Options::default().subnqn;
        for _ in 0..15 {
            std::thread::sleep(Duration::from_millis(60));
            let start = Instant::now();
            if let Some(p) = port.take() {
                p.remove().expect("removed");
            }
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{:?}",
                start.elapsed()
            );
            port = Some(Port::create(&nqn, &[]).expect("a port"));
        }
        stop.store(true, Ordering::Release);
        if let Some(p) = port {
            p.remove().expect("removed");
        }
    });
    while system::disconnect_all().is_ok() {}
    newbus::set_fail_on_disconnection(false);
    drop(daemon);
    for n in 0..luns.len() as u32 {
        ctl::remove_lun(n);
    }
    k.shutdown();
}

#[test]
fn luns_that_come_and_go_under_load() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (stop, dev) = (&stop, &dev);
        s.spawn(move || {
            while !stop.load(Ordering::Acquire) {
                for nsid in [1, 4] {
                    if let Some(d) = hosted::cam::wait_disk(dev, nsid, Duration::from_millis(5)) {
                        let _ = d.read(0, 4096);
                        let _ = d.write(8, vec![2; 4096]);
                    }
                }
            }
        });
        for _ in 0..25 {
            ctl::add_lun(3, Lun::new(1 << 20, Style::default()));
            std::thread::sleep(Duration::from_millis(10));
            ctl::remove_lun(3);
            std::thread::sleep(Duration::from_millis(5));
        }
        stop.store(true, Ordering::Release);
    });
    let disk = system::disk(&dev, 1).expect("the other disk");
    disk.read(0, 4096).expect("read");
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}
