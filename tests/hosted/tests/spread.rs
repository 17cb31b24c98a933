// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Which I/O queue takes the commands of a processor.

mod common;

use common::Target;
use hosted::cam::Disk;
use hosted::ctl::Style;
use hosted::os::wait_for;
use hosted::userland::Options;
use hosted::{Kernel, newbus, system, time};
use nvmf::proto::spread::ENOUGH;

const CPUS: u32 = 4;
/// A queue for each processor.
const QUEUES: u16 = 4;

struct Setup {
    kernel: Kernel,
    target: Target,
    dev: String,
    disk: Disk,
}

impl Setup {
    fn new(qsize: u16) -> Self {
        time::set_cpus(CPUS);
        let kernel = Kernel::boot_all();
        let target = Target::new(Style::default(), 1);
        let options = Options {
            queues: QUEUES,
            qsize,
            ..Options::default()
        };
        let dev = system::connect(target.daemon.addr, &options).expect("connected");
        let disk = system::disk(&dev, 1).expect("a disk");
        Self {
            kernel,
            target,
            dev,
            disk,
        }
    }

    /// Commands that each queue takes meanwhile.
    fn taken(&self, io: impl FnOnce()) -> Vec<u64> {
        let count = || {
            let queues = 0..QUEUES.into();
            queues.map(|q| newbus::queue_commands(&self.dev, q).expect("a queue"))
        };
        let before: Vec<_> = count().collect();
        io();
        count().zip(before).map(|(now, then)| now - then).collect()
    }

    /// Reads on a processor.
    fn read_on(&self, cpu: u32, times: u32) {
        time::run_on(cpu);
        for _ in 0..times {
            self.disk.read(0, 512).expect("read");
        }
    }

    /// So many reads of the first processor are under way when the second has one.
    fn read_beside(&self, busy: u32) -> Vec<u64> {
        let lun = &self.target.luns[0];
        lun.hold(true);
        let reach = |count| wait_for("reads", || lun.held() == count as usize);
        self.taken(|| {
            std::thread::scope(|scope| {
                for _ in 0..busy {
                    scope.spawn(|| self.read_on(0, 1));
                }
                reach(busy);
                scope.spawn(|| self.read_on(1, 1));
                reach(busy + 1);
                lun.hold(false);
            });
        })
    }

    fn end(self) {
        system::disconnect_all().expect("disconnected");
        self.target.end();
        self.kernel.shutdown();
    }
}

#[test]
fn neighbours_share_a_queue_until_it_is_busy() {
    let s = Setup::new(128);
    for (cpu, queues) in [[3, 0, 0, 0], [3, 0, 0, 0], [0, 0, 3, 0], [0, 0, 3, 0]]
        .into_iter()
        .enumerate()
    {
        assert_eq!(s.taken(|| s.read_on(cpu as u32, 3)), queues, "{cpu}");
    }
    assert_eq!(s.read_beside(ENOUGH - 1), [ENOUGH.into(), 0, 0, 0]);
    assert_eq!(s.read_beside(ENOUGH), [ENOUGH.into(), 1, 0, 0]);
    assert_eq!(s.taken(|| s.read_on(1, 1)), [1, 0, 0, 0]);
    s.end();
}

/// The second processor need not wait for a place in the first's queue.
#[test]
fn a_small_queue_is_not_filled_by_a_neighbour() {
    let s = Setup::new(8);
    assert_eq!(s.read_beside(3), [4, 0, 0, 0]);
    assert_eq!(s.read_beside(7), [7, 1, 0, 0]);
    s.end();
}
