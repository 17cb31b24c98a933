// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Header and data digests.

use rawpeer::crc::crc32c;
use rawpeer::pdu::{self, flag};

use super::cases;
use super::trial::{capsule, capsule_with};
use crate::case::{Outcome, Tally, check};
use crate::conn::{Conn, Reply};
use crate::dial::{Ask, Disk, Target};
use crate::judge::{Want, sc};
use crate::sqe::{Place, admin, nvm};

cases! {
    "digest.header-bits", "37", "TCP 3.5 (digest error handling), 3.6.2.5", "TermReq FES 3, FEI the digest received: bits of the specific header flipped"
        => |t| flips(t, (8..72).flat_map(|b| [b * 8 + b % 8, b * 8 + (b + 5) % 8]), 1);
    "digest.header-bits-common", "37", "TCP 3.5 (digest error handling)", "TermReq FES 3, never FES 1: bits of type, flags and PDO flipped"
        => |t| flips(t, [0, 1, 3, 5, 7, 10, 11, 13, 15, 24, 27, 31].into_iter(), 1);
    "digest.header-value", "37", "TCP 3.6.2.5 (FEI)", "TermReq FES 3, FEI the digest received: a right header, a wrong digest"
        => header_value;
    "digest.coverage", "38", "TCP 3.3.1.1, Figures 12 and 13", "HDGST covers the header and DDGST the data, neither the padding"
        => coverage;
    "digest.h2cdata-sole", "39", "TCP 3.5 (digest error handling)", "status 022h, DNR 0, the connection stays: the only H2CData of a write damaged"
        => |t| h2c(t, 1, 0);
    "digest.h2cdata-first", "40", "TCP 3.5 (digest error handling)", "status 022h, DNR 0, the connection stays: the first of four H2CData damaged"
        => |t| h2c(t, 4, 0);
    "digest.h2cdata-last", "40", "TCP 3.5 (digest error handling)", "status 022h, DNR 0, the connection stays: the last of four H2CData damaged"
        => |t| h2c(t, 4, 3);
    "digest.capsule", "43", "TCP 3.5 (digest error handling)", "status 022h, DNR 0, the connection stays: in-capsule data of a write damaged"
        => in_capsule;
    "digest.capsule-admin", "43", "TCP 3.5 (digest error handling)", "status 022h, the connection stays: in-capsule data of an admin command damaged"
        => in_capsule_admin;
    "digest.connect", "43", "TCP 3.5 (digest error handling)", "an error, a TermReq or the end: Connect data damaged"
        => connect;
    "digest.missing", "23", "TCP 3.3.1.1", "TermReq FES 1 FEI 1 or FES 3: PDUs without digests though they were agreed"
        => missing;
}

/// Flips one bit of a header whose digest was right.
fn flips(t: &Target, bits: impl Iterator<Item = usize>, digests: u8) -> Outcome {
    let mut tally = Tally::default();
    for bit in bits {
        let mut c = t.connected(&Ask::digests(digests))?;
        let b = capsule(&mut c);
        let digest = crc32c(&b.header);
        let mut bytes = b.bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let header = bytes[..72].to_vec();
        let want = Want::Term(&[(3, Some(digest))]);
        let r = c.offend(&bytes, &header, want);
        let name = format!("bit {} of byte {}", bit % 8, bit / 8);
        tally.add(
            name,
            r.map(|_| "TermReq FES 3, FEI the digest received".into()),
        )?;
    }
    tally.outcome()
}

fn header_value(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::digests(1))?;
    let b = capsule(&mut c).bad_hdgst();
    let digest = crc32c(&b.header) ^ 1;
    c.offend(&b.bytes(), &b.header, Want::Term(&[(3, Some(digest))]))
}

fn coverage(t: &Target) -> Outcome {
    let ask = Ask {
        digests: 3,
        hpda: 31,
        ..Ask::default()
    };
    let (mut a, mut io, d) = t.disk(&ask)?;
    // What we send is padded by CPDA with bytes that are not zero; what comes
    // is padded by HPDA, and every digest of it is checked.
    a.identify(1, 0)?;
    io.read(&d, 0, 8)?;
    let mut c = t.admin(&ask)?;
    let b = capsule_with(&mut c, 512);
    let r = run_raw(&mut c, &b.bytes())?;
    check(r != 0 && r != sc::TRANSIENT_TRANSPORT, || {
        format!("status {r:03x}h for data with a right digest")
    })?;
    Ok(format!(
        "right in both directions, CPDA {} bytes, HPDA 128 bytes",
        c.format.align
    ))
}

fn run_raw(c: &mut Conn, bytes: &[u8]) -> Result<u16, crate::case::Problem> {
    c.send(bytes);
    let r = c.receive()?;
    Ok(r.u16(22) >> 1 & 0x7ff)
}

