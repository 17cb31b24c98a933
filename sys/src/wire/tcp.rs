// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! NVMe/TCP PDU headers (TCP 3.6).
#![forbid(unsafe_code)]

use super::{Cqe, FromBytes, Immutable, IntoBytes, KnownLayout, Sqe, U16, U32, Unaligned, layout};

/// PDU types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PduType {
    /// Initialize Connection Request.
    IcReq = 0x00,
    /// Initialize Connection Response.
    IcResp = 0x01,
    /// Host to Controller Terminate Connection Request.
    H2cTermReq = 0x02,
    /// Controller to Host Terminate Connection Request.
    C2hTermReq = 0x03,
    /// Command Capsule.
    CapsuleCmd = 0x04,
    /// Response Capsule.
    CapsuleResp = 0x05,
    /// Host to Controller Data.
    H2cData = 0x06,
    /// Controller to Host Data.
    C2hData = 0x07,
    /// Ready to Transfer.
    R2t = 0x09,
}

impl TryFrom<u8> for PduType {
    type Error = u8;

    #[inline]
    fn try_from(v: u8) -> Result<Self, u8> {
        Ok(match v {
            0x00 => Self::IcReq,
            0x01 => Self::IcResp,
            0x02 => Self::H2cTermReq,
            0x03 => Self::C2hTermReq,
            0x04 => Self::CapsuleCmd,
            0x05 => Self::CapsuleResp,
            0x06 => Self::H2cData,
            0x07 => Self::C2hData,
            0x09 => Self::R2t,
            _ => return Err(v),
        })
    }
}

impl PduType {
    /// Size of the header of this type, header digest not counted.
    #[inline]
    pub const fn hlen(self) -> u8 {
        match self {
            Self::IcReq | Self::IcResp => 128,
            Self::CapsuleCmd => 72,
            Self::H2cTermReq
            | Self::C2hTermReq
            | Self::CapsuleResp
            | Self::H2cData
            | Self::C2hData
            | Self::R2t => 24,
        }
    }

    /// Whether a host sends it: even types go from host to controller, odd ones the other way.
    #[inline]
    pub const fn is_from_host(self) -> bool {
        self as u8 & 1 == 0
    }
}

bitflags::bitflags! {
    /// Flags of the common header.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct PduFlags: u8 {
        /// A header digest follows the header.
        const HDGST = 1 << 0;
        /// A data digest follows the data.
        const DDGST = 1 << 1;
        /// H2CData and C2HData: last PDU of the transfer.
        const LAST = 1 << 2;
        /// C2HData: the command completed successfully and no response capsule will follow.
        const SUCCESS = 1 << 3;
    }
}

/// Fatal Error Status of a Terminate Connection Request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Fes {
    /// Invalid PDU Header Field; FEI is the offset of the field.
    InvalidHeaderField = 0x01,
    /// PDU Sequence Error.
    SequenceError = 0x02,
    /// Header Digest Error; FEI is the digest received.
    HeaderDigest = 0x03,
    /// Data Transfer Out of Range.
    OutOfRange = 0x04,
    /// Data Transfer Limit Exceeded, or R2T Limit Exceeded.
    LimitExceeded = 0x05,
    /// Unsupported Parameter; FEI is the offset of the field.
    UnsupportedParameter = 0x06,
}

impl TryFrom<u16> for Fes {
    type Error = u16;

    fn try_from(v: u16) -> Result<Self, u16> {
        Ok(match v {
            1 => Self::InvalidHeaderField,
            2 => Self::SequenceError,
            3 => Self::HeaderDigest,
            4 => Self::OutOfRange,
            5 => Self::LimitExceeded,
            6 => Self::UnsupportedParameter,
            _ => return Err(v),
        })
    }
}

/// Common header, 8 bytes.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct CommonHeader {
    /// PDU type.
    pub pdu_type: u8,
    /// Flags, see [`PduFlags`].
    pub flags: u8,
    /// Header length, header digest not counted.
    pub hlen: u8,
    /// Offset of the data in the PDU.
    pub pdo: u8,
    /// Length of the whole PDU.
    pub plen: U32,
}
layout!(CommonHeader, 8, pdu_type @ 0, flags @ 1, hlen @ 2, pdo @ 3, plen @ 4);

impl CommonHeader {
    /// Size in bytes.
    pub const LEN: usize = 8;
}

/// Initialize Connection Request.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct IcReq {
    /// Common header.
    pub ch: CommonHeader,
    /// PDU Format Version, 0.
    pub pfv: U16,
    /// Host PDU Data Alignment, (HPDA + 1) * 4 bytes.
    pub hpda: u8,
    /// Digests: bit 0 header, bit 1 data.
    pub dgst: u8,
    /// Maximum outstanding R2Ts per command, 0's based.
    pub maxr2t: U32,
    /// Reserved.
    pub rsvd16: [u8; 112],
}
layout!(IcReq, 128, pfv @ 8, hpda @ 10, dgst @ 11, maxr2t @ 12);

