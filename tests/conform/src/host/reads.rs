// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! C2HData.

use rawpeer::pdu::{self, Builder, flag};

use super::{ANY, BOTH, DDGST, FLOW, NO_FLOW, cases, is_read, on_read, on_write};
use crate::bench::Act;
use crate::case::Outcome;
use crate::honest::Honest;
use crate::judge::Want;
use crate::link::{Cmd, Link};

cases! {
    "c2hdata.unknown-cid", "66", "TCP 3.3.2.1", "H2CTermReq FES 1 FEI 8: an unknown CCCID", BOTH =>
        ("7ABCh", Act::Command(|_, l, c| on_read(l, c, |l, _| data(l, 0x7abc, 0, 0, 512), CCCID))),
        ("FFFFh", Act::Command(|_, l, c| on_read(l, c, |l, _| data(l, 0xffff, 0, 0, 512), CCCID)));
    "c2hdata.for-write", "66", "TCP 3.3.2.1 (unexpected C2HData)", "H2CTermReq FES 2: data for a write", BOTH =>
        ("write", Act::Command(|_, l, c| on_write(l, c, |l, c| data(l, c.cid(), flag::LAST, 0, 512), Want::Term(&[(2, None)]))));
    "c2hdata.hole", "66", "TCP 3.3.2.1", "H2CTermReq FES 2: DATAO that leaves a hole", BOTH =>
        ("by 4", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), 0, 4, 512), SEQUENCE))),
        ("by 512", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), 0, 512, 256), SEQUENCE)));
    "c2hdata.again", "66", "TCP 3.3.2.1", "H2CTermReq FES 2: data that came before", BOTH =>
        ("again", Act::Command(|_, l, c| after(l, c, |l, c| data(l, c.cid(), 0, 0, 512), |l, c| data(l, c.cid(), 0, 0, 512), SEQUENCE)));
    "c2hdata.beyond", "66", "TCP 3.3.2.1", "H2CTermReq FES 4: data beyond the command's buffer", BOTH =>
        ("end", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::LAST, 0, c.len() as usize + 4), RANGE))),
        ("far", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::LAST, 1 << 30, 512), RANGE)));
    "c2hdata.wrap", "class: integer wrap", "TCP 3.3.2.1", "H2CTermReq FES 4: DATAO + DATAL that wraps 2^32", BOTH =>
        ("to 0", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::LAST, 0u32.wrapping_sub(512), 512), RANGE))),
        ("to 508", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::LAST, u32::MAX - 3, 512), RANGE)));
    "c2hdata.datal", "66", "TCP 3.6.2.9", "H2CTermReq FES 1 FEI 16 or FEI 4: DATAL that is not what PLEN and PDO leave", BOTH =>
        ("less", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), 0, 0, 512).u32(16, 508), DATAL))),
        ("more", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), 0, 0, 512).u32(16, 516), DATAL))),
        ("zero", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), 0, 0, 512).u32(16, 0), DATAL)));
    "c2hdata.huge", "30", "TCP 3.3.2.1, 3.6.2.9", "H2CTermReq FES 4 or FES 1, from the header alone: 3 GiB of data", ANY =>
        ("3 GiB", Act::Command(|_, l, c| on_read(l, c, huge, Want::Term(&[(4, None), (1, None)]))));
    "c2hdata.last-early", "66", "TCP 3.3.2.1, 3.6.2.9", "H2CTermReq FES 2: LAST_PDU before the end", BOTH =>
        ("LAST", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::LAST, 0, 512), SEQUENCE)));
    "c2hdata.last-missing", "66", "TCP 3.3.2.1, 3.6.2.9", "H2CTermReq FES 2: all data without LAST_PDU", BOTH =>
        ("all", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), 0, 0, c.len() as usize), SEQUENCE)));
    "c2hdata.after-last", "66", "TCP 3.3.2.1 (unexpected C2HData)", "H2CTermReq FES 2: data after the PDU with LAST_PDU", BOTH =>
        ("again", Act::Command(|_, l, c| after(l, c, |l, c| data(l, c.cid(), flag::LAST, 0, c.len() as usize), |l, c| data(l, c.cid(), flag::LAST, 0, 512), SEQUENCE)));
    "c2hdata.success-not-last", "67", "TCP 3.3.2.1", "H2CTermReq FES 1 FEI 1: SUCCESS without LAST_PDU", BOTH =>
        ("SUCCESS", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::SUCCESS, 0, 512), Want::Term(&[(1, Some(1))]))));
    "c2hdata.success-flow-control", "67", "TCP 3.3.2.1", "H2CTermReq FES 1 FEI 1: SUCCESS though SQ flow control is on", FLOW =>
        ("SUCCESS", Act::Command(|_, l, c| on_read(l, c, |l, c| data(l, c.cid(), flag::SUCCESS | flag::LAST, 0, c.len() as usize), Want::Term(&[(1, Some(1))]))));
    "c2hdata.success", "67", "TCP 3.3.2.1", "SUCCESS stands for the response, the host goes on", NO_FLOW =>
        ("SUCCESS", Act::Command(success));
    "c2hdata.pieces", "65", "TCP 3.3.2.1", "data in PDUs of 4 bytes to all at once is taken, the host goes on", BOTH =>
        ("4", Act::Command(|h, l, c| pieces(h, l, c, 4))),
        ("60", Act::Command(|h, l, c| pieces(h, l, c, 60))),
        ("4096", Act::Command(|h, l, c| pieces(h, l, c, 4096))),
        ("all", Act::Command(|h, l, c| pieces(h, l, c, 1 << 20)));
    "digest.data-success", "41", "TCP 3.5 (digest error handling) (F13)", "the command fails and the host goes on at once: wrong DDGST in C2HData with SUCCESS", DDGST =>
        ("sole", Act::Command(|h, l, c| damaged(h, l, c, 1, 0, true))),
        ("first of 3", Act::Command(|h, l, c| damaged(h, l, c, 3, 0, true))),
        ("last of 3", Act::Command(|h, l, c| damaged(h, l, c, 3, 2, true)));
    "digest.data-response", "42", "TCP 3.5 (digest error handling) (F14)", "the command fails once and the connection stays: wrong DDGST in C2HData, then a response", DDGST =>
        ("sole", Act::Command(|h, l, c| damaged(h, l, c, 1, 0, false))),
        ("first of 3", Act::Command(|h, l, c| damaged(h, l, c, 3, 0, false))),
        ("last of 3", Act::Command(|h, l, c| damaged(h, l, c, 3, 2, false)));
}

