// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Hosts that leave, wait, or come in numbers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rawpeer::pdu::{self, flag};
use rawpeer::peer::Peer;

use super::cases;
use super::trial::capsule_with;
use crate::case::{Outcome, Problem, check, fail};
use crate::dial::{Ask, Target, icreq};
use crate::sqe::{Place, admin, nvm};

cases! {
    "abuse.icreq-storm", "13", "CVE-2026-46135; TCP 3.1", "ICReq, then FIN or RST, by the thousand in parallel: every fresh association works"
        => storm;
    "abuse.connect-storm", "13", "CVE-2024-42152, CVE-2023-5178; Base 6.3", "good and bad Connects, then FIN or RST, in parallel: every fresh association works"
        => connect_storm;
    "abuse.cut-everywhere", "34", "CVE-2023-5178; TCP 3.5", "the connection is cut at every byte of ICReq and Connect: a fresh association works"
        => cut;
    "abuse.silent-connections", "class: slow-loris; accept-slot exhaustion (F12)", "TCP 3.1", "64 connections that send nothing or half an ICReq do not keep a host out"
        => silent;
    "abuse.slow-reader", "class: slow-loris", "TCP 3.3", "a host that does not read what it asked for keeps no other host from working"
        => slow_reader;
    "abuse.leave-with-writes", "class: completion vs abort vs teardown races (CVE-2021-47041)", "TCP 3.5", "connections that end with writes half sent: a fresh association works"
        => leave_writes;
    "abuse.leave-with-reads", "class: zero-copy page reuse; completion vs teardown races", "TCP 3.5", "connections that are reset while data is sent: the data of others is right"
        => leave_reads;
    "abuse.admin-leaves-first", "class: completion vs abort vs teardown races", "Base 6.4, NVMe-oF", "the admin queue ends first: its I/O queues end too"
        => admin_first;
    "abuse.memory-before-connect", "class: allocation sized by peer before authentication", "TCP 3.6.2.1", "PLEN up to 4 GiB on 64 connections that are not connected is refused from the headers"
        => memory;
    "abuse.many-faults", "class: log flooding by peer; resource leaks", "TCP 3.5", "200 associations that end by a fatal error leave the controller as fast as before"
        => many_faults;
    "abuse.errors-in-setup", "class: error at each step of set-up with digests (CVE-2023-5178)", "TCP 3.1, Base 6.3", "a failed Connect with digests on, 50 times: a fresh association works"
        => errors_in_setup;
    "abuse.stale-data", "class: stale completion after reconnect; reflection and replay", "TCP 3.3.2.2", "H2CData with a TTAG of an earlier connection is refused"
        => stale;
    "abuse.downgrade", "class: downgrade (digests off)", "TCP 3.3.1.1", "digests that were agreed are demanded of every later PDU"
        => downgrade;
}

/// Runs `f` so many times in a few threads.
fn parallel(n: usize, f: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    if i >= n {
                        return;
                    }
                    f(i);
                }
            });
        }
    });
}

/// What threads need of a target.
struct Quick<'a> {
    addr: std::net::SocketAddr,
    subnqn: &'a str,
    hostnqn: &'a str,
    patience: Duration,
}

impl<'a> Quick<'a> {
    fn of(t: &'a Target) -> Self {
        Quick {
            addr: t.addr,
            subnqn: &t.subnqn,
            hostnqn: &t.hostnqn,
            patience: t.patience,
        }
    }

    /// The same controller, for a thread of its own.
    fn target(&self) -> Target {
        Target {
            addr: self.addr,
            subnqn: self.subnqn.into(),
            discovery: String::new(),
            hostnqn: self.hostnqn.into(),
            denied: None,
            patience: self.patience,
            linger: self.patience,
            read_only: true,
            storm: 0,
            survey: Default::default(),
        }
    }
}

fn leave(p: Peer, how: usize) {
    if how.is_multiple_of(2) {
        p.reset();
    } else {
        drop(p);
    }
}

fn storm(t: &Target) -> Outcome {
    let q = Quick::of(t);
    let bytes = icreq(&Ask::default()).bytes();
    let refused = AtomicUsize::new(0);
    parallel(t.storm, |i| match q.target().dial() {
        Ok(mut p) => {
            p.send(&bytes);
            leave(p, i);
        }
        Err(_) => {
            refused.fetch_add(1, Ordering::Relaxed);
        }
    });
    t.survives()?;
    let refused = refused.into_inner();
    check(refused * 10 <= t.storm, || {
        format!("{refused} of {} TCP connections failed", t.storm)
    })?;
    Ok(format!("{} connections, {refused} not accepted", t.storm))
}

