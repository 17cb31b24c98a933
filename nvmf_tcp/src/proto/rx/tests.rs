// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The receive state machine: any cutting of the stream gives the same events; digests (cases 38, 39, 43).
#![forbid(unsafe_code)]

extern crate std;

use std::vec;
use std::vec::Vec;

use sys::wire::tcp::Fes;
use sys::wire::{Cqe, Sqe};

use super::*;
use crate::proto::params::Role;
use crate::proto::pdu::HEADER_MAX;
use crate::proto::segment::{Framing, Piece};
use crate::proto::testing::{Rng, all_params, crc32c, crc32c_update, one_in, params, rounds};
use crate::proto::ttag::R2tOut;

#[derive(Clone, Debug, PartialEq)]
enum Event {
    Pdu(Pdu),
    Data(Vec<u8>),
    End(bool),
    Fault(Fault),
}

/// Feeds a stream in pieces of the given lengths, the last one repeated, as the kernel half does.
fn drive(p: &Params, stream: &[u8], cuts: &[usize]) -> (Vec<Event>, State) {
    let mut rx = Rx::new(p);
    let mut events = Vec::new();
    let (mut at, mut arrived, mut cut) = (0, 0, 0);
    let mut need = 1;
    loop {
        let here = &stream[at..arrived];
        let enough = match rx.want() {
            Want::Header => here.len() >= need,
            Want::Skip(_) | Want::Payload(_) => !here.is_empty(),
            Want::Digest => here.len() >= 4,
            Want::Nothing => break,
        };
        if !enough {
            if arrived == stream.len() {
                break;
            }
            arrived = stream.len().min(arrived + cuts[cut.min(cuts.len() - 1)]);
            cut += 1;
            continue;
        }
        match rx.want() {
            Want::Header => match rx.header(&here[..here.len().min(HEADER_MAX)], crc32c) {
                Ok(Progress::Need(n)) => {
                    assert!(n > here.len().min(HEADER_MAX) && n <= HEADER_MAX);
                    need = n;
                }
                Ok(Progress::Pdu { taken, pdu }) => {
                    need = 1;
                    at += taken;
                    events.push(Event::Pdu(pdu));
                }
                Err(f) => events.push(Event::Fault(f)),
            },
            Want::Skip(n) => {
                let n = here.len().min(n as usize);
                at += n;
                rx.skip(n as u32);
            }
            Want::Payload(n) => {
                let piece = &here[..here.len().min(n as usize)];
                at += piece.len();
                match events.last_mut() {
                    Some(Event::Data(d)) => d.extend(piece),
                    _ => events.push(Event::Data(piece.to_vec())),
                }
                let crc = rx.crc().map_or(0, |c| crc32c_update(c, piece));
                events.extend(
                    rx.payload(piece.len() as u32, crc)
                        .map(|e| Event::End(e.digest_ok)),
                );
            }
            Want::Digest => {
                at += 4;
                events.extend(
                    rx.digest(*here.first_chunk().unwrap())
                        .map(|e| Event::End(e.digest_ok)),
                );
            }
            Want::Nothing => unreachable!(),
        }
    }
    (events, rx.state)
}

/// Appends a PDU with the given data, its digest damaged if asked for.
fn put(out: &mut Vec<u8>, header: crate::proto::Header, data: &[u8], damage: bool) {
    out.extend(header.as_bytes());
    out.extend(data);
    if header.data_digest() {
        let d = crc32c(data) ^ u32::from(damage);
        out.extend(d.to_le_bytes());
    }
}

/// A stream of random good PDUs and the events that it makes.
fn stream(p: &Params, rng: &mut Rng, pdus: usize) -> (Vec<u8>, Vec<Event>) {
    let f = Framing::new(p);
    let (mut out, mut events) = (Vec::new(), Vec::new());
    for _ in 0..pdus {
        let len = if rng.chance(3) {
            rng.below(rounds(4000) as u64)
        } else {
            rng.below(40)
        } as u32;
        let data = rng.bytes(len as usize);
        let damage = rng.chance(4);
        let cid = rng.next() as u16;
        let piece = Piece {
            offset: rng.next() as u32,
            len,
            last: rng.chance(2),
            success: false,
        };
        let dp = DataPduOf {
            cid,
            ttag: 0,
            piece,
        };
        let (header, pdu, carries) = match (p.role, rng.below(3)) {
            (Role::Controller, 0) => {
                let sqe = Sqe::read(1, rng.next(), 1);
                (
                    f.command(&sqe, len, crc32c),
                    Pdu::Command { sqe, icd: len },
                    true,
                )
            }
            (Role::Controller, _) => (
                f.h2c_data(cid, 7, &piece, crc32c),
                Pdu::H2cData(DataPduOf { ttag: 7, ..dp }.make()),
                true,
            ),
            (Role::Host, 0) => {
                let cqe = Cqe::new(cid, sys::wire::Status::SUCCESS);
                (f.response(&cqe, crc32c), Pdu::Response { cqe }, false)
            }
            (Role::Host, 1) => {
                let r = R2tOut {
                    cid,
                    ttag: 3,
                    offset: len,
                    len,
                };
                let pdu = super::super::pdu::R2tPdu {
                    cccid: cid,
                    ttag: 3,
                    r2to: len,
                    r2tl: len,
                };
                (f.r2t(&r, crc32c), Pdu::R2t(pdu), false)
            }
            (Role::Host, _) => (
                f.c2h_data(cid, &piece, crc32c),
                Pdu::C2hData(dp.make()),
                true,
            ),
        };
        events.push(Event::Pdu(pdu));
        if carries {
            put(&mut out, header, &data, damage);
            if len != 0 {
                events.push(Event::Data(data));
                events.push(Event::End(!(damage && p.ddgst)));
            }
        } else {
            put(&mut out, header, &[], false);
        }
    }
    (out, events)
}

