// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Hostile peers: raw PDUs against a controller's and a host's queue pair.
//! FES and FEI are those of the NVMe/TCP specification; see
//! `nvmf_tcp/src/proto`.

use std::time::Duration;

use hosted::initiator::{Data, Initiator, Params, Sent};
use hosted::object::{Kind, live};
use hosted::pdu::{self, Builder, Format, flag, kind};
use hosted::peer::{Peer, socket_pair};
use hosted::responder::{Responder, Style, opcode};
use hosted::{Kernel, console};
use sys::Errno;

const STORE: usize = 1 << 20;
const PROMPT: Duration = Duration::from_secs(2);

fn params(n: u8) -> (Params, Format) {
    let p = Params {
        hdgst: n & 1 != 0,
        ddgst: n & 2 != 0,
        maxh2cdata: 8192,
        max_icd: 8192,
        ..Params::default()
    };
    let f = Format {
        hdgst: p.hdgst,
        ddgst: p.ddgst,
        align: 4,
    };
    (p, f)
}

/// A controller of ours and a scripted host.
fn controller(p: &Params) -> (Peer, Responder) {
    let (a, b) = socket_pair();
    (Peer::new(a), Responder::new(p, b, Style::default(), STORE))
}

/// A host of ours and a scripted controller.
fn host(p: &Params) -> (Peer, Initiator) {
    let (a, b) = socket_pair();
    (Peer::new(b), Initiator::new(p, a))
}

/// What must come of an attack.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// A Terminate Connection Request with this FES and FEI.
    Term(u16, u32),
    /// The connection ends without a word.
    Silent,
}

use Fate::{Silent, Term};

struct Case {
    name: String,
    bytes: Vec<u8>,
    fate: Fate,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn add(&mut self, name: impl Into<String>, pdu: Builder, fate: Fate) {
        self.raw(name, pdu.bytes(), fate);
    }

    fn raw(&mut self, name: impl Into<String>, bytes: Vec<u8>, fate: Fate) {
        self.0.push(Case {
            name: name.into(),
            bytes,
            fate,
        });
    }
}

fn write_sqe(cid: u16, len: u32) -> [u8; 64] {
    pdu::sqe(opcode::WRITE, cid, len, false)
}

/// The common header's rules, for any type that `sample` builds.
fn header_cases(c: &mut Cases, f: Format, sample: &dyn Fn() -> Builder, to_host: bool) {
    let base = if f.hdgst { flag::HDGST } else { 0 };
    let right = sample().header[2];
    for t in [8, 10, 11, 0x7f, 0xff] {
        c.add(format!("type {t}"), sample().u8(0, t), Term(1, 0));
    }
    for t in [kind::ICREQ, kind::ICRESP] {
        let b = Builder::new(f, t, 0, 128, &[]);
        c.add(format!("Initialize Connection {t}"), b, Term(1, 0));
    }
    let wrong: &[(u8, u8)] = if to_host {
        &[(kind::CMD, 72), (kind::H2C_DATA, 24)]
    } else {
        &[(kind::RESP, 24), (kind::C2H_DATA, 24), (kind::R2T, 24)]
    };
    for &(t, hlen) in wrong {
        let b = Builder::new(f, t, 0, hlen, &[]);
        c.add(format!("type {t} from the wrong side"), b, Term(1, 0));
    }
    for bit in 4..8 {
        let b = sample().u8(1, base | 1 << bit);
        c.add(format!("reserved flag {bit}"), b, Term(1, 1));
    }
    c.add(
        "HDGST flag wrong",
        sample().u8(1, base ^ flag::HDGST),
        Term(1, 1),
    );
    for hlen in (0..=255u8).filter(|&h| h != right) {
        if !f.hdgst || !matches!(hlen, 24 | 72) {
            let b = sample().u8(2, hlen);
            c.add(format!("HLEN {hlen}"), b, Term(1, 2));
        }
    }
    let least = u32::from(right) + if f.hdgst { 4 } else { 0 };
    for plen in [0, 1, 7, 8, least - 1] {
        if !f.hdgst {
            let b = sample().u32(4, plen);
            c.add(format!("PLEN {plen}"), b, Term(1, 4));
        }
    }
    let two = sample().u8(1, base | 0x80).u8(2, 1).u32(4, 0);
    if !f.hdgst {
        c.add("three faults: the lowest counts", two, Term(1, 1));
    } else {
        let digest = hosted::crc::crc32c(&sample().header) ^ 1;
        c.add("bad header digest", sample().bad_hdgst(), Term(3, digest));
    }
}