/// Initialize Connection Response.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct IcResp {
    /// Common header.
    pub ch: CommonHeader,
    /// PDU Format Version, 0.
    pub pfv: U16,
    /// Controller PDU Data Alignment, (CPDA + 1) * 4 bytes.
    pub cpda: u8,
    /// Digests: bit 0 header, bit 1 data.
    pub dgst: u8,
    /// Maximum H2CData payload, at least 4096 and a multiple of 4.
    pub maxh2cdata: U32,
    /// Reserved.
    pub rsvd16: [u8; 112],
}
layout!(IcResp, 128, pfv @ 8, cpda @ 10, dgst @ 11, maxh2cdata @ 12);

/// Terminate Connection Request; up to 128 bytes of the offending header follow.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct TermReq {
    /// Common header.
    pub ch: CommonHeader,
    /// Fatal Error Status.
    pub fes: U16,
    /// Fatal Error Information.
    pub fei: U32,
    /// Reserved.
    pub rsvd14: [u8; 10],
}
layout!(TermReq, 24, fes @ 8, fei @ 10);

/// Most bytes of an offending header in a Terminate Connection Request.
pub const TERM_REQ_DATA_MAX: usize = 128;
/// Most bytes in a Terminate Connection Request.
pub const TERM_REQ_LEN_MAX: usize = 24 + TERM_REQ_DATA_MAX;

/// Command Capsule header.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CapsuleCmd {
    /// Common header.
    pub ch: CommonHeader,
    /// Submission queue entry.
    pub sqe: Sqe,
}
layout!(CapsuleCmd, 72, sqe @ 8);

/// Response Capsule.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct CapsuleResp {
    /// Common header.
    pub ch: CommonHeader,
    /// Completion queue entry.
    pub cqe: Cqe,
}
layout!(CapsuleResp, 24, cqe @ 8);

/// Header of H2CData, and of C2HData, which has no TTAG.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct DataHeader {
    /// Common header.
    pub ch: CommonHeader,
    /// Command Capsule CID.
    pub cccid: U16,
    /// Transfer Tag; reserved in C2HData.
    pub ttag: U16,
    /// Data Offset from the start of the command's data.
    pub datao: U32,
    /// Data Length.
    pub datal: U32,
    /// Reserved.
    pub rsvd20: [u8; 4],
}
layout!(DataHeader, 24, cccid @ 8, ttag @ 10, datao @ 12, datal @ 16);

/// Ready to Transfer.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct R2t {
    /// Common header.
    pub ch: CommonHeader,
    /// Command Capsule CID.
    pub cccid: U16,
    /// Transfer Tag.
    pub ttag: U16,
    /// Requested Data Offset.
    pub r2to: U32,
    /// Requested Data Length.
    pub r2tl: U32,
    /// Reserved.
    pub rsvd20: [u8; 4],
}
layout!(R2t, 24, cccid @ 8, ttag @ 10, r2to @ 12, r2tl @ 16);

/// Byte offsets of header fields, as FEI reports them.
pub mod fei {
    /// PDU type.
    pub const PDU_TYPE: u32 = 0;
    /// Flags.
    pub const FLAGS: u32 = 1;
    /// HLEN.
    pub const HLEN: u32 = 2;
    /// PDO.
    pub const PDO: u32 = 3;
    /// PLEN.
    pub const PLEN: u32 = 4;
    /// CCCID of H2CData, C2HData and R2T.
    pub const CCCID: u32 = 8;
    /// TTAG of H2CData and R2T.
    pub const TTAG: u32 = 10;
    /// DATAO, R2TO.
    pub const DATAO: u32 = 12;
    /// DATAL, R2TL.
    pub const DATAL: u32 = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_round_trip() {
        for v in 0..=255u8 {
            match PduType::try_from(v) {
                Ok(t) => assert_eq!((t as u8, t.is_from_host()), (v, v % 2 == 0)),
                Err(e) => assert!(e == v && (v == 8 || v > 9)),
            }
        }
        for v in 0..=65535u16 {
            assert_eq!(Fes::try_from(v).is_ok(), (1..=6).contains(&v));
        }
    }

    #[test]
    fn header_sizes() {
        assert_eq!(
            usize::from(PduType::CapsuleCmd.hlen()),
            size_of::<CapsuleCmd>()
        );
        assert_eq!(usize::from(PduType::R2t.hlen()), size_of::<R2t>());
        assert_eq!(usize::from(PduType::IcReq.hlen()), size_of::<IcReq>());
    }
}
