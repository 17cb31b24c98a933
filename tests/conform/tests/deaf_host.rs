// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every case for hosts can fail: a host that sends its commands and then
//! neither answers, nor goes on, nor leaves is wrong whatever comes.

mod script;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conform::bench::Bench;
use conform::case::Problem;
use conform::honest::Honest;
use conform::host;
use rawpeer::pdu;
use rawpeer::peer::End;
use script::{NQN, PATIENCE, blocks, connect, inside, wait};

/// Parts of the cases that run at the same time.
const SHARES: usize = 6;

/// Cases that ask for nothing but that the host comes again or connects, or
/// that take its commands as they are: `careless_host.rs` has hosts for them.
const NOTHING_ASKED: [&str; 13] = [
    "icresp.bytewise",
    "icresp.leave",
    "end.rst",
    "event.storm",
    "connect.io-refused",
    "identify.nsze",
    "identify.mdts",
    "identify.nn",
    "identify.ioccsz",
    "identify.nlbaf",
    "identify.changed",
    "identify.list",
    "identify.noise",
];

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
    let mut commands = [
        pdu::command(f, &blocks(2, 1, 8), &[]).bytes(),
        pdu::command(f, &inside(blocks(1, 2, 1)), &[9; 512]).bytes(),
        pdu::command(f, &blocks(1, 3, 40), &[]).bytes(),
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
            if NOTHING_ASKED.contains(&name) {
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
