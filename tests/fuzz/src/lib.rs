// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Fuzz targets for the protocol halves of the modules.
//!
//! A target is a function of bytes that panics when something is wrong. It feeds the real protocol half as the kernel
//! half does, and checks what comes back against a model of its own, so that it finds wrong answers and not only panics.
//! `libfuzzer` beside this crate drives the targets with coverage; the tests here replay the seeds and damaged copies of
//! them with any compiler.
#![forbid(unsafe_code)]

pub mod admin;
pub mod burst;
pub mod digest;
pub mod handoff;
pub mod host_data;
pub mod input;
pub mod rx_split;
pub mod seeds;
pub mod stream;
pub mod tcp_controller;
pub mod tcp_host;

use std::path::Path;
use std::{fs, io};

/// A fuzz target.
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&[u8]),
    /// Inputs from valid exchanges.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: [Target; 7] = [
    Target {
        name: "tcp_controller",
        run: tcp_controller::run,
        seeds: seeds::tcp_controller,
    },
    Target {
        name: "tcp_host",
        run: tcp_host::run,
        seeds: seeds::tcp_host,
    },
    Target {
        name: "handoff",
        run: handoff::run,
        seeds: seeds::handoff,
    },
    Target {
        name: "admin",
        run: admin::run,
        seeds: seeds::admin,
    },
    Target {
        name: "rx_split",
        run: rx_split::run,
        seeds: seeds::rx_split,
    },
    Target {
        name: "host_data",
        run: host_data::run,
        seeds: seeds::host_data,
    },
    Target {
        name: "burst",
        run: burst::run,
        seeds: seeds::burst,
    },
];

/// Writes the seeds of all targets, each into a folder of its own.
pub fn write_seeds(out: &Path) -> io::Result<()> {
    for target in &TARGETS {
        let folder = out.join(target.name);
        fs::create_dir_all(&folder)?;
        for (i, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{i:02}")), seed)?;
        }
    }
    Ok(())
}
