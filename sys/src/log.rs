// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The console: [`kprint!`](crate::kprint) and [`RateLimit`].

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::ffi;

/// The longest line; what is beyond is cut.
const LINE: usize = 256;

/// A line under construction.
struct Line {
    buf: [u8; LINE],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let room = LINE - self.len;
        let n = s.len().min(room);
        if let (Some(dst), Some(src)) = (
            self.buf.get_mut(self.len..self.len + n),
            s.as_bytes().get(..n),
        ) {
            // Peers choose some of what is printed: keep terminals safe.
            for (d, s) in dst.iter_mut().zip(src) {
                *d = if s.is_ascii_control() { b'?' } else { *s };
            }
        }
        self.len += n;
        Ok(())
    }
}

/// Prints one line; use [`kprint!`](crate::kprint). Any context without spin locks.
pub fn print(args: fmt::Arguments<'_>) {
    let mut line = Line {
        buf: [0; LINE],
        len: 0,
    };
    let _ = line.write_fmt(args);
    // SAFETY: the buffer holds len bytes.
    unsafe { ffi::nvrs_print(line.buf.as_ptr().cast(), line.len) }
}

/// Prints one line (without a newline at its end) to the console.
#[macro_export]
macro_rules! kprint {
    ($($arg:tt)*) => {
        $crate::log::print(core::format_args!($($arg)*))
    };
}

/// Bytes from a peer as text: shown up to the first NUL, bad UTF-8 as `?`.
pub struct Text<'a>(pub &'a [u8]);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        for &b in self.0.iter().take(end) {
            let c = if b.is_ascii() { b as char } else { '?' };
            f.write_char(c)?;
        }
        Ok(())
    }
}

/// Lets through at most `burst` events a second, and counts the rest.
pub struct RateLimit {
    burst: u32,
    second: AtomicU64,
    seen: AtomicU32,
}

impl RateLimit {
    /// A limiter for peer-triggered messages.
    pub const fn new(burst: u32) -> Self {
        RateLimit {
            burst,
            second: AtomicU64::new(0),
            seen: AtomicU32::new(0),
        }
    }

    /// Whether this event may be printed.
    pub fn allow(&self) -> bool {
        let now = crate::time::uptime_us() / 1_000_000;
        if self.second.swap(now, Ordering::Relaxed) != now {
            self.seen.store(0, Ordering::Relaxed);
        }
        self.seen.fetch_add(1, Ordering::Relaxed) < self.burst
    }
}

/// Ends in panic(9): the panic handler of a module.
#[cfg(target_os = "none")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let mut line = Line {
        buf: [0; LINE],
        len: 0,
    };
    let _ = write!(line, "{info}");
    // SAFETY: the buffer holds len bytes.
    unsafe { ffi::nvrs_panic(line.buf.as_ptr().cast(), line.len) }
}
