// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Setting a connection up.

use rawpeer::pdu::{self, Builder, Format, kind};
use rawpeer::peer::Peer;

use super::cases;
use crate::case::{Outcome, Problem, Tally, check, fail, skip};
use crate::dial::{Ask, Target, icreq};
use crate::judge::{Seen, Want, judge, then_the_end};
use crate::sqe::admin;

cases! {
    "setup.icresp", "1", "TCP 3.6.2.3",
        "ICResp: 128 bytes, PFV 0, CPDA at most 31, MAXH2CDATA at least 4096 and a multiple of 4, reserved bytes 0"
        => icresp;
    "setup.icreq-flags", "2", "TCP 3.1, 3.6.2.2", "TermReq FES 1 FEI 1"
        => |t| icreqs(t, (0..8).map(|b| (format!("flag {b}"), plain().u8(1, 1 << b))), Want::Term(&[(1, Some(1))]));
    "setup.icreq-hlen", "3", "TCP 3.1, 3.6.2.2", "TermReq FES 1 FEI 2"
        => |t| icreqs(t, [0, 7, 8, 24, 127, 129, 255].into_iter().map(|v| (format!("HLEN {v}"), plain().u8(2, v))), Want::Term(&[(1, Some(2))]));
    "setup.icreq-pdo", "4", "TCP 3.1, 3.6.2.2 (PDO is reserved)", "TermReq FES 1 FEI 3, or accepted"
        => icreq_pdo;
    "setup.icreq-plen", "5", "TCP 3.1, 3.6.2.2", "TermReq FES 1 FEI 4, from the header alone"
        => |t| icreqs(t, [0, 1, 7, 8, 127, 129, 1 << 20, u32::MAX].into_iter().map(|v| (format!("PLEN {v}"), plain().u32(4, v))), Want::Term(&[(1, Some(4))]));
    "setup.icreq-pfv", "6", "TCP 3.1 (unsupported parameter)", "TermReq FES 6 FEI 8"
        => |t| icreqs(t, [1, 0x100, 0xffff].into_iter().map(|v| (format!("PFV {v:#x}"), plain().u16(8, v))), Want::Term(&[(6, Some(8))]));
    "setup.icreq-hpda", "7", "TCP 3.1, 3.6.2.2", "TermReq FES 1 FEI 10 for HPDA 32 and more"
        => |t| icreqs(t, [32, 33, 128, 255].into_iter().map(|v| (format!("HPDA {v}"), plain().u8(10, v))), Want::Term(&[(1, Some(10))]));
    "setup.hpda-honoured", "7", "TCP 3.3, 3.6.2.9", "HPDA 0 to 31 accepted, the data of C2HData aligned so"
        => hpda;
    "setup.dgst-reserved", "8", "TCP 3.6.2.2 (DGST 7:2 are reserved)", "ICResp without reserved DGST bits, or TermReq FES 1 FEI 11"
        => dgst_reserved;
    "setup.maxr2t", "8", "TCP 3.6.2.2", "MAXR2T 0 to 2^32 - 1 accepted"
        => maxr2t;
    "setup.first-pdu", "9", "TCP 3.1 (the ICReq is first)", "a TermReq or the end"
        => first_pdu;
    "setup.garbage", "class: state missing (spdk#3842)", "TCP 3.1", "a TermReq or the end: an HTTP request, a TLS ClientHello, zeros, ones"
        => garbage;
    "setup.icreq-twice", "10", "TCP 3.1, 3.5", "TermReq FES 1 FEI 0 or FES 2"
        => icreq_twice;
    "setup.bytewise", "11", "TCP 2", "an ICReq in segments of one byte is answered"
        => bytewise;
    "setup.with-connect", "11", "TCP 2", "ICReq and Connect in one segment are both answered"
        => with_connect;
    "setup.digests", "14", "TCP 3.3.1.1", "the ICResp grants a subset of what was asked for, and every later PDU agrees"
        => digests;
}

fn plain() -> Builder {
    icreq(&Ask::default())
}

fn next(t: &Target, peer: &mut Peer) -> Seen {
    match peer.receive_within(t.patience) {
        Ok(r) => Seen::Pdu(r),
        Err(e) => Seen::End(e),
    }
}

