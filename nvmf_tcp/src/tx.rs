// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Transmission: whoever has something to send sends it, and all that others
//! queue meanwhile; a worker takes over when the socket has no room.
#![forbid(unsafe_code)]

use sys::conn::Conn;
use sys::mbuf::Mbuf;
use sys::sync::{Condvar, Mutex};
use sys::time::{stack_ok, uptime_exact_us};
use sys::xport::{CapList, CapRef};
use sys::{CanSleep, Errno, Result, Wait};

use crate::proto::Role;
use crate::proto::burst::{Burst, HOLD_US, Verdict};
use crate::qpair::Tcp;

/// The worker waits for this much room before it sends part of a large chain.
const LOW_WATER: u32 = 32 * 1024;
/// A peer that takes nothing for this long is gone.
const STALL_MS: u32 = 60_000;
/// PDUs that a peer which does not read can make us hold: it may ask for data
/// in small pieces. Far more than any queue has in flight.
const QUEUED_MAX: u32 = 16 * 1024;
/// How long the worker waits at a time.
const TICK_MS: u32 = 1_000;

/// Who empties the queue.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sender {
    /// Nobody: the queue is empty, or waits as `burst` says.
    Idle,
    /// The thread that found it idle.
    Caller,
    /// The worker: the socket had no room, or the caller no stack.
    Worker,
}

struct State {
    queue: Option<Mbuf>,
    /// Calls that the queue holds the PDUs of.
    queued: u32,
    /// Capsules that could not be made into PDUs without waiting for memory.
    deferred: CapList<Tcp>,
    sender: Sender,
    burst: Burst,
    failed: Option<Errno>,
    stopping: bool,
}

/// The transmit side of a connection.
pub struct Tx {
    state: Mutex<State>,
    /// Signalled for the worker, and when the queue runs empty.
    changed: Condvar,
}

/// What the sender found.
enum Step {
    Done,
    NoRoom(Mbuf),
}

impl Tx {
    /// An idle transmit side of an admin or I/O queue.
    pub fn new(role: Role, admin: bool, wait: Wait<'_>) -> Result<Self> {
        let state = State {
            queue: None,
            queued: 0,
            deferred: CapList::new(),
            sender: Sender::Idle,
            burst: Burst::new(role, admin),
            failed: None,
            stopping: false,
        };
        Ok(Tx {
            state: Mutex::new(c"nvmf/tcp tx buffers", state, wait)?,
            changed: Condvar::new(c"nvtcptx", wait)?,
        })
    }

    /// Queues whole PDUs and sends them if nobody else does, or will: see
    /// [`crate::proto::burst`]; `turn` says that they hold a command, or end
    /// one. Fails once the connection failed; then the PDUs are dropped. Any
    /// context that may enter the network stack.
    #[inline]
    pub fn send(&self, conn: &Conn, pdus: Mbuf, turn: bool) -> Result<()> {
        {
            let mut st = self.state.lock();
            if let Some(e) = st.failed {
                drop(st);
                drop(pdus);
                return Err(e);
            }
            if st.queued >= QUEUED_MAX {
                drop(st);
                drop(pdus);
                self.fail(conn, Errno::ENOBUFS);
                return Err(Errno::ENOBUFS);
            }
            st.queued += 1;
            match &mut st.queue {
                Some(q) => q.append(pdus),
                None => st.queue = Some(pdus),
            }
            let (pdus, bytes) = (st.queued, st.queue.as_ref().map_or(0, Mbuf::len));
            let verdict = st.burst.sent(turn, pdus, bytes);
            if !self.is_due(&mut st, conn, verdict) {
                return Ok(());
            }
        }
        self.pump(conn);
        Ok(())
    }

    /// The receive thread has something to work on.
    #[inline]
    pub fn burst_begins(&self) {
        self.state.lock().burst.begin();
    }

    /// The receive thread has nothing to work on, after `arrived` commands or
    /// ends of commands.
    #[inline]
    pub fn burst_ends(&self, conn: &Conn, arrived: u32) {
        {
            let mut st = self.state.lock();
            let queued = st.queued;
            let verdict = st.burst.end(arrived, queued, uptime_exact_us);
            if !self.is_due(&mut st, conn, verdict) {
                return;
            }
        }
        self.pump(conn);
    }

