// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The NVMe over Fabrics controller, a front end of ctl(4).
#![cfg_attr(not(test), no_std)]

pub mod proto;