/// Terminate Connection Requests are never answered.
fn term_cases(c: &mut Cases, to_host: bool) {
    let (mine, other) = if to_host {
        (kind::C2H_TERM, kind::H2C_TERM)
    } else {
        (kind::H2C_TERM, kind::C2H_TERM)
    };
    for (fes, len) in [(1, 0), (0, 8), (7, 24), (0xffff, 128)] {
        let data = vec![0x55; len];
        let name = format!("TermReq FES {fes} with {len} bytes");
        c.raw(name, pdu::term_req(mine, fes, 9, &data), Silent);
    }
    c.raw(
        "TermReq from the wrong side",
        pdu::term_req(other, 1, 0, &[]),
        Silent,
    );
    let twist = |at: usize, v: u8| {
        let mut b = pdu::term_req(mine, 1, 0, &[0; 8]);
        b[at] = v;
        b
    };
    c.raw("TermReq with flags", twist(1, 1), Silent);
    c.raw("TermReq with HLEN 8", twist(2, 8), Silent);
    c.raw("TermReq with PDO", twist(3, 24), Silent);
    c.raw("TermReq with PLEN 23", twist(4, 23), Silent);
    c.raw("TermReq with PLEN 153", twist(4, 153), Silent);
    c.raw(
        "TermReq with PLEN 2^32 - 1",
        {
            let mut b = twist(4, 255);
            b[5..8].fill(255);
            b
        },
        Silent,
    );
}

fn check_fate(name: &str, peer: &mut Peer, fate: Fate, error: impl FnOnce() -> Option<Errno>) {
    match fate {
        Term(fes, fei) => {
            peer.expect_term(fes, fei);
            assert_eq!(error(), Some(Errno::EBADMSG), "{name}");
        }
        Silent => {
            assert_eq!(error(), Some(Errno::ECONNRESET), "{name}");
        }
    }
}

fn attack_controller(p: &Params, cases: Cases) {
    let k = Kernel::boot();
    for case in cases.0 {
        let (mut peer, ctrl) = controller(p);
        peer.send(&case.bytes);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check_fate(&case.name, &mut peer, case.fate, || ctrl.wait_error());
        }));
        assert!(told.is_ok(), "case {:?} with {p:?}", case.name);
        let took = ctrl.free();
        assert!(took < PROMPT, "{}: {took:?}", case.name);
        peer.expect_end();
    }
    assert!(console::take().len() < 200, "the console is flooded");
    k.shutdown();
}

#[test]
fn every_bad_header_to_a_controller_is_reported() {
    for n in 0..4 {
        let (p, f) = params(n);
        let mut c = Cases::default();
        let flush = || pdu::command(f, &pdu::sqe(opcode::FLUSH, 1, 0, false), &[]);
        header_cases(&mut c, f, &flush, false);
        term_cases(&mut c, false);
        let with = |len: usize| {
            let sqe = pdu::sqe(opcode::WRITE, 1, len as u32, true);
            pdu::command(f, &sqe, &vec![7; len])
        };
        let header = 72 + if f.hdgst { 4 } else { 0 };
        for pdo in [0, 8, header - 1, header + 1, 0xff] {
            c.add(format!("PDO {pdo}"), with(512).u8(3, pdo), Term(1, 3));
        }
        c.add("more in-capsule data than agreed", with(8193), Term(1, 4));
        for plen in [3 << 30, u32::MAX, 1 << 20] {
            c.add(format!("PLEN {plen}"), with(512).u32(4, plen), Term(1, 4));
        }
        if f.ddgst {
            c.add(
                "no room for a data digest",
                with(4).u32(4, u32::from(header) + 4),
                Term(1, 4),
            );
            let flags = with(512).header[1] & !flag::DDGST;
            c.add("DDGST flag missing", with(512).u8(1, flags), Term(1, 1));
        } else {
            let flags = with(512).header[1] | flag::DDGST;
            c.add("DDGST flag not agreed", with(512).u8(1, flags), Term(1, 1));
        }
        c.raw(
            "an HTTP request",
            b"GET / HTTP/1.1\r\nHost: nvme.example.org\r\nUser-Agent: nmap\r\nAccept: */*\r\n\r\n"
                .to_vec(),
            Term(1, 0),
        );
        c.raw(
            "a TLS ClientHello",
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3], &[0u8; 500][..]].concat(),
            Term(1, 0),
        );
        attack_controller(&p, c);
    }
}

