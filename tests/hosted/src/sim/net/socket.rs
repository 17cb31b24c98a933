// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The ends of connections as the hosted kernel has them.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::wire::{End, Id, net, random};
use crate::mbuf::Piece;
use crate::os::{self, Condvar, Instant, Mutex};

/// One end of a connection; dropping it closes it.
pub struct Socket(Id);

/// Descriptors of the simulator's begin here.
const FD_BASE: i32 = 0x4000_0000;

impl Socket {
    /// Connects to a listener.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        os::sleep(Duration::from_micros(random(200)));
        let mut n = net();
        let Some(backlog) = n.listeners.get(&to.port()).cloned() else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (a, b) = (n.next, n.next + 1);
        n.next += 2;
        let link = n.links;
        n.links += 1;
        let from = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 40_000 + (link % 20_000) as u16));
        for (id, peer, down, local, remote) in [(a, b, true, from, to), (b, a, false, to, from)] {
            let e = End {
                peer,
                link,
                down,
                local,
                remote,
                received: VecDeque::new(),
                len: 0,
                eof: false,
                error: None,
                in_flight: 0,
                unacked: 0,
                sent: 0,
                last: 0,
                harm: None,
                cut: false,
                fin_sent: false,
                wants_space: false,
                woken: false,
                closed: false,
                stolen: false,
                changed: Arc::default(),
            };
            n.ends.insert(id, e);
        }
        drop(n);
        let mut q = backlog
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        q.push_back(Socket(b));
        backlog.changed.notify_all();
        Ok(Socket(a))
    }

    /// Takes the connection behind a descriptor away from its streams.
    pub fn steal(fd: i32) -> Option<Self> {
        let id = usize::try_from(fd.checked_sub(FD_BASE)?).ok()?;
        let mut n = net();
        let e = n.ends.get_mut(&id)?;
        if e.stolen || e.closed {
            return None;
        }
        e.stolen = true;
        Some(Socket(id))
    }

    /// A descriptor for [`Socket::steal`].
    pub fn fd(&self) -> i32 {
        FD_BASE + self.0 as i32
    }

    /// Whether the kernel took it.
    pub fn is_stolen(&self) -> bool {
        net().end(self.0).stolen
    }

    /// The address of the other end.
    pub fn peer(&self) -> SocketAddr {
        net().end(self.0).remote
    }

    /// The address of this end.
    pub fn local(&self) -> SocketAddr {
        net().end(self.0).local
    }

    /// Receives without waiting; no bytes at the end.
    pub fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut n = 0;
        for piece in self.receive_pieces(buf.len())? {
            buf[n..n + piece.len()].copy_from_slice(piece.bytes());
            n += piece.len();
        }
        Ok(n)
    }

    /// The same, as it came.
    pub fn receive_pieces(&self, want: usize) -> io::Result<Vec<Piece>> {
        net().receive(self.0, want)
    }

    /// Sends what there is room for, without waiting.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_pieces(vec![Piece::own(bytes.to_vec())])
    }

    /// The same, without a copy where the network has none.
    pub fn send_pieces(&self, pieces: Vec<Piece>) -> io::Result<usize> {
        net().send(self.0, pieces)
    }

    /// Bytes that the peer has not acknowledged.
    pub fn unacked(&self) -> u32 {
        net().end(self.0).unacked
    }

    /// Ends a wait.
    pub fn wake(&self) {
        let mut n = net();
        let e = n.end(self.0);
        e.woken = true;
        e.changed.notify_all();
    }

    fn wait_until(&self, time: Option<Duration>, ready: impl Fn(&mut End) -> bool) -> bool {
        let end = time.map(|t| Instant::now() + t);
        let mut n = net();
        loop {
            let e = n.end(self.0);
            if ready(e) {
                return true;
            }
            let changed = e.changed.clone();
            n = match end.map(|e| e.saturating_duration_since(Instant::now())) {
                None => changed.wait(n).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let r = changed.wait_timeout(n, left);
                    r.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits for input, an end or [`Socket::wake`]; false when time ran out.
    pub fn wait_input(&self, time: Option<Duration>) -> bool {
        self.wait_until(time, |e| {
            let woken = std::mem::take(&mut e.woken);
            woken || e.len != 0 || e.eof || e.error.is_some()
        })
    }

    /// Sends all of it, unless the connection ends.
    pub fn send_all(&self, mut bytes: &[u8], time: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.send(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let wanted = |e: &mut End| !e.wants_space || e.error.is_some();
                    if !self.wait_until(Some(time), wanted) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// No more is sent.
    pub fn close_write(&self) {
        net().fin(self.0);
    }

    /// No more is sent or received.
    pub fn shut_down(&self) {
        let mut n = net();
        n.fin(self.0);
        let e = n.end(self.0);
        e.eof = true;
        e.changed.notify_all();
    }

    /// Ends the connection with a reset.
    pub fn abort(&self) {
        net().close(self.0, true);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        net().close(self.0, false);
    }
}

#[derive(Default)]
pub(super) struct Backlog {
    waiting: Mutex<VecDeque<Socket>>,
    changed: Condvar,
}

/// A listening socket; dropping it refuses who waits.
pub struct Listener {
    addr: SocketAddr,
    backlog: Arc<Backlog>,
}

impl Listener {
    /// Listens on the port of an address, or on any.
    pub fn bind(addr: SocketAddr) -> Self {
        let mut n = net();
        let taken = |p: &u16| n.listeners.contains_key(p);
        let port = match addr.port() {
            0 => (4420..).find(|p| !taken(p)).unwrap_or(0),
            p => p,
        };
        let backlog = Arc::<Backlog>::default();
        n.listeners.insert(port, backlog.clone());
        let addr = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port));
        Listener { addr, backlog }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection, if one comes in time.
    pub fn accept(&self, time: Duration) -> Option<Socket> {
        let b = &self.backlog;
        let mut q = b.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if q.is_empty() {
            let r = b.changed.wait_timeout(q, time);
            q = r.unwrap_or_else(PoisonError::into_inner).0;
        }
        q.pop_front()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        net().listeners.remove(&self.addr.port());
        let mut q = self
            .backlog
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for s in std::mem::take(&mut *q) {
            s.abort();
        }
    }
}
