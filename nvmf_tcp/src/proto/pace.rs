// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! How much to wait for, found by trial.
//!
//! PDUs that go together cost less on both ends; PDUs that go at once keep both ends at work.  Which of the two makes
//! a queue faster depends on processors, network and devices that nobody here knows, so it is measured: now and then
//! the next larger or smaller share is tried between two measurements of the present one, and kept if it made more
//! commands end.  Waiting for more must pay clearly; waiting for less must only do no harm.
#![forbid(unsafe_code)]

/// Commands of a measurement, at least.
const WINDOW_ENDS: u32 = 1024;
/// Shortest measurement, in microseconds.
const WINDOW_MIN_US: u64 = 40_000;
/// In a longer one the queue was idle for some of the time: it tells nothing.
const WINDOW_MAX_US: u64 = 500_000;
/// Measurements from one trial to the next after many trials that changed nothing; at first they are `Pace::least`.
const REST_MAX: u32 = 64;
/// A larger share must be better than the present one by this many per cent.
const GAIN: u64 = 8;
/// A smaller one must not be worse by more than this.
const LOSS: u64 = 2;

/// The part of what may come that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Share {
    /// Nothing waits.
    None,
    /// Half.
    Half,
    /// All of it.
    All,
}

impl Share {
    /// This share of `n`.
    #[inline]
    pub fn of(self, n: u32) -> u32 {
        match self {
            Self::None => 0,
            Self::Half => n / 2,
            Self::All => n,
        }
    }

    /// The one to try after this one.
    fn following(self) -> Self {
        match self {
            Self::None => Self::All,
            Self::All => Self::Half,
            Self::Half => Self::None,
        }
    }
}

/// Commands per second.
type Rate = u64;

/// Where a trial stands; what is measured now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// None: that many measurements are left until the next.
    Rest { left: u32 },
    /// The present share, before the trial.
    Before,
    /// The other share.
    Other { before: Rate },
    /// The present share again: what changed by itself must not count.
    After { before: Rate, other: Rate },
}

/// Finds the share of one connection.
#[derive(Debug)]
pub struct Pace {
    /// The share that has proved best.
    best: Share,
    /// What a trial compares it with.
    other: Share,
    trial: Trial,
    /// Fewest measurements from one trial to the next.
    least: u32,
    /// How many there are now.
    rest: u32,
    /// Commands that ended since `since_us`.
    ends: u32,
    since_us: u64,
}

impl Pace {
    /// Begins with all, and with `least` measurements between two trials: another number on either end of a
    /// connection, so that they do not try at the same time all the time.
    pub const fn new(least: u32) -> Self {
        Self {
            best: Share::All,
            other: Share::All,
            trial: Trial::Rest { left: least },
            least,
            rest: least,
            ends: 0,
            since_us: 0,
        }
    }

    /// The share to use now.
    #[inline]
    pub fn share(&self) -> Share {
        match self.trial {
            Trial::Other { .. } => self.other,
            Trial::Rest { .. } | Trial::Before | Trial::After { .. } => self.best,
        }
    }

    /// `n` commands ended. `clock` tells microseconds; it is read once for many commands.
    #[inline]
    pub fn ended(&mut self, n: u32, clock: impl FnOnce() -> u64) {
        self.ends = self.ends.saturating_add(n);
        if self.ends >= WINDOW_ENDS {
            self.measure(clock());
        }
    }

    #[cold]
    fn measure(&mut self, now_us: u64) {
        let elapsed = now_us.saturating_sub(self.since_us);
        if elapsed < WINDOW_MIN_US {
            return;
        }
        let ends = core::mem::take(&mut self.ends);
        self.since_us = now_us;
        if elapsed > WINDOW_MAX_US {
            self.trial = Trial::Rest { left: self.rest };
            return;
        }
        self.trial = self.next(u64::from(ends) * 1_000_000 / elapsed);
    }

    fn next(&mut self, rate: Rate) -> Trial {
        match self.trial {
            Trial::Rest { left: 0 | 1 } => Trial::Before,
            Trial::Rest { left } => Trial::Rest { left: left - 1 },
            Trial::Before => {
                self.other = self.candidate();
                Trial::Other { before: rate }
            }
            Trial::Other { before } => Trial::After {
                before,
                other: rate,
            },
            Trial::After { before, other } => {
                self.judge(before.max(rate), other);
                Trial::Rest { left: self.rest }
            }
        }
    }

    /// The share to try next: each of the others in turn.
    fn candidate(&self) -> Share {
        let next = self.other.following();
        if next == self.best {
            next.following()
        } else {
            next
        }
    }

    fn judge(&mut self, best: Rate, other: Rate) {
        let (best, other) = (u128::from(best), u128::from(other) * 100);
        let percent = if self.other > self.best {
            100 + GAIN
        } else {
            100 - LOSS
        };
        if other >= best * u128::from(percent) {
            self.best = self.other;
            self.rest = self.least;
        } else {
            self.rest = (self.rest * 2).min(REST_MAX);
        }
    }
}

#[cfg(test)]
mod tests;