/// H2CData against the state that `command` makes: an R2T for all its data.
fn h2c_attack(p: &Params, f: Format, attack: impl Fn(u16) -> Builder, fate: Fate, name: &str) {
    let (mut peer, ctrl) = controller(p);
    peer.send(&pdu::command(f, &write_sqe(5, 20_000), &[]).bytes());
    let r2t = peer.expect(kind::R2T);
    assert_eq!((r2t.u16(8), r2t.u32(12), r2t.u32(16)), (5, 0, 20_000));
    // First some good data.
    let ttag = r2t.u16(10);
    peer.send(&pdu::h2c_data(f, 0, 5, ttag, 0, &[1; 8000]).bytes());
    peer.send(&attack(ttag).bytes());
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        check_fate(name, &mut peer, fate, || ctrl.wait_error());
    }));
    assert!(told.is_ok(), "case {name:?} with {p:?}");
    assert!(ctrl.free() < PROMPT);
    peer.expect_end();
}

#[test]
fn every_bad_h2cdata_is_reported() {
    let k = Kernel::boot();
    for n in 0..4 {
        let (p, f) = params(n);
        let go = |name: &str, fate, attack: &dyn Fn(u16) -> Builder| {
            h2c_attack(&p, f, attack, fate, name);
        };
        let d = |n: usize| vec![2; n];
        let data = |fl, cid, ttag, off, n: usize| pdu::h2c_data(f, fl, cid, ttag, off, &d(n));
        let last = flag::LAST;
        go("a tag that was never issued", Term(1, 10), &|t| {
            data(0, 5, t ^ 1, 8000, 100)
        });
        go("tag FFFFh", Term(1, 10), &|_| data(0, 5, 0xffff, 8000, 100));
        go("another command's tag", Term(1, 8), &|t| {
            data(0, 6, t, 8000, 100)
        });
        go("data that leaves a hole", Term(2, 0), &|t| {
            data(0, 5, t, 8001, 100)
        });
        go("data that comes again", Term(2, 0), &|t| {
            data(0, 5, t, 7999, 100)
        });
        go("data beyond the request", Term(4, 0), &|t| {
            data(last, 5, t, 19_990, 100)
        });
        go("an offset that wraps", Term(4, 0), &|t| {
            data(last, 5, t, u32::MAX - 50, 100)
        });
        go("LAST_PDU early", Term(2, 0), &|t| {
            data(last, 5, t, 8000, 100)
        });
        go("DATAL that is not the payload", Term(1, 16), &|t| {
            data(0, 5, t, 8000, 100).u32(16, 99)
        });
        go("DATAL beyond MAXH2CDATA", Term(5, 0), &|t| {
            data(0, 5, t, 8000, 8193)
        });
        go("DATAL 0", Term(1, 16), &|t| data(0, 5, t, 8000, 0));
        go("PLEN 3 GiB", Term(5, 0), &|t| {
            let len = 3u32 << 30;
            let b = data(0, 5, t, 8000, 4);
            let pdo = u32::from(b.header[3]);
            b.u32(4, len)
                .u32(16, len - pdo - if f.ddgst { 4 } else { 0 })
        });
        go("SUCCESS from a host", Term(1, 1), &|t| {
            let b = data(0, 5, t, 8000, 100);
            let flags = b.header[1] | flag::SUCCESS;
            b.u8(1, flags)
        });
    }
    k.shutdown();
}

