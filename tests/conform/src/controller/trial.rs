// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Variants of a case, each on a connection of its own.

use rawpeer::pdu::{self, Builder};

use crate::case::{Outcome, Problem, Tally};
use crate::conn::Conn;
use crate::dial::{Ask, Target};
use crate::judge::Want;
use crate::sqe::{Place, admin};

/// No digests, and both.
pub const DIGESTS: [u8; 2] = [0, 3];

/// The variants of a case.
pub struct Trial<'a> {
    /// The controller.
    pub target: &'a Target,
    tally: Tally,
}

impl<'a> Trial<'a> {
    /// None yet.
    pub fn new(target: &'a Target) -> Self {
        Trial {
            target,
            tally: Tally::default(),
        }
    }

    /// Notes a variant; one that needs digests which the controller declines
    /// does not count.
    pub fn note(&mut self, digests: u8, name: &str, r: Outcome) -> Result<(), Problem> {
        match r {
            Err(Problem::Skip(_)) if digests != 0 => Ok(()),
            r => self.tally.add(
                format!("{name}{}", if digests != 0 { " with digests" } else { "" }),
                r,
            ),
        }
    }

    /// Sends a PDU on a connected admin queue and judges what comes of it.
    pub fn offend(
        &mut self,
        digests: u8,
        name: &str,
        build: impl FnOnce(&mut Conn) -> Builder,
        want: Want<'_>,
    ) -> Result<(), Problem> {
        let r = self
            .target
            .connected(&Ask::digests(digests))
            .and_then(|mut c| {
                let b = build(&mut c);
                c.offend(&b.bytes(), &b.header, want)
            });
        self.note(digests, name, r)
    }

    /// As [`Trial::offend`], with bytes that are no PDU.
    pub fn offend_bytes(
        &mut self,
        name: &str,
        bytes: &[u8],
        want: Want<'_>,
    ) -> Result<(), Problem> {
        let r = self
            .target
            .connected(&Ask::default())
            .and_then(|mut c| c.offend(bytes, &[], want));
        self.note(0, name, r)
    }

    /// What came of all of them.
    pub fn outcome(self) -> Outcome {
        self.tally.outcome()
    }
}

/// A capsule that is right.
pub fn capsule(c: &mut Conn) -> Builder {
    let s = c.sqe(admin::KEEP_ALIVE, 0, 0, Place::Buffer);
    pdu::command(c.format, &s.0, &[])
}

/// A capsule with data, of a command that nobody has.
pub fn capsule_with(c: &mut Conn, len: usize) -> Builder {
    let s = c.sqe(admin::VENDOR_WRITE, 0, len as u32, Place::Capsule);
    pdu::command(c.format, &s.0, &vec![7; len])
}
