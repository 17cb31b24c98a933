// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! memdesc(9): where an I/O's data is. A descriptor owns nothing; whoever makes
//! one promises that the memory stays until the I/O's data is completed.

use core::ffi::c_void;

use crate::context::Wait;
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mbuf::Mbuf;

/// A description of `len` bytes of memory.
pub struct MemDesc {
    raw: ffi::nvrs_memdesc,
    len: usize,
}

// SAFETY: the promise of the constructors does not depend on a thread.
unsafe impl Send for MemDesc {}

/// One piece of kernel virtual memory: see [`MemDesc::from_segments`].
pub type Segment = ffi::nvrs_segment;

impl MemDesc {
    /// A value made by a kernel constructor.
    ///
    /// # Safety
    ///
    /// `raw` describes at least `len` bytes that stay valid, and may be
    /// written if the I/O's direction asks for it, until the completion
    /// callback of the I/O that uses it has run.
    pub unsafe fn from_raw(raw: ffi::nvrs_memdesc, len: usize) -> Self {
        MemDesc { raw, len }
    }

    /// Kernel virtual memory.
    ///
    /// # Safety
    ///
    /// As for [`MemDesc::from_raw`]; never a stack buffer.
    pub unsafe fn from_vaddr(p: *mut u8, len: usize) -> Self {
        let mut raw = ffi::nvrs_memdesc { md: [0; 3] };
        // SAFETY: valid storage.
        unsafe { ffi::nvrs_memdesc_vaddr(&mut raw, p.cast(), len) };
        MemDesc { raw, len }
    }

    /// Pieces of kernel virtual memory.
    ///
    /// # Safety
    ///
    /// As for [`MemDesc::from_raw`], for the memory and for `segs` itself.
    pub unsafe fn from_segments(segs: *mut Segment, count: u32, len: usize) -> Self {
        let mut raw = ffi::nvrs_memdesc { md: [0; 3] };
        // SAFETY: valid storage.
        unsafe { ffi::nvrs_memdesc_vlist(&mut raw, segs, count) };
        MemDesc { raw, len }
    }

    /// Bytes described.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_mut_ptr(&mut self) -> *mut ffi::nvrs_memdesc {
        &mut self.raw
    }

    fn range(&self, off: u32, len: u32) -> Result<()> {
        match (off as usize).checked_add(len as usize) {
            Some(end) if end <= self.len => Ok(()),
            _ => Err(Errno::EFBIG),
        }
    }

    /// Copies `len` bytes at `moff` of a chain to `off`, and continues a raw
    /// CRC32C over them if one is given.
    #[inline]
    pub fn copy_from_mbuf(
        &mut self,
        off: u32,
        m: &Mbuf,
        moff: u32,
        len: u32,
        crc: Option<&mut u32>,
    ) -> Result<()> {
        self.range(off, len)?;
        if moff.checked_add(len).is_none_or(|end| end > m.len()) {
            return Err(Errno::EINVAL);
        }
        if len != 0 {
            let crc = crc.map_or(core::ptr::null_mut(), |c| c);
            // SAFETY: both ranges were checked; the constructor promised the memory.
            unsafe { ffi::nvrs_memdesc_from_mbuf(&mut self.raw, off, m.head(), moff, len, crc) };
        }
        Ok(())
    }

    /// Copies bytes to `off`.
    pub fn copy_in(&mut self, off: u32, src: &[u8]) -> Result<()> {
        let len = u32::try_from(src.len()).map_err(|_| Errno::EFBIG)?;
        self.range(off, len)?;
        if len != 0 {
            // SAFETY: the range was checked; the constructor promised the memory.
            unsafe { ffi::nvrs_memdesc_copyback(&mut self.raw, off, len, src.as_ptr().cast()) };
        }
        Ok(())
    }

    /// Copies bytes out from `off`.
    pub fn copy_out(&mut self, off: u32, dst: &mut [u8]) -> Result<()> {
        let len = u32::try_from(dst.len()).map_err(|_| Errno::EFBIG)?;
        self.range(off, len)?;
        if len != 0 {
            // SAFETY: the range was checked; dst holds len bytes.
            unsafe { ffi::nvrs_memdesc_copydata(&mut self.raw, off, len, dst.as_mut_ptr().cast()) };
        }
        Ok(())
    }

    /// A chain that refers to the memory; see `nvrs_memdesc_mbufs`. Returns
    /// it with the number of bytes that it describes.
    ///
    /// # Safety
    ///
    /// `refs` holds a count of the caller's, stays valid until `release` ran
    /// for the last count, and the memory stays valid as long.
    #[allow(clippy::too_many_arguments)]
    pub(crate) unsafe fn mbufs(
        &mut self,
        off: u32,
        len: u32,
        truncate: bool,
        refs: *mut u32,
        release: unsafe extern "C" fn(*mut c_void),
        arg: *mut c_void,
        wait: Wait<'_>,
    ) -> Result<Mbuf> {
        self.range(off, len)?;
        let mut actual = 0;
        // SAFETY: the range was checked, and the caller's promise.
        let raw = unsafe {
            ffi::nvrs_memdesc_mbufs(
                &mut self.raw,
                off,
                len,
                truncate,
                refs,
                Some(release),
                arg,
                wait.flags(),
                &mut actual,
            )
        };
        // SAFETY: a fresh chain or NULL.
        unsafe { Mbuf::from_raw(raw) }.ok_or(Errno::ENOMEM)
    }
}
