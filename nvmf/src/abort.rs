// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Commands that take too long: Aborts for them, and the end of the association; see [`crate::proto::timeout`].
#![forbid(unsafe_code)]

use crate::link::Link;
use crate::proto::slots::Class;
use crate::proto::timeout::{Deadline, GRACE_MS, Patience, Verdict};
use crate::qpair::{Command, HostQpair, Refused, Request};
use core::sync::atomic::{AtomicU32, Ordering};
use sys::log::RateLimit;
use sys::mem::KArc;
use sys::wire::Sqe;

static NOISE: RateLimit = RateLimit::new(4);

/// The command that an Abort names.
pub struct Target {
    queue: KArc<HostQpair>,
    cid: u16,
}

/// The Aborts that an admin queue carries.
#[derive(Default)]
pub struct Aborts(AtomicU32);

impl Aborts {
    /// An Abort has ended. Whether the controller did abort the command shows in the command's own end, or in that it
    /// does not come.
    pub fn ended(&self, target: Target) {
        self.0.fetch_sub(1, Ordering::Relaxed);
        HostQpair::abort_ended(&target.queue, target.cid);
    }

    fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What [`Link::look_at_deadlines`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing out of the ordinary.
    InTime,
    /// Commands are being aborted.
    Aborting,
    /// The association was given up.
    GivenUp,
}

impl Link {
    /// Deals with the commands that are overdue. Not from a data callback.
    pub fn look_at_deadlines(&self, now: u64) -> Found {
        let aborts = &self.admin().aborts;
        let most = u32::from(self.features().acl) + 1;
        for qp in self.io().iter().chain(core::iter::once(self.admin())) {
            while let Some((cid, verdict)) = qp.look(now, aborts.count() < most) {
                match verdict {
                    Verdict::Abort => self.abort(qp, cid, now),
                    Verdict::GiveUp => {
                        qp.overdue();
                        return Found::GivenUp;
                    }
                    Verdict::Wait => break,
                }
            }
        }
        match aborts.count() {
            0 => Found::InTime,
            _ => Found::Aborting,
        }
    }

    fn abort(&self, queue: &KArc<HostQpair>, cid: u16, now: u64) {
        if NOISE.allow() {
            let name = queue.name();
            self.controller().say(format_args!(
                "command {cid} on {name} timed out, aborting it"
            ));
        }
        let admin = self.admin();
        admin.aborts.0.fetch_add(1, Ordering::Relaxed);
        let target = Target {
            queue: queue.clone(),
            cid,
        };
        let refused = HostQpair::submit(
            admin,
            Command {
                sqe: Sqe::abort(queue.id(), cid),
                data: None,
                request: Request::Abort(target),
                class: Class::Normal,
                patience: Patience::AtMost(Deadline::after(now, GRACE_MS)),
            },
        );
        let request = match refused {
            Ok(()) => return,
            Err(Refused::Down(cmd) | Refused::Full(cmd)) => cmd.request,
            Err(Refused::NoMemory(request)) => request,
        };
        // As if the controller had not heard it.
        if let Request::Abort(target) = request {
            admin.aborts.ended(target);
        }
    }
}
