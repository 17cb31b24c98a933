// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A host's and a controller's queue pair of `nvmf_tcp`, made through
//! `nvmf_transport`'s interface, over real loopback TCP.

use std::time::{Duration, Instant};

use hosted::initiator::{Data, Initiator, Params, Sent};
use hosted::peer::{pair_with_buffer, socket_pair};
use hosted::responder::{Responder, Style, at, opcode};
use hosted::{Kernel, console, fault, object, pdu};
use sys::Errno;

const STORE: usize = 4 << 20;

fn pattern(seed: u32, len: usize) -> Vec<u8> {
    let mut x = u64::from(seed) << 1 | 1;
    (0..len)
        .map(|_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (x >> 56) as u8
        })
        .collect()
}

fn pair(p: &Params, style: Style) -> (Initiator, Responder) {
    let (a, b) = socket_pair();
    let r = Responder::new(p, b, style, STORE);
    (Initiator::new(p, a), r)
}

fn write(host: &Initiator, cid: u16, offset: u32, data: &[u8]) -> hosted::initiator::Outcome {
    let sqe = pdu::sqe(opcode::WRITE, cid, 0, false);
    host.run(&at(sqe, offset), Data::Write(data.to_vec()))
}

fn read(host: &Initiator, cid: u16, offset: u32, len: usize) -> hosted::initiator::Outcome {
    let sqe = pdu::sqe(opcode::READ, cid, 0, false);
    host.run(&at(sqe, offset), Data::Read(len))
}

/// Writes and reads of many sizes; everything comes back as it was sent.
fn round_trips(p: &Params, style: Style) {
    let k = Kernel::boot();
    let (host, ctrl) = pair(p, style);
    let o = host.run(&pdu::sqe(opcode::FLUSH, 0, 0, false), Data::None);
    assert_eq!((o.status(), o.sqhd_valid, o.data), (0, true, None));
    let icd = p.max_icd as usize;
    let sizes = [1, 4, 511, 4096, icd, icd + 1, 65536, 100_001, 1 << 20];
    for (i, len) in sizes.into_iter().enumerate() {
        let cid = i as u16;
        let data = pattern(i as u32, len);
        let offset = 512 * i as u32;
        let o = write(&host, cid, offset, &data);
        assert_eq!((o.status(), o.data), (0, Some((len, None))), "write {len}");
        assert!(
            ctrl.store()[offset as usize..][..len] == data[..],
            "write {len}"
        );
        let o = read(&host, cid, offset, len);
        assert_eq!((o.status(), o.data), (0, Some((len, None))), "read {len}");
        assert!(o.memory == data, "read {len}");
        // The SUCCESS flag stands for a response: no SQHD.
        assert_eq!(o.sqhd_valid, p.flow_control);
    }
    let sgl = ctrl.commands()[1];
    assert_eq!(
        (sgl[39], sgl[32..36].to_vec()),
        (1, vec![1, 0, 0, 0]),
        "in-capsule SGL"
    );
    assert!(host.free(vec![]) < Duration::from_secs(2));
    assert_eq!(
        ctrl.wait_error(),
        None,
        "a host that leaves closes its connection"
    );
    assert!(ctrl.free() < Duration::from_secs(2));
    k.shutdown();
}

#[test]
fn data_round_trips_with_every_digest_setting() {
    for n in 0..8 {
        let p = Params {
            hdgst: n & 1 != 0,
            ddgst: n & 2 != 0,
            flow_control: n & 4 != 0,
            ..Params::default()
        };
        round_trips(&p, Style::default());
    }
}

#[test]
fn data_round_trips_with_alignments() {
    for (rxpda, txpda) in [(4, 128), (128, 4), (64, 72), (12, 20)] {
        let (host, ctrl) = (
            Params {
                rxpda,
                txpda,
                hdgst: true,
                ddgst: true,
                ..Params::default()
            },
            Params {
                rxpda: txpda,
                txpda: rxpda,
                hdgst: true,
                ddgst: true,
                ..Params::default()
            },
        );
        let k = Kernel::boot();
        let (a, b) = socket_pair();
        let r = Responder::new(&ctrl, b, Style::default(), STORE);
        let i = Initiator::new(&host, a);
        for len in [1, 5000, 8192, 300_000] {
            let data = pattern(len as u32, len);
            assert_eq!(write(&i, 1, 0, &data).status(), 0);
            assert!(read(&i, 1, 0, len).memory == data, "{rxpda} {txpda} {len}");
        }
        i.free(vec![]);
        r.free();
        k.shutdown();
    }
}

