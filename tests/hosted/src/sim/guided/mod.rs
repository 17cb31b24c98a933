// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Guided tours: every event meets every state that it can meet, in every
//! run, because [brakes](super::brake) make the states last.

pub mod associations;
pub mod controllers;
pub mod data;
pub mod disks;
pub mod slots;

use super::brake::Brake;
use super::tables::{self, Of};
use crate::os::{self, JoinHandle, wait_for};

fn in_background(f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    os::spawn("tour", f).expect("a thread")
}

/// After `f`, an event meets a state once more.
fn meets<R>(of: Of, state: &str, event: &str, f: impl FnOnce() -> R) -> R {
    let before = tables::met(of, state, event);
    let r = f();
    wait_for(&format!("{event} in {state}"), || {
        tables::met(of, state, event) > before
    });
    r
}

/// Whoever leads to a state next stops there.
fn stop_at(of: Of, state: &'static str) -> Brake {
    stop_thread_at("", of, state)
}

/// A thread stops once somebody has led to a state.
fn stop_thread_at(thread: &'static str, of: Of, state: &'static str) -> Brake {
    let before = tables::entered(of, state);
    Brake::once(thread, move || tables::entered(of, state) > before)
}

/// All that can come up did.
fn complete(of: Of) {
    for (state, event) in tables::possible(of) {
        assert_ne!(tables::met(of, state, event), 0, "{event} in {state}");
    }
}
