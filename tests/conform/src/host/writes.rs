// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! R2Ts, and the H2CData that answers them.

use rawpeer::pdu;

use super::{ANY, BOTH, cases, is_icd_write, is_write, on_read, on_write};
use crate::bench::Act;
use crate::case::{Outcome, Problem, check, fail};
use crate::honest::Honest;
use crate::judge::{Seen, Want};
use crate::link::{Cmd, Link};

cases! {
    "r2t.unknown-cid", "61", "TCP 3.3.2.2, 3.6.2.10", "H2CTermReq FES 1 FEI 8 or FES 2: an R2T for a CID that is not outstanding", BOTH =>
        ("7ABCh", Act::Command(|_, l, c| on_write(l, c, |l, _| l.r2t(0x7abc, 1, 0, 512), CCCID))),
        ("FFFFh", Act::Command(|_, l, c| on_write(l, c, |l, _| l.r2t(0xffff, 1, 0, 512), CCCID)));
    "r2t.for-read", "61", "TCP 3.3.2.2, 3.6.2.10", "H2CTermReq FES 1 FEI 8 or FES 2: an R2T for a read", BOTH =>
        ("read", Act::Command(|_, l, c| on_read(l, c, |l, c| l.r2t(c.cid(), 1, 0, 512), CCCID)));
    "r2t.for-capsule", "61", "TCP 3.3.2.2, 3.6.2.10", "H2CTermReq FES 1 FEI 8 or FES 2: an R2T for data that was in the capsule", ANY =>
        ("write", Act::Command(|_, l, c| for_capsule(l, c)));
    "r2t.completed", "61", "TCP 3.3.2.2", "H2CTermReq FES 1 FEI 8 or FES 2: an R2T for a write that has been answered", ANY =>
        ("write", Act::Command(|_, l, c| completed(l, c)));
    "r2t.higher", "62", "TCP 3.3.2.2", "H2CTermReq FES 2: R2TO beyond what was asked for", BOTH =>
        ("by 4", Act::Command(|_, l, c| on_write(l, c, |l, c| l.r2t(c.cid(), 1, 4, 512), SEQUENCE))),
        ("by 512", Act::Command(|_, l, c| on_write(l, c, |l, c| l.r2t(c.cid(), 1, 512, 512), SEQUENCE)));
    "r2t.lower", "62", "TCP 3.3.2.2", "H2CTermReq FES 2: R2TO that was asked for before", ANY =>
        ("again", Act::Command(|_, l, c| lower(l, c)));
    "r2t.beyond", "63", "TCP 3.3.2.2, 3.6.2.4", "H2CTermReq FES 4, and no data: an R2T for more than the command has", BOTH =>
        ("by 4", Act::Command(|_, l, c| on_write(l, c, |l, c| l.r2t(c.cid(), 1, 0, c.len() + 4), RANGE))),
        ("2^32 - 4", Act::Command(|_, l, c| on_write(l, c, |l, c| l.r2t(c.cid(), 1, 0, u32::MAX - 3), RANGE)));
    "r2t.wrap", "63", "TCP 3.3.2.2, 3.6.2.4 (F2)", "H2CTermReq FES 4, and no byte outside the buffer: R2TO + R2TL that wraps 2^32", ANY =>
        ("to 0", Act::Command(|_, l, c| wrap(l, c, 512, 0))),
        ("to 512", Act::Command(|_, l, c| wrap(l, c, 1024, 512)));
    "r2t.zero", "64", "TCP 3.6.2.10", "H2CTermReq FES 1 FEI 16, FES 2 or FES 4: R2TL 0", ANY =>
        ("zero", Act::Command(|_, l, c| on_write(l, c, |l, c| l.r2t(c.cid(), 1, 0, 0), Want::Term(&[(1, Some(16)), (2, None), (4, None)]))));
    "r2t.limit", "59", "TCP 3.3.2.2", "H2CTermReq FES 5, or every R2T answered in order: more R2Ts than MAXR2T at once", ANY =>
        ("at once", Act::Command(|_, l, c| limit(l, c)));
    "h2cdata.produced", "65", "TCP 3.3.2.2, 3.6.2.8", "at most MAXH2CDATA each, contiguous, LAST_PDU on the last only, the R2T's TTAG, aligned", BOTH =>
        ("one R2T", Act::Command(|h, l, c| produced(h, l, c, &[]))),
        ("R2Ts of 4, 508 and 512 bytes", Act::Command(|h, l, c| produced(h, l, c, &[4, 508, 512])));
    "h2cdata.tags", "65", "TCP 3.6.2.10 (tags are the controller's)", "TTAG 0, FFFFh and repeated ones are used as they are", ANY =>
        ("tags", Act::Command(|_, l, c| tags(l, c)));
}

