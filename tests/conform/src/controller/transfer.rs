// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! SGLs, in-capsule data and C2HData.

use rawpeer::pdu::{self, kind};

use super::cases;
use super::trial::{DIGESTS, Trial, capsule_with};
use crate::case::{Outcome, Problem, Tally, check, fail, skip};
use crate::conn::Conn;
use crate::dial::{Ask, Target};
use crate::judge::{Seen, Want, judge, sc};
use crate::sqe::{Place, Sqe, admin, nvm};

cases! {
    "icd.lengths", "45", "TCP 3.3.1 (Figure 11)", "in-capsule data of one block to IOCCSZ is written as it was sent"
        => lengths;
    "icd.length-differs", "45", "Base 4.1.2; status Data SGL Length Invalid", "status 00fh, or TermReq FES 1, and nothing is written: SGL length that is not the data's"
        => length_differs;
    "icd.beyond-ioccsz", "45", "TCP 3.3.1 (Figure 11)", "an error, a TermReq or the end: more in-capsule data than IOCCSZ"
        => beyond_ioccsz;
    "icd.admin", "46", "TCP 3.3.1 (Figure 11)", "8192 bytes of in-capsule data on the admin queue are taken"
        => icd_admin;
    "icd.admin-beyond", "46", "TCP 3.3.1 (Figure 11)", "TermReq FES 1 FEI 4 or FES 5, or an error: 8196 bytes of in-capsule data on the admin queue"
        => icd_admin_beyond;
    "icd.read", "47", "Base 4.1.2, TCP 3.3.2", "an error: a read with an in-capsule SGL"
        => icd_read;
    "icd.offset", "47", "Base 4.1.2; TCP 3.3.1 (ICDOFF is 0)", "status 016h or 002h: an in-capsule SGL with an offset"
        => icd_offset;
    "sgl.type", "49", "TCP 3.3.2", "status 011h: keyed, segment, last segment, bit bucket, address SGLs"
        => sgl_types;
    "sgl.prp", "48", "Base 4.1, TCP 3.3.2", "an error: PSDT that says PRPs"
        => prp;
    "sgl.short", "50", "Base 4.1.2; status Data SGL Length Invalid", "status 00fh, no data beyond the SGL: shorter than the blocks"
        => |t| sgl_length(t, |len, block| len - block);
    "sgl.zero", "50", "Base 4.1.2; status Data SGL Length Invalid", "status 00fh: no data though blocks are asked for"
        => |t| sgl_length(t, |_, _| 0);
    "sgl.long", "50", "Base 4.1.2, Identify SGLS bit 18", "status 00fh, or success with no more than the blocks if SGLS allows it"
        => sgl_long;
    "sgl.huge", "51", "Base 4.1.2", "an error, a TermReq or the end, and no R2T: 2^32 - 1 bytes"
        => sgl_huge;
    "c2hdata.sizes", "65", "TCP 3.3.2.1, 3.6.2.9", "reads of one block to MDTS: contiguous, LAST_PDU on the last PDU only, all bytes"
        => sizes;
    "c2hdata.success-flag", "71", "TCP 3.3.2.1", "SUCCESS only if the host disabled SQ flow control"
        => success_flag;
    "c2hdata.interleaved", "65", "TCP 3.3.2.1", "several reads at once: each in order, each its own data"
        => interleaved;
}

fn lengths(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for dg in DIGESTS {
        let r = t.writable(&Ask::digests(dg)).and_then(|(_a, mut io, d)| {
            let most = io.icd / d.block;
            if most == 0 {
                return skip("no in-capsule data on I/O queues");
            }
            let mut n = 1;
            while n <= most.min(64) {
                let data: Vec<u8> = (0..n * d.block).map(|i| (i / 3) as u8 ^ n as u8).collect();
                let r = io.write(&d, 3, &data, Place::Capsule)?;
                check(r.r2ts == 0, || "an R2T for in-capsule data".into())?;
                r.must_be(&[0])?;
                let back = io.read(&d, 3, n)?;
                check(back == data, || {
                    format!("{n} blocks are not read back as they were sent")
                })?;
                n = if n < most && n * 2 > most {
                    most
                } else {
                    n * 2
                };
            }
            Ok(format!("up to {} bytes", most.min(64) * d.block))
        });
        trial.note(dg, "capsules", r)?;
    }
    trial.outcome()
}

