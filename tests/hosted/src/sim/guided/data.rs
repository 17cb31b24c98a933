// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Data that is on its way when its command is given up.

use super::associations::connected;
use super::in_background;
use crate::ctl::BLOCK;
use crate::os::{self, wait_for};
use crate::sim::brake::Brake;
use crate::sim::net::{self, Weather};
use crate::sim::visitors::pause_us;
use crate::userland::Options;
use crate::{newbus, system};

/// The owner of a write has its buffer back when the network has let go of it,
/// and not before, though the connection is long gone.
pub fn tour(o: &Options) {
    let usual = net::weather();
    net::set_weather(Weather {
        loopback: true,
        ..usual
    });
    connected(o);
    let (name, _) = newbus::devices().pop().expect("a device");
    let disk = system::disk(&name, 1).expect("a disk");
    let wire = Brake::threads("wire");
    let write = os::spawn("tour", move || disk.write(0, vec![7; 8 * BLOCK])).expect("a thread");
    pause_us(10_000);
    let end = in_background(|| {
        let _ = system::disconnect_all();
    });
    pause_us(10_000_000);
    assert!(!write.is_finished(), "its buffer is on its way");
    drop(wire);
    wait_for("a write that was given up", || write.is_finished());
    let _ = (write.join(), end.join());
    net::set_weather(usual);
}