    /// Nothing waits any longer: the receive thread saw the alarm, or ends.
    #[cold]
    pub fn burst_expired(&self, conn: &Conn) {
        {
            let mut st = self.state.lock();
            st.burst.expired();
            if !self.is_due(&mut st, conn, Verdict::Send) {
                return;
            }
        }
        self.pump(conn);
    }

    /// Whether the caller is to send what is queued.
    #[inline]
    fn is_due(&self, st: &mut State, conn: &Conn, verdict: Verdict) -> bool {
        match verdict {
            Verdict::Wait => false,
            Verdict::WaitWithAlarm => {
                conn.set_alarm(HOLD_US);
                false
            }
            Verdict::Send => st.queue.is_some() && st.sender == Sender::Idle && self.begin(st),
        }
    }

    /// Makes the caller the sender, or the worker if the caller has no stack.
    fn begin(&self, st: &mut State) -> bool {
        if stack_ok() {
            st.sender = Sender::Caller;
            return true;
        }
        st.sender = Sender::Worker;
        self.changed.broadcast();
        false
    }

    /// Leaves a capsule to the worker, which may wait for memory.
    #[cold]
    pub fn defer(&self, cap: CapRef<Tcp>) -> Result<()> {
        let mut st = self.state.lock();
        let r = match st.failed {
            Some(e) => Err(e),
            // Sent twice: the first time counts.
            None => st.deferred.push(cap).map_err(|_| Errno::EBUSY),
        };
        self.changed.broadcast();
        r
    }

    /// Empties the queue as its one sender, or hands it to the worker.
    fn pump(&self, conn: &Conn) {
        loop {
            let chain = {
                let mut st = self.state.lock();
                st.queued = 0;
                if st.burst.flushed() {
                    conn.set_alarm(0);
                }
                match st.queue.take() {
                    Some(chain) => chain,
                    None => {
                        st.sender = Sender::Idle;
                        if st.stopping {
                            self.changed.broadcast();
                        }
                        return;
                    }
                }
            };
            match send_some(conn, chain, Wait::NoWait) {
                Ok(Step::Done) => {}
                Ok(Step::NoRoom(rest)) => {
                    let mut st = self.state.lock();
                    put_back(&mut st, rest);
                    st.sender = Sender::Worker;
                    self.changed.broadcast();
                    return;
                }
                Err(e) => {
                    self.fail(conn, e);
                    return;
                }
            }
        }
    }

    /// The last PDU of this connection: drops what is queued, sends `pdu` and
    /// refuses all that comes later.
    pub fn terminate(&self, conn: &Conn, pdu: Mbuf) {
        let (queue, ours) = {
            let mut st = self.state.lock();
            let ours = st.failed.is_none();
            st.failed.get_or_insert(Errno::ECONNABORTED);
            let queue = st.queue.take();
            // Whoever is sending finishes a PDU first: what it has taken out
            // of the queue is whole PDUs.
            if ours && st.sender != Sender::Idle {
                st.queue = Some(pdu);
                (queue, None)
            } else {
                (queue, ours.then_some(pdu))
            }
        };
        drop(queue);
        if let Some(pdu) = ours {
            let (space, _) = conn.send_space();
            if pdu.len() <= space {
                // A peer that does not read this will see the connection close.
                let _ = conn.send(pdu, false);
            }
        }
    }

    /// The connection is unusable: drops what is queued and tells the receiver.
    pub fn fail(&self, conn: &Conn, error: Errno) {
        let queue = {
            let mut st = self.state.lock();
            st.failed.get_or_insert(error);
            st.sender = Sender::Idle;
            self.changed.broadcast();
            st.queue.take()
        };
        // Outside the lock: freeing mbufs completes I/O.
        drop(queue);
        conn.kick_receive();
    }

    /// Why sending failed, if it did.
    pub fn failure(&self) -> Option<Errno> {
        self.state.lock().failed
    }

