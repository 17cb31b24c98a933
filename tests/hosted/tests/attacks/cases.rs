// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What is sent to either end, and what must come of it.

use std::time::Duration;

use hosted::initiator::{Initiator, Params};
use hosted::pdu::{self, Builder, Format, flag, kind};
use hosted::peer::{Peer, socket_pair};
use hosted::responder::{Responder, Style, opcode};
use sys::Errno;

pub const STORE: usize = 1 << 20;
pub const PROMPT: Duration = Duration::from_secs(2);

pub fn params(n: u8) -> (Params, Format) {
    let p = Params {
        hdgst: n & 1 != 0,
        ddgst: n & 2 != 0,
        maxh2cdata: 8192,
        max_icd: 8192,
        ..Params::default()
    };
    let f = Format {
        hdgst: p.hdgst,
        ddgst: p.ddgst,
        align: 4,
    };
    (p, f)
}

/// A controller of ours and a scripted host.
pub fn controller(p: &Params) -> (Peer, Responder) {
    let (a, b) = socket_pair();
    (Peer::new(a), Responder::new(p, b, Style::default(), STORE))
}

/// A host of ours and a scripted controller.
pub fn host(p: &Params) -> (Peer, Initiator) {
    let (a, b) = socket_pair();
    (Peer::new(b), Initiator::new(p, a))
}

/// What must come of an attack.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// A Terminate Connection Request with this FES and FEI.
    Term(u16, u32),
    /// The connection ends without a word.
    Silent,
}

pub use Fate::{Silent, Term};

pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    pub fate: Fate,
}

#[derive(Default)]
pub struct Cases(pub Vec<Case>);

impl Cases {
    pub fn add(&mut self, name: impl Into<String>, pdu: Builder, fate: Fate) {
        self.raw(name, pdu.bytes(), fate);
    }

    pub fn raw(&mut self, name: impl Into<String>, bytes: Vec<u8>, fate: Fate) {
        self.0.push(Case {
            name: name.into(),
            bytes,
            fate,
        });
    }
}

pub fn write_sqe(cid: u16, len: u32) -> [u8; 64] {
    pdu::sqe(opcode::WRITE, cid, len, false)
}

/// The common header's rules, for any type that `sample` builds.
pub fn header_cases(c: &mut Cases, f: Format, sample: &dyn Fn() -> Builder, to_host: bool) {
    let base = if f.hdgst { flag::HDGST } else { 0 };
    let right = sample().header[2];
    for t in [8, 10, 11, 0x7f, 0xff] {
        c.add(format!("type {t}"), sample().u8(0, t), Term(1, 0));
    }
    for t in [kind::ICREQ, kind::ICRESP] {
        let b = Builder::new(f, t, 0, 128, &[]);
        c.add(format!("Initialize Connection {t}"), b, Term(1, 0));
    }
    let wrong: &[(u8, u8)] = if to_host {
        &[(kind::CMD, 72), (kind::H2C_DATA, 24)]
    } else {
        &[(kind::RESP, 24), (kind::C2H_DATA, 24), (kind::R2T, 24)]
    };
    for &(t, hlen) in wrong {
        let b = Builder::new(f, t, 0, hlen, &[]);
        c.add(format!("type {t} from the wrong side"), b, Term(1, 0));
    }
    for bit in 4..8 {
        let b = sample().u8(1, base | 1 << bit);
        c.add(format!("reserved flag {bit}"), b, Term(1, 1));
    }
    c.add(
        "HDGST flag wrong",
        sample().u8(1, base ^ flag::HDGST),
        Term(1, 1),
    );
    for hlen in (0..=255u8).filter(|&h| h != right) {
        if !f.hdgst || !matches!(hlen, 24 | 72) {
            let b = sample().u8(2, hlen);
            c.add(format!("HLEN {hlen}"), b, Term(1, 2));
        }
    }
    let least = u32::from(right) + if f.hdgst { 4 } else { 0 };
    for plen in [0, 1, 7, 8, least - 1] {
        if !f.hdgst {
            let b = sample().u32(4, plen);
            c.add(format!("PLEN {plen}"), b, Term(1, 4));
        }
    }
    let two = sample().u8(1, base | 0x80).u8(2, 1).u32(4, 0);
    if !f.hdgst {
        c.add("three faults: the lowest counts", two, Term(1, 1));
    } else {
        let digest = hosted::crc::crc32c(&sample().header) ^ 1;
        c.add("bad header digest", sample().bad_hdgst(), Term(3, digest));
    }
}

/// Terminate Connection Requests are never answered.
pub fn term_cases(c: &mut Cases, to_host: bool) {
    let (mine, other) = if to_host {
        (kind::C2H_TERM, kind::H2C_TERM)
    } else {
        (kind::H2C_TERM, kind::C2H_TERM)
    };
    for (fes, len) in [(1, 0), (0, 8), (7, 24), (0xffff, 128)] {
        let data = vec![0x55; len];
        let name = format!("TermReq FES {fes} with {len} bytes");
        c.raw(name, pdu::term_req(mine, fes, 9, &data), Silent);
    }
    c.raw(
        "TermReq from the wrong side",
        pdu::term_req(other, 1, 0, &[]),
        Silent,
    );
    let twist = |at: usize, v: u8| {
        let mut b = pdu::term_req(mine, 1, 0, &[0; 8]);
        b[at] = v;
        b
    };
    c.raw("TermReq with flags", twist(1, 1), Silent);
    c.raw("TermReq with HLEN 8", twist(2, 8), Silent);
    c.raw("TermReq with PDO", twist(3, 24), Silent);
    c.raw("TermReq with PLEN 23", twist(4, 23), Silent);
    c.raw("TermReq with PLEN 153", twist(4, 153), Silent);
    c.raw(
        "TermReq with PLEN 2^32 - 1",
        {
            let mut b = twist(4, 255);
            b[5..8].fill(255);
            b
        },
        Silent,
    );
}

pub fn check_fate(name: &str, peer: &mut Peer, fate: Fate, error: impl FnOnce() -> Option<Errno>) {
    match fate {
        Term(fes, fei) => {
            peer.expect_term(fes, fei);
            assert_eq!(error(), Some(Errno::EBADMSG), "{name}");
        }
        Silent => {
            assert_eq!(error(), Some(Errno::ECONNRESET), "{name}");
        }
    }
}
