// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The protocol half: what the controller answers and when, without a kernel.
#![forbid(unsafe_code)]

pub mod admin;
pub mod aer;
pub mod cid;
pub mod connect;
pub mod controller;
pub mod features;
pub mod identify;
pub mod log;
pub mod ns;
pub mod port_args;
pub mod stats;
pub mod xml;
