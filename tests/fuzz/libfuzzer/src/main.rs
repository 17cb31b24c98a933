// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! libFuzzer on the target that `FUZZ_TARGET` names. With `FUZZ_SEEDS` it writes the seeds of all targets into that
//! folder and prints the targets' names.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;
use std::{env, process};

use libfuzzer_sys::fuzz_target;

static RUN: OnceLock<fn(&[u8])> = OnceLock::new();

fn choose() -> fn(&[u8]) {
    let names = || fuzz::TARGETS.map(|t| t.name).join(" ");
    if let Ok(folder) = env::var("FUZZ_SEEDS") {
        if let Err(e) = fuzz::write_seeds(Path::new(&folder)) {
            eprintln!("{folder}: {e}");
            process::exit(1);
        }
        println!("{}", names());
        process::exit(0);
    }
    let name = env::var("FUZZ_TARGET").unwrap_or_default();
    match fuzz::TARGETS.iter().find(|t| t.name == name) {
        Some(target) => target.run,
        None => {
            eprintln!("FUZZ_TARGET is not one of: {}", names());
            process::exit(2);
        }
    }
}

fuzz_target!(
    init: {
        RUN.get_or_init(choose);
    },
    |data: &[u8]| {
        (RUN.get_or_init(choose))(data)
    }
);
