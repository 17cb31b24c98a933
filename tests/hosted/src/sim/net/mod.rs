// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The network of the simulator: byte streams in memory, with seeded delays,
//! segments, windows and partial reads, and with harm at chosen bytes.

mod harm;
mod socket;
mod wire;

use std::ops::Range;
use std::sync::PoisonError;
use std::time::Duration;

pub use harm::{Harm, Hazard, Strike};
pub use socket::{Listener, Socket};

use crate::os::Instant;
use wire::{ALARM, Event, Id, net};

/// What the network does to every connection.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The longest delay of a segment, in microseconds.
    pub delay_us: u64,
    /// How much longer it takes at most until a sender hears that its bytes
    /// have arrived, in microseconds.
    pub ack_us: u64,
    /// Bytes of a segment at most.
    pub segment: u64,
    /// Bytes that a receiver takes in before it has to be read from.
    pub window: u32,
    /// What arrives is the very memory that was sent: sender and receiver share
    /// it until both have let go of it.
    pub loopback: bool,
    /// Reads bring less than there is now and then, and writes take less.
    pub partial: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Weather {
            delay_us: 100,
            ack_us: 0,
            segment: 64 << 10,
            window: 256 << 10,
            partial: false,
            loopback: false,
        }
    }
}

/// Says what the network is like from now on.
pub fn set_weather(weather: Weather) {
    net().weather = weather;
}

/// What it is like now.
pub fn weather() -> Weather {
    net().weather
}

/// Says what can happen from now on, and how often at most: hosts and
/// controllers have to get somewhere.
pub fn set_hazards(hazards: Vec<Hazard>, budget: u32) {
    let mut n = net();
    for e in n.ends.values_mut() {
        e.harm = None;
    }
    n.hazards = hazards;
    n.budget = budget;
}

/// Says what happens, and at which byte.
pub fn set_strikes(strikes: Vec<Strike>) {
    net().strikes = strikes;
}

/// Connections so far, segments so far, and harm so far.
pub fn counts() -> (usize, u64, u64) {
    let n = net();
    (n.links, n.segments, n.harmed)
}

/// What each direction of each connection carried: its number, whether it is
/// the one from who connected, and bytes.
pub fn traffic() -> Vec<(usize, bool, u64)> {
    let n = net();
    n.ends.values().map(|e| (e.link, e.down, e.sent)).collect()
}

/// Waits until so many segments were sent; false when time ran out.
pub fn wait_segment(number: u64, time: Duration) -> bool {
    let end = Instant::now() + time;
    let mut n = net();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if n.segments >= number {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        n.alarm = Some(number);
        let r = ALARM.wait_timeout(n, left);
        n = r.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Something happens to these connections, between two bytes.
pub fn harm(links: Range<usize>, harm: Harm) {
    let mut n = net();
    let open = n
        .ends
        .iter()
        .filter(|e| !e.1.closed && links.contains(&e.1.link));
    let ids: Vec<Id> = open.map(|e| *e.0).collect();
    for id in ids {
        match harm {
            Harm::Flip => {}
            Harm::Reset => n.soon(Event::Reset(id)),
            Harm::Truncate => n.soon(Event::Fin(id)),
            Harm::Silence => n.silence(id),
        }
    }
}

/// All connections are reset, as when a machine restarts.
pub fn reset_all() {
    let mut n = net();
    let ids: Vec<Id> = n
        .ends
        .iter()
        .filter(|e| !e.1.closed)
        .map(|e| *e.0)
        .collect();
    for id in ids {
        n.soon(Event::Reset(id));
    }
}
