// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Properties, enabling, shutting down, disconnecting.

use std::time::Duration;

use rawpeer::peer::End;

use super::cases;
use crate::case::{Outcome, Problem, Tally, check, skip};
use crate::conn::Conn;
use crate::dial::{Ask, Target};
use crate::judge::{Seen, Want, judge, sc};
use crate::sqe::{Place, admin, fabrics, property};

cases! {
    "property.get", "94", "Base 3.1.3, 6.5", "CAP (8 bytes), VS, CC and CSTS (4 bytes) are there, and make sense"
        => get;
    "property.get-size", "94", "Base 6.5", "an error, value 0: CAP as 4 bytes, VS, CC and CSTS as 8 bytes, a reserved size"
        => |t| gets(t, &[(property::CAP, 0), (property::VS, 1), (property::CC, 1), (property::CSTS, 1), (property::CC, 2), (property::CAP, 7)]);
    "property.get-offset", "94", "Base 6.5, 3.1.3", "an error, value 0: offsets that no property has"
        => |t| gets(t, &[(0x01, 0), (0x0c, 0), (0x15, 0), (0x18, 0), (0x1300, 0), (0xffff_fff8, 1), (u32::MAX, 0)]);
    "property.set-read-only", "95", "Base 6.6", "an error: CAP, VS, CSTS"
        => set_read_only;
    "property.set-offset", "95", "Base 6.6, 3.1.3", "an error: offsets that no property has"
        => set_offset;
    "property.enable", "97", "Base 3.1.3.5, 3.1.3.6", "CC.EN 1 leads to CSTS.RDY 1 within CAP.TO"
        => enable;
    "property.cc-bad", "97", "Base 3.1.3.5", "an error or CSTS.CFS: unsupported MPS, AMS, CSS, IOSQES, IOCQES"
        => cc_bad;
    "property.disable", "98", "Base 3.7.2 (controller reset), NVMe-oF", "CC.EN 0 leads to CSTS.RDY 0, the I/O queues end, the association stays and can be enabled again"
        => disable;
    "property.disable-under-load", "class: completion vs teardown races", "Base 3.7.2", "the same with writes that wait for data and event requests outstanding"
        => disable_under_load;
    "property.shutdown", "99", "Base 3.6", "CC.SHN 01b and 10b lead to CSTS.SHST 10b"
        => shutdown;
    "property.shutdown-reserved", "99", "Base 3.1.3.5 (SHN 11b is reserved)", "an error, or CSTS as it was"
        => shutdown_reserved;
    "disconnect.io", "101", "Base 6.4", "success, then the end of that connection only; or the command is not supported (OFCS)"
        => disconnect_io;
    "disconnect.admin", "101", "Base 6.4", "status 185h on an admin queue"
        => disconnect_admin;
}

fn get(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::default())?;
    let cap = c.property_get(property::CAP, true)?;
    let vs = c.property_get(property::VS, false)?;
    let cc = c.property_get(property::CC, false)?;
    let csts = c.property_get(property::CSTS, false)?;
    check(cap & 0xffff >= 1, || format!("CAP.MQES {}", cap & 0xffff))?;
    check(cap >> 48 & 15 <= cap >> 52 & 15, || {
        "CAP.MPSMIN exceeds CAP.MPSMAX".into()
    })?;
    check(vs >> 16 >= 1 && vs >> 32 == 0, || format!("VS {vs:#x}"))?;
    check(cc & 1 == 0, || format!("CC {cc:#x} before it is set"))?;
    check(csts & 1 == 0, || format!("CSTS {csts:#x} before enabling"))?;
    Ok(format!(
        "CAP {cap:#018x}, VS {}.{}",
        vs >> 16,
        vs >> 8 & 0xff
    ))
}

