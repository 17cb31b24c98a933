// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! One end of an NVMe/TCP connection, byte by byte. Nothing here knows the
//! code under test: it is what tests and tools measure that code with.

pub mod channel;
pub mod crc;
pub mod pdu;
pub mod peer;
