// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The common header of every PDU, and header digests.

use rawpeer::crc::crc32c;
use rawpeer::pdu::{self, Builder, Format, flag, kind};

use super::{ANY, BOTH, HDGST, PLAIN, cases, is_read, is_write, on_io};
use crate::bench::Act;
use crate::case::Outcome;
use crate::judge::Want;
use crate::link::{Cmd, Link};

cases! {
    "header.direction", "21", "TCP 3.3", "H2CTermReq FES 1 FEI 0: CapsuleCmd, H2CData, ICReq from a controller", BOTH =>
        ("CapsuleCmd", Act::Command(|_, l, c| on_io(l, c, |l, _| Builder::new(l.format, kind::CMD, 0, 72, &[]), TYPE))),
        ("H2CData", Act::Command(|_, l, c| on_io(l, c, |l, _| Builder::new(l.format, kind::H2C_DATA, 0, 24, &[]), TYPE)));
    "header.icresp-late", "21", "TCP 3.1, 3.3", "H2CTermReq FES 1 FEI 0 or FES 2: ICReq and ICResp on a connected queue", PLAIN =>
        ("ICReq", Act::Command(|_, l, c| on_io(l, c, |_, _| Builder::new(Format::default(), kind::ICREQ, 0, 128, &[]), LATE))),
        ("ICResp", Act::Command(|_, l, c| on_io(l, c, |_, _| Builder::new(Format::default(), kind::ICRESP, 0, 128, &[]), LATE)));
    "header.type", "21", "TCP 3.3 (Figure 10)", "H2CTermReq FES 1 FEI 0: reserved types", BOTH =>
        ("08h", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(0, 8), TYPE))),
        ("0Bh", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(0, 0x0b), TYPE))),
        ("FFh", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(0, 0xff), TYPE)));
    "header.flags-resp", "22", "TCP 3.6.2.7", "H2CTermReq FES 1 FEI 1: reserved flags of a CapsuleResp", BOTH =>
        ("flag 1", Act::Command(|_, l, c| on_io(l, c, |l, _| more(resp(l), 0x02), FLAGS))),
        ("flag 4", Act::Command(|_, l, c| on_io(l, c, |l, _| more(resp(l), 0x10), FLAGS))),
        ("flag 7", Act::Command(|_, l, c| on_io(l, c, |l, _| more(resp(l), 0x80), FLAGS)));
    "header.flags-r2t", "22", "TCP 3.6.2.10", "H2CTermReq FES 1 FEI 1: reserved flags of an R2T", BOTH =>
        ("flag 2", Act::Command(|_, l, c| on_io(l, c, |l, c| more(r2t(l, c), 0x04), FLAGS))),
        ("flag 6", Act::Command(|_, l, c| on_io(l, c, |l, c| more(r2t(l, c), 0x40), FLAGS)));
    "header.flags-c2hdata", "22", "TCP 3.6.2.9", "H2CTermReq FES 1 FEI 1: reserved flags of C2HData", BOTH =>
        ("flag 4", Act::Command(|_, l, c| on_io(l, c, |l, c| more(c2h(l, c), 0x10), FLAGS))),
        ("flag 7", Act::Command(|_, l, c| on_io(l, c, |l, c| more(c2h(l, c), 0x80), FLAGS)));
    "header.hdgstf", "23", "TCP 3.3.1.1", "H2CTermReq FES 1 FEI 1: HDGSTF differs from what was agreed", BOTH =>
        ("CapsuleResp", Act::Command(|_, l, c| on_io(l, c, |l, _| toggle(resp(l), flag::HDGST), FLAGS))),
        ("R2T", Act::Command(|_, l, c| on_io(l, c, |l, c| toggle(r2t(l, c), flag::HDGST), FLAGS)));
    "header.ddgstf", "23", "TCP 3.3.1.1", "H2CTermReq FES 1 FEI 1: DDGSTF differs from what was agreed", BOTH =>
        ("C2HData", Act::Command(|_, l, c| on_io(l, c, |l, c| toggle(c2h(l, c), flag::DDGST), FLAGS)));
    "header.hlen-resp", "25", "TCP 3.6.2.7; CVE-2025-21927", "H2CTermReq FES 1 FEI 2 (with digests also FES 3): HLEN of a CapsuleResp", BOTH =>
        ("0", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(2, 0), HLEN))),
        ("8", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(2, 8), HLEN))),
        ("23", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(2, 23), HLEN))),
        ("72", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(2, 72), HLEN))),
        ("255", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(2, 255), HLEN)));
    "header.hlen-c2hdata", "25", "TCP 3.6.2.9; CVE-2025-21927", "H2CTermReq FES 1 FEI 2 (with digests also FES 3): HLEN of C2HData", BOTH =>
        ("0", Act::Command(|_, l, c| on_io(l, c, |l, c| c2h(l, c).u8(2, 0), HLEN))),
        ("25", Act::Command(|_, l, c| on_io(l, c, |l, c| c2h(l, c).u8(2, 25), HLEN))),
        ("255", Act::Command(|_, l, c| on_io(l, c, |l, c| c2h(l, c).u8(2, 255), HLEN)));
    "header.hlen-r2t", "25", "TCP 3.6.2.10; CVE-2025-21927", "H2CTermReq FES 1 FEI 2 (with digests also FES 3): HLEN of an R2T", BOTH =>
        ("7", Act::Command(|_, l, c| on_io(l, c, |l, c| r2t(l, c).u8(2, 7), HLEN))),
        ("255", Act::Command(|_, l, c| on_io(l, c, |l, c| r2t(l, c).u8(2, 255), HLEN)));
    "header.pdo-reserved", "26", "TCP 3.6.2.7, 3.6.2.10", "H2CTermReq FES 1 FEI 3: PDO of a CapsuleResp and an R2T", BOTH =>
        ("CapsuleResp", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(3, 24), PDO))),
        ("R2T", Act::Command(|_, l, c| on_io(l, c, |l, c| r2t(l, c).u8(3, 24), PDO)));
    "header.pdo", "27", "TCP 3.3, 3.6.2.9", "H2CTermReq FES 1 FEI 3: PDO of C2HData inside the header, misaligned, beyond PLEN", BOTH =>
        ("8", Act::Command(|_, l, c| on_io(l, c, |l, c| c2h(l, c).u8(3, 8), PDO))),
        ("23", Act::Command(|_, l, c| on_io(l, c, |l, c| c2h(l, c).u8(3, 23), PDO))),
        ("29", Act::Command(|_, l, c| on_io(l, c, |l, c| c2h(l, c).u8(3, 29), PDO)));
    "header.plen-short", "29", "TCP 3.6.2.1", "H2CTermReq FES 1 FEI 4: PLEN shorter than the header", PLAIN =>
        ("0", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u32(4, 0), PLEN))),
        ("7", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u32(4, 7), PLEN))),
        ("23", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u32(4, 23), PLEN)));
    "header.plen-long", "31", "TCP 3.6.2.7, 3.6.2.10", "H2CTermReq FES 1 FEI 4, from the header alone: data in a CapsuleResp or an R2T", BOTH =>
        ("CapsuleResp", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u32(4, 64), PLEN))),
        ("R2T", Act::Command(|_, l, c| on_io(l, c, |l, c| r2t(l, c).u32(4, 64), PLEN))),
        ("4 GiB", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u32(4, u32::MAX), PLEN)));
    "header.lowest-fault", "33", "TCP 3.6.2.4 (FEI)", "of several faults the lowest offset is reported", PLAIN =>
        ("type", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(0, 0xff).u8(1, 0x80).u8(2, 1), TYPE))),
        ("flags", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(1, 0x80).u8(2, 1).u32(4, 0), FLAGS))),
        ("HLEN", Act::Command(|_, l, c| on_io(l, c, |l, _| resp(l).u8(2, 1).u8(3, 3).u32(4, 0), Want::Term(&[(1, Some(2))]))));
    "header.split", "34", "TCP 2", "responses and data in segments of one byte are taken, the host goes on", ANY =>
        ("bytes", Act::Command(split));
    "header.garbage", "class: state missing", "TCP 3.5", "a H2CTermReq or the end: bytes that are no PDU on a connected queue", PLAIN =>
        ("text", Act::Command(|_, l, c| garbage(l, c, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n........................"))),
        ("ones", Act::Command(|_, l, c| garbage(l, c, &[0xff; 256])));
    "digest.header-value", "37", "TCP 3.5 (digest error handling), 3.6.2.4", "H2CTermReq FES 3, FEI the digest received", HDGST =>
        ("CapsuleResp", Act::Command(|_, l, c| hdgst(l, c, |l, _| resp(l)))),
        ("R2T", Act::Command(|_, l, c| hdgst(l, c, r2t))),
        ("C2HData", Act::Command(|_, l, c| hdgst(l, c, c2h)));
    "digest.header-bits", "37", "TCP 3.5 (digest error handling)", "H2CTermReq FES 3, FEI the digest received: bits of a header flipped", HDGST =>
        ("CCCID", Act::Command(|_, l, c| flip(l, c, 8 * 8))),
        ("R2TO", Act::Command(|_, l, c| flip(l, c, 13 * 8 + 3))),
        ("R2TL", Act::Command(|_, l, c| flip(l, c, 18 * 8 + 7))),
        ("reserved", Act::Command(|_, l, c| flip(l, c, 22 * 8 + 1))),
        ("flags", Act::Command(|_, l, c| flip(l, c, 8 + 5))),
        ("type", Act::Command(|_, l, c| flip(l, c, 1)));
}

const TYPE: Want<'_> = Want::Term(&[(1, Some(0))]);
const LATE: Want<'_> = Want::Term(&[(1, Some(0)), (2, None)]);
const FLAGS: Want<'_> = Want::Term(&[(1, Some(1))]);
/// With header digests HLEN says where the digest is: what is there instead
/// cannot be one.
const HLEN: Want<'_> = Want::Term(&[(1, Some(2)), (3, None)]);
const PDO: Want<'_> = Want::Term(&[(1, Some(3))]);
const PLEN: Want<'_> = Want::Term(&[(1, Some(4))]);

fn resp(l: &Link) -> Builder {
    pdu::response(l.format, &pdu::cqe(0x7abc, 0))
}

fn r2t(l: &Link, c: &Cmd) -> Builder {
    pdu::r2t(l.format, c.cid(), 1, 0, c.len().min(512))
}

fn c2h(l: &Link, c: &Cmd) -> Builder {
    pdu::c2h_data(l.format, 0, c.cid(), 0, &[0x11; 512])
}

fn more(b: Builder, bits: u8) -> Builder {
    let v = b.header[1] | bits;
    b.u8(1, v)
}

fn toggle(b: Builder, bit: u8) -> Builder {
    let v = b.header[1] ^ bit;
    b.u8(1, v)
}

fn garbage(l: &mut Link, c: &Cmd, bytes: &[u8]) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    l.send(bytes);
    Some(l.fate(&[], Want::TermOrEnd))
}

fn hdgst(l: &mut Link, c: &Cmd, build: fn(&Link, &Cmd) -> Builder) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    let b = build(l, c).bad_hdgst();
    let digest = crc32c(&b.header) ^ 1;
    l.put(&b);
    Some(l.fate(&b.header, Want::Term(&[(3, Some(digest))])))
}

