// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the host does about commands that a controller does not answer.

mod common;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use common::Target;
use hosted::ctl::Style;
use hosted::middle::Middle;
use hosted::pdu::kind;
use hosted::userland::Options;
use hosted::{Kernel, cam, console, newbus, system};
use sys::ffi::NVRS_CCB_NVME_ERROR;

const TIMEOUT_MS: u32 = 300;
const READ: u8 = 2;
const WRITE: u8 = 1;
const ABORT: u8 = 8;

/// How a controller takes Aborts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Manners {
    /// It aborts the command.
    Obeys,
    /// It does not answer.
    Ignores,
}

#[derive(Default)]
struct Seen {
    /// Commands that never reach the controller.
    swallowed: Vec<u16>,
    /// SQID and CID of each Abort, with its own CID.
    aborts: Vec<(u16, u16, u16)>,
    /// A command on the same queue as those, in whose wake their responses come.
    carrier: Option<u16>,
}

/// Reads get lost on the way to the controller, and Aborts fare as `manners` says.
fn lossy(t: &Target, manners: Manners) -> (Middle, Arc<Mutex<Seen>>) {
    let seen = Arc::new(Mutex::new(Seen::default()));
    let shared = seen.clone();
    let middle = Middle::meddler(t.daemon.addr, move |raw, down, mut bytes| {
        let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if down && raw.kind() == kind::CMD {
            let cid = raw.u16(10);
            match raw.header[8] {
                // Others are those of a new disk's taste.
                READ if raw.header[48] == 9 => {
                    seen.swallowed.push(cid);
                    bytes.clear();
                }
                WRITE => seen.carrier = Some(cid),
                ABORT => seen.aborts.push((raw.u16(48), raw.u16(50), cid)),
                _ => {}
            }
        }
        if !down && raw.kind() == kind::RESP {
            let cid = raw.u16(20);
            // Nothing else has a result of one.
            if raw.u16(8) == 1 && seen.aborts.iter().any(|a| a.2 == cid) {
                match manners {
                    Manners::Obeys => bytes[8] = 0,
                    Manners::Ignores => bytes.clear(),
                }
            } else if seen.carrier == Some(cid) {
                seen.carrier = None;
                let aborted = bytes.clone();
                for lost in std::mem::take(&mut seen.swallowed) {
                    let at = bytes.len();
                    bytes.extend(&aborted);
                    bytes[at + 20..at + 22].copy_from_slice(&lost.to_le_bytes());
                    bytes[at + 22..at + 24].copy_from_slice(&(0x07u16 << 1).to_le_bytes());
                }
            }
        }
        bytes
    });
    (middle.expect("loopback"), seen)
}

fn look<R>(seen: &Mutex<Seen>, f: impl FnOnce(&Seen) -> R) -> R {
    f(&seen.lock().unwrap_or_else(PoisonError::into_inner))
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !done() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn an_overdue_command_is_aborted_and_the_association_stays() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    let t = Target::new(Style::default(), 1);
    let (middle, seen) = lossy(&t, Manners::Obeys);
    let o = Options {
        queues: 1,
        ..Options::default()
    };
    let dev = system::connect(middle.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    cam::set_timeout(TIMEOUT_MS);
    let start = Instant::now();
    std::thread::scope(|s| {
        let reader = s.spawn(|| disk.read(9, 512));
        wait_until("no Abort came", || look(&seen, |s| !s.aborts.is_empty()));
        let (sqid, cid, _) = look(&seen, |s| s.aborts[0]);
        assert_eq!((sqid, cid), (1, look(&seen, |s| s.swallowed[0])));
        disk.write(100, vec![1; 512]).expect("written");
        let e = reader.join().expect("no panic").expect_err("aborted");
        assert_eq!(e.outcome, NVRS_CCB_NVME_ERROR);
        assert_eq!(u16::from(e.cqe[14]) >> 1, 0x07, "Command Abort Requested");
    });
    assert!(start.elapsed() >= Duration::from_millis(TIMEOUT_MS.into()));
    disk.read(100, 512).expect("the association is as it was");
    assert_eq!(look(&seen, |s| s.aborts.len()), 1);
    assert!(newbus::take_reconnects().is_empty());
    cam::set_timeout(30_000);
    system::disconnect_all().expect("disconnected");
    drop(middle);
    t.end();
    k.shutdown();
}

#[test]
fn a_controller_that_ignores_aborts_loses_the_association() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    newbus::set_fail_on_disconnection(true);
    let t = Target::new(Style::default(), 1);
    let (middle, seen) = lossy(&t, Manners::Ignores);
    let dev = system::connect(middle.addr, &Options::default()).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    console::take();
    cam::set_timeout(TIMEOUT_MS);
    let start = Instant::now();
    std::thread::scope(|s| {
        for _ in 0..8 {
            s.spawn(|| disk.read(9, 512).expect_err("lost"));
        }
        wait_until("the association lives on", || {
            newbus::take_reconnects().contains(&dev)
        });
    });
    let took = start.elapsed();
    assert!(took > Duration::from_millis(5_000), "{took:?}");
    assert!(took < Duration::from_millis(9_000), "{took:?}");
    // ACL is three.
    assert_eq!(look(&seen, |s| s.aborts.len()), 4);
    let said = console::take();
    let says = |text: &str| said.iter().any(|line| line.contains(text));
    assert!(says("timed out, aborting it"), "{said:?}");
    assert!(says("timed out on I/O queue"), "{said:?}");
    cam::set_timeout(30_000);
    newbus::set_fail_on_disconnection(false);
    system::disconnect_all().expect("disconnected");
    drop(middle);
    t.end();
    k.shutdown();
}
