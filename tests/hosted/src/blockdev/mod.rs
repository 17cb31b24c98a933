// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Block devices under the LUNs of the hosted CTL.

mod faulty;
mod file;
mod ram;

pub use faulty::{Faulty, Rule, What};
pub use file::SparseFile;
pub use ram::RamDisk;

use std::time::Duration;

use sys::Errno;

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Of some bytes.
    Read,
    /// Of some bytes.
    Write,
    /// Of all that was written.
    Flush,
    /// Blocks are to read as zeroes.
    Zero,
}

/// Bytes that stay.
pub trait Device: Send + Sync {
    /// How many there are.
    fn bytes(&self) -> usize;

    /// Reads; perhaps less than asked for.
    fn read(&self, at: usize, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Writes; perhaps less than asked for.
    fn write(&self, at: usize, data: &[u8]) -> Result<usize, Errno>;

    /// What was written is safe.
    fn flush(&self) -> Result<(), Errno>;

    /// These bytes read as zeroes, and take no room where that is possible.
    fn zero(&self, at: usize, len: usize) -> Result<(), Errno>;

    /// How long an operation takes before it happens.
    fn delay(&self, _op: Op, _at: usize) -> Duration {
        Duration::ZERO
    }
}

/// Reads all of it, for those who look at a device from outside.
pub fn read_all(d: &dyn Device, at: usize, len: usize) -> Result<Vec<u8>, Errno> {
    let mut buf = vec![0; len];
    let mut done = 0;
    while done < len {
        match d.read(at + done, &mut buf[done..])? {
            0 => return Err(Errno::EIO),
            n => done += n,
        }
    }
    Ok(buf)
}