#[test]
fn h2cdata_without_a_request_is_reported() {
    let k = Kernel::boot();
    let (p, f) = params(0);
    let prelude: [(&str, Vec<u8>); 4] = [
        ("before any command", vec![]),
        (
            "for a read",
            pdu::command(f, &pdu::sqe(opcode::READ, 5, 512, false), &[]).bytes(),
        ),
        (
            "for a command without data",
            pdu::command(f, &pdu::sqe(opcode::FLUSH, 5, 0, false), &[]).bytes(),
        ),
        (
            "for in-capsule data",
            pdu::command(f, &pdu::sqe(opcode::WRITE, 5, 512, true), &[1; 512]).bytes(),
        ),
    ];
    for (name, bytes) in prelude {
        for ttag in [0, 1, 0xffff] {
            let (mut peer, ctrl) = controller(&p);
            peer.send(&bytes);
            if !bytes.is_empty() {
                while peer.receive().expect(name).kind() != kind::RESP {
                    if name == "for a read" {
                        break;
                    }
                }
            }
            peer.send(&pdu::h2c_data(f, flag::LAST, 5, ttag, 0, &[1; 512]).bytes());
            peer.expect_term(1, 10);
            ctrl.free();
        }
    }
    // A tag that is finished.
    let (mut peer, ctrl) = controller(&p);
    peer.send(&pdu::command(f, &write_sqe(5, 512), &[]).bytes());
    let ttag = peer.expect(kind::R2T).u16(10);
    let data = pdu::h2c_data(f, flag::LAST, 5, ttag, 0, &[1; 512]).bytes();
    peer.send(&data);
    peer.expect(kind::RESP);
    peer.send(&data);
    peer.expect_term(1, 10);
    ctrl.free();
    k.shutdown();
}

#[test]
fn bad_sgls_fail_one_command_and_the_connection_lives() {
    let k = Kernel::boot();
    for n in 0..4 {
        let (p, f) = params(n);
        let (mut peer, ctrl) = controller(&p);
        let mut run = |name: &str, sqe: [u8; 64], icd: &[u8], damage: bool, status: u16| {
            let mut b = pdu::command(f, &sqe, icd);
            if damage {
                b = b.bad_ddgst();
            }
            peer.send(&b.bytes());
            let r = peer.expect(kind::RESP);
            assert_eq!(r.u16(22) >> 1 & 0x7ff, status, "{name}");
        };
        let mut s = pdu::sqe(opcode::WRITE, 1, 512, true);
        run("good", s, &[1; 512], false, 0);
        run(
            "length is not the data's",
            pdu::sqe(opcode::WRITE, 1, 511, true),
            &[1; 512],
            false,
            0x0f,
        );
        s[24] = 1;
        run("an offset", s, &[1; 512], false, 0x16);
        for id in [0x00, 0x0f, 0x10, 0x20, 0x30, 0x40, 0x5b, 0xff] {
            let mut s = pdu::sqe(opcode::WRITE, 1, 512, false);
            s[39] = id;
            run("an SGL type", s, &[], false, 0x11);
        }
        let mut s = pdu::sqe(opcode::WRITE, 1, 512, true);
        s[1] = 0;
        run("PRPs", s, &[1; 512], false, 0x02);
        run(
            "in-capsule data and a transport SGL",
            write_sqe(1, 512),
            &[1; 512],
            false,
            0x02,
        );
        run(
            "in-capsule data of a read",
            pdu::sqe(opcode::READ, 1, 512, true),
            &[1; 512],
            false,
            0x02,
        );
        if f.ddgst {
            let s = pdu::sqe(opcode::WRITE, 1, 512, true);
            run("a bad data digest", s, &[1; 512], true, 0x22);
        }
        let s = pdu::sqe(opcode::WRITE, 1, 512, true);
        run("good at the end", s, &[3; 512], false, 0);
        assert!(ctrl.store()[..512] == [3; 512]);
        assert!(ctrl.errors().is_empty());
        ctrl.free();
        // Whatever a hostile length says.
        let (mut peer, ctrl) = controller(&p);
        peer.send(&pdu::command(f, &write_sqe(1, u32::MAX), &[]).bytes());
        assert_eq!(peer.expect(kind::RESP).u16(22) >> 1 & 0x7ff, 0x80);
        ctrl.free();
    }
    k.shutdown();
}

