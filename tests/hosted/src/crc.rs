// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CRC32C, as the shim offers it.

use std::ffi::c_void;

pub use rawpeer::crc::{crc32c, update};

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_crc32c(crc: u32, buf: *const c_void, len: u32) -> u32 {
    // SAFETY: the caller has len bytes there.
    update(crc, unsafe {
        std::slice::from_raw_parts(buf.cast(), len as usize)
    })
}