/// Judges what comes on a connection that has sent its last.
fn fate(t: &Target, peer: &mut Peer, header: &[u8], want: Want<'_>) -> Outcome {
    let seen = next(t, peer);
    let said = judge(want, &seen)?;
    then_the_end(said, &seen, header, || {
        peer.close_write();
        next(t, peer)
    })
}

fn icreqs(t: &Target, list: impl Iterator<Item = (String, Builder)>, want: Want<'_>) -> Outcome {
    let mut tally = Tally::default();
    for (name, b) in list {
        let mut peer = t.dial()?;
        peer.send(&b.bytes());
        tally.add(name, fate(t, &mut peer, &b.header[..8], want))?;
    }
    tally.outcome()
}

fn icresp(t: &Target) -> Outcome {
    let mut peer = t.dial()?;
    peer.send(&plain().bytes());
    let r = t.icresp(&mut peer)?;
    let max = r.u32(12);
    check(r.flags() == 0, || format!("flags {:#x}", r.flags()))?;
    check(r.header[3] == 0, || format!("PDO {}", r.header[3]))?;
    check(r.u16(8) == 0, || format!("PFV {}", r.u16(8)))?;
    check(r.header[10] <= 31, || format!("CPDA {}", r.header[10]))?;
    check(r.header[11] == 0, || format!("DGST {:#x}", r.header[11]))?;
    check(max >= 4096 && max.is_multiple_of(4), || {
        format!("MAXH2CDATA {max}")
    })?;
    check(r.header[16..] == [0; 112], || {
        "reserved bytes that are not zero".into()
    })?;
    Ok(format!("ICResp, CPDA {}, MAXH2CDATA {max}", r.header[10]))
}

/// Whether an ICReq is answered with an ICResp or what else may come.
fn answered(t: &Target, b: &Builder, or: Want<'_>) -> Outcome {
    let mut peer = t.dial()?;
    peer.send(&b.bytes());
    match next(t, &mut peer) {
        Seen::Pdu(r) if r.kind() == kind::ICRESP => {
            check(r.header[11] & !3 == 0, || {
                format!("ICResp with DGST {:#x}", r.header[11])
            })?;
            Ok("an ICResp".into())
        }
        seen => judge(or, &seen),
    }
}

fn icreq_pdo(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for v in [1, 24, 128, 255] {
        let r = answered(t, &plain().u8(3, v), Want::Term(&[(1, Some(3))]));
        tally.add(format!("PDO {v}"), r)?;
    }
    tally.outcome()
}

fn dgst_reserved(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for v in [0x04, 0x80, 0xfc] {
        let r = answered(t, &plain().u8(11, v), Want::Term(&[(1, Some(11))]));
        tally.add(format!("DGST {v:#x}"), r)?;
    }
    tally.outcome()
}

fn maxr2t(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for v in [0, 1, 15, 0x7fff_ffff, u32::MAX] {
        let r = answered(t, &plain().u32(12, v), Want::Status(&[]));
        tally.add(format!("MAXR2T {v}"), r)?;
    }
    tally.outcome()
}

fn hpda(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for hpda in [0, 1, 2, 7, 15, 30, 31] {
        let ask = Ask {
            hpda,
            ..Ask::default()
        };
        // Data of any command shows it.
        let r = t.admin(&ask).and_then(|mut c| c.identify(1, 0));
        tally.add(format!("HPDA {hpda}"), r.map(|_| "aligned".into()))?;
    }
    tally.outcome()
}

fn first_pdu(t: &Target) -> Outcome {
    let f = Format::default();
    let sqe = pdu::sqe(admin::KEEP_ALIVE, 1, 0, false);
    let list: [(&str, Vec<u8>); 10] = [
        ("CapsuleCmd", pdu::command(f, &sqe, &[]).bytes()),
        ("H2CData", pdu::h2c_data(f, 4, 1, 0, 0, &[1; 64]).bytes()),
        ("H2CTermReq", pdu::term_req(kind::H2C_TERM, 1, 0, &[])),
        ("C2HTermReq", pdu::term_req(kind::C2H_TERM, 1, 0, &[])),
        ("ICResp", Builder::new(f, kind::ICRESP, 0, 128, &[]).bytes()),
        ("CapsuleResp", pdu::response(f, &pdu::cqe(1, 0)).bytes()),
        ("R2T", pdu::r2t(f, 1, 0, 0, 4).bytes()),
        ("type 08h", Builder::new(f, 0x08, 0, 128, &[]).bytes()),
        ("type 0Ah", Builder::new(f, 0x0a, 0, 128, &[]).bytes()),
        ("type FFh", Builder::new(f, 0xff, 0, 128, &[]).bytes()),
    ];
    sends(t, &list)
}

