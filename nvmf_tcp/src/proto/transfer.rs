// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The data of one command, as the host tracks it (TCP 3.4).
//!
//! There is one [`Transfer`] per command identifier, idle while no command uses it. A data PDU or R2T that the state
//! has no place for is a fault of the controller's, reported before a byte of it is copied or sent. Offsets and lengths
//! are 32 bits on the wire and are added in 64 (D-6).
#![forbid(unsafe_code)]

use sys::wire::Status;
use sys::wire::tcp::{Fes, fei};

use super::fault::{Kind, PduError};
use super::pdu::{DataPdu, R2tPdu};

/// Where the data of a command is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transfer {
    /// No command has this identifier.
    #[default]
    Idle,
    /// A command without data, or whose data went with it, or that has received all of its data: only a response can
    /// come.
    Settled {
        /// A data digest was wrong.
        poisoned: bool,
    },
    /// A command that is to receive data.
    Read {
        /// Bytes that the command asked for.
        len: u32,
        /// Bytes that came, all of them from offset 0 on.
        got: u32,
        /// A data digest was wrong: the command fails, but its data is tracked to its end, so that what still comes is
        /// not taken for a fault (F14).
        poisoned: bool,
    },
    /// A command whose data the controller asks for.
    Write {
        /// Bytes that the command offers.
        len: u32,
        /// Bytes that the controller asked for, all of them from offset 0 on.
        granted: u32,
        /// R2Ts that were not answered in full.
        outstanding: u32,
    },
}

/// How the data of a command stands when its response comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No such command: the controller completed what was never sent, or completed it twice.
    Unknown,
    /// There was no data, or its callback ran when the last of it came.
    Settled,
    /// The data ends here, after `moved` bytes. `failed`: the command was reported successful although data is missing
    /// (D-31), or data that came was damaged; its data callback gets an error.
    Ended {
        /// Bytes that were transferred.
        moved: u32,
        /// The data callback gets an error.
        failed: bool,
    },
}

/// What the end of a C2HData PDU means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum C2hEnd {
    /// More is to come.
    More,
    /// All the data of the command came.
    Complete {
        /// Some of it was damaged: the data callback gets an error.
        poisoned: bool,
        /// The PDU stood for the response: deliver one with this status, which is an error if data was damaged (D-32).
        response: Option<Status>,
    },
}

impl Transfer {
    /// A command without data, or with data in its capsule.
    pub const fn settled() -> Self {
        Self::Settled { poisoned: false }
    }

    /// A command that receives `len` bytes.
    pub const fn read(len: u32) -> Self {
        match len {
            0 => Self::settled(),
            _ => Self::Read {
                len,
                got: 0,
                poisoned: false,
            },
        }
    }

    /// A command that offers `len` bytes for R2Ts to ask for.
    pub const fn write(len: u32) -> Self {
        match len {
            0 => Self::settled(),
            _ => Self::Write {
                len,
                granted: 0,
                outstanding: 0,
            },
        }
    }

    /// Whether a command uses this identifier.
    #[inline]
    pub const fn is_active(&self) -> bool {
        !matches!(self, Self::Idle)
    }

    /// Judges the header of a C2HData PDU. If it is good, its payload belongs at offset DATAO of the command's data.
    #[inline]
    pub fn c2h_data(&mut self, d: &DataPdu) -> Result<(), PduError> {
        let Self::Read { len, got, .. } = self else {
            return Err(self.unexpected(d.cccid));
        };
        if d.datal != d.payload || d.datal == 0 {
            return Err(PduError::field(fei::DATAL, Kind::DataLength(d.datal)));
        }
        let end = u64::from(d.datao) + u64::from(d.datal);
        if end > u64::from(*len) {
            return Err(out_of_range(d.datao, d.datal));
        }
        if d.datao != *got {
            return Err(out_of_order(d.datao, *got));
        }
        if d.last != (end == u64::from(*len)) {
            return Err(PduError::other(Fes::SequenceError, Kind::LastFlag));
        }
        // Cannot overflow: the end is not beyond the length.
        *got = d.datao.saturating_add(d.datal);
        Ok(())
    }

