// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The protocol half of the NVMe/TCP transport: no kernel calls, no allocation, no unsafe code.
//!
//! * [`params`]: what a handoff says, checked;
//! * [`pdu`]: one header, checked; [`fault`]: what is wrong with it;
//! * [`rx`]: the receive state machine, fed with bytes in pieces of any size;
//! * [`burst`]: when to send; [`pace`]: how much together;
//! * [`transfer`]: data of one command on the host; [`ttag`]: requested data on the controller;
//! * [`segment`]: PDUs to send; [`sgl`]: the data pointer of a command capsule.
//!
//! Section numbers are those of the NVMe/TCP Transport Specification 1.0 ("TCP").
#![forbid(unsafe_code)]

pub mod burst;
pub mod fault;
pub mod pace;
pub mod params;
pub mod pdu;
pub mod rx;
pub mod segment;
pub mod sgl;
pub mod transfer;
pub mod ttag;

#[cfg(test)]
pub(crate) mod testing;

pub use burst::{Burst, Verdict};
pub use fault::{Fault, Kind, PduError};
pub use params::{Params, RawParams, Role};
pub use pdu::{DataPdu, Pdu, R2tPdu, Rules};
pub use rx::{Progress, Rx, Want};
pub use segment::{Framing, Header, Piece, Pieces};
pub use transfer::{Outcome, Transfer};
pub use ttag::{R2tOut, Slot, Ttags};