fn length_differs(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for delta in [-512i64, -4, 4, 512] {
        let (_a, mut io, d) = t.writable(&Ask::default())?;
        if io.icd < 2 * d.block {
            return skip("too little in-capsule data on I/O queues");
        }
        let before = io.read(&d, 0, 2)?;
        let data: Vec<u8> = before.iter().map(|b| !b).collect();
        let len = (i64::from(d.block) + delta).max(0) as usize;
        let s = io
            .sqe(nvm::WRITE, d.nsid, d.block, Place::Capsule)
            .blocks(0, 1);
        io.submit(s, &data[..len]);
        let seen = io.seen();
        let r = if seen.term().is_some() {
            judge(Want::Term(&[(1, None)]), &seen)
        } else {
            judge(Want::Status(&[sc::SGL_LENGTH]), &seen)
        };
        drop(io);
        let (_a, mut io, d) = t.disk(&Ask::default())?;
        let same = io.read(&d, 0, 2)? == before;
        let r = r.and_then(|s| {
            if same {
                Ok(s)
            } else {
                fail("data was written")
            }
        });
        tally.add(format!("{delta} bytes"), r)?;
    }
    tally.outcome()
}

fn beyond_ioccsz(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let n = io.icd / d.block + 1;
    let len = n * d.block;
    let s = io.sqe(nvm::WRITE, d.nsid, len, Place::Capsule).blocks(0, n);
    io.submit(s, &vec![1; len as usize]);
    io.fate(&[], Want::Refusal)
}

fn icd_admin(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for dg in DIGESTS {
        let r = t.admin(&Ask::digests(dg)).and_then(|mut c| {
            for len in [4, 512, 4096, 8188, 8192] {
                let b = capsule_with(&mut c, len);
                c.send(&b.bytes());
                let seen = c.seen();
                check(seen.status().is_some(), || {
                    format!("{len} bytes: {seen} instead of a response")
                })?;
            }
            c.works()?;
            Ok("responses".into())
        });
        trial.note(dg, "capsules", r)?;
    }
    trial.outcome()
}

fn icd_admin_beyond(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    let b = capsule_with(&mut c, 8196);
    c.send(&b.bytes());
    let seen = c.seen();
    if seen.status().is_some() {
        return judge(Want::Error, &seen);
    }
    judge(Want::Term(&[(1, Some(4)), (5, None)]), &seen)
}

fn icd_read(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for with_data in [false, true] {
        let (_a, mut io, d) = t.disk(&Ask::default())?;
        let s = io
            .sqe(nvm::READ, d.nsid, d.block, Place::Capsule)
            .blocks(0, 1);
        let data = vec![0; d.block as usize];
        io.submit(s, if with_data { &data } else { &[] });
        let name = if with_data {
            "with data"
        } else {
            "without data"
        };
        tally.add(name, io.fate(&[], Want::Refusal))?;
    }
    tally.outcome()
}

fn icd_offset(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for offset in [1u64, 4, 512, u64::MAX] {
        let (_a, mut io, d) = t.writable(&Ask::default())?;
        if io.icd < d.block {
            return skip("no in-capsule data on I/O queues");
        }
        let s = io
            .sqe(nvm::WRITE, d.nsid, d.block, Place::Capsule)
            .blocks(0, 1)
            .set(24, &offset.to_le_bytes());
        io.submit(s, &vec![1; d.block as usize]);
        let want = Want::Status(&[sc::SGL_OFFSET, sc::INVALID_FIELD]);
        tally.add(format!("offset {offset}"), judge(want, &io.seen()))?;
    }
    tally.outcome()
}

fn sgl_types(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let (_a, mut io, d) = t.disk(&Ask::default())?;
    for id in [0x00u8, 0x0f, 0x10, 0x20, 0x30, 0x40, 0x4f, 0x5b, 0xf0] {
        let s = io
            .sqe(nvm::READ, d.nsid, d.block, Place::Buffer)
            .blocks(0, 1)
            .u8(39, id);
        let r = io.run(s, &[]).and_then(|r| r.must_be(&[sc::SGL_TYPE]));
        tally.add(format!("descriptor {id:#04x}"), r)?;
    }
    io.read(&d, 0, 1)?;
    tally.outcome()
}

fn prp(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.disk(&Ask::default())?;
    let s = io
        .sqe(nvm::READ, d.nsid, d.block, Place::Buffer)
        .blocks(0, 1)
        .u8(1, 0);
    io.submit(s, &[]);
    let said = judge(Want::Error, &io.seen())?;
    io.read(&d, 0, 1)?;
    Ok(said)
}

fn sgl_length(t: &Target, change: fn(u32, u32) -> u32) -> Outcome {
    let mut tally = Tally::default();
    for (name, opcode) in [("read", nvm::READ), ("write", nvm::WRITE)] {
        if opcode == nvm::WRITE && t.read_only {
            continue;
        }
        let (_a, mut io, d) = t.disk(&Ask::default())?;
        let s = io
            .sqe(opcode, d.nsid, 8 * d.block, Place::Buffer)
            .blocks(0, 8)
            .sgl_len(change(8 * d.block, d.block));
        io.submit(s, &[]);
        let r = judge(Want::Status(&[sc::SGL_LENGTH]), &io.seen());
        tally.add(name, r)?;
    }
    tally.outcome()
}

