// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Hosts that are wrong in one way each, for the cases that a deaf one passes.

mod script;

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use conform::bench::Bench;
use conform::case::Problem;
use conform::honest::Honest;
use conform::host;
use rawpeer::pdu::{self, Builder, Format, kind};
use rawpeer::peer::{End, Peer};
use script::{NQN, PATIENCE, ask, blocks, connect, inside, wait};

/// One association of a host; whether it will ever come again.
type Host = fn(SocketAddr) -> Result<bool, End>;

/// Runs the cases against a host, association after association. All of them
/// must fail, and say why.
fn all_fail(host: Host, why: &str, names: &[&str]) {
    let honest = Honest::new(NQN.into(), None);
    let any = "127.0.0.1:0".parse().expect("an address");
    let times = [Duration::from_millis(2500), PATIENCE, PATIENCE];
    for name in names {
        let honest = Honest::new(honest.subnqn.clone(), None);
        let bench = Bench::new(any, honest, None, times).expect("loopback");
        let over = AtomicBool::new(false);
        std::thread::scope(|s| {
            let (addr, over) = (bench.addr, &over);
            s.spawn(move || {
                while !over.load(Ordering::Acquire) && host(addr) != Ok(false) {
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let case = host::all().find(|c| c.about.name == *name).expect(name);
            let mut outcome = case.run_first(&bench);
            // What every case ends with.
            if outcome.is_ok() {
                outcome = bench.survives();
            }
            over.store(true, Ordering::Release);
            drop(bench);
            let failed = matches!(&outcome, Err(Problem::Fail(e)) if e.contains(why));
            assert!(failed, "{name}: {outcome:?}");
        });
    }
}

/// Does what the case asks for, and dies of it.
fn dies(addr: SocketAddr) -> Result<bool, End> {
    let asks_for_events = || -> Result<(), End> {
        let (mut admin, f) = connect(addr, 0, false)?;
        admin.send(&pdu::command(f, &pdu::sqe(0x0c, 3, 0, false), &[]).bytes());
        let (mut io, f) = connect(addr, 1, false)?;
        io.send(&pdu::command(f, &blocks(2, 1, 8), &[]).bytes());
        wait(io);
        drop(admin);
        Ok(())
    };
    let _ = asks_for_events();
    Ok(false)
}

#[test]
fn one_that_never_comes_again() {
    all_fail(
        dies,
        "does not come again",
        &["icresp.leave", "end.rst", "event.storm"],
    );
}

/// Takes an ICResp only as a whole.
fn takes_it_whole(addr: SocketAddr) -> Result<bool, End> {
    let stream = TcpStream::connect(addr).map_err(|_| End::Closed)?;
    let mut peer = Peer::new(stream);
    let icreq = Builder::new(Format::default(), kind::ICREQ, 0, 128, &[]);
    peer.send(&icreq.bytes());
    // Of a segment of one byte it makes nothing.
    let _ = peer.stream().read(&mut [0; 1]);
    Ok(true)
}

#[test]
fn one_that_takes_no_single_bytes() {
    all_fail(takes_it_whole, "instead of Connect", &["icresp.bytewise"]);
}

/// Takes no refusal.
fn insists(addr: SocketAddr) -> Result<bool, End> {
    let (admin, _) = connect(addr, 0, false)?;
    let (mut io, f) = ask(addr, 1, false)?;
    let _ = io.receive_within(2 * PATIENCE);
    io.send(&pdu::command(f, &blocks(2, 1, 8), &[]).bytes());
    wait(io);
    drop(admin);
    Ok(true)
}

#[test]
fn one_that_takes_no_refusal() {
    all_fail(insists, "a queue that was refused", &["connect.io-refused"]);
}

fn sends(addr: SocketAddr, sqe: [u8; 64], icd: &[u8]) -> Result<bool, End> {
    let (admin, _) = connect(addr, 0, false)?;
    let (mut io, f) = connect(addr, 1, false)?;
    io.send(&pdu::command(f, &sqe, icd).bytes());
    wait(io);
    drop(admin);
    Ok(true)
}

#[test]
fn one_whose_sgl_is_not_its_blocks() {
    fn careless(addr: SocketAddr) -> Result<bool, End> {
        let mut sqe = blocks(2, 1, 8);
        sqe[32..36].copy_from_slice(&(9 * 512u32).to_le_bytes());
        sends(addr, sqe, &[])
    }
    all_fail(
        careless,
        "is not its blocks",
        &[
            "identify.nsze",
            "identify.nlbaf",
            "identify.mdts",
            "identify.nn",
            "identify.list",
            "identify.noise",
        ],
    );
}

#[test]
fn one_that_goes_by_what_a_namespace_was() {
    fn forgetful(addr: SocketAddr) -> Result<bool, End> {
        let mut sqe = blocks(2, 1, 8);
        sqe[40..48].copy_from_slice(&12_000u64.to_le_bytes());
        sends(addr, sqe, &[])
    }
    all_fail(forgetful, "8 blocks at 12000", &["identify.changed"]);
}

#[test]
fn one_that_fills_capsules_too_full() {
    fn generous(addr: SocketAddr) -> Result<bool, End> {
        sends(addr, inside(blocks(1, 1, 1)), &[9; 512])
    }
    all_fail(generous, "where 0 fit", &["identify.ioccsz"]);
}
