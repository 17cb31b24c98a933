// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! H2CData and the R2Ts that ask for it.

use rawpeer::pdu::{self, Builder, Format, Raw, flag, kind};

use super::cases;
use super::trial::{DIGESTS, Trial};
use crate::case::{Outcome, Problem, check, fail};
use crate::conn::Conn;
use crate::dial::{Ask, Disk, Target};
use crate::judge::{Seen, Want};
use crate::sqe::{Place, admin, nvm};

cases! {
    "h2cdata.no-r2t", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10: H2CData before any command, TTAG 0, 1, FFFFh"
        => |t| uncalled(t, Uncalled::First);
    "h2cdata.for-read", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10 or FES 2: H2CData for a read (CVE-2026-22998)"
        => |t| uncalled(t, Uncalled::Read);
    "h2cdata.for-no-data", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10 or FES 2: H2CData for a command without data (CVE-2023-6535)"
        => |t| uncalled(t, Uncalled::Flush);
    "h2cdata.for-capsule", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10 or FES 2: H2CData for a command whose data was in its capsule"
        => |t| uncalled(t, Uncalled::Capsule);
    "h2cdata.admin", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10 or FES 2: H2CData on an admin queue that asked for none"
        => uncalled_admin;
    "h2cdata.ttag-unknown", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10: a TTAG that no R2T had, while one is outstanding"
        => |t| attack(t, Want::Term(&[(1, Some(10))]), &[("next", |s| s.data(0, s.ttag ^ 1, 0, 512)), ("FFFFh", |s| s.data(0, 0xffff, 0, 512)), ("7FFFh", |s| s.data(0, 0x7fff, 0, 512))]);
    "h2cdata.ttag-finished", "54", "TCP 3.3.2.2", "TermReq FES 1 FEI 10 or FES 2: the same H2CData again after its R2T was satisfied"
        => finished;
    "h2cdata.cccid", "55", "TCP 3.6.2.8, 3.3.2.2", "TermReq FES 1 FEI 8 or FES 2: a CCCID that is not the TTAG's command"
        => |t| attack(t, Want::Term(&[(1, Some(8)), (2, None)]), &[("another", |s| s.data(0, s.ttag, 0, 512).u16(8, s.cid ^ 1)), ("FFFFh", |s| s.data(0, s.ttag, 0, 512).u16(8, 0xffff))]);
    "h2cdata.maxh2cdata", "57", "TCP 3.3.2.2, 3.6.2.5", "TermReq FES 5, from the header alone: more data than MAXH2CDATA"
        => maxh2cdata;
    "h2cdata.datal", "57", "TCP 3.6.2.8", "TermReq FES 1 FEI 16 or FEI 4: DATAL that is not what PLEN and PDO leave (CVE-2023-6356)"
        => |t| attack(t, Want::Term(&[(1, Some(16)), (1, Some(4))]), &[("less", |s| s.data(0, s.ttag, 0, 512).u32(16, 508)), ("more", |s| s.data(0, s.ttag, 0, 512).u32(16, 516)), ("zero", |s| s.data(0, s.ttag, 0, 512).u32(16, 0))]);
    "h2cdata.datal-huge", "57", "TCP 3.6.2.8, 3.3.2.2", "TermReq FES 1 FEI 16 or FEI 4, FES 4 or FES 5: DATAL 2^32 - 1"
        => |t| attack(t, Want::Term(&[(1, Some(16)), (1, Some(4)), (4, None), (5, None)]), &[("DATAL", |s| s.data(0, s.ttag, 0, 512).u32(16, u32::MAX))]);
    "h2cdata.empty", "57", "TCP 3.6.2.8", "TermReq FES 1 or FES 2: no data at all"
        => |t| attack(t, Want::Term(&[(1, None), (2, None)]), &[("empty", |s| s.data(0, s.ttag, 0, 0))]);
    "h2cdata.last-missing", "58", "TCP 3.3.2.2", "TermReq FES 2: LAST_PDU clear on the last bytes of an R2T"
        => |t| attack(t, Want::Term(&[(2, None)]), &[("clear", |s| s.data(0, s.ttag, 0, s.len))]);
    "h2cdata.last-early", "58", "TCP 3.3.2.2", "TermReq FES 2: LAST_PDU set before the end of an R2T"
        => |t| attack(t, Want::Term(&[(2, None)]), &[("set", |s| s.data(flag::LAST, s.ttag, 0, 512))]);
    "h2cdata.hole", "56", "TCP 3.3.2.2", "TermReq FES 2: DATAO that leaves a hole"
        => |t| attack(t, Want::Term(&[(2, None)]), &[("4 bytes", |s| s.data(0, s.ttag, 4, 512)), ("512 bytes", |s| s.data(0, s.ttag, 512, 512))]);
    "h2cdata.again", "56", "TCP 3.3.2.2", "TermReq FES 2: data that came before"
        => again;
    "h2cdata.beyond", "56", "TCP 3.3.2.2, 3.6.2.5", "TermReq FES 4: data beyond the R2T"
        => |t| attack(t, Want::Term(&[(4, None)]), &[("end", |s| s.data(flag::LAST, s.ttag, s.len as u32 - 256, 512)), ("far", |s| s.data(flag::LAST, s.ttag, 1 << 30, 512))]);
    "h2cdata.wrap", "class: integer wrap", "TCP 3.3.2.2, 3.6.2.5", "TermReq FES 4: DATAO and DATAL whose sum wraps 2^32"
        => |t| attack(t, Want::Term(&[(4, None)]), &[("to 508", |s| s.data(flag::LAST, s.ttag, u32::MAX - 3, 512)), ("to 0", |s| s.data(flag::LAST, s.ttag, 0u32.wrapping_sub(512), 512))]);
    "h2cdata.flags", "22", "TCP 3.6.2.8", "TermReq FES 1 FEI 1: SUCCESS and reserved flags from a host"
        => |t| attack(t, Want::Term(&[(1, Some(1))]), &[("SUCCESS", |s| s.flags(0x08)), ("flag 4", |s| s.flags(0x10)), ("flag 7", |s| s.flags(0x80))]);
    "h2cdata.pdo", "27", "TCP 3.3, 3.6.2.8", "TermReq FES 1 FEI 3: PDO inside the header, misaligned, beyond PLEN"
        => |t| attack(t, Want::Term(&[(1, Some(3))]), &[("8", |s| s.data(0, s.ttag, 0, 512).u8(3, 8)), ("misaligned", |s| s.pdo(1)), ("beyond", |s| s.data(0, s.ttag, 0, 16).u8(3, 252))]);
    "r2t.sequence", "59", "TCP 3.3.2.2", "R2Ts of a long write are contiguous, and no more outstanding than MAXR2T allows"
        => sequence;
    "r2t.small", "60", "TCP 3.3.2, 3.3.2.2", "a Transport SGL leads to an R2T also where the data would fit in the capsule"
        => small;
    "r2t.pieces", "60", "TCP 3.3.2.2", "a write in H2CData of 60 bytes to MAXH2CDATA is written as it was sent"
        => pieces;
}