fn connect_storm(t: &Target) -> Outcome {
    let q = Quick::of(t);
    let n = (t.storm / 10).max(16);
    parallel(n, |i| {
        let t = q.target();
        let ask = Ask::digests((i % 4) as u8);
        let Ok(mut c) = t.initialize(&ask) else {
            return;
        };
        let mut sqe = t.connect_sqe(&mut c, &ask, u16::from(i % 3 == 2));
        if i % 3 == 1 {
            sqe = sqe.u16(44, 0);
        }
        let data = t.connect_data(&ask, &t.subnqn, if i % 3 == 2 { 77 } else { 0xffff });
        c.submit(sqe, &data);
        if i % 5 != 0 {
            c.seen();
        }
        leave(c.into_peer(), i);
    });
    t.survives()?;
    Ok(format!("{n} connections"))
}

fn cut(t: &Target) -> Outcome {
    let ask = Ask::default();
    let ic = icreq(&ask).bytes();
    for at in (0..ic.len()).step_by(7).chain([1, 7, 8, 9, 127]) {
        let mut p = t.dial()?;
        p.send(&ic[..at]);
        leave(p, at);
    }
    let mut n = 0;
    for at in (0..1096).step_by(29).chain([1, 8, 71, 72, 73, 1095]) {
        let mut c = t.initialize(&ask)?;
        let sqe = t.connect_sqe(&mut c, &ask, 0);
        let data = t.connect_data(&ask, &t.subnqn, 0xffff);
        let bytes = pdu::command(c.format, &sqe.0, &data).bytes();
        c.send(&bytes[..at.min(bytes.len())]);
        leave(c.into_peer(), at);
        n += 1;
    }
    t.survives()?;
    Ok(format!("{} cuts", n + 24))
}

/// How long a host has to wait for its connection, which must not be long.
fn undisturbed(t: &Target) -> Result<Duration, Problem> {
    let start = Instant::now();
    t.survives()?;
    let took = start.elapsed();
    check(took < 2 * t.patience, || {
        format!("a host had to wait {took:?}")
    })?;
    Ok(took)
}

fn silent(t: &Target) -> Outcome {
    let bytes = icreq(&Ask::default()).bytes();
    let mut idle = Vec::new();
    for i in 0..64 {
        let mut p = t.dial()?;
        p.send(&bytes[..[0, 1, 8, 64][i % 4]]);
        idle.push(p);
    }
    let took = undisturbed(t)?;
    drop(idle);
    Ok(format!("a host connects in {} ms", took.as_millis()))
}

fn slow_reader(t: &Target) -> Outcome {
    let ask = Ask {
        entries: 32,
        ..Ask::default()
    };
    let (_a, mut io, d) = t.disk(&ask)?;
    let n = t.survey()?.transfer(1 << 20) / d.block;
    for _ in 0..16 {
        let s = io
            .sqe(nvm::READ, d.nsid, n * d.block, Place::Buffer)
            .blocks(0, n);
        io.submit(s, &[]);
    }
    std::thread::sleep(Duration::from_millis(100));
    let took = undisturbed(t)?;
    io.into_peer().reset();
    Ok(format!("another host connects in {} ms", took.as_millis()))
}

fn leave_writes(t: &Target) -> Outcome {
    for i in 0..20usize {
        let (a, mut io, d) = t.writable(&Ask::default())?;
        let n = t.long(&d)?;
        for k in 0..4u64 {
            let s = io.write_sqe(&d, k * 16, n);
            io.submit(s, &[]);
        }
        if i % 3 != 0 {
            let r = io.receive()?;
            let len = r.u32(16) as usize;
            let b = pdu::h2c_data(io.format, flag::LAST, r.u16(8), r.u16(10), 0, &vec![1; len]);
            let bytes = b.bytes();
            io.send(&bytes[..bytes.len() * (i % 5) / 5]);
        }
        leave(io.into_peer(), i);
        if i % 2 == 0 {
            leave(a.into_peer(), i / 2);
        }
    }
    t.survives()?;
    Ok("20 rounds".into())
}

