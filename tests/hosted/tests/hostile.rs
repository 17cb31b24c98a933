// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A hostile host against `nvmft`, a hostile controller against `nvmf`.

mod common;

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{Target, pair, status};
use hosted::ctl::Style;
use hosted::middle::{Middle, Rng};
use hosted::pdu::{self, flag, kind};
use hosted::peer::End;
use hosted::userland::{Error, Options, Queue};
use hosted::{Kernel, cdev, console, ctl, newbus, system};

fn refused(r: Result<Queue, Error>, wanted: u16, name: &str) {
    match r {
        Err(Error::Status("Connect", s)) => assert_eq!(s, wanted, "{name}"),
        Err(e) => panic!("{name}: {e}"),
        Ok(_) => panic!("{name}: accepted"),
    }
}

#[test]
fn bad_connects_are_refused() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let addr = t.daemon.addr;
    let o = Options::default();
    let (mut a, _q) = pair(&t, &o);
    let id = a.cntlid;
    refused(Queue::connect(addr, &o, 1, id), 0x0c, "a queue that exists");
    refused(
        Queue::connect(addr, &o, 5, id),
        0x182,
        "a queue that was not granted",
    );
    refused(
        Queue::connect(addr, &o, 2, id ^ 0x55),
        0x182,
        "no such controller",
    );
    let other = Options {
        hostnqn: "nqn.2014-08.org.example:other".into(),
        ..o.clone()
    };
    refused(
        Queue::connect(addr, &other, 2, id),
        0x182,
        "another host's controller",
    );
    let huge = Options {
        qsize: 2000,
        ..o.clone()
    };
    refused(
        Queue::connect(addr, &huge, 2, id),
        0x182,
        "too large a queue",
    );
    let nameless = Options {
        hostnqn: String::new(),
        ..o.clone()
    };
    refused(
        Queue::connect(addr, &nameless, 0, 0xffff),
        0x182,
        "no host NQN",
    );
    // The association is as it was.
    assert_eq!(a.identify().expect("still there").len(), 4096);
    let idle = Queue::connect(addr, &o, 0, 0xffff).expect("connected");
    refused(
        Queue::connect(addr, &o, 1, idle.cntlid),
        0x0c,
        "a controller that is not enabled",
    );
    t.end();
    k.shutdown();
}

#[test]
fn identifiers_in_use_and_too_many_commands_are_refused() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        qsize: 8,
        ..Options::default()
    };
    let (_a, mut q) = pair(&t, &o);
    t.luns[0].hold(true);
    let f = q.format();
    let read = |cid| pdu::command(f, &pdu::sqe(2, cid, 512, false), &[]).bytes();
    q.peer().send(&read(1));
    q.peer().send(&read(1));
    let r = q.peer().expect(kind::RESP);
    assert_eq!((r.u16(20), status(&r)), (1, 0x03), "an identifier in use");
    for cid in 2..40 {
        q.peer().send(&read(cid));
    }
    let mut refused = 0;
    while let Ok(r) = q.peer().receive_within(Duration::from_millis(300)) {
        assert_eq!(status(&r), 0x0c);
        refused += 1;
    }
    assert!(refused >= 30, "{refused} of 39 commands were refused");
    assert!(ctl::outstanding() <= 9);
    t.luns[0].hold(false);
    t.end();
    k.shutdown();
}

/// Dataset Management has its LBAs in its data; CDW10 and CDW11 say other things.
#[test]
fn ranges_are_not_where_blocks_are() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let (_a, mut q) = pair(&t, &Options::default());
    let mut sqe = pdu::sqe(9, 1, 4096, true);
    sqe[40..48].fill(0xff);
    let f = q.format();
    q.peer().send(&pdu::command(f, &sqe, &[0; 4096]).bytes());
    let r = q.peer().expect(kind::RESP);
    assert_eq!((r.u16(20), status(&r)), (1, 0));
    t.end();
    k.shutdown();
}

