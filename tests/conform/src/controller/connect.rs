// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The Connect command.

use super::cases;
use crate::case::{Outcome, Problem, Tally, check, fail, skip};
use crate::conn::{Conn, Reply};
use crate::dial::{Ask, Target};
use crate::judge::{Want, sc};
use crate::sqe::{Place, Sqe, admin, fabrics, nvm};

cases! {
    "connect.admin", "79", "Base 6.3", "success; CNTLID is not FFFFh; SQHD FFFFh if and only if flow control is off; reserved bytes 0"
        => good;
    "connect.recfmt", "79", "Base 6.3", "status 180h: RECFMT 1, FFFFh"
        => |t| each(t, &[("1", |c| c.sqe = c.sqe.u16(40, 1)), ("FFFFh", |c| c.sqe = c.sqe.u16(40, 0xffff))], &[sc::INCOMPATIBLE_FORMAT], None);
    "connect.subnqn-unterminated", "81", "Base 6.3, 4.5; CVE-2023-6121", "status 182h: 256 bytes without NUL"
        => |t| each(t, &[("a", |c| c.data[256..512].fill(b'a')), ("the name and more", |c| fill(c, 256))], &[sc::CONNECT_PARAMETERS], None);
    "connect.hostnqn-unterminated", "81", "Base 6.3, 4.5; CVE-2023-6121", "status 182h: 256 bytes without NUL"
        => |t| each(t, &[("a", |c| c.data[512..768].fill(b'a')), ("the name and more", |c| fill(c, 512))], &[sc::CONNECT_PARAMETERS], None);
    "connect.hostnqn-empty", "81", "Base 6.3, 4.5", "status 182h"
        => |t| each(t, &[("empty", |c| c.data[512..768].fill(0))], &[sc::CONNECT_PARAMETERS], None);
    "connect.subnqn-unknown", "80", "Base 6.3", "status 182h, IPO 256, IATTR 1: a subsystem that is not there"
        => |t| each(t, &[("unknown", |c| c.set_name(256, "nqn.2014-08.org.example:not-there")), ("empty", |c| c.data[256..512].fill(0))], &[sc::CONNECT_PARAMETERS], Some(1 << 16 | 256));
    "connect.hostid-zero", "82", "Base 6.3", "status 182h"
        => |t| each(t, &[("zero", |c| c.data[..16].fill(0))], &[sc::CONNECT_PARAMETERS], None);
    "connect.cntlid", "83", "Base 6.3", "status 182h: CNTLID that is not FFFFh on the admin queue (dynamic controllers)"
        => |t| each(t, &[("0", |c| c.data[16..18].fill(0)), ("FFF0h", |c| c.data[16..18].copy_from_slice(&[0xf0, 0xff]))], &[sc::CONNECT_PARAMETERS], None);
    "connect.io-cntlid-unknown", "83", "Base 6.3 (F7)", "status 182h, and the controller survives: an I/O queue for a controller that is not there"
        => |t| each_io(t, &[("another", |c| c.data[16] ^= 0x55), ("far", |c| c.data[17] ^= 0x7a), ("FFFFh", |c| c.data[16..18].fill(0xff))], &[sc::CONNECT_PARAMETERS]);
    "connect.io-first", "83", "Base 6.3 (F7)", "status 182h: an I/O queue without any admin queue"
        => io_first;
    "connect.io-hostnqn", "class: authn/authz skipped on secondary connections", "Base 6.3", "an error: an I/O queue with another host's NQN"
        => |t| each_io(t, &[("another", |c| c.set_name(512, "nqn.2014-08.org.example:somebody-else"))], &[sc::CONNECT_PARAMETERS, sc::CONNECT_HOST]);
    "connect.io-hostid", "class: authn/authz skipped on secondary connections", "Base 6.3", "an error: an I/O queue with another Host Identifier"
        => |t| each_io(t, &[("another", |c| c.data[..16].fill(0x77))], &[sc::CONNECT_PARAMETERS, sc::CONNECT_HOST]);
    "connect.io-subnqn", "class: authn/authz skipped on secondary connections", "Base 6.3", "an error: an I/O queue of another subsystem"
        => |t| each_io(t, &[("another", |c| c.set_name(256, "nqn.2014-08.org.example:not-there"))], &[sc::CONNECT_PARAMETERS, sc::CONNECT_HOST]);
    "connect.denied-host", "85", "Base 6.3", "status 184h on the admin queue: a host that may not connect (--denied-hostnqn)"
        => denied;
    "connect.sqsize-zero", "86", "Base 6.3", "status 182h, IPO 44, IATTR 0"
        => |t| each(t, &[("zero", |c| c.sqe = c.sqe.u16(44, 0))], &[sc::CONNECT_PARAMETERS], Some(44));
    "connect.sqsize-io", "86", "Base 6.3", "status 182h: SQSIZE 0, and more than CAP.MQES"
        => sqsize_io;
    "connect.sqsize-admin", "86", "Base 6.3, 5.16.1.23 (ASQSZ)", "status 182h, IPO 44, IATTR 0: more entries than discovery tells, ASQSZ itself is taken"
        => sqsize_admin;
    "connect.qid-beyond", "87", "Base 6.3", "status 182h: QID beyond what was granted, FFFFh"
        => |t| each_io(t, &[("beyond", |c| c.sqe = c.sqe.u16(42, 2)), ("FFFFh", |c| c.sqe = c.sqe.u16(42, 0xffff))], &[sc::CONNECT_PARAMETERS]);
    "connect.io-before-enable", "89", "Base 6.3 (a controller is enabled before its I/O queues)", "status 00ch"
        => before_enable;
    "connect.io-kato", "90", "Base 6.3 (KATO is reserved for I/O queues)", "success or status 182h: KATO that is not 0"
        => |t| each_io(t, &[("15 s", |c| c.sqe = c.sqe.u32(48, 15_000))], &[0, sc::CONNECT_PARAMETERS]);
    "connect.data-length", "91", "Base 6.3", "an error, a TermReq or the end: data of 0, 512, 1023, 1028, 8192 bytes"
        => data_length;
    "connect.twice", "93", "Base 6.3", "status 00ch: Connect on a queue that is connected"
        => twice;
    "connect.duplicate-qid", "88", "Base 6.3", "status 00ch: an I/O queue that exists"
        => duplicate;
    "connect.other-command-first", "92", "Base 3.3.2.2 (Connect is first), NVMe-oF", "an error, a TermReq or the end, and no effect: any other command before Connect"
        => other_first;
    "connect.flow-control", "70", "Base 6.3", "SQHD is counted and in range with flow control, and Connect answers FFFFh without"
        => flow_control;
    "connect.many-queues", "87", "Base 5.27.1.5", "every I/O queue that was granted connects and works"
        => many;
}

