// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Data that a controller has asked its host for (TCP 3.4.1.2): R2Ts and the transfer tags that answer them.
//!
//! A table has a fixed number of slots. A request takes one; its index is its transfer tag once its R2T is sent. How
//! many are sent at a time is limited per command by MAXR2T and in all by the table; the rest wait in order. The slots
//! are linked by indices: a list of free ones, used round robin so that a tag rests as long as possible before it
//! names another transfer, a list of waiting ones, and short chains by command of those that are sent.
#![forbid(unsafe_code)]

use core::mem;
use core::ops::DerefMut;

use sys::wire::tcp::{Fes, fei};

use super::fault::{Kind, PduError};
use super::params::{MAX_TTAGS, Params};
use super::pdu::DataPdu;
use super::transfer::{out_of_order, out_of_range};

/// No slot.
const NIL: u16 = u16::MAX;
/// Chains by command.
const CHAINS: usize = 64;

/// One request or none.
#[derive(Debug)]
pub struct Slot<T> {
    /// The next slot of the list that this one is in.
    next: u16,
    state: SlotState<T>,
}

#[derive(Debug)]
enum SlotState<T> {
    Free,
    /// The R2T is not sent yet.
    Waiting(Request<T>),
    /// The R2T is sent.
    Sent {
        req: Request<T>,
        /// Bytes that came.
        got: u32,
        /// A data digest was wrong; the transfer is tracked to its end all the same (F14).
        poisoned: bool,
    },
}

#[derive(Debug)]
struct Request<T> {
    cid: u16,
    /// Offset in the command's data.
    offset: u32,
    len: u32,
    payload: T,
}

impl<T> Slot<T> {
    /// A free slot, to fill a table with.
    pub const fn new() -> Self {
        Self {
            next: NIL,
            state: SlotState::Free,
        }
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// An R2T to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct R2tOut {
    /// CCCID.
    pub cid: u16,
    /// TTAG.
    pub ttag: u16,
    /// R2TO.
    pub offset: u32,
    /// R2TL.
    pub len: u32,
}

/// What the end of an H2CData PDU means.
#[derive(Debug, PartialEq, Eq)]
pub enum H2cEnd<T> {
    /// More is to come.
    More,
    /// All that was asked for came.
    Complete {
        /// What the request carried.
        payload: T,
        /// Bytes asked for.
        len: u32,
        /// Some of them were damaged: the request fails.
        poisoned: bool,
        /// The next R2T to send.
        next: Option<R2tOut>,
    },
}

/// Slots linked in order.
#[derive(Debug)]
struct Fifo {
    head: u16,
    tail: u16,
}

impl Fifo {
    const EMPTY: Self = Self {
        head: NIL,
        tail: NIL,
    };
}

/// The table of a controller's queue pair; `S` is its storage.
#[derive(Debug)]
pub struct Ttags<T, S: DerefMut<Target = [Slot<T>]>> {
    slots: S,
    free: Fifo,
    waiting: Fifo,
    chains: [u16; CHAINS],
    sent: usize,
    /// Slots that `drain` is done with.
    drained: usize,
    max_sent: usize,
    max_r2t: u32,
    maxh2cdata: u32,
}

impl<T, S: DerefMut<Target = [Slot<T>]>> Ttags<T, S> {
    /// A table over slots that are all free, some or all of [`Params::request_slots`].
    pub fn new(slots: S, p: &Params) -> Self {
        let mut t = Self {
            slots,
            free: Fifo::EMPTY,
            waiting: Fifo::EMPTY,
            chains: [NIL; CHAINS],
            sent: 0,
            drained: 0,
            max_sent: MAX_TTAGS,
            max_r2t: p.max_r2t,
            maxh2cdata: p.maxh2cdata,
        };
        t.add_free(0);
        t
    }

    /// Puts the slots from `first` on into the list of free ones.
    fn add_free(&mut self, first: usize) {
        for i in first..self.slots.len().min(usize::from(NIL)) {
            push(&mut self.slots, &mut self.free, i as u16);
        }
    }

    /// Moves to larger storage, whose slots are all free. Returns the storage that is not used any more.
    pub fn grow(&mut self, larger: S) -> S {
        let old = self.slots.len();
        if larger.len() <= old {
            return larger;
        }
        let mut unused = mem::replace(&mut self.slots, larger);
        for (to, from) in self.slots.iter_mut().zip(unused.iter_mut()) {
            mem::swap(to, from);
        }
        self.add_free(old);
        unused
    }