/// Each of these, as the first bytes on a connection, must be refused.
fn sends(t: &Target, list: &[(&str, Vec<u8>)]) -> Outcome {
    let mut tally = Tally::default();
    for (name, bytes) in list {
        let mut peer = t.dial()?;
        peer.send(bytes);
        // Nothing more will come, so a peer that waits for more learns that.
        if bytes.len() < 128 {
            peer.close_write();
        }
        tally.add(name, fate(t, &mut peer, &[], Want::TermOrEnd))?;
    }
    tally.outcome()
}

fn garbage(t: &Target) -> Outcome {
    let list: [(&str, Vec<u8>); 5] = [
        (
            "HTTP",
            b"GET / HTTP/1.1\r\nHost: nvme.example.org\r\nUser-Agent: scanner\r\nAccept: */*\r\nX-Padding: ............................................\r\n\r\n".to_vec(),
        ),
        (
            "TLS",
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], &[0x5a; 500][..]].concat(),
        ),
        ("zeros", vec![0; 256]),
        ("ones", vec![0xff; 256]),
        ("one byte", vec![0]),
    ];
    sends(t, &list)
}

fn icreq_twice(t: &Target) -> Outcome {
    let mut c = t.initialize(&Ask::default())?;
    let b = plain();
    let want = Want::Term(&[(1, Some(0)), (2, None)]);
    let before = c.offend(&b.bytes(), &b.header, want);
    let mut tally = Tally::default();
    tally.add("before Connect", before)?;
    let mut c = t.connected(&Ask::default())?;
    tally.add("after Connect", c.offend(&b.bytes(), &b.header, want))?;
    tally.outcome()
}

fn bytewise(t: &Target) -> Outcome {
    let mut peer = t.dial()?;
    for b in plain().bytes() {
        std::thread::sleep(std::time::Duration::from_micros(200));
        peer.send(&[b]);
    }
    let r = t.icresp(&mut peer)?;
    let mut other = t.dial()?;
    other.send(&plain().bytes());
    let wanted = t.icresp(&mut other)?;
    check(r == wanted, || "another ICResp than to one segment".into())?;
    Ok("the same ICResp".into())
}

fn with_connect(t: &Target) -> Outcome {
    let ask = Ask::default();
    let mut peer = t.dial()?;
    let mut sqe = pdu::sqe(admin::FABRICS, 1, 1024, true);
    sqe[4..8].copy_from_slice(&[1, 0, 0, 0]);
    sqe[44] = 31;
    sqe[46] = 4;
    let data = t.connect_data(&ask, &t.subnqn, 0xffff);
    let f = Format::default();
    let both = [plain().bytes(), pdu::command(f, &sqe, &data).bytes()].concat();
    peer.send(&both);
    let r = t.icresp(&mut peer)?;
    if r.header[10] != 0 {
        return skip(format!("CPDA is {}: a host must wait for it", r.header[10]));
    }
    judge(Want::Status(&[0]), &next(t, &mut peer))
}

fn digests(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    for asked in 0..4u8 {
        let mut peer = t.dial()?;
        peer.send(&plain().u8(11, asked).bytes());
        let granted = t.icresp(&mut peer)?.header[11];
        check(granted & !asked == 0, || {
            format!("DGST {granted:#x} was granted, {asked:#x} was asked for")
        })?;
        drop(peer);
        // What was granted is used: every PDU of an association is checked.
        let r = t
            .admin(&Ask::digests(granted))
            .and_then(|mut c| c.identify(1, 0));
        let r: Outcome = match r {
            Ok(_) => Ok(format!("{granted} of {asked}")),
            Err(Problem::Skip(_)) => fail("the digests that are granted change"),
            Err(e) => Err(e),
        };
        tally.add(format!("DGST {asked}"), r)?;
    }
    tally.outcome()
}
