// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Which events met which states: counted for tests that have the feature
//! `record`, and nothing at all in a kernel.
#![forbid(unsafe_code)]

#[cfg(feature = "record")]
use core::sync::atomic::{AtomicU32, Ordering};

/// A state machine with `S` states and `E` kinds of events.
pub struct Machine<const S: usize, const E: usize> {
    /// What it is the machine of.
    pub name: &'static str,
    /// Its states, by number.
    pub states: [&'static str; S],
    /// Its events, by number.
    pub events: [&'static str; E],
    #[cfg(feature = "record")]
    met: [[[AtomicU32; S]; E]; S],
}

impl<const S: usize, const E: usize> Machine<S, E> {
    /// A machine that nothing happened to.
    pub const fn new(
        name: &'static str,
        states: [&'static str; S],
        events: [&'static str; E],
    ) -> Self {
        Machine {
            name,
            states,
            events,
            #[cfg(feature = "record")]
            met: [const { [const { [const { AtomicU32::new(0) }; S] }; E] }; S],
        }
    }

    /// An event met a state and led to another.
    #[inline(always)]
    pub fn met(&self, from: usize, event: usize, to: usize) {
        #[cfg(feature = "record")]
        if let Some(n) = self
            .met
            .get(from)
            .and_then(|e| e.get(event))
            .and_then(|t| t.get(to))
        {
            n.fetch_add(1, Ordering::Relaxed);
        }
        #[cfg(not(feature = "record"))]
        let _ = (from, event, to);
    }

    /// Calls `f` with each transition that happened, and how often.
    #[cfg(feature = "record")]
    pub fn each(&self, mut f: impl FnMut(usize, usize, usize, u32)) {
        for (from, events) in self.met.iter().enumerate() {
            for (event, states) in events.iter().enumerate() {
                for (to, n) in states.iter().enumerate() {
                    match n.load(Ordering::Relaxed) {
                        0 => (),
                        n => f(from, event, to, n),
                    }
                }
            }
        }
    }
}
