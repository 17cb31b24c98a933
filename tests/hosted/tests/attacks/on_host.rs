// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! PDUs that a host must not take, and those that it must.

use std::time::Duration;

use hosted::Kernel;
use hosted::initiator::{Data, Initiator, Params, Sent};
use hosted::pdu::{self, flag, kind};
use hosted::peer::Peer;
use hosted::responder::opcode;
use sys::Errno;

use crate::cases::{
    Cases, PROMPT, Term, check_fate, header_cases, host, params, term_cases, write_sqe,
};

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
