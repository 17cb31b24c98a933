// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CRC32C without a kernel, and a stand-in that a fuzzer can satisfy.
#![forbid(unsafe_code)]

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// How digests are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Digest {
    /// CRC32C.
    Crc32c,
    /// A number that depends on the length alone, so that a change of the bytes under a digest leaves it valid. The
    /// protocol half is given its digest function and cannot tell.
    Length,
}

impl Digest {
    /// Continues a running digest, which starts with all ones, over `bytes`.
    pub fn update(self, crc: u32, bytes: &[u8]) -> u32 {
        match self {
            Self::Crc32c => bytes
                .iter()
                .fold(crc, |crc, b| TABLE[usize::from(crc as u8 ^ b)] ^ crc >> 8),
            Self::Length => crc.wrapping_sub(bytes.len() as u32),
        }
    }

    /// The digest of `bytes`.
    pub fn of(self, bytes: &[u8]) -> u32 {
        !self.update(!0, bytes)
    }
}

#[test]
fn check_string() {
    assert_eq!(Digest::Crc32c.of(b"123456789"), 0xe306_9283);
    assert_eq!(Digest::Length.of(b"123456789"), 9);
    let d = Digest::Crc32c;
    assert_eq!(!d.update(d.update(!0, b"1234"), b"56789"), 0xe306_9283);
}
