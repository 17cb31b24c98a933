// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Wire formats of NVMe, NVMe over Fabrics and NVMe/TCP.
//!
//! Every type is a `#[repr(C)]` view of bytes: no padding, alignment 1, little-endian fields, any bit pattern valid.
//! Section numbers are those of the NVM Express Base Specification 2.0 ("Base"), the NVM Command Set
//! Specification 1.0 ("NVM") and the NVMe/TCP Transport Specification 1.0 ("TCP") unless another one is named.
//!
//! Types of 512 bytes and more are neither `Copy` nor `Clone`: they are viewed in place, over a heap buffer, with
//! `ref_from_bytes` and `mut_from_bytes`, because a kernel stack is too small for them.
#![forbid(unsafe_code)]

pub mod cqe;
pub mod fabrics;
pub mod feature;
pub mod identify;
pub mod log;
pub mod nqn;
pub mod sgl;
pub mod sqe;
pub mod status;
pub mod tcp;

pub use cqe::Cqe;
pub use sgl::Sgl;
pub use sqe::Sqe;
pub use status::Status;

pub use zerocopy::byteorder::little_endian::{U16, U32, U64, U128};
pub use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Checks at build time the size of a wire type and the offset of its fields.
macro_rules! layout {
    ($t:ty, $size:literal $(, $field:ident @ $off:literal)* $(,)?) => {
        static_assertions::const_assert_eq!(core::mem::size_of::<$t>(), $size);
        static_assertions::const_assert_eq!(core::mem::align_of::<$t>(), 1);
        $(static_assertions::const_assert_eq!(memoffset::offset_of!($t, $field), $off);)*
    };
}
pub(crate) use layout;

/// The namespace identifier that means every namespace.
pub const NSID_ALL: u32 = 0xffff_ffff;
