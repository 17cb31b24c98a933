// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The common header of every PDU.

use std::time::{Duration, Instant};

use rawpeer::pdu::{self, Builder, Format, flag, kind};
use rawpeer::peer::End;

use super::cases;
use super::trial::{DIGESTS, Trial, capsule, capsule_with};
use crate::case::{Outcome, check, fail};
use crate::dial::{Ask, Target};
use crate::judge::{Seen, Want, judge};

cases! {
    "header.direction", "21", "TCP 3.3", "TermReq FES 1 FEI 0: ICResp, CapsuleResp, C2HData, R2T from a host"
        => direction;
    "header.type", "21", "TCP 3.3 (Figure 10), 3.6.2.1", "TermReq FES 1 FEI 0: reserved types"
        => types;
    "header.flags-reserved", "22", "TCP 3.6.2.6", "TermReq FES 1 FEI 1: flags 2 to 7 of a CapsuleCmd"
        => flags;
    "header.hdgstf", "23", "TCP 3.3.1.1", "TermReq FES 1 FEI 1: HDGSTF differs from what was agreed"
        => hdgstf;
    "header.ddgstf", "23", "TCP 3.3.1.1", "TermReq FES 1 FEI 1: DDGSTF differs from what was agreed"
        => ddgstf;
    "header.hlen", "25", "TCP 3.6.2.6", "TermReq FES 1 FEI 2 (with digests also FES 3)"
        => hlen;
    "header.hlen-h2cdata", "25", "TCP 3.6.2.8", "TermReq FES 1 FEI 2 (with digests also FES 3)"
        => hlen_h2c;
    "header.pdo", "27", "TCP 3.3, 3.6.2.6", "TermReq FES 1 FEI 3: inside the header, beyond PLEN, misaligned"
        => pdo;
    "header.plen-short", "29", "TCP 3.6.2.1", "TermReq FES 1 FEI 4: PLEN shorter than the header"
        => plen_short;
    "header.plen-long", "30", "TCP 3.3.1, 3.6.2.1", "TermReq FES 1 FEI 4 or FES 5, from the header alone"
        => plen_long;
    "header.lowest-fault", "33", "TCP 3.6.2.5 (FEI)", "of several faults the lowest offset is reported"
        => lowest;
    "header.split", "34", "TCP 2", "a capsule in two segments, cut at every byte, is answered as in one"
        => split;
    "header.split-fault", "34", "TCP 2, 3.6.2.6", "TermReq FES 1 FEI 2 for a bad header in segments of one byte"
        => split_fault;
    "header.silence-after", "35", "TCP 3.5", "after a fatal error nothing but the TermReq, whatever was sent behind"
        => silence_after;
    "header.ends", "35", "TCP 3.5", "after its TermReq the controller ends the connection within 35 s though the host does not"
        => ends;
    "header.garbage", "class: state missing (spdk#3842)", "TCP 3.5", "a TermReq or the end: text and random bytes on a connected queue"
        => garbage;
}

const TYPE: Want<'_> = Want::Term(&[(1, Some(0))]);
const FLAGS: Want<'_> = Want::Term(&[(1, Some(1))]);
const HLEN: Want<'_> = Want::Term(&[(1, Some(2))]);
/// With header digests HLEN says where the digest is: what is there instead
/// cannot be one.
const HLEN_DIGEST: Want<'_> = Want::Term(&[(1, Some(2)), (3, None)]);
const PDO: Want<'_> = Want::Term(&[(1, Some(3))]);
const PLEN: Want<'_> = Want::Term(&[(1, Some(4))]);

fn direction(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for (name, k, hlen) in [
            ("ICResp", kind::ICRESP, 128),
            ("CapsuleResp", kind::RESP, 24),
            ("C2HData", kind::C2H_DATA, 24),
            ("R2T", kind::R2T, 24),
        ] {
            // Initialize Connection PDUs never have digests.
            if d == 0 || k != kind::ICRESP {
                let build = |f: Format| Builder::new(f, k, 0, hlen, &[]);
                trial.offend(d, name, |c| build(c.format), TYPE)?;
            }
        }
    }
    trial.outcome()
}

fn types(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for v in [0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x7f, 0xff] {
            let name = format!("type {v:#x}");
            trial.offend(d, &name, |c| capsule(c).u8(0, v), TYPE)?;
        }
    }
    trial.outcome()
}

fn flags(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for bit in 2..8 {
            let build = |b: Builder| {
                let v = b.header[1] | 1 << bit;
                b.u8(1, v)
            };
            let name = format!("flag {bit}");
            trial.offend(d, &name, |c| build(capsule(c)), FLAGS)?;
        }
    }
    trial.outcome()
}

fn toggle(b: Builder, bit: u8) -> Builder {
    let v = b.header[1] ^ bit;
    b.u8(1, v)
}

fn hdgstf(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in [0, 1, 3] {
        let build = |b| toggle(b, flag::HDGST);
        trial.offend(d, "HDGSTF", |c| build(capsule(c)), FLAGS)?;
    }
    trial.outcome()
}

fn ddgstf(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in [0, 2, 3] {
        let build = |b| toggle(b, flag::DDGST);
        let name = "DDGSTF of a capsule with data";
        trial.offend(d, name, |c| build(capsule_with(c, 512)), FLAGS)?;
    }
    trial.outcome()
}

