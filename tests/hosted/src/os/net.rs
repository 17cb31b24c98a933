// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! TCP connections of userland.

use std::io;
use std::mem::ManuallyDrop;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rawpeer::channel::Channel;

use super::clock::now_us;
use crate::sim::{net, sched};

/// How long a write waits for a peer that does not read.
const WRITE_PATIENCE: Duration = Duration::from_secs(10);

enum Kind {
    Tcp(TcpStream),
    Simulated(Arc<Handle>),
}

/// The last of its streams closes a connection, unless the kernel took it.
struct Handle(ManuallyDrop<net::Socket>);

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.0.is_stolen() {
            // SAFETY: dropped once.
            unsafe { ManuallyDrop::drop(&mut self.0) };
        }
    }
}

/// A connection.
pub struct Stream(Kind);

impl From<TcpStream> for Stream {
    fn from(s: TcpStream) -> Self {
        Stream(Kind::Tcp(s))
    }
}

impl From<net::Socket> for Stream {
    fn from(s: net::Socket) -> Self {
        Stream(Kind::Simulated(Arc::new(Handle(ManuallyDrop::new(s)))))
    }
}

impl Stream {
    /// Connects.
    pub fn connect_timeout(addr: &SocketAddr, time: Duration) -> io::Result<Self> {
        if sched::is_simulated() {
            return net::Socket::connect(*addr).map(Self::from);
        }
        TcpStream::connect_timeout(addr, time).map(Self::from)
    }

    /// TCP_NODELAY.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        match &self.0 {
            Kind::Tcp(s) => s.set_nodelay(on),
            Kind::Simulated(_) => Ok(()),
        }
    }

    /// A second stream of the same connection.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Stream(match &self.0 {
            Kind::Tcp(s) => Kind::Tcp(s.try_clone()?),
            Kind::Simulated(s) => Kind::Simulated(s.clone()),
        }))
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match &self.0 {
            Kind::Tcp(s) => s.as_raw_fd(),
            Kind::Simulated(s) => s.0.fd(),
        }
    }
}

impl Channel for Stream {
    fn read_within(&mut self, buf: &mut [u8], time: Duration) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Tcp(s) => s.read_within(buf, time),
            Kind::Simulated(s) => {
                if !s.0.wait_input(Some(time)) {
                    return Err(io::ErrorKind::TimedOut.into());
                }
                s.0.receive(buf)
            }
        }
    }

    fn send_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Kind::Tcp(s) => s.send_all(bytes),
            Kind::Simulated(s) => s.0.send_all(bytes, WRITE_PATIENCE),
        }
    }

    fn close_write(&self) {
        match &self.0 {
            Kind::Tcp(s) => s.close_write(),
            Kind::Simulated(s) => s.0.close_write(),
        }
    }

    fn reset_on_close(&self) {
        match &self.0 {
            Kind::Tcp(s) => s.reset_on_close(),
            Kind::Simulated(s) => s.0.abort(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_micros(now_us())
    }

    fn tcp(&self) -> Option<&TcpStream> {
        match &self.0 {
            Kind::Tcp(s) => Some(s),
            Kind::Simulated(_) => None,
        }
    }
}

/// A listening socket.
pub enum Listener {
    /// Of the operating system.
    Tcp(TcpListener),
    /// Of the simulator.
    Simulated(net::Listener),
}

impl Listener {
    /// Listens on an address.
    pub fn bind(addr: &str) -> io::Result<Self> {
        if sched::is_simulated() {
            let addr = addr.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
            return Ok(Listener::Simulated(net::Listener::bind(addr)));
        }
        let l = TcpListener::bind(addr)?;
        l.set_nonblocking(true)?;
        Ok(Listener::Tcp(l))
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Listener::Tcp(l) => l.local_addr(),
            Listener::Simulated(l) => Ok(l.local_addr()),
        }
    }

    /// The next connection, if one comes within a moment.
    pub fn accept(&self) -> Option<(Stream, String)> {
        match self {
            Listener::Tcp(l) => match l.accept() {
                Ok((s, from)) => {
                    let _ = s.set_nonblocking(false);
                    Some((s.into(), from.to_string()))
                }
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(2));
                    None
                }
            },
            Listener::Simulated(l) => {
                let s = l.accept(Duration::from_millis(500))?;
                let from = s.peer().to_string();
                Some((s.into(), from))
            }
        }
    }
}
