// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A stream of PDUs to a controller's queue pair.
//!
//! The target does what the kernel half does: it takes commands, asks for the data of writes in several requests, sends
//! the data of reads and responses. A model of its own keeps what was asked for; the protocol half must agree with it
//! about every H2CData PDU, and end every request once.
#![forbid(unsafe_code)]

use nvmf_tcp::proto::pdu::DataPdu;
use nvmf_tcp::proto::rx::DataEnd;
use nvmf_tcp::proto::segment::Pieces;
use nvmf_tcp::proto::ttag::H2cEnd;
use nvmf_tcp::proto::{Framing, Pdu, PduError, R2tOut, R2tPdu, Role, Slot, Ttags, sgl};
use nvmft::proto::cid::{CidError, CidTable, cid_words};
use sys::wire::sqe::Direction;
use sys::wire::tcp::fei;
use sys::wire::{Cqe, Sqe, Status};

use crate::input::Input;
use crate::stream::{self, End, Link};

/// The most data that a command moves here.
const MAX_DATA: u32 = 16 << 10;
/// Slots for requests.
const SLOTS: usize = 6;
/// The controller's own queue: more commands than this are refused.
const QUEUE: u32 = 8;

/// Where a request for data is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Sent { ttag: u16, got: u32, damaged: bool },
    Done,
}

/// A request for data, as the model has it.
#[derive(Clone, Copy, Debug)]
struct Move {
    /// What the request carries through the table.
    id: usize,
    cid: u16,
    offset: u32,
    len: u32,
    stage: Stage,
}

struct Controller<'a> {
    link: &'a Link,
    framing: Framing,
    /// Bytes of a request for data.
    chunk: u32,
    cids: CidTable<Vec<u32>>,
    ttags: Ttags<usize, Vec<Slot<usize>>>,
    moves: Vec<Move>,
    next_id: usize,
    /// The command or the request whose data is arriving, and how much of it came.
    current: Option<Pdu>,
    came: u32,
}

