// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Initialize Connection Responses.

use rawpeer::pdu::{self, Builder, Format, Raw, kind};
use rawpeer::peer::End;

use super::{ANY, PLAIN, cases};
use crate::bench::{Act, agree, answer, icresp};
use crate::case::{Outcome, fail};
use crate::judge::{Seen, Want};
use crate::link::Link;

cases! {
    "icresp.unasked-digest", "15", "TCP 3.3.1.1", "H2CTermReq FES 1 FEI 11: a digest that the host did not ask for", ANY =>
        ("bits", Act::Setup(unasked));
    "icresp.dgst-reserved", "15", "TCP 3.6.2.3", "H2CTermReq FES 1 FEI 11, or ignored: reserved DGST bits", ANY =>
        ("bits", Act::Setup(|l, r| ignored_or(l, icresp(0, (r.header[11] & 3) | 0xfc), Want::Term(&[(1, Some(11))]))));
    "icresp.cpda", "17", "TCP 3.1, 3.3", "H2CTermReq FES 1 FEI 10: CPDA over 31", ANY =>
        ("32", Act::Setup(|l, r| bad(l, icresp(32, r.header[11] & 3), Want::Term(&[(1, Some(10))])))),
        ("255", Act::Setup(|l, r| bad(l, icresp(255, r.header[11] & 3), Want::Term(&[(1, Some(10))]))));
    "icresp.flags", "18", "TCP 3.1, 3.6.2.3", "H2CTermReq FES 1 FEI 1", ANY =>
        ("01h", Act::Setup(|l, r| bad(l, right(r).u8(1, 1), Want::Term(&[(1, Some(1))])))),
        ("80h", Act::Setup(|l, r| bad(l, right(r).u8(1, 0x80), Want::Term(&[(1, Some(1))]))));
    "icresp.hlen", "18", "TCP 3.1, 3.6.2.3", "H2CTermReq FES 1 FEI 2", ANY =>
        ("0", Act::Setup(|l, r| bad(l, right(r).u8(2, 0), Want::Term(&[(1, Some(2))])))),
        ("24", Act::Setup(|l, r| bad(l, right(r).u8(2, 24), Want::Term(&[(1, Some(2))])))),
        ("255", Act::Setup(|l, r| bad(l, right(r).u8(2, 255), Want::Term(&[(1, Some(2))]))));
    "icresp.plen", "18", "TCP 3.1, 3.6.2.3", "H2CTermReq FES 1 FEI 4, from the header alone", ANY =>
        ("0", Act::Setup(|l, r| bad(l, right(r).u32(4, 0), Want::Term(&[(1, Some(4))])))),
        ("127", Act::Setup(|l, r| bad(l, right(r).u32(4, 127), Want::Term(&[(1, Some(4))])))),
        ("2^32 - 1", Act::Setup(|l, r| bad(l, right(r).u32(4, u32::MAX), Want::Term(&[(1, Some(4))]))));
    "icresp.pfv", "18", "TCP 3.1 (unsupported parameter)", "H2CTermReq FES 6 FEI 8", ANY =>
        ("1", Act::Setup(|l, r| bad(l, right(r).u16(8, 1), Want::Term(&[(6, Some(8))])))),
        ("FFFFh", Act::Setup(|l, r| bad(l, right(r).u16(8, 0xffff), Want::Term(&[(6, Some(8))]))));
    "icresp.maxh2cdata", "16", "TCP 3.6.2.3", "H2CTermReq FES 1 or FES 6, FEI 12: MAXH2CDATA 0, no multiple of 4", ANY =>
        ("0", Act::Setup(|l, r| bad(l, right(r).u32(12, 0), Want::Term(&[(1, Some(12)), (6, Some(12))])))),
        ("4097", Act::Setup(|l, r| bad(l, right(r).u32(12, 4097), Want::Term(&[(1, Some(12)), (6, Some(12))]))));
    "icresp.type", "18", "TCP 3.1, 3.3", "a H2CTermReq or the end: another PDU instead of the ICResp", ANY =>
        ("ICReq", Act::Setup(|l, r| bad(l, right(r).u8(0, kind::ICREQ), Want::TermOrEnd))),
        ("CapsuleResp", Act::Setup(|l, _| bad(l, pdu::response(Format::default(), &pdu::cqe(0, 0)), Want::TermOrEnd))),
        ("type FFh", Act::Setup(|l, r| bad(l, right(r).u8(0, 0xff), Want::TermOrEnd)));
    "icresp.termreq", "18", "TCP 3.5", "the end without an answer: C2HTermReq instead of the ICResp", ANY =>
        ("FES 1", Act::Setup(|l, _| { l.send(&pdu::term_req(kind::C2H_TERM, 1, 8, &[0; 8])); Some(l.fate(&[], Want::Silent)) }));
    "icresp.garbage", "18", "TCP 3.1", "a H2CTermReq or the end: bytes that are no PDU", ANY =>
        ("text", Act::Setup(|l, _| { l.send(&b"SSH-2.0-OpenSSH_9.2p1 something that is no controller at all........................................................................"[..]); Some(l.fate(&[], Want::TermOrEnd)) })),
        ("zeros", Act::Setup(|l, _| { l.send(&[0; 512]); Some(l.fate(&[], Want::TermOrEnd)) })),
        ("ones", Act::Setup(|l, _| { l.send(&[0xff; 512]); Some(l.fate(&[], Want::TermOrEnd)) }));
    "icresp.never", "19", "TCP 3.1 (time-out)", "the host gives up by itself", ANY =>
        ("nothing", Act::Setup(|l, _| Some(gives_up(l)))),
        ("half", Act::Setup(|l, r| { let b = right(r).bytes(); l.send(&b[..64]); Some(gives_up(l)) }));
    "icresp.bytewise", "34", "TCP 2", "an ICResp in segments of one byte is taken", ANY =>
        ("bytes", Act::Setup(|l, r| { for b in right(r).bytes() { l.peer().send(&[b]); } agree(l, r, 0, r.header[11] & 3); Some(connects(l)) }));
    "icresp.cpda-honoured", "17", "TCP 3.3, 3.6.2.8", "CPDA 0 to 31 taken, the Connect data aligned so", ANY =>
        ("1", Act::Setup(|l, r| { answer(l, r, 1, r.header[11] & 3); Some(connects(l)) })),
        ("3", Act::Setup(|l, r| { answer(l, r, 3, r.header[11] & 3); Some(connects(l)) })),
        ("15", Act::Setup(|l, r| { answer(l, r, 15, r.header[11] & 3); Some(connects(l)) })),
        ("30", Act::Setup(|l, r| { answer(l, r, 30, r.header[11] & 3); Some(connects(l)) })),
        ("31", Act::Setup(|l, r| { answer(l, r, 31, r.header[11] & 3); Some(connects(l)) }));
    "icresp.leave", "113", "TCP 3.1", "FIN and RST at each step of the set-up do not harm the host", PLAIN =>
        ("FIN at once", Act::Setup(|l, _| { l.peer().close_write(); Some(Ok("FIN".into())) })),
        ("FIN within the ICResp", Act::Setup(|l, r| { let b = right(r).bytes(); l.send(&b[..20]); l.peer().close_write(); Some(Ok("FIN".into())) })),
        ("FIN after the ICResp", Act::Setup(|l, r| { answer(l, r, 0, r.header[11] & 3); l.peer().close_write(); Some(Ok("FIN".into())) })),
        ("FIN after Connect", Act::Setup(|l, r| { answer(l, r, 0, r.header[11] & 3); let _ = connects(l); l.peer().close_write(); Some(Ok("FIN".into())) }));
}

