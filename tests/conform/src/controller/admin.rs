// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identify, log pages, events, Abort.

use std::time::Duration;

use rawpeer::peer::End;

use super::cases;
use crate::case::{Outcome, Problem, Tally, check, fail};
use crate::conn::{Conn, Reply};
use crate::dial::{Ask, Target};
use crate::judge::{Seen, Want, judge, sc};
use crate::sqe::{Place, admin};

cases! {
    "identify.controller", "108", "Base 5.17.2.1", "the fields that NVMe/TCP needs: SUBNQN, CNTLID as in Connect, IOCCSZ at least 4, IORCSZ 1, ICDOFF 0, SGLS, MAXCMD, KAS"
        => controller;
    "identify.namespace-list", "108", "Base 5.17.2.2", "NSIDs ascend, each is from 1 to NN, and what follows them is zero"
        => list;
    "identify.list-nsid", "108", "Base 5.17.2.2", "status 00bh: the list from FFFFFFFEh and FFFFFFFFh on"
        => list_nsid;
    "identify.descriptors", "108", "Base 5.17.2.3", "identification descriptors of known types and their lengths, then zeros"
        => descriptors;
    "identify.nsid", "class: count vs index", "Base 5.17", "status 00bh: NSID 0, NN + 1, FFFFFFF0h (NN + 1 and more may also give 00bh only)"
        => nsid;
    "identify.cns", "108", "Base 5.17", "status 002h: a CNS that does not exist"
        => cns;
    "identify.length", "50", "Base 4.1.2; status Data SGL Length Invalid", "an error, or no more data than the SGL: 0, 4, 512, 4092 bytes"
        => length;
    "log.pages", "103", "Base 5.16.1", "Error, SMART and Firmware Slot logs are there"
        => pages;
    "log.offset-unaligned", "103", "Base 5.16", "status 002h: LPOL that is no multiple of 4"
        => unaligned;
    "log.numd-huge", "103", "Base 5.16 (F8)", "an error, a TermReq or the end, and no memory taken: NUMD 2^32 - 1"
        => numd;
    "log.offset-beyond", "103", "Base 5.16", "status 002h: an offset beyond the page"
        => beyond;
    "log.unknown", "104", "Base 5.16", "status 109h or 002h: a page that does not exist"
        => unknown;
    "abort.unknown", "106", "Base 5.1", "success with bit 0 set: nothing was aborted"
        => abort_unknown;
    "abort.event-request", "106", "Base 5.1", "bit 0 clear and the request aborted, or bit 0 set and the request outstanding"
        => abort_event;
    "abort.limit", "106", "Base 5.1, 5.17.2.1 (ACL)", "more Aborts than ACL + 1 at once: each gets success or status 103h"
        => abort_limit;
    "event.limit", "107", "Base 5.2", "AERL + 1 requests are kept, one more gets status 105h"
        => event_limit;
    "admin.opcode", "102", "Base 3.3.3.2.1", "status 001h: opcodes that do not exist"
        => opcodes;
    "admin.fused", "110", "Base 3.4.2", "status 002h or 001h: FUSE that is not 0 on the admin queue"
        => fused;
    "admin.reserved-bytes", "class: uninitialised reply bytes (CVE-2024-41079)", "Base 3.3.3.2", "dword 1 and reserved bytes of responses are zero"
        => reserved;
    "admin.cid-in-use", "class: duplicate CID", "Base 3.3.3.1 (CID), status Command ID Conflict", "status 003h for the second, or both kept; and the queue lives"
        => cid_in_use;
    "admin.before-enable", "89", "Base 3.5 (only Fabrics commands before CSTS.RDY)", "an error: Identify before CC.EN"
        => before_enable;
    "admin.keep-alive", "100", "Base 5.18", "success, with a Keep Alive Timeout"
        => keep_alive;
    "admin.keep-alive-expires", "100", "Base 3.9, NVMe-oF", "KATO 1 s without commands: the association ends, and the controller survives"
        => expires;
}

