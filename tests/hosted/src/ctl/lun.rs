// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! LUNs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use super::{Io, Work, lock, queue};
use crate::blockdev::{self, Device, RamDisk};
use crate::os::Mutex;

/// How a LUN moves data.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Most bytes of one data move.
    pub chunk: usize,
    /// Bytes of a scatter/gather entry; zero: a flat buffer.
    pub segment: usize,
    /// Buffers may be referred to by mbufs.
    pub by_reference: bool,
    /// Every other data move is asked for in a context that must not sleep.
    pub no_sleep: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            chunk: 128 << 10,
            segment: 16 << 10,
            by_reference: true,
            no_sleep: true,
        }
    }
}

/// A LUN.
pub struct Lun {
    pub(super) device: Arc<dyn Device>,
    pub(super) style: Style,
    /// Commands are kept instead of being executed.
    pub(super) hold: AtomicBool,
    pub(super) held: Mutex<Vec<Io>>,
    pub(super) moves: AtomicI32,
}

impl Lun {
    /// A LUN of `bytes` in memory.
    pub fn new(bytes: usize, style: Style) -> Arc<Self> {
        Self::over(Arc::new(RamDisk::new(bytes)), style)
    }

    /// A LUN over some device.
    pub fn over(device: Arc<dyn Device>, style: Style) -> Arc<Self> {
        Arc::new(Lun {
            device,
            style,
            hold: AtomicBool::new(false),
            held: Mutex::default(),
            moves: AtomicI32::new(0),
        })
    }

    /// What is there, whatever that takes.
    pub fn contents(&self, at: usize, len: usize) -> Vec<u8> {
        blockdev::read_all(&*self.device, at, len).expect("a device that can be read")
    }

    /// Keeps commands until it is called again with false.
    pub fn hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::Release);
        if !hold {
            for io in std::mem::take(&mut *lock(&self.held)) {
                queue(Work::Run(io));
            }
        }
    }

    /// How many commands are kept.
    pub fn held(&self) -> usize {
        lock(&self.held).len()
    }
}
