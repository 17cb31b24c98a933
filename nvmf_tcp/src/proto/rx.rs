// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The receive state machine.
//!
//! It owns no bytes. Its user asks what is wanted, takes that much from the stream and says so:
//!
//! * [`Want::Header`]: copy up to [`HEADER_MAX`](super::pdu::HEADER_MAX) of the bytes that are there, call [`Rx::header`]. It wants more
//!   ([`Progress::Need`]: come back when the stream holds that many), or has a PDU ([`Progress::Pdu`]) and says how many
//!   bytes of the stream its header took;
//! * [`Want::Skip`]: drop bytes of padding, [`Rx::skip`];
//! * [`Want::Payload`]: copy data to where it belongs, in as many pieces as it arrives in, [`Rx::payload`];
//! * [`Want::Digest`]: take exactly 4 bytes, [`Rx::digest`].
//!
//! The last step of a PDU with data returns [`DataEnd`]. A wrong data digest is no fault of the connection: it fails
//! the command that the data belongs to, and the stream goes on behind the PDU.
#![forbid(unsafe_code)]

use sys::record::Machine;

use super::fault::Fault;
use super::params::Params;
use super::pdu::{Check, DIGEST_LEN, Pdu, Rules};

/// What happened to receivers.
pub static MET: Machine<5, 3> = Machine::new(
    "receiver",
    ["Header", "Pad", "Data", "Digest", "Ended"],
    ["Begin", "Bytes", "Fault"],
);

/// What the machine needs from the stream next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The header of a PDU: up to [`HEADER_MAX`](super::pdu::HEADER_MAX) bytes, to be looked at and not taken.
    Header,
    /// Padding to drop.
    Skip(u32),
    /// Data.
    Payload(u32),
    /// 4 bytes of data digest.
    Digest,
    /// Nothing more: the connection is to end.
    Nothing,
}

/// What a header led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// This many bytes from the start of the PDU are needed.
    Need(usize),
    /// A PDU with a valid header.
    Pdu {
        /// Bytes of the stream that the header took.
        taken: usize,
        /// The PDU.
        pdu: Pdu,
    },
}

/// The data of a PDU is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataEnd {
    /// The data digest was right, or there is none.
    pub digest_ok: bool,
}

/// Where in a PDU the stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Header,
    Pad { left: u32, data: u32, ddgst: bool },
    Data { left: u32, ddgst: bool, crc: u32 },
    Digest { crc: u32 },
    Ended,
}

/// What moves the state on.
#[derive(Clone, Copy, Debug)]
enum Input {
    Begin { pad: u32, data: u32, ddgst: bool },
    Bytes { n: u32, crc: u32 },
    Fault,
}

impl Input {
    #[inline]
    fn number(self) -> usize {
        match self {
            Self::Begin { .. } => 0,
            Self::Bytes { .. } => 1,
            Self::Fault => 2,
        }
    }
}

impl State {
    #[inline]
    fn number(self) -> usize {
        match self {
            Self::Header => 0,
            Self::Pad { .. } => 1,
            Self::Data { .. } => 2,
            Self::Digest { .. } => 3,
            Self::Ended => 4,
        }
    }

    #[inline]
    fn next(self, input: Input) -> Self {
        let to = self.after(input);
        MET.met(self.number(), input.number(), to.number());
        to
    }

    /// The one place where the state changes. Input that the state has no use for ends the connection: only a mistake
    /// of the caller's can cause that.
    #[inline]
    fn after(self, input: Input) -> Self {
        match (self, input) {
            (
                Self::Header,
                Input::Begin {
                    data: 0, pad: 0, ..
                },
            ) => Self::Header,
            (
                Self::Header,
                Input::Begin {
                    pad: 0,
                    data,
                    ddgst,
                },
            ) => Self::Data {
                left: data,
                ddgst,
                crc: !0,
            },
            (Self::Header, Input::Begin { pad, data, ddgst }) => Self::Pad {
                left: pad,
                data,
                ddgst,
            },
            (Self::Pad { left, data, ddgst }, Input::Bytes { n, .. }) => {
                match (left.checked_sub(n), data) {
                    (Some(0), 0) => Self::Header,
                    (Some(0), _) => Self::Data {
                        left: data,
                        ddgst,
                        crc: !0,
                    },
                    (Some(left), _) => Self::Pad { left, data, ddgst },
                    (None, _) => Self::Ended,
                }
            }
            (Self::Data { left, ddgst, .. }, Input::Bytes { n, crc }) => {
                match (left.checked_sub(n), ddgst) {
                    (Some(0), true) => Self::Digest { crc },
                    (Some(0), false) => Self::Header,
                    (Some(left), _) => Self::Data { left, ddgst, crc },
                    (None, _) => Self::Ended,
                }
            }
            (Self::Digest { .. }, Input::Bytes { n: DIGEST_LEN, .. }) => Self::Header,
            (Self::Header | Self::Digest { .. }, Input::Bytes { .. }) => Self::Ended,
            (Self::Pad { .. } | Self::Data { .. } | Self::Digest { .. }, Input::Begin { .. }) => {
                Self::Ended
            }
            (Self::Ended, _) | (_, Input::Fault) => Self::Ended,
        }
    }
}

