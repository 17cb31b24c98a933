// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A deterministic simulator: the hosted kernel with a seeded scheduler, a
//! virtual clock and a network in memory, in one process per seed.

pub mod alloc;
pub mod brake;
pub mod campaign;
pub mod guided;
pub mod model;
pub mod net;
pub mod plan;
pub mod sched;
pub mod tables;
pub mod target;
pub mod tours;
pub mod visitors;
pub mod workload;

use std::sync::atomic::{AtomicU64, Ordering};

static SEED: AtomicU64 = AtomicU64::new(u64::MAX);

/// Remembers the seed for messages.
pub fn set_seed(seed: u64) {
    SEED.store(seed, Ordering::Relaxed);
}

/// After a failure: how it can be had again.
pub fn say_how_to_repeat() {
    let seed = SEED.load(Ordering::Relaxed);
    if seed != u64::MAX {
        let now = sched::now_us().unwrap_or(0);
        eprintln!("simulator: seed {seed}, at {now} us: repeat with make sim SEED={seed}");
    }
}

/// The frames of this project in the backtrace of the calling thread.
pub fn short_backtrace() -> String {
    let text = std::backtrace::Backtrace::force_capture().to_string();
    let mut lines = text.lines().peekable();
    let mut out = String::new();
    while let Some(line) = lines.next() {
        let place = lines.next_if(|l| l.trim_start().starts_with("at "));
        let name = line.split_once(": ").map_or(line, |(_, n)| n).trim();
        let ours = ["nvmf", "sys::", "hosted::", "nvrs_"];
        let inside = name.contains("sim::sched") || name.contains("short_backtrace");
        if ours.iter().any(|o| name.contains(o)) && !inside {
            let place = place.map_or("", |p| p.trim());
            out += &format!("    {name} {place}\n");
        }
    }
    out
}
