// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! How much memory a queue pair takes, at rest and after much use.

use hosted::ctl::Style;
use hosted::userland::Options;
use hosted::{Kernel, mem, system};
use std::collections::BTreeMap;

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
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let mut found = BTreeMap::new();
    for size in mem::sizes() {
        *found.entry(size).or_default() += 1;
    }
    drop(dev);
    system::disconnect_all().expect("disconnected");
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