#[test]
fn bad_data_digests_of_h2cdata_fail_one_command() {
    let k = Kernel::boot();
    let (p, f) = params(3);
    for bad in 0..3 {
        let (mut peer, ctrl) = controller(&p);
        for round in 0..2 {
            peer.send(&pdu::command(f, &write_sqe(9, 12_000), &[]).bytes());
            let ttag = peer.expect(kind::R2T).u16(10);
            for i in 0..3u32 {
                let fl = if i == 2 { flag::LAST } else { 0 };
                let mut b = pdu::h2c_data(f, fl, 9, ttag, i * 4000, &[i as u8; 4000]);
                if round == 0 && i == bad {
                    b = b.bad_ddgst();
                }
                peer.send(&b.bytes());
            }
            let status = peer.expect(kind::RESP).u16(22) >> 1 & 0x7ff;
            assert_eq!(status, if round == 0 { 0x22 } else { 0 });
        }
        assert!(ctrl.errors().is_empty());
        ctrl.free();
    }
    k.shutdown();
}

/// The bytes of a host that does everything, and what it waits for between.
fn session(f: Format) -> Vec<(Vec<u8>, usize)> {
    let icd = pdu::command(f, &pdu::sqe(opcode::WRITE, 1, 300, true), &[7; 300]);
    let flush = pdu::command(f, &pdu::sqe(opcode::FLUSH, 2, 0, false), &[]);
    let write = pdu::command(f, &write_sqe(3, 700), &[]);
    // The first tag of a fresh table is 0.
    let first = pdu::h2c_data(f, 0, 3, 0, 0, &[8; 400]);
    let second = pdu::h2c_data(f, flag::LAST, 3, 0, 400, &[9; 300]);
    let read = pdu::command(f, &pdu::sqe(opcode::READ, 4, 700, false), &[]);
    vec![
        ([icd.bytes(), flush.bytes(), write.bytes()].concat(), 3),
        ([first.bytes(), second.bytes(), read.bytes()].concat(), 2),
    ]
}

#[test]
fn a_session_byte_by_byte_is_the_same() {
    let k = Kernel::boot();
    for n in 0..4 {
        let (p, f) = params(n);
        let mut seen = Vec::new();
        for slow in [false, true] {
            let (mut peer, ctrl) = controller(&p);
            let mut got = Vec::new();
            for (bytes, answers) in session(f) {
                if slow {
                    peer.send_slowly(&bytes);
                } else {
                    peer.send(&bytes);
                }
                got.extend((0..answers).map(|_| peer.receive().expect("an answer")));
            }
            got.sort_by_key(|r| r.header.clone());
            seen.push(got);
            assert!(ctrl.store()[..400] == [8; 400] && ctrl.store()[400..700] == [9; 300]);
            ctrl.free();
        }
        assert_eq!(seen[0], seen[1]);
    }
    k.shutdown();
}