fn right(r: &Raw) -> Builder {
    icresp(0, r.header[11] & 3)
}

/// A digest more than the host asked for; one that asks for both is served.
fn unasked(l: &mut Link, r: &Raw) -> Option<Outcome> {
    let asked = r.header[11] & 3;
    if asked == 3 {
        answer(l, r, 0, asked);
        return None;
    }
    bad(l, icresp(0, !asked & 3), Want::Term(&[(1, Some(11))]))
}

fn bad(l: &mut Link, b: Builder, want: Want<'_>) -> Option<Outcome> {
    l.put(&b);
    Some(l.fate(&b.header[..8], want))
}

/// What may be ignored: the host connects, or refuses as it should.
fn ignored_or(l: &mut Link, b: Builder, or: Want<'_>) -> Option<Outcome> {
    l.put(&b);
    match l.next(l.patience()) {
        Seen::Pdu(r) if r.kind() == kind::CMD => Some(Ok("ignored".into())),
        s => Some(crate::judge::judge(or, &s)),
    }
}

fn connects(l: &mut Link) -> Outcome {
    match l.next(l.patience()) {
        Seen::Pdu(r) => {
            let c = l.command(&r)?;
            match c.icd.len() {
                1024 => Ok("the host connects".into()),
                n => fail(format!("Connect with {n} bytes of data")),
            }
        }
        s => fail(format!("{s} instead of Connect")),
    }
}

/// A bounded wait: ten times what an answer may take, which no host's handshake
/// should.
fn gives_up(l: &mut Link) -> Outcome {
    let start = std::time::Instant::now();
    match l.next(10 * l.patience()) {
        Seen::End(End::Closed | End::Reset) => {
            Ok(format!("the end after {} s", start.elapsed().as_secs()))
        }
        s => match s.term() {
            Some(_) => Ok(format!("{s} after {} s", start.elapsed().as_secs())),
            None => fail(format!("{s} instead of the end")),
        },
    }
}
