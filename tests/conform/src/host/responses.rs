// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Response capsules.

use rawpeer::pdu;
use rawpeer::peer::End;

use super::{ANY, FLOW, NO_FLOW, cases, is_io, is_read, is_write};
use crate::bench::Act;
use crate::case::{Outcome, fail};
use crate::honest::Honest;
use crate::judge::{Seen, Want, judge};
use crate::link::{Cmd, Link};
use crate::sqe::{admin, fabrics, nvm};

cases! {
    "response.unknown-cid", "69", "Base 3.3.3.2 (CID); F1", "a H2CTermReq or the end: a response for a CID that is not outstanding", ANY =>
        ("FFFFh", Act::Command(|_, l, c| stray(l, c, 0xffff))),
        ("7ABCh", Act::Command(|_, l, c| stray(l, c, 0x7abc))),
        ("the queue's size", Act::Command(|_, l, c| { let n = l.entries; stray(l, c, n) })),
        ("one less", Act::Command(|_, l, c| { let n = l.entries - 1; if n == c.cid() { None } else { stray(l, c, n) } }));
    "response.twice", "69", "Base 3.3.3.2 (CID)", "a H2CTermReq or the end: two responses for a command", ANY =>
        ("write", Act::Command(|_, l, c| twice(l, c)));
    "response.admin-unknown-cid", "69", "Base 3.3.3.2 (CID)", "a H2CTermReq or the end: a stray response on the admin queue of a live association", ANY =>
        ("FFFFh", Act::Command(|_, l, c| { if l.qid != Some(0) || c.opcode() != admin::KEEP_ALIVE && c.opcode() != admin::ASYNC_EVENT { return None; } l.respond(0x7fff, 0, 0); Some(l.fate(&[], Want::TermOrEnd)) }));
    "response.early-write", "class: completion vs data", "Base 3.3.3.2", "the host goes on: an error before any R2T, and after half of the data", ANY =>
        ("at once", Act::Command(|_, l, c| early(l, c, 0x06, 0))),
        ("after 512 bytes", Act::Command(|_, l, c| early(l, c, 0x06, 512)));
    "response.success-without-data", "68", "TCP 3.3.2.1", "the command fails, and the host goes on or ends the connection: success for a read whose data did not come", ANY =>
        ("none", Act::Command(|_, l, c| no_data(l, c, 0))),
        ("half", Act::Command(|_, l, c| no_data(l, c, 512)));
    "response.error-read", "66", "TCP 3.3.2.1", "the host goes on: an error for a read, before and after data", ANY =>
        ("before", Act::Command(|_, l, c| read_error(l, c, 0))),
        ("after 512 bytes", Act::Command(|_, l, c| read_error(l, c, 512)));
    "response.sqhd", "70", "Base 3.3.3.2 (SQHD)", "a H2CTermReq, the end, or ignored: SQHD out of range with flow control", FLOW =>
        ("FFFEh", Act::Command(sqhd));
    "response.sqhd-ignored", "70", "Base 6.3 (SQHD is reserved without flow control)", "ignored: any SQHD without flow control", NO_FLOW =>
        ("1234h", Act::Command(ignored));
    "response.stale", "117", "Base 3.3.3.2 (CID)", "a H2CTermReq or the end: responses for many CIDs of an earlier association", ANY =>
        ("all", Act::Command(|_, l, c| stale(l, c)));
    "connect.refused", "113", "Base 6.3", "the host gives up that connection: Connect fails", ANY =>
        ("182h", Act::Command(|_, l, c| refuse(l, c, 0x182, 44))),
        ("184h", Act::Command(|_, l, c| refuse(l, c, 0x184, 0))),
        ("186h", Act::Command(|_, l, c| refuse(l, c, 0x186, 0)));
    "connect.wrong-cid", "69", "Base 3.3.3.2 (CID)", "a H2CTermReq or the end: the response to Connect has another CID", ANY =>
        ("another", Act::Command(|_, l, c| { if !is_connect(c) { return None; } l.respond(c.cid() ^ 0x1111, 0, 1); Some(l.fate(&[], Want::TermOrEnd)) }));
    "connect.data", "66", "TCP 3.3.2.1", "a H2CTermReq or the end: data and an R2T in answer to Connect", ANY =>
        ("C2HData", Act::Command(|_, l, c| { if !is_connect(c) { return None; } let b = pdu::c2h_data(l.format, 4, c.cid(), 0, &[1; 64]); l.put(&b); Some(l.fate(&[], Want::TermOrEnd)) })),
        ("R2T", Act::Command(|_, l, c| { if !is_connect(c) { return None; } let b = l.r2t(c.cid(), 1, 0, 1024); l.put(&b); Some(l.fate(&[], Want::TermOrEnd)) }));
    "connect.io-refused", "113", "Base 6.3", "the host gives up or does without: Connect of an I/O queue fails", ANY =>
        ("182h", Act::Command(|_, l, c| refuse_io(l, c)));
}

