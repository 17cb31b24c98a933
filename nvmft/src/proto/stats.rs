// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Counters of the SMART / Health Information log page.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Opcodes that are counted.
mod opcode {
    pub const WRITE: u8 = 0x01;
    pub const READ: u8 = 0x02;
    pub const COMPARE: u8 = 0x05;
    pub const VERIFY: u8 = 0x0c;
}

/// What one queue has done.
#[derive(Default)]
pub struct QueueCounters {
    read_sectors: AtomicU64,
    written_sectors: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
}

impl QueueCounters {
    /// Counts a successful command that moved `len` bytes.
    pub fn count(&self, opcode: u8, len: u64) {
        let add = |counter: &AtomicU64, n: u64| {
            counter.fetch_add(n, Ordering::Relaxed);
        };
        let sectors = len / 512;
        match opcode {
            opcode::WRITE => {
                add(&self.written_sectors, sectors);
                add(&self.writes, 1);
            }
            opcode::READ | opcode::COMPARE => {
                add(&self.read_sectors, sectors);
                add(&self.reads, 1);
            }
            opcode::VERIFY => add(&self.read_sectors, sectors),
            _ => {}
        }
    }
}

/// How long commands were outstanding, and how many are.
#[derive(Default)]
pub struct Busy {
    pending: AtomicU32,
    since_ms: AtomicU64,
    total_ms: AtomicU64,
}

impl Busy {
    /// A command starts.
    pub fn begin(&self, now_ms: impl FnOnce() -> u64) {
        if self.pending.fetch_add(1, Ordering::AcqRel) == 0 {
            self.since_ms.store(now_ms(), Ordering::Relaxed);
        }
    }

    /// A command ends: true when it was the last.
    pub fn end(&self, now_ms: impl FnOnce() -> u64) -> bool {
        let since = self.since_ms.load(Ordering::Relaxed);
        if self.pending.fetch_sub(1, Ordering::AcqRel) != 1 {
            return false;
        }
        self.total_ms
            .fetch_add(now_ms().saturating_sub(since), Ordering::Relaxed);
        true
    }

    /// Commands that are outstanding.
    pub fn pending(&self) -> u32 {
        self.pending.load(Ordering::Acquire)
    }

    /// Milliseconds during which there was one.
    pub fn total_ms(&self) -> u64 {
        self.total_ms.load(Ordering::Relaxed)
    }
}

/// The sum over a controller's queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// 512-byte units read.
    pub read_sectors: u64,
    /// 512-byte units written.
    pub written_sectors: u64,
    /// Read and Compare commands.
    pub reads: u64,
    /// Write commands.
    pub writes: u64,
}

impl Totals {
    /// Adds what a queue did.
    pub fn add(&mut self, q: &QueueCounters) {
        let sum = |total: &mut u64, counter: &AtomicU64| {
            *total = total.wrapping_add(counter.load(Ordering::Relaxed));
        };
        sum(&mut self.read_sectors, &q.read_sectors);
        sum(&mut self.written_sectors, &q.written_sectors);
        sum(&mut self.reads, &q.reads);
        sum(&mut self.writes, &q.writes);
    }

    /// Fills the SMART / Health Information log page.
    pub fn fill_health(&self, busy_ms: u64, uptime_ms: u64, page: &mut [u8; 512]) {
        page.fill(0);
        put128(page, 32, self.read_sectors.div_ceil(1000));
        put128(page, 48, self.written_sectors.div_ceil(1000));
        put128(page, 64, self.reads);
        put128(page, 80, self.writes);
        put128(page, 96, busy_ms / 60_000);
        put128(page, 112, 1);
        put128(page, 128, uptime_ms / 3_600_000);
    }
}

/// The low half of a 128-bit field; the other half is zero.
fn put128(page: &mut [u8; 512], at: usize, value: u64) {
    if let Some(to) = page.get_mut(at..).and_then(|p| p.first_chunk_mut::<8>()) {
        *to = value.to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counting() {
        let (a, b) = (QueueCounters::default(), QueueCounters::default());
        a.count(opcode::READ, 512 * 1000);
        b.count(opcode::READ, 512);
        b.count(opcode::COMPARE, 512);
        b.count(opcode::VERIFY, 0);
        a.count(opcode::WRITE, 4096);
        a.count(0x00, 4096);
        let mut t = Totals::default();
        t.add(&a);
        t.add(&b);
        assert_eq!(
            t,
            Totals {
                read_sectors: 1002,
                written_sectors: 8,
                reads: 3,
                writes: 1
            }
        );
        let mut page = [0xff; 512];
        t.fill_health(120_000, 7_200_000, &mut page);
        assert_eq!((page[32], page[48], page[64], page[80]), (2, 1, 3, 1));
        assert_eq!(
            (page[96], page[112], page[128], page[0], page[160]),
            (2, 1, 2, 0, 0)
        );
    }

    #[test]
    fn busy_time() {
        let b = Busy::default();
        b.begin(|| 10);
        b.begin(|| 20);
        assert_eq!(b.pending(), 2);
        assert!(!b.end(|| 30));
        assert!(b.end(|| 45));
        assert_eq!((b.total_ms(), b.pending()), (35, 0));
    }
}
