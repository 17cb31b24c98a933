// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A conformance and attack tool for NVMe/TCP: a scripted host against any
//! controller, and a scripted controller against any host, byte by byte.
//!
//! Every case has a name, the rule that it is about, the clause that decides
//! and what must come. "TCP" is the NVMe/TCP Transport Specification 1.0,
//! "Base" the NVM Express Base Specification 2.0, "NVM" the NVM Command Set
//! Specification 1.0.

pub mod args;
pub mod bench;
pub mod case;
pub mod conn;
pub mod controller;
pub mod dial;
pub mod honest;
pub mod host;
pub mod judge;
pub mod link;
pub mod report;
pub mod series;
pub mod sqe;
