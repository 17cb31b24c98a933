// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A minimal host over `nvmf_transport`'s interface, for tests: [`Initiator`].

use std::cell::UnsafeCell;
use std::collections::HashMap;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sys::mem::KArc;
use sys::memdesc::MemDesc;
use sys::nv::NvRef;
use sys::xport::{Capsule, DataDone, Qpair, QpairHandler, TRTYPE_TCP};
use sys::{CanSleep, Errno, Wait};

use crate::kernel::can_sleep;
use crate::nv::{List, Owned};

/// The parameters of a queue pair's handoff.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Params {
    pub admin: bool,
    pub flow_control: bool,
    pub qsize: u64,
    pub rxpda: u64,
    pub txpda: u64,
    pub hdgst: bool,
    pub ddgst: bool,
    pub maxr2t: u64,
    pub maxh2cdata: u64,
    pub max_icd: u64,
}

impl Default for Params {
    fn default() -> Self {
        Params {
            admin: false,
            flow_control: false,
            qsize: 128,
            rxpda: 4,
            txpda: 4,
            hdgst: false,
            ddgst: false,
            maxr2t: 0,
            maxh2cdata: 256 << 10,
            max_icd: 8192,
        }
    }
}

impl Params {
    /// The list that userland hands over.
    pub fn list(&self, fd: i32) -> List {
        let mut l = List::new();
        l.bool("admin", self.admin)
            .bool("sq_flow_control", self.flow_control)
            .number("qsize", self.qsize)
            .number("sqhd", 0)
            .number("sqtail", 0)
            .number("rxpda", self.rxpda)
            .number("txpda", self.txpda)
            .bool("header_digests", self.hdgst)
            .bool("data_digests", self.ddgst)
            .number("maxr2t", self.maxr2t)
            .number("maxh2cdata", self.maxh2cdata)
            .number("max_icd", self.max_icd)
            .number("fd", fd as u64);
        l
    }
}

/// Hands a connection over.
pub fn allocate<H: QpairHandler>(
    controller: bool,
    params: &Params,
    stream: &TcpStream,
    handler: KArc<H>,
) -> Option<Qpair<H>> {
    let list = Owned::new(params.list(stream.as_raw_fd()));
    // SAFETY: a live list.
    let list_ref = unsafe { NvRef::from_raw(list.as_ptr()) }?;
    Qpair::allocate(TRTYPE_TCP, controller, list_ref, handler, can_sleep())
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Default)]
struct Inbox {
    responses: HashMap<u16, ([u8; 16], bool)>,
    errors: Vec<Option<Errno>>,
    freed: bool,
}

/// What the transport calls.
#[derive(Default)]
pub struct HostSide {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

impl QpairHandler for HostSide {
    fn error(this: &KArc<Self>, error: Option<Errno>) {
        let mut inbox = lock(&this.inbox);
        assert!(!inbox.freed, "an error is reported after the end");
        inbox.errors.push(error);
        this.changed.notify_all();
    }

    fn received(this: &KArc<Self>, capsule: Capsule, _sleep: CanSleep<'_>) {
        assert!(!capsule.is_command());
        let cqe = capsule.cqe();
        let cid = u16::from_le_bytes([cqe[12], cqe[13]]);
        let mut inbox = lock(&this.inbox);
        assert!(!inbox.freed, "a capsule is delivered after the end");
        let old = inbox.responses.insert(cid, (cqe, capsule.sqhd_valid()));
        assert!(old.is_none(), "two responses for CID {cid}");
        this.changed.notify_all();
    }
}

/// The data of a command.
pub struct Io {
    memory: UnsafeCell<Vec<u8>>,
    done: Mutex<Option<(usize, Option<Errno>)>>,
    changed: Condvar,
}

// SAFETY: the memory belongs to the transport until `done` is set.
unsafe impl Sync for Io {}
// SAFETY: as above.
unsafe impl Send for Io {}

impl DataDone for Io {
    fn data_done(this: KArc<Self>, xfered: usize, error: Option<Errno>) {
        let mut done = lock(&this.done);
        assert!(done.is_none(), "the data callback ran twice");
        *done = Some((xfered, error));
        this.changed.notify_all();
    }
}

/// A command that was sent.
pub struct Sent {
    /// Its CID.
    pub cid: u16,
    capsule: Option<Capsule>,
    io: Option<KArc<Io>>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Outcome {
    /// The response.
    pub cqe: [u8; 16],
    /// Whether its SQHD counts.
    pub sqhd_valid: bool,
    /// What the data callback said.
    pub data: Option<(usize, Option<Errno>)>,
    /// The memory of the command's data.
    pub memory: Vec<u8>,
}

impl Outcome {
    /// SCT << 8 | SC.
    pub fn status(&self) -> u16 {
        u16::from_le_bytes([self.cqe[14], self.cqe[15]]) >> 1 & 0x7ff
    }
}

/// A host's end of a queue pair.
pub struct Initiator {
    side: KArc<HostSide>,
    qp: Qpair<HostSide>,
}

/// Direction of a command's data.
#[derive(Clone, Debug)]
pub enum Data {
    /// None.
    None,
    /// To the controller.
    Write(Vec<u8>),
    /// From the controller.
    Read(usize),
}

impl Initiator {
    /// Hands a connection over to the transport.
    pub fn new(params: &Params, stream: TcpStream) -> Self {
        Self::try_new(params, stream).expect("a queue pair")
    }