const CCCID: Want<'_> = Want::Term(&[(1, Some(8))]);
const SEQUENCE: Want<'_> = Want::Term(&[(2, None)]);
const RANGE: Want<'_> = Want::Term(&[(4, None)]);
const DATAL: Want<'_> = Want::Term(&[(1, Some(16)), (1, Some(4))]);

fn data(l: &Link, cid: u16, flags: u8, at: u32, n: usize) -> Builder {
    pdu::c2h_data(l.format, flags, cid, at, &vec![0x11; n])
}

fn huge(l: &Link, c: &Cmd) -> Builder {
    let mut b = data(l, c.cid(), 0, 0, 4);
    let over = u32::from(b.header[3]) + if l.format.ddgst { 4 } else { 0 };
    b = b.u32(4, 3 << 30).u32(16, (3 << 30) - over);
    b.data.clear();
    b
}

type Build = fn(&Link, &Cmd) -> Builder;

fn after(l: &mut Link, c: &Cmd, first: Build, then: Build, want: Want<'_>) -> Option<Outcome> {
    if !is_read(l, c) {
        return None;
    }
    let b = first(l, c);
    l.put(&b);
    let b = then(l, c);
    super::offend(l, b, want)
}

fn respond(l: &mut Link, c: &Cmd) {
    l.respond(c.cid(), 0, 0);
}

fn success(h: &Honest, l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_read(l, c) || l.flow_control {
        return None;
    }
    match h.data(c) {
        Ok(d) => {
            let b = pdu::c2h_data(l.format, flag::LAST | flag::SUCCESS, c.cid(), 0, &d);
            l.put(&b);
            Some(l.goes_on())
        }
        Err(e) => Some(Err(e)),
    }
}

fn pieces(h: &Honest, l: &mut Link, c: &Cmd, step: usize) -> Option<Outcome> {
    if !is_read(l, c) {
        return None;
    }
    match h.data(c) {
        Ok(d) => {
            l.send_data(c.cid(), &d, step);
            respond(l, c);
            Some(l.goes_on())
        }
        Err(e) => Some(Err(e)),
    }
}

/// Sends the data of a read in so many PDUs, one of them damaged.
fn damaged(
    h: &Honest,
    l: &mut Link,
    c: &Cmd,
    parts: usize,
    bad: usize,
    success: bool,
) -> Option<Outcome> {
    if !is_read(l, c) || success && l.flow_control {
        return None;
    }
    let d = match h.data(c) {
        Ok(d) => d,
        Err(e) => return Some(Err(e)),
    };
    let step = d.len().div_ceil(parts).next_multiple_of(4);
    let n = d.len().div_ceil(step);
    for (i, p) in d.chunks(step).enumerate() {
        let mut fl = if i + 1 == n { flag::LAST } else { 0 };
        if success && i + 1 == n {
            fl |= flag::SUCCESS;
        }
        let mut b = pdu::c2h_data(l.format, fl, c.cid(), (i * step) as u32, p);
        if i == bad {
            b = b.bad_ddgst();
        }
        l.put(&b);
    }
    if !success {
        respond(l, c);
    }
    Some(l.goes_on())
}
