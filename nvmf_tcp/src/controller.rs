// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The controller's side: received commands, data that is asked for, data that
//! is sent.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicU32, Ordering};

use sys::conn::Conn;
use sys::crc::digest;
use sys::ffi::{NVRS_MORE, NVRS_SUCCESS_SENT};
use sys::log::RateLimit;
use sys::mbuf::Mbuf;
use sys::mem::{KBox, KVec, Passed, SetOnce};
use sys::sync::Mutex;
use sys::wire::{FromBytes, IntoBytes, Sqe};
use sys::xport::{CapRef, CapsuleObj, IoRequest};
use sys::{CanSleep, Errno, Result, Wait, kprint};

use crate::pdu_out;
use crate::proto::pdu::DataPdu;
use crate::proto::segment::Pieces;
use crate::proto::ttag::H2cEnd;
use crate::proto::{Params, PduError, R2tOut, Slot, Ttags, sgl};
use crate::qpair::{Qp, Tcp};
use crate::receiver::End;

/// Generic status codes that [`Controller::send_data`] returns.
const SC_SUCCESS: u32 = 0x00;
const SC_INVALID_FIELD: u32 = 0x02;
const SC_DATA_TRANSFER_ERROR: u32 = 0x04;

static LIMIT: RateLimit = RateLimit::new(5);

/// The in-capsule data of a command.
pub struct Payload {
    len: u32,
    /// Until the last of it was moved.
    chain: Passed<Mbuf>,
    digest_ok: bool,
}

/// What a received command keeps: its in-capsule data.
#[derive(Default)]
pub struct Received {
    payload: SetOnce<Payload>,
}

/// In-capsule data that is arriving.
pub struct Icd {
    sqe: Sqe,
    len: u32,
    chain: Option<Mbuf>,
}

impl Icd {
    /// `len` bytes, which the receive machine has bounded, follow the command.
    pub fn new(sqe: Sqe, len: u32) -> Self {
        Icd {
            sqe,
            len,
            chain: None,
        }
    }

    /// The next bytes.
    pub fn append(&mut self, m: Mbuf) {
        match &mut self.chain {
            Some(c) => c.append(m),
            None => self.chain = Some(m),
        }
    }

    /// The command.
    pub fn sqe(&self) -> Sqe {
        self.sqe
    }

    /// The data, once all of it is there.
    pub fn finish(self, digest_ok: bool) -> Option<Payload> {
        self.chain
            .filter(|c| c.len() == self.len)
            .map(|chain| Payload {
                len: chain.len(),
                chain: Passed::new(chain),
                digest_ok,
            })
    }
}

/// A request of the controller's for data.
struct Pending {
    /// Keeps the command while its data is awaited.
    _cap: CapRef<Tcp>,
    /// Out of here while a PDU's data is arriving.
    io: Option<IoRequest>,
}

type Table = Ttags<Pending, KVec<Slot<Pending>>>;

struct Requests {
    table: KBox<Table>,
    closed: bool,
}

/// What a controller's queue pair keeps.
pub struct Controller {
    requests: Mutex<Requests>,
    /// Slots of the table, and the most that it may have.
    slots: AtomicU32,
    most: u32,
}

/// Slots that a table begins with: a kilobyte of them.
const FIRST_SLOTS: usize = 1024 / size_of::<Slot<Pending>>();

fn sqe_of(cap: &CapsuleObj<Tcp>) -> Option<&Sqe> {
    Sqe::ref_from_bytes(cap.qe()).ok()
}

/// Checks PSDT and SGL of a received command: a generic status code.
pub fn validate(cap: &CapsuleObj<Tcp>) -> u8 {
    let Some(sqe) = sqe_of(cap) else {
        return SC_INVALID_FIELD as u8;
    };
    let payload = cap.shared.payload.get();
    let icd = payload.map_or(0, |p| p.len);
    match sgl::validate(sqe, icd, payload.is_none_or(|p| p.digest_ok)) {
        Ok(()) => 0,
        Err(e) => {
            if LIMIT.allow() {
                kprint!("NVMe/TCP: {} from {}", e.why, cap.qpair().state.peer());
            }
            e.status.sc()
        }
    }
}

/// The data length that a received command names.
pub fn data_len(cap: &CapsuleObj<Tcp>) -> usize {
    sqe_of(cap).map_or(0, |sqe| sqe.sgl1.length.get() as usize)
}

impl Controller {
    /// No requests.
    #[inline(never)]
    pub fn new(p: &Params, wait: Wait<'_>) -> Result<Self> {
        let most = p.request_slots();
        let count = most.min(FIRST_SLOTS);
        let slots = KVec::filled(count, wait, |_| Slot::new())?;
        let requests = Requests {
            table: KBox::new(Ttags::new(slots, p), wait)?,
            closed: false,
        };
        Ok(Controller {
            requests: Mutex::new(c"nvmf/tcp rx buffers", requests, wait)?,
            slots: AtomicU32::new(count as u32),
            most: most as u32,
        })
    }