fn open(t: &Target) -> Result<Conn, Problem> {
    t.admin(&Ask::default())
}

fn controller(t: &Target) -> Outcome {
    let mut c = open(t)?;
    let id = c.identify(1, 0)?;
    let u16_at = |at: usize| u16::from_le_bytes([id[at], id[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
    check(u16_at(78) == c.cntlid, || {
        format!("CNTLID {} in Identify, {} in Connect", u16_at(78), c.cntlid)
    })?;
    let name: Vec<u8> = id[768..1024]
        .iter()
        .copied()
        .take_while(|b| *b != 0)
        .collect();
    check(name == t.subnqn.as_bytes(), || {
        format!("SUBNQN {:?}", String::from_utf8_lossy(&name))
    })?;
    check(u32_at(1792) >= 4, || format!("IOCCSZ {}", u32_at(1792)))?;
    check(u32_at(1796) == 1, || format!("IORCSZ {}", u32_at(1796)))?;
    check(u16_at(1800) == 0, || format!("ICDOFF {}", u16_at(1800)))?;
    let sgls = u32_at(536);
    check(sgls & 3 != 0 && sgls >> 20 & 1 != 0, || {
        format!("SGLS {sgls:#x} without SGLs, in-capsule offsets or transport SGLs")
    })?;
    check(u16_at(514) != 0, || "MAXCMD is 0".into())?;
    check(u16_at(320) != 0, || "KAS is 0: no Keep Alive".into())?;
    check(id[512] & 15 == 6 && id[513] & 15 == 4, || {
        format!("SQES {:#x}, CQES {:#x}", id[512], id[513])
    })?;
    Ok(format!(
        "IOCCSZ {}, MAXCMD {}, VWC {:#x}, SGLS {sgls:#x}",
        u32_at(1792),
        u16_at(514),
        id[525]
    ))
}

fn list(t: &Target) -> Outcome {
    let mut c = open(t)?;
    let nn = t.survey()?.u32(516);
    let page = c.identify(2, 0)?;
    let ids: Vec<u32> = page
        .chunks(4)
        .map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]))
        .collect();
    let n = ids.iter().position(|i| *i == 0).unwrap_or(ids.len());
    check(ids[..n].is_sorted_by(|a, b| a < b), || {
        "the list does not ascend".into()
    })?;
    check(ids[..n].iter().all(|i| *i <= nn), || {
        format!("an NSID beyond NN {nn}")
    })?;
    check(ids[n..].iter().all(|i| *i == 0), || {
        "bytes after the list that are not zero".into()
    })?;
    Ok(format!("{n} namespaces, NN {nn}"))
}

fn identify(c: &mut Conn, cns: u32, nsid: u32, len: u32) -> Result<Reply, Problem> {
    let s = c.sqe(admin::IDENTIFY, nsid, len, Place::Buffer).cdw10(cns);
    c.run(s, &[])
}

fn list_nsid(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for nsid in [u32::MAX - 1, u32::MAX] {
        let r = identify(&mut c, 2, nsid, 4096)?;
        let want = [sc::INVALID_NAMESPACE, sc::INVALID_FIELD];
        tally.add(format!("NSID {nsid:#x}"), r.must_be(&want))?;
    }
    tally.outcome()
}

fn descriptors(t: &Target) -> Outcome {
    let Some(d) = t.survey()?.disk else {
        return crate::case::skip("the controller has no active namespace");
    };
    let mut c = open(t)?;
    let page = c.identify(3, d.nsid)?;
    let (mut at, mut n) = (0usize, 0);
    while at + 4 <= page.len() && page[at] != 0 {
        let (kind, len) = (page[at], usize::from(page[at + 1]));
        let right = match kind {
            1 => 8,
            2 | 3 => 16,
            4 => 1,
            _ => len,
        };
        check(len == right && at + 4 + len <= page.len(), || {
            format!("a descriptor of type {kind} and length {len}")
        })?;
        check(page[at + 2..at + 4] == [0; 2], || {
            "reserved bytes of a descriptor are not zero".into()
        })?;
        at += 4 + len;
        n += 1;
    }
    check(n != 0, || "no descriptor".into())?;
    check(page[at..].iter().all(|b| *b == 0), || {
        "bytes after the list that are not zero".into()
    })?;
    Ok(format!("{n} descriptors"))
}

