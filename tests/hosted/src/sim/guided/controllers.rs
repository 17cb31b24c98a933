// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every event in every state of a controller.

use std::time::Duration;

use super::{complete, in_background, meets, stop_thread_at};
use crate::context;
use crate::object::{self, Kind};
use crate::os::{self, Instant, wait_for};
use crate::sim::brake::Brake;
use crate::sim::net;
use crate::sim::tables::{self, Of};
use crate::sim::target::addr;
use crate::sim::visitors::{CC, SIZES};
use crate::system;
use crate::userland::{Options, Queue};

const ENABLE: u64 = SIZES | 1;
const SHUT_DOWN: u64 = SIZES | 1 << 14;
/// The threads that take controllers down.
const TEARDOWN: &str = "nvmft teardown";
/// How long a controller waits to be enabled.
const GRACE: Duration = Duration::from_secs(120);

const STATES: [&str; 7] = [
    "Disabled",
    "Enabled",
    "Resetting",
    "ShuttingDown",
    "ShutDown",
    "Failed",
    "Terminated",
];

/// A controller, and what keeps it in its state.
struct Held {
    host: Queue,
    state: &'static str,
    _brake: Option<Brake>,
}

fn connect(o: &Options) -> Queue {
    Queue::connect(addr(), o, 0, 0xffff).expect("an admin queue")
}

/// Leads a controller that is disabled to a state, where it stays.
fn lead(mut host: Queue, state: &'static str) -> Held {
    let before = tables::entered(Of::Controller, state);
    let ended = tables::met(Of::Controller, "ShuttingDown", "TornDown");
    if ["Enabled", "Resetting"].contains(&state) {
        host.write_property(CC, ENABLE, true);
    }
    let brake = match state {
        "Resetting" | "ShuttingDown" | "Failed" => Some(Brake::threads(TEARDOWN)),
        "Terminated" => Some(stop_thread_at(TEARDOWN, Of::Controller, state)),
        _ => None,
    };
    match state {
        "Resetting" => host.write_property(CC, SIZES, true),
        "ShuttingDown" | "ShutDown" => host.write_property(CC, SHUT_DOWN, true),
        "Failed" | "Terminated" => drop(system::terminate_all()),
        _ => {}
    }
    if state == "ShutDown" {
        wait_for("a shutdown", || {
            tables::met(Of::Controller, "ShuttingDown", "TornDown") > ended
        });
    }
    if state == "Terminated" {
        assert!(brake.as_ref().is_some_and(Brake::wait), "no teardown ends");
    }
    if state != "Disabled" {
        assert!(tables::entered(Of::Controller, state) > before, "{state}");
    }
    Held {
        host,
        state,
        _brake: brake,
    }
}

/// The host writes CC.
fn write(held: &mut Held, event: &str, value: u64) {
    meets(Of::Controller, held.state, event, || {
        held.host.write_property(CC, value, false);
    });
}

/// All associations end.
fn end_all() {
    let _ = system::terminate_all();
    wait_for("associations to end", || system::terminate_all() == 0);
}

fn writes(o: &Options, state: &'static str) {
    let mut held = lead(connect(o), state);
    let enabled = state == "Enabled";
    write(&mut held, "CC same", if enabled { ENABLE } else { SIZES });
    match state {
        "Enabled" => {
            let mut other = lead(connect(o), state);
            meets(Of::Controller, "Resetting", "TornDown", || {
                write(&mut other, "CC.EN=0", SIZES);
            });
            write(&mut held, "CC.SHN", SHUT_DOWN | 1);
        }
        "ShuttingDown" => write(&mut held, "CC.EN=1", ENABLE),
        "Disabled" | "ShutDown" => {
            let mut other = lead(connect(o), state);
            write(&mut other, "CC.EN=1", ENABLE);
            write(&mut held, "CC.SHN", SHUT_DOWN);
        }
        _ => {
            write(&mut held, "CC.EN=1", ENABLE);
            write(&mut held, "CC.SHN", SHUT_DOWN);
        }
    }
}

fn ends(o: &Options, state: &'static str) {
    let held = lead(connect(o), state);
    meets(Of::Controller, state, "Fatal", system::terminate_all);
    drop(held);
    end_all();
    let held = lead(connect(o), state);
    meets(Of::Controller, state, "AdminClosed", net::reset_all);
    drop(held);
    end_all();
}

/// The time to be enabled is over while it is stopped, or is over.
fn grace(o: &Options, state: &'static str) {
    if ["Disabled", "ShutDown"].contains(&state) {
        let _held = lead(connect(o), state);
        let before = tables::met(Of::Controller, state, "GraceExpired");
        os::sleep(GRACE);
        wait_for("the end of grace", || {
            tables::met(Of::Controller, state, "GraceExpired") > before
        });
        return;
    }
    let end = Instant::now() + GRACE;
    let host = connect(o);
    let handler = move || Instant::now() >= end && !context::can_sleep();
    let late = Brake::once("softclock", handler);
    os::sleep(GRACE);
    assert!(late.wait(), "no timer");
    let _held = lead(host, state);
    meets(Of::Controller, state, "GraceExpired", || drop(late));
}

/// The host is gone before its queue has a controller.
fn gone_before(o: &Options) {
    let timers = object::live(Kind::Callout);
    let made = move || object::live(Kind::Callout) > timers;
    let handoff = Brake::once("nvmfd handoff", made);
    let options = o.clone();
    let host = in_background(move || drop(Queue::connect(addr(), &options, 0, 0xffff)));
    assert!(handoff.wait(), "no controller is made");
    net::reset_all();
    os::sleep(Duration::from_secs(1));
    drop(handoff);
    let _ = host.join();
    // The handoff ends meanwhile.
    os::sleep(Duration::from_secs(1));
    wait_for("a controller that nobody has", || {
        !system::associations().contains(&o.hostnqn)
    });
}

/// All of them.
pub fn tour(o: &Options) {
    let o = Options {
        kato: 0,
        ..o.clone()
    };
    let _ = system::disconnect_all();
    end_all();
    for state in STATES {
        writes(&o, state);
        end_all();
        ends(&o, state);
        grace(&o, state);
        end_all();
    }
    gone_before(&o);
    complete(Of::Controller);
}