#[test]
fn a_connection_that_closes_at_every_byte_leaves_nothing() {
    let k = Kernel::boot();
    let (p, f) = params(3);
    let script = session(f);
    let bytes: Vec<u8> = script.iter().flat_map(|(b, _)| b.clone()).collect();
    let mut boundaries = vec![0];
    while let Ok(Some((_, n))) = pdu::Raw::parse(&bytes[boundaries[boundaries.len() - 1]..]) {
        boundaries.push(boundaries[boundaries.len() - 1] + n);
    }
    let cuts = (0..bytes.len()).step_by(3).chain(boundaries.clone());
    for cut in cuts {
        let (mut peer, ctrl) = controller(&p);
        let mut left = cut;
        for (bytes, answers) in &script {
            let n = left.min(bytes.len());
            peer.send(&bytes[..n]);
            left -= n;
            if n < bytes.len() {
                break;
            }
            for _ in 0..*answers {
                peer.receive().expect("an answer");
            }
        }
        if cut % 2 == 0 || boundaries.contains(&cut) {
            peer.close_write();
            // Between two PDUs a host may leave.
            let clean = boundaries.contains(&cut);
            let wanted = (!clean).then_some(Errno::ECONNRESET);
            assert_eq!(ctrl.wait_error(), wanted, "{cut}");
            assert!(ctrl.free() < PROMPT);
        } else {
            peer.reset();
            ctrl.wait_error();
            assert!(ctrl.free() < PROMPT);
        }
    }
    k.shutdown();
}

#[test]
fn a_huge_plen_holds_no_memory() {
    let k = Kernel::boot();
    let (p, f) = params(0);
    let conns: Vec<_> = (0..6)
        .map(|i| {
            let (mut peer, ctrl) = controller(&p);
            let len = [3 << 30, 9000, 1 << 24][i % 3];
            let b = pdu::command(f, &pdu::sqe(opcode::WRITE, 1, 8192, true), &[0; 8]);
            let before = (live(Kind::Bytes), live(Kind::Mbuf));
            // The header, and 4 MiB of what follows.
            peer.send(&b.u32(4, len).bytes());
            peer.stream()
                .set_write_timeout(Some(Duration::from_millis(50)))
                .unwrap();
            let _ = peer.send(&vec![0; 4 << 20]);
            let _ = ctrl.wait_error();
            (peer, ctrl, before)
        })
        .collect();
    for (_peer, ctrl, before) in conns {
        let (bytes, mbufs) = (live(Kind::Bytes) - before.0, live(Kind::Mbuf) - before.1);
        assert!(
            bytes < 1 << 20 && mbufs < 1024,
            "{bytes} bytes, {mbufs} mbufs"
        );
        ctrl.free();
    }
    k.shutdown();
}

/// A host of ours with a write, a read and a write in its capsule outstanding,
/// CIDs 1, 2 and 3.
fn busy_host(p: &Params) -> (Peer, Initiator, Vec<Sent>) {
    let (mut peer, host) = host(p);
    let sent = vec![
        host.send(&write_sqe(1, 0), Data::Write(vec![1; 20_000])),
        host.send(&pdu::sqe(opcode::READ, 2, 0, false), Data::Read(20_000)),
        host.send(&write_sqe(3, 0), Data::Write(vec![1; 100])),
    ];
    for cid in 1..4 {
        assert_eq!(peer.expect(kind::CMD).u16(10), cid);
    }
    (peer, host, sent)
}

fn attack_host(p: &Params, cases: Cases) {
    let k = Kernel::boot();
    for case in cases.0 {
        let (mut peer, host, sent) = busy_host(p);
        peer.send(&case.bytes);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            check_fate(&case.name, &mut peer, case.fate, || host.wait_error());
        }));
        assert!(told.is_ok(), "case {:?} with {p:?}", case.name);
        let took = host.free(sent);
        assert!(took < PROMPT, "{}: {took:?}", case.name);
        peer.expect_end();
    }
    k.shutdown();
}

