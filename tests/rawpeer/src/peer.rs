// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The other end of a connection as a script: bytes in, bytes out.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::channel::Channel;
use crate::pdu::{Raw, kind};

/// How long a script waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Two ends of a TCP connection over loopback.
pub fn socket_pair() -> (TcpStream, TcpStream) {
    pair_with_buffer(None)
}

/// The same; the first end has a receive buffer of about this many bytes.
pub fn pair_with_buffer(rcvbuf: Option<u32>) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
    let to = listener.local_addr().expect("bound");
    let a = match rcvbuf {
        None => TcpStream::connect(to).expect("loopback"),
        Some(n) => {
            // SAFETY: a fresh socket, checked; sizes as declared.
            unsafe {
                let fd = libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
                assert!(fd >= 0);
                let fd = OwnedFd::from_raw_fd(fd);
                let n = n as libc::c_int;
                libc::setsockopt(
                    fd.as_raw_fd(),
                    libc::SOL_SOCKET,
                    libc::SO_RCVBUF,
                    (&raw const n).cast(),
                    4,
                );
                let addr = libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: to.port().to_be(),
                    sin_addr: libc::in_addr {
                        s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
                    },
                    sin_zero: [0; 8],
                };
                let len = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                let r = libc::connect(fd.as_raw_fd(), (&raw const addr).cast(), len);
                assert_eq!(r, 0);
                TcpStream::from(fd)
            }
        }
    };
    let (b, _) = listener.accept().expect("loopback");
    a.set_nodelay(true).expect("TCP");
    b.set_nodelay(true).expect("TCP");
    (a, b)
}

/// Why nothing more comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// FIN.
    Closed,
    /// RST.
    Reset,
    /// Nothing came in time.
    Timeout,
    /// What came is no PDU.
    Garbage,
}

/// A scripted end.
pub struct Peer {
    stream: Box<dyn Channel>,
    buf: Vec<u8>,
}

impl Peer {
    /// Over this end of a connection.
    pub fn new(stream: impl Channel + 'static) -> Self {
        Peer {
            stream: Box::new(stream),
            buf: Vec::new(),
        }
    }

    /// Sends bytes; the other end may be gone.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.send_all(bytes).is_ok()
    }

    /// Sends each byte in a segment of its own.
    pub fn send_slowly(&mut self, bytes: &[u8]) -> bool {
        bytes.iter().all(|b| {
            std::thread::yield_now();
            self.stream.send_all(&[*b]).is_ok()
        })
    }

    /// The next PDU.
    pub fn receive(&mut self) -> Result<Raw, End> {
        self.receive_within(PATIENCE)
    }

    /// The next PDU, if it comes in time.
    pub fn receive_within(&mut self, time: Duration) -> Result<Raw, End> {
        self.receive_bytes(time).map(|(raw, _)| raw)
    }

    /// The next PDU, if it comes in time, with its bytes.
    pub fn receive_bytes(&mut self, time: Duration) -> Result<(Raw, Vec<u8>), End> {
        let end = self.stream.now() + time;
        loop {
            match Raw::parse(&self.buf) {
                Ok(Some((raw, n))) => {
                    let bytes = self.buf.drain(..n).collect();
                    return Ok((raw, bytes));
                }
                Ok(None) => {}
                Err(_) => return Err(End::Garbage),
            }
            let left = end.saturating_sub(self.stream.now());
            if left.is_zero() {
                return Err(End::Timeout);
            }
            self.fill(left)?;
        }
    }

    /// So many bytes, if they come in time, whatever they are.
    pub fn receive_exact(&mut self, n: usize, time: Duration) -> Result<Vec<u8>, End> {
        let end = self.stream.now() + time;
        while self.buf.len() < n {
            let left = end.saturating_sub(self.stream.now());
            if left.is_zero() {
                return Err(End::Timeout);
            }
            self.fill(left)?;
        }
        Ok(self.buf.drain(..n).collect())
    }

    /// Throws away what comes until the other end has closed, or for so long.
    pub fn drain(&mut self, time: Duration) {
        let end = self.stream.now() + time;
        loop {
            self.buf.clear();
            let left = end.saturating_sub(self.stream.now());
            if left.is_zero() || self.fill(left).is_err() {
                return;
            }
        }
    }

    /// Takes what comes next.
    fn fill(&mut self, time: Duration) -> Result<(), End> {
        let mut chunk = [0; 65536];
        match self.stream.read_within(&mut chunk, time) {
            Ok(0) => Err(End::Closed),
            Ok(n) => {
                self.buf.extend_from_slice(&chunk[..n]);
                Ok(())
            }
            Err(e) => match e.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(()),
                _ => Err(End::Reset),
            },
        }
    }

    /// A PDU of this type must come.
    pub fn expect(&mut self, k: u8) -> Raw {
        match self.receive() {
            Ok(raw) => {
                assert_eq!(raw.kind(), k, "{raw:02x?}");
                assert!(raw.digests_ok, "{raw:02x?}");
                raw
            }
            Err(e) => panic!("{e:?} instead of a PDU of type {k}"),
        }
    }

    /// A Terminate Connection Request with these fields must come; then we
    /// close our side, as a peer has to.
    pub fn expect_term(&mut self, fes: u16, fei: u32) -> Raw {
        let raw = match self.receive() {
            Ok(raw) => raw,
            Err(e) => panic!("{e:?} instead of a TermReq {fes}/{fei}"),
        };
        assert!(
            matches!(raw.kind(), kind::C2H_TERM | kind::H2C_TERM),
            "{raw:02x?}"
        );
        assert_eq!((raw.u16(8), raw.u32(10)), (fes, fei), "{raw:02x?}");
        assert_eq!(raw.flags(), 0);
        assert_eq!(&raw.header[14..], &[0; 10], "reserved bytes");
        assert!(raw.data.len() <= 128 && raw.header[3] == 0);
        self.close_write();
        raw
    }

    /// The connection must end without a further PDU.
    pub fn expect_end(&mut self) -> End {
        match self.receive() {
            Ok(raw) => panic!("a PDU instead of the end: {raw:02x?}"),
            Err(e @ (End::Timeout | End::Garbage)) => panic!("{e:?} instead of the end"),
            Err(e) => e,
        }
    }

    /// Nothing may come for a while.
    pub fn expect_silence(&mut self, time: Duration) {
        match self.receive_within(time) {
            Err(End::Timeout) => {}
            r => panic!("{r:02x?} instead of silence"),
        }
    }

    /// FIN.
    pub fn close_write(&self) {
        self.stream.close_write();
    }

    /// RST.
    pub fn reset(self) {
        self.stream.reset_on_close();
    }

    /// The socket.
    pub fn stream(&self) -> &TcpStream {
        self.stream.tcp().expect("a TCP socket")
    }
}