impl Controller<'_> {
    fn sent(&self, cid: u16) -> u32 {
        let sent = |m: &&Move| m.cid == cid && matches!(m.stage, Stage::Sent { .. });
        self.moves.iter().filter(sent).count() as u32
    }

    fn live(&self) -> usize {
        let live = |m: &&Move| m.stage != Stage::Done;
        self.moves.iter().filter(live).count()
    }

    /// An R2T is to be sent: for a request that waits, with a tag that is free, and within MAXR2T.
    fn r2t(&mut self, r: &R2tOut, expected: Option<usize>) {
        let same = |m: &Move| {
            m.stage == Stage::Waiting && (m.cid, m.offset, m.len) == (r.cid, r.offset, r.len)
        };
        let i = match expected {
            Some(i) => i,
            None => self.moves.iter().position(same).expect("a request"),
        };
        assert!(same(&self.moves[i]), "{r:?}");
        let taken = |m: &Move| matches!(m.stage, Stage::Sent { ttag, .. } if ttag == r.ttag);
        assert!(!self.moves.iter().any(taken), "{r:?}: tag in use");
        assert!(self.sent(r.cid) < self.link.params.max_r2t, "{r:?}: MAXR2T");
        self.moves[i].stage = Stage::Sent {
            ttag: r.ttag,
            got: 0,
            damaged: false,
        };
        let header = self.framing.r2t(r, self.link.crc());
        let seen = stream::seen_by_peer(self.link, header.as_bytes());
        assert_eq!(
            seen,
            Pdu::R2t(R2tPdu {
                cccid: r.cid,
                ttag: r.ttag,
                r2to: r.offset,
                r2tl: r.len
            })
        );
    }

    /// A response; the command's identifier is free.
    fn respond(&mut self, cid: u16, status: Status) {
        let cqe = Cqe::new(cid, status);
        let header = self.framing.response(&cqe, self.link.crc());
        let seen = stream::seen_by_peer(self.link, header.as_bytes());
        assert_eq!(seen, Pdu::Response { cqe });
        assert!(self.cids.remove(cid));
    }

    fn command(&mut self, sqe: &Sqe, icd: u32, digest_ok: bool) {
        let cid = sqe.cid.get();
        let in_use = self.moves.iter().any(|m| m.cid == cid);
        match self.cids.insert(cid) {
            Ok(()) => assert!(!in_use),
            Err(CidError::Conflict) => {
                assert!(in_use);
                return;
            }
            Err(CidError::QueueFull) => {
                assert_eq!(self.cids.used(), QUEUE);
                return;
            }
        }
        if let Err(e) = sgl::validate(sqe, icd, digest_ok) {
            assert!(!e.status.is_success() && !e.why.is_empty());
            return self.respond(cid, e.status);
        }
        let total = sqe.sgl1.length.get();
        if sgl::is_in_capsule(sqe) {
            assert_eq!(total, icd);
            return self.respond(cid, Status::SUCCESS);
        }
        assert_eq!(icd, 0);
        if total > MAX_DATA {
            return self.respond(cid, Status::DATA_SGL_LENGTH_INVALID);
        }
        match sqe.direction() {
            Direction::HostToController if total != 0 => self.ask(cid, total),
            Direction::ControllerToHost => self.send(cid, total),
            _ => self.respond(cid, Status::SUCCESS),
        }
    }

    /// Asks for all of a command's data at once, in requests of `chunk` bytes.
    fn ask(&mut self, cid: u16, total: u32) {
        let mut offset = 0;
        while offset < total {
            let len = self.chunk.min(total - offset);
            let id = self.next_id;
            self.next_id += 1;
            match self.ttags.request(cid, offset, len, id) {
                Ok(r2t) => {
                    let i = self.moves.len();
                    self.moves.push(Move {
                        id,
                        cid,
                        offset,
                        len,
                        stage: Stage::Waiting,
                    });
                    match r2t {
                        Some(r) => self.r2t(&r, Some(i)),
                        None => assert_eq!(self.sent(cid), self.link.params.max_r2t),
                    }
                }
                Err(payload) => {
                    assert_eq!((payload, self.live()), (id, SLOTS));
                    break;
                }
            }
            offset += len;
        }
        if offset == 0 {
            self.respond(cid, Status::INTERNAL_ERROR);
        }
    }

    /// Sends all of a command's data in two portions, and a response if the data did not stand for it.
    fn send(&mut self, cid: u16, total: u32) {
        let mut success = false;
        let mut next = 0;
        let half = total / 2;
        for (offset, len) in [(0, half), (half, total - half)] {
            let pieces = Pieces::c2h(offset, len, total, &self.link.params).expect("in range");
            success = pieces.sends_success();
            for piece in pieces {
                let header = self.framing.c2h_data(cid, &piece, self.link.crc());
                let seen = stream::seen_by_peer(self.link, header.as_bytes());
                let Pdu::C2hData(d) = seen else {
                    panic!("{seen:?}");
                };
                assert_eq!((d.cccid, d.datao, d.datal), (cid, next, d.payload));
                assert!(d.datal != 0 && d.datal <= self.link.params.max_data);
                next += d.datal;
                assert_eq!(d.last, next == total);
                assert_eq!(d.success, d.last && !self.link.params.sq_flow_control);
            }
        }
        assert_eq!(next, total);
        assert_eq!(success, total != 0 && !self.link.params.sq_flow_control);
        if success {
            assert!(self.cids.remove(cid));
        } else {
            self.respond(cid, Status::SUCCESS);
        }
    }

    /// The request that an H2CData PDU answers if it is as it must be.
    fn answered(&self, d: &DataPdu) -> Option<usize> {
        self.moves.iter().position(|m| match m.stage {
            Stage::Sent { ttag, got, .. } => {
                let end = u64::from(d.datao) + u64::from(d.datal);
                let all = u64::from(m.offset) + u64::from(m.len);
                ttag == d.ttag
                    && m.cid == d.cccid
                    && d.datal == d.payload
                    && d.datal != 0
                    && d.datal <= self.link.params.maxh2cdata
                    && d.datao == m.offset + got
                    && end <= all
                    && d.last == (end == all)
            }
            _ => false,
        })
    }

    fn h2c_end(&mut self, d: &DataPdu, digest_ok: bool) {
        let i = self
            .moves
            .iter()
            .position(|m| matches!(m.stage, Stage::Sent { ttag, .. } if ttag == d.ttag))
            .expect("judged good");
        let m = &mut self.moves[i];
        let Stage::Sent { got, damaged, .. } = &mut m.stage else {
            unreachable!("just found");
        };
        *got += d.payload;
        *damaged |= !digest_ok;
        let (got, damaged, all, id) = (*got, *damaged, m.len, m.id);
        match self.ttags.h2c_end(d, digest_ok) {
            H2cEnd::More => assert!(got < all),
            H2cEnd::Complete {
                payload,
                len,
                poisoned,
                next,
            } => {
                assert_eq!((payload, len, got, poisoned), (id, all, all, damaged));
                self.moves[i].stage = Stage::Done;
                match next {
                    Some(r) => self.r2t(&r, None),
                    None => self.nobody_waits_in_vain(),
                }
                let cid = d.cccid;
                if !self
                    .moves
                    .iter()
                    .any(|m| m.cid == cid && m.stage != Stage::Done)
                {
                    self.moves
                        .retain(|m| m.stage != Stage::Done || m.cid != cid);
                    self.respond(cid, Status::SUCCESS);
                }
            }
        }
    }

    fn nobody_waits_in_vain(&self) {
        for m in &self.moves {
            if m.stage == Stage::Waiting {
                assert_eq!(self.sent(m.cid), self.link.params.max_r2t, "{m:?}");
            }
        }
    }

    /// The connection is gone: every request that is not done comes out once, with the bytes that came for it.
    fn drain(&mut self) {
        let mut left = self.live();
        let mut bytes: u64 = 0;
        while let Some((_, got)) = self.ttags.drain() {
            left = left.checked_sub(1).expect("a request came out twice");
            bytes += u64::from(got);
        }
        assert_eq!(left, 0, "a request is lost");
        let came: u64 = self.moves.iter().fold(0, |sum, m| match m.stage {
            Stage::Sent { got, .. } => sum + u64::from(got),
            _ => sum,
        });
        // The PDU that was cut counts as what its header announced.
        let cut = match self.current {
            Some(Pdu::H2cData(d)) => u64::from(d.payload),
            _ => 0,
        };
        assert_eq!(bytes, came + cut);
        assert!(self.ttags.request(0, 0, 1, 0).is_err());
    }
}