fn flip(l: &mut Link, c: &Cmd, bit: usize) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    let b = r2t(l, c);
    let digest = crc32c(&b.header);
    let mut bytes = b.bytes();
    bytes[bit / 8] ^= 1 << (bit % 8);
    l.send(&bytes);
    let header = bytes[..24].to_vec();
    let r = l.fate(&header, Want::Term(&[(3, Some(digest))]));
    Some(r.map(|_| "TermReq FES 3, FEI the digest received".into()))
}

fn split(h: &crate::honest::Honest, l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !is_read(l, c) {
        return None;
    }
    let data = match h.data(c) {
        Ok(d) => d,
        Err(e) => return Some(Err(e)),
    };
    let mut bytes = pdu::c2h_data(l.format, flag::LAST, c.cid(), 0, &data).bytes();
    let mut cqe = pdu::cqe(c.cid(), 0);
    cqe[8..10].copy_from_slice(&l.next_head().to_le_bytes());
    bytes.extend(pdu::response(l.format, &cqe).bytes());
    // The header and the end byte by byte, the rest in pieces.
    for b in &bytes[..64] {
        l.send(&[*b]);
    }
    let n = bytes.len();
    for p in bytes[64..n - 64].chunks(997) {
        l.send(p);
    }
    for b in &bytes[n - 64..] {
        l.send(&[*b]);
    }
    Some(l.goes_on())
}