    /// The same, where that may fail.
    pub fn try_new(params: &Params, stream: TcpStream) -> Option<Self> {
        let side = KArc::new(HostSide::default(), can_sleep().into()).expect("memory");
        let qp = allocate(false, params, &stream, side.clone())?;
        Some(Initiator { side, qp })
    }

    /// Sends a command.
    pub fn send(&self, sqe: &[u8; 64], data: Data) -> Sent {
        self.try_send(sqe, data, false).expect("sent")
    }

    /// Sends a command; `pages`: its memory has no mapping.
    pub fn try_send(&self, sqe: &[u8; 64], data: Data, pages: bool) -> Result<Sent, Errno> {
        let cid = u16::from_le_bytes([sqe[2], sqe[3]]);
        let capsule = self.qp.command(sqe, Wait::Sleep(can_sleep()))?;
        let (memory, send) = match data {
            Data::None => (None, false),
            Data::Write(v) => (Some(v), true),
            Data::Read(n) => (Some(vec![0xcc; n]), false),
        };
        let mut sent = Sent {
            cid,
            capsule: None,
            io: None,
        };
        if let Some(mut memory) = memory {
            let (p, len) = (memory.as_mut_ptr(), memory.len());
            let io = Io {
                memory: UnsafeCell::new(memory),
                done: Mutex::new(None),
                changed: Condvar::new(),
            };
            let io = KArc::new(io, Wait::Sleep(can_sleep()))?;
            // SAFETY: the Io keeps the memory until the callback, whose
            // argument it is.
            let md = unsafe {
                if pages {
                    MemDesc::from_raw(crate::memdesc::pages(p, len), len)
                } else {
                    MemDesc::from_vaddr(p, len)
                }
            };
            capsule.append_data(md, send, io.clone())?;
            sent.io = Some(io);
        }
        match self.qp.transmit(&capsule) {
            Ok(()) => {
                sent.capsule = Some(capsule);
                Ok(sent)
            }
            Err(e) => {
                capsule.abort_data(e);
                Err(e)
            }
        }
    }

    /// Waits for the response and for the data.
    pub fn wait(&self, sent: Sent) -> Outcome {
        self.wait_for(sent, Duration::from_secs(20))
            .unwrap_or_else(|s| panic!("no response for CID {}: {:?}", s.cid, self.errors()))
    }

    /// The same, as long as the connection lives.
    pub fn wait_for(&self, mut sent: Sent, time: Duration) -> Result<Outcome, Sent> {
        let end = Instant::now() + time;
        let (cqe, sqhd_valid) = {
            let mut inbox = lock(&self.side.inbox);
            loop {
                if let Some(r) = inbox.responses.remove(&sent.cid) {
                    break r;
                }
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() || !inbox.errors.is_empty() {
                    return Err(sent);
                }
                let r = self.side.changed.wait_timeout(inbox, left);
                inbox = r.unwrap_or_else(PoisonError::into_inner).0;
            }
        };
        let (data, memory) = match sent.io.take() {
            None => (None, Vec::new()),
            Some(io) => {
                let done = Self::wait_data(&io, end).expect("the data callback");
                (Some(done), take_memory(&io))
            }
        };
        drop(sent.capsule.take());
        Ok(Outcome {
            cqe,
            sqhd_valid,
            data,
            memory,
        })
    }

    fn wait_data(io: &Io, end: Instant) -> Option<(usize, Option<Errno>)> {
        let mut done = lock(&io.done);
        loop {
            if let Some(d) = *done {
                return Some(d);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            let r = io.changed.wait_timeout(done, left);
            done = r.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Sends a command and waits for its end.
    pub fn run(&self, sqe: &[u8; 64], data: Data) -> Outcome {
        self.wait(self.send(sqe, data))
    }

    /// The errors that were reported.
    pub fn errors(&self) -> Vec<Option<Errno>> {
        lock(&self.side.inbox).errors.clone()
    }

    /// Waits until an error is reported.
    pub fn wait_error(&self) -> Option<Errno> {
        let end = Instant::now() + Duration::from_secs(5);
        let mut inbox = lock(&self.side.inbox);
        loop {
            if let Some(e) = inbox.errors.first() {
                return *e;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no error was reported");
            let r = self.side.changed.wait_timeout(inbox, left);
            inbox = r.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Frees the queue pair; commands that have not ended must have their data
    /// given back. Returns how long freeing took.
    pub fn free(self, mut unfinished: Vec<Sent>) -> Duration {
        // A host may give up its capsules before, or leave those of commands
        // without a response to the transport.
        for sent in &mut unfinished {
            if sent.cid % 2 == 0 {
                drop(sent.capsule.take());
            }
        }
        let start = Instant::now();
        self.qp.free(can_sleep());
        let took = start.elapsed();
        lock(&self.side.inbox).freed = true;
        let answered = std::mem::take(&mut lock(&self.side.inbox).responses);
        for mut sent in unfinished {
            if let Some(io) = &sent.io {
                let done = Self::wait_data(io, Instant::now() + Duration::from_secs(7));
                let (_, error) = done.expect("the data callback after the end");
                if !answered.contains_key(&sent.cid) {
                    assert!(error.is_some(), "data of an abandoned command succeeded");
                }
            }
            // The transport gave up our reference of what had no response.
            if !answered.contains_key(&sent.cid) {
                std::mem::forget(sent.capsule.take());
            }
        }
        took
    }
}

fn take_memory(io: &Io) -> Vec<u8> {
    // SAFETY: the callback ran: the memory is ours again.
    unsafe { std::mem::take(&mut *io.memory.get()) }
}
