// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Terminate Connection Requests, ends of connections, events.

use rawpeer::pdu::{self, kind};

use super::{ANY, BOTH, cases, is_io, is_read, is_write};
use crate::bench::Act;
use crate::case::{Outcome, fail};
use crate::judge::{Seen, Want, judge, term_form};
use crate::link::{Cmd, Link};
use crate::sqe::admin;

cases! {
    "termreq.accepted", "73", "TCP 3.5, 3.6.2.5", "the end without an answer: PLEN 24, 32, 152", BOTH =>
        ("24", Act::Command(|_, l, c| silent(l, c, req(1, 0)))),
        ("32", Act::Command(|_, l, c| silent(l, c, req(1, 8)))),
        ("152", Act::Command(|_, l, c| silent(l, c, req(1, 128))));
    "termreq.plen", "73", "TCP 3.5", "ignored, the end without an answer: PLEN 0, 8, 23, 153, 2^32 - 1", ANY =>
        ("0", Act::Command(|_, l, c| silent(l, c, twist(4, &[0; 4])))),
        ("8", Act::Command(|_, l, c| silent(l, c, twist(4, &[8, 0, 0, 0])))),
        ("23", Act::Command(|_, l, c| silent(l, c, twist(4, &[23, 0, 0, 0])))),
        ("153", Act::Command(|_, l, c| silent(l, c, req(1, 129)))),
        ("2^32 - 1", Act::Command(|_, l, c| silent(l, c, twist(4, &[255; 4]))));
    "termreq.malformed", "74", "TCP 3.6.2.5", "the end, never a TermReq for a TermReq: flags, HLEN, PDO", BOTH =>
        ("flags", Act::Command(|_, l, c| silent(l, c, twist(1, &[1])))),
        ("HLEN 8", Act::Command(|_, l, c| silent(l, c, twist(2, &[8])))),
        ("HLEN 255", Act::Command(|_, l, c| silent(l, c, twist(2, &[255])))),
        ("PDO", Act::Command(|_, l, c| silent(l, c, twist(3, &[24]))));
    "termreq.wrong-side", "74", "TCP 3.3, 3.5", "the end, never a TermReq for a TermReq: H2CTermReq from a controller", ANY =>
        ("H2CTermReq", Act::Command(|_, l, c| silent(l, c, pdu::term_req(kind::H2C_TERM, 1, 0, &[]))));
    "termreq.unknown-fes", "77", "TCP 3.6.2.5", "the end without an answer: FES 0, 7, FFFFh", ANY =>
        ("0", Act::Command(|_, l, c| silent(l, c, req(0, 8)))),
        ("7", Act::Command(|_, l, c| silent(l, c, req(7, 8)))),
        ("FFFFh", Act::Command(|_, l, c| silent(l, c, req(0xffff, 8))));
    "termreq.form", "75", "TCP 3.6.2.4, 3.5", "H2CTermReq: no flags, HLEN 24, PLEN at most 152, reserved 0, the header at fault as data, never digests", BOTH =>
        ("CapsuleResp", Act::Command(|_, l, c| form(l, c)));
    "termreq.behind", "76", "TCP 3.5", "the end without an answer: a stray response behind a TermReq, in one segment", BOTH =>
        ("CapsuleResp", Act::Command(|_, l, c| {
            let stray = pdu::response(l.format, &pdu::cqe(0x7abc, 0)).bytes();
            silent(l, c, [req(1, 8), stray].concat())
        }));
    "termreq.admin", "78", "TCP 3.5", "the end of that connection, and the host comes again: a C2HTermReq on the admin queue", ANY =>
        ("FES 2", Act::Command(|_, l, c| {
            if l.qid != Some(0) || c.opcode() != admin::IDENTIFY { return None; }
            l.send(&req(2, 24));
            Some(l.fate(&[], Want::Silent))
        }));
    "header.silence-after", "35", "TCP 3.5", "after a fatal error nothing but the TermReq, whatever was sent behind", ANY =>
        ("responses", Act::Command(|_, l, c| silence(l, c)));
    "end.fin", "113", "TCP 3.1", "the host notices a FIN: on the admin queue, before and after I/O", ANY =>
        ("Identify", Act::Command(|_, l, c| { if l.qid != Some(0) || c.opcode() != admin::IDENTIFY { return None; } Some(fin(l)) })),
        ("first command", Act::Command(|_, l, c| { if !is_io(l) || c.opcode() == admin::FABRICS { return None; } Some(fin(l)) }));
    "end.half-pdu", "113", "TCP 3.1", "the host notices a FIN within a PDU", ANY =>
        ("C2HData", Act::Command(|_, l, c| {
            if !is_read(l, c) { return None; }
            let b = pdu::c2h_data(l.format, 4, c.cid(), 0, &vec![1; c.len() as usize]).bytes();
            l.send(&b[..b.len() / 2]);
            Some(fin(l))
        })),
        ("header", Act::Command(|_, l, c| {
            if !is_write(l, c) { return None; }
            let b = l.r2t(c.cid(), 1, 0, 512).bytes();
            l.send(&b[..11]);
            Some(fin(l))
        }));
    "end.rst", "113", "TCP 3.1", "RST while commands are under way does not harm the host", ANY =>
        ("read", Act::Command(|_, l, c| if is_read(l, c) { Some(rst(l)) } else { None })),
        ("write", Act::Command(|_, l, c| if is_write(l, c) { Some(rst(l)) } else { None }));
    "event.storm", "class: event work after teardown (CVE-2022-48790)", "Base 5.2", "hundreds of events, then a FIN: the host lives", ANY =>
        ("namespace changed", Act::Command(|_, l, c| storm(l, c)));
    "event.unasked", "69", "Base 5.2", "a H2CTermReq or the end: more events than requests", ANY =>
        ("twice", Act::Command(|_, l, c| {
            if l.qid != Some(0) || c.opcode() != admin::ASYNC_EVENT { return None; }
            l.respond(c.cid(), 0, 0x0004_0002);
            l.respond(c.cid(), 0, 0x0004_0002);
            // The second may meet a new request with that CID.
            Some(match l.event() {
                Seen::End(rawpeer::peer::End::Timeout) => fail("nothing came of it in time"),
                s => judge(Want::TermOrEnd, &s),
            })
        }));
}