struct DataPduOf {
    cid: u16,
    ttag: u16,
    piece: Piece,
}

impl DataPduOf {
    fn make(&self) -> super::super::pdu::DataPdu {
        super::super::pdu::DataPdu {
            cccid: self.cid,
            ttag: self.ttag,
            datao: self.piece.offset,
            datal: self.piece.len,
            payload: self.piece.len,
            last: self.piece.last,
            success: false,
        }
    }
}

#[test]
fn case_34_every_cut_gives_the_same_events() {
    let mut rng = Rng::new(34);
    for base in all_params() {
        for pda in [4, 32, 128] {
            let p = Params {
                rxpda: pda,
                txpda: pda,
                ..base
            };
            let (bytes, events) = stream(&p, &mut rng, 5);
            for first in one_in(97, 0..=bytes.len().min(400)) {
                let (got, end) = drive(&p, &bytes, &[first, bytes.len()]);
                assert_eq!(got, events, "cut at {first}");
                assert_eq!(end, State::Header);
            }
            let step = if cfg!(miri) { 11 } else { 1 };
            assert_eq!(drive(&p, &bytes, &[step]).0, events);
        }
    }
}

#[test]
fn random_cuts_of_long_streams() {
    let mut rng = Rng::new(99);
    for round in 0..rounds(200) {
        let base = all_params().nth(round % 8).unwrap();
        let pda = 4 * (1 + rng.below(32)) as u8;
        let p = Params {
            rxpda: pda,
            txpda: pda,
            ..base
        };
        let (bytes, events) = stream(&p, &mut rng, 40);
        let cuts: Vec<usize> = (0..2000).map(|_| 1 + rng.below(300) as usize).collect();
        assert_eq!(drive(&p, &bytes, &cuts).0, events);
    }
}

#[test]
fn cases_39_and_43_a_bad_data_digest_leaves_the_stream_intact() {
    for role in [Role::Host, Role::Controller] {
        let p = params(role, true, true);
        let f = Framing::new(&p);
        let piece = Piece {
            offset: 0,
            len: 5,
            last: true,
            success: false,
        };
        let mut bytes = Vec::new();
        for damage in [true, false] {
            let h = match role {
                Role::Host => f.c2h_data(1, &piece, crc32c),
                Role::Controller => f.command(&Sqe::write(1, 0, 1), 5, crc32c),
            };
            put(&mut bytes, h, b"hello", damage);
        }
        let ends: Vec<_> = drive(&p, &bytes, &[3]).0;
        let ends: Vec<_> = ends
            .iter()
            .filter_map(|e| {
                if let Event::End(ok) = e {
                    Some(*ok)
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(ends, [false, true]);
    }
}

#[test]
fn a_fault_is_the_last_event() {
    let p = params(Role::Controller, false, false);
    let mut bytes = vec![9, 0, 24, 0, 24, 0, 0, 0];
    bytes.extend([0; 100]);
    let (events, state) = drive(&p, &bytes, &[1]);
    assert_eq!(state, State::Ended);
    assert!(
        matches!(events[..], [Event::Fault(Fault::Fatal(e))] if e.fes == Fes::InvalidHeaderField && e.fei == 0)
    );
    let mut rx = Rx::new(&p);
    assert!(rx.header(&bytes[..8], crc32c).is_err());
    assert_eq!(rx.want(), Want::Nothing);
    assert_eq!(
        rx.header(&bytes[..8], crc32c),
        Err(Fault::Silent),
        "nothing comes after a fault"
    );
}

#[test]
fn a_request_to_terminate_ends_the_stream() {
    let p = params(Role::Host, true, true);
    let mut bytes = vec![0; 24];
    (bytes[0], bytes[2], bytes[4], bytes[8]) = (3, 24, 24, 1);
    let (events, state) = drive(&p, &bytes, &[24]);
    assert_eq!(events, [Event::Pdu(Pdu::TermReq { fes: 1, fei: 0 })]);
    assert_eq!(state, State::Ended);
}

#[test]
fn case_30_a_header_never_asks_for_more_than_a_header() {
    let mut rng = Rng::new(30);
    for round in 0..rounds(5_000) {
        let p = all_params().nth(round % 8).unwrap();
        let bytes = rng.bytes(HEADER_MAX);
        let mut rx = Rx::new(&p);
        let mut n = 0;
        while let Ok(Progress::Need(more)) = rx.header(&bytes[..n], crc32c) {
            assert!(more > n && more <= HEADER_MAX);
            n = more;
        }
    }
}

#[test]
fn taking_more_than_wanted_ends_the_connection() {
    let p = params(Role::Controller, false, false);
    let piece = Piece {
        offset: 0,
        len: 5,
        last: true,
        success: false,
    };
    let h = Framing::new(&p).h2c_data(1, 0, &piece, crc32c);
    let mut rx = Rx::new(&p);
    assert!(matches!(
        rx.header(h.as_bytes(), crc32c),
        Ok(Progress::Pdu { taken: 24, .. })
    ));
    assert!(!rx.is_between_pdus());
    assert_eq!(rx.payload(6, 0), None);
    assert_eq!(rx.want(), Want::Nothing);
    for call in 0..3 {
        let mut rx = Rx::new(&p);
        match call {
            0 => rx.skip(1),
            1 => assert_eq!(rx.payload(1, 0), None),
            _ => assert_eq!(rx.digest([0; 4]), None),
        }
        assert_eq!(rx.want(), Want::Nothing);
    }
}
