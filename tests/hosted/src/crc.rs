// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CRC32C, as the shim offers it.

use std::ffi::c_void;
use std::sync::OnceLock;

use sys::ffi::nvrs_crc32c_t;

pub use rawpeer::crc::{crc32c, update};

/// What the module found faster.
static OWN: OnceLock<nvrs_crc32c_t> = OnceLock::new();

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_crc32c_use(crc32c: nvrs_crc32c_t) {
    // Every load of the module gives the same one.
    let _ = OWN.set(crc32c);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_crc32c(crc: u32, buf: *const c_void, len: u32) -> u32 {
    if let Some(Some(own)) = OWN.get() {
        // SAFETY: it keeps to the contract of this function.
        return unsafe { own(crc, buf, len) };
    }
    // SAFETY: the caller has len bytes there.
    update(crc, unsafe {
        std::slice::from_raw_parts(buf.cast(), len as usize)
    })
}