/// Every opcode with random fields, on both kinds of queue: whatever comes,
/// it is one response each or the end of the connection.
#[test]
fn random_commands_are_answered() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 2);
    let mut rng = Rng::new(42);
    let mut fates = [0u32; 2];
    for round in 0..40 {
        let o = Options {
            ddgst: round % 2 == 0,
            flow_control: round % 3 == 0,
            ..Options::default()
        };
        let (a, io) = pair(&t, &o);
        for (is_admin, mut q) in [(true, a), (false, io)] {
            let f = q.format();
            for n in 0..64u16 {
                let mut sqe = [0u8; 64];
                let opcode = match rng.below(3) {
                    0 => [1, 2, 0, 8, 5, 9][rng.below(6) as usize],
                    1 => [0x7f, 0x06, 0x02, 0x09, 0x0a, 0x08, 0x18][rng.below(7) as usize],
                    _ => rng.below(256) as u8,
                };
                for b in &mut sqe {
                    if rng.below(2) == 0 {
                        *b = rng.number() as u8;
                    }
                }
                // What would be answered never, or only sometime.
                let deferred = is_admin && opcode == 0x0c;
                let disconnect = opcode == 0x7f && sqe[4] == 8;
                if deferred || disconnect {
                    continue;
                }
                let len = rng.below(3) * 4096;
                let inside = rng.below(3) == 0;
                let base = pdu::sqe(opcode, n, len as u32, inside);
                sqe[..4].copy_from_slice(&base[..4]);
                if rng.below(2) == 0 {
                    sqe[4..8].copy_from_slice(&1u32.to_le_bytes());
                }
                sqe[24..40].copy_from_slice(&base[24..40]);
                if opcode < 0x80 && rng.below(2) == 0 {
                    sqe[41..50].fill(0);
                }
                let icd = if inside {
                    vec![7; len as usize]
                } else {
                    vec![]
                };
                q.peer().send(&pdu::command(f, &sqe, &icd).bytes());
                let answer = loop {
                    match q.peer().receive_within(Duration::from_secs(5)) {
                        Ok(r) if r.kind() == kind::C2H_DATA => {
                            if r.flags() & flag::SUCCESS != 0 {
                                break Ok(());
                            }
                        }
                        Ok(r) if r.kind() == kind::R2T => {
                            let (ttag, off, len) = (r.u16(10), r.u32(12), r.u32(16));
                            let data = vec![3; len as usize];
                            let d = pdu::h2c_data(f, flag::LAST, n, ttag, off, &data);
                            q.peer().send(&d.bytes());
                        }
                        Ok(r) if r.kind() == kind::RESP => {
                            assert_eq!(r.u16(20), n, "whose response is this?");
                            break Ok(());
                        }
                        Ok(r) => panic!("{r:02x?} for {sqe:02x?}"),
                        Err(e) => break Err(e),
                    }
                };
                match answer {
                    Ok(()) => fates[0] += 1,
                    Err(End::Timeout) => panic!("no answer to {sqe:02x?} (admin: {is_admin})"),
                    Err(_) => {
                        fates[1] += 1;
                        break;
                    }
                }
            }
        }
    }
    assert!(fates[0] > 1000, "{fates:?}");
    t.end();
    assert_eq!(ctl::outstanding(), 0);
    k.shutdown();
}

