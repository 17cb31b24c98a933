// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Commands of the NVM command set.

use rawpeer::pdu::kind;

use super::cases;
use crate::case::{Outcome, Problem, Tally, check, skip};
use crate::dial::{Ask, Disk, Target};
use crate::judge::{Seen, Want, judge, sc};
use crate::sqe::{Place, nvm};

cases! {
    "io.write-read", "109", "NVM 3.2.4, 3.2.6", "what is written is read, in the capsule and by R2T, with and without digests"
        => write_read;
    "io.flush", "109", "Base 5.17.2.1 (VWC), 7.1", "Flush succeeds; VWC is told in Identify"
        => flush;
    "io.fua", "109", "NVM 3.2.6", "a write with FUA succeeds and is read back"
        => fua;
    "io.lba-range", "110", "NVM 3.2.4, status LBA Out of Range", "status 080h: reads and writes at and beyond the end"
        => lba_range;
    "io.lba-wrap", "class: integer wrap", "NVM 3.2.4, status LBA Out of Range", "status 080h: SLBA + NLB that wraps 2^64"
        => lba_wrap;
    "io.nsid", "class: count vs index", "Base 3.2.1, status Invalid Namespace or Format", "status 00bh: NSID 0, NN + 1, FFFFFFFFh for a read"
        => nsid;
    "io.opcode", "110", "Base 3.3.3.2.1", "status 001h: opcodes that do not exist"
        => opcode;
    "io.fused", "110", "Base 3.4.2", "status 002h or 00ah: FUSE where FUSES says nothing is supported"
        => fused;
    "io.dsm", "110", "NVM 3.2.3", "1 and 256 ranges are taken, as ONCS says"
        => dsm;
    "io.dsm-short", "50", "NVM 3.2.3; status Data SGL Length Invalid", "an error: 256 ranges told, one sent"
        => dsm_short;
    "io.write-zeroes", "110", "NVM 3.2.8", "the blocks are zero afterwards, as ONCS says"
        => write_zeroes;
    "io.compare", "110", "NVM 3.2.1", "success for equal blocks, status 285h for others, as ONCS says"
        => compare;
    "io.fabrics", "96", "Base 6", "an error: Property Get and Set on an I/O queue"
        => fabrics;
    "io.too-many", "53", "Base 3.3.1, TCP 3.2", "commands beyond the queue's size are refused or end the connection; no more R2Ts than entries"
        => too_many;
    "io.cid-in-use", "class: duplicate CID", "Base 3.3.3.1 (CID), status Command ID Conflict", "an error, a TermReq or the end, or both are served; never another command's data"
        => cid_in_use;
}

fn data(d: &Disk, blocks: u32, seed: u32) -> Vec<u8> {
    (0..d.block * blocks)
        .map(|i| ((i.wrapping_mul(2_654_435_761) >> 13) ^ seed) as u8)
        .collect()
}

fn write_read(t: &Target) -> Outcome {
    let mut trial = super::trial::Trial::new(t);
    for dg in 0..4u8 {
        let r = t.writable(&Ask::digests(dg)).and_then(|(_a, mut io, d)| {
            for (i, n) in [1u32, 2, 5, 8, 128].into_iter().enumerate() {
                let bytes = data(&d, n, u32::from(dg) * 7 + i as u32);
                let place = io.place(bytes.len());
                let r = io.write(&d, 11 * i as u64, &bytes, place)?;
                r.must_be(&[0])?;
                let back = io.read(&d, 11 * i as u64, n)?;
                check(back == bytes, || {
                    format!("{n} blocks are not read as they were written")
                })?;
            }
            Ok("as written".into())
        });
        trial.note(dg, &format!("DGST {dg}"), r)?;
    }
    trial.outcome()
}

fn flush(t: &Target) -> Outcome {
    let vwc = t.survey()?.id[525];
    let mut tally = Tally::default();
    let (_a, mut io, d) = t.disk(&Ask::default())?;
    let s = io.sqe(nvm::FLUSH, d.nsid, 0, Place::Buffer);
    let r = io.run(s, &[])?.must_be(&[0]);
    tally.add(
        format!("VWC {vwc:#x}"),
        r.map(|s| format!("{s}, VWC {vwc:#x}")),
    )?;
    tally.outcome()
}

fn fua(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let bytes = data(&d, 4, 99);
    let s = io
        .sqe(
            nvm::WRITE,
            d.nsid,
            bytes.len() as u32,
            io.place(bytes.len()),
        )
        .blocks(5, 4)
        .u8(51, 0x40);
    io.run(s, &bytes)?.must_be(&[0])?;
    check(io.read(&d, 5, 4)? == bytes, || {
        "not read as it was written".into()
    })?;
    Ok("success".into())
}

