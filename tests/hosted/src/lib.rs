// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A hosted kernel: `shim/include` implemented over std, so that the module
//! crates run unchanged in one Unix process, against real TCP sockets.
//!
//! It enforces what the FreeBSD kernel asks for and ends the process with an
//! explanation when a module breaks a rule: sleeping with a mutex held or in a
//! callback that must not sleep, recursion, lock order inversion by lock
//! class, double and late frees, use of an object after its end. What a module
//! leaves behind is found by [`Kernel::shutdown`].
//!
//! The module crates are linked into the process once, so statics of `sys` are
//! shared between modules that have their own copy in a kernel.

pub mod blockdev;
pub mod cam;
pub mod cdev;
pub mod conn;
pub mod console;
pub mod context;
pub mod crc;
pub mod ctl;
pub mod daemon;
pub mod discovery;
pub mod fault;
pub mod handshake;
pub mod initiator;
pub mod kernel;
pub mod lock;
pub mod mbuf;
pub mod mem;
pub mod memdesc;
pub mod middle;
pub mod newbus;
pub mod nv;
pub mod object;
pub mod os;
pub mod responder;
pub mod rounds;
pub mod sim;
mod socket;
pub mod system;
pub mod task;
pub mod time;
pub mod userland;

mod abi;

pub use kernel::Kernel;
pub use rawpeer::{pdu, peer};