#[test]
fn hosts_that_leave_at_any_step_leave_nothing() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options::default();
    for step in 0..60u32 {
        // Nothing, garbage, or half a handshake.
        let s = TcpStream::connect(t.daemon.addr).expect("loopback");
        let mut peer = hosted::peer::Peer::new(s);
        let icreq = pdu::Builder::new(pdu::Format::default(), kind::ICREQ, 0, 128, &[]).bytes();
        let n = (step as usize * 17) % 140;
        peer.send(&icreq[..n.min(128)]);
        if step % 2 == 0 {
            peer.reset();
        } else {
            drop(peer);
        }
        if step % 6 == 0 {
            let a = Queue::connect(t.daemon.addr, &o, 0, 0xffff).expect("connected");
            drop(a);
        }
        if step % 10 == 0 {
            let (mut a, mut q) = pair(&t, &o);
            let f = q.format();
            q.peer()
                .send(&pdu::command(f, &pdu::sqe(1, 1, 65536, false), &[]).bytes());
            a.peer().send(&icreq[..9]);
        }
    }
    let start = Instant::now();
    t.end();
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "{:?}",
        start.elapsed()
    );
    assert!(console::take().len() < 300, "the console is flooded");
    k.shutdown();
}

/// One byte of one PDU is changed, without digests: whatever that does, it
/// ends, and leaves nothing.
#[test]
fn changed_bytes_harm_neither_end() {
    let k = Kernel::boot_all();
    newbus::set_fail_on_disconnection(true);
    let t = Target::new(Style::default(), 1);
    for seed in 0..30u64 {
        let rng = Mutex::new(Rng::new(seed));
        let count = AtomicU64::new(0);
        // Handshakes are left alone: there userland is at work.
        let at = 12 + seed;
        let middle = Middle::meddler(t.daemon.addr, move |_, _, mut bytes| {
            if count.fetch_add(1, Ordering::Relaxed) == at
                && let Ok(mut rng) = rng.lock()
            {
                let header = bytes.len().min(80) as u64;
                let i = rng.below(header) as usize;
                // PLEN would make this relay wait for bytes that never come.
                if !(4..8).contains(&i) {
                    bytes[i] ^= 1 + rng.below(255) as u8;
                }
            }
            bytes
        })
        .expect("loopback");
        let o = Options {
            loss_timeout: 60,
            ..Options::default()
        };
        if let Ok(dev) = system::connect(middle.addr, &o)
            && let Some(disk) = hosted::cam::wait_disk(&dev, 1, Duration::from_millis(500))
        {
            std::thread::scope(|s| {
                // A command whose response is lost waits for its time-out:
                // disconnecting ends it.
                for i in 0..4u64 {
                    let disk = disk.clone();
                    s.spawn(move || {
                        for n in 0..6 {
                            let r = if n % 2 == 0 {
                                disk.write(i * 100, vec![n; 20_480])
                            } else {
                                disk.read(i * 100, 20_480).map(|_| ())
                            };
                            if r.is_err() {
                                break;
                            }
                        }
                    });
                }
                let end = Instant::now() + Duration::from_millis(60);
                while disk.pending().0 != 0 && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let start = Instant::now();
                let _ = system::disconnect_all();
                assert!(start.elapsed() < Duration::from_secs(6), "seed {seed}");
            });
        }
        let _ = system::disconnect_all();
        drop(middle);
    }
    newbus::set_fail_on_disconnection(false);
    t.end();
    k.shutdown();
}

/// Changes the `n`-th data PDU to the host that `pick` likes, in its data.
fn edit_identify(cns: u8, edit: impl Fn(&mut [u8]) + Send + Sync + 'static, t: &Target) -> Middle {
    let wanted = Mutex::new(Vec::new());
    Middle::meddler(t.daemon.addr, move |raw, down, mut bytes| {
        let Ok(mut wanted) = wanted.lock() else {
            return bytes;
        };
        if down && raw.kind() == kind::CMD && raw.header[8] == 0x06 && raw.header[48] == cns {
            wanted.push(raw.u16(10));
        }
        let data = !down && raw.kind() == kind::C2H_DATA && raw.data.len() == 4096;
        if data && let Some(i) = wanted.iter().position(|c| *c == raw.u16(8)) {
            wanted.remove(i);
            let n = bytes.len();
            edit(&mut bytes[n - 4096..]);
        }
        bytes
    })
    .expect("loopback")
}