    /// Asks for `len` bytes, not 0, at `offset` of the data of command `cid`. Returns the R2T to send, if it may be sent
    /// now; or `payload` if the table is full.
    pub fn request(
        &mut self,
        cid: u16,
        offset: u32,
        len: u32,
        payload: T,
    ) -> Result<Option<R2tOut>, T> {
        let Some(i) = pop(&mut self.slots, &mut self.free) else {
            return Err(payload);
        };
        let req = Request {
            cid,
            offset,
            len,
            payload,
        };
        // Nobody that waits is overtaken: one that could be sent has been, and one of this command waits only while
        // this one has to, too.
        if self.sent < self.max_sent && self.may_send(cid) {
            return Ok(self.send(i, req));
        }
        if let Some(s) = self.slots.get_mut(usize::from(i)) {
            s.state = SlotState::Waiting(req);
        }
        push(&mut self.slots, &mut self.waiting, i);
        Ok(None)
    }

    /// Judges the header of an H2CData PDU. If it is good, its payload belongs at the offset returned of the memory
    /// that the request was for.
    #[inline]
    pub fn h2c_data(&mut self, d: &DataPdu) -> Result<u32, PduError> {
        if d.datal > self.maxh2cdata {
            return Err(PduError::other(
                Fes::LimitExceeded,
                Kind::DataLimit(d.datal),
            ));
        }
        let slot = self.slots.get_mut(usize::from(d.ttag));
        let Some(Slot {
            state: SlotState::Sent { req, got, .. },
            ..
        }) = slot
        else {
            return Err(PduError::field(fei::TTAG, Kind::UnknownTtag(d.ttag)));
        };
        if d.cccid != req.cid {
            return Err(PduError::field(fei::CCCID, Kind::ForeignTtag(d.ttag)));
        }
        if d.datal != d.payload || d.datal == 0 {
            return Err(PduError::field(fei::DATAL, Kind::DataLength(d.datal)));
        }
        let end = u64::from(d.datao) + u64::from(d.datal);
        let request_end = u64::from(req.offset) + u64::from(req.len);
        if d.datao < req.offset || end > request_end {
            return Err(out_of_range(d.datao, d.datal));
        }
        let at = d.datao - req.offset;
        if at != *got {
            return Err(out_of_order(d.datao, req.offset.saturating_add(*got)));
        }
        if d.last != (end == request_end) {
            return Err(PduError::other(Fes::SequenceError, Kind::LastFlag));
        }
        // Cannot overflow: the end is not beyond that of the request.
        *got = at.saturating_add(d.datal);
        Ok(at)
    }

    /// What the request of an H2CData PDU, whose header was good, carries.
    #[inline]
    pub fn payload_mut(&mut self, ttag: u16) -> Option<&mut T> {
        match self.slots.get_mut(usize::from(ttag)) {
            Some(Slot {
                state: SlotState::Sent { req, .. },
                ..
            }) => Some(&mut req.payload),
            _ => None,
        }
    }

    /// The payload of an H2CData PDU, whose header was good, is complete.
    #[inline]
    pub fn h2c_end(&mut self, d: &DataPdu, digest_ok: bool) -> H2cEnd<T> {
        let i = usize::from(d.ttag);
        let Some(slot) = self.slots.get_mut(i) else {
            return H2cEnd::More;
        };
        let SlotState::Sent { poisoned, .. } = &mut slot.state else {
            return H2cEnd::More;
        };
        *poisoned |= !digest_ok;
        if !d.last {
            return H2cEnd::More;
        }
        let state = mem::replace(&mut slot.state, SlotState::Free);
        let SlotState::Sent { req, poisoned, .. } = state else {
            return H2cEnd::More;
        };
        self.unchain(d.ttag, req.cid);
        self.sent = self.sent.saturating_sub(1);
        push(&mut self.slots, &mut self.free, d.ttag);
        let next = self.send_next();
        H2cEnd::Complete {
            payload: req.payload,
            len: req.len,
            poisoned,
            next,
        }
    }

