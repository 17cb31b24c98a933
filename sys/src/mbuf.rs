// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! mbuf(9) chains: [`Mbuf`].

use core::ffi::c_void;
use core::ptr::{self, NonNull};

use crate::context::Wait;
use crate::errno::{Errno, Result};
use crate::ffi;

/// An owned chain of mbufs with its length in bytes.
pub struct Mbuf {
    head: NonNull<ffi::mbuf>,
    tail: NonNull<ffi::mbuf>,
    len: u32,
}

// SAFETY: a chain has no thread affinity.
unsafe impl Send for Mbuf {}
// SAFETY: shared access does not change a chain.
unsafe impl Sync for Mbuf {}

impl Mbuf {
    /// The largest buffer of [`Mbuf::contiguous`].
    pub const MAX_CONTIGUOUS: u32 = ffi::NVRS_M_MAXCONTIG;

    /// A chain that C gives away; `None` for NULL.
    ///
    /// # Safety
    ///
    /// `raw` is NULL or a live chain that only the result refers to.
    pub unsafe fn from_raw(raw: *mut ffi::mbuf) -> Option<Self> {
        let head = NonNull::new(raw)?;
        let mut tail = ptr::null_mut();
        // SAFETY: a live chain.
        let len = unsafe { ffi::nvrs_m_length(raw, &mut tail) };
        Some(Mbuf {
            head,
            tail: NonNull::new(tail)?,
            len,
        })
    }

    /// Gives the chain to C.
    pub fn into_raw(self) -> *mut ffi::mbuf {
        let raw = self.head.as_ptr();
        core::mem::forget(self);
        raw
    }

    /// One mbuf of `bytes.len()` (at most [`Mbuf::MAX_CONTIGUOUS`]) bytes.
    pub fn contiguous(bytes: &[u8], wait: Wait<'_>) -> Result<Self> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::EFBIG)?;
        // SAFETY: the shim checks the length; flags fit the context.
        let raw = unsafe { ffi::nvrs_m_get(len, wait.flags()) };
        let head = NonNull::new(raw).ok_or(Errno::ENOMEM)?;
        // SAFETY: a fresh mbuf with len contiguous bytes.
        unsafe {
            let data = ffi::nvrs_m_data(raw);
            ptr::copy_nonoverlapping(bytes.as_ptr(), data, bytes.len());
        }
        Ok(Mbuf {
            head,
            tail: head,
            len,
        })
    }

    /// A chain of `len` bytes of unspecified content; see [`Mbuf::copy_back`].
    pub fn chain(len: u32, wait: Wait<'_>) -> Result<Self> {
        // SAFETY: flags fit the context.
        let raw = unsafe { ffi::nvrs_m_getchain(len, wait.flags()) };
        // SAFETY: a fresh chain or NULL.
        let m = unsafe { Mbuf::from_raw(raw) }.ok_or(Errno::ENOMEM)?;
        if m.len == len {
            Ok(m)
        } else {
            Err(Errno::ENOMEM)
        }
    }

    /// A copy of `bytes`.
    pub fn from_bytes(bytes: &[u8], wait: Wait<'_>) -> Result<Self> {
        let len = u32::try_from(bytes.len()).map_err(|_| Errno::EFBIG)?;
        let mut m = Self::chain(len, wait)?;
        m.copy_back(0, bytes)?;
        Ok(m)
    }

    /// One read-only mbuf over foreign memory.
    ///
    /// # Safety
    ///
    /// `buf` stays valid for `len` bytes until `release(arg)` runs, which
    /// happens once, in any context, without sleeping.
    pub unsafe fn external(
        buf: *const u8,
        len: u32,
        release: unsafe extern "C" fn(*mut c_void),
        arg: *mut c_void,
        wait: Wait<'_>,
    ) -> Result<Self> {
        // SAFETY: the caller's promise; flags fit the context.
        let raw = unsafe { ffi::nvrs_m_ext(buf.cast(), len, Some(release), arg, wait.flags()) };
        let head = NonNull::new(raw).ok_or(Errno::ENOMEM)?;
        Ok(Mbuf {
            head,
            tail: head,
            len,
        })
    }