#[test]
fn bad_namespaces_are_not_believed() {
    type Edit = fn(&mut [u8]);
    let edits: [(&str, Edit); 9] = [
        ("LBADS 0", |p| p[130] = 0),
        ("LBADS 8", |p| p[130] = 8),
        ("LBADS 31", |p| p[130] = 31),
        ("LBADS 63", |p| p[130] = 63),
        ("LBADS 255", |p| p[130] = 255),
        ("a format that is not there", |p| p[26] = 0x0f),
        ("2^64 - 1 blocks", |p| p[..8].fill(255)),
        ("metadata", |p| p[128] = 8),
        ("all ones", |p| p.fill(255)),
    ];
    for (name, edit) in edits {
        let k = Kernel::boot_all();
        let t = Target::new(Style::default(), 1);
        let m = edit_identify(0, edit, &t);
        let dev = system::connect(m.addr, &Options::default()).expect(name);
        let nodes = cdev::names();
        assert!(
            !nodes.iter().any(|n| n.starts_with(&format!("{dev}n"))),
            "{name}: {nodes:?}"
        );
        system::disconnect_all().expect("disconnected");
        drop(m);
        t.end();
        k.shutdown();
    }
}

#[test]
fn bad_namespace_lists_end_the_attachment() {
    fn put(p: &mut [u8], ids: &[u32]) {
        for (w, id) in p.chunks_mut(4).zip(ids) {
            w.copy_from_slice(&id.to_le_bytes());
        }
    }
    type Edit = fn(&mut [u8]);
    let edits: [(&str, Edit); 5] = [
        ("repeated", |p| put(p, &[1, 1])),
        ("unsorted", |p| put(p, &[2, 1])),
        ("beyond NN", |p| put(p, &[1, 0xffff_fff0])),
        ("the broadcast value", |p| put(p, &[0xffff_ffff])),
        ("full and without end", |p| {
            for (i, w) in p.chunks_mut(4).enumerate() {
                w.copy_from_slice(&(0xffff_0000 + i as u32).to_le_bytes());
            }
        }),
    ];
    for (name, edit) in edits {
        let k = Kernel::boot_all();
        let t = Target::new(Style::default(), 1);
        let m = edit_identify(2, edit, &t);
        let r = system::connect(m.addr, &Options::default());
        assert!(matches!(r, Err(Error::Kernel(_))), "{name}: {r:?}");
        assert!(newbus::devices().is_empty(), "{name}");
        drop(m);
        t.end();
        k.shutdown();
    }
}

#[test]
fn responses_that_come_twice_or_for_nobody_end_the_association() {
    for twice in [true, false] {
        let k = Kernel::boot_all();
        newbus::take_reconnects();
        newbus::set_fail_on_disconnection(true);
        let t = Target::new(Style::default(), 1);
        let armed = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let flag = armed.clone();
        let m = Middle::meddler(t.daemon.addr, move |raw, down, bytes| {
            if !down && raw.kind() == kind::RESP && flag.swap(false, Ordering::AcqRel) {
                if twice {
                    return [bytes.clone(), bytes].concat();
                }
                let mut stray = bytes.clone();
                stray[20..22].fill(255);
                return [bytes, stray].concat();
            }
            bytes
        })
        .expect("loopback");
        let dev = system::connect(m.addr, &Options::default()).expect("connected");
        let disk = system::disk(&dev, 1).expect("a disk");
        armed.store(true, Ordering::Release);
        // A write: its response is a capsule.
        let _ = disk.write(0, vec![1; 512]);
        let end = Instant::now() + Duration::from_secs(5);
        while !newbus::take_reconnects().contains(&dev) {
            assert!(Instant::now() < end, "the association lives on");
            std::thread::sleep(Duration::from_millis(5));
        }
        system::disconnect_all().expect("disconnected");
        drop(m);
        t.end();
        newbus::set_fail_on_disconnection(false);
        k.shutdown();
    }
}
