// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The console: kept for tests, and shown with HOSTED_VERBOSE set.

use std::ffi::c_char;
use std::sync::{Mutex, PoisonError};

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());
const KEEP: usize = 10_000;

/// # Safety
///
/// `s` has `len` bytes.
unsafe fn text(s: *const c_char, len: usize) -> String {
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(s.cast::<u8>(), len) };
    String::from_utf8_lossy(bytes).into_owned()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_print(s: *const c_char, len: usize) {
    // SAFETY: the caller's promise.
    let line = unsafe { text(s, len) };
    if std::env::var_os("HOSTED_VERBOSE").is_some() {
        eprintln!("[{:12.6}] {line}", crate::time::now_us() as f64 / 1e6);
    }
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.len() < KEEP {
        lines.push(line);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_panic(s: *const c_char, len: usize) -> ! {
    // SAFETY: the caller's promise.
    crate::context::die(&unsafe { text(s, len) })
}

/// What was printed since the last call.
pub fn take() -> Vec<String> {
    std::mem::take(&mut *LINES.lock().unwrap_or_else(PoisonError::into_inner))
}
