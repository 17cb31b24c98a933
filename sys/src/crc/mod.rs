// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CRC32C: the kernel's, which uses the CPU's instruction where there is one, or by [`table`] where that is faster.

use core::ffi::c_void;

use crate::ffi;
use crate::time::uptime_exact_us;

pub mod table;

/// Bytes of one measurement.
const SAMPLE: usize = 4096;
/// Measurements of each; the best counts.
const ROUNDS: u32 = 8;

/// Continues a raw CRC32C: start with all ones, complement at the end (RFC 3720).
#[inline]
pub fn crc32c(crc: u32, bytes: &[u8]) -> u32 {
    // SAFETY: the slice is valid for its length, which headers keep small.
    unsafe { ffi::nvrs_crc32c(crc, bytes.as_ptr().cast(), bytes.len() as u32) }
}

/// The digest of bytes, as a PDU carries it.
#[inline]
pub fn digest(bytes: &[u8]) -> u32 {
    !crc32c(!0, bytes)
}

/// From now on [`crc32c`] takes the faster way. To be called once, before it is used; where the clock does not run
/// yet, the kernel's way stays.
#[cold]
pub fn choose() {
    static ZEROES: [u8; SAMPLE] = [0; SAMPLE];
    let best = |crc: fn(u32, &[u8]) -> u32| {
        (0..ROUNDS).fold(u64::MAX, |best, _| {
            let start = uptime_exact_us();
            (0..ROUNDS).fold(!0, |c, _| core::hint::black_box(crc(c, &ZEROES)));
            best.min(uptime_exact_us().saturating_sub(start))
        })
    };
    if prefers_table(best(crc32c), best(table::update)) {
        // SAFETY: the function keeps to the contract of nvrs_crc32c(), and nobody calls that meanwhile.
        unsafe { ffi::nvrs_crc32c_use(Some(by_table)) }
    }
}

/// Whether tables are clearly faster; times of a microsecond or two tell nothing.
fn prefers_table(kernel_us: u64, table_us: u64) -> bool {
    kernel_us > 4 && table_us.saturating_mul(3) < kernel_us.saturating_mul(2)
}

/// # Safety
///
/// `len` bytes are at `buf`.
unsafe extern "C" fn by_table(crc: u32, buf: *const c_void, len: u32) -> u32 {
    // SAFETY: the caller's promise.
    table::update(crc, unsafe {
        core::slice::from_raw_parts(buf.cast(), len as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::prefers_table;

    #[test]
    fn tables_must_be_clearly_faster() {
        assert!(prefers_table(200, 50));
        assert!(!prefers_table(200, 150));
        assert!(!prefers_table(13, 50));
        assert!(!prefers_table(2, 0), "no clock");
        assert!(!prefers_table(0, 0));
    }
}
