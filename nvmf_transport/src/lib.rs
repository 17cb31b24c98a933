// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! `nvmf_transport.ko`: queue pairs, capsules and the transport registry of
//! NVMe over Fabrics.
//!
//! Hosts and controllers ask for queue pairs and exchange capsules through the
//! C functions in [`ffi`]; transports such as `nvmf_tcp.ko` register
//! themselves and do the work. Any side may be written in C.
#![no_std]
#![deny(unsafe_code)]

#[allow(unsafe_code)]
pub mod ffi;
pub mod params;
pub mod registry;
