// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Who waits for a slot of a queue that has only one.

use sys::Errno;
use sys::ffi::NVRS_BIO_WRITE;

use super::associations::{connected, hand_over, queues};
use super::meets;
use crate::cam::{Completion, Disk};
use crate::ctl::BLOCK;
use crate::os::{self, JoinHandle, wait_for};
use crate::sim::alloc::{self, Failing};
use crate::sim::brake::Brake;
use crate::sim::net::{self, Weather};
use crate::sim::tables::Of::Association as Host;
use crate::sim::visitors::pause_us;
use crate::userland::Options;
use crate::{cdev, newbus, system};

type ByNode = JoinHandle<Result<(), Errno>>;
type ByDisk = JoinHandle<Result<(), Completion>>;

fn disk(o: &Options) -> Disk {
    connected(o);
    let (name, _) = newbus::devices().pop().expect("a device");
    system::disk(&name, 1).expect("a disk")
}

/// A bio of a node's: CAM does not know of it.
fn bio(name: &str, disk: &Disk) -> ByNode {
    let node = disk.node();
    let write = move || {
        let data = vec![0; BLOCK];
        cdev::bio(&node, NVRS_BIO_WRITE, 0, data, BLOCK as u64).map(drop)
    };
    os::spawn(name, write).expect("a thread")
}

fn ccb(disk: &Disk) -> ByDisk {
    let disk = disk.clone();
    os::spawn("tour", move || disk.write(0, vec![0; BLOCK])).expect("a thread")
}

fn end<T>(what: &str, request: JoinHandle<T>) -> T {
    wait_for(what, || request.is_finished());
    request.join().expect("no panic")
}

/// A bio has the slot, a CCB waits for it, and nothing arrives.
fn one_waits(o: &Options) -> (Brake, ByNode, ByDisk) {
    let disk = disk(o);
    let wire = Brake::threads("wire");
    let first = bio("tour", &disk);
    pause_us(10_000);
    let second = ccb(&disk);
    pause_us(10_000);
    (wire, first, second)
}

/// The command that had it was never sent.
fn after_want_of_memory(o: &Options) {
    let disk = disk(o);
    let refused = alloc::counts().1;
    alloc::set(Failing::OneIn(1, refused + 1));
    let stop = Brake::once("first", move || alloc::counts().1 > refused);
    let first = bio("first", &disk);
    assert!(stop.wait(), "no memory is asked for");
    alloc::set(Failing::None);
    let second = bio("second", &disk);
    pause_us(10_000);
    drop(stop);
    // Where a capsule was at hand the command is only sent later.
    let first = end("a bio without memory", first);
    assert!(matches!(first, Ok(()) | Err(Errno::ENOMEM)), "{first:?}");
    assert_eq!(end("a bio that waited", second), Ok(()));
}

/// The command that had it ends where no other may be sent.
fn after_a_late_acknowledgement(o: &Options) {
    let usual = net::weather();
    net::set_weather(Weather {
        ack_us: 1_000_000,
        ..usual
    });
    let (wire, first, second) = one_waits(o);
    drop(wire);
    assert_eq!(end("a bio", first), Ok(()));
    assert!(end("a CCB that waited", second).is_ok());
    net::set_weather(usual);
}

/// The association ends.
fn after_a_loss(o: &Options) {
    let (wire, first, second) = one_waits(o);
    net::reset_all();
    pause_us(10_000);
    meets(Host, "Disconnecting", "TornDown", || drop(wire));
    let again = queues(o);
    meets(Host, "Reconnecting", "SetupDone", || hand_over(&again));
    assert_eq!(end("a bio that was held", first), Ok(()));
    assert!(end("a CCB that was held", second).is_ok());
}

/// All of them.
pub fn tour(o: &Options) {
    let o = Options {
        queues: 1,
        qsize: 2,
        kato: 0,
        ..o.clone()
    };
    after_want_of_memory(&o);
    after_a_late_acknowledgement(&o);
    after_a_loss(&o);
    let _ = system::disconnect_all();
}
