// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Memory.

use std::sync::{Mutex, MutexGuard, PoisonError};

use sys::Errno;

use super::Device;

/// A disk in memory.
pub struct RamDisk(Mutex<Vec<u8>>);

impl RamDisk {
    /// With so many bytes, all zero.
    pub fn new(bytes: usize) -> Self {
        RamDisk(Mutex::new(vec![0; bytes]))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device for RamDisk {
    fn bytes(&self) -> usize {
        self.lock().len()
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<usize, Errno> {
        buf.copy_from_slice(&self.lock()[at..at + buf.len()]);
        Ok(buf.len())
    }

    fn write(&self, at: usize, data: &[u8]) -> Result<usize, Errno> {
        self.lock()[at..at + data.len()].copy_from_slice(data);
        Ok(data.len())
    }

    fn flush(&self) -> Result<(), Errno> {
        Ok(())
    }

    fn zero(&self, at: usize, len: usize) -> Result<(), Errno> {
        self.lock()[at..at + len].fill(0);
        Ok(())
    }
}