    /// Bytes in the chain.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether the chain holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends another chain.
    #[inline]
    pub fn append(&mut self, other: Mbuf) {
        // SAFETY: tail is the last mbuf of our chain; other is owned.
        unsafe { ffi::nvrs_m_append(self.tail.as_ptr(), other.head.as_ptr()) };
        self.tail = other.tail;
        self.len = self.len.saturating_add(other.len);
        core::mem::forget(other);
    }

    /// Cuts the chain after `at` bytes and returns the rest: `Ok(None)` when
    /// nothing is left. On ENOMEM the chain is unchanged.
    pub fn split(&mut self, at: u32, wait: Wait<'_>) -> Result<Option<Mbuf>> {
        if at >= self.len {
            return Ok(None);
        }
        if at == 0 {
            return Err(Errno::EINVAL);
        }
        // SAFETY: 0 < at < length; flags fit the context.
        let rest = unsafe { ffi::nvrs_m_split(self.head.as_ptr(), at, wait.flags()) };
        // SAFETY: NULL or the detached rest of the chain.
        let rest = unsafe { Mbuf::from_raw(rest) }.ok_or(Errno::ENOMEM)?;
        let mut tail = ptr::null_mut();
        // SAFETY: our chain now ends at the cut.
        self.len = unsafe { ffi::nvrs_m_length(self.head.as_ptr(), &mut tail) };
        self.tail = NonNull::new(tail).unwrap_or(self.head);
        Ok(Some(rest))
    }

    /// Drops `n` bytes from the front; `None` when nothing is left.
    #[inline]
    pub fn advance(self, n: u32) -> Option<Mbuf> {
        let (tail, len) = (self.tail, self.len);
        let raw = self.into_raw();
        // SAFETY: an owned chain; the shim frees what it passes.
        let head = unsafe { ffi::nvrs_m_advance(raw, n) };
        Some(Mbuf {
            head: NonNull::new(head)?,
            tail,
            len: len.saturating_sub(n),
        })
    }

    /// Copies out `dst.len()` bytes at `off`; EINVAL outside the chain.
    #[inline]
    pub fn copy_out(&self, off: u32, dst: &mut [u8]) -> Result<()> {
        let len = self.range(off, dst.len())?;
        if len != 0 {
            // SAFETY: the range lies inside the chain, dst holds len bytes.
            unsafe { ffi::nvrs_m_copydata(self.head.as_ptr(), off, len, dst.as_mut_ptr().cast()) };
        }
        Ok(())
    }

    /// Overwrites bytes at `off`; EINVAL outside the chain. Only for chains
    /// that were allocated here and not shared.
    pub fn copy_back(&mut self, off: u32, src: &[u8]) -> Result<()> {
        let len = self.range(off, src.len())?;
        if len != 0 {
            // SAFETY: the range lies inside the chain.
            unsafe { ffi::nvrs_m_copyback(self.head.as_ptr(), off, len, src.as_ptr().cast()) };
        }
        Ok(())
    }

    /// Continues a raw CRC32C over a range; EINVAL outside the chain.
    pub fn crc32c(&self, off: u32, len: u32, crc: u32) -> Result<u32> {
        let len = self.range(off, len as usize)?;
        if len == 0 {
            return Ok(crc);
        }
        // SAFETY: the range lies inside the chain.
        Ok(unsafe { ffi::nvrs_m_crc32c(self.head.as_ptr(), off, len, crc) })
    }

    fn range(&self, off: u32, len: usize) -> Result<u32> {
        let len = u32::try_from(len).map_err(|_| Errno::EINVAL)?;
        match off.checked_add(len) {
            Some(end) if end <= self.len => Ok(len),
            _ => Err(Errno::EINVAL),
        }
    }

    pub(crate) fn head(&self) -> *mut ffi::mbuf {
        self.head.as_ptr()
    }
}

impl Drop for Mbuf {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { ffi::nvrs_m_freem(self.head.as_ptr()) }
    }
}
