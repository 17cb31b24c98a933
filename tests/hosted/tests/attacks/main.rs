// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Hostile peers: raw PDUs against a controller's and a host's queue pair.
//! FES and FEI are those of the NVMe/TCP specification; see
//! `nvmf_tcp/src/proto`.

mod cases;
mod on_controller;
mod on_host;
mod streams;
