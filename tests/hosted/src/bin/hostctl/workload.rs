// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Writes, reads and compares, with several transfers under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use hosted::cam::Disk;
use hosted::middle::Rng;

/// What to do on a disk.
pub struct Job {
    /// Reads and writes mixed, anywhere; else one block after the other.
    pub random: bool,
    /// Bytes of a transfer.
    pub block: usize,
    /// Transfers under way.
    pub depth: usize,
    /// How much of the disk is used.
    pub bytes: u64,
}

/// What a block holds after it was written so often; zero times: anything.
fn pattern(block: u64, writes: u32, len: usize) -> Vec<u8> {
    let mut rng = Rng::new(block << 32 | u64::from(writes));
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        out.extend(rng.number().to_le_bytes());
    }
    out.truncate(len);
    out
}

/// A thread's share of the blocks: every `step`th, from `first`.
struct Share<'a> {
    job: &'a Job,
    disk: &'a Disk,
    first: u64,
    step: u64,
    /// How often each was written.
    writes: Vec<u32>,
    transfers: &'a AtomicU64,
}

impl Share<'_> {
    fn lba(&self, i: usize) -> (u64, u64) {
        let block = self.first + i as u64 * self.step;
        let lba = block * self.job.block as u64 / u64::from(self.disk.block);
        (block, lba)
    }

    fn write(&mut self, i: usize) -> Result<(), String> {
        let (block, lba) = self.lba(i);
        self.writes[i] += 1;
        let data = pattern(block, self.writes[i], self.job.block);
        self.transfers.fetch_add(1, Ordering::Relaxed);
        let r = self.disk.write(lba, data);
        r.map_err(|e| format!("write at LBA {lba}: {e:?}"))
    }

    fn verify(&self, i: usize) -> Result<(), String> {
        let (block, lba) = self.lba(i);
        self.transfers.fetch_add(1, Ordering::Relaxed);
        let r = self.disk.read(lba, self.job.block);
        let data = r.map_err(|e| format!("read at LBA {lba}: {e:?}"))?;
        let writes = self.writes[i];
        if writes != 0 && data != pattern(block, writes, self.job.block) {
            return Err(format!("LBA {lba} is not what was written"));
        }
        Ok(())
    }

    fn run(mut self) -> Result<(), String> {
        let n = self.writes.len();
        let mut rng = Rng::new(self.first + 1);
        for i in 0..n {
            if !self.job.random {
                self.write(i)?;
                continue;
            }
            // As many transfers as blocks, half of them writes.
            let i = rng.below(n as u64) as usize;
            if rng.below(2) == 0 {
                self.write(i)?;
            } else {
                self.verify(i)?;
            }
        }
        (0..n).try_for_each(|i| self.verify(i))
    }
}

impl Job {
    /// Does it; the result says how fast that was.
    pub fn run(&self, disk: &Disk) -> Result<String, String> {
        let capacity = disk.blocks * u64::from(disk.block);
        if self.block == 0 || !self.block.is_multiple_of(disk.block as usize) || self.depth == 0 {
            return Err("blocks do not fit the disk's".into());
        }
        if self.block > disk.max_io() {
            return Err(format!("transfers are at most {} bytes", disk.max_io()));
        }
        let blocks = self.bytes.min(capacity) / self.block as u64;
        let step = (self.depth as u64).min(blocks);
        let transfers = AtomicU64::new(0);
        let start = Instant::now();
        std::thread::scope(|s| {
            let shares = (0..step).map(|first| Share {
                job: self,
                disk,
                first,
                step,
                writes: vec![0; (blocks - first).div_ceil(step) as usize],
                transfers: &transfers,
            });
            let threads: Vec<_> = shares.map(|share| s.spawn(|| share.run())).collect();
            threads.into_iter().try_for_each(|t| {
                let crashed = |_| Err("a thread ended".into());
                t.join().unwrap_or_else(crashed)
            })
        })?;
        disk.flush().map_err(|e| format!("flush: {e:?}"))?;
        let seconds = start.elapsed().as_secs_f64();
        let n = transfers.into_inner() as f64;
        let rate = n * self.block as f64 / seconds / 1_048_576.0;
        Ok(format!("{:.0} IOPS {rate:.1} MiB/s", n / seconds))
    }
}
