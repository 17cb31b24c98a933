// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A minimal controller over `nvmf_transport`'s interface, for tests: memory
//! that is read and written. SLBA is a byte offset.

use std::cell::UnsafeCell;
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use sys::mbuf::Mbuf;
use sys::mem::KArc;
use sys::memdesc::MemDesc;
use sys::xport::{Capsule, DataDone, Qpair, QpairHandler, SendOutcome};
use sys::{CanSleep, Errno, Wait};

use crate::initiator::{Params, allocate};
use crate::kernel::can_sleep;

/// Opcodes of a responder.
#[allow(missing_docs)]
pub mod opcode {
    pub const FLUSH: u8 = 0;
    pub const WRITE: u8 = 1;
    pub const READ: u8 = 2;
    /// Never answered.
    pub const HOLE: u8 = 0x7e;
}

/// How the controller moves data.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Bytes per request for data; zero: all at once.
    pub write_chunk: usize,
    /// Bytes per call that sends data; zero: all at once.
    pub read_chunk: usize,
    /// Data is sent from mbufs over foreign memory.
    pub external: bool,
}

#[derive(Default)]
struct Events {
    errors: Vec<Option<Errno>>,
    commands: Vec<[u8; 64]>,
    closing: bool,
    freed: bool,
}

/// What the transport calls.
pub struct ControllerSide {
    qp: RwLock<Option<Qpair<ControllerSide>>>,
    store: Mutex<Vec<u8>>,
    style: Style,
    events: Mutex<Events>,
    changed: Condvar,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn slba(sqe: &[u8; 64]) -> usize {
    u32::from_le_bytes([sqe[40], sqe[41], sqe[42], sqe[43]]) as usize
}

/// Sets the offset of a command.
pub fn at(mut sqe: [u8; 64], offset: u32) -> [u8; 64] {
    sqe[40..44].copy_from_slice(&offset.to_le_bytes());
    sqe
}

/// A write whose data is on its way.
struct Write {
    side: KArc<ControllerSide>,
    capsule: Capsule,
    left: AtomicUsize,
    status: AtomicUsize,
}

/// One request for data.
struct Chunk {
    write: KArc<Write>,
    offset: usize,
    memory: UnsafeCell<Vec<u8>>,
}

// SAFETY: the memory is the transport's until the callback, then the callback's.
unsafe impl Sync for Chunk {}
// SAFETY: as above.
unsafe impl Send for Chunk {}

impl DataDone for Chunk {
    fn data_done(this: KArc<Self>, xfered: usize, error: Option<Errno>) {
        // SAFETY: the request is over.
        let memory = unsafe { &*this.memory.get() };
        let write = &this.write;
        match error {
            None => {
                assert_eq!(xfered, memory.len());
                let at = slba(&write.capsule.sqe()) + this.offset;
                let mut store = lock(&write.side.store);
                store[at..at + xfered].copy_from_slice(memory);
            }
            Some(Errno::EINTEGRITY) => write.status.store(0x22, Ordering::Relaxed),
            Some(_) => write.status.store(0x04, Ordering::Relaxed),
        }
        if write.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let status = write.status.load(Ordering::Relaxed) as u16;
            write.side.respond(&write.capsule, status);
        }
    }
}

unsafe extern "C" fn free_memory(arg: *mut std::ffi::c_void) {
    // SAFETY: leaked for this call.
    drop(unsafe { Box::from_raw(arg.cast::<Vec<u8>>()) });
}

impl ControllerSide {
    fn with_qp<R>(&self, f: impl FnOnce(&Qpair<Self>) -> R) -> Option<R> {
        let end = Instant::now() + Duration::from_secs(2);
        loop {
            if lock(&self.events).closing {
                return None;
            }
            // A callback may come before allocation returned.
            if let Some(qp) = &*self.qp.read().unwrap_or_else(PoisonError::into_inner) {
                return Some(f(qp));
            }
            if Instant::now() > end {
                return None;
            }
            std::thread::yield_now();
        }
    }

    fn respond(&self, capsule: &Capsule, status: u16) {
        let sqe = capsule.sqe();
        let cid = u16::from_le_bytes([sqe[2], sqe[3]]);
        let cqe = crate::pdu::cqe(cid, status);
        let wait = if crate::context::can_sleep() {
            Wait::Sleep(can_sleep())
        } else {
            Wait::NoWait
        };
        self.with_qp(|qp| {
            // A failed connection or no memory: the host sees the end.
            if let Ok(nc) = qp.response(&cqe, wait) {
                let _ = qp.transmit(&nc);
            }
        });
    }

    fn read(&self, capsule: &Capsule) {
        let (sqe, len) = (capsule.sqe(), capsule.data_len());
        let data = {
            let store = lock(&self.store);
            match store.get(slba(&sqe)..slba(&sqe) + len) {
                Some(d) => d.to_vec(),
                None => {
                    drop(store);
                    return self.respond(capsule, 0x80);
                }
            }
        };
        let step = match self.style.read_chunk {
            0 => len.max(1),
            n => n,
        };
        let mut outcome = SendOutcome::Sent;
        for (i, piece) in data.chunks(step).enumerate() {
            let sleep = can_sleep().into();
            let m = if self.style.external {
                let mut b = Box::new(piece.to_vec());
                let p = b.as_mut_ptr();
                let arg = Box::into_raw(b).cast();
                // SAFETY: the memory lives until it is released.
                unsafe { Mbuf::external(p, piece.len() as u32, free_memory, arg, sleep) }
            } else {
                Mbuf::from_bytes(piece, sleep)
            };
            let m = m.expect("memory");
            let sent = self.with_qp(|qp| qp.send_data(capsule, (i * step) as u32, m));
            match sent {
                Some(o) => outcome = o,
                None => return,
            }
            if let SendOutcome::Failed(_) = outcome {
                break;
            }
        }
        match outcome {
            SendOutcome::SuccessSent => {}
            SendOutcome::Failed(sc) => self.respond(capsule, sc.into()),
            SendOutcome::Sent => self.respond(capsule, 0),
            SendOutcome::More => panic!("all was sent, and more is wanted"),
        }
    }