#[test]
fn data_round_trips_in_small_pieces() {
    let p = Params {
        maxh2cdata: 4096,
        maxr2t: 3,
        ddgst: true,
        ..Params::default()
    };
    let style = Style {
        write_chunk: 10_000,
        read_chunk: 7_000,
        external: true,
    };
    round_trips(&p, style);
}

#[test]
fn data_round_trips_without_in_capsule_data_and_in_order_r2ts() {
    let p = Params {
        max_icd: 0,
        maxr2t: 0,
        ..Params::default()
    };
    let k = Kernel::boot();
    let (a, b) = socket_pair();
    // A controller's zero means its default, a host's none.
    let style = Style {
        write_chunk: 16384,
        ..Style::default()
    };
    let ctrl = Responder::new(&p, b, style, STORE);
    let host = Initiator::new(&p, a);
    for len in [1, 4096, 4097, 1 << 20] {
        let data = pattern(len as u32, len);
        assert_eq!(write(&host, 7, 3, &data).status(), 0);
        assert!(ctrl.store()[3..][..len] == data[..]);
    }
    host.free(vec![]);
    ctrl.free();
    k.shutdown();
}

#[test]
fn received_chains_of_single_bytes_are_the_same_data() {
    let p = Params {
        hdgst: true,
        ddgst: true,
        ..Params::default()
    };
    for segment in [1, 3, 100] {
        let k = Kernel::boot();
        fault::set_rx_segment(segment);
        let (host, ctrl) = pair(&p, Style::default());
        for len in [1, 900, 9000, 40_000] {
            let data = pattern(len as u32, len);
            assert_eq!(write(&host, 1, 0, &data).status(), 0);
            assert!(read(&host, 1, 0, len).memory == data);
        }
        host.free(vec![]);
        ctrl.free();
        k.shutdown();
    }
}

#[test]
fn unmapped_pages_are_written_and_given_back() {
    let k = Kernel::boot();
    for ddgst in [false, true] {
        let p = Params {
            ddgst,
            ..Params::default()
        };
        let (host, ctrl) = pair(&p, Style::default());
        for len in [4096, 65536, 1 << 20] {
            let data = pattern(len as u32, len);
            let sqe = at(pdu::sqe(opcode::WRITE, 2, 0, false), 0);
            let sent = host
                .try_send(&sqe, Data::Write(data.clone()), true)
                .unwrap();
            let o = host.wait(sent);
            assert_eq!((o.status(), o.data), (0, Some((len, None))));
            assert!(ctrl.store()[..len] == data[..]);
        }
        host.free(vec![]);
        ctrl.free();
    }
    k.shutdown();
}

fn hammer(host: &Initiator, thread: u16, depth: u16, rounds: u32) {
    let base = u32::from(thread) << 20;
    for round in 0..rounds {
        let len = |i: u16| 1 + (usize::from(i) * 977 + round as usize * 4099) % 16_000;
        let spot = |i: u16| base + u32::from(i) * 16_384;
        let cid = |i: u16| thread * depth + i;
        let data = |i: u16| pattern(u32::from(cid(i)) + (round << 16), len(i));
        let sent: Vec<Sent> = (0..depth)
            .map(|i| {
                let sqe = at(pdu::sqe(opcode::WRITE, cid(i), 0, false), spot(i));
                host.send(&sqe, Data::Write(data(i)))
            })
            .collect();
        for s in sent {
            assert_eq!(host.wait(s).status(), 0);
        }
        let sent: Vec<Sent> = (0..depth)
            .map(|i| {
                let sqe = at(pdu::sqe(opcode::READ, cid(i), 0, false), spot(i));
                host.send(&sqe, Data::Read(len(i)))
            })
            .collect();
        for (i, s) in sent.into_iter().enumerate() {
            let o = host.wait(s);
            assert_eq!(o.status(), 0);
            assert!(o.memory == data(i as u16), "thread {thread} command {i}");
        }
    }
}

fn hammer_all(p: &Params, style: Style, rounds: u32) {
    let (host, ctrl) = pair(p, style);
    std::thread::scope(|s| {
        for t in 0..4 {
            let host = &host;
            s.spawn(move || hammer(host, t, 64, rounds));
        }
    });
    host.free(vec![]);
    ctrl.free();
}