fn sgl_long(t: &Target) -> Outcome {
    let allowed = t.survey()?.u32(536) >> 18 & 1 != 0;
    let (_a, mut io, d) = t.disk(&Ask::default())?;
    let s = io
        .sqe(nvm::READ, d.nsid, 8 * d.block, Place::Buffer)
        .blocks(0, 4);
    io.submit(s, &[]);
    let mut got = 0;
    loop {
        match io.seen() {
            Seen::Pdu(r) if r.kind() == kind::C2H_DATA && allowed => {
                got += r.data.len();
                check(got <= 4 * d.block as usize, || {
                    format!("{got} bytes, 4 blocks were asked for")
                })?;
                if r.flags() & pdu::flag::SUCCESS != 0 {
                    return Ok(format!("{got} bytes"));
                }
            }
            s if allowed => return judge(Want::Status(&[0, sc::SGL_LENGTH]), &s),
            s => return judge(Want::Status(&[sc::SGL_LENGTH]), &s),
        }
    }
}

fn sgl_huge(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for (name, opcode) in [("read", nvm::READ), ("write", nvm::WRITE)] {
        let (_a, mut io, d) = t.writable(&Ask::default())?;
        let s = io.sqe(opcode, d.nsid, u32::MAX, Place::Buffer).blocks(0, 8);
        io.submit(s, &[]);
        tally.add(name, io.fate(&[], Want::Refusal))?;
    }
    let mut c = t.admin(&Ask::default())?;
    let s = c.sqe(admin::VENDOR_WRITE, 0, u32::MAX, Place::Buffer);
    c.submit(s, &[]);
    tally.add("admin", c.fate(&[], Want::Refusal))?;
    tally.outcome()
}

fn sizes(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for dg in DIGESTS {
        let r = t.disk(&Ask::digests(dg)).and_then(|(_a, mut io, d)| {
            let most = (t.survey()?.transfer(1 << 20) / d.block).min(0x1_0000);
            let most = most.min(u32::try_from(d.blocks).unwrap_or(u32::MAX));
            for n in [1, 2, 3, 7, 8, 9, 31, 64, 127, 255, most] {
                if n <= most {
                    io.read(&d, 0, n)?;
                }
            }
            Ok(format!("up to {} KiB", most * d.block / 1024))
        });
        trial.note(dg, "reads", r)?;
    }
    trial.outcome()
}

fn success_flag(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for flow_control in [true, false] {
        let ask = Ask {
            flow_control,
            ..Ask::default()
        };
        let (_a, mut io, d) = t.disk(&ask)?;
        // The connection refuses SUCCESS where it must not be.
        let s = io
            .sqe(nvm::READ, d.nsid, d.block, Place::Buffer)
            .blocks(0, 1);
        let r = io.run(s, &[]).map(|r| {
            if r.short {
                "SUCCESS for the response".to_owned()
            } else {
                "a response".to_owned()
            }
        });
        let name = if flow_control { "with" } else { "without" };
        tally.add(format!("{name} SQ flow control"), r)?;
    }
    tally.outcome()
}

fn interleaved(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let n = 16u32;
    for i in 0..8u8 {
        let data = vec![0x10 + i; (n * d.block) as usize];
        let place = io.place(data.len());
        io.write(&d, u64::from(i) * u64::from(n), &data, place)?
            .must_be(&[0])?;
    }
    let sqes: Vec<Sqe> = (0..8u64)
        .map(|i| {
            io.sqe(nvm::READ, d.nsid, n * d.block, Place::Buffer)
                .blocks(i * u64::from(n), n)
        })
        .collect();
    for s in &sqes {
        io.submit(*s, &[]);
    }
    collect(&mut io, &sqes, (n * d.block) as usize, |i| 0x10 + i as u8)?;
    Ok("8 reads, each its own data".into())
}

/// Takes the data of several reads as it comes.
fn collect(
    io: &mut Conn,
    sqes: &[Sqe],
    len: usize,
    value: impl Fn(usize) -> u8,
) -> Result<(), Problem> {
    let mut got = vec![0usize; sqes.len()];
    let mut left = sqes.len();
    while left != 0 {
        let r = io.receive()?;
        let whose = r.u16(if r.kind() == kind::RESP { 20 } else { 8 });
        let Some(i) = sqes.iter().position(|s| s.cid() == whose) else {
            return fail(format!("a PDU for CID {whose}, which is not outstanding"));
        };
        if r.kind() == kind::C2H_DATA {
            check(r.u32(12) as usize == got[i], || {
                format!("DATAO {} after {} bytes", r.u32(12), got[i])
            })?;
            check(r.data.iter().all(|b| *b == value(i)), || {
                format!("data of another command for CID {whose}")
            })?;
            got[i] += r.data.len();
            if r.flags() & pdu::flag::SUCCESS == 0 {
                continue;
            }
        } else {
            judge(Want::Status(&[0]), &Seen::Pdu(r))?;
        }
        check(got[i] == len, || {
            format!("{} of {len} bytes for CID {whose}", got[i])
        })?;
        left -= 1;
    }
    Ok(())
}