    fn may_grow(&self) -> bool {
        self.slots.load(Ordering::Relaxed) < self.most
    }

    /// Makes the table large enough for `wanted` requests, as far as it may be.
    #[cold]
    fn grow(&self, wanted: u32, wait: Wait<'_>) -> Result<()> {
        let mut count = self.slots.load(Ordering::Relaxed).max(1);
        while count < wanted.min(self.most) {
            count = count.saturating_mul(2).min(self.most);
        }
        let larger = KVec::filled(count as usize, wait, |_| Slot::new())?;
        let unused = self.requests.lock().table.grow(larger);
        drop(unused);
        self.slots.fetch_max(count, Ordering::Relaxed);
        Ok(())
    }

    /// Asks the host for data; gives `pending` back if that is not possible.
    fn request(
        &self,
        cid: u16,
        offset: u32,
        len: u32,
        pending: Pending,
    ) -> core::result::Result<Option<R2tOut>, (Errno, Pending)> {
        let mut requests = self.requests.lock();
        if requests.closed {
            return Err((Errno::ECONNABORTED, pending));
        }
        requests
            .table
            .request(cid, offset, len, pending)
            .map_err(|pending| (Errno::EBUSY, pending))
    }

    /// Passes a command to the controller.
    pub fn deliver(
        &self,
        qp: &Qp,
        sqe: &Sqe,
        payload: Option<Payload>,
        sleep: CanSleep<'_>,
    ) -> core::result::Result<(), End> {
        let cap = qp
            .new_capsule(sqe.as_bytes(), true, sleep.into())
            .map_err(End::Failed)?;
        // Here is where to wait for memory: a command that was accepted finds
        // a slot for its data.
        if cap.population() > self.slots.load(Ordering::Relaxed) && self.may_grow() {
            self.grow(cap.population(), sleep.into())
                .map_err(End::Failed)?;
        }
        if let Some(p) = payload {
            // A fresh capsule has none.
            let _ = cap.shared.payload.set(p);
        }
        qp.deliver(cap);
        Ok(())
    }

    /// Moves data of a command from the host to where `io` says.
    pub fn receive_data(
        &self,
        qp: &Qp,
        cap: CapRef<Tcp>,
        offset: u32,
        mut io: IoRequest,
    ) -> Result<()> {
        let len = u32::try_from(io.mem.len()).unwrap_or(u32::MAX);
        let Some(sqe) = sqe_of(&cap) else {
            io.cancel();
            return Err(Errno::EINVAL);
        };
        if len == 0 {
            io.complete(0, None);
            return Ok(());
        }
        if sgl::is_in_capsule(sqe) {
            let Some(p) = cap.shared.payload.get() else {
                io.cancel();
                return Err(Errno::EINVAL);
            };
            if !p.digest_ok {
                io.complete(0, Some(Errno::EINTEGRITY));
                return Ok(());
            }
            let Some(chain) = p.chain.take() else {
                io.cancel();
                return Err(Errno::EINVAL);
            };
            let moved = io.mem.copy_from_mbuf(0, &chain, offset, len, None);
            // On a loopback the host waits for these mbufs, elsewhere the
            // network does: they are not kept until the command ends.
            if moved.is_err() || offset.saturating_add(len) < p.len {
                let _ = p.chain.put(chain);
            } else {
                drop(chain);
            }
            match moved {
                Ok(()) => io.complete(len as usize, None),
                Err(e) => io.complete(0, Some(e)),
            }
            return Ok(());
        }
        let cid = sqe.cid.get();
        let pending = Pending {
            _cap: cap.clone(),
            io: Some(io),
        };
        let asked = match self.request(cid, offset, len, pending) {
            // Its data is asked for in several parts.
            Err((Errno::EBUSY, pending)) if self.may_grow() => {
                let wanted = self.slots.load(Ordering::Relaxed).saturating_add(1);
                match self.grow(wanted, Wait::NoWait) {
                    Ok(()) => self.request(cid, offset, len, pending),
                    Err(e) => Err((e, pending)),
                }
            }
            asked => asked,
        };
        match asked {
            Ok(Some(r2t)) => send_r2t(qp, &r2t),
            Ok(None) => {}
            Err((e, mut pending)) => {
                if let Some(io) = pending.io.take() {
                    io.cancel();
                }
                return Err(e);
            }
        }
        Ok(())
    }

    /// Judges an H2CData header.
    pub fn begin_data(&self, _qp: &Qp, pdu: &DataPdu) -> core::result::Result<Placing, PduError> {
        let mut requests = self.requests.lock();
        let at = requests.table.h2c_data(pdu)?;
        let io = requests
            .table
            .payload_mut(pdu.ttag)
            .and_then(|p| p.io.take());
        Ok(Placing {
            io,
            pdu: *pdu,
            next: at,
        })
    }