fn leave_reads(t: &Target) -> Outcome {
    let (_a, mut good, d) = t.writable(&Ask::digests(2))?;
    let n = 32;
    let bytes = vec![0xa5; (n * d.block) as usize];
    good.write(&d, 0, &bytes, good.place(bytes.len()))?
        .must_be(&[0])?;
    for i in 0..20usize {
        let (_b, mut io, _) = t.disk(&Ask::default())?;
        for _ in 0..8 {
            let s = io
                .sqe(nvm::READ, d.nsid, n * d.block, Place::Buffer)
                .blocks(u64::from(n), n);
            io.submit(s, &[]);
        }
        leave(io.into_peer(), i);
        check(good.read(&d, 0, n)? == bytes, || {
            "another connection reads wrong data".into()
        })?;
    }
    Ok("20 rounds, the data is right".into())
}

fn admin_first(t: &Target) -> Outcome {
    let (a, mut io) = t.pair(&Ask::default())?;
    a.into_peer().reset();
    match io.seen_within(t.linger) {
        crate::judge::Seen::End(rawpeer::peer::End::Closed | rawpeer::peer::End::Reset) => {
            Ok("the I/O queue ends".into())
        }
        s => fail(format!("{s} instead of the end of the I/O queue")),
    }
}

fn memory(t: &Target) -> Outcome {
    let mut conns = Vec::new();
    for i in 0..64u32 {
        let mut c = t.initialize(&Ask::default())?;
        let mut b =
            capsule_with(&mut c, 1024).u32(4, [u32::MAX, 1 << 30, 64 << 20][i as usize % 3]);
        b.data.clear();
        c.send(&b.bytes());
        c.send(&vec![0; 64 << 10]);
        conns.push(c);
    }
    t.survives()?;
    let mut held = 0;
    for c in &mut conns {
        if crate::judge::judge(
            crate::judge::Want::TermOrEnd,
            &c.seen_within(t.patience / 8),
        )
        .is_err()
        {
            held += 1;
        }
    }
    check(held == 0, || format!("{held} of 64 wait for the data"))?;
    Ok("64 refused".into())
}

fn many_faults(t: &Target) -> Outcome {
    let time = || -> Result<Duration, Problem> {
        let start = Instant::now();
        t.survives()?;
        Ok(start.elapsed())
    };
    let before = time()?;
    for i in 0..200u32 {
        let mut c = t.connected(&Ask::default())?;
        let b = super::trial::capsule(&mut c).u8(1, 0x80);
        c.send(&b.bytes());
        if i % 4 == 0 {
            c.seen();
        }
    }
    let after = time()?;
    check(after < before * 4 + Duration::from_millis(500), || {
        format!("an association takes {after:?}, it took {before:?} before")
    })?;
    Ok("as fast as before".into())
}

fn errors_in_setup(t: &Target) -> Outcome {
    for i in 0..50 {
        let ask = Ask::digests(3);
        let mut c = t.initialize(&ask)?;
        let mut sqe = t.connect_sqe(&mut c, &ask, 0);
        let mut data = t.connect_data(&ask, &t.subnqn, 0xffff);
        match i % 3 {
            0 => sqe = sqe.u16(44, 0),
            1 => data[256..512].fill(b'z'),
            _ => sqe = sqe.u16(40, 0xffff),
        }
        c.submit(sqe, &data);
        let seen = c.seen();
        crate::judge::judge(crate::judge::Want::Refusal, &seen)?;
    }
    t.survives()?;
    Ok("50 refused".into())
}

fn stale(t: &Target) -> Outcome {
    let (_a, mut io, d) = t.writable(&Ask::default())?;
    let n = t.long(&d)?;
    let s = io.write_sqe(&d, 0, n);
    io.submit(s, &[]);
    let r = io.receive()?;
    let (cid, ttag) = (r.u16(8), r.u16(10));
    io.into_peer().reset();
    let (_a, mut io, _) = t.disk(&Ask::default())?;
    let b = pdu::h2c_data(io.format, flag::LAST, cid, ttag, 0, &[9; 512]);
    let want = crate::judge::Want::Term(&[(1, Some(10)), (2, None)]);
    io.offend(&b.bytes(), &b.header, want)
}

fn downgrade(t: &Target) -> Outcome {
    let mut c = t.connected(&Ask::digests(3))?;
    let agreed = c.format;
    c.format = pdu::Format {
        align: agreed.align,
        ..pdu::Format::default()
    };
    let s = c.sqe(admin::KEEP_ALIVE, 0, 0, Place::Buffer);
    let b = pdu::command(c.format, &s.0, &[]);
    c.format = agreed;
    c.send(&b.bytes());
    // Without its digest the PDU is 4 bytes short: more must not be waited for.
    c.fate(
        &b.header,
        crate::judge::Want::Term(&[(1, Some(1)), (1, Some(4)), (3, None)]),
    )
}