#[test]
fn every_bad_pdu_to_a_host_is_reported() {
    for n in 0..4 {
        let (p, f) = params(n);
        let mut c = Cases::default();
        let sample = || pdu::r2t(f, 1, 0, 0, 4096);
        header_cases(&mut c, f, &sample, true);
        term_cases(&mut c, true);
        c.add("R2T with PDO", sample().u8(3, 24), Term(1, 3));
        let plen = 24 + if f.hdgst { 4 } else { 0 } + 8;
        c.add("R2T with data", sample().u32(4, plen), Term(1, 4));
        c.add("R2T for no command", pdu::r2t(f, 9, 0, 0, 1), Term(1, 8));
        c.add(
            "R2T for CID FFFFh",
            pdu::r2t(f, 0xffff, 0, 0, 1),
            Term(1, 8),
        );
        c.add("R2T for a read", pdu::r2t(f, 2, 0, 0, 1), Term(1, 8));
        c.add(
            "R2T for in-capsule data",
            pdu::r2t(f, 3, 0, 0, 1),
            Term(1, 8),
        );
        c.add(
            "R2T at a higher offset",
            pdu::r2t(f, 1, 0, 4, 100),
            Term(2, 0),
        );
        c.add("R2T for too much", pdu::r2t(f, 1, 0, 0, 20_001), Term(4, 0));
        c.add("R2T that wraps", pdu::r2t(f, 1, 0, 0, u32::MAX), Term(4, 0));
        c.add("R2T for nothing", pdu::r2t(f, 1, 0, 0, 0), Term(1, 16));
        let data = |fl, cid, off, n: usize| pdu::c2h_data(f, fl, cid, off, &vec![3; n]);
        let last = flag::LAST;
        c.add("C2HData for no command", data(last, 9, 0, 100), Term(1, 8));
        c.add("C2HData for a write", data(last, 1, 0, 100), Term(2, 0));
        c.add(
            "C2HData for CID FFFFh",
            data(last, 0xffff, 0, 100),
            Term(1, 8),
        );
        c.add("C2HData with a hole", data(0, 2, 4, 100), Term(2, 0));
        c.add(
            "C2HData beyond the end",
            data(last, 2, 0, 20_004),
            Term(4, 0),
        );
        c.add(
            "C2HData that wraps",
            data(last, 2, u32::MAX - 3, 8),
            Term(4, 0),
        );
        c.add("C2HData with LAST early", data(last, 2, 0, 100), Term(2, 0));
        c.add("C2HData without LAST", data(0, 2, 0, 20_000), Term(2, 0));
        c.add(
            "C2HData with another DATAL",
            data(0, 2, 0, 100).u32(16, 96),
            Term(1, 16),
        );
        let b = data(0, 2, 0, 100);
        let success = b.header[1] | flag::SUCCESS;
        c.add("SUCCESS without LAST", b.u8(1, success), Term(1, 1));
        let b = data(0, 2, 0, 4);
        let len = (3u32 << 30) - u32::from(b.header[3]) - if f.ddgst { 4 } else { 0 };
        c.add(
            "C2HData of 3 GiB",
            b.u32(4, 3 << 30).u32(16, len),
            Term(4, 0),
        );
        attack_host(&p, c);
    }
}

#[test]
fn success_needs_flow_control_off() {
    let (p, f) = params(0);
    let mut c = Cases::default();
    c.add(
        "SUCCESS with flow control",
        pdu::c2h_data(f, flag::LAST | flag::SUCCESS, 2, 0, &[0; 20_000]),
        Term(1, 1),
    );
    let p = Params {
        flow_control: true,
        ..p
    };
    attack_host(&p, c);
}

#[test]
fn a_host_sends_what_is_asked_for_and_nothing_else() {
    let k = Kernel::boot();
    for n in 0..4 {
        let (p, f) = params(n);
        let (mut peer, host) = host(&p);
        let data: Vec<u8> = (0..50_000u32).map(|i| (i / 7) as u8).collect();
        let sent = host.send(&write_sqe(1, 0), Data::Write(data.clone()));
        peer.expect(kind::CMD);
        let mut got: Vec<u8> = Vec::new();
        for (off, len) in [(0, 1), (1, 8192), (8193, 30_000), (38_193, 11_807)] {
            peer.send(&pdu::r2t(f, 1, off as u16, off, len).bytes());
            let mut at = off;
            loop {
                let d = peer.expect(kind::H2C_DATA);
                assert_eq!((d.u16(8), d.u16(10), d.u32(12)), (1, off as u16, at));
                assert_eq!(d.u32(16) as usize, d.data.len());
                assert!(d.data.len() <= 8192, "MAXH2CDATA");
                at += d.data.len() as u32;
                got.extend(&d.data);
                let last = d.flags() & flag::LAST != 0;
                assert_eq!(last, at == off + len);
                if last {
                    break;
                }
            }
        }
        assert!(got == data);
        peer.expect_silence(Duration::from_millis(10));
        peer.send(&pdu::response(f, &pdu::cqe(1, 0)).bytes());
        let o = host.wait(sent);
        assert_eq!((o.status(), o.data), (0, Some((50_000, None))));
        host.free(vec![]);
    }
    k.shutdown();
}

