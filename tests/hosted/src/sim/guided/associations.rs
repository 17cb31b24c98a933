// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every event in every state of a host's association.

use sys::ffi::NVRS_IOC_RECONNECT_HOST;

use super::{complete, in_background, meets, stop_at, stop_thread_at};
use crate::os::{JoinHandle, wait_for};
use crate::sim::brake::Brake;
use crate::sim::net;
use crate::sim::tables::{self, Of::Association as Host};
use crate::sim::target::addr;
use crate::sim::visitors::pause_us;
use crate::userland::{Association, Options};
use crate::{cdev, newbus, system};

/// The thread that carries what is sent.
const WIRE: &str = "wire";
/// The thread that gives lost controllers up.
const LOSSES: &str = "nvmf loss";

/// One device, whose association stands.
pub(super) fn connected(o: &Options) {
    let _ = system::disconnect_all();
    // Somebody else may be at it.
    wait_for("devices to go", || newbus::devices().is_empty());
    system::connect(addr(), o).expect("a connection");
}

/// One without an association.
pub(super) fn disconnected(o: &Options) {
    connected(o);
    meets(Host, "Disconnecting", "TornDown", net::reset_all);
}

fn detach() -> JoinHandle<()> {
    in_background(|| {
        let _ = system::disconnect_all();
    })
}

/// New queues, ready to be handed over.
pub(super) fn queues(o: &Options) -> Association {
    Association::connect(addr(), o).expect("an association")
}

/// Hands queues over, whatever has become of them.
pub(super) fn hand_over(a: &Association) {
    for (name, _) in newbus::devices() {
        let _ = cdev::ioctl_list(&name, NVRS_IOC_RECONNECT_HOST.into(), &a.packed());
    }
}

fn reconnect(a: Association) -> JoinHandle<()> {
    in_background(move || hand_over(&a))
}

/// All connections break, but nobody hears of it before the brake is let go.
fn break_all(wire: Brake) {
    net::reset_all();
    pause_us(100_000);
    drop(wire);
}

/// While the controller does not answer.
fn while_attaching(o: &Options) {
    let attach = || {
        let _ = system::disconnect_all();
        let wire = Brake::once(WIRE, newbus::has_devices);
        let o = o.clone();
        let maker = in_background(move || drop(system::connect(addr(), &o)));
        assert!(wire.wait(), "nothing is sent");
        pause_us(1_000);
        (maker, wire)
    };
    let (maker, wire) = attach();
    meets(Host, "Attaching", "SetupFailed", || {
        meets(Host, "Attaching", "Failure", || break_all(wire))
    });
    let _ = maker.join();

    let (maker, wire) = attach();
    let end = meets(Host, "Detaching", "SetupFailed", || {
        meets(Host, "Attaching", "Detach", detach)
    });
    drop(wire);
    let _ = (maker.join(), end.join());

    // The detach comes after the last step.
    let _ = system::disconnect_all();
    let last = Brake::once("tour", newbus::awaits_shutdown);
    let options = o.clone();
    let maker = in_background(move || drop(system::connect(addr(), &options)));
    assert!(last.wait(), "no device attaches");
    let end = meets(Host, "Attaching", "Detach", detach);
    meets(Host, "Detaching", "SetupDone", || drop(last));
    let _ = (maker.join(), end.join());
}

fn while_connected(o: &Options) {
    meets(Host, "Attaching", "SetupDone", || connected(o));
    let spare = queues(o);
    meets(Host, "Connected", "Reconnect", || hand_over(&spare));
    meets(Host, "Connected", "Detach", system::disconnect_all).expect("a device that goes");

    // The controller is given up in the moment in which it is back.
    disconnected(o);
    let late = Brake::threads(LOSSES);
    pause_us(1_000_000 * o.loss_timeout);
    assert!(late.wait(), "no loss");
    let spare = queues(o);
    meets(Host, "Reconnecting", "SetupDone", || hand_over(&spare));
    meets(Host, "Connected", "LossTimer", || drop(late));
}

/// Nothing is asked of the association for a while.
fn while_idle(o: &Options) {
    let o = Options {
        kato: 1_000,
        ..o.clone()
    };
    connected(&o);
    let before = tables::met(Host, "Connected", "Failure");
    pause_us(10_000_000);
    let after = tables::met(Host, "Connected", "Failure");
    assert_eq!(before, after, "both are there");
}

