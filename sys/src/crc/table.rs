// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CRC32C by tables, eight bytes at a time: for each of them a table tells what it contributes once the bytes behind it
//! went through the register as well ("slicing by 8").
#![forbid(unsafe_code)]

/// The polynomial of RFC 3720 section 12.1, least significant bit first.
const POLYNOMIAL: u32 = 0x82f6_3b78;

type Table = [u32; 256];

/// `TABLES[n][b]`: byte `b` with `n` bytes behind it.
static TABLES: [Table; 8] = tables();

#[allow(clippy::indexing_slicing)] // Evaluated by the compiler.
const fn tables() -> [Table; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            let carry = if crc & 1 == 0 { 0 } else { POLYNOMIAL };
            crc = (crc >> 1) ^ carry;
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut behind = 1;
    while behind < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc: u32 = tables[behind - 1][byte];
            tables[behind][byte] = (crc >> 8) ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
}

/// Continues a raw CRC32C.
pub fn update(crc: u32, bytes: &[u8]) -> u32 {
    let [t0, t1, t2, t3, t4, t5, t6, t7] = &TABLES;
    let (words, rest) = bytes.as_chunks::<8>();
    let crc = words.iter().fold(crc, |crc, word| {
        let [a, b, c, d, e, f, g, h] = (u64::from_le_bytes(*word) ^ u64::from(crc)).to_le_bytes();
        of(t7, a)
            ^ of(t6, b)
            ^ of(t5, c)
            ^ of(t4, d)
            ^ of(t3, e)
            ^ of(t2, f)
            ^ of(t1, g)
            ^ of(t0, h)
    });
    rest.iter()
        .fold(crc, |crc, byte| (crc >> 8) ^ of(t0, crc as u8 ^ byte))
}

#[inline(always)]
#[allow(clippy::indexing_slicing)] // A byte is always within.
fn of(table: &Table, byte: u8) -> u32 {
    table[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720 section 12.1, bit by bit.
    fn reference(crc: u32, bytes: &[u8]) -> u32 {
        bytes.iter().fold(crc, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ if crc & 1 == 0 { 0 } else { POLYNOMIAL }
            })
        })
    }

    /// RFC 3720 appendix B.4.
    #[test]
    fn vectors_of_the_rfc() {
        let ascending: [u8; 32] = core::array::from_fn(|i| i as u8);
        let descending: [u8; 32] = core::array::from_fn(|i| 31 - i as u8);
        for (bytes, crc) in [
            ([0; 32], 0x8a91_36aa),
            ([0xff; 32], 0x62a8_ab43),
            (ascending, 0x46dd_794e),
            (descending, 0x113f_db5c),
        ] {
            assert_eq!(!update(!0, &bytes), crc);
        }
        assert_eq!(!update(!0, b"123456789"), 0xe306_9283);
    }

    #[test]
    fn every_length_and_start_is_as_bit_by_bit() {
        let bytes: [u8; 80] = core::array::from_fn(|i| (i * i * 7 + 3) as u8);
        for from in 0..16 {
            for to in from..bytes.len() {
                let part = &bytes[from..to];
                assert_eq!(
                    update(0x1234_5678, part),
                    reference(0x1234_5678, part),
                    "{from}..{to}"
                );
            }
        }
    }

    #[test]
    fn pieces_are_as_one() {
        let bytes: [u8; 64] = core::array::from_fn(|i| (i * 37) as u8);
        for at in 0..=bytes.len() {
            let (front, back) = bytes.split_at(at);
            assert_eq!(update(update(!0, front), back), update(!0, &bytes));
        }
    }
}
