// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! NVMe over Fabrics wire formats and safe wrappers over the FreeBSD kernel shim.
#![no_std]

pub mod bio;
pub mod cam;
pub mod cdev;
pub mod conn;
pub mod context;
pub mod crc;
pub mod ctl;
pub mod errno;
pub mod ffi;
pub mod log;
pub mod mbuf;
pub mod mem;
pub mod memdesc;
pub mod newbus;
pub mod nv;
pub mod record;
pub mod sync;
pub mod task;
pub mod time;
pub mod xport;

pub use context::{CanSleep, Wait};
pub use errno::{Errno, Result};
pub use sync::Global;
pub mod wire;