/// A write that waits for its data.
struct Waiting {
    format: Format,
    cid: u16,
    ttag: u16,
    /// Bytes of its first R2T.
    len: usize,
}

impl Waiting {
    fn data(&self, flags: u8, ttag: u16, at: u32, n: usize) -> Builder {
        pdu::h2c_data(self.format, flags, self.cid, ttag, at, &vec![0x77; n])
    }

    fn flags(&self, more: u8) -> Builder {
        let b = self.data(0, self.ttag, 0, 512);
        let v = b.header[1] | more;
        b.u8(1, v)
    }

    fn pdo(&self, more: u8) -> Builder {
        let b = self.data(0, self.ttag, 0, 512);
        let v = b.header[3] + more;
        b.u8(3, v)
    }
}

fn write(t: &Target, digests: u8) -> Result<(Conn, Conn, Waiting, Disk), Problem> {
    let (a, mut io, d) = t.writable(&Ask::digests(digests))?;
    let n = t.long(&d)?;
    let sqe = io.write_sqe(&d, 0, n);
    io.submit(sqe, &[]);
    let r = r2t(&mut io)?;
    let w = Waiting {
        format: io.format,
        cid: sqe.cid(),
        ttag: r.u16(10),
        len: r.u32(16) as usize,
    };
    check(r.u16(8) == w.cid && r.u32(12) == 0 && w.len >= 1024, || {
        format!("an R2T for {} bytes at {}", w.len, r.u32(12))
    })?;
    Ok((a, io, w, d))
}

fn r2t(io: &mut Conn) -> Result<Raw, Problem> {
    let r = io.receive()?;
    check(r.kind() == kind::R2T, || {
        format!("{} instead of an R2T", Seen::Pdu(r.clone()))
    })?;
    Ok(r)
}

type Attack = (&'static str, fn(&Waiting) -> Builder);

fn attack(t: &Target, want: Want<'_>, list: &[Attack]) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for (name, build) in list {
            let r = write(t, d).and_then(|(_a, mut io, w, _)| {
                let b = build(&w);
                io.offend(&b.bytes(), &b.header, want)
            });
            trial.note(d, name, r)?;
        }
    }
    trial.outcome()
}

