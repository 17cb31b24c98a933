// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The NVMe over Fabrics controller, a front end of ctl(4).
#![no_std]
