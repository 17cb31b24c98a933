// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Streams to a controller that come slowly, end anywhere, or announce more
//! than there should be.

use std::time::Duration;

use hosted::Kernel;
use hosted::object::{Kind, live};
use hosted::pdu::{self, Format, flag};
use hosted::responder::opcode;
use sys::Errno;

use crate::cases::{PROMPT, controller, params, write_sqe};

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