#[test]
fn four_threads_at_depth_64() {
    let k = Kernel::boot();
    for n in 0..4 {
        let p = Params {
            qsize: 256,
            hdgst: n & 1 != 0,
            ddgst: n & 2 != 0,
            maxr2t: 1,
            ..Params::default()
        };
        hammer_all(&p, Style::default(), 3);
    }
    k.shutdown();
}

#[test]
fn four_threads_with_little_stack_leave_sending_to_the_worker() {
    let k = Kernel::boot();
    fault::set_stack_low(true);
    let p = Params {
        qsize: 256,
        ..Params::default()
    };
    hammer_all(&p, Style::default(), 2);
    k.shutdown();
}

#[test]
fn four_threads_while_allocations_fail() {
    let k = Kernel::boot();
    let p = Params {
        qsize: 256,
        ddgst: true,
        max_icd: 4096,
        ..Params::default()
    };
    // The controller's side may end the connection for want of memory, so
    // only the host's command path is under test: no R2T, small data.
    let (host, ctrl) = pair(&p, Style::default());
    for round in 0..20u32 {
        let mut sent = Vec::new();
        for cid in 0..200u16 {
            fault::fail_nowait(3);
            let sqe = at(
                pdu::sqe(opcode::WRITE, cid, 0, false),
                u32::from(cid) * 4096,
            );
            let data = pattern(u32::from(cid) + round, 4096);
            let r = host.try_send(&sqe, Data::Write(data), false);
            fault::fail_nowait(0);
            sent.push(r.expect("left to the worker"));
        }
        for s in sent {
            let cid = s.cid;
            assert_eq!(host.wait(s).status(), 0);
            let store = ctrl.store();
            let data = pattern(u32::from(cid) + round, 4096);
            assert!(store[usize::from(cid) * 4096..][..4096] == data[..]);
        }
    }
    host.free(vec![]);
    ctrl.free();
    k.shutdown();
}

#[test]
fn freeing_with_deferred_commands_gives_everything_back() {
    let k = Kernel::boot();
    for _ in 0..20 {
        // A controller that reads nothing: scripted by silence.
        let (a, b) = socket_pair();
        let host = Initiator::new(&Params::default(), a);
        fault::fail_nowait(1);
        let sent: Vec<Sent> = (0..64)
            .map(|cid| {
                let sqe = pdu::sqe(opcode::WRITE, cid, 0, false);
                host.send(&sqe, Data::Write(vec![1; 4096]))
            })
            .collect();
        assert!(host.free(sent) < Duration::from_secs(2));
        fault::fail_nowait(0);
        drop(b);
    }
    k.shutdown();
}

#[test]
fn freeing_during_traffic_ends_every_command() {
    let k = Kernel::boot();
    for n in 0..40u32 {
        let p = Params {
            ddgst: n % 2 == 0,
            ..Params::default()
        };
        let (host, ctrl) = pair(&p, Style::default());
        let mut sent = Vec::new();
        for cid in 0..64u16 {
            let big = cid % 5 == 0;
            let len = if big { 200_000 } else { 3000 };
            let (op, data) = if cid % 2 == 0 {
                (opcode::WRITE, Data::Write(vec![cid as u8; len]))
            } else {
                (opcode::READ, Data::Read(len))
            };
            sent.push(host.send(&at(pdu::sqe(op, cid, 0, false), 0), data));
        }
        std::thread::sleep(Duration::from_micros(u64::from(n) * 150));
        if n % 3 == 0 {
            assert!(ctrl.free() < Duration::from_secs(2));
            let _ = host.wait_error();
            assert!(host.free(sent) < Duration::from_secs(2));
        } else {
            assert!(host.free(sent) < Duration::from_secs(2));
            let _ = ctrl.wait_error();
            assert!(ctrl.free() < Duration::from_secs(2));
        }
    }
    k.shutdown();
}

#[test]
fn a_peer_that_stops_reading_blocks_nobody() {
    let k = Kernel::boot();
    // The host end of a controller that never reads, with small buffers.
    let (b, a) = pair_with_buffer(Some(4096));
    let p = Params {
        qsize: 1024,
        ..Params::default()
    };
    let host = Initiator::new(&p, a);
    let start = Instant::now();
    let sent: Vec<Sent> = (0..1024u16)
        .map(|cid| {
            let sqe = pdu::sqe(opcode::WRITE, cid, 0, false);
            host.send(&sqe, Data::Write(vec![0; 8192]))
        })
        .collect();
    assert!(
        start.elapsed() < Duration::from_secs(2),
        "submission waited for the peer: {:?}",
        start.elapsed()
    );
    assert!(host.errors().is_empty());
    let took = host.free(sent);
    assert!(took < Duration::from_secs(2), "{took:?}");
    drop(b);
    k.shutdown();
}

