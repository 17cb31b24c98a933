// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the unit tests share: a plain CRC32C, a small deterministic generator, PDUs to start from, and how much of
//! an exhaustive test Miri is to do.
#![forbid(unsafe_code)]

extern crate std;

use std::vec::Vec;

use super::params::{Params, RawParams, Role};

/// The CRC of each byte, bit by bit.
static CRC: [u32; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < table.len() {
        let mut crc = b as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ ((crc & 1) * 0x82f6_3b78);
            bit += 1;
        }
        table[b] = crc;
        b += 1;
    }
    table
};

/// A running CRC32C; start with all ones.
pub fn crc32c_update(crc: u32, bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(crc, |crc, &b| crc >> 8 ^ CRC[usize::from(crc as u8 ^ b)])
}

/// The CRC32C of a byte string.
pub fn crc32c(bytes: &[u8]) -> u32 {
    !crc32c_update(!0, bytes)
}

/// Repetitions of a test that draws at random: under Miri, which judges each access and not only the results, few.
pub const fn rounds(full: usize) -> usize {
    if cfg!(miri) { full.div_ceil(100) } else { full }
}

/// All of the values, or one in so many of them under Miri, the first among them.
pub fn one_in<T>(n: usize, all: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
    all.step_by(if cfg!(miri) { n } else { 1 })
}

/// A deterministic generator (xorshift64*).
pub struct Rng(u64);

impl Rng {
    pub fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 16) % n
    }

    pub fn chance(&mut self, one_in: u64) -> bool {
        self.below(one_in) == 0
    }

    pub fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

pub fn raw_params() -> RawParams {
    RawParams {
        admin: false,
        sq_flow_control: false,
        qsize: 128,
        rxpda: 4,
        txpda: 4,
        header_digests: false,
        data_digests: false,
        maxr2t: 0,
        maxh2cdata: 65536,
        max_icd: 8192,
        max_transmit_data: 0,
    }
}

pub fn params(role: Role, hdgst: bool, ddgst: bool) -> Params {
    let raw = RawParams {
        header_digests: hdgst,
        data_digests: ddgst,
        ..raw_params()
    };
    Params::parse(role, &raw).unwrap()
}

/// Every combination of role and digests.
pub fn all_params() -> impl Iterator<Item = Params> {
    (0..8u8).map(|n| {
        let role = if n & 4 == 0 {
            Role::Host
        } else {
            Role::Controller
        };
        params(role, n & 1 != 0, n & 2 != 0)
    })
}

#[test]
fn crc_of_the_check_string() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa, "RFC 3720 B.4");
    assert_eq!(
        !crc32c_update(crc32c_update(!0, b"1234"), b"56789"),
        0xe306_9283
    );
}
