// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A stream of PDUs from a hostile controller to a host's queue pair.
//!
//! The target keeps a few commands in flight, as the two kernel halves of the host do: `nvmf_tcp` tracks their data,
//! `nvmf` their identifiers. Whatever arrives, each command ends once, none reports success for data that did not come,
//! and no byte outside of a command's data is sent or written.
#![forbid(unsafe_code)]

use core::ops::{Deref, DerefMut};

use nvmf::proto::slots::{self, CidError, Class, Entry, Finished, Progress, Shape, Table};
use nvmf::proto::status::{CcbOutcome, ccb_outcome, is_success};
use nvmf::proto::timeout::Patience;
use nvmf_tcp::proto::fault::Kind;
use nvmf_tcp::proto::pdu::{DataPdu, R2tPdu};
use nvmf_tcp::proto::rx::DataEnd;
use nvmf_tcp::proto::segment::Pieces;
use nvmf_tcp::proto::transfer::C2hEnd;
use nvmf_tcp::proto::{Framing, Outcome, Pdu, PduError, Role, Transfer, sgl};
use sys::wire::{Cqe, IntoBytes, Sqe};

use crate::input::Input;
use crate::stream::{self, End, Link};

/// Commands in flight.
const COMMANDS: u8 = 5;
/// The most that are started, so that an input ends.
const MAX_STARTED: usize = 256;

/// Which way a command's data goes, and how much there is.
#[derive(Clone, Copy, Debug)]
struct Request {
    write: bool,
    len: u32,
}

/// A command as the model has it.
#[derive(Clone, Copy, Debug)]
struct Model {
    kind: Request,
    /// Bytes moved: received, or handed to the socket.
    moved: u32,
    damaged: bool,
    /// The data was given back.
    data_over: bool,
    number: usize,
}

struct Slots(Vec<Entry<usize>>);

impl Deref for Slots {
    type Target = [Entry<usize>];
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Slots {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl slots::Storage<usize> for Slots {
    fn grow(&mut self, len: usize) -> bool {
        self.0.resize_with(len, Entry::default);
        true
    }
}

struct Host<'a> {
    link: &'a Link,
    framing: Framing,
    kinds: [Request; COMMANDS as usize],
    table: Table<usize, Slots>,
    transfers: Vec<Transfer>,
    models: Vec<Option<Model>>,
    started: usize,
    finished: usize,
    /// R2Ts that count as answered only when the next response arrives.
    lazy: bool,
    owed: Vec<u16>,
    current: Option<(DataPdu, u32)>,
}

impl Host<'_> {
    /// Submits a command: its capsule must be one that a controller accepts.
    fn start(&mut self) {
        if self.started == MAX_STARTED {
            return;
        }
        let kind = self.kinds[self.started % self.kinds.len()];
        let number = self.started;
        let has_data = kind.len != 0;
        let data = has_data.then_some(if kind.write {
            slots::Transfer::Write
        } else {
            slots::Transfer::Read(kind.len)
        });
        let cid = self
            .table
            .allocate(Class::Normal, data, Patience::ENDLESS, number)
            .expect("a slot was free");
        self.started += 1;
        assert!(!self.transfers[usize::from(cid)].is_active());

        let mut sqe = if kind.write {
            Sqe::write(1, 0, 1)
        } else {
            Sqe::read(1, 0, 1)
        };
        sqe.cid = cid.into();
        let (sgl, icd) = sgl::describe(kind.write, kind.len, self.link.params.max_icd);
        sqe.sgl1 = sgl;
        assert!(icd == 0 || (icd == kind.len && kind.write));
        assert_eq!(sgl::validate(&sqe, icd, true), Ok(()));
        let header = self.framing.command(&sqe, icd, self.link.crc());
        let seen = stream::seen_by_peer(self.link, header.as_bytes());
        assert_eq!(seen, Pdu::Command { sqe, icd });

        self.transfers[usize::from(cid)] = match (icd, kind.write) {
            (1.., _) => Transfer::settled(),
            (0, true) => Transfer::write(kind.len),
            (0, false) => Transfer::read(kind.len),
        };
        self.models[usize::from(cid)] = Some(Model {
            kind,
            moved: icd,
            damaged: false,
            data_over: !has_data,
            number,
        });
        if let Progress::Finished(f) = self.table.submitted(cid) {
            panic!("command {} ended before it was answered", f.payload);
        }
    }

    /// The data of a command is given back.
    fn data_over(&mut self, cid: u16, transferred: u32, failed: bool) -> Option<Finished<usize>> {
        let m = self.models[usize::from(cid)].as_mut().expect("a command");
        assert!(!m.data_over, "data given back twice");
        m.data_over = true;
        let error = if failed { 5 } else { 0 };
        match self.table.data(cid, transferred as usize, error) {
            Progress::Finished(f) => Some(f),
            Progress::Waiting { .. } => None,
            Progress::Unexpected => panic!("the data of command {cid} was not awaited"),
        }
    }

