// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CRC32C with the CPU's instruction where it has one.

use crate::ffi;

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
