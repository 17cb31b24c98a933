// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Disks that CAM gives up in the moment in which the association is back.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::associations::{connected, hand_over, queues};
use super::meets;
use crate::ctl::BLOCK;
use crate::os::{self, wait_for};
use crate::sim::brake::Brake;
use crate::sim::net;
use crate::sim::tables::Of::Association as Host;
use crate::userland::Options;
use crate::{newbus, system};

/// The thread that reads.
const READER: &str = "reader";

/// A read finds no association, and is told so when there is one: it stops at
/// one of the points on its way. False if it comes to none any more.
fn told_late(o: &Options, point: usize) -> bool {
    connected(o);
    let (name, _) = newbus::devices().pop().expect("a device");
    let disk = system::disk(&name, 1).expect("a disk");
    meets(Host, "Disconnecting", "TornDown", net::reset_all);
    let left = AtomicUsize::new(point);
    let stop = Brake::once(READER, move || left.fetch_sub(1, Ordering::Relaxed) == 0);
    let reader = os::spawn(READER, move || disk.read(0, BLOCK)).expect("a thread");
    let stops = stop.wait();
    meets(Host, "Reconnecting", "SetupDone", || hand_over(&queues(o)));
    os::sleep(Duration::from_secs(1));
    drop(stop);
    wait_for("a read", || reader.is_finished());
    let _ = reader.join();
    os::sleep(Duration::from_secs(1));
    assert!(
        system::disk(&name, 1).is_some(),
        "nobody looks for the disk"
    );
    stops
}

/// At each of them.
pub fn tour(o: &Options) {
    newbus::set_fail_on_disconnection(true);
    let o = &Options {
        loss_timeout: 600,
        ..o.clone()
    };
    let points = (0..).take_while(|&n| told_late(o, n)).count();
    assert!(points > 3, "a read comes to {points} points only");
    let _ = system::disconnect_all();
}