const CCCID: Want<'_> = Want::Term(&[(1, Some(8)), (2, None)]);
const SEQUENCE: Want<'_> = Want::Term(&[(2, None)]);
const RANGE: Want<'_> = Want::Term(&[(4, None)]);

fn for_capsule(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_icd_write(l, c) {
        return None;
    }
    let b = l.r2t(c.cid(), 1, 0, 512);
    super::offend(l, b, CCCID)
}

fn outcome(r: Result<Outcome, Problem>) -> Option<Outcome> {
    Some(r.unwrap_or_else(Err))
}

fn completed(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_write(l, c) {
        return None;
    }
    outcome((|| {
        l.take_all(c, c.len())?;
        l.respond(c.cid(), 0, 0);
        let b = l.r2t(c.cid(), 1, 0, 512);
        l.put(&b);
        Ok(l.fate(&b.header, CCCID))
    })())
}

fn lower(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_write(l, c) {
        return None;
    }
    outcome((|| {
        let b = l.r2t(c.cid(), 1, 0, 512);
        l.put(&b);
        l.take(c.cid(), 1, 0, 512)?;
        let b = l.r2t(c.cid(), 2, 0, 512);
        l.put(&b);
        Ok(l.fate(&b.header, SEQUENCE))
    })())
}

/// After a good R2T one whose end is inside the buffer only modulo 2^32.
fn wrap(l: &mut Link, c: &Cmd, first: u32, end: u32) -> Option<Outcome> {
    if !is_write(l, c) || c.len() < 2048 {
        return None;
    }
    outcome((|| {
        let b = l.r2t(c.cid(), 1, 0, first);
        l.put(&b);
        l.take(c.cid(), 1, 0, first)?;
        let b = l.r2t(c.cid(), 2, first, end.wrapping_sub(first));
        l.put(&b);
        // Not a byte may come for it.
        let patience = l.patience();
        loop {
            match l.next(patience) {
                Seen::Pdu(r) if r.kind() == pdu::kind::CMD => {}
                Seen::Pdu(r) if r.kind() == pdu::kind::H2C_DATA => {
                    return fail(format!("{} bytes of data for it", r.data.len()));
                }
                s => {
                    let said = crate::judge::judge(RANGE, &s)?;
                    l.peer().close_write();
                    return Ok(Ok(said));
                }
            }
        }
    })())
}

fn limit(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_write(l, c) || l.maxr2t >= 8 || c.len() < (l.maxr2t + 3) * 4 {
        return None;
    }
    let n = l.maxr2t + 3;
    outcome((|| {
        let mut bytes = Vec::new();
        for i in 0..n {
            bytes.extend(l.r2t(c.cid(), i as u16, i * 4, 4).bytes());
        }
        l.send(&bytes);
        // A host may be so quick that no more than MAXR2T were outstanding.
        for i in 0..n {
            let patience = l.patience();
            match l.next(patience) {
                Seen::Pdu(r) if r.kind() == pdu::kind::H2C_DATA => {
                    check(r.u16(10) == i as u16 && r.u32(12) == i * 4, || {
                        format!("H2CData for TTAG {} at {}", r.u16(10), r.u32(12))
                    })?;
                }
                Seen::Pdu(r) if r.kind() == pdu::kind::CMD => {
                    return Ok(Ok("another command came between".into()));
                }
                s => return Ok(crate::judge::judge(Want::Term(&[(5, None)]), &s)),
            }
        }
        Ok(Ok(format!("{n} answered in order")))
    })())
}

fn produced(h: &Honest, l: &mut Link, c: &Cmd, first: &[u32]) -> Option<Outcome> {
    if !is_write(l, c) || c.len() < 2048 {
        return None;
    }
    outcome((|| {
        h.range(c)?;
        let mut at = 0;
        for n in first {
            let b = l.r2t(c.cid(), 9, at, *n);
            l.put(&b);
            l.take(c.cid(), 9, at, *n)?;
            at += n;
        }
        let b = l.r2t(c.cid(), 7, at, c.len() - at);
        l.put(&b);
        l.take(c.cid(), 7, at, c.len() - at)?;
        l.respond(c.cid(), 0, 0);
        let said = l.goes_on()?;
        Ok(Ok(format!("{} bytes as asked for; {said}", c.len())))
    })())
}

fn tags(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_write(l, c) || c.len() < 16 {
        return None;
    }
    outcome((|| {
        let mut at = 0;
        for ttag in [0u16, 0xffff, 0xffff, 0x8000] {
            let b = l.r2t(c.cid(), ttag, at, 4);
            l.put(&b);
            l.take(c.cid(), ttag, at, 4)?;
            at += 4;
        }
        let b = l.r2t(c.cid(), 0, at, c.len() - at);
        l.put(&b);
        l.take(c.cid(), 0, at, c.len() - at)?;
        l.respond(c.cid(), 0, 0);
        Ok(l.goes_on())
    })())
}