/// What comes before H2CData that nobody asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uncalled {
    First,
    Read,
    Flush,
    Capsule,
}

fn uncalled(t: &Target, before: Uncalled) -> Outcome {
    let mut trial = Trial::new(t);
    for ttag in [0u16, 1, 0xffff] {
        let r = t.writable(&Ask::default()).and_then(|(_a, mut io, d)| {
            let mut cid = 1;
            match before {
                Uncalled::First => {}
                Uncalled::Read => {
                    let s = io
                        .sqe(nvm::READ, d.nsid, d.block, Place::Buffer)
                        .blocks(0, 1);
                    cid = s.cid();
                    io.run(s, &[])?;
                }
                Uncalled::Flush => {
                    let s = io.sqe(nvm::FLUSH, d.nsid, 0, Place::Buffer);
                    cid = s.cid();
                    io.run(s, &[])?;
                }
                Uncalled::Capsule => {
                    if io.icd < d.block {
                        return crate::case::skip("no in-capsule data on I/O queues");
                    }
                    let s = io
                        .sqe(nvm::WRITE, d.nsid, d.block, Place::Capsule)
                        .blocks(0, 1);
                    cid = s.cid();
                    io.run(s, &vec![1; d.block as usize])?;
                }
            }
            let b = pdu::h2c_data(io.format, flag::LAST, cid, ttag, 0, &[1; 512]);
            let strict = [(1, Some(10))];
            let wide = [(1, Some(10)), (2, None)];
            let first = before == Uncalled::First;
            let want = Want::Term(if first { &strict } else { &wide });
            io.offend(&b.bytes(), &b.header, want)
        });
        trial.note(0, &format!("TTAG {ttag}"), r)?;
    }
    trial.outcome()
}

fn uncalled_admin(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for ttag in [0u16, 1, 0xffff] {
        let build = |f| pdu::h2c_data(f, flag::LAST, 1, ttag, 0, &[1; 64]);
        let want = Want::Term(&[(1, Some(10)), (2, None)]);
        trial.offend(0, &format!("TTAG {ttag}"), |c| build(c.format), want)?;
    }
    // While a command is under way that takes nothing.
    let mut c = t.admin(&Ask::default())?;
    let s = c.sqe(admin::ASYNC_EVENT, 0, 0, Place::Buffer);
    c.submit(s, &[]);
    let b = pdu::h2c_data(c.format, flag::LAST, s.cid(), 0, 0, &[1; 64]);
    let want = Want::Term(&[(1, Some(10)), (2, None)]);
    let r = c.offend(&b.bytes(), &b.header, want);
    trial.note(0, "for an event request", r)?;
    trial.outcome()
}

fn finished(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    let r = t.writable(&Ask::default()).and_then(|(_a, mut io, d)| {
        let n = t.long(&d)?;
        let data = vec![3; (n * d.block) as usize];
        let s = io
            .sqe(nvm::WRITE, d.nsid, data.len() as u32, Place::Buffer)
            .blocks(0, n);
        io.submit(s, &[]);
        let r = r2t(&mut io)?;
        io.answer(&r, &data[..r.u32(16) as usize]);
        io.reply_after(s, &data, r.u32(16) as usize)?
            .must_be(&[0])?;
        let b = pdu::h2c_data(io.format, flag::LAST, s.cid(), r.u16(10), 0, &[3; 512]);
        io.offend(
            &b.bytes(),
            &b.header,
            Want::Term(&[(1, Some(10)), (2, None)]),
        )
    });
    trial.note(0, "again", r)?;
    trial.outcome()
}

fn small(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for dg in DIGESTS {
        for n in [1u32, 8, 32] {
            let r = t.writable(&Ask::digests(dg)).and_then(|(_a, mut io, d)| {
                let data: Vec<u8> = (0..n * d.block).map(|i| (i / 5) as u8 ^ n as u8).collect();
                let r = io.write(&d, 0, &data, Place::Buffer)?;
                r.must_be(&[0])?;
                check(io.read(&d, 0, n)? == data, || {
                    "what is read is not what was written".into()
                })?;
                Ok(format!("{} R2T", r.r2ts))
            });
            trial.note(dg, &format!("{n} blocks"), r)?;
        }
    }
    trial.outcome()
}

fn again(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        let r = write(t, d).and_then(|(_a, mut io, w, _)| {
            let b = w.data(0, w.ttag, 0, 512);
            io.send(&b.bytes());
            io.offend(&b.bytes(), &b.header, Want::Term(&[(2, None)]))
        });
        trial.note(d, "again", r)?;
    }
    trial.outcome()
}

