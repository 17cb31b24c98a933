// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The NVMe over Fabrics host: `nvmf.ko`.
//!
//! - [`host`] is the module with `/dev/nvmf`; [`controller`] is what lives as long as a device `nvmeX`.
//! - [`link`] is one association with its [`qpair`]s; [`assoc`] makes and remakes it, [`detach`] ends it.
//! - [`queues`] are the queue pairs for I/O, as processors find them.
//! - [`abort`] deals with commands that take too long.
//! - [`sim`] serves CAM, [`node`] the devices `nvmeXnY`, [`ctldev`] the device `nvmeX`.
//! - [`proto`] decides; it knows nothing of the kernel.
#![cfg_attr(not(test), no_std)]

pub mod abort;
pub mod assoc;
pub mod controller;
pub mod ctldev;
pub mod detach;
pub mod events;
pub mod ffi;
pub mod host;
pub mod link;
pub mod name;
pub mod node;
pub mod nvlist;
pub mod passthru;
pub mod proto;
pub mod qpair;
pub mod queues;
pub mod scan;
pub mod sim;
pub mod sync;
pub mod timers;
