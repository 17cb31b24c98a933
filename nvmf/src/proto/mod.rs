// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The protocol half: safe code without kernel calls, which takes bytes and events and returns decisions.
#![forbid(unsafe_code)]

pub mod aer;
pub mod assoc;
pub mod handoff;
pub mod keepalive;
pub mod limits;
pub mod losses;
pub mod ns;
pub mod scan;
pub mod slots;
pub mod spread;
pub mod status;
pub mod timeout;
pub mod unserved;
