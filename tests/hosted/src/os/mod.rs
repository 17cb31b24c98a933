// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the hosted kernel stands on: threads, waiting, clock and connections.
//!
//! The operating system's, unless the thread belongs to the simulator
//! ([`crate::sim`]): then every wait is a decision of its scheduler, the clock
//! is virtual and the network is in memory. The types have the interfaces of
//! their namesakes in std. Code of the hosted kernel that may wait uses these
//! and nothing else; short critical sections that never wait may use std's
//! mutex.

pub mod clock;
pub mod net;
pub mod sync;
pub mod thread;

pub use clock::Instant;
pub use sync::{Condvar, Mutex, MutexGuard};
pub use thread::{JoinHandle, sleep, spawn, spawn_kernel, wait_for};
