// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Queue pairs, capsules and the transport registry of NVMe over Fabrics.
#![no_std]
