// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The NVMe over Fabrics controller, a front end of ctl(4).
//!
//! [`proto`] decides what is answered, without a kernel; the other modules carry it out: [`module`] holds the
//! ports, a [`port`] its controllers, a [`controller`] its queues, and a [`qpair`] the connection.
#![cfg_attr(not(test), no_std)]

pub mod commands;
pub mod controller;
pub mod ffi;
pub mod handoff;
pub mod module;
pub mod port;
pub mod proto;
pub mod qpair;
