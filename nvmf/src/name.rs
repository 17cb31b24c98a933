// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Device names, and numbers as messages show them.
#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::fmt::{self, Write};

const LEN: usize = 32;

/// A short name that is at hand both as text and as a C string.
#[derive(Clone, Copy)]
pub struct Name {
    /// Always ends with a NUL.
    buf: [u8; LEN],
    len: usize,
}

impl Name {
    /// Formats a name; what is beyond 31 bytes is cut.
    pub fn new(args: fmt::Arguments<'_>) -> Self {
        let mut name = Self {
            buf: [0; LEN],
            len: 0,
        };
        let _ = name.write_fmt(args);
        name
    }

    /// The name's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }

    /// The name for C.
    pub fn as_cstr(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.buf).unwrap_or(c"")
    }
}

impl Write for Name {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for &b in s.as_bytes() {
            if self.len + 1 < LEN
                && let Some(slot) = self.buf.get_mut(self.len)
            {
                *slot = b;
                self.len += 1;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(self.as_bytes()).unwrap_or("?"))
    }
}

/// A number as C's `%#x` shows it: without the prefix if it is zero.
#[derive(Clone, Copy)]
pub struct Hex(pub u32);

impl fmt::Display for Hex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            f.write_str("0")
        } else {
            write!(f, "{:#x}", self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::format;

    #[test]
    fn hex_numbers() {
        assert_eq!(
            format!("{} {} {}", Hex(0), Hex(4), Hex(0x1ff)),
            "0 0x4 0x1ff"
        );
    }

    #[test]
    fn names() {
        let n = Name::new(format_args!("nvme{}ns{}", 3, u32::MAX));
        assert_eq!(n.as_cstr(), c"nvme3ns4294967295");
        assert_eq!(n.as_bytes(), b"nvme3ns4294967295");
        let n = Name::new(format_args!("{:040}", 1));
        assert_eq!(n.as_cstr().to_bytes().len(), LEN - 1);
    }
}
