// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The binary interface of `nvmf_transport.ko`.
//!
//! [`consumer`] is what a host or a controller uses; [`provider`] is what a
//! transport implements. The layouts are in `shim/include/nvrs_xport.h`.

pub mod consumer;
pub mod provider;

pub use consumer::{Capsule, DataDone, IoOwner, IoTag, Qpair, QpairHandler, SendOutcome};
pub use provider::{
    ActiveCmd, ActiveSlot, CapList, CapRef, CapsuleObj, DataRef, IoRequest, QpairObj, Transport,
};

/// Transport type of TCP.
pub const TRTYPE_TCP: u32 = 3;

#[cfg(target_pointer_width = "64")]
mod layout {
    use crate::ffi::{nvmf_capsule, nvmf_io_request, nvmf_qpair, nvmf_transport_ops};
    use memoffset::offset_of;
    use static_assertions::const_assert_eq;

    const_assert_eq!(size_of::<nvmf_io_request>(), 48);
    const_assert_eq!(offset_of!(nvmf_io_request, io_len), 24);
    const_assert_eq!(size_of::<nvmf_capsule>(), 128);
    const_assert_eq!(offset_of!(nvmf_capsule, nc_qe_len), 72);
    const_assert_eq!(offset_of!(nvmf_capsule, nc_sqhd_valid), 76);
    const_assert_eq!(offset_of!(nvmf_capsule, nc_send_data), 77);
    const_assert_eq!(offset_of!(nvmf_capsule, nc_data), 80);
    const_assert_eq!(size_of::<nvmf_qpair>(), 64);
    const_assert_eq!(offset_of!(nvmf_qpair, nq_receive), 24);
    const_assert_eq!(offset_of!(nvmf_qpair, nq_admin), 56);
    const_assert_eq!(size_of::<nvmf_transport_ops>(), 80);
    const_assert_eq!(offset_of!(nvmf_transport_ops, trtype), 72);
    const_assert_eq!(offset_of!(nvmf_transport_ops, priority), 76);
}
