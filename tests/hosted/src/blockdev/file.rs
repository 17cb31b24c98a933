// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A file with holes.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use sys::Errno;

use super::Device;

/// A file that takes room only where something was written.
pub struct SparseFile {
    file: File,
    bytes: usize,
}

/// The number that FreeBSD has for a file's error.
fn errno(e: &io::Error) -> Errno {
    match e.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => Errno::ENOSPC,
        _ => Errno::EIO,
    }
}

impl SparseFile {
    /// Opens or creates a file, which gets that size.
    pub fn open(path: &Path, bytes: usize) -> io::Result<Self> {
        let mut o = File::options();
        o.read(true).write(true).create(true).truncate(false);
        let file = o.open(path)?;
        file.set_len(bytes as u64)?;
        Ok(SparseFile { file, bytes })
    }

    /// Bytes that it takes.
    pub fn allocated(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.blocks() * 512)
    }

    /// Makes a hole; false where that cannot be done.
    #[cfg(target_os = "linux")]
    fn punch(&self, at: usize, len: usize) -> bool {
        let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: a descriptor of ours and numbers.
        unsafe { libc::fallocate(self.file.as_raw_fd(), mode, at as i64, len as i64) == 0 }
    }

    #[cfg(not(target_os = "linux"))]
    fn punch(&self, _at: usize, _len: usize) -> bool {
        let _ = self.file.as_raw_fd();
        false
    }
}

impl Device for SparseFile {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn read(&self, at: usize, buf: &mut [u8]) -> Result<usize, Errno> {
        self.file.read_at(buf, at as u64).map_err(|e| errno(&e))
    }

    fn write(&self, at: usize, data: &[u8]) -> Result<usize, Errno> {
        self.file.write_at(data, at as u64).map_err(|e| errno(&e))
    }

    fn flush(&self) -> Result<(), Errno> {
        self.file.sync_data().map_err(|e| errno(&e))
    }

    fn zero(&self, at: usize, len: usize) -> Result<(), Errno> {
        if self.punch(at, len) {
            return Ok(());
        }
        let zeroes = vec![0; len];
        let r = self.file.write_all_at(&zeroes, at as u64);
        r.map_err(|e| errno(&e))
    }
}
