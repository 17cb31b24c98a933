// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Somebody between a host and a controller: a wire that damages
//! and cuts ([`Middle::wire`]), or one that changes PDUs ([`Middle::meddler`]).

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::pdu::Raw;
use crate::peer::{End, Peer};

/// A deterministic generator (xorshift64*).
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Rng(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `n`.
    pub fn below(&mut self, n: u64) -> u64 {
        (self.number() >> 16) % n.max(1)
    }
}

/// What a wire does to what it carries; zero: never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// One bit of about this many bytes is flipped.
    pub flip: u64,
    /// The connection is cut after about this many bytes.
    pub cut: u64,
    /// Bytes arrive in pieces of at most this many.
    pub piece: u64,
}

/// Relays connections until it is dropped.
pub struct Middle {
    /// Where it listens.
    pub addr: SocketAddr,
    faults: Arc<Mutex<Faults>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
    /// How many faults there were.
    pub count: Arc<AtomicU64>,
}

type Relay = Arc<dyn Fn(TcpStream, TcpStream, u64, bool) + Send + Sync>;

impl Middle {
    fn start(
        to: SocketAddr,
        faults: Arc<Mutex<Faults>>,
        count: Arc<AtomicU64>,
        relay: Relay,
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let addr = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut workers = Vec::new();
            let mut ends: Vec<TcpStream> = Vec::new();
            let mut number = 0;
            while !flag.load(Ordering::Acquire) {
                let Ok((a, _)) = listener.accept() else {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                };
                let Ok(b) = TcpStream::connect(to) else {
                    continue;
                };
                let _ = (
                    a.set_nonblocking(false),
                    a.set_nodelay(true),
                    b.set_nodelay(true),
                );
                let clones = (a.try_clone(), b.try_clone(), a.try_clone(), b.try_clone());
                let (Ok(a2), Ok(b2), Ok(a3), Ok(b3)) = clones else {
                    continue;
                };
                ends.extend([a3, b3]);
                number += 2;
                for (from, to, n, down) in [(a, b, number, true), (b2, a2, number + 1, false)] {
                    let relay = relay.clone();
                    workers.push(std::thread::spawn(move || relay(from, to, n, down)));
                }
            }
            for e in ends {
                let _ = e.shutdown(Shutdown::Both);
            }
            for w in workers {
                let _ = w.join();
            }
        });
        Ok(Middle {
            addr,
            faults,
            stop,
            thread: Some(thread),
            count,
        })
    }

    /// Relays bytes, with faults that a seed determines.
    pub fn wire(to: SocketAddr, faults: Faults, seed: u64) -> std::io::Result<Self> {
        let faults = Arc::new(Mutex::new(faults));
        let count = Arc::new(AtomicU64::new(0));
        let (shared, counter) = (faults.clone(), count.clone());
        let relay: Relay = Arc::new(move |mut from: TcpStream, mut to: TcpStream, n, _| {
            let mut rng = Rng::new(seed ^ n << 32);
            let mut buf = vec![0; 64 << 10];
            loop {
                let f = *shared.lock().unwrap_or_else(PoisonError::into_inner);
                let most = match f.piece {
                    0 => buf.len(),
                    p => 1 + rng.below(p) as usize,
                };
                let Ok(n @ 1..) = from.read(&mut buf[..most]) else {
                    break;
                };
                let hit = |rng: &mut Rng, one_in: u64| one_in != 0 && rng.below(one_in) < n as u64;
                if hit(&mut rng, f.flip) {
                    let at = rng.below(n as u64) as usize;
                    buf[at] ^= 1 << rng.below(8);
                    counter.fetch_add(1, Ordering::Relaxed);
                }
                if hit(&mut rng, f.cut) {
                    counter.fetch_add(1, Ordering::Relaxed);
                    let _ = to.write_all(&buf[..rng.below(n as u64) as usize]);
                    break;
                }
                if to.write_all(&buf[..n]).is_err() {
                    break;
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
        Self::start(to, faults, count, relay)
    }

    /// Relays PDUs as `edit` returns them; its second argument says whether
    /// the PDU comes from the host.
    pub fn meddler(
        to: SocketAddr,
        edit: impl Fn(&Raw, bool, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let relay: Relay = Arc::new(move |from: TcpStream, mut to: TcpStream, _, down| {
            let Ok(clone) = from.try_clone() else { return };
            let mut peer = Peer::new(clone);
            loop {
                match peer.receive_bytes(Duration::from_secs(60)) {
                    Ok((raw, bytes)) => {
                        if to.write_all(&edit(&raw, down, bytes)).is_err() {
                            break;
                        }
                    }
                    Err(End::Timeout) => {}
                    Err(_) => break,
                }
            }
            let _ = from.shutdown(Shutdown::Both);
            let _ = to.shutdown(Shutdown::Both);
        });
        Self::start(to, Arc::default(), Arc::default(), relay)
    }

    /// Changes what the wire does from now on.
    pub fn set(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
