// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! One stream through the receive machine, whole and in pieces: what it leads to must be the same, to the byte.
#![forbid(unsafe_code)]

use nvmf_tcp::proto::rx::DataEnd;
use nvmf_tcp::proto::{Pdu, PduError, Role};

use crate::input::Input;
use crate::stream::{self, End, Link, Receiver};

/// What happened on a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transcript {
    pdus: Vec<Pdu>,
    /// The data of all PDUs, and where each PDU's ends.
    data: Vec<u8>,
    ends: Vec<(usize, DataEnd)>,
}

impl Receiver for Transcript {
    fn pdu(&mut self, pdu: &Pdu) -> Result<(), PduError> {
        self.pdus.push(*pdu);
        Ok(())
    }

    fn data(&mut self, bytes: &[u8]) {
        self.data.extend_from_slice(bytes);
    }

    fn end(&mut self, end: DataEnd) -> Result<(), PduError> {
        self.ends.push((self.data.len(), end));
        Ok(())
    }
}

fn transcript(link: &Link, bytes: &[u8], step: usize) -> (Transcript, End) {
    let mut t = Transcript::default();
    let end = stream::receive(link, bytes, step, &mut t);
    (t, end)
}

/// Runs the target and says how the stream ended.
pub fn outcome(bytes: &[u8]) -> End {
    let mut input = Input::new(bytes);
    let choice = input.byte();
    let role = if choice & 1 == 0 {
        Role::Controller
    } else {
        Role::Host
    };
    let link = Link::from_input(role, &mut input);
    let bytes = input.rest();
    let whole = transcript(&link, bytes, usize::MAX);
    for step in [1, usize::from(choice >> 1) + 2] {
        assert_eq!(transcript(&link, bytes, step), whole, "pieces of {step}");
    }
    whole.1
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    outcome(bytes);
}