#[test]
fn bad_data_digests_of_c2hdata_fail_one_command() {
    let k = Kernel::boot();
    let (p, f) = params(2);
    let (mut peer, host) = host(&p);
    for (bad, success) in [
        (0, true),
        (1, true),
        (0, false),
        (1, false),
        (9, true),
        (9, false),
    ] {
        let sent = host.send(&pdu::sqe(opcode::READ, 2, 0, false), Data::Read(8000));
        peer.expect(kind::CMD);
        for i in 0..2u32 {
            let mut fl = if i == 1 { flag::LAST } else { 0 };
            if i == 1 && success {
                fl |= flag::SUCCESS;
            }
            let mut b = pdu::c2h_data(f, fl, 2, i * 4000, &[6; 4000]);
            if i == bad {
                b = b.bad_ddgst();
            }
            peer.send(&b.bytes());
        }
        if !success {
            peer.send(&pdu::response(f, &pdu::cqe(2, 0)).bytes());
        }
        let o = host.wait(sent);
        let failed = bad != 9;
        let status = if success && failed { 0x22 } else { 0 };
        assert_eq!(o.status(), status, "{bad} {success}");
        let error = o.data.and_then(|d| d.1);
        assert_eq!(
            error,
            failed.then_some(Errno::EINTEGRITY),
            "{bad} {success}"
        );
    }
    assert!(host.errors().is_empty());
    host.free(vec![]);
    k.shutdown();
}

#[test]
fn a_response_ends_the_data_whatever_was_moved() {
    let k = Kernel::boot();
    let (p, f) = params(0);
    let (mut peer, host) = host(&p);
    // (bytes sent before the response, its status, the data's error)
    for (moved, status, error) in [
        (0u32, 0, Some(Errno::EIO)),
        (4000, 0, Some(Errno::EIO)),
        (0, 0x81, None),
        (4000, 0x81, None),
    ] {
        let sent = host.send(&pdu::sqe(opcode::READ, 2, 0, false), Data::Read(8000));
        peer.expect(kind::CMD);
        if moved != 0 {
            peer.send(&pdu::c2h_data(f, 0, 2, 0, &[6; 4000]).bytes());
        }
        peer.send(&pdu::response(f, &pdu::cqe(2, status)).bytes());
        let o = host.wait(sent);
        assert_eq!(o.status(), status);
        assert_eq!(o.data, Some((moved as usize, error)));
    }
    host.free(vec![]);
    k.shutdown();
}

#[test]
fn a_controller_that_closes_at_every_byte_leaves_nothing() {
    let k = Kernel::boot();
    let (p, f) = params(3);
    let script = [
        pdu::r2t(f, 1, 7, 0, 10_000).bytes(),
        pdu::c2h_data(f, 0, 2, 0, &[1; 500]).bytes(),
        pdu::response(f, &pdu::cqe(3, 0)).bytes(),
        pdu::r2t(f, 1, 7, 10_000, 10_000).bytes(),
        pdu::c2h_data(f, flag::LAST, 2, 500, &[2; 19_500]).bytes()[..600].to_vec(),
    ]
    .concat();
    for cut in (0..script.len()).step_by(5) {
        let (mut peer, host, sent) = busy_host(&p);
        peer.send(&script[..cut]);
        if cut % 2 == 0 {
            peer.close_write();
        } else {
            peer.reset();
        }
        let _ = host.wait_error();
        assert!(host.free(sent) < PROMPT);
    }
    k.shutdown();
}