    /// C2HData for a command that does not wait for data: one that is not outstanding is unknown, data for any other
    /// is unexpected (TCP 3.3.2.1).
    #[cold]
    fn unexpected(&self, cccid: u16) -> PduError {
        match self {
            Self::Idle => PduError::cccid(cccid),
            Self::Read { .. } | Self::Write { .. } | Self::Settled { .. } => {
                PduError::other(Fes::SequenceError, Kind::UnknownCid(cccid))
            }
        }
    }

    /// The payload of a C2HData PDU, whose header was good, is complete.
    #[inline]
    pub fn c2h_end(&mut self, d: &DataPdu, digest_ok: bool) -> C2hEnd {
        let Self::Read { poisoned, .. } = self else {
            return C2hEnd::More;
        };
        *poisoned |= !digest_ok;
        if !d.last {
            return C2hEnd::More;
        }
        let poisoned = *poisoned;
        if d.success {
            *self = Self::Idle;
            let status = if poisoned {
                Status::TRANSIENT_TRANSPORT_ERROR
            } else {
                Status::SUCCESS
            };
            C2hEnd::Complete {
                poisoned,
                response: Some(status),
            }
        } else {
            *self = Self::Settled { poisoned };
            C2hEnd::Complete {
                poisoned,
                response: None,
            }
        }
    }

    /// Judges an R2T. If it is good, R2TL bytes from offset R2TO are to be sent, and [`Transfer::r2t_done`] called when
    /// they were. `max_r2t` is the number of R2Ts that we allow to be outstanding.
    #[inline]
    pub fn r2t(&mut self, r: &R2tPdu, max_r2t: u32) -> Result<(), PduError> {
        let Self::Write {
            len,
            granted,
            outstanding,
        } = self
        else {
            return Err(PduError::cccid(r.cccid));
        };
        if r.r2to != *granted {
            return Err(out_of_order(r.r2to, *granted));
        }
        let end = u64::from(r.r2to) + u64::from(r.r2tl);
        if end > u64::from(*len) {
            return Err(out_of_range(r.r2to, r.r2tl));
        }
        if r.r2tl == 0 {
            return Err(PduError::field(fei::DATAL, Kind::DataLength(0)));
        }
        if *outstanding >= max_r2t {
            return Err(PduError::other(Fes::LimitExceeded, Kind::R2tLimit));
        }
        *outstanding += 1;
        // Cannot overflow: the end is not beyond the length.
        *granted = r.r2to.saturating_add(r.r2tl);
        Ok(())
    }

    /// The data that an R2T asked for was handed to the socket.
    #[inline]
    pub fn r2t_done(&mut self) {
        if let Self::Write { outstanding, .. } = self {
            *outstanding = outstanding.saturating_sub(1);
        }
    }

    /// The response came, or the command is given up: the identifier is idle again.
    #[inline]
    pub fn response(&mut self, success: bool) -> Outcome {
        match core::mem::take(self) {
            Self::Idle => Outcome::Unknown,
            Self::Settled { .. } => Outcome::Settled,
            Self::Read { got, poisoned, .. } => Outcome::Ended {
                moved: got,
                failed: success || poisoned,
            },
            Self::Write { len, granted, .. } => Outcome::Ended {
                moved: granted,
                failed: success && granted < len,
            },
        }
    }
}

#[cold]
pub(super) const fn out_of_range(offset: u32, len: u32) -> PduError {
    PduError::other(Fes::OutOfRange, Kind::Range { offset, len })
}

#[cold]
pub(super) const fn out_of_order(offset: u32, expected: u32) -> PduError {
    PduError::other(Fes::SequenceError, Kind::Order { offset, expected })
}

#[cfg(test)]
mod tests;