    /// The worker's body: sends what callers could not, until [`Tx::stop`];
    /// `retry` sends a deferred capsule.
    pub fn work(&self, conn: &Conn, retry: impl Fn(CapRef<Tcp>), sleep: CanSleep<'_>) {
        loop {
            let chain = {
                let mut st = self.state.lock();
                while !st.stopping && st.sender != Sender::Worker && st.deferred.is_empty() {
                    self.changed.wait(&mut st, sleep);
                }
                if st.stopping {
                    return;
                }
                if let Some(cap) = st.deferred.pop() {
                    drop(st);
                    retry(cap);
                    continue;
                }
                match st.queue.take() {
                    Some(chain) => chain,
                    None => {
                        st.sender = Sender::Idle;
                        continue;
                    }
                }
            };
            if let Err(e) = self.work_on(conn, chain, sleep) {
                self.fail(conn, e);
            }
        }
    }

    fn work_on(&self, conn: &Conn, mut chain: Mbuf, sleep: CanSleep<'_>) -> Result<()> {
        let mut stalled = 0;
        loop {
            let before = chain.len();
            match send_some(conn, chain, sleep.into())? {
                Step::Done => {
                    self.state.lock().queued = 0;
                    return Ok(());
                }
                Step::NoRoom(rest) => {
                    if rest.len() != before {
                        stalled = 0;
                    }
                    let room = rest.len().min(LOW_WATER);
                    if !conn.wait_send(room, TICK_MS, sleep) {
                        stalled += TICK_MS;
                    }
                    let mut st = self.state.lock();
                    if st.stopping {
                        drop(st);
                        drop(rest);
                        return Ok(());
                    }
                    if let Some(e) = st.failed {
                        drop(st);
                        drop(rest);
                        return Err(e);
                    }
                    if stalled >= STALL_MS {
                        return Err(Errno::ETIMEDOUT);
                    }
                    // Take along what was queued meanwhile.
                    put_back(&mut st, rest);
                    match st.queue.take() {
                        Some(all) => chain = all,
                        None => return Ok(()),
                    }
                }
            }
        }
    }

    /// Waits until everything queued was given to the socket; false if it was
    /// not within `ms`.
    pub fn drain(&self, ms: u32, sleep: CanSleep<'_>) -> bool {
        let mut left = ms;
        loop {
            let mut st = self.state.lock();
            if st.failed.is_some() {
                return false;
            }
            if st.sender == Sender::Idle && st.queue.is_none() {
                return true;
            }
            if left == 0 {
                return false;
            }
            let step = left.min(10);
            self.changed.wait_ms(&mut st, step, sleep);
            left -= step;
        }
    }

    /// Ends the worker; nothing more is sent. Returns the capsules that were
    /// left to it.
    pub fn stop(&self, conn: &Conn) -> CapList<Tcp> {
        let (queue, deferred) = {
            let mut st = self.state.lock();
            st.stopping = true;
            st.failed.get_or_insert(Errno::ECONNABORTED);
            self.changed.broadcast();
            let deferred = core::mem::take(&mut st.deferred);
            (st.queue.take(), deferred)
        };
        drop(queue);
        conn.kick_send();
        deferred
    }
}

fn put_back(st: &mut State, mut rest: Mbuf) {
    if let Some(later) = st.queue.take() {
        rest.append(later);
    }
    st.queue = Some(rest);
}

/// Gives the socket as much of a chain as it takes.
fn send_some(conn: &Conn, chain: Mbuf, wait: Wait<'_>) -> Result<Step> {
    let mut chain = chain;
    loop {
        let (space, empty) = conn.send_space();
        if chain.len() <= space {
            conn.send(chain, false)?;
            return Ok(Step::Done);
        }
        // Part of a chain only when it is worth a call, or nothing will change.
        if space == 0 || (space < LOW_WATER && !empty) {
            return Ok(Step::NoRoom(chain));
        }
        match chain.split(space, wait) {
            Ok(Some(rest)) => {
                conn.send(chain, true)?;
                chain = rest;
            }
            Ok(None) => return Ok(Step::NoRoom(chain)),
            // The worker can wait for memory.
            Err(_) => return Ok(Step::NoRoom(chain)),
        }
    }
}
