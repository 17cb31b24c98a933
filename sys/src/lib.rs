// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! NVMe over Fabrics wire formats and safe wrappers over the FreeBSD kernel shim.
#![no_std]