fn while_disconnecting(o: &Options) {
    let disconnect = || {
        connected(o);
        let spare = queues(o);
        let stop = stop_at(Host, "Disconnecting");
        meets(Host, "Connected", "Failure", net::reset_all);
        assert!(stop.wait(), "nobody notices");
        (stop, spare)
    };
    let (stop, spare) = disconnect();
    meets(Host, "Disconnecting", "Reconnect", || hand_over(&spare));
    meets(Host, "Disconnecting", "TornDown", || drop(stop));

    let (stop, _spare) = disconnect();
    let end = meets(Host, "Disconnecting", "Detach", detach);
    meets(Host, "Detaching", "TornDown", || drop(stop));
    let _ = end.join();

    // Each connection ends; and the loss is one of the association before.
    disconnected(o);
    let late = Brake::threads(LOSSES);
    pause_us(1_000_000 * o.loss_timeout);
    assert!(late.wait(), "no loss");
    hand_over(&queues(o));
    let stop = stop_at(Host, "Disconnecting");
    meets(Host, "Disconnecting", "Failure", net::reset_all);
    assert!(stop.wait(), "nobody notices");
    meets(Host, "Disconnecting", "LossTimer", || drop(late));
}

/// The timer of a loss has expired, but who is to give the controller up only
/// comes to it after that association is back, and lost once more.
fn after_the_next_loss(o: &Options) {
    disconnected(o);
    let late = Brake::threads(LOSSES);
    pause_us(1_000_000 * o.loss_timeout);
    assert!(late.wait(), "no loss");
    hand_over(&queues(o));
    meets(Host, "Disconnecting", "TornDown", net::reset_all);
    meets(Host, "Disconnected", "LossTimer", || drop(late));
    pause_us(500_000 * o.loss_timeout);
    assert!(newbus::has_devices(), "a new loss has all its time");
}

fn while_disconnected(o: &Options) {
    after_the_next_loss(o);
    disconnected(o);
    meets(Host, "Disconnected", "LossTimer", || {
        pause_us(1_000_000 * o.loss_timeout);
    });
    disconnected(o);
    meets(Host, "Disconnected", "Detach", system::disconnect_all).expect("a device that goes");
    disconnected(o);
    let spare = queues(o);
    meets(Host, "Disconnected", "Reconnect", || hand_over(&spare));
}

fn while_reconnecting(o: &Options) {
    let begin = || {
        disconnected(o);
        let stop = stop_at(Host, "Reconnecting");
        let again = reconnect(queues(o));
        assert!(stop.wait(), "no reconnect begins");
        (stop, again)
    };
    let (stop, again) = begin();
    let spare = queues(o);
    meets(Host, "Reconnecting", "Reconnect", || hand_over(&spare));
    meets(Host, "Reconnecting", "LossTimer", || {
        pause_us(1_000_000 * o.loss_timeout);
    });
    drop(stop);
    let _ = again.join();

    let (stop, again) = begin();
    let end = meets(Host, "Reconnecting", "Detach", detach);
    drop(stop);
    let _ = (again.join(), end.join());

    disconnected(o);
    let spare = queues(o);
    let wire = stop_thread_at(WIRE, Host, "Reconnecting");
    let again = reconnect(spare);
    assert!(wire.wait(), "nothing is sent");
    meets(Host, "Reconnecting", "SetupFailed", || {
        meets(Host, "Reconnecting", "Failure", || break_all(wire))
    });
    let _ = again.join();
}

fn while_detaching(o: &Options) {
    connected(o);
    let spare = queues(o);
    let stop = stop_at(Host, "Detaching");
    let end = detach();
    assert!(stop.wait(), "no detach begins");
    meets(Host, "Detaching", "Reconnect", || hand_over(&spare));
    meets(Host, "Detaching", "Failure", net::reset_all);
    drop(stop);
    let _ = end.join();

    disconnected(o);
    let stop = stop_at(Host, "Detaching");
    let end = detach();
    assert!(stop.wait(), "no detach begins");
    meets(Host, "Detaching", "LossTimer", || {
        pause_us(1_000_000 * o.loss_timeout);
    });
    drop(stop);
    let _ = end.join();
}

/// All of them.
pub fn tour(o: &Options) {
    let o = Options {
        loss_timeout: 1,
        // Several connections.
        queues: 2,
        ..o.clone()
    };
    while_attaching(&o);
    while_connected(&o);
    while_idle(&o);
    while_disconnecting(&o);
    while_disconnected(&o);
    while_reconnecting(&o);
    while_detaching(&o);
    let _ = system::disconnect_all();
    complete(Host);
}
