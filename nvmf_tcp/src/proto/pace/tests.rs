// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Queues of which it is known what makes them fast.
#![forbid(unsafe_code)]

use super::*;
use crate::proto::testing::Rng;

/// A queue that ends so many commands a second with each share.
struct Queue {
    none: u64,
    half: u64,
    all: u64,
    /// Per cent by which a measurement may be off, either way.
    noise: u64,
}

impl Queue {
    fn rate(&self, share: Share) -> u64 {
        match share {
            Share::None => self.none,
            Share::Half => self.half,
            Share::All => self.all,
        }
    }

    /// Runs for `seconds`; tells what part of the second half went by with each share, in per cent.
    fn run(&self, pace: &mut Pace, seconds: u64) -> [u64; 3] {
        let mut rng = Rng::new(11);
        let (mut now, mut spent) = (pace.since_us, [0; 3]);
        let end = now + seconds * 1_000_000;
        let (mut factor, mut window) = (100, 0);
        while now < end {
            if pace.since_us != window {
                window = pace.since_us;
                factor = 100 - self.noise + rng.below(2 * self.noise + 1);
            }
            let share = pace.share();
            let us = 16 * 1_000_000 * 100 / (self.rate(share) * factor);
            now += us;
            if now > end - seconds * 500_000 {
                spent[share as usize] += us;
            }
            pace.ended(16, || now);
        }
        let all: u64 = spent.iter().sum();
        spent.map(|us| us * 100 / all)
    }
}

#[test]
fn shares_are_parts() {
    assert_eq!(
        [Share::None, Share::Half, Share::All].map(|s| s.of(9)),
        [0, 4, 9]
    );
}

#[test]
fn where_waiting_pays_it_waits() {
    let queue = Queue {
        none: 6_000,
        half: 11_000,
        all: 16_000,
        noise: 10,
    };
    let spent = queue.run(&mut Pace::new(2), 20);
    assert!(spent[Share::All as usize] > 85, "{spent:?}");
}

#[test]
fn where_waiting_hurts_it_does_not() {
    let queue = Queue {
        none: 300_000,
        half: 200_000,
        all: 100_000,
        noise: 10,
    };
    let spent = queue.run(&mut Pace::new(2), 20);
    assert!(spent[Share::None as usize] > 85, "{spent:?}");
}

#[test]
fn half_may_be_best() {
    let queue = Queue {
        none: 10_000,
        half: 15_000,
        all: 10_000,
        noise: 10,
    };
    let spent = queue.run(&mut Pace::new(3), 20);
    assert!(spent[Share::Half as usize] > 85, "{spent:?}");
}

#[test]
fn where_it_makes_no_difference_nothing_waits() {
    let queue = Queue {
        none: 20_000,
        half: 20_000,
        all: 20_000,
        noise: 0,
    };
    let spent = queue.run(&mut Pace::new(2), 20);
    assert!(spent[Share::None as usize] > 85, "{spent:?}");
}

#[test]
fn a_queue_that_changes_is_followed() {
    let mut pace = Pace::new(2);
    Queue {
        none: 30_000,
        half: 20_000,
        all: 10_000,
        noise: 5,
    }
    .run(&mut pace, 20);
    assert_eq!(pace.best, Share::None);
    let spent = Queue {
        none: 10_000,
        half: 20_000,
        all: 30_000,
        noise: 5,
    }
    .run(&mut pace, 40);
    assert!(spent[Share::All as usize] > 85, "{spent:?}");
}

#[test]
fn an_idle_time_is_no_measurement() {
    let mut pace = Pace::new(2);
    for round in 1..100 {
        pace.ended(WINDOW_ENDS, || round * (WINDOW_MAX_US + 1));
        assert_eq!(pace.trial, Trial::Rest { left: 2 });
    }
}

#[test]
fn the_clock_is_read_seldom() {
    let (mut pace, mut reads) = (Pace::new(2), 0);
    for now in 0..WINDOW_ENDS * 10 {
        pace.ended(1, || {
            reads += 1;
            u64::from(now) * 100
        });
    }
    assert_eq!(reads, 10);
}

/// A change that comes by itself between two measurements is not taken for the other share's.
#[test]
fn what_changes_by_itself_does_not_count() {
    let mut pace = Pace::new(1);
    let mut now = 0;
    let mut window = |pace: &mut Pace, rate: u64| {
        now += 1_000_000 * 1024 / rate;
        pace.ended(1024, || now);
    };
    for rate in [10_000, 10_000, 10_000, 20_000, 20_000] {
        window(&mut pace, rate);
    }
    assert_eq!(pace.best, Share::All);
}
