// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! How long commands may take.
#![forbid(unsafe_code)]

/// A synchronous admin command of the driver's own, in milliseconds.
pub const SYNC_MS: u32 = 10_000;
/// A property access of an orderly shutdown: two of them and the queues' end must fit in five seconds.
pub const SHUTDOWN_MS: u32 = 1_500;
/// A passthrough command: the time that nvme(4) gives an admin command.
pub const PASSTHROUGH_MS: u32 = 60_000;
/// How often deadlines are looked at.
pub const WATCH_MS: u32 = 1_000;

/// CAM's "no timeout".
const CAM_TIME_INFINITY: u32 = u32::MAX;

/// A time on the uptime clock in milliseconds after which a command is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(u64);

impl Deadline {
    /// Never overdue.
    pub const NONE: Self = Self(u64::MAX);

    /// Overdue `ms` milliseconds after `now`.
    pub fn after(now: u64, ms: u32) -> Self {
        Self(now.saturating_add(u64::from(ms)))
    }

    /// The deadline of a CCB: its timeout in milliseconds, of which 0 and the largest number mean none.
    pub fn of_ccb(now: u64, timeout: u32) -> Self {
        match timeout {
            0 | CAM_TIME_INFINITY => Self::NONE,
            ms => Self::after(now, ms),
        }
    }

    /// Whether the command is overdue.
    pub fn is_past(self, now: u64) -> bool {
        now > self.0
    }

    /// As a number.
    pub const fn to_raw(self) -> u64 {
        self.0
    }

    /// From [`Deadline::to_raw`].
    pub const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overdue_after_the_deadline_only() {
        let d = Deadline::after(1000, 500);
        assert!(!d.is_past(1500));
        assert!(d.is_past(1501));
        assert!(!Deadline::NONE.is_past(u64::MAX));
        assert!(!Deadline::after(u64::MAX, 1).is_past(u64::MAX));
    }

    #[test]
    fn ccb_timeouts() {
        assert_eq!(Deadline::of_ccb(5, 0), Deadline::NONE);
        assert_eq!(Deadline::of_ccb(5, u32::MAX), Deadline::NONE);
        assert_eq!(Deadline::of_ccb(5, 30_000), Deadline::after(5, 30_000));
    }

    #[test]
    fn an_orderly_shutdown_fits_in_five_seconds() {
        const { assert!(2 * SHUTDOWN_MS <= 3_000) };
    }
}
