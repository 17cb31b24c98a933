// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A TCP connection taken over from userland: [`Conn`].

use core::ptr::{self, NonNull};

use crate::context::CanSleep;
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mbuf::Mbuf;

/// What [`Conn::wait_receive`] found.
pub type RxState = ffi::nvrs_rxstate;

/// A connected TCP socket that belongs to the kernel.
pub struct Conn(NonNull<ffi::nvrs_conn>);

// SAFETY: the shim serialises with the socket buffer locks.
unsafe impl Sync for Conn {}
// SAFETY: as above.
unsafe impl Send for Conn {}

impl Conn {
    /// Takes the socket behind a descriptor of the calling thread. On failure
    /// the descriptor is as it was; see `nvrs_conn_steal` for the errors.
    pub fn steal(fd: i32, _sleep: CanSleep<'_>) -> Result<Conn> {
        let mut raw = ptr::null_mut();
        // SAFETY: the context may sleep; valid storage.
        Errno::check(unsafe { ffi::nvrs_conn_steal(fd, &mut raw) })?;
        NonNull::new(raw).map(Conn).ok_or(Errno::ENOMEM)
    }

    /// TCP_NODELAY, probes of a silent peer, and buffer sizes in bytes.
    pub fn tune(&self, sndbuf: u32, rcvbuf: u32, _sleep: CanSleep<'_>) {
        // SAFETY: live connection; may sleep.
        unsafe { ffi::nvrs_conn_tune(self.0.as_ptr(), sndbuf, rcvbuf) }
    }

    /// Closes; with `abort` the peer gets a reset and unsent data is dropped.
    /// A connection that is dropped without this is aborted by nobody: it leaks.
    pub fn close(self, abort: bool, _sleep: CanSleep<'_>) {
        // SAFETY: owned, so no thread is in a call on it; may sleep.
        unsafe { ffi::nvrs_conn_close(self.0.as_ptr(), abort) }
    }

    /// Waits until `lowat` bytes can be received, or for the other reasons of
    /// `nvrs_conn_rx_wait`; `ms` zero waits without limit. One thread at a time.
    pub fn wait_receive(&self, lowat: u32, ms: u32, _sleep: CanSleep<'_>) -> RxState {
        let mut st = RxState {
            avail: 0,
            error: 0,
            eof: false,
            kicked: false,
            timedout: false,
        };
        // SAFETY: live connection; valid storage; may sleep.
        unsafe { ffi::nvrs_conn_rx_wait(self.0.as_ptr(), lowat, ms, &mut st) };
        st
    }

    /// Ends the wait to receive, as if its time had passed, `us` microseconds
    /// from now; zero undoes that. Any context without socket locks.
    pub fn set_alarm(&self, us: u32) {
        // SAFETY: live connection.
        unsafe { ffi::nvrs_conn_rx_alarm(self.0.as_ptr(), us) }
    }

    /// Ends a wait to receive. Any context without socket locks.
    pub fn kick_receive(&self) {
        // SAFETY: live connection.
        unsafe { ffi::nvrs_conn_kick_rx(self.0.as_ptr()) }
    }

    /// Takes at most `max` bytes that arrived, without waiting.
    pub fn receive(&self, max: u32, _sleep: CanSleep<'_>) -> Result<Option<Mbuf>> {
        let (mut raw, mut len) = (ptr::null_mut(), 0);
        // SAFETY: live connection; valid storage; may sleep.
        Errno::check(unsafe { ffi::nvrs_conn_receive(self.0.as_ptr(), max, &mut raw, &mut len) })?;
        // SAFETY: a fresh chain or NULL.
        Ok(unsafe { Mbuf::from_raw(raw) })
    }

    /// Bytes that [`Conn::send`] takes now, and whether the buffer is empty.
    pub fn send_space(&self) -> (u32, bool) {
        let mut empty = false;
        // SAFETY: live connection; valid storage.
        let space = unsafe { ffi::nvrs_conn_tx_space(self.0.as_ptr(), &mut empty) };
        (space, empty)
    }

    /// Queues a chain of at most [`Conn::send_space`] bytes without waiting;
    /// the chain is consumed also on failure. One caller at a time.
    pub fn send(&self, m: Mbuf, more: bool) -> Result<()> {
        // SAFETY: live connection; the chain is given away.
        Errno::check(unsafe { ffi::nvrs_conn_send(self.0.as_ptr(), m.into_raw(), more) })
    }

    /// Waits for room; false when `ms` milliseconds passed. One thread at a time.
    pub fn wait_send(&self, space: u32, ms: u32, _sleep: CanSleep<'_>) -> bool {
        // SAFETY: live connection; may sleep.
        unsafe { ffi::nvrs_conn_tx_wait(self.0.as_ptr(), space, ms) }
    }

    /// Waits until the peer acknowledged everything; false when it has not.
    pub fn flush(&self, ms: u32, _sleep: CanSleep<'_>) -> bool {
        // SAFETY: live connection; may sleep.
        unsafe { ffi::nvrs_conn_tx_flush(self.0.as_ptr(), ms) }
    }

    /// Ends a wait for room. Any context without socket locks.
    pub fn kick_send(&self) {
        // SAFETY: live connection.
        unsafe { ffi::nvrs_conn_kick_tx(self.0.as_ptr()) }
    }

    /// Ends both directions; waits end and nothing more is sent.
    pub fn shutdown(&self, _sleep: CanSleep<'_>) {
        // SAFETY: live connection; may sleep.
        unsafe { ffi::nvrs_conn_shutdown(self.0.as_ptr()) }
    }

    /// The peer's address as text in `buf` (NUL-padded); empty if unknown.
    pub fn peer(&self, buf: &mut [u8], _sleep: CanSleep<'_>) {
        // SAFETY: live connection; buf is writable for its length; may sleep.
        unsafe { ffi::nvrs_conn_peer(self.0.as_ptr(), buf.as_mut_ptr().cast(), buf.len()) };
    }
}
