// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! PDUs that a controller must not take.

use hosted::initiator::Params;
use hosted::pdu::{self, Builder, Format, flag, kind};
use hosted::responder::opcode;
use hosted::{Kernel, console};

use crate::cases::{
    Cases, Fate, PROMPT, Term, check_fate, controller, header_cases, params, term_cases, write_sqe,
};

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