fn hlen(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for v in [0, 1, 7, 8, 24, 71, 73, 76, 128, 255] {
            let want = if d == 0 { HLEN } else { HLEN_DIGEST };
            trial.offend(d, &format!("HLEN {v}"), |c| capsule(c).u8(2, v), want)?;
        }
    }
    trial.outcome()
}

fn hlen_h2c(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for v in [0, 8, 23, 25, 72, 255] {
            let want = if d == 0 { HLEN } else { HLEN_DIGEST };
            let build = |f| pdu::h2c_data(f, flag::LAST, 1, 0, 0, &[1; 64]).u8(2, v);
            trial.offend(d, &format!("HLEN {v}"), |c| build(c.format), want)?;
        }
    }
    trial.outcome()
}

fn pdo(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        let header = if d == 0 { 72 } else { 76 };
        for v in [8, header - 4, header - 1, header + 1] {
            let name = format!("PDO {v}");
            trial.offend(d, &name, |c| capsule_with(c, 64).u8(3, v), PDO)?;
        }
        trial.offend(
            d,
            "PDO beyond PLEN",
            |c| capsule_with(c, 16).u8(3, 252),
            PDO,
        )?;
    }
    trial.outcome()
}

fn plen_short(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for v in [0, 1, 7, 8, 24, 71] {
        let name = format!("PLEN {v}");
        trial.offend(0, &name, |c| capsule(c).u32(4, v), PLEN)?;
    }
    trial.outcome()
}

fn plen_long(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    let want = Want::Term(&[(1, Some(4)), (5, None)]);
    for v in [1 << 24, 1 << 30, 3 << 30, u32::MAX] {
        // The header only: a peer that waits for the rest waits for ever.
        let build = |b: Builder| {
            let mut b = b.u32(4, v);
            b.data.clear();
            b
        };
        let name = format!("PLEN {v}");
        trial.offend(0, &name, |c| build(capsule_with(c, 512)), want)?;
    }
    trial.outcome()
}

fn lowest(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    let t0 = |c: &mut crate::conn::Conn| capsule(c);
    trial.offend(0, "type and flags", |c| t0(c).u8(0, 0xff).u8(1, 0x80), TYPE)?;
    trial.offend(
        0,
        "flags, HLEN and PLEN",
        |c| t0(c).u8(1, 0x80).u8(2, 1).u32(4, 0),
        FLAGS,
    )?;
    trial.offend(
        0,
        "HLEN, PDO and PLEN",
        |c| t0(c).u8(2, 1).u8(3, 3).u32(4, 0),
        HLEN,
    )?;
    trial.outcome()
}

fn split(t: &Target) -> Outcome {
    let mut n = 0;
    for d in DIGESTS {
        let mut c = match t.admin(&Ask::digests(d)) {
            Err(crate::case::Problem::Skip(_)) if d != 0 => continue,
            c => c?,
        };
        let b = capsule(&mut c);
        let len = b.bytes().len();
        c.send(&b.bytes());
        let whole = c.seen().status();
        for cut in 1..len {
            let b = capsule(&mut c);
            let bytes = b.bytes();
            c.send(&bytes[..cut]);
            std::thread::sleep(Duration::from_micros(300));
            c.send(&bytes[cut..]);
            let seen = c.seen();
            check(seen.status().is_some() && seen.status() == whole, || {
                format!("cut at byte {cut}: {seen}, in one segment status {whole:?}")
            })?;
            n += 1;
        }
    }
    Ok(format!("{n} cuts, a response each"))
}

fn split_fault(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::default())?;
    let b = capsule(&mut c).u8(2, 73);
    for byte in b.bytes() {
        c.peer().send(&[byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    c.fate(&b.header, HLEN)
}

fn silence_after(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::default())?;
    let bad = capsule(&mut c).u8(1, 0x80);
    let mut bytes = bad.bytes();
    for _ in 0..3 {
        bytes.extend(capsule(&mut c).bytes());
    }
    c.offend(&bytes, &bad.header, FLAGS)
}

fn ends(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::default())?;
    let bad = capsule(&mut c).u8(1, 0x80);
    c.send(&bad.bytes());
    let said = judge(FLAGS, &c.seen())?;
    let start = Instant::now();
    match c.seen_within(t.linger) {
        Seen::End(End::Closed | End::Reset) => Ok(format!(
            "{said}, the end after {} s",
            start.elapsed().as_secs()
        )),
        s => fail(format!("{said}, and then {s}")),
    }
}

fn garbage(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    let mut x = 0x9e37_79b9_u32;
    for round in 0..8 {
        let noise: Vec<u8> = (0..512)
            .map(|_| {
                x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (x >> 24) as u8
            })
            .collect();
        // The first byte is no type that a host may send.
        let noise = [&[0x80 | noise[0]][..], &noise[1..]].concat();
        trial.offend_bytes(&format!("noise {round}"), &noise, Want::TermOrEnd)?;
    }
    let text = b"GET / HTTP/1.1\r\nHost: nvme.example.org\r\nUser-Agent: scanner\r\nAccept: */*\r\nX-Padding: ...........\r\n\r\n";
    trial.offend_bytes("text", text, Want::TermOrEnd)?;
    trial.outcome()
}