fn nsid(t: &Target) -> Outcome {
    let nn = t.survey()?.u32(516);
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for (cns, nsid) in [
        (0u32, 0u32),
        (0, nn.saturating_add(1)),
        (0, 0xffff_fff0),
        (3, 0),
        (3, nn.saturating_add(1)),
        (3, 0xffff_fff0),
    ] {
        let r = identify(&mut c, cns, nsid, 4096)?;
        // A namespace that is valid and not active is all zeros.
        let want = [sc::INVALID_NAMESPACE, sc::INVALID_FIELD];
        tally.add(format!("CNS {cns}, NSID {nsid:#x}"), r.must_be(&want))?;
    }
    tally.outcome()
}

fn cns(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for v in [0x1f, 0x7f, 0xc0, 0xff] {
        let r = identify(&mut c, v, 0, 4096)?;
        tally.add(format!("CNS {v:#x}"), r.must_be(&[sc::INVALID_FIELD]))?;
    }
    tally.outcome()
}

fn length(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for len in [0u32, 4, 512, 4092] {
        // The connection refuses data beyond the SGL.
        let r = identify(&mut c, 1, 0, len)?;
        let said = if r.status() != 0 {
            format!("status {:03x}h", r.status())
        } else {
            check(r.data.len() <= len as usize, || {
                format!("{} bytes for {len}", r.data.len())
            })?;
            "no more than asked for".into()
        };
        tally.add(format!("{len} bytes"), Ok(said))?;
    }
    c.identify(1, 0)?;
    tally.outcome()
}

fn log(c: &mut Conn, lid: u8, numd: u32, at: u64, len: u32) -> Result<Reply, Problem> {
    let s = c
        .sqe(admin::GET_LOG, u32::MAX, len, Place::Buffer)
        .cdw10(numd << 16 | u32::from(lid))
        .cdw11(numd >> 16)
        .set(48, &at.to_le_bytes());
    c.run(s, &[])
}

fn pages(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for (name, lid, len) in [
        ("Error", 1u8, 64u32),
        ("SMART", 2, 512),
        ("Firmware", 3, 512),
    ] {
        let r = log(&mut c, lid, len / 4 - 1, 0, len)?;
        let said = r.must_be(&[0]).and_then(|s| {
            check(r.data.len() == len as usize, || {
                format!("{} of {len} bytes", r.data.len())
            })?;
            Ok(s)
        });
        tally.add(name, said)?;
    }
    tally.outcome()
}

fn unaligned(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for at in [1, 2, 3, 510] {
        let r = log(&mut c, 2, 3, at, 16)?;
        tally.add(format!("offset {at}"), r.must_be(&[sc::INVALID_FIELD]))?;
    }
    tally.outcome()
}

fn numd(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for lid in [1u8, 2, 3, 4, 5] {
        let mut c = open(t)?;
        let s = c
            .sqe(admin::GET_LOG, u32::MAX, u32::MAX - 3, Place::Buffer)
            .cdw10(0xffff_0000 | u32::from(lid))
            .cdw11(0xffff);
        c.submit(s, &[]);
        tally.add(format!("page {lid}"), c.fate(&[], Want::Refusal))?;
    }
    tally.outcome()
}

fn beyond(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for (lid, at) in [(2u8, 512u64), (3, 1 << 20), (2, u64::MAX - 3)] {
        let r = log(&mut c, lid, 3, at, 16)?;
        let name = format!("page {lid}, offset {at:#x}");
        tally.add(name, r.must_be(&[sc::INVALID_FIELD]))?;
    }
    tally.outcome()
}