#[test]
fn a_slow_peer_gets_everything_in_order() {
    use hosted::peer::Peer;
    let k = Kernel::boot();
    let (b, a) = pair_with_buffer(Some(4096));
    let host = Initiator::new(&Params::default(), a);
    let sent: Vec<Sent> = (0..128u16)
        .map(|cid| {
            let sqe = pdu::sqe(opcode::WRITE, cid, 0, false);
            host.send(&sqe, Data::Write(pattern(cid.into(), 8192)))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    let mut peer = Peer::new(b);
    for cid in 0..128u16 {
        let raw = peer.expect(pdu::kind::CMD);
        assert_eq!(raw.u16(10), cid);
        assert!(raw.data == pattern(cid.into(), 8192));
        peer.send(&pdu::response(pdu::Format::default(), &pdu::cqe(cid, 0)).bytes());
    }
    for s in sent {
        assert_eq!(host.wait(s).status(), 0);
    }
    host.free(vec![]);
    k.shutdown();
}

#[test]
fn a_dead_peer_does_not_hold_a_controller() {
    let k = Kernel::boot();
    let (b, a) = pair_with_buffer(Some(4096));
    let p = Params::default();
    let ctrl = Responder::new(&p, a, Style::default(), STORE);
    let mut peer = hosted::peer::Peer::new(b);
    // Reads whose data nobody takes.
    for cid in 0..64 {
        peer.send(
            &pdu::command(
                pdu::Format::default(),
                &pdu::sqe(opcode::READ, cid, 1 << 20, false),
                &[],
            )
            .bytes(),
        );
    }
    let end = Instant::now() + Duration::from_secs(5);
    while ctrl.commands().len() < 64 && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(ctrl.commands().len(), 64, "the receive thread is held up");
    let took = ctrl.free();
    assert!(took < Duration::from_secs(5), "{took:?}");
    k.shutdown();
}

#[test]
fn a_connection_that_is_reset_ends_every_command() {
    let k = Kernel::boot();
    let (a, b) = socket_pair();
    let host = Initiator::new(&Params::default(), a);
    let sent: Vec<Sent> = (0..8u16)
        .map(|cid| {
            let sqe = pdu::sqe(opcode::READ, cid, 0, false);
            host.send(&sqe, Data::Read(4096))
        })
        .collect();
    std::thread::sleep(Duration::from_millis(20));
    hosted::peer::Peer::new(b).reset();
    assert_eq!(host.wait_error(), Some(Errno::ECONNRESET));
    host.free(sent);
    k.shutdown();
}

#[test]
fn bad_handoffs_are_declined_and_leave_the_socket_alone() {
    let k = Kernel::boot();
    let good = Params::default();
    let bad = [
        Params { rxpda: 3, ..good },
        Params { rxpda: 132, ..good },
        Params { txpda: 0, ..good },
        Params {
            txpda: 1 << 33 | 4,
            ..good
        },
        Params {
            maxh2cdata: 0,
            ..good
        },
        Params {
            maxh2cdata: 1 << 32,
            ..good
        },
        Params { qsize: 0, ..good },
        Params { qsize: 1, ..good },
        Params {
            qsize: 65537,
            ..good
        },
        Params {
            max_icd: u64::MAX,
            ..good
        },
        Params {
            maxr2t: 1 << 32,
            ..good
        },
    ];
    for p in bad {
        let (a, b) = socket_pair();
        assert!(
            Initiator::try_new(&p, a.try_clone().unwrap()).is_none(),
            "{p:?}"
        );
        // The connection still belongs to its descriptor.
        use std::io::{Read, Write};
        (&a).write_all(b"x").unwrap();
        let mut x = [0];
        (&b).read_exact(&mut x).unwrap();
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    let null = std::os::fd::OwnedFd::from(file);
    assert!(Initiator::try_new(&good, std::net::TcpStream::from(null)).is_none());
    assert!(console::take().len() <= 40, "the console is flooded");
    k.shutdown();
}

#[test]
fn nothing_is_live_after_all_this() {
    let k = Kernel::boot();
    assert!(object::live(object::Kind::Mutex) > 0, "the registry's");
    k.shutdown();
    assert_eq!(object::census(), []);
}