    /// Takes out any request, when the connection has ended: what it carried and how many bytes came for it. No new one
    /// is accepted from the first call on.
    pub fn drain(&mut self) -> Option<(T, u32)> {
        (self.waiting, self.free, self.sent) = (Fifo::EMPTY, Fifo::EMPTY, 0);
        self.chains = [NIL; CHAINS];
        let rest = self.slots.get_mut(self.drained..)?;
        let skip = rest
            .iter()
            .position(|s| !matches!(s.state, SlotState::Free))?;
        let slot = rest.get_mut(skip)?;
        self.drained += skip + 1;
        match mem::replace(&mut slot.state, SlotState::Free) {
            SlotState::Free => None,
            SlotState::Waiting(req) => Some((req.payload, 0)),
            SlotState::Sent { req, got, .. } => Some((req.payload, got)),
        }
    }

    /// Sends the first waiting request that may be.
    fn send_next(&mut self) -> Option<R2tOut> {
        let (mut prev, mut at) = (NIL, self.waiting.head);
        while at != NIL && self.sent < self.max_sent {
            let Some(Slot {
                next,
                state: SlotState::Waiting(req),
            }) = self.slots.get(usize::from(at))
            else {
                return None;
            };
            let (next, cid) = (*next, req.cid);
            if self.may_send(cid) {
                self.unlink_waiting(prev, at, next);
                let state = mem::replace(
                    &mut self.slots.get_mut(usize::from(at))?.state,
                    SlotState::Free,
                );
                let SlotState::Waiting(req) = state else {
                    return None;
                };
                return self.send(at, req);
            }
            (prev, at) = (at, next);
        }
        None
    }

    fn unlink_waiting(&mut self, prev: u16, at: u16, next: u16) {
        match self.slots.get_mut(usize::from(prev)) {
            Some(p) if prev != NIL => p.next = next,
            _ => self.waiting.head = next,
        }
        if self.waiting.tail == at {
            self.waiting.tail = prev;
        }
    }

    /// Whether MAXR2T allows another R2T for a command.
    fn may_send(&self, cid: u16) -> bool {
        let mut count = 0;
        let mut at = self.chain(cid);
        while let Some(Slot {
            next,
            state: SlotState::Sent { req, .. },
        }) = self.slots.get(usize::from(at))
        {
            count += u32::from(req.cid == cid);
            at = *next;
        }
        count < self.max_r2t
    }

    /// Puts a request in slot `i`, which is in no list, as sent.
    fn send(&mut self, i: u16, req: Request<T>) -> Option<R2tOut> {
        let out = R2tOut {
            cid: req.cid,
            ttag: i,
            offset: req.offset,
            len: req.len,
        };
        let head = self.chains.get_mut(usize::from(req.cid) % CHAINS)?;
        let slot = self.slots.get_mut(usize::from(i))?;
        slot.next = mem::replace(head, i);
        slot.state = SlotState::Sent {
            req,
            got: 0,
            poisoned: false,
        };
        self.sent += 1;
        Some(out)
    }

    fn chain(&self, cid: u16) -> u16 {
        self.chains
            .get(usize::from(cid) % CHAINS)
            .copied()
            .unwrap_or(NIL)
    }

    /// Takes slot `i` out of the chain of its command.
    fn unchain(&mut self, i: u16, cid: u16) {
        let next = self.slots.get(usize::from(i)).map_or(NIL, |s| s.next);
        let mut at = self.chain(cid);
        if at == i {
            if let Some(head) = self.chains.get_mut(usize::from(cid) % CHAINS) {
                *head = next;
            }
            return;
        }
        while let Some(s) = self.slots.get_mut(usize::from(at)) {
            if s.next == i {
                s.next = next;
                return;
            }
            at = s.next;
        }
    }
}

fn push<T>(slots: &mut [Slot<T>], list: &mut Fifo, i: u16) {
    if let Some(s) = slots.get_mut(usize::from(i)) {
        s.next = NIL;
    }
    match slots.get_mut(usize::from(list.tail)) {
        Some(s) if list.tail != NIL => s.next = i,
        _ => list.head = i,
    }
    list.tail = i;
}

fn pop<T>(slots: &mut [Slot<T>], list: &mut Fifo) -> Option<u16> {
    let i = list.head;
    if i == NIL {
        return None;
    }
    list.head = slots.get(usize::from(i)).map_or(NIL, |s| s.next);
    if list.head == NIL {
        list.tail = NIL;
    }
    Some(i)
}

#[cfg(test)]
mod tests;