/// A data digest error must be transient, may be retried, and harms nothing
/// but its command.
fn transient(r: &Reply) -> Outcome {
    let said = r.must_be(&[sc::TRANSIENT_TRANSPORT])?;
    check(!r.dnr(), || format!("{said} with DNR"))?;
    Ok(said)
}

fn pattern(d: &Disk, blocks: u32, seed: u8) -> Vec<u8> {
    (0..d.block * blocks)
        .map(|i| (i / 251) as u8 ^ i as u8 ^ seed)
        .collect()
}

fn h2c(t: &Target, parts: usize, bad: usize) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::digests(2))?;
    let n = t.long(&d)?;
    let data = pattern(&d, n, 1);
    let sqe = io
        .sqe(nvm::WRITE, d.nsid, data.len() as u32, Place::Buffer)
        .blocks(0, n);
    io.submit(sqe, &[]);
    let mut said = None;
    // A controller may ask for the data in pieces, and give up early.
    for _ in 0..64 {
        let r = io.receive()?;
        if r.kind() != pdu::kind::R2T {
            let mut reply = Reply::default();
            reply.cqe.copy_from_slice(&r.header[8..24]);
            said = Some(transient(&reply)?);
            break;
        }
        let (ttag, to, tl) = (r.u16(10), r.u32(12), r.u32(16) as usize);
        check(to as usize + tl <= data.len(), || {
            format!("R2T for {tl} bytes at {to}")
        })?;
        let step = (tl / parts).next_multiple_of(4).max(4);
        let n = tl.div_ceil(step);
        for i in 0..n {
            let at = to as usize + i * step;
            let end = (at + step).min(to as usize + tl);
            let fl = if i + 1 == n { flag::LAST } else { 0 };
            let mut b = pdu::h2c_data(io.format, fl, sqe.cid(), ttag, at as u32, &data[at..end]);
            if to == 0 && i == bad.min(n - 1) {
                b = b.bad_ddgst();
            }
            io.send(&b.bytes());
        }
    }
    check(said.is_some(), || "no response after 64 R2Ts".into())?;
    afterwards(&mut io, &d, said)
}

/// The connection is as good as it was.
fn afterwards(io: &mut Conn, d: &Disk, said: Option<String>) -> Outcome {
    let data = pattern(d, 4, 9);
    let r = io.write(d, 0, &data, io.place(data.len()))?;
    check(r.status() == 0, || {
        format!("the next write: status {:03x}h", r.status())
    })?;
    let back = io.read(d, 0, 4)?;
    check(back == data, || "the next write is not read back".into())?;
    Ok(said.unwrap_or_default())
}

fn in_capsule(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::digests(2))?;
    if io.icd < d.block {
        return crate::case::skip("no in-capsule data on I/O queues");
    }
    let before = io.read(&d, 0, 1)?;
    let data: Vec<u8> = before.iter().map(|b| !b).collect();
    let sqe = io
        .sqe(nvm::WRITE, d.nsid, d.block, Place::Capsule)
        .blocks(0, 1);
    let b = pdu::command(io.format, &sqe.0, &data).bad_ddgst();
    io.send(&b.bytes());
    let said = transient(&io.reply(sqe, &[])?)?;
    let after = io.read(&d, 0, 1)?;
    check(after == before, || "damaged data was written".into())?;
    afterwards(&mut io, &d, Some(said))
}

fn in_capsule_admin(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::digests(2))?;
    let sqe = c.sqe(admin::VENDOR_WRITE, 0, 512, Place::Capsule);
    let b = pdu::command(c.format, &sqe.0, &[7; 512]).bad_ddgst();
    c.send(&b.bytes());
    // The command exists nowhere: a controller may say that first.
    let said = c
        .reply(sqe, &[])?
        .must_be(&[sc::TRANSIENT_TRANSPORT, sc::INVALID_OPCODE])?;
    c.works()?;
    Ok(said)
}

fn connect(t: &Target) -> Outcome {
    let ask = Ask::digests(2);
    let mut c = t.initialize(&ask)?;
    let sqe = t.connect_sqe(&mut c, &ask, 0);
    let data = t.connect_data(&ask, &t.subnqn, 0xffff);
    let b = pdu::command(c.format, &sqe.0, &data).bad_ddgst();
    c.offend(&b.bytes(), &[], Want::Refusal)
}

fn missing(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::digests(3))?;
    let format = c.format;
    c.format = pdu::Format {
        align: format.align,
        ..pdu::Format::default()
    };
    let b = capsule_with(&mut c, 64);
    c.format = format;
    c.offend(&b.bytes(), &[], Want::Term(&[(1, Some(1)), (3, None)]))
}
