// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Associations that end soon after they were made, again and again.
//!
//! A command that makes the controller close the connection does so after every reconnect, since what is pending is
//! sent again. It cannot be failed after some attempts as hosts with several paths do: nothing tells it from the
//! commands that were pending beside it, nor the controller from a network that comes and goes, and over the latter
//! pending I/O has to stay pending. But the next attempt can wait. So the first losses lead to a reconnect at once,
//! and later ones after the reconnect delay, which is what an operator thinks a failing controller should be left
//! alone for.
#![forbid(unsafe_code)]

/// An association that lasts as long as this is a good one.
pub const SHORT_MS: u64 = 10_000;
/// Short ones in a row after which the host waits.
pub const TOLERATED: u32 = 3;

/// When to reconnect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reconnect {
    /// At once.
    Now,
    /// After the reconnect delay; so many associations in a row were short.
    Later(u32),
}

/// How the last associations fared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Losses {
    /// When the present one was made.
    made: Option<u64>,
    /// Short ones in a row.
    short: u32,
}

impl Losses {
    /// An association was made, at a time in milliseconds.
    pub fn made(&mut self, now: u64) {
        self.made = Some(now);
    }

    /// It was lost, or lost before it was complete.
    pub fn lost(&mut self, now: u64) -> Reconnect {
        let lasted = self.made.take().map_or(0, |at| now.saturating_sub(at));
        if lasted >= SHORT_MS {
            self.short = 0;
            return Reconnect::Now;
        }
        self.short = self.short.saturating_add(1);
        if self.short > TOLERATED {
            Reconnect::Later(self.short)
        } else {
            Reconnect::Now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lose(l: &mut Losses, made: u64, lasted: u64) -> Reconnect {
        l.made(made);
        l.lost(made + lasted)
    }

    #[test]
    fn the_fourth_short_association_in_a_row_is_followed_by_a_pause() {
        let mut l = Losses::default();
        for n in 0..3 {
            assert_eq!(lose(&mut l, n * 1000, 20), Reconnect::Now);
        }
        assert_eq!(lose(&mut l, 4000, SHORT_MS - 1), Reconnect::Later(4));
        assert_eq!(lose(&mut l, 30_000, 20), Reconnect::Later(5));
        assert_eq!(lose(&mut l, 40_000, SHORT_MS), Reconnect::Now);
        assert_eq!(lose(&mut l, 90_000, 20), Reconnect::Now);
    }

    #[test]
    fn one_that_was_never_complete_is_short() {
        let mut l = Losses::default();
        for _ in 0..3 {
            assert_eq!(l.lost(50_000), Reconnect::Now);
        }
        assert_eq!(l.lost(60_000), Reconnect::Later(4));
        assert_eq!(lose(&mut l, 70_000, 2 * SHORT_MS), Reconnect::Now);
        // Its time counts once.
        assert_eq!(l.lost(100_000), Reconnect::Now);
        assert_eq!(l.short, 1);
    }
}
