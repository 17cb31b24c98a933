// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! How much memory a queue pair takes, at rest and after much use.

use hosted::ctl::Style;
use hosted::userland::Options;
use hosted::{Kernel, mem, system};
use std::collections::BTreeMap;
use std::time::Duration;

mod common;
use common::Target;

const QSIZE: u16 = 128;
const MANY: u16 = 9;

/// What malloc(9) takes for an allocation.
fn bucket(size: usize) -> usize {
    match size {
        257..=384 => 384,
        0..=65536 => size.next_power_of_two().max(16),
        _ => size.next_multiple_of(4096),
    }
}

/// Allocations by size, of an association with so many I/O queues.
fn allocations(t: &Target, queues: u16) -> BTreeMap<usize, i64> {
    let o = Options {
        queues,
        qsize: QSIZE,
        ..Options::default()
    };
    system::connect(t.daemon.addr, &o).expect("connected");
    let found = by_size();
    system::disconnect_all().expect("disconnected");
    found
}

fn by_size() -> BTreeMap<usize, i64> {
    let mut found = BTreeMap::new();
    for size in mem::sizes() {
        *found.entry(size).or_default() += 1;
    }
    found
}

fn bytes(found: &BTreeMap<usize, i64>) -> i64 {
    found.iter().map(|(&size, n)| bucket(size) as i64 * n).sum()
}

#[test]
fn a_queue_pair_at_rest_takes_little() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let few = allocations(&t, 1);
    let mut many = allocations(&t, MANY);
    let each = (bytes(&many) - bytes(&few)) / i64::from(MANY - 1);
    for (size, n) in few {
        *many.entry(size).or_default() -= n;
    }
    many.retain(|_, n| *n != 0);
    println!("{each} bytes of both ends; allocations: {many:?}");
    t.end();
    k.shutdown();
    assert!(each <= 13 << 10, "{each}");
}

/// What a queue pair needed once it keeps, and needs no more.
#[test]
fn a_queue_pair_grows_with_its_depth_and_then_stays() {
    /// What CAM may have outstanding: three quarters of the entries.
    const DEPTH: usize = QSIZE as usize * 3 / 4;
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        queues: 1,
        qsize: QSIZE,
        ..Options::default()
    };
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    let before = by_size();
    let rest = bytes(&before);
    let mut after = Vec::new();
    for _ in 0..3 {
        t.luns[0].hold(true);
        std::thread::scope(|s| {
            for i in 0..DEPTH {
                let disk = &disk;
                // Too large to go with the command.
                s.spawn(move || disk.write(i as u64 * 32, vec![7; 16 << 10]));
            }
            while t.luns[0].held() < DEPTH {
                std::thread::sleep(Duration::from_millis(1));
            }
            t.luns[0].hold(false);
        });
        after.push(bytes(&by_size()) - rest);
    }
    let mut more = by_size();
    for (size, n) in before {
        *more.entry(size).or_default() -= n;
    }
    more.retain(|_, n| *n != 0);
    println!("{after:?} bytes more than at rest; allocations: {more:?}");
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
    assert!(after[0] <= 96 << 10, "{after:?}");
    // How many capsules there are at once is a matter of a few; what got lost would be as many as commands.
    let most = after[0] + (4 << 10);
    assert!(after[1..].iter().all(|&more| more <= most), "{after:?}");
}
