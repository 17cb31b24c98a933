// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The NVMe over Fabrics host: `nvmf.ko`.
#![cfg_attr(not(test), no_std)]

pub mod proto;