    fn write(this: &KArc<Self>, capsule: Capsule) {
        let len = capsule.data_len();
        let step = match this.style.write_chunk {
            0 => len.max(1),
            n => n,
        };
        let n = len.div_ceil(step);
        if slba(&capsule.sqe()) + len > lock(&this.store).len() {
            return this.respond(&capsule, 0x80);
        }
        let write = Write {
            side: this.clone(),
            capsule,
            left: AtomicUsize::new(n + 1),
            status: AtomicUsize::new(0),
        };
        let write = KArc::new(write, can_sleep().into()).expect("memory");
        let finish = |count: usize| {
            if write.left.fetch_sub(count, Ordering::AcqRel) == count {
                let status = write.status.load(Ordering::Relaxed) as u16;
                this.respond(&write.capsule, status);
            }
        };
        for i in 0..n {
            let offset = i * step;
            let size = step.min(len - offset);
            let mut memory = vec![0xdd; size];
            let p = memory.as_mut_ptr();
            let chunk = Chunk {
                write: write.clone(),
                offset,
                memory: UnsafeCell::new(memory),
            };
            let chunk = KArc::new(chunk, can_sleep().into()).expect("memory");
            // SAFETY: the chunk keeps the memory until the callback.
            let md = unsafe { MemDesc::from_vaddr(p, size) };
            let r = this.with_qp(|qp| qp.receive_data(&write.capsule, offset as u32, md, chunk));
            if r != Some(Ok(())) {
                write.status.store(0x04, Ordering::Relaxed);
                finish(n - i);
                break;
            }
        }
        finish(1);
    }
}

impl QpairHandler for ControllerSide {
    fn error(this: &KArc<Self>, error: Option<Errno>) {
        let mut ev = lock(&this.events);
        assert!(!ev.freed, "an error is reported after the end");
        ev.errors.push(error);
        this.changed.notify_all();
    }

    fn received(this: &KArc<Self>, capsule: Capsule, _sleep: CanSleep<'_>) {
        assert!(capsule.is_command());
        let sqe = capsule.sqe();
        {
            let mut ev = lock(&this.events);
            assert!(!ev.freed, "a capsule is delivered after the end");
            ev.commands.push(sqe);
            this.changed.notify_all();
        }
        match capsule.validate() {
            0 => {}
            sc => return this.respond(&capsule, sc.into()),
        }
        match sqe[0] {
            opcode::WRITE if capsule.data_len() != 0 => Self::write(this, capsule),
            opcode::READ if capsule.data_len() != 0 => this.read(&capsule),
            opcode::HOLE => {}
            _ => this.respond(&capsule, 0),
        }
    }
}

/// A controller's end of a queue pair.
pub struct Responder {
    side: KArc<ControllerSide>,
}

impl Responder {
    /// Hands a connection over to the transport.
    pub fn new(params: &Params, stream: TcpStream, style: Style, bytes: usize) -> Self {
        let side = ControllerSide {
            qp: RwLock::new(None),
            store: Mutex::new(vec![0; bytes]),
            style,
            events: Mutex::default(),
            changed: Condvar::new(),
        };
        let side = KArc::new(side, can_sleep().into()).expect("memory");
        let qp = allocate(true, params, &stream, side.clone()).expect("a queue pair");
        *side.qp.write().unwrap_or_else(PoisonError::into_inner) = Some(qp);
        Responder { side }
    }

    /// The memory.
    pub fn store(&self) -> MutexGuard<'_, Vec<u8>> {
        lock(&self.side.store)
    }

    /// Commands that arrived.
    pub fn commands(&self) -> Vec<[u8; 64]> {
        lock(&self.side.events).commands.clone()
    }

    /// The errors that were reported.
    pub fn errors(&self) -> Vec<Option<Errno>> {
        lock(&self.side.events).errors.clone()
    }

    /// Waits until an error is reported.
    pub fn wait_error(&self) -> Option<Errno> {
        let end = Instant::now() + Duration::from_secs(5);
        let mut ev = lock(&self.side.events);
        loop {
            if let Some(e) = ev.errors.first() {
                return *e;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no error was reported");
            let r = self.side.changed.wait_timeout(ev, left);
            ev = r.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Frees the queue pair; returns how long that took.
    pub fn free(self) -> Duration {
        let start = Instant::now();
        lock(&self.side.events).closing = true;
        let qp = {
            let mut slot = self.side.qp.write().unwrap_or_else(PoisonError::into_inner);
            slot.take()
        };
        if let Some(qp) = qp {
            qp.free(can_sleep());
        }
        lock(&self.side.events).freed = true;
        start.elapsed()
    }
}
