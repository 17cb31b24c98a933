// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Scatter gather list descriptors (Base 4.1.2).
//!
//! NVMe/TCP uses one descriptor per command, in the command itself, and only two of its forms (TCP 3.4).
#![forbid(unsafe_code)]

use super::{FromBytes, Immutable, IntoBytes, KnownLayout, U32, U64, Unaligned, layout};

/// Descriptor types, the high four bits of the identifier byte.
pub mod kind {
    /// Data Block.
    pub const DATA_BLOCK: u8 = 0x0;
    /// Bit Bucket.
    pub const BIT_BUCKET: u8 = 0x1;
    /// Segment.
    pub const SEGMENT: u8 = 0x2;
    /// Last Segment.
    pub const LAST_SEGMENT: u8 = 0x3;
    /// Keyed Data Block.
    pub const KEYED_DATA_BLOCK: u8 = 0x4;
    /// Transport Data Block.
    pub const TRANSPORT_DATA_BLOCK: u8 = 0x5;
}

/// Identifier byte of in-capsule data: Data Block with the offset subtype.
pub const ID_IN_CAPSULE: u8 = 0x01;
/// Identifier byte of a command data buffer that the transport moves: Transport Data Block, transport subtype.
pub const ID_TRANSPORT: u8 = 0x5a;

/// SGL descriptor, 16 bytes.
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
pub struct Sgl {
    /// Address, or offset into the capsule's data.
    pub address: U64,
    /// Length in bytes.
    pub length: U32,
    /// Reserved.
    pub rsvd12: [u8; 3],
    /// SGL Identifier: type in bits 7:4, subtype in bits 3:0.
    pub id: u8,
}
layout!(Sgl, 16, address @ 0, length @ 8, id @ 15);

impl Sgl {
    /// Data that travels in the command capsule, at offset 0.
    pub const fn in_capsule(length: u32) -> Self {
        Self::with_id(ID_IN_CAPSULE, length)
    }

    /// Data that travels in data PDUs; length 0 for a command without data.
    pub const fn transport(length: u32) -> Self {
        Self::with_id(ID_TRANSPORT, length)
    }

    const fn with_id(id: u8, length: u32) -> Self {
        Self {
            address: U64::ZERO,
            length: U32::new(length),
            rsvd12: [0; 3],
            id,
        }
    }

    /// SGL Descriptor Type, see [`kind`].
    pub const fn kind(&self) -> u8 {
        self.id >> 4
    }

    /// SGL Descriptor Sub Type.
    pub const fn subtype(&self) -> u8 {
        self.id & 0xf
    }
}
