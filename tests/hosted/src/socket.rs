// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The kernel's end of a connection: a TCP socket, or one of the simulator's.

use std::ffi::c_int;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::time::Duration;

use sys::Errno;
use sys::ffi::mbuf;

use crate::context::die;
use crate::mbuf::{Piece, pieces, vectors};
use crate::sim::net;
use crate::sim::sched;

/// Vectors of one call.
const IOV_MAX: usize = 64;

/// A connection that was taken over from userland. No call on it waits, but
/// [`Socket::wait`].
pub enum Socket {
    /// The operating system's.
    Tcp(Tcp),
    /// The simulator's.
    Simulated(net::Socket),
}

/// A TCP socket, and what ends a wait for it.
pub struct Tcp {
    socket: OwnedFd,
    wake: OwnedFd,
}

/// The number that FreeBSD has for an error of this system; zero: would block.
fn bsd_errno(e: &std::io::Error) -> i32 {
    use std::io::ErrorKind;
    let known = match e.kind() {
        ErrorKind::WouldBlock | ErrorKind::Interrupted => return 0,
        ErrorKind::ConnectionReset => Errno::ECONNRESET,
        ErrorKind::ConnectionAborted => Errno::ECONNABORTED,
        ErrorKind::TimedOut => Errno::ETIMEDOUT,
        ErrorKind::BrokenPipe => Errno::EPIPE,
        ErrorKind::NotConnected => Errno::ENOTCONN,
        _ => Errno::EIO,
    };
    known.code()
}

fn last_error() -> i32 {
    bsd_errno(&std::io::Error::last_os_error())
}

fn get_option(fd: RawFd, level: c_int, name: c_int) -> Option<c_int> {
    let mut v: c_int = 0;
    let mut len = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: valid storage of that length.
    let r = unsafe { libc::getsockopt(fd, level, name, (&raw mut v).cast(), &mut len) };
    (r == 0).then_some(v)
}

fn set_option<T>(fd: RawFd, level: c_int, name: c_int, v: &T) {
    // SAFETY: valid storage of that length.
    unsafe {
        libc::setsockopt(
            fd,
            level,
            name,
            ptr::from_ref(v).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
}

/// The address of the peer.
fn peer(fd: RawFd) -> Option<SocketAddr> {
    // SAFETY: the descriptor outlives this, and is not closed by it.
    let s = std::mem::ManuallyDrop::new(unsafe { std::net::TcpStream::from_raw_fd(fd) });
    s.peer_addr().ok()
}

impl Tcp {
    fn steal(fd: c_int) -> Result<Self, c_int> {
        // SAFETY: any number may be asked about.
        if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
            return Err(Errno::EBADF.code());
        }
        let kind = get_option(fd, libc::SOL_SOCKET, libc::SO_TYPE);
        let protocol = get_option(fd, libc::SOL_SOCKET, libc::SO_PROTOCOL);
        let listens = get_option(fd, libc::SOL_SOCKET, libc::SO_ACCEPTCONN);
        match (kind, protocol, listens) {
            // ENOTSOCK
            (None, ..) => return Err(38),
            (Some(libc::SOCK_STREAM), Some(libc::IPPROTO_TCP), Some(0)) => {}
            _ => return Err(Errno::EINVAL.code()),
        }
        if peer(fd).is_none() {
            return Err(Errno::ENOTCONN.code());
        }
        // The caller's descriptor stays, and is dead.
        // SAFETY: descriptors of this process; the results are checked.
        unsafe {
            let socket = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3);
            let null = libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC);
            let wake = libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC);
            if socket < 0 || null < 0 || wake < 0 {
                die("out of descriptors");
            }
            libc::dup2(null, fd);
            libc::close(null);
            Ok(Tcp {
                socket: OwnedFd::from_raw_fd(socket),
                wake: OwnedFd::from_raw_fd(wake),
            })
        }
    }

    fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    fn receive(&self, want: usize) -> Result<Vec<Piece>, i32> {
        let mut buf = vec![0u8; want];
        // SAFETY: room for that many bytes.
        let n = unsafe { libc::recv(self.fd(), buf.as_mut_ptr().cast(), want, libc::MSG_DONTWAIT) };
        let n = usize::try_from(n).map_err(|_| last_error())?;
        buf.truncate(n);
        Ok(if n == 0 {
            vec![]
        } else {
            vec![Piece::own(buf)]
        })
    }

    /// # Safety
    ///
    /// The vectors describe readable memory.
    unsafe fn send(&self, iov: &mut [libc::iovec]) -> Result<usize, i32> {
        // SAFETY: all-zero is a valid message header.
        let mut msg: libc::msghdr = unsafe { std::mem::zeroed() };
        msg.msg_iov = iov.as_mut_ptr();
        msg.msg_iovlen = iov.len();
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: the caller's promise.
        let n = unsafe { libc::sendmsg(self.fd(), &msg, flags) };
        usize::try_from(n).map_err(|_| last_error())
    }

    fn wait(&self, timeout: Option<Duration>) {
        let mut fds = [self.fd(), self.wake.as_raw_fd()].map(|fd| libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        });
        let ms = timeout.map_or(-1, |t| t.as_millis() as c_int + 1);
        // SAFETY: valid array of two.
        unsafe { libc::poll(fds.as_mut_ptr(), 2, ms) };
        if fds[1].revents != 0 {
            let mut v = 0u64;
            // SAFETY: eight bytes from an event descriptor.
            unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut v).cast(), 8) };
        }
    }
}

