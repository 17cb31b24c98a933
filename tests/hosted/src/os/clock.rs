// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The monotonic clock.

use std::ops::{Add, Sub};
use std::sync::OnceLock;
use std::time::Duration;

use crate::sim::sched;

/// A time of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// The present.
    pub fn now() -> Self {
        Instant(Duration::from_micros(now_us()))
    }

    /// How long ago it was.
    pub fn elapsed(self) -> Duration {
        Self::now().saturating_duration_since(self)
    }

    /// The time from `earlier` to this; zero if that is later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Microseconds since the clock's start.
    pub fn as_us(self) -> u64 {
        self.0.as_micros() as u64
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Instant(self.0.saturating_add(d))
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// Microseconds since the clock's start.
pub fn now_us() -> u64 {
    static BOOT: OnceLock<std::time::Instant> = OnceLock::new();
    sched::now_us().unwrap_or_else(|| {
        let boot = BOOT.get_or_init(std::time::Instant::now);
        boot.elapsed().as_micros() as u64
    })
}
