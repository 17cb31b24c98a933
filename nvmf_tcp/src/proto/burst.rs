// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! When to send.
//!
//! Segments cost more than bytes, on both ends and on the wire, so what can go together should; but nothing may wait
//! that has nothing to wait for.
//!
//! * While the receive thread works through what arrived, whatever anybody sends waits for it to finish.
//! * A controller then waits for the rest of the answers to the commands that arrived together. Whoever sends the last
//!   one sends them all.
//! * A host whose controller has enough to do collects commands, up to a third of what the controller has, or until
//!   that answers something: a queue is then in about four parts, one on its way out, one back, and the rest being
//!   worked on.
//!
//! Waiting ends with the alarm ([`Burst::hold_us`]) in any case, and where it was in vain it is tried less and less
//! often.
#![forbid(unsafe_code)]

use super::params::Role;

/// How long a controller waits for the rest of its answers, in microseconds.
const ANSWER_US: u32 = 200;
/// The same for a host that waits for an answer: a tick, since setting a finer alarm costs as much as it saves, and
/// answers come.
const COLLECT_US: u32 = 1_000;
/// This many bytes are worth a call to the socket.
const HOLD_BYTES: u32 = 48 << 10;
/// Most PDUs that wait.
const HOLD_PDUS: u32 = 32;
/// A host collects this part of what its controller has.
const SHARE: u32 = 3;
/// Most commands that a host collects.
const COLLECT_MAX: u32 = 16;
/// Bursts are skipped up to this power of two after waiting in vain.
const MISSES_MAX: u32 = 10;

/// What becomes of what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent now.
    Send,
    /// It waits for somebody who will come.
    Wait,
    /// It waits, and the alarm is to be set to [`Burst::hold_us`].
    WaitWithAlarm,
}

/// What the receive thread does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It sleeps.
    Quiet,
    /// It works through what arrived.
    Working,
    /// It sleeps, and this many answers are still to come.
    Answering { owed: u32 },
}

/// What changes the phase.
#[derive(Clone, Copy, Debug)]
enum Event {
    Arrived,
    Turn,
    Ended { owed: u32 },
    Expired,
}

impl Phase {
    #[inline]
    fn next(self, event: Event) -> Self {
        match (self, event) {
            (_, Event::Arrived) => Self::Working,
            (_, Event::Ended { owed: 0 } | Event::Expired)
            | (Self::Answering { owed: 0 | 1 }, Event::Turn) => Self::Quiet,
            (_, Event::Ended { owed }) => Self::Answering { owed },
            (Self::Answering { owed }, Event::Turn) => Self::Answering {
                owed: owed.saturating_sub(1),
            },
            (Self::Quiet | Self::Working, Event::Turn) => self,
        }
    }
}

/// Decides what waits, for one connection.
#[derive(Debug)]
pub struct Burst {
    role: Role,
    /// An admin queue, where commands wait for events: nothing tells how much its controller has to do.
    admin: bool,
    phase: Phase,
    /// Turns taken since the burst began.
    taken: u32,
    /// A host's commands that were not answered yet.
    open: u32,
    /// The alarm is set.
    armed: bool,
    /// Times that waiting was in vain, in a row.
    misses: u32,
    /// Bursts during which nothing waits for what is not there yet.
    skip: u32,
}

impl Burst {
    /// Nothing was sent or received yet.
    pub const fn new(role: Role, admin: bool) -> Self {
        Self {
            role,
            admin,
            phase: Phase::Quiet,
            taken: 0,
            open: 0,
            armed: false,
            misses: 0,
            skip: 0,
        }
    }

    /// How long what waits may wait, in microseconds.
    #[inline]
    pub fn hold_us(&self) -> u32 {
        match self.role {
            Role::Host => COLLECT_US,
            Role::Controller => ANSWER_US,
        }
    }

    /// The receive thread has something to work on.
    #[inline]
    pub fn begin(&mut self) {
        self.taken = 0;
        self.phase = self.phase.next(Event::Arrived);
    }

    /// Something is queued; `turn` says that it is a command, or what ends one. With it, `pdus` of `bytes` are queued.
    #[inline]
    pub fn sent(&mut self, turn: bool, pdus: u32, bytes: u32) -> Verdict {
        if turn {
            self.taken = self.taken.saturating_add(1);
            self.open = self.open.saturating_add(1);
            self.phase = self.phase.next(Event::Turn);
        }
        if pdus >= HOLD_PDUS || bytes >= HOLD_BYTES {
            return Verdict::Send;
        }
        match self.phase {
            Phase::Working => Verdict::Wait,
            // What was sent meanwhile has stopped the alarm.
            Phase::Answering { .. } => self.alarm(),
            Phase::Quiet => self.collect(pdus),
        }
    }

    /// The receive thread has worked through `arrived` commands, or ends of commands.
    #[inline]
    pub fn end(&mut self, arrived: u32) -> Verdict {
        let owed = match self.role {
            Role::Host => {
                self.open = self.open.saturating_sub(arrived);
                0
            }
            // A single answer has nothing to go with.
            Role::Controller if arrived < 2 || self.skip != 0 || self.admin => 0,
            Role::Controller => arrived.saturating_sub(self.taken),
        };
        self.phase = self.phase.next(Event::Ended { owed });
        self.skip = self.skip.saturating_sub(1);
        match owed {
            0 => Verdict::Send,
            _ => self.alarm(),
        }
    }

    /// The alarm went off.
    #[cold]
    pub fn expired(&mut self) {
        if core::mem::take(&mut self.armed) {
            self.misses = (self.misses + 1).min(MISSES_MAX);
            self.skip = 1 << self.misses;
        }
        self.phase = self.phase.next(Event::Expired);
    }

    /// What is queued is sent. True: the alarm is to be stopped.
    #[inline]
    pub fn flushed(&mut self) -> bool {
        let armed = core::mem::take(&mut self.armed);
        if armed {
            self.misses = 0;
        }
        armed
    }

    /// A host's commands wait for more of them.
    #[inline]
    fn collect(&mut self, pdus: u32) -> Verdict {
        let enough = match self.role {
            Role::Host => (self.open.saturating_sub(pdus) / SHARE).min(COLLECT_MAX),
            Role::Controller => 0,
        };
        if pdus >= enough || self.skip != 0 || self.admin {
            Verdict::Send
        } else {
            self.alarm()
        }
    }

    #[inline]
    fn alarm(&mut self) -> Verdict {
        if core::mem::replace(&mut self.armed, true) {
            Verdict::Wait
        } else {
            Verdict::WaitWithAlarm
        }
    }
}

#[cfg(test)]
mod tests;