impl Socket {
    /// Takes the socket behind a descriptor; its errno if there is none.
    pub fn steal(fd: c_int) -> Result<Self, c_int> {
        if sched::is_simulated() {
            let s = net::Socket::steal(fd).map(Socket::Simulated);
            return s.ok_or(Errno::EBADF.code());
        }
        Tcp::steal(fd).map(Socket::Tcp)
    }

    /// TCP_NODELAY and keep-alive probes.
    pub fn tune(&self) {
        if let Socket::Tcp(t) = self {
            set_option(t.fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, &1i32);
            set_option(t.fd(), libc::SOL_SOCKET, libc::SO_KEEPALIVE, &1i32);
        }
    }

    /// The address of the peer.
    pub fn peer(&self) -> Option<SocketAddr> {
        match self {
            Socket::Tcp(t) => peer(t.fd()),
            Socket::Simulated(s) => Some(s.peer()),
        }
    }

    /// Receives what is there, at most `want` bytes; `Ok(None)`: nothing, and no
    /// bytes at the end. An error is an errno.
    pub fn receive(&self, want: usize) -> Result<Option<Vec<Piece>>, i32> {
        let pieces = match self {
            Socket::Tcp(t) => t.receive(want),
            Socket::Simulated(s) => s.receive_pieces(want).map_err(|e| bsd_errno(&e)),
        };
        match pieces {
            Ok(pieces) => Ok(Some(pieces)),
            Err(0) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Sends what there is room for of chains, each from a byte on; `Ok(0)`:
    /// nothing. An error is an errno.
    ///
    /// # Safety
    ///
    /// The chains are the caller's.
    pub unsafe fn send(
        &self,
        chains: impl Iterator<Item = (*const mbuf, u32)>,
    ) -> Result<usize, i32> {
        let n = match self {
            Socket::Tcp(t) => {
                let mut iov = Vec::new();
                for (m, skip) in chains {
                    // SAFETY: the caller's promise.
                    iov.extend(unsafe { vectors(m, skip, IOV_MAX - iov.len()) });
                    if iov.len() >= IOV_MAX {
                        break;
                    }
                }
                // SAFETY: the vectors point into the caller's chains.
                unsafe { t.send(&mut iov) }
            }
            Socket::Simulated(s) => {
                // SAFETY: the caller's promise.
                let all = chains.flat_map(|(m, skip)| unsafe { pieces(m, skip) });
                s.send_pieces(all.collect()).map_err(|e| bsd_errno(&e))
            }
        };
        match n {
            Err(0) => Ok(0),
            n => n,
        }
    }

    /// Bytes sent that the peer has not acknowledged.
    pub fn unacked(&self) -> u32 {
        match self {
            Socket::Tcp(t) => {
                let mut unacked: c_int = 0;
                // SAFETY: valid storage.
                unsafe { libc::ioctl(t.fd(), libc::TIOCOUTQ, &mut unacked) };
                unacked.max(0) as u32
            }
            Socket::Simulated(s) => s.unacked(),
        }
    }

    /// Waits for input or [`Socket::wake`].
    pub fn wait(&self, timeout: Option<Duration>) {
        match self {
            Socket::Tcp(t) => t.wait(timeout),
            Socket::Simulated(s) => drop(s.wait_input(timeout)),
        }
    }

    /// Ends a wait, or the next.
    pub fn wake(&self) {
        match self {
            Socket::Tcp(t) => {
                let one = 1u64;
                // SAFETY: eight bytes to an event descriptor.
                unsafe { libc::write(t.wake.as_raw_fd(), (&raw const one).cast(), 8) };
            }
            Socket::Simulated(s) => s.wake(),
        }
    }

    /// Nothing more is sent or received.
    pub fn shut_down(&self) {
        match self {
            // SAFETY: a socket of ours.
            Socket::Tcp(t) => drop(unsafe { libc::shutdown(t.fd(), libc::SHUT_RDWR) }),
            Socket::Simulated(s) => s.shut_down(),
        }
    }

    /// Its end will be a reset.
    pub fn abort(&self) {
        match self {
            Socket::Tcp(t) => {
                let linger = libc::linger {
                    l_onoff: 1,
                    l_linger: 0,
                };
                set_option(t.fd(), libc::SOL_SOCKET, libc::SO_LINGER, &linger);
            }
            Socket::Simulated(s) => s.abort(),
        }
    }
}