/// The receive state machine of a queue pair.
#[derive(Clone, Debug)]
pub struct Rx {
    rules: Rules,
    state: State,
}

impl Rx {
    /// At the start of a PDU.
    pub const fn new(p: &Params) -> Self {
        Self {
            rules: Rules::new(p),
            state: State::Header,
        }
    }

    /// What is needed next.
    #[inline]
    pub fn want(&self) -> Want {
        match self.state {
            State::Header => Want::Header,
            State::Pad { left, .. } => Want::Skip(left),
            State::Data { left, .. } => Want::Payload(left),
            State::Digest { .. } => Want::Digest,
            State::Ended => Want::Nothing,
        }
    }

    /// Whether the stream is between two PDUs: only here may a peer close without it being an error.
    #[inline]
    pub fn is_between_pdus(&self) -> bool {
        matches!(self.state, State::Header)
    }

    /// The running CRC32C of the data if it has a digest: continue from it over the next piece, without complement,
    /// and give the result to [`Rx::payload`].
    #[inline]
    pub fn crc(&self) -> Option<u32> {
        match self.state {
            State::Data {
                ddgst: true, crc, ..
            } => Some(crc),
            _ => None,
        }
    }

    /// Looks at the bytes at the start of a PDU; `crc` is the complete CRC32C of a byte string. The result does not
    /// depend on how many bytes more than needed there are.
    #[inline]
    pub fn header(&mut self, bytes: &[u8], crc: impl Fn(&[u8]) -> u32) -> Result<Progress, Fault> {
        if self.state != State::Header {
            self.state = self.state.next(Input::Fault);
            return Err(Fault::Silent);
        }
        match self.rules.check(bytes, crc) {
            Ok(Check::Need(n)) => Ok(Progress::Need(n)),
            Ok(Check::Valid(shape, pdu)) => {
                let input = match pdu {
                    Pdu::TermReq { .. } => Input::Fault,
                    _ => Input::Begin {
                        pad: shape.pad.into(),
                        data: shape.data,
                        ddgst: shape.ddgst,
                    },
                };
                self.state = self.state.next(input);
                Ok(Progress::Pdu {
                    taken: shape.header.into(),
                    pdu,
                })
            }
            Err(fault) => {
                self.state = self.state.next(Input::Fault);
                Err(fault)
            }
        }
    }

    /// `n` bytes of padding were dropped; no more than wanted.
    #[inline]
    pub fn skip(&mut self, n: u32) {
        self.state = match self.state {
            State::Pad { .. } => self.state.next(Input::Bytes { n, crc: 0 }),
            _ => self.state.next(Input::Fault),
        };
    }

    /// `n` bytes of data were taken, no more than wanted; `crc` continues [`Rx::crc`] over them, any value if that is
    /// `None`. Returns the end of the data if no digest follows.
    #[inline]
    pub fn payload(&mut self, n: u32, crc: u32) -> Option<DataEnd> {
        self.state = match self.state {
            State::Data { .. } => self.state.next(Input::Bytes { n, crc }),
            _ => self.state.next(Input::Fault),
        };
        (self.state == State::Header).then_some(DataEnd { digest_ok: true })
    }

    /// The data digest that was received.
    #[inline]
    pub fn digest(&mut self, received: [u8; DIGEST_LEN as usize]) -> Option<DataEnd> {
        let State::Digest { crc } = self.state else {
            self.state = self.state.next(Input::Fault);
            return None;
        };
        self.state = self.state.next(Input::Bytes { n: DIGEST_LEN, crc });
        Some(DataEnd {
            digest_ok: !crc == u32::from_le_bytes(received),
        })
    }

    /// The user of the PDU found a fault: nothing more is to be received.
    #[cold]
    pub fn end(&mut self) {
        self.state = self.state.next(Input::Fault);
    }
}

#[cfg(test)]
mod tests;