fn gets(t: &Target, list: &[(u32, u8)]) -> Outcome {
    let mut tally = Tally::default();
    let mut c = t.connected(&Ask::default())?;
    for (at, size) in list {
        let s = c.property_sqe(*at, false).u8(40, *size);
        let r = c.run(s, &[]).and_then(|r| {
            check(r.status() != 0, || "success".into())?;
            check(r.cqe[..8] == [0; 8], || "a value with an error".into())?;
            Ok(format!("status {:03x}h", r.status()))
        });
        tally.add(format!("offset {at:#x}, size {size}"), r)?;
    }
    tally.outcome()
}

fn refused(c: &mut Conn, at: u32, wide: bool) -> Outcome {
    let r = c.property_try(at, 0x0046_0001, wide)?;
    check(r.status() != 0, || "success".into())?;
    Ok(format!("status {:03x}h", r.status()))
}

fn set_read_only(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = t.connected(&Ask::default())?;
    for (name, at, wide) in [
        ("CAP", property::CAP, true),
        ("VS", property::VS, false),
        ("CSTS", property::CSTS, false),
        ("CC as 8 bytes", property::CC, true),
    ] {
        tally.add(name, refused(&mut c, at, wide))?;
    }
    let v = c.property_get(property::CSTS, false)?;
    check(v & 1 == 0, || "the controller was enabled".into())?;
    tally.outcome()
}

fn set_offset(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = t.connected(&Ask::default())?;
    for at in [0x15, 0x18, 0x24, 0x1300, u32::MAX] {
        tally.add(format!("offset {at:#x}"), refused(&mut c, at, false))?;
    }
    tally.outcome()
}

fn enable(t: &Target) -> Outcome {
    t.admin(&Ask::default())?;
    Ok("CSTS.RDY 1".into())
}

fn cc_bad(t: &Target) -> Outcome {
    let cap = t.survey()?.cap;
    let mps = (cap >> 52 & 15) as u32 + 1;
    let mut tally = Tally::default();
    for (name, cc) in [
        ("MPS", 0x0046_0001 | mps.min(15) << 7),
        ("AMS 6", 0x0046_0001 | 6 << 11),
        ("CSS 5", 0x0046_0001 | 5 << 4),
        ("IOSQES 15", 0x004f_0001),
        ("IOCQES 15", 0x00f6_0001),
    ] {
        let mut c = t.connected(&Ask::default())?;
        let r = c.property_try(property::CC, cc.into(), false)?;
        let r = if r.status() != 0 {
            Ok(format!("status {:03x}h", r.status()))
        } else {
            std::thread::sleep(Duration::from_millis(20));
            let v = c.property_get(property::CSTS, false)?;
            check(v & 2 != 0, || format!("success, CSTS {v:#x}")).map(|()| "CSTS.CFS".to_owned())
        };
        tally.add(name, r)?;
    }
    tally.outcome()
}

/// The connection must end.
fn ended(c: &mut Conn) -> Result<(), Problem> {
    loop {
        match c.seen() {
            Seen::End(End::Closed | End::Reset) => return Ok(()),
            // What was under way is answered first.
            Seen::Pdu(r) if Seen::Pdu(r.clone()).status().is_some() => {}
            s => return crate::case::fail(format!("{s} instead of the end of the I/O queue")),
        }
    }
}

const DISABLED: u32 = 0x0046_0000;

fn disable(t: &Target) -> Outcome {
    let ask = Ask::default();
    let (mut a, mut io) = t.pair(&ask)?;
    a.property_set(property::CC, DISABLED)?;
    t.wait_csts(&mut a, Duration::from_secs(10), "CSTS.RDY 0", |v| {
        v & 1 == 0
    })?;
    ended(&mut io)?;
    t.enable(&mut a)?;
    a.ask_queues(1)?;
    let mut io = t.connect_to(&ask, &t.subnqn, 1, a.cntlid)?;
    if let Some(d) = t.survey()?.disk {
        io.read(&d, 0, 1)?;
    }
    Ok("disabled, enabled again, a new I/O queue works".into())
}

