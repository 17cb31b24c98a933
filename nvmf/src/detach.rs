// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The end of a device, and of the system.
#![forbid(unsafe_code)]

use crate::assoc::hold_requests;
use crate::controller::Controller;
use crate::link::Link;
use crate::proto::assoc::{Action, Event};
use crate::proto::timeout::SHUTDOWN;
use sys::mem::KArc;
use sys::newbus::ShutdownHandler;
use sys::sync::Gate;
use sys::time::{pause_ms, uptime_ms};
use sys::{CanSleep, Errno, Result};

const POLL_MS: u32 = 5;

/// Gives outstanding I/O a chance to end in order; false if it did not.
fn drain_io(link: &Link, sleep: CanSleep<'_>) -> bool {
    let end = uptime_ms().saturating_add(u64::from(SHUTDOWN.ms));
    while link.io().iter().any(|qp| !qp.is_quiet()) {
        if uptime_ms() >= end {
            return false;
        }
        pause_ms(POLL_MS, sleep);
    }
    true
}

/// Ends the device, whatever its state and the peer's: every wait for the peer is bounded.
pub fn detach(ctrl: &KArc<Controller>, sleep: CanSleep<'_>) -> Result<()> {
    let action = {
        let (action, link) =
            ctrl.with_conn(|conn| (conn.machine.handle(Event::Detach), conn.link.clone()));
        if action == Action::Unstick
            && let Some(link) = link
        {
            link.admin().abandon_waiters(true);
        }
        action
    };
    if action == Action::Busy {
        return Err(Errno::EBUSY);
    }
    ctrl.wait_until_unowned(sleep);
    let was_connected = action == Action::Proceed;

    // Threads in ioctls leave first, and no new ones come.
    if let Some(link) = ctrl.link() {
        abandon_all(&link);
    }
    let node = ctrl.node.lock().take();
    if let Some(node) = node {
        node.destroy(sleep);
    }
    let events = ctrl.shutdown.lock().take();
    if let Some(events) = events {
        events.deregister(sleep);
    }
    ctrl.stop_timers(sleep);
    ctrl.stop_recovery(sleep);
    ctrl.events_task.drain(ctrl.host().events_queue(), sleep);
    ctrl.rescan_task.drain(ctrl.host().events_queue(), sleep);

    ctrl.set_closing();
    if let Some(sim) = ctrl.sim.get().and_then(Gate::enter) {
        sim.lost(sleep);
    }
    for ns in ctrl.namespace_list(sleep).iter() {
        ns.close();
    }
    ctrl.io_queues.close();
    // CAM's commands fail from now on, also those that it kept.
    ctrl.release();

    if let Some(link) = ctrl.link() {
        if was_connected {
            drain_io(&link, sleep);
            link.shut_down_controller(sleep);
        }
        Link::shut_down(&link, sleep);
    }
    destroy_namespaces(ctrl, sleep);
    if let Some(sim) = ctrl.sim.get().and_then(|gate| gate.close(sleep)) {
        sim.destroy(sleep);
    }
    Ok(())
}

/// Ends the waiting of all passthrough commands.
fn abandon_all(link: &Link) {
    link.admin().abandon_waiters(false);
    for qp in link.io() {
        qp.abandon_waiters(false);
    }
}

fn destroy_namespaces(ctrl: &Controller, sleep: CanSleep<'_>) {
    let _scan = ctrl.scan.write(sleep);
    loop {
        let last = ctrl.namespaces.lock().list.pop();
        match last {
            Some(ns) => ns.destroy(sleep),
            None => return,
        }
    }
}

impl ShutdownHandler for Controller {
    /// Without an association nothing that is held would ever end: fail it, so that file systems can be unmounted.
    fn pre_sync(this: &KArc<Self>, sleep: CanSleep<'_>) {
        if this.is_connected() {
            return;
        }
        this.set_closing();
        for ns in this.namespace_list(sleep).iter() {
            ns.close();
        }
        this.release();
    }

    /// An orderly end of the association; whatever comes later fails.
    fn post_sync(this: &KArc<Self>, sleep: CanSleep<'_>) {
        let link = this.with_conn(|conn| match conn.machine.handle(Event::Failure) {
            Action::TearDown => conn.link.clone(),
            _ => None,
        });
        let Some(link) = link else { return };
        this.stop_timers(sleep);
        this.set_closing();
        drain_io(&link, sleep);
        link.shut_down_controller(sleep);
        hold_requests(this, sleep);
        for ns in this.namespace_list(sleep).iter() {
            ns.close();
        }
        Link::shut_down(&link, sleep);
        this.release();
        this.transition(Event::TornDown);
    }
}