fn is_connect(c: &Cmd) -> bool {
    c.opcode() == admin::FABRICS && c.sqe[4] == fabrics::CONNECT
}

fn stray(l: &mut Link, c: &Cmd, cid: u16) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    l.respond(cid, 0, 0);
    Some(l.fate(&[], Want::TermOrEnd))
}

fn twice(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_write(l, c) {
        return None;
    }
    if let Err(e) = l.take_all(c, c.len()) {
        return Some(Err(e));
    }
    let mut cqe = pdu::cqe(c.cid(), 0);
    cqe[8..10].copy_from_slice(&l.next_head().to_le_bytes());
    let b = pdu::response(l.format, &cqe).bytes();
    l.send(&[b.clone(), b].concat());
    Some(l.fate(&[], Want::TermOrEnd))
}

fn early(l: &mut Link, c: &Cmd, status: u16, after: u32) -> Option<Outcome> {
    if !is_write(l, c) {
        return None;
    }
    if after != 0 {
        let b = l.r2t(c.cid(), 1, 0, after);
        l.put(&b);
        if let Err(e) = l.take(c.cid(), 1, 0, after) {
            return Some(Err(e));
        }
    }
    l.respond(c.cid(), status, 0);
    Some(l.goes_on())
}

fn no_data(l: &mut Link, c: &Cmd, moved: usize) -> Option<Outcome> {
    if !is_read(l, c) {
        return None;
    }
    if moved != 0 {
        let b = pdu::c2h_data(l.format, 0, c.cid(), 0, &vec![1; moved]);
        l.put(&b);
    }
    l.respond(c.cid(), 0, 0);
    Some(match l.goes_on() {
        Ok(s) => Ok(s),
        // To end the connection is as good.
        Err(_) => l.fate(&[], Want::TermOrEnd),
    })
}

fn read_error(l: &mut Link, c: &Cmd, moved: usize) -> Option<Outcome> {
    if !is_read(l, c) {
        return None;
    }
    if moved != 0 {
        let b = pdu::c2h_data(l.format, 0, c.cid(), 0, &vec![1; moved]);
        l.put(&b);
    }
    l.respond(c.cid(), 0x281, 0);
    Some(l.goes_on())
}

fn flush_like(h: &Honest, l: &mut Link, c: &Cmd) -> bool {
    is_io(l) && (c.opcode() == nvm::FLUSH || is_read(l, c)) && h.range(c).is_ok()
}

fn answer_with(h: &Honest, l: &mut Link, c: &Cmd, head: u16) {
    if is_read(l, c)
        && let Ok(d) = h.data(c)
    {
        l.send_data(c.cid(), &d, 4096);
    }
    let mut cqe = pdu::cqe(c.cid(), 0);
    cqe[8..10].copy_from_slice(&head.to_le_bytes());
    let b = pdu::response(l.format, &cqe);
    l.put(&b);
}

fn sqhd(h: &Honest, l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !flush_like(h, l, c) {
        return None;
    }
    answer_with(h, l, c, 0xfffe);
    Some(match l.goes_on() {
        Ok(_) => Ok("ignored".into()),
        Err(_) => l.fate(&[], Want::TermOrEnd),
    })
}

fn ignored(h: &Honest, l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !flush_like(h, l, c) {
        return None;
    }
    answer_with(h, l, c, 0x1234);
    Some(l.goes_on())
}

fn stale(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    // None of these can be outstanding: the host has sent one command, or
    // few whose CIDs are near.
    for i in 0..16u16 {
        l.respond(c.cid().wrapping_add(0x4000 + i * 64), 0, 0);
    }
    Some(l.fate(&[], Want::TermOrEnd))
}

/// Nothing may come on a queue that was refused.
fn refuse_io(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_connect(c) || c.u16(42) == 0 {
        return None;
    }
    l.respond(c.cid(), 0x182, 42);
    Some(match l.next(l.patience()) {
        Seen::Pdu(r) if r.kind() == pdu::kind::CMD => fail("a command on a queue that was refused"),
        Seen::End(End::Timeout) => Ok("refused, nothing comes".into()),
        s => judge(Want::TermOrEnd, &s),
    })
}

fn refuse(l: &mut Link, c: &Cmd, status: u16, value: u64) -> Option<Outcome> {
    if !is_connect(c) {
        return None;
    }
    l.respond(c.cid(), status, value);
    Some(l.fate(&[], Want::TermOrEnd))
}
