// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What happens to connections, and where.

use super::wire::{Id, Network, random};

/// What happens to a connection at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// One bit of it arrives wrong.
    Flip,
    /// It is not sent, both ends see a reset.
    Reset,
    /// It is not sent, the receiver sees an orderly end.
    Truncate,
    /// Nothing arrives any more, in either direction, and nobody is told.
    Silence,
}

/// Harm that comes at random.
#[derive(Clone, Copy, Debug)]
pub struct Hazard {
    /// What happens.
    pub harm: Harm,
    /// After how many bytes on average.
    pub mean: u64,
}

/// Harm at one byte of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// The connection: the first is number zero.
    pub link: usize,
    /// In the direction of who connected, or to it.
    pub down: bool,
    /// The byte.
    pub at: u64,
    /// What happens.
    pub harm: Harm,
}

impl Network {
    /// Chooses the byte at which harm comes next, if any is to come.
    pub(super) fn draw_harm(&mut self, id: Id) {
        let strikes: Vec<Strike> = self.strikes.clone();
        let hazards = match self.budget {
            0 => Vec::new(),
            _ => self.hazards.clone(),
        };
        let e = self.end(id);
        if e.harm.is_some() {
            return;
        }
        let ours = |s: &&Strike| s.link == e.link && s.down == e.down && s.at >= e.sent;
        e.harm = strikes
            .iter()
            .filter(ours)
            .min_by_key(|s| s.at)
            .map(|s| (s.at, s.harm));
        for h in hazards {
            // Nothing protects the handshake that comes first.
            let from = e.sent.max(if h.harm == Harm::Flip { 128 } else { 0 });
            let at = from + random(2 * h.mean);
            if e.harm.is_none_or(|(other, _)| at < other) {
                e.harm = Some((at, h.harm));
            }
        }
    }

    pub(super) fn silence(&mut self, id: Id) {
        if let Some(p) = self.ends.get_mut(&id) {
            p.cut = true;
        }
    }
}
