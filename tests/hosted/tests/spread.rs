// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Which I/O queue takes the commands of a processor.

mod common;

use std::time::Duration;

use common::Target;
use hosted::cam::Disk;
use hosted::ctl::Style;
use hosted::userland::Options;
use hosted::{Kernel, newbus, system, time};
use nvmf::proto::spread::ENOUGH;

const CPUS: u32 = 4;
/// A queue for each processor.
const QUEUES: u16 = 4;

/// Commands that each queue took meanwhile.
fn taken(dev: &str, io: impl FnOnce()) -> Vec<u64> {
    let count = || (0..QUEUES.into()).map(|q| newbus::queue_commands(dev, q).expect("a queue"));
    let before: Vec<_> = count().collect();
    io();
    count().zip(before).map(|(now, then)| now - then).collect()
}

/// Reads on a processor.
fn read_on(disk: &Disk, cpu: u32, times: u32) {
    time::run_on(cpu);
    for _ in 0..times {
        disk.read(0, 512).expect("read");
    }
}

#[test]
fn neighbours_share_a_queue_until_it_is_busy() {
    time::set_cpus(CPUS);
    let kernel = Kernel::boot_all();
    let target = Target::new(Style::default(), 1);
    let options = Options {
        queues: QUEUES,
        qsize: 64,
        ..Options::default()
    };
    let dev = system::connect(target.daemon.addr, &options).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");

    assert_eq!(taken(&dev, || read_on(&disk, 0, 3)), [3, 0, 0, 0]);
    assert_eq!(taken(&dev, || read_on(&disk, 1, 3)), [3, 0, 0, 0]);
    assert_eq!(taken(&dev, || read_on(&disk, 2, 3)), [0, 0, 3, 0]);
    assert_eq!(taken(&dev, || read_on(&disk, 3, 3)), [0, 0, 3, 0]);

    // With so many under way the first has enough.
    let lun = &target.luns[0];
    lun.hold(true);
    let wait_held = |count| {
        while lun.held() < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    let busy = taken(&dev, || {
        std::thread::scope(|scope| {
            for _ in 0..ENOUGH {
                scope.spawn(|| read_on(&disk, 0, 1));
            }
            wait_held(ENOUGH as usize);
            scope.spawn(|| read_on(&disk, 1, 1));
            wait_held(ENOUGH as usize + 1);
            lun.hold(false);
        });
    });
    assert_eq!(busy, [ENOUGH.into(), 1, 0, 0]);

    assert_eq!(taken(&dev, || read_on(&disk, 1, 1)), [1, 0, 0, 0]);

    system::disconnect_all().expect("disconnected");
    target.end();
    kernel.shutdown();
}
