// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! `nvmf_tcp.ko`: NVMe/TCP over kernel sockets.
//!
//! [`proto`] is the protocol half: pure, safe, no kernel calls. Around it:
//! [`qpair`] makes and ends queue pairs; [`receiver`] is the receive thread;
//! [`tx`] sends; [`pdu_out`] assembles what is sent; [`host`] and
//! [`controller`] move the data of commands.
#![no_std]
#![deny(unsafe_code)]

pub mod controller;
#[allow(unsafe_code)]
pub mod ffi;
pub mod host;
pub mod pdu_out;
pub mod proto;
pub mod qpair;
pub mod receiver;
pub mod tx;
