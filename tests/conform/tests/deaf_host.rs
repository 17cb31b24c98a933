// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every case for hosts can fail: a host that sends its commands and then
//! neither answers, nor goes on, nor leaves is wrong whatever comes.

use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conform::bench::Bench;
use conform::case::Problem;
use conform::honest::Honest;
use conform::host;
use rawpeer::pdu::{self, Builder, Format, kind};
use rawpeer::peer::{End, Peer};

const NQN: &str = "nqn.2014-08.org.example:deaf";
const PATIENCE: Duration = Duration::from_millis(120);
/// Parts of the cases that run at the same time.
const SHARES: usize = 6;

/// Cases that ask for nothing but that the host comes again or connects, or
/// that take its commands as they are.
const NOTHING_ASKED: [&str; 11] = [
    "icresp.bytewise",
    "icresp.leave",
    "end.rst",
    "event.storm",
    "connect.io-refused",
    "identify.nsze",
    "identify.mdts",
    "identify.nn",
    "identify.ioccsz",
    "identify.list",
    "identify.noise",
];

/// Does nothing until the other end has left, and for a while more.
fn wait(mut peer: Peer) -> End {
    peer.drain(Duration::from_secs(20));
    std::thread::sleep(2 * PATIENCE);
    End::Timeout
}

/// What was agreed on a connection that is set up.
fn connect(addr: SocketAddr, qid: u16, flow_control: bool) -> Result<(Peer, Format), End> {
    let stream = TcpStream::connect(addr).map_err(|_| End::Closed)?;
    let mut peer = Peer::new(stream);
    // As many digests as a case may want to find asked for, or not.
    let asked = if flow_control { 0 } else { 3 };
    let icreq = Builder::new(Format::default(), kind::ICREQ, 0, 128, &[]).u8(11, asked);
    peer.send(&icreq.bytes());
    let r = match peer.receive_within(2 * PATIENCE) {
        Ok(r) if r.kind() == kind::ICRESP && r.header[10] == 0 && r.header[11] & !asked == 0 => r,
        _ => return Err(wait(peer)),
    };
    let f = Format {
        hdgst: r.header[11] & 1 != 0,
        ddgst: r.header[11] & 2 != 0,
        align: 4,
    };
    let mut data = vec![0; 1024];
    data[..16].fill(1);
    let cntlid: u16 = if qid == 0 { 0xffff } else { 1 };
    data[16..18].copy_from_slice(&cntlid.to_le_bytes());
    data[256..256 + NQN.len()].copy_from_slice(NQN.as_bytes());
    data[512..512 + NQN.len()].copy_from_slice(NQN.as_bytes());
    let mut sqe = pdu::sqe(0x7f, 0, 1024, true);
    sqe[4..8].copy_from_slice(&[1, 0, 0, 0]);
    sqe[42..44].copy_from_slice(&qid.to_le_bytes());
    sqe[44] = 31;
    sqe[46] = if flow_control { 0 } else { 4 };
    peer.send(&pdu::command(f, &sqe, &data).bytes());
    match peer.receive_within(2 * PATIENCE) {
        Ok(r) if r.kind() == kind::RESP && r.u16(22) >> 1 == 0 => Ok((peer, f)),
        _ => Err(wait(peer)),
    }
}

/// One association: all commands at once, and then nothing.
fn once(addr: SocketAddr, flow_control: bool, read_last: bool) -> Result<(), End> {
    let (mut admin, f) = connect(addr, 0, flow_control)?;
    let mut identify = pdu::sqe(0x06, 1, 4096, false);
    identify[40] = 1;
    for sqe in [
        identify,
        pdu::sqe(0x0c, 2, 0, false),
        pdu::sqe(0x18, 3, 0, false),
    ] {
        admin.send(&pdu::command(f, &sqe, &[]).bytes());
    }
    let (mut io, f) = connect(addr, 1, flow_control)?;
    let blocks = |opcode, cid, n: u16, inside| {
        let mut s = pdu::sqe(opcode, cid, u32::from(n) * 512, inside);
        s[48..50].copy_from_slice(&(n - 1).to_le_bytes());
        s
    };
    let mut commands = [
        pdu::command(f, &blocks(2, 1, 8, false), &[]).bytes(),
        pdu::command(f, &blocks(1, 2, 1, true), &[9; 512]).bytes(),
        pdu::command(f, &blocks(1, 3, 40, false), &[]).bytes(),
    ];
    if read_last {
        commands.reverse();
    }
    io.send(&commands.concat());
    wait(io);
    drop(admin);
    Ok(())
}

/// The cases of one share that do not fail.
fn never(share: usize) -> Vec<&'static str> {
    let honest = Honest::new(NQN.into(), None);
    let any = "127.0.0.1:0".parse().expect("an address");
    let times = [Duration::from_secs(5), PATIENCE, PATIENCE];
    let bench = Bench::new(any, honest, None, times).expect("loopback");
    let (stop, read_last) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut never = Vec::new();
    std::thread::scope(|s| {
        let addr = bench.addr;
        let (over, last) = (&stop, &read_last);
        s.spawn(move || {
            let mut round = 0;
            while !over.load(Ordering::Acquire) {
                // What the tool thinks of it is the tool's affair.
                let _ = once(addr, round % 2 == 1, last.load(Ordering::Acquire));
                round += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        for case in host::all().skip(share).step_by(SHARES) {
            let name = case.about.name;
            // The wait of half a minute is what that case is about.
            if NOTHING_ASKED.contains(&name) || name == "icresp.never" {
                continue;
            }
            // What comes behind a command looks as if the host went on.
            let failed = [false, true].into_iter().any(|last| {
                read_last.store(last, Ordering::Release);
                matches!(case.run_first(&bench), Err(Problem::Fail(_)))
            });
            if !failed {
                never.push(name);
            }
        }
        stop.store(true, Ordering::Release);
        drop(bench);
    });
    never
}

#[test]
fn every_case_for_hosts_fails_against_a_deaf_one() {
    // Nearly all of it is waiting.
    let shares: Vec<_> = (0..SHARES)
        .map(|n| std::thread::spawn(move || never(n)))
        .collect();
    let never: Vec<_> = shares
        .into_iter()
        .flat_map(|t| t.join().expect("a share"))
        .collect();
    assert!(never.is_empty(), "these cases cannot fail: {never:?}");
}
