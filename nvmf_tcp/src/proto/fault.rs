// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What ends a connection: faults of the peer's that a Terminate Connection Request reports, or that close in silence.
#![forbid(unsafe_code)]

use core::fmt;

use sys::wire::tcp::{Fes, fei};

/// Why a PDU ends the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Send a Terminate Connection Request, wait for the peer to close.
    Fatal(PduError),
    /// A malformed Terminate Connection Request: it is never answered with another one (TCP 3.5, D-44), close at once.
    Silent,
}

/// A fatal error with the fields of the Terminate Connection Request that reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PduError {
    /// Fatal Error Status.
    pub fes: Fes,
    /// Fatal Error Information.
    pub fei: u32,
    /// What happened, for messages.
    pub kind: Kind,
}

/// What is wrong with a PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unknown type, or one that our peer may not send.
    PduType(u8),
    /// ICReq or ICResp on a connection that is already initialized.
    InitializeConnection,
    /// Flags reserved for the type, or at odds with what was negotiated.
    Flags(u8),
    /// Not the header length of the type.
    Hlen(u8),
    /// Data offset inside the header, beyond the end, or misaligned.
    Pdo(u8),
    /// Length less than that of the header, or more than we take.
    Plen(u32),
    /// No room for data before the data digest.
    TooShortForDigest(u32),
    /// Data in a PDU of a type that has none.
    UnexpectedData(u32),
    /// Header digest mismatch.
    HeaderDigest,
    /// No command with this CID is in a state to have data transferred that way.
    UnknownCid(u16),
    /// No transfer with this tag.
    UnknownTtag(u16),
    /// The tag is that of another command's transfer.
    ForeignTtag(u16),
    /// DATAL or R2TL is zero, or not the length of the payload.
    DataLength(u32),
    /// Data outside the command's or the request's range.
    Range {
        /// DATAO or R2TO.
        offset: u32,
        /// DATAL or R2TL.
        len: u32,
    },
    /// Not the offset that follows what was transferred before.
    Order {
        /// DATAO or R2TO.
        offset: u32,
        /// The offset that follows.
        expected: u32,
    },
    /// LAST_PDU is set before the end or clear at the end.
    LastFlag,
    /// More payload than MAXH2CDATA.
    DataLimit(u32),
    /// More R2Ts for a command than MAXR2T.
    R2tLimit,
}

impl PduError {
    /// An invalid header field at an offset.
    #[cold]
    pub const fn field(fei: u32, kind: Kind) -> Self {
        Self {
            fes: Fes::InvalidHeaderField,
            fei,
            kind,
        }
    }

    /// A fault whose FEI is reserved.
    #[cold]
    pub const fn other(fes: Fes, kind: Kind) -> Self {
        Self { fes, fei: 0, kind }
    }

    /// A header digest mismatch.
    #[cold]
    pub const fn header_digest(received: u32) -> Self {
        Self {
            fes: Fes::HeaderDigest,
            fei: received,
            kind: Kind::HeaderDigest,
        }
    }

    /// A CCCID that names no command with data to be moved that way.
    #[cold]
    pub const fn cccid(cid: u16) -> Self {
        Self::field(fei::CCCID, Kind::UnknownCid(cid))
    }

    /// A response for a command that is not outstanding.
    #[cold]
    pub const fn response_cid(cid: u16) -> Self {
        // The CQE starts at byte 8 of the PDU, the CID at byte 12 of the CQE.
        Self::field(8 + 12, Kind::UnknownCid(cid))
    }
}

impl From<PduError> for Fault {
    fn from(e: PduError) -> Self {
        Self::Fatal(e)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::PduType(v) => write!(f, "Invalid PDU type {v}"),
            Self::InitializeConnection => f.write_str("Received Initialize Connection PDU"),
            Self::Flags(v) => write!(f, "Invalid PDU header flags {v:#x}"),
            Self::Hlen(v) => write!(f, "Invalid PDU header length {v}"),
            Self::Pdo(v) => write!(f, "Invalid PDU data offset {v}"),
            Self::Plen(v) => write!(f, "Invalid PDU length {v}"),
            Self::TooShortForDigest(v) => write!(f, "PDU {v} too short for digest"),
            Self::UnexpectedData(v) => write!(f, "PDU with data length {v}"),
            Self::HeaderDigest => f.write_str("Header digest mismatch"),
            Self::UnknownCid(v) => write!(f, "Invalid CID {v}"),
            Self::UnknownTtag(v) => write!(f, "Invalid TTAG {v}"),
            Self::ForeignTtag(v) => write!(f, "TTAG {v} of another command"),
            Self::DataLength(v) => write!(f, "Invalid data length {v}"),
            Self::Range { offset, len } => write!(f, "Data {offset}+{len} out of range"),
            Self::Order { offset, expected } => {
                write!(f, "Data offset {offset}, expected {expected}")
            }
            Self::LastFlag => f.write_str("LAST_PDU flag at odds with data"),
            Self::DataLimit(v) => write!(f, "Data length {v} exceeds MAXH2CDATA"),
            Self::R2tLimit => f.write_str("More R2Ts than MAXR2T"),
        }
    }
}