    /// A response for the layer above, which ends the connection over one that it does not expect.
    fn deliver(&mut self, cqe: &Cqe) -> Result<(), PduError> {
        let cid = cqe.cid.get();
        let expected = self
            .models
            .get(usize::from(cid))
            .is_some_and(Option::is_some);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(cqe.as_bytes());
        match self.table.response(&bytes, true) {
            Ok(Progress::Finished(f)) => self.finish(cid, &f),
            // The data is given back before the response is delivered.
            Ok(other) => panic!("{other:?} after a response"),
            Err(e) => {
                assert!(!expected, "response refused: {e:?}");
                assert_eq!(e == CidError::Invalid, cid >= COMMANDS.into());
                return Err(PduError::response_cid(cid));
            }
        }
        Ok(())
    }

    fn finish(&mut self, cid: u16, f: &Finished<usize>) {
        let m = self.models[usize::from(cid)].take().expect("a command");
        assert_eq!((f.payload, m.data_over), (m.number, true));
        assert!(!self.transfers[usize::from(cid)].is_active());
        let status = u16::from_le_bytes([f.cqe[14], f.cqe[15]]);
        let outcome = ccb_outcome(status, f.data);
        if outcome == CcbOutcome::Complete {
            assert!(is_success(status) && !m.damaged, "{m:?}");
            assert_eq!(m.moved, m.kind.len, "success without all of the data");
        }
        self.finished += 1;
        self.start();
    }

    fn c2h_data(&mut self, d: &DataPdu) -> Result<(), PduError> {
        let model = self.models.get(usize::from(d.cccid)).copied().flatten();
        let Some(t) = self.transfers.get_mut(usize::from(d.cccid)) else {
            return Err(PduError::cccid(d.cccid));
        };
        let good = model.is_some_and(|m| {
            let end = u64::from(d.datao) + u64::from(d.datal);
            !m.kind.write
                && !m.data_over
                && d.datal == d.payload
                && d.datal != 0
                && d.datao == m.moved
                && end <= u64::from(m.kind.len)
                && d.last == (end == u64::from(m.kind.len))
        });
        let judged = t.c2h_data(d);
        assert_eq!(judged.is_ok(), good, "{d:?} {model:?} {judged:?}");
        judged?;
        self.current = Some((*d, 0));
        Ok(())
    }

    fn c2h_end(&mut self, d: &DataPdu, digest_ok: bool) -> Result<(), PduError> {
        let m = self.models[usize::from(d.cccid)]
            .as_mut()
            .expect("judged good");
        m.moved += d.payload;
        m.damaged |= !digest_ok;
        let (moved, damaged, len) = (m.moved, m.damaged, m.kind.len);
        match self.transfers[usize::from(d.cccid)].c2h_end(d, digest_ok) {
            C2hEnd::More => assert!(moved < len),
            C2hEnd::Complete { poisoned, response } => {
                assert_eq!((moved, damaged), (len, poisoned));
                assert_eq!(response.is_some(), d.success);
                assert!(self.data_over(d.cccid, moved, poisoned).is_none());
                if let Some(status) = response {
                    assert_eq!(status.is_success(), !damaged);
                    return self.deliver(&Cqe::new(d.cccid, status));
                }
            }
        }
        Ok(())
    }

    fn response(&mut self, cqe: &Cqe) -> Result<(), PduError> {
        for cid in self.owed.drain(..) {
            self.transfers[usize::from(cid)].r2t_done();
        }
        let cid = cqe.cid.get();
        if let Some(t) = self.transfers.get_mut(usize::from(cid)) {
            let success = cqe.status().is_success();
            let outcome = t.response(success);
            assert!(!t.is_active());
            let model = self.models[usize::from(cid)];
            match (outcome, model) {
                (Outcome::Unknown, None) => {}
                (Outcome::Settled, Some(m)) => {
                    if !m.data_over {
                        let over = self.data_over(cid, m.kind.len, false);
                        assert!(over.is_none());
                    }
                }
                (Outcome::Ended { moved, failed }, Some(m)) => {
                    assert!(!m.data_over && moved <= m.kind.len);
                    assert_eq!(moved, m.moved);
                    let short = !m.kind.write || moved < m.kind.len;
                    assert_eq!(failed, (success && short) || m.damaged);
                    assert!(self.data_over(cid, moved, failed).is_none());
                }
                other => panic!("{other:?}"),
            }
        }
        self.deliver(cqe)
    }