impl stream::Receiver for Controller<'_> {
    fn pdu(&mut self, pdu: &Pdu) -> Result<(), PduError> {
        assert_eq!(self.current, None);
        self.came = 0;
        match pdu {
            Pdu::Command { sqe, icd: 0 } => self.command(sqe, 0, true),
            Pdu::Command { icd, .. } => {
                assert!(*icd <= self.link.params.max_icd);
                self.current = Some(*pdu);
            }
            Pdu::H2cData(d) => {
                let expected = self.answered(d);
                let known = self
                    .moves
                    .iter()
                    .any(|m| matches!(m.stage, Stage::Sent { ttag, .. } if ttag == d.ttag));
                match self.ttags.h2c_data(d) {
                    Ok(at) => {
                        let m = &self.moves[expected.expect("this PDU must be refused")];
                        assert_eq!(at, d.datao - m.offset);
                        self.current = Some(*pdu);
                    }
                    Err(e) => {
                        assert_eq!(expected, None, "refused without reason: {e:?}");
                        if !known && d.datal <= self.link.params.maxh2cdata {
                            assert_eq!(e.fei, fei::TTAG);
                        }
                        return Err(e);
                    }
                }
            }
            other => panic!("{other:?} is not for a controller"),
        }
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) {
        self.came += bytes.len() as u32;
    }

    fn end(&mut self, end: DataEnd) -> Result<(), PduError> {
        match self.current.take() {
            Some(Pdu::Command { sqe, icd }) => {
                assert_eq!(self.came, icd);
                self.command(&sqe, icd, end.digest_ok);
            }
            Some(Pdu::H2cData(d)) => {
                assert_eq!(self.came, d.payload);
                self.h2c_end(&d, end.digest_ok);
            }
            other => panic!("data for {other:?}"),
        }
        Ok(())
    }
}

/// Runs the target and says how the stream ended.
pub fn outcome(bytes: &[u8]) -> End {
    let mut input = Input::new(bytes);
    let link = Link::from_input(Role::Controller, &mut input);
    let chunk = 1 + u32::from(input.u16() % 8192);
    let mut slots = Vec::new();
    slots.resize_with(SLOTS, Slot::new);
    let mut c = Controller {
        link: &link,
        framing: Framing::new(&link.params),
        chunk,
        cids: CidTable::new(vec![0; cid_words(QUEUE)], QUEUE),
        ttags: Ttags::new(slots, &link.params),
        moves: Vec::new(),
        next_id: 0,
        current: None,
        came: 0,
    };
    let end = stream::receive(&link, input.rest(), usize::MAX, &mut c);
    if let End::Fault(..) = end {
        assert_eq!(c.current, None);
    }
    c.drain();
    end
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    outcome(bytes);
}
