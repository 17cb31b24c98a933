// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Terminate Connection Requests: those that we send, and the form of those
//! that come.

use rawpeer::pdu::{self, kind};

use super::cases;
use super::trial::{DIGESTS, Trial, capsule, capsule_with};
use crate::case::{Outcome, check};
use crate::dial::{Ask, Target};
use crate::judge::{Seen, Want, judge, term_form};

cases! {
    "termreq.accepted", "73", "TCP 3.5, 3.6.2.4", "the end without an answer: PLEN 24, 32, 152"
        => |t| silent(t, &[("PLEN 24", req(1, 0)), ("PLEN 32", req(1, 8)), ("PLEN 152", req(1, 128))]);
    "termreq.plen", "73", "TCP 3.5", "ignored, the end without an answer: PLEN 0, 8, 23, 153, 2^32 - 1"
        => |t| silent(t, &[("0", twist(4, &[0; 4])), ("8", twist(4, &[8, 0, 0, 0])), ("23", twist(4, &[23, 0, 0, 0])), ("153", long(153)), ("2^32 - 1", twist(4, &[255; 4]))]);
    "termreq.malformed", "74", "TCP 3.6.2.4", "the end, never a TermReq for a TermReq: flags, HLEN, PDO"
        => |t| silent(t, &[("flags", twist(1, &[1])), ("HLEN", twist(2, &[8])), ("HLEN 255", twist(2, &[255])), ("PDO", twist(3, &[24]))]);
    "termreq.wrong-side", "74", "TCP 3.3, 3.5", "the end, never a TermReq for a TermReq: C2HTermReq from a host"
        => |t| silent(t, &[("C2HTermReq", pdu::term_req(kind::C2H_TERM, 1, 0, &[]))]);
    "termreq.unknown-fes", "77", "TCP 3.6.2.4", "the end without an answer: FES 0, 7, FFFFh"
        => |t| silent(t, &[("0", req(0, 8)), ("7", req(7, 8)), ("FFFFh", req(0xffff, 8))]);
    "termreq.form", "75", "TCP 3.6.2.5, 3.5", "C2HTermReq: no flags, HLEN 24, PLEN at most 152, reserved 0, the header at fault as data, never digests"
        => form;
    "termreq.behind", "76", "TCP 3.5", "the end without an answer: a command behind a TermReq, in one segment"
        => behind;
    "termreq.others-live", "78", "TCP 3.2", "a TermReq ends its own connection; another association goes on"
        => others;
}

fn req(fes: u16, len: usize) -> Vec<u8> {
    pdu::term_req(kind::H2C_TERM, fes, 9, &vec![0x55; len])
}

fn twist(at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut b = req(1, 8);
    b[at..at + bytes.len()].copy_from_slice(bytes);
    b
}

fn long(n: usize) -> Vec<u8> {
    req(1, n - 24)
}

fn silent(t: &Target, list: &[(&str, Vec<u8>)]) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for (name, bytes) in list {
            let r = t
                .connected(&Ask::digests(d))
                .and_then(|mut c| c.offend(bytes, &[], Want::Silent));
            trial.note(d, name, r)?;
        }
    }
    trial.outcome()
}

fn form(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        for len in [0, 512] {
            let r = t.connected(&Ask::digests(d)).and_then(|mut c| {
                let b = if len == 0 {
                    capsule(&mut c)
                } else {
                    capsule_with(&mut c, len)
                };
                let flags = b.header[1];
                let b = b.u8(1, flags | 0x40);
                c.send(&b.bytes());
                let seen = c.seen();
                let said = judge(Want::Term(&[(1, Some(1))]), &seen)?;
                if let Seen::Pdu(r) = &seen {
                    term_form(r, &b.header).or_else(crate::case::fail)?;
                    let n = r.data.len();
                    check(n >= 72, || {
                        format!("{n} bytes of data, the header at fault has 72")
                    })?;
                }
                Ok(said)
            });
            trial.note(d, &format!("{len} bytes of data"), r)?;
        }
    }
    trial.outcome()
}

fn behind(t: &Target) -> Outcome {
    let mut trial = Trial::new(t);
    for d in DIGESTS {
        let r = t.admin(&Ask::digests(d)).and_then(|mut c| {
            let bytes = [req(1, 8), capsule(&mut c).bytes()].concat();
            c.offend(&bytes, &[], Want::Silent)
        });
        trial.note(d, "Keep Alive", r)?;
    }
    trial.outcome()
}

fn others(t: &Target) -> Outcome {
    let ask = Ask::default();
    let mut other = t.admin(&ask)?;
    let (mut a, mut io) = t.pair(&ask)?;
    let said = io.offend(&req(1, 8), &[], Want::Silent)?;
    // Its own association may end or go on; the other one goes on.
    let own = if a.identify(1, 0).is_ok() {
        "goes on"
    } else {
        "ends"
    };
    other.identify(1, 0)?;
    Ok(format!("{said}, the admin queue {own}"))
}