fn req(fes: u16, len: usize) -> Vec<u8> {
    pdu::term_req(kind::C2H_TERM, fes, 9, &vec![0x55; len])
}

fn twist(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut b = req(1, 8);
    b[at..at + bytes.len()].copy_from_slice(bytes);
    b
}

fn silent(l: &mut Link, c: &Cmd, bytes: Vec<u8>) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    l.send(&bytes);
    Some(l.fate(&[], Want::Silent))
}

fn form(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    let b = pdu::response(l.format, &pdu::cqe(0x7abc, 0)).u8(1, 0x41);
    l.put(&b);
    let seen = l.event();
    let r = judge(Want::Term(&[(1, Some(1))]), &seen);
    if let (Ok(_), Seen::Pdu(t)) = (&r, &seen) {
        if let Err(e) = term_form(t, &b.header) {
            return Some(fail(e));
        }
        if t.data.len() < 24 {
            return Some(fail(format!(
                "{} bytes of data, the header at fault has 24",
                t.data.len()
            )));
        }
    }
    Some(r)
}

fn silence(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c)) {
        return None;
    }
    let good = pdu::response(l.format, &pdu::cqe(c.cid(), 0));
    let flags = good.header[1];
    let bad = good.clone().u8(1, flags | 0x80);
    let mut bytes = bad.bytes();
    for _ in 0..4 {
        bytes.extend(good.bytes());
    }
    l.send(&bytes);
    Some(l.fate(&bad.header, Want::Term(&[(1, Some(1))])))
}

fn fin(l: &mut Link) -> Outcome {
    l.peer().close_write();
    l.fate(&[], Want::TermOrEnd)
}

fn rst(l: &mut Link) -> Outcome {
    let dead = Link::new(
        rawpeer::peer::Peer::new(match l.peer().stream().try_clone() {
            Ok(s) => s,
            Err(e) => return fail(e.to_string()),
        }),
        l.patience(),
    );
    dead.reset();
    let _ = l.peer().stream().shutdown(std::net::Shutdown::Both);
    Ok("RST".into())
}

fn storm(l: &mut Link, c: &Cmd) -> Option<Outcome> {
    if l.qid != Some(0) || c.opcode() != admin::ASYNC_EVENT {
        return None;
    }
    let mut cid = c.cid();
    let mut n = 0;
    while n < 300 {
        l.respond(cid, 0, 0x0004_0002);
        n += 1;
        // Until the next request comes its own commands are served.
        loop {
            let patience = l.patience();
            let r = match l.next(patience) {
                Seen::Pdu(r) => r,
                s => {
                    return Some(match s {
                        Seen::End(rawpeer::peer::End::Timeout) => Ok(format!("{n} events")),
                        s => judge(Want::TermOrEnd, &s),
                    });
                }
            };
            let Ok(cmd) = l.command(&r) else {
                return Some(fail("a PDU that is no command"));
            };
            match cmd.opcode() {
                admin::ASYNC_EVENT => {
                    cid = cmd.cid();
                    break;
                }
                admin::GET_LOG => {
                    l.send_data(cmd.cid(), &vec![0; cmd.len() as usize], 4096);
                    l.respond(cmd.cid(), 0, 0);
                }
                admin::IDENTIFY if cmd.sqe[40] == 2 => {
                    let mut p = vec![0; 4096];
                    p[0] = 1;
                    l.send_data(cmd.cid(), &p, 4096);
                    l.respond(cmd.cid(), 0, 0);
                }
                admin::IDENTIFY => l.respond(cmd.cid(), 0x0b, 0),
                admin::KEEP_ALIVE => l.respond(cmd.cid(), 0, 0),
                _ => l.respond(cmd.cid(), 0x02, 0),
            }
        }
    }
    l.peer().close_write();
    Some(Ok(format!("{n} events, then FIN")))
}
