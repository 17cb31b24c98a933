// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What blocks of a LUN may contain: versions that were written, of which one
//! is there. A write that failed may have happened, in parts, or not.

use std::collections::BTreeSet;

use crate::ctl::BLOCK;

/// The blocks of one writer.
pub struct Model {
    first: u64,
    blocks: Vec<BTreeSet<u32>>,
}

/// The bytes of a version of a block; version zero is what nobody wrote.
pub fn bytes(block: u64, version: u32) -> [u8; BLOCK] {
    let mut b = [0; BLOCK];
    if version != 0 {
        let mut x = (block << 32 | u64::from(version)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        for word in b.chunks_exact_mut(8) {
            x ^= x >> 12;
            x ^= x << 25;
            x ^= x >> 27;
            word.copy_from_slice(&x.to_le_bytes());
        }
    }
    b
}

impl Model {
    /// `count` blocks that nobody wrote.
    pub fn new(first: u64, count: u64) -> Self {
        Model {
            first,
            blocks: (0..count).map(|_| BTreeSet::from([0])).collect(),
        }
    }

    fn range(&mut self, at: u64, blocks: usize) -> &mut [BTreeSet<u32>] {
        let from = (at - self.first) as usize;
        &mut self.blocks[from..from + blocks]
    }

    /// What a write of a version sends.
    pub fn data(at: u64, blocks: usize, version: u32) -> Vec<u8> {
        let all = (0..blocks as u64).flat_map(|i| bytes(at + i, version));
        all.collect()
    }

    /// A write is about to start.
    pub fn begin(&mut self, at: u64, blocks: usize, version: u32) {
        for b in self.range(at, blocks) {
            b.insert(version);
        }
    }

    /// It succeeded.
    pub fn succeeded(&mut self, at: u64, blocks: usize, version: u32) {
        for b in self.range(at, blocks) {
            *b = BTreeSet::from([version]);
        }
    }

    /// What was read is one of the possible versions of each block.
    pub fn check(&mut self, at: u64, data: &[u8]) -> Result<(), String> {
        for (i, got) in data.chunks(BLOCK).enumerate() {
            let block = at + i as u64;
            let known = &self.range(block, 1)[0];
            if !known.iter().any(|v| bytes(block, *v)[..] == *got) {
                let old = (0..10_000).find(|v| bytes(block, *v)[..] == *got);
                return Err(format!(
                    "block {block}: none of the versions {known:?} but {old:?}: {:02x?}",
                    &got[..16]
                ));
            }
        }
        Ok(())
    }
}
