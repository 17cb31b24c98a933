// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What carries the bytes of a scripted peer.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// One end of a byte stream.
pub trait Channel: Send {
    /// Reads what is there, waiting for it at most this long.
    fn read_within(&mut self, buf: &mut [u8], time: Duration) -> io::Result<usize>;

    /// Sends all of it.
    fn send_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// FIN.
    fn close_write(&self);

    /// Its end will be a RST.
    fn reset_on_close(&self);

    /// A monotonic clock.
    fn now(&self) -> Duration {
        static START: OnceLock<Instant> = OnceLock::new();
        START.get_or_init(Instant::now).elapsed()
    }

    /// The socket, if it is one of the operating system's.
    fn tcp(&self) -> Option<&TcpStream> {
        None
    }
}

impl Channel for TcpStream {
    fn read_within(&mut self, buf: &mut [u8], time: Duration) -> io::Result<usize> {
        self.set_read_timeout(Some(time))?;
        self.read(buf)
    }

    fn send_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn close_write(&self) {
        let _ = self.shutdown(Shutdown::Write);
    }

    fn reset_on_close(&self) {
        let l = libc::linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // SAFETY: a live socket and valid storage.
        unsafe {
            libc::setsockopt(
                self.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const l).cast(),
                size_of::<libc::linger>() as libc::socklen_t,
            );
        }
    }

    fn tcp(&self) -> Option<&TcpStream> {
        Some(self)
    }
}