fn unknown(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for lid in [0x6fu8, 0xbe, 0xff] {
        let r = log(&mut c, lid, 3, 0, 16)?;
        let want = [sc::INVALID_LOG_PAGE, sc::INVALID_FIELD];
        tally.add(format!("page {lid:#x}"), r.must_be(&want))?;
    }
    tally.outcome()
}

fn abort(c: &mut Conn, sqid: u16, cid: u16) -> Result<Reply, Problem> {
    let s = c
        .sqe(admin::ABORT, 0, 0, Place::Buffer)
        .u16(40, sqid)
        .u16(42, cid);
    c.run(s, &[])
}

fn abort_unknown(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for (sqid, cid) in [(0, 0x7abc), (1, 1), (0xffff, 0xffff)] {
        let r = abort(&mut c, sqid, cid)?;
        let said = r.must_be(&[0]).and_then(|s| {
            check(r.dword() & 1 == 1, || "bit 0 is clear".into())?;
            Ok(format!("{s}, bit 0 set"))
        });
        tally.add(format!("queue {sqid}, CID {cid:#x}"), said)?;
    }
    tally.outcome()
}

fn abort_event(t: &Target) -> Outcome {
    let mut c = open(t)?;
    let e = c.sqe(admin::ASYNC_EVENT, 0, 0, Place::Buffer);
    c.submit(e, &[]);
    let s = c
        .sqe(admin::ABORT, 0, 0, Place::Buffer)
        .u16(40, 0)
        .u16(42, e.cid());
    c.submit(s, &[]);
    let (mut aborted, mut bit) = (false, None);
    while bit.is_none() {
        match c.seen() {
            Seen::Pdu(r) if r.header.len() == 24 && r.u16(20) == e.cid() => {
                judge(Want::Error, &Seen::Pdu(r))?;
                aborted = true;
            }
            Seen::Pdu(r) if r.header.len() == 24 && r.u16(20) == s.cid() => {
                judge(Want::Status(&[0]), &Seen::Pdu(r.clone()))?;
                bit = Some(r.u32(8) & 1);
            }
            s => return fail(format!("{s} instead of a response")),
        }
    }
    if bit == Some(0) && !aborted {
        let seen = c.seen();
        judge(Want::Error, &seen)?;
        aborted = true;
    }
    check(aborted == (bit == Some(0)), || {
        format!("aborted: {aborted}, bit 0: {bit:?}")
    })?;
    Ok(if aborted {
        "aborted"
    } else {
        "not aborted, bit 0 set"
    }
    .into())
}

fn abort_limit(t: &Target) -> Outcome {
    let n = usize::from(t.survey()?.id[258]).min(16) + 8;
    let mut c = open(t)?;
    let mut asked = Vec::new();
    for _ in 0..n {
        let s = c
            .sqe(admin::ABORT, 0, 0, Place::Buffer)
            .u16(40, 0)
            .u16(42, 0x7abc);
        c.submit(s, &[]);
        asked.push(s.cid());
    }
    let mut done = 0;
    while !asked.is_empty() {
        let seen = c.seen();
        judge(Want::Status(&[0, sc::ABORT_LIMIT]), &seen)?;
        if let Seen::Pdu(r) = &seen {
            done += usize::from(seen.status() == Some(0));
            let at = asked.iter().position(|cid| *cid == r.u16(20));
            match at {
                Some(i) => asked.swap_remove(i),
                None => return fail(format!("a response for CID {}", r.u16(20))),
            };
        }
    }
    Ok(format!("{done} of {n} were taken"))
}

fn event_limit(t: &Target) -> Outcome {
    let aerl = u32::from(t.survey()?.id[259]);
    let mut c = open(t)?;
    let mut kept = Vec::new();
    for _ in 0..=aerl {
        let s = c.sqe(admin::ASYNC_EVENT, 0, 0, Place::Buffer);
        c.submit(s, &[]);
        kept.push(s.cid());
    }
    match c.seen_within(Duration::from_millis(200)) {
        Seen::End(End::Timeout) => {}
        s => return fail(format!("{s} within AERL + 1 = {} requests", aerl + 1)),
    }
    let s = c.sqe(admin::ASYNC_EVENT, 0, 0, Place::Buffer);
    let said = c.run(s, &[])?.must_be(&[sc::AER_LIMIT])?;
    Ok(format!("{} kept, then {said}", kept.len()))
}