fn ranges(t: &Target, list: &[(u64, u32)]) -> Outcome {
    let mut tally = Tally::default();
    for (name, opcode) in [("read", nvm::READ), ("write", nvm::WRITE)] {
        if opcode == nvm::WRITE && t.read_only {
            continue;
        }
        for (slba, n) in list {
            let (_a, mut io, d) = t.disk(&Ask::default())?;
            let s = io
                .sqe(opcode, d.nsid, n * d.block, Place::Buffer)
                .blocks(*slba, *n);
            io.submit(s, &[]);
            let r = judge(Want::Status(&[sc::LBA_RANGE]), &io.seen());
            tally.add(format!("{name} of {n} at {slba:#x}"), r)?;
        }
    }
    tally.outcome()
}

fn end(t: &Target) -> Result<u64, Problem> {
    match t.survey()?.disk {
        Some(d) => Ok(d.blocks),
        None => skip("the controller has no active namespace"),
    }
}

fn lba_range(t: &Target) -> Outcome {
    let end = end(t)?;
    ranges(t, &[(end, 1), (end - 1, 2), (end + 1000, 8), (1 << 48, 1)])
}

fn lba_wrap(t: &Target) -> Outcome {
    ranges(t, &[(u64::MAX, 1), (u64::MAX, 2), (u64::MAX - 3, 8)])
}

fn nsid(t: &Target) -> Outcome {
    let nn = t.survey()?.u32(516);
    let mut tally = Tally::default();
    let (_a, mut io, d) = t.disk(&Ask::default())?;
    for nsid in [0, nn.saturating_add(1), 0xffff_fffe, u32::MAX] {
        let s = io.sqe(nvm::READ, nsid, d.block, Place::Buffer).blocks(0, 1);
        let want = [sc::INVALID_NAMESPACE, sc::INVALID_FIELD];
        tally.add(format!("NSID {nsid:#x}"), io.run(s, &[])?.must_be(&want))?;
    }
    io.read(&d, 0, 1)?;
    tally.outcome()
}

fn opcode(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let (_a, mut io, d) = t.disk(&Ask::default())?;
    for opcode in [0x03u8, 0x0b, 0x0f, 0x14, 0x33, 0x80, 0xf3] {
        let s = io.sqe(opcode, d.nsid, 0, Place::Buffer);
        let r = io.run(s, &[])?.must_be(&[sc::INVALID_OPCODE]);
        tally.add(format!("opcode {opcode:#04x}"), r)?;
    }
    io.read(&d, 0, 1)?;
    tally.outcome()
}

fn fused(t: &Target) -> Outcome {
    if t.survey()?.u16(522) & 1 != 0 {
        return skip("fused Compare and Write is supported");
    }
    let mut tally = Tally::default();
    for fuse in [1u8, 2, 3] {
        let (_a, mut io, d) = t.disk(&Ask::default())?;
        let s = io
            .sqe(nvm::READ, d.nsid, d.block, Place::Buffer)
            .blocks(0, 1)
            .u8(1, 0x40 | fuse);
        io.submit(s, &[]);
        let r = judge(Want::Status(&[sc::INVALID_FIELD, 0x0a]), &io.seen());
        tally.add(format!("FUSE {fuse}"), r)?;
    }
    tally.outcome()
}

/// Whether a bit of ONCS is set.
fn oncs(t: &Target, bit: u16, what: &str) -> Result<(), Problem> {
    if t.survey()?.u16(520) & bit == 0 {
        return skip(format!("ONCS has no {what}"));
    }
    Ok(())
}

fn dsm(t: &Target) -> Outcome {
    oncs(t, 4, "Dataset Management")?;
    let mut tally = Tally::default();
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    for n in [1u32, 256] {
        let mut list = Vec::new();
        for i in 0..n {
            list.extend(0u32.to_le_bytes());
            list.extend(1u32.to_le_bytes());
            list.extend(u64::from(i + 100).to_le_bytes());
        }
        for place in [Place::Buffer, Place::Capsule] {
            if place == Place::Capsule && list.len() as u32 > io.icd {
                continue;
            }
            let s = io
                .sqe(nvm::DSM, d.nsid, list.len() as u32, place)
                .cdw10(n - 1)
                .cdw11(4);
            let r = io.run(s, &list).and_then(|r| r.must_be(&[0]));
            tally.add(format!("{n} ranges, {place:?}"), r)?;
        }
    }
    tally.outcome()
}

fn dsm_short(t: &Target) -> Outcome {
    oncs(t, 4, "Dataset Management")?;
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let s = io
        .sqe(nvm::DSM, d.nsid, 16, Place::Buffer)
        .cdw10(255)
        .cdw11(4);
    io.submit(s, &[]);
    let mut seen = io.seen();
    // A controller may take the data before it counts.
    if let Seen::Pdu(r) = &seen
        && r.kind() == kind::R2T
    {
        let r = r.clone();
        io.answer(&r, &[0; 16][..(r.u32(16) as usize).min(16)]);
        seen = io.seen();
    }
    judge(Want::Error, &seen)
}