    fn r2t(&mut self, r: &R2tPdu) -> Result<(), PduError> {
        let model = self.models.get(usize::from(r.cccid)).copied().flatten();
        let Some(t) = self.transfers.get_mut(usize::from(r.cccid)) else {
            return Err(PduError::cccid(r.cccid));
        };
        let max_r2t = self.link.params.max_r2t;
        let judged = t.r2t(r, max_r2t);
        let good = model.is_some_and(|m| {
            let in_capsule = m.kind.len <= self.link.params.max_icd;
            let end = u64::from(r.r2to) + u64::from(r.r2tl);
            m.kind.write
                && !in_capsule
                && r.r2tl != 0
                && r.r2to == m.moved
                && end <= u64::from(m.kind.len)
        });
        let outstanding = self.owed.iter().filter(|cid| **cid == r.cccid).count() as u32;
        assert!(outstanding <= max_r2t);
        match judged {
            Ok(()) => assert!(good && outstanding < max_r2t, "{r:?} {model:?}"),
            Err(e) if e.kind == Kind::R2tLimit => assert_eq!(outstanding, max_r2t),
            Err(e) => assert!(!good, "{r:?} {model:?} {e:?}"),
        }
        judged?;

        let mut next = r.r2to;
        for piece in Pieces::h2c(r.r2to, r.r2tl, &self.link.params) {
            let header = self
                .framing
                .h2c_data(r.cccid, r.ttag, &piece, self.link.crc());
            let seen = stream::seen_by_peer(self.link, header.as_bytes());
            let Pdu::H2cData(d) = seen else {
                panic!("{seen:?}");
            };
            assert_eq!((d.cccid, d.ttag, d.datao), (r.cccid, r.ttag, next));
            assert!(d.datal == d.payload && d.datal != 0);
            assert!(d.datal <= self.link.params.maxh2cdata);
            next += d.datal;
            assert_eq!(d.last, next == r.r2to + r.r2tl);
        }
        assert_eq!(next, r.r2to + r.r2tl);
        let m = self.models[usize::from(r.cccid)]
            .as_mut()
            .expect("judged good");
        m.moved = next;
        assert!(
            m.moved <= m.kind.len,
            "bytes outside of the buffer are sent"
        );
        if self.lazy {
            self.owed.push(r.cccid);
        } else {
            t.r2t_done();
        }
        Ok(())
    }

    /// The connection is gone: every command is given up.
    fn abort(&mut self) {
        for cid in 0..u16::from(COMMANDS) {
            let Some(m) = self.models[usize::from(cid)] else {
                continue;
            };
            self.transfers[usize::from(cid)] = Transfer::Idle;
            if !m.data_over {
                assert!(self.data_over(cid, m.moved, true).is_none());
            }
            let Progress::Finished(f) = self.table.abort(cid) else {
                panic!("command {cid} did not end with the connection");
            };
            assert_eq!(f.payload, m.number);
            self.finished += 1;
        }
        assert!(self.table.is_idle());
        assert_eq!(self.finished, self.started);
    }
}

impl stream::Receiver for Host<'_> {
    fn pdu(&mut self, pdu: &Pdu) -> Result<(), PduError> {
        assert_eq!(self.current, None);
        match pdu {
            Pdu::Response { cqe } => self.response(cqe),
            Pdu::C2hData(d) => self.c2h_data(d),
            Pdu::R2t(r) => self.r2t(r),
            other => panic!("{other:?} is not for a host"),
        }
    }

    fn data(&mut self, bytes: &[u8]) {
        let (d, came) = self.current.as_mut().expect("data was announced");
        *came += bytes.len() as u32;
        let len = self.models[usize::from(d.cccid)].map_or(0, |m| m.kind.len);
        assert!(d.datao + *came <= len, "bytes outside of the buffer");
    }

    fn end(&mut self, end: DataEnd) -> Result<(), PduError> {
        let (d, came) = self.current.take().expect("data was announced");
        assert_eq!(came, d.payload);
        self.c2h_end(&d, end.digest_ok)
    }
}

/// Runs the target and says how the stream ended.
pub fn outcome(bytes: &[u8]) -> End {
    let mut input = Input::new(bytes);
    let link = Link::from_input(Role::Host, &mut input);
    let lazy = input.byte() & 1 != 0;
    let kinds = core::array::from_fn(|_| {
        let v = input.u16();
        Request {
            write: v & 1 != 0,
            len: u32::from(v & !3),
        }
    });
    let shape = Shape {
        entries: u32::from(COMMANDS) + 1,
        events: 0,
        sqhd: 0,
        sqtail: 0,
        flow_control: link.params.sq_flow_control,
    };
    let slots = Slots(vec![Entry::default()]);
    let mut host = Host {
        link: &link,
        framing: Framing::new(&link.params),
        kinds,
        table: Table::new(slots, &shape),
        transfers: vec![Transfer::Idle; usize::from(COMMANDS)],
        models: vec![None; usize::from(COMMANDS)],
        started: 0,
        finished: 0,
        lazy,
        owed: Vec::new(),
        current: None,
    };
    for _ in 0..COMMANDS {
        host.start();
    }
    let end = stream::receive(&link, input.rest(), usize::MAX, &mut host);
    host.abort();
    end
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    outcome(bytes);
}