fn disable_under_load(t: &Target) -> Outcome {
    for _ in 0..5 {
        let (mut a, mut io, d) = t.writable(&Ask::default())?;
        for _ in 0..4 {
            let s = a.sqe(admin::ASYNC_EVENT, 0, 0, Place::Buffer);
            a.submit(s, &[]);
        }
        for i in 0..8u64 {
            let op = crate::sqe::nvm::WRITE;
            let s = io
                .sqe(op, d.nsid, 8 * d.block, Place::Buffer)
                .blocks(i * 8, 8);
            io.submit(s, &[]);
        }
        let s = a
            .sqe(admin::FABRICS, 0, 0, Place::Buffer)
            .u8(4, fabrics::PROPERTY_SET)
            .u32(44, property::CC)
            .u32(48, DISABLED);
        a.submit(s, &[]);
        // Event requests may be answered, and the set must be.
        loop {
            let seen = a.seen();
            check(seen.status().is_some(), || {
                format!("{seen} instead of the response to Property Set")
            })?;
            if let Seen::Pdu(r) = &seen
                && r.u16(20) == s.cid()
            {
                judge(Want::Status(&[0]), &seen)?;
                break;
            }
        }
        // CSTS is read among what else may still come.
        let end = std::time::Instant::now() + Duration::from_secs(10);
        loop {
            let g = a.property_sqe(property::CSTS, false);
            a.submit(g, &[]);
            let csts = loop {
                match a.seen() {
                    Seen::Pdu(r) if r.header.len() == 24 && r.u16(20) == g.cid() => break r.u32(8),
                    s if s.status().is_some() => {}
                    s => return crate::case::fail(format!("{s} instead of CSTS")),
                }
            };
            if csts & 1 == 0 {
                break;
            }
            check(std::time::Instant::now() < end, || {
                format!("CSTS is {csts:#x} after 10 s")
            })?;
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok("CSTS.RDY 0 in each of 5 rounds".into())
}

fn shutdown(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for (name, shn) in [("normal", 1u32), ("abrupt", 2)] {
        let mut c = t.admin(&Ask::default())?;
        c.property_set(property::CC, 0x0046_0001 | shn << 14)?;
        let r = t.wait_csts(&mut c, Duration::from_secs(10), "CSTS.SHST 10b", |v| {
            v >> 2 & 3 == 2
        });
        tally.add(name, r.map(|()| "SHST 10b".into()))?;
    }
    tally.outcome()
}

fn shutdown_reserved(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    let r = c.property_try(property::CC, 0x0046_c001, false)?;
    if r.status() != 0 {
        return Ok(format!("status {:03x}h", r.status()));
    }
    let v = c.property_get(property::CSTS, false)?;
    check(v >> 2 & 3 == 0, || format!("success, CSTS {v:#x}"))?;
    Ok(format!("ignored, CSTS {v:#x}"))
}

fn disconnect(c: &mut Conn) -> Result<u16, Problem> {
    let s = c
        .sqe(admin::FABRICS, 0, 0, Place::Buffer)
        .u8(4, fabrics::DISCONNECT);
    Ok(c.run(s, &[])?.status())
}

fn disconnect_io(t: &Target) -> Outcome {
    let offered = t.survey()?.u16(1804) & 1 != 0;
    let (mut a, mut io) = t.pair(&Ask::default())?;
    let status = disconnect(&mut io)?;
    a.works()?;
    if !offered {
        check(status != 0, || "success, OFCS says unsupported".into())?;
        return Ok(format!("unsupported, status {status:03x}h"));
    }
    check(status == 0, || format!("status {status:03x}h"))?;
    ended(&mut io)?;
    a.works()?;
    Ok("success, then the end".into())
}

fn disconnect_admin(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    let status = disconnect(&mut c)?;
    if t.survey()?.u16(1804) & 1 == 0 && status == sc::INVALID_OPCODE {
        return skip("Disconnect is not supported (OFCS), status 001h");
    }
    check(status == sc::QUEUE_TYPE, || {
        format!("status {status:03x}h instead of 185h")
    })?;
    c.works()?;
    Ok("status 185h".into())
}
