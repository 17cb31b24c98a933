// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The discovery controller at the same address, if there is one.

use super::cases;
use crate::case::{Outcome, Problem, Tally, check, skip};
use crate::conn::Conn;
use crate::dial::{Ask, Target};
use crate::judge::{Want, sc};
use crate::sqe::{Place, admin};

cases! {
    "discovery.log", "102", "Base 5.16.1.23 (Discovery Log Page)", "the log is whole: RECFMT 0, an entry for the subsystem, ASQSZ at least 32, NQNs that end"
        => log;
    "discovery.parts", "102", "Base 5.16", "any offset and length that are multiples of 4 give the same bytes"
        => parts;
    "discovery.offset-unaligned", "103", "Base 5.16", "status 002h: an offset that is no multiple of 4"
        => unaligned;
    "discovery.beyond", "103", "Base 5.16", "an error, or zeros: an offset beyond the log"
        => beyond;
    "discovery.io-queue", "102", "Base 6.3, 3.1.2.2 (discovery controllers have no I/O queues)", "an error: an I/O queue of the discovery controller"
        => io_queue;
    "discovery.opcodes", "102", "Base 3.1.2.2", "an error: admin commands that no discovery controller has"
        => opcodes;
}

fn connect(t: &Target) -> Result<Conn, Problem> {
    let ask = Ask::default();
    match t.connect_to(&ask, &t.discovery, 0, 0xffff) {
        Ok(mut c) => {
            t.enable(&mut c)?;
            Ok(c)
        }
        Err(Problem::Fail(e) | Problem::Skip(e)) => {
            skip(format!("no discovery service at this address: {e}"))
        }
    }
}

fn get(c: &mut Conn, at: u64, len: u32) -> Result<crate::conn::Reply, Problem> {
    let numd = len / 4 - 1;
    let s = c
        .sqe(admin::GET_LOG, 0, len, Place::Buffer)
        .cdw10(numd << 16 | 0x70)
        .cdw11(numd >> 16)
        .set(48, &at.to_le_bytes());
    c.run(s, &[])
}

fn read(c: &mut Conn, at: u64, len: u32) -> Result<Vec<u8>, Problem> {
    let r = get(c, at, len)?;
    check(r.status() == 0 && r.data.len() == len as usize, || {
        format!(
            "{len} bytes at {at}: status {:03x}h, {} bytes",
            r.status(),
            r.data.len()
        )
    })?;
    Ok(r.data)
}

fn whole(c: &mut Conn) -> Result<Vec<u8>, Problem> {
    let head = read(c, 0, 1024)?;
    let n = u64::from_le_bytes([
        head[8], head[9], head[10], head[11], head[12], head[13], head[14], head[15],
    ]);
    check(n <= 128, || format!("{n} records"))?;
    let mut log = head;
    for i in 0..n {
        log.extend(read(c, 1024 * (i + 1), 1024)?);
    }
    Ok(log)
}

/// The first subsystem with storage that the discovery service tells of.
pub fn first_subsystem(t: &Target) -> Result<String, Problem> {
    let mut c = connect(t)?;
    let log = whole(&mut c)?;
    for e in log[1024..].chunks(1024) {
        let name: Vec<u8> = e[256..512]
            .iter()
            .copied()
            .take_while(|b| *b != 0)
            .collect();
        // TCP, and a subsystem with storage.
        if e[0] == 3 && e[2] == 2 {
            return Ok(String::from_utf8_lossy(&name).into_owned());
        }
    }
    skip("the discovery service tells of none")
}

/// The most entries of the subsystem's admin queues, as discovery tells.
pub fn admin_entries(t: &Target) -> Result<u16, Problem> {
    let log = whole(&mut connect(t)?)?;
    for e in log[1024..].chunks(1024) {
        let name = e[256..512].split(|b| *b == 0).next();
        if name == Some(t.subnqn.as_bytes()) {
            return Ok(u16::from_le_bytes([e[8], e[9]]));
        }
    }
    skip("the discovery service does not tell of the subsystem")
}

fn log(t: &Target) -> Outcome {
    let mut c = connect(t)?;
    let log = whole(&mut c)?;
    check(log[16..18] == [0; 2], || "RECFMT is not 0".into())?;
    let mut found = false;
    for e in log[1024..].chunks(1024) {
        let name = &e[256..512];
        let Some(end) = name.iter().position(|b| *b == 0) else {
            return crate::case::fail("a SUBNQN without NUL");
        };
        let asqsz = u16::from_le_bytes([e[8], e[9]]);
        check(asqsz >= 32, || format!("ASQSZ {asqsz}"))?;
        found |= name[..end] == *t.subnqn.as_bytes();
    }
    check(found, || "the subsystem under test is not listed".into())?;
    Ok(format!("{} records", log.len() / 1024 - 1))
}

fn parts(t: &Target) -> Outcome {
    let mut c = connect(t)?;
    let log = whole(&mut c)?;
    for (at, len) in [(0usize, 16u32), (4, 4), (1020, 8), (1024, 512), (1280, 256)] {
        let end = at + len as usize;
        if end <= log.len() {
            let part = read(&mut c, at as u64, len)?;
            check(part == log[at..end], || {
                format!("{len} bytes at {at} are not those of the whole log")
            })?;
        }
    }
    Ok("the same bytes".into())
}

fn unaligned(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = connect(t)?;
    for at in [1, 2, 3] {
        let r = get(&mut c, at, 16)?;
        tally.add(format!("offset {at}"), r.must_be(&[sc::INVALID_FIELD]))?;
    }
    tally.outcome()
}

fn beyond(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = connect(t)?;
    for at in [1u64 << 30, u64::MAX - 3] {
        let r = get(&mut c, at, 64)?;
        let said = if r.status() != 0 {
            Ok(format!("status {:03x}h", r.status()))
        } else {
            check(r.data.iter().all(|b| *b == 0), || {
                "bytes that are not zero".into()
            })
            .map(|()| "zeros".to_owned())
        };
        tally.add(format!("offset {at:#x}"), said)?;
    }
    tally.outcome()
}

fn io_queue(t: &Target) -> Outcome {
    let c = connect(t)?;
    let ask = Ask::default();
    let mut io = t.initialize(&ask)?;
    let sqe = t.connect_sqe(&mut io, &ask, 1);
    let data = t.connect_data(&ask, &t.discovery, c.cntlid);
    io.submit(sqe, &data);
    io.fate(&[], Want::Refusal)
}

fn opcodes(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = connect(t)?;
    for opcode in [0x00u8, 0x01, 0x05, 0x08, 0x0d, 0x10, 0x80, 0xc0, 0xf4] {
        let s = c.sqe(opcode, 0, 0, Place::Buffer);
        let r = c.run(s, &[])?;
        let said = check(r.status() != 0, || "success".into());
        tally.add(
            format!("opcode {opcode:#04x}"),
            said.map(|()| format!("status {:03x}h", r.status())),
        )?;
    }
    tally.outcome()
}
