// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A peer that is wrong on purpose: a relay to one that is right, which spoils
//! one thing that this one says, or takes something from it.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rawpeer::crc::crc32c;
use rawpeer::pdu::{Raw, flag, kind};
use rawpeer::peer::{End, Peer};

/// What is wrong with the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// The thing with this number that it says, counted from 1.
    Thing(usize),
    /// It has so many slots for connections and never gives one back.
    Slots(usize),
    /// It never ends a connection.
    Endless,
    /// Nor does it say that a connection is over.
    Patient,
}

/// What the relay counts and spoils.
struct State {
    /// Things that the peer has said.
    said: AtomicUsize,
    /// Connections that were there before `spoil` do not count.
    epoch: AtomicUsize,
    /// Connections that came since.
    came: AtomicUsize,
    fault: Mutex<Fault>,
    stop: AtomicBool,
}

/// The relay.
pub struct Wrong {
    /// Where the tool connects.
    pub addr: SocketAddr,
    state: Arc<State>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Wrong {
    /// Between connections that come and the controller at this address.
    pub fn new(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        listener.set_nonblocking(true).expect("a socket");
        let state = Arc::new(State {
            said: AtomicUsize::new(0),
            epoch: AtomicUsize::new(0),
            came: AtomicUsize::new(0),
            fault: Mutex::new(Fault::None),
            stop: AtomicBool::new(false),
        });
        let s = state.clone();
        let thread = std::thread::spawn(move || {
            let mut workers = Vec::new();
            // Connections that have no slot, and when they came.
            let mut silent = Vec::new();
            while !s.stop.load(Ordering::Acquire) {
                let Ok((near, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let epoch = s.epoch.load(Ordering::Acquire);
                silent.retain(|(e, _)| *e == epoch);
                let came = s.came.fetch_add(1, Ordering::AcqRel) + 1;
                if matches!(s.fault(), Fault::Slots(n) if came > n) {
                    silent.push((epoch, near));
                    continue;
                }
                let Ok(far) = TcpStream::connect(to) else {
                    continue;
                };
                for c in [&near, &far] {
                    let _ = c.set_nonblocking(false);
                    let _ = c.set_nodelay(true);
                }
                // What comes from the peer under test, and what goes to it.
                let (peer, tool) = (far, near);
                let (p2, t2) = (peer.try_clone().expect("fd"), tool.try_clone().expect("fd"));
                let st = s.clone();
                workers.push(std::thread::spawn(move || plain(t2, p2)));
                workers.push(std::thread::spawn(move || relay(&st, epoch, peer, tool)));
                workers.retain(|w| !w.is_finished());
            }
        });
        Wrong {
            addr,
            state,
            thread: Some(thread),
        }
    }

    /// From now on this is wrong.
    pub fn spoil(&self, fault: Fault) {
        self.state.epoch.fetch_add(1, Ordering::AcqRel);
        self.state.said.store(0, Ordering::Release);
        self.state.came.store(0, Ordering::Release);
        *self.state.fault.lock().expect("no panic") = fault;
    }

    /// How many connections came since.
    pub fn came(&self) -> usize {
        self.state.came.load(Ordering::Acquire)
    }

    /// How many things the peer said since.
    pub fn said(&self) -> usize {
        self.state.said.load(Ordering::Acquire)
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::Release);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}

/// Copies bytes as they are.
fn plain(mut from: TcpStream, mut to: TcpStream) {
    let mut buf = vec![0; 65536];
    loop {
        match from.read(&mut buf) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(n) if to.write_all(&buf[..n]).is_ok() => {}
            _ => {
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        }
    }
}

impl State {
    fn fault(&self) -> Fault {
        *self.fault.lock().expect("no panic")
    }

    /// The number of what a connection says; none if it is of an epoch that
    /// is over.
    fn count(&self, epoch: usize) -> usize {
        if epoch != self.epoch.load(Ordering::Acquire) {
            return usize::MAX;
        }
        self.said.fetch_add(1, Ordering::AcqRel) + 1
    }
}

fn relay(state: &State, epoch: usize, from: TcpStream, to: TcpStream) {
    let (mut from, mut to) = (Peer::new(from), to);
    loop {
        let (r, bytes) = match from.receive_bytes(Duration::from_secs(60)) {
            Ok(p) => p,
            Err(e) => {
                let n = state.count(epoch);
                let spoiled = match state.fault() {
                    Fault::Thing(t) => t == n,
                    Fault::Endless | Fault::Patient => true,
                    Fault::None | Fault::Slots(_) => false,
                };
                if spoiled && e != End::Timeout {
                    // The end is withheld until the tool leaves.
                    let _ = to.read(&mut [0; 1]);
                    std::thread::sleep(Duration::from_millis(400));
                }
                let _ = to.shutdown(Shutdown::Both);
                return;
            }
        };
        let n = state.count(epoch);
        let bytes = match state.fault() {
            Fault::Thing(t) if t == n => spoil(&r, bytes),
            Fault::Patient if r.kind() == kind::C2H_TERM => continue,
            _ => bytes,
        };
        if to.write_all(&bytes).is_err() {
            from.close_write();
            return;
        }
    }
}

/// Makes a PDU wrong: not its form, but what it says.
fn spoil(r: &Raw, mut b: Vec<u8>) -> Vec<u8> {
    let hlen = r.header.len();
    match r.kind() {
        // Another Fatal Error Status.
        kind::C2H_TERM | kind::H2C_TERM => b[8] ^= 0x10,
        // Success for an error, an error for success; another dword 0.
        kind::RESP => {
            let status = r.u16(22) >> 1 & 0x7ff;
            let other: u16 = if status == 0 { 0x06 } else { 0 };
            b[22..24].copy_from_slice(&(other << 1).to_le_bytes());
        }
        // Other offsets.
        kind::C2H_DATA | kind::H2C_DATA | kind::R2T => b[12] ^= 4,
        // An alignment that does not exist, a digest that nobody asked for.
        kind::ICRESP => {
            b[10] = 77;
            b[11] = 0xff;
        }
        kind::ICREQ => b[10] = 77,
        // Another command: one that does not exist.
        kind::CMD => {
            b[8] = 0xfe;
            b[12] = 0xfe;
        }
        _ => b[0] = 0xff,
    }
    if r.flags() & flag::HDGST != 0 && !matches!(r.kind(), kind::C2H_TERM | kind::H2C_TERM) {
        let digest = crc32c(&b[..hlen]).to_le_bytes();
        b[hlen..hlen + 4].copy_from_slice(&digest);
    }
    b
}