fn maxh2cdata(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for more in [4u32, 1 << 20, 1 << 30] {
        let r = write(t, 0).and_then(|(_a, mut io, w, _)| {
            let Some(n) = io.maxh2cdata.checked_add(more) else {
                return fail(format!("MAXH2CDATA is {}", io.maxh2cdata));
            };
            // The header alone must do.
            let mut b = w.data(0, w.ttag, 0, 512).u32(16, n);
            let pdo = u32::from(b.header[3]);
            b = b.u32(4, pdo + n);
            b.data.clear();
            io.offend(&b.bytes(), &b.header, Want::Term(&[(5, None)]))
        });
        trial.note(0, &format!("{more} bytes more"), r)?;
    }
    trial.outcome()
}

fn sequence(t: &Target) -> Outcome {
    let mut tally = crate::case::Tally::default();
    for maxr2t in [0u32, 1, 3] {
        let ask = Ask {
            maxr2t,
            ..Ask::default()
        };
        let (_a, mut io, d) = t.writable(&ask)?;
        let n = t.survey()?.transfer(1 << 20) / d.block;
        let len = (n * d.block) as usize;
        let s = io
            .sqe(nvm::WRITE, d.nsid, len as u32, Place::Buffer)
            .blocks(0, n);
        io.submit(s, &[]);
        let data = vec![0x3c; len];
        let (mut granted, mut most) = (0usize, 0usize);
        let mut open = Vec::new();
        loop {
            // All that comes without an answer is outstanding at once.
            while granted < len {
                let wait = match open.is_empty() {
                    true => t.patience,
                    false => std::time::Duration::from_millis(100),
                };
                match io.seen_within(wait) {
                    Seen::Pdu(r) if r.kind() == kind::R2T => {
                        let (to, tl) = (r.u32(12) as usize, r.u32(16) as usize);
                        check(to == granted && tl != 0 && to + tl <= len, || {
                            format!("R2T for {tl} bytes at {to}, {granted} were asked for")
                        })?;
                        granted += tl;
                        open.push(r);
                    }
                    Seen::End(rawpeer::peer::End::Timeout) if !open.is_empty() => break,
                    s => return fail(format!("{s} instead of an R2T")),
                }
            }
            most = most.max(open.len());
            check(open.len() <= maxr2t as usize + 1, || {
                format!("{} R2Ts outstanding with MAXR2T {maxr2t}", open.len())
            })?;
            for r in open.drain(..) {
                let (to, tl) = (r.u32(12) as usize, r.u32(16) as usize);
                io.answer(&r, &data[to..to + tl]);
            }
            if granted == len {
                break;
            }
        }
        io.reply(s, &[])?.must_be(&[0])?;
        let r = Ok(format!("at most {most} outstanding"));
        tally.add(format!("MAXR2T {maxr2t}"), r)?;
    }
    tally.outcome()
}

fn pieces(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for step in [60u32, 512, 1020, 4096, u32::MAX] {
            let r = t.writable(&Ask::digests(d)).and_then(|(_a, mut io, disk)| {
                let n = t.long(&disk)?;
                io.maxh2cdata = io.maxh2cdata.min(step.max(4096));
                let data: Vec<u8> = (0..n * disk.block)
                    .map(|i| (i / 7) as u8 ^ step as u8)
                    .collect();
                let s = io
                    .sqe(nvm::WRITE, disk.nsid, data.len() as u32, Place::Buffer)
                    .blocks(0, n);
                if step >= 4096 {
                    io.run(s, &data)?.must_be(&[0])?;
                } else {
                    io.submit(s, &[]);
                    let r = r2t(&mut io)?;
                    let (to, tl) = (r.u32(12) as usize, r.u32(16) as usize);
                    check(to == 0 && tl <= data.len(), || {
                        format!("R2T for {tl} bytes at {to}")
                    })?;
                    let count = tl.div_ceil(step as usize);
                    let mut bytes = Vec::new();
                    for (i, p) in data[to..to + tl].chunks(step as usize).enumerate() {
                        let fl = if i + 1 == count { flag::LAST } else { 0 };
                        let at = (to + i * step as usize) as u32;
                        let b = pdu::h2c_data(io.format, fl, s.cid(), r.u16(10), at, p);
                        bytes.extend(b.bytes());
                    }
                    io.send(&bytes);
                    io.reply_after(s, &data, tl)?.must_be(&[0])?;
                }
                let back = io.read(&disk, 0, n)?;
                check(back == data, || {
                    "what is read is not what was written".into()
                })?;
                Ok("as it was sent".into())
            });
            trial.note(d, &format!("pieces of {step} bytes"), r)?;
        }
    }
    trial.outcome()
}