    /// All data of an H2CData PDU arrived.
    pub fn end_data(
        &self,
        qp: &Qp,
        _conn: &Conn,
        mut placing: Placing,
        digest_ok: bool,
        _sleep: CanSleep<'_>,
    ) -> core::result::Result<(), End> {
        let end = {
            let mut requests = self.requests.lock();
            let end = requests.table.h2c_end(&placing.pdu, digest_ok);
            if let H2cEnd::More = end
                && let Some(p) = requests.table.payload_mut(placing.pdu.ttag)
            {
                p.io = placing.io.take();
            }
            end
        };
        if let H2cEnd::Complete {
            payload,
            len,
            poisoned,
            next,
        } = end
        {
            if let Some(r2t) = next {
                send_r2t(qp, &r2t);
            }
            if let Some(io) = placing.io.take() {
                if poisoned {
                    io.complete(0, Some(Errno::EINTEGRITY));
                } else {
                    io.complete(len as usize, None);
                }
            }
            drop(payload);
        }
        Ok(())
    }

    /// Sends data of a command: a result of `nvmf_send_controller_data`.
    pub fn send_data(&self, qp: &Qp, cap: &CapRef<Tcp>, offset: u32, m: Mbuf) -> u32 {
        let Some(sqe) = sqe_of(cap) else {
            return SC_INVALID_FIELD;
        };
        let total = sqe.sgl1.length.get();
        let params = &qp.state.params;
        let pieces = Pieces::c2h(offset, m.len(), total, params);
        let (Some(pieces), false) = (pieces, sgl::is_in_capsule(sqe)) else {
            return SC_INVALID_FIELD;
        };
        let end = offset.saturating_add(m.len()) == total;
        let success = pieces.sends_success();
        match data_pdus(qp, sqe.cid.get(), pieces, m) {
            // A connection that failed ends the command with it.
            Ok(pdus) => drop(qp.state.send(pdus, end && success)),
            Err(_) => return SC_DATA_TRANSFER_ERROR,
        }
        match (end, success) {
            (false, _) => NVRS_MORE,
            (true, true) => NVRS_SUCCESS_SENT,
            (true, false) => SC_SUCCESS,
        }
    }

    /// The connection is gone: every request ends.
    pub fn abort(&self) {
        loop {
            let drained = {
                let mut requests = self.requests.lock();
                requests.closed = true;
                requests.table.drain()
            };
            let Some((mut pending, got)) = drained else {
                return;
            };
            if let Some(io) = pending.io.take() {
                io.complete(got as usize, Some(Errno::ECONNABORTED));
            }
        }
    }
}

/// Without its R2T a request would wait for ever: the connection ends instead.
fn send_r2t(qp: &Qp, r2t: &R2tOut) {
    let sent =
        pdu_out::r2t(&qp.state.framing, r2t, Wait::NoWait).and_then(|m| qp.state.send(m, true));
    if let Err(e) = sent
        && let Some(conn) = qp.state.conn.enter()
    {
        qp.state.tx.fail(&conn, e);
    }
}

/// C2HData PDUs for `m`.
fn data_pdus(qp: &Qp, cid: u16, mut pieces: Pieces, m: Mbuf) -> Result<Mbuf> {
    let wait = Wait::NoWait;
    let mut rest = Some(m);
    let mut pdus: Option<Mbuf> = None;
    while let Some(mut front) = rest.take() {
        let limit = pieces.limit();
        if front.len() > limit {
            rest = front.split(limit, wait)?;
        }
        let piece = pieces.take_piece(front.len()).ok_or(Errno::EINVAL)?;
        let header = qp.state.framing.c2h_data(cid, &piece, digest);
        let pdu = pdu_out::with_data(&header, front, wait)?;
        match &mut pdus {
            Some(p) => p.append(pdu),
            None => pdus = Some(pdu),
        }
    }
    pdus.ok_or(Errno::EINVAL)
}

/// An H2CData PDU whose data is arriving. Meanwhile its request is out of the
/// table; dropping this aborts it.
pub struct Placing {
    io: Option<IoRequest>,
    pdu: DataPdu,
    /// Where in the request's memory the next byte belongs.
    next: u32,
}

impl Placing {
    /// Whether the PDU is the last for its R2T.
    pub fn ends_request(&self) -> bool {
        self.pdu.last
    }

    /// Copies the first `n` bytes of `buf` to where they belong.
    #[inline]
    pub fn place(&mut self, buf: &Mbuf, n: u32, crc: Option<&mut u32>) -> Result<()> {
        let io = self.io.as_mut().ok_or(Errno::EPROTO)?;
        io.mem.copy_from_mbuf(self.next, buf, 0, n, crc)?;
        self.next = self.next.saturating_add(n);
        Ok(())
    }
}