/// A Connect on its way, to be made wrong.
struct Attempt {
    sqe: Sqe,
    data: Vec<u8>,
}

impl Attempt {
    fn set_name(&mut self, at: usize, name: &str) {
        self.data[at..at + 256].fill(0);
        crate::dial::put_name(&mut self.data, at, name);
    }
}

/// Makes a name endless.
fn fill(c: &mut Attempt, at: usize) {
    for b in &mut c.data[at..at + 256] {
        if *b == 0 {
            *b = b'x';
        }
    }
}

type Twist = (&'static str, fn(&mut Attempt));

fn attempt(
    t: &Target,
    qid: u16,
    cntlid: u16,
    twist: impl FnOnce(&mut Attempt),
) -> Result<(Conn, Reply), Problem> {
    let ask = Ask::default();
    let mut c = t.initialize(&ask)?;
    let mut a = Attempt {
        sqe: t.connect_sqe(&mut c, &ask, qid),
        data: t.connect_data(&ask, &t.subnqn, cntlid),
    };
    twist(&mut a);
    let r = c.run(a.sqe, &a.data)?;
    Ok((c, r))
}

fn each(t: &Target, list: &[Twist], status: &[u16], at: Option<u32>) -> Outcome {
    let mut tally = Tally::default();
    for (name, twist) in list {
        let r = attempt(t, 0, 0xffff, twist).and_then(|(_, r)| {
            let said = r.must_be(status)?;
            check(at.is_none_or(|v| v == r.dword()), || {
                format!(
                    "{said} with IPO {} IATTR {}",
                    r.dword() as u16,
                    r.dword() >> 16 & 1
                )
            })?;
            Ok(said)
        });
        tally.add(name, r)?;
    }
    tally.outcome()
}

/// An enabled controller with one I/O queue granted.
fn ready(t: &Target) -> Result<Conn, Problem> {
    let mut a = t.admin(&Ask::default())?;
    a.ask_queues(1)?;
    Ok(a)
}

fn each_io(t: &Target, list: &[Twist], status: &[u16]) -> Outcome {
    let mut tally = Tally::default();
    for (name, twist) in list {
        let mut a = ready(t)?;
        // A controller may grant more than was asked for.
        let r = attempt(t, 1, a.cntlid, |c| {
            twist(c);
            if c.sqe.0[42..44] == [2, 0] {
                c.sqe = c.sqe.u16(42, 0xfff0);
            }
        });
        let r = r.and_then(|(_, r)| r.must_be(status));
        tally.add(name, r)?;
        a.works()?;
    }
    tally.outcome()
}

fn good(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for off in [true, false] {
        let (_c, r) = attempt(t, 0, 0xffff, |c| {
            c.sqe = c.sqe.u8(46, if off { 4 } else { 0 });
        })?;
        r.must_be(&[0])?;
        let id = r.dword() as u16;
        check(id != 0xffff && id != 0xfffe, || format!("CNTLID {id:#x}"))?;
        check(r.cqe[4..8] == [0; 4] && r.cqe[10..12] == [0; 2], || {
            format!("reserved bytes of the response: {:02x?}", r.cqe)
        })?;
        // Flow control stays on if the controller says so by SQHD.
        check(off || r.sqhd() != 0xffff, || {
            "SQHD FFFFh, flow control was asked for".into()
        })?;
        let name = if off { "without" } else { "with" };
        let said = format!(
            "SQHD {}",
            if r.sqhd() == 0xffff {
                "FFFFh"
            } else {
                "counted"
            }
        );
        tally.add(format!("{name} flow control"), Ok(said))?;
    }
    tally.outcome()
}

fn io_first(t: &Target) -> Outcome {
    attempt(t, 1, 1, |_| {})?
        .1
        .must_be(&[sc::CONNECT_PARAMETERS])
}

fn denied(t: &Target) -> Outcome {
    let Some(host) = &t.denied else {
        return skip("no --denied-hostnqn");
    };
    let r = attempt(t, 0, 0xffff, |c| c.set_name(512, host))?.1;
    r.must_be(&[sc::CONNECT_HOST])
}

fn sqsize_io(t: &Target) -> Outcome {
    let entries = t.survey()?.entries();
    let mut tally = Tally::default();
    for v in [0u32, entries, 0xffff] {
        let a = ready(t)?;
        let Ok(v) = u16::try_from(v) else { continue };
        if v != 0 && u32::from(v) < entries {
            continue;
        }
        let r = attempt(t, 1, a.cntlid, |c| c.sqe = c.sqe.u16(44, v))?.1;
        tally.add(format!("SQSIZE {v}"), r.must_be(&[sc::CONNECT_PARAMETERS]))?;
    }
    tally.outcome()
}

fn sqsize_admin(t: &Target) -> Outcome {
    let most = super::discovery::admin_entries(t)?;
    let try_size = |v: u16| attempt(t, 0, 0xffff, |c| c.sqe = c.sqe.u16(44, v));
    try_size(most - 1)?.1.must_be(&[0])?;
    let mut tally = Tally::default();
    for v in [most, u16::MAX] {
        let r = try_size(v)?.1;
        let said = r.must_be(&[sc::CONNECT_PARAMETERS]).and_then(|s| {
            check(r.dword() == 44, || format!("{s} with IPO {}", r.dword()))?;
            Ok(s)
        });
        tally.add(format!("SQSIZE {v}"), said)?;
    }
    tally.outcome()
}

fn before_enable(t: &Target) -> Outcome {
    let a = t.connected(&Ask::default())?;
    attempt(t, 1, a.cntlid, |_| {})?
        .1
        .must_be(&[sc::SEQUENCE_ERROR])
}

fn data_length(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for len in [0usize, 4, 512, 1020, 1023, 1028, 8192] {
        let ask = Ask::default();
        let mut c = t.initialize(&ask)?;
        let sqe = t.connect_sqe(&mut c, &ask, 0).sgl_len(len as u32);
        let mut data = t.connect_data(&ask, &t.subnqn, 0xffff);
        data.resize(len, 0);
        c.submit(sqe, &data);
        tally.add(format!("{len} bytes"), c.fate(&[], Want::Refusal))?;
    }
    tally.outcome()
}

fn twice(t: &Target) -> Outcome {
    let ask = Ask::default();
    let mut tally = Tally::default();
    let (mut a, mut io) = t.pair(&ask)?;
    for (name, c, qid) in [("admin queue", &mut a, 0), ("I/O queue", &mut io, 1)] {
        let sqe = t.connect_sqe(c, &ask, qid);
        let id = if qid == 0 { 0xffff } else { c.cntlid };
        let data = t.connect_data(&ask, &t.subnqn, id);
        let r = c.run(sqe, &data);
        tally.add(name, r.and_then(|r| r.must_be(&[sc::SEQUENCE_ERROR])))?;
    }
    tally.outcome()
}

fn duplicate(t: &Target) -> Outcome {
    let (mut a, mut io) = t.pair(&Ask::default())?;
    let said = attempt(t, 1, a.cntlid, |_| {})?
        .1
        .must_be(&[sc::SEQUENCE_ERROR])?;
    a.works()?;
    if let Some(d) = t.survey()?.disk {
        io.read(&d, 0, 1)?;
    }
    Ok(said)
}

fn other_first(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let list: [(&str, u8, u8); 5] = [
        ("Identify", admin::IDENTIFY, 0),
        ("Property Get", admin::FABRICS, fabrics::PROPERTY_GET),
        ("Property Set", admin::FABRICS, fabrics::PROPERTY_SET),
        ("Disconnect", admin::FABRICS, fabrics::DISCONNECT),
        ("Read", nvm::READ, 0),
    ];
    for (name, opcode, kind) in list {
        let mut c = t.initialize(&Ask::default())?;
        let s = c.sqe(opcode, 1, 4096, Place::Buffer);
        let s = if kind == 0 && opcode != admin::FABRICS {
            s
        } else {
            s.u8(4, kind)
        };
        c.submit(s, &[]);
        tally.add(name, c.fate(&[], Want::Refusal))?;
    }
    tally.outcome()
}

fn flow_control(t: &Target) -> Outcome {
    let ask = Ask {
        flow_control: true,
        entries: 8,
        ..Ask::default()
    };
    let (_a, mut io, d) = t.disk(&ask)?;
    let mut heads = Vec::new();
    for _ in 0..20 {
        let s = io.sqe(nvm::FLUSH, d.nsid, 0, Place::Buffer);
        let r = io.run(s, &[])?;
        check(r.sqhd() < 8, || format!("SQHD {} of 8 entries", r.sqhd()))?;
        heads.push(r.sqhd());
    }
    for w in heads.windows(2) {
        check(w[1] == (w[0] + 1) % 8, || {
            format!("SQHD {} after {}", w[1], w[0])
        })?;
    }
    Ok("SQHD counts up to 7".into())
}

fn many(t: &Target) -> Outcome {
    let d = t.survey()?.disk;
    let mut a = t.admin(&Ask::default())?;
    let n = a.ask_queues(8)?.min(8);
    let mut queues = Vec::new();
    for qid in 1..=n {
        queues.push(t.connect_to(&Ask::default(), &t.subnqn, qid, a.cntlid)?);
    }
    for q in &mut queues {
        if let Some(d) = d {
            q.read(&d, 0, 1)?;
        }
    }
    if n == 0 {
        return fail("no I/O queue");
    }
    Ok(format!("{n} queues"))
}