fn opcodes(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    for opcode in [0x03u8, 0x07, 0x0b, 0x20, 0x3c, 0xc0, 0xf3, 0xff] {
        let s = c.sqe(opcode, 0, 0, Place::Buffer);
        let r = c.run(s, &[])?.must_be(&[sc::INVALID_OPCODE]);
        tally.add(format!("opcode {opcode:#04x}"), r)?;
    }
    tally.outcome()
}

fn fused(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for fuse in [1u8, 2, 3] {
        let mut c = open(t)?;
        let s = c
            .sqe(admin::KEEP_ALIVE, 0, 0, Place::Buffer)
            .u8(1, 0x40 | fuse);
        let want = [sc::INVALID_FIELD, sc::INVALID_OPCODE];
        tally.add(format!("FUSE {fuse}"), c.run(s, &[])?.must_be(&want))?;
    }
    tally.outcome()
}

fn reserved(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = open(t)?;
    let keep = c.sqe(admin::KEEP_ALIVE, 0, 0, Place::Buffer);
    let bad = c.sqe(0xc0, 0, 0, Place::Buffer);
    let feature = c
        .sqe(admin::SET_FEATURES, 0, 0, Place::Buffer)
        .cdw10(0xb)
        .cdw11(0);
    for (name, s, zero) in [
        ("Keep Alive", keep, 0..8),
        ("an opcode that does not exist", bad, 0..8),
        ("Set Features", feature, 4..8),
    ] {
        let r = c.run(s, &[])?;
        let said = check(r.cqe[zero].iter().all(|b| *b == 0), || {
            format!("{:02x?}", &r.cqe[..8])
        })
        .and_then(|()| {
            check(r.cqe[10..12] == [0; 2], || {
                format!("SQID {:02x?}", &r.cqe[10..12])
            })?;
            Ok("zero".into())
        });
        tally.add(name, said)?;
    }
    tally.outcome()
}

fn cid_in_use(t: &Target) -> Outcome {
    let mut c = open(t)?;
    let s = c.sqe(admin::ASYNC_EVENT, 0, 0, Place::Buffer);
    c.submit(s, &[]);
    c.submit(s, &[]);
    let said = match c.seen_within(Duration::from_millis(300)) {
        Seen::End(End::Timeout) => "both kept".to_owned(),
        seen => judge(Want::Status(&[sc::CID_CONFLICT]), &seen)?,
    };
    c.works()?;
    Ok(said)
}

fn before_enable(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::default())?;
    let s = c.sqe(admin::IDENTIFY, 0, 4096, Place::Buffer).cdw10(1);
    c.submit(s, &[]);
    judge(Want::Error, &c.seen())
}

fn keep_alive(t: &Target) -> Outcome {
    let mut c = with_kato(t, 60_000)?;
    c.ping()?.must_be(&[0])
}

/// The admin queue of a controller with a Keep Alive Timeout.
fn with_kato(t: &Target, ms: u32) -> Result<Conn, Problem> {
    let ask = Ask::default();
    let mut c = t.initialize(&ask)?;
    let sqe = t.connect_sqe(&mut c, &ask, 0).u32(48, ms);
    let data = t.connect_data(&ask, &t.subnqn, 0xffff);
    c.run(sqe, &data)?.must_be(&[0])?;
    t.enable(&mut c)?;
    Ok(c)
}

fn expires(t: &Target) -> Outcome {
    let mut c = with_kato(t, 1000)?;
    let start = std::time::Instant::now();
    match c.seen_within(t.linger) {
        Seen::End(End::Closed | End::Reset) => Ok(format!(
            "the end after {:.1} s",
            start.elapsed().as_secs_f64()
        )),
        s => fail(format!("{s} instead of the end")),
    }
}
