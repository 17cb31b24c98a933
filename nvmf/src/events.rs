// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Asynchronous events: requests that the controller holds, and what their completion leads to.
#![forbid(unsafe_code)]

use crate::controller::{Controller, TASK_EVENTS};
use crate::link::Link;
use crate::name::Hex;
use crate::proto::aer::{self, Changed, Event, MAX_SLOTS, Slot, SlotEvent};
use crate::proto::slots::{Class, Cqe, cqe_dw0, cqe_status};
use crate::proto::status::{is_host_abort, is_success};
use crate::proto::timeout::SYNC;
use crate::qpair::{HostQpair, Refused, Request, admin_command};
use crate::scan;
use crate::sync::execute;
use sys::bio::IoBuf;
use sys::log::RateLimit;
use sys::mem::KArc;
use sys::task::TaskHandler;
use sys::wire::sqe::GetLogPage;
use sys::wire::{NSID_ALL, Sqe};
use sys::{CanSleep, Wait};

/// The Asynchronous Event Requests of an association.
pub struct EventSlots {
    slots: [Slot; MAX_SLOTS as usize],
    count: u32,
}

impl EventSlots {
    /// `count` requests, none submitted.
    pub fn new(count: u32) -> Self {
        Self {
            slots: [Slot::Idle; MAX_SLOTS as usize],
            count: count.min(MAX_SLOTS),
        }
    }

    fn handle(&mut self, index: u32, event: SlotEvent) {
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = slot.next(event);
        }
    }

    /// Takes an event that waits to be handled.
    fn take(&mut self) -> Option<(u32, u32)> {
        let reported = |slot: &Slot| match slot {
            Slot::Reported(dw0) => Some(*dw0),
            _ => None,
        };
        let (index, dw0) = self
            .slots
            .iter()
            .enumerate()
            .find_map(|(i, slot)| reported(slot).map(|dw0| (i as u32, dw0)))?;
        self.handle(index, SlotEvent::Taken);
        Some((index, dw0))
    }
}

static NOISE: RateLimit = RateLimit::new(4);

impl Link {
    /// Submits all requests.
    pub fn arm_events(this: &KArc<Self>) {
        let count = this.events.lock().count;
        for index in 0..count {
            Self::arm_event(this, index);
        }
    }

    fn arm_event(this: &KArc<Self>, index: u32) {
        // The completion may come before submit() returns.
        this.events.lock().handle(index, SlotEvent::Submitted);
        let cmd = admin_command(
            Sqe::async_event_request(),
            Request::Event(index),
            Class::Event,
        );
        if let Err(Refused::Down(_) | Refused::Full(_) | Refused::NoMemory(_)) =
            HostQpair::submit(this.admin(), cmd)
        {
            this.events.lock().handle(index, SlotEvent::Refused);
        }
    }

    /// Reads what an event points to, and acts on it.
    fn handle_event(this: &KArc<Self>, event: Event, sleep: CanSleep<'_>) {
        let Some(page) = event.log_page(this.features().elpe) else {
            return;
        };
        if this.controller().is_detaching() {
            return;
        }
        let Ok(buf) = IoBuf::zeroed(page.len as usize, Wait::Sleep(sleep)) else {
            return;
        };
        let args = GetLogPage {
            lid: page.lid,
            lsp: 0,
            rae: false,
            numd: page.len / 4 - 1,
            lsi: 0,
            offset: 0,
            ot: false,
            csi: 0,
        };
        let sqe = Sqe::get_log_page(NSID_ALL, &args);
        let Ok(done) = execute(this.admin(), sqe, Some((buf, false)), SYNC, sleep) else {
            return;
        };
        if !is_success(done.status()) || !page.lists_namespaces() {
            return;
        }
        match aer::changed(done.bytes()) {
            Changed::All => {
                let _ = scan::rescan_all(this, sleep);
            }
            Changed::Some(list) => {
                for nsid in list {
                    if scan::rescan_one(this, nsid, sleep).is_err() {
                        break;
                    }
                }
            }
        }
    }
}

impl Controller {
    /// An Asynchronous Event Request completed. Any context.
    pub fn event_completed(this: &KArc<Self>, generation: u64, index: u32, cqe: &Cqe) {
        let Some(link) = this.link().filter(|link| link.generation() == generation) else {
            return;
        };
        let status = cqe_status(cqe);
        if !is_success(status) {
            link.events.lock().handle(index, SlotEvent::Refused);
            if !is_host_abort(status) && NOISE.allow() {
                this.say(format_args!("Ignoring error {:#x} for AER", status >> 1));
            }
            return;
        }
        let dw0 = cqe_dw0(cqe);
        let event = Event::parse(dw0);
        if NOISE.allow() {
            this.say(format_args!(
                "AER type {}, info {}, page {}",
                event.kind,
                Hex(event.info.into()),
                Hex(event.page.into())
            ));
        }
        link.events.lock().handle(index, SlotEvent::Completed(dw0));
        this.events_task
            .enqueue(this.host().events_queue(), this.clone());
    }
}

impl TaskHandler<TASK_EVENTS> for Controller {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        loop {
            let Some(link) = this.link() else { return };
            let Some((index, dw0)) = link.events.lock().take() else {
                return;
            };
            Link::handle_event(&link, Event::parse(dw0), sleep);
            // Whatever came of it: without a request no further event would be heard of.
            Link::arm_event(&link, index);
        }
    }
}
