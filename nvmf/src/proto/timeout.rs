// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! How long commands may take, and what comes when they take longer: the controller is asked to abort the command, and
//! if it still does not answer, the association ends.
#![forbid(unsafe_code)]

/// What a controller has after an Abort to end the command.
pub const GRACE_MS: u32 = 5_000;
/// How often deadlines are looked at.
pub const WATCH_MS: u32 = 1_000;
/// The same while a command is being aborted.
pub const ABORT_WATCH_MS: u32 = 100;

/// How long a thread waits for a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Milliseconds.
    pub ms: u32,
    /// Whether an Abort is tried before the association ends.
    pub abort: bool,
}

/// A synchronous admin command of the driver's own.
pub const SYNC: Limit = Limit {
    ms: 10_000,
    abort: true,
};
/// A property access of an orderly shutdown: two of them and the queues' end must fit in five seconds.
pub const SHUTDOWN: Limit = Limit {
    ms: 1_500,
    abort: false,
};
/// A passthrough command: the time that nvme(4) gives an admin command.
pub const PASSTHROUGH: Limit = Limit {
    ms: 60_000,
    abort: true,
};

impl Limit {
    /// What the queue is to do about a command that begins at `now`.
    pub fn patience(self, now: u64) -> Patience {
        if self.abort {
            Patience::Until(Deadline::after(now, self.ms))
        } else {
            Patience::ENDLESS
        }
    }

    /// How long the thread waits: the queue gives up before it, if that is the queue's task.
    pub fn wait_ms(self) -> u32 {
        if self.abort {
            self.ms + GRACE_MS + 2 * WATCH_MS
        } else {
            self.ms
        }
    }
}

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
}

/// What an overdue command leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Wait,
    /// An Abort is to be sent.
    Abort,
    /// The association is to end.
    GiveUp,
}

/// How long a command is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Until then; the controller is asked to abort it afterwards.
    Until(Deadline),
    /// Until then, and no longer: the controller was asked, or cannot be.
    AtMost(Deadline),
}

impl Patience {
    /// A command that may take for ever.
    pub const ENDLESS: Self = Self::Until(Deadline::NONE);

    /// The transition function, for a command that is still outstanding; `may_abort` says whether an Abort can be sent
    /// for it now. One that cannot be sent in time counts as sent.
    pub fn look(self, now: u64, may_abort: bool) -> (Self, Verdict) {
        match self {
            Self::Until(at) | Self::AtMost(at) if !at.is_past(now) => (self, Verdict::Wait),
            Self::Until(_) if may_abort => {
                let end = Deadline::after(now, GRACE_MS);
                (Self::AtMost(end), Verdict::Abort)
            }
            Self::Until(Deadline(at)) if Deadline::after(at, GRACE_MS).is_past(now) => {
                (self, Verdict::GiveUp)
            }
            Self::Until(_) => (self, Verdict::Wait),
            Self::AtMost(_) => (self, Verdict::GiveUp),
        }
    }

    /// As numbers.
    pub const fn to_raw(self) -> [u64; 2] {
        match self {
            Self::Until(Deadline(at)) => [at, 0],
            Self::AtMost(Deadline(at)) => [at, 1],
        }
    }

    /// From [`Patience::to_raw`].
    pub const fn from_raw([at, kind]: [u64; 2]) -> Self {
        match kind {
            0 => Self::Until(Deadline(at)),
            _ => Self::AtMost(Deadline(at)),
        }
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
        const { assert!(2 * SHUTDOWN.ms <= 3_000) };
        assert_eq!(SHUTDOWN.wait_ms(), SHUTDOWN.ms);
        assert_eq!(SHUTDOWN.patience(7), Patience::ENDLESS);
    }

    const GRACE: u64 = GRACE_MS as u64;

    #[test]
    fn first_an_abort_then_the_end() {
        let p = SYNC.patience(0);
        assert_eq!(p.look(10_000, true), (p, Verdict::Wait));
        let (p, verdict) = p.look(10_001, true);
        assert_eq!(verdict, Verdict::Abort);
        let end = 10_001 + GRACE;
        assert_eq!(p.look(10_002, true), (p, Verdict::Wait));
        assert_eq!(p.look(end, true), (p, Verdict::Wait));
        assert_eq!(p.look(end + 1, true).1, Verdict::GiveUp);
        // Whoever waits for it hears of that.
        assert!(u64::from(SYNC.wait_ms()) > end + u64::from(WATCH_MS));
    }

    #[test]
    fn an_abort_that_cannot_be_sent_is_waited_for_no_longer_than_one_that_was() {
        let p = Patience::Until(Deadline::after(0, 100));
        assert_eq!(p.look(101, false), (p, Verdict::Wait));
        assert_eq!(p.look(100 + GRACE, false), (p, Verdict::Wait));
        assert_eq!(p.look(100 + GRACE, true).1, Verdict::Abort);
        assert_eq!(p.look(101 + GRACE, false).1, Verdict::GiveUp);
    }

    #[test]
    fn what_must_not_be_aborted_is_given_up() {
        let p = Patience::AtMost(Deadline::after(0, 100));
        assert_eq!(p.look(100, true), (p, Verdict::Wait));
        assert_eq!(p.look(101, true).1, Verdict::GiveUp);
        assert_eq!(
            Patience::ENDLESS.look(u64::MAX, true),
            (Patience::ENDLESS, Verdict::Wait)
        );
    }

    #[test]
    fn numbers_and_back() {
        for p in [
            Patience::ENDLESS,
            Patience::Until(Deadline(5)),
            Patience::AtMost(Deadline(5)),
        ] {
            assert_eq!(Patience::from_raw(p.to_raw()), p);
        }
    }
}