fn write_zeroes(t: &Target) -> Outcome {
    oncs(t, 8, "Write Zeroes")?;
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let bytes = data(&d, 8, 5);
    io.write(&d, 40, &bytes, io.place(bytes.len()))?
        .must_be(&[0])?;
    let s = io
        .sqe(nvm::WRITE_ZEROES, d.nsid, 0, Place::Buffer)
        .blocks(42, 4);
    io.run(s, &[])?.must_be(&[0])?;
    let back = io.read(&d, 40, 8)?;
    let (from, to) = (2 * d.block as usize, 6 * d.block as usize);
    let right = back[..from] == bytes[..from]
        && back[from..to].iter().all(|b| *b == 0)
        && back[to..] == bytes[to..];
    check(right, || "not the blocks that were to be zeroed".into())?;
    Ok("success".into())
}

fn compare(t: &Target) -> Outcome {
    oncs(t, 1, "Compare")?;
    let mut tally = Tally::default();
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let bytes = data(&d, 4, 77);
    io.write(&d, 60, &bytes, io.place(bytes.len()))?
        .must_be(&[0])?;
    let mut other = bytes.clone();
    other[3 * d.block as usize] ^= 1;
    for (name, bytes, status) in [
        ("equal", &bytes, 0),
        ("not equal", &other, sc::COMPARE_FAILURE),
    ] {
        let s = io
            .sqe(
                nvm::COMPARE,
                d.nsid,
                bytes.len() as u32,
                io.place(bytes.len()),
            )
            .blocks(60, 4);
        tally.add(name, io.run(s, bytes)?.must_be(&[status]))?;
    }
    tally.outcome()
}

fn fabrics(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let (_a, mut io) = t.pair(&Ask::default())?;
    let get = io.property_sqe(0, true);
    let r = io.run(get, &[])?;
    let said = check(r.status() != 0, || "success".into());
    tally.add("Get", said.map(|()| format!("status {:03x}h", r.status())))?;
    let r = io.property_try(0x14, 0, false)?;
    let said = check(r.status() != 0, || "success".into());
    tally.add("Set", said.map(|()| format!("status {:03x}h", r.status())))?;
    tally.outcome()
}

fn too_many(t: &Target) -> Outcome {
    const ENTRIES: usize = 4;
    let ask = Ask {
        entries: ENTRIES as u16,
        ..Ask::default()
    };
    let (_a, mut io, d) = t.writable(&ask)?;
    // Writes whose data does not come stay outstanding.
    for i in 0..64u64 {
        let n = t.long(&d)?;
        let s = io.write_sqe(&d, i, n);
        io.submit(s, &[]);
    }
    let (mut r2ts, mut refused) = (0, 0);
    loop {
        match io.seen_within(std::time::Duration::from_millis(700)) {
            Seen::Pdu(r) if r.kind() == kind::R2T => r2ts += 1,
            s if s.status().is_some_and(|s| s != 0) => refused += 1,
            Seen::End(rawpeer::peer::End::Timeout) => {
                check(r2ts <= ENTRIES, || {
                    format!("{r2ts} R2Ts outstanding in a queue of {ENTRIES}")
                })?;
                // Either all are answered for, or reading has stopped.
                return Ok(format!("{r2ts} R2Ts, {refused} refused, the rest waits"));
            }
            s => {
                judge(Want::TermOrEnd, &s)?;
                check(r2ts <= ENTRIES, || {
                    format!("{r2ts} R2Ts outstanding in a queue of {ENTRIES}")
                })?;
                return Ok(format!("{r2ts} R2Ts, {refused} refused, then {s}"));
            }
        }
    }
}

fn cid_in_use(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let n = t.long(&d)?;
    let s = io.write_sqe(&d, 0, n);
    io.submit(s, &[]);
    let first = io.receive()?;
    judge_r2t(&first)?;
    io.submit(s, &[]);
    let seen = io.seen();
    if let Seen::Pdu(r) = &seen
        && r.kind() == kind::R2T
    {
        check(r.u16(10) != first.u16(10), || {
            "two R2Ts with one TTAG".into()
        })?;
        return Ok("both served, with different TTAGs".into());
    }
    judge(Want::Refusal, &seen)
}

fn judge_r2t(r: &rawpeer::pdu::Raw) -> Result<(), Problem> {
    check(r.kind() == kind::R2T, || {
        format!("{} instead of an R2T", Seen::Pdu(r.clone()))
    })
}
