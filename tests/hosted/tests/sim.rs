// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A bounded number of simulations. `make sim` runs more.

use std::path::PathBuf;
use std::process::Command;
use std::thread::available_parallelism;

use hosted::sim::campaign::{Campaign, Outcome, total};
use hosted::sim::tables;

/// Five of each kind of trouble.
const SEEDS: u64 = 85;
/// Some that aim at states that do not last, each where chance takes it.
const TOURS: u64 = 8;
/// And some that lead every event to every state; any one of them does.
const GUIDED: u64 = 4;

fn campaign() -> Campaign {
    Campaign {
        program: PathBuf::from(env!("CARGO_BIN_EXE_sim")),
        jobs: available_parallelism().map_or(1, usize::from),
        stop: false,
    }
}

fn all_pass(outcomes: &[Outcome]) {
    for o in outcomes {
        if let Err(e) = &o.result {
            panic!("sim {}\n{e}", o.args.join(" "));
        }
    }
}

fn seed(n: u64) -> Vec<String> {
    vec!["--seed".into(), n.to_string()]
}

#[test]
fn seeds_are_clean_and_every_event_meets_every_state() {
    let tour = |n, kind: &str| [seed(n), vec!["--kind".into(), kind.into()]].concat();
    let tours = (0..TOURS).map(|n| tour(n, "Tour"));
    let guided = (0..GUIDED).map(|n| tour(n, "Guided"));
    let all: Vec<_> = (0..SEEDS).map(seed).chain(tours).chain(guided).collect();
    let outcomes = campaign().run(&all, |_| {});
    all_pass(&outcomes);
    let sum = total(&outcomes);
    let gaps = tables::gaps(&sum);
    assert!(gaps.is_empty(), "{gaps:#?}\n{}", tables::report(&sum));
}

/// Also where the process is loaded elsewhere and moves between processors.
#[test]
fn a_seed_replays_exactly() {
    let all: Vec<_> = (100..117).map(seed).collect();
    for o in campaign().run(&all, |_| {}) {
        let first = o.result.expect("a clean seed");
        let again = Command::new(env!("CARGO_BIN_EXE_sim"))
            .args(&o.args)
            .output()
            .expect("it runs");
        let again = String::from_utf8(again.stdout).expect("text");
        for (name, number) in first {
            let same = again.contains(&format!(" {name} {number}"));
            assert!(same, "{:?}: {name} is {number} once: {again}", o.args);
        }
    }
}

fn sweep(args: &[&str]) {
    let out = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args(args)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{text}");
}

#[test]
fn an_allocation_may_fail_at_each_site() {
    sweep(&["--sites"]);
}

#[test]
fn each_end_may_restart_at_any_segment() {
    sweep(&["--segments", "5"]);
}

#[test]
fn a_connection_may_end_at_any_byte() {
    // A prime: `make sim` comes to other bytes.
    sweep(&["--bytes", "3989"]);
}
