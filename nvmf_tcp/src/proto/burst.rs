// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! When to send.
//!
//! Segments cost more than bytes, on both ends and on the wire, so what can go together should; but nothing may wait
//! that has nothing to wait for.
//!
//! * While the receive thread works through what arrived, whatever anybody sends waits for it to finish.
//! * Then more is to be expected: on a controller an answer to each command that arrived, on a host a command in place
//!   of each that ended.  What is sent waits until a share of that is there ([`super::pace`] finds the share that pays),
//!   or until there is no more to come.
//!
//! Waiting ends with the alarm ([`HOLD_US`]) in any case, and where it was in vain it is tried less and less often.
#![forbid(unsafe_code)]

use super::pace::Pace;
use super::params::Role;

/// How long something waits at most, in microseconds.
pub const HOLD_US: u32 = 500;
/// This many bytes are worth a call to the socket.
const HOLD_BYTES: u32 = 128 << 10;
/// Most PDUs that wait.
const HOLD_PDUS: u32 = 32;
/// Bursts are skipped up to this power of two after waiting in vain.
const MISSES_MAX: u32 = 10;

/// What becomes of what is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent now.
    Send,
    /// It waits for somebody who will come.
    Wait,
    /// It waits, and the alarm is to be set to [`HOLD_US`].
    WaitWithAlarm,
}

/// What the receive thread does, and what is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It sleeps, and nothing is to come.
    Quiet,
    /// It works through what arrived; this much was still to come before.
    Working { left: u32 },
    /// It sleeps; `owed` are still to come, and `enough` may go before that.
    Collecting { owed: u32, enough: u32 },
}

/// What changes the phase.
#[derive(Clone, Copy, Debug)]
enum Event {
    Arrived,
    Turn,
    Ended { owed: u32, enough: u32 },
    Expired,
}

impl Phase {
    #[inline]
    fn next(self, event: Event) -> Self {
        match (self, event) {
            (Self::Collecting { owed, .. }, Event::Arrived) => Self::Working { left: owed },
            (Self::Quiet, Event::Arrived) => Self::Working { left: 0 },
            (Self::Working { .. }, Event::Arrived | Event::Turn) | (Self::Quiet, Event::Turn) => {
                self
            }
            (_, Event::Ended { owed: 0, .. } | Event::Expired)
            | (Self::Collecting { owed: 0 | 1, .. }, Event::Turn) => Self::Quiet,
            (_, Event::Ended { owed, enough }) => Self::Collecting { owed, enough },
            (Self::Collecting { owed, enough }, Event::Turn) => Self::Collecting {
                owed: owed.saturating_sub(1),
                enough,
            },
        }
    }
}

/// Decides what waits, for one connection.
#[derive(Debug)]
pub struct Burst {
    role: Role,
    /// An admin queue, whose commands have little to do with each other.
    admin: bool,
    phase: Phase,
    /// Turns taken since the burst began.
    taken: u32,
    /// Turns that are queued.
    queued: u32,
    /// A host's commands that were not answered yet.
    open: u32,
    /// The alarm is set.
    armed: bool,
    /// Times that waiting was in vain, less those that it was not.
    misses: u32,
    /// Bursts during which nothing waits for what is not there yet.
    skip: u32,
    pace: Pace,
}

impl Burst {
    /// Nothing was sent or received yet.
    pub const fn new(role: Role, admin: bool) -> Self {
        Self {
            role,
            admin,
            phase: Phase::Quiet,
            taken: 0,
            queued: 0,
            open: 0,
            armed: false,
            misses: 0,
            skip: 0,
            pace: Pace::new(match role {
                Role::Host => 2,
                Role::Controller => 3,
            }),
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
            self.queued = self.queued.saturating_add(1);
            self.open = self.open.saturating_add(1);
            self.phase = self.phase.next(Event::Turn);
        }
        if pdus >= HOLD_PDUS || bytes >= HOLD_BYTES {
            return Verdict::Send;
        }
        self.judge(pdus)
    }

    /// The receive thread has worked through `arrived` commands, or ends of commands; `pdus` are queued. `clock` tells
    /// microseconds.
    #[inline]
    pub fn end(&mut self, arrived: u32, pdus: u32, clock: impl FnOnce() -> u64) -> Verdict {
        let left = match (self.role, self.phase) {
            (Role::Host, Phase::Working { left }) => left,
            (Role::Controller, _) | (Role::Host, Phase::Quiet | Phase::Collecting { .. }) => 0,
        };
        let expected = left.saturating_add(arrived);
        let owed = expected.saturating_sub(self.taken);
        let whole = match self.role {
            Role::Host => {
                self.open = self.open.saturating_sub(arrived);
                self.open.saturating_add(owed)
            }
            Role::Controller => expected,
        };
        // One alone waits for nobody: it tells nothing about waiting.
        if whole > 1 {
            self.pace.ended(arrived, clock);
        }
        let enough = self.pace.share().of(whole);
        self.phase = self.phase.next(match self.skip != 0 || self.admin {
            true => Event::Ended { owed: 0, enough },
            false => Event::Ended { owed, enough },
        });
        self.skip = self.skip.saturating_sub(1);
        self.judge(pdus)
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
        self.queued = 0;
        let armed = core::mem::take(&mut self.armed);
        if armed {
            self.misses = self.misses.saturating_sub(1);
        }
        armed
    }

    #[inline]
    fn judge(&mut self, pdus: u32) -> Verdict {
        match self.phase {
            Phase::Working { .. } => Verdict::Wait,
            Phase::Quiet => Verdict::Send,
            Phase::Collecting { enough, .. } if self.queued >= enough => Verdict::Send,
            // Nothing is there that could be late.
            Phase::Collecting { .. } if pdus == 0 => Verdict::Wait,
            Phase::Collecting { .. } if core::mem::replace(&mut self.armed, true) => Verdict::Wait,
            Phase::Collecting { .. } => Verdict::WaitWithAlarm,
        }
    }
}

#[cfg(test)]
mod tests;
