// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! bios of a character device: [`Bio`], [`BioQueue`]; and [`IoBuf`], memory that a transport may use.

use core::cell::UnsafeCell;
use core::ffi::c_int;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::context::Wait;
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mem::KBuf;
use crate::memdesc::MemDesc;

/// What a bio asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BioCommand {
    /// BIO_READ.
    Read,
    /// BIO_WRITE.
    Write,
    /// BIO_FLUSH.
    Flush,
    /// BIO_DELETE.
    Delete,
    /// Anything else.
    Other,
}

/// A bio that we have to finish. Dropping one fails it with EIO.
#[must_use]
pub struct Bio(NonNull<ffi::nvrs_bio>);

// SAFETY: a bio has no thread affinity.
unsafe impl Send for Bio {}

impl Bio {
    /// A bio that the kernel passed to our strategy function.
    ///
    /// # Safety
    ///
    /// `raw` is NULL, or a bio that only the result will finish.
    pub unsafe fn from_raw(raw: *mut ffi::nvrs_bio) -> Option<Self> {
        NonNull::new(raw).map(Bio)
    }

    /// What it asks for.
    pub fn command(&self) -> BioCommand {
        // SAFETY: an unfinished bio.
        match unsafe { ffi::nvrs_bio_cmd(self.0.as_ptr()) } as u32 {
            ffi::NVRS_BIO_READ => BioCommand::Read,
            ffi::NVRS_BIO_WRITE => BioCommand::Write,
            ffi::NVRS_BIO_FLUSH => BioCommand::Flush,
            ffi::NVRS_BIO_DELETE => BioCommand::Delete,
            _ => BioCommand::Other,
        }
    }

    /// First byte on the medium.
    pub fn offset(&self) -> u64 {
        // SAFETY: an unfinished bio.
        unsafe { ffi::nvrs_bio_offset(self.0.as_ptr()) }
    }

    /// Number of bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> u64 {
        // SAFETY: an unfinished bio.
        unsafe { ffi::nvrs_bio_length(self.0.as_ptr()) }
    }

    /// Its data. The bio must not be finished before the transport is done with it.
    pub fn memdesc(&self) -> MemDesc {
        let mut raw = ffi::nvrs_memdesc { md: [0; 3] };
        // SAFETY: an unfinished bio and valid storage.
        unsafe { ffi::nvrs_bio_memdesc(self.0.as_ptr(), &mut raw) };
        // SAFETY: the issuer keeps the data until the bio is finished.
        unsafe { MemDesc::from_raw(raw, usize::try_from(self.len()).unwrap_or(0)) }
    }

    /// Finishes the bio. Any context.
    pub fn finish(self, result: Result<()>) {
        let this = ManuallyDrop::new(self);
        let code: c_int = crate::errno::code_of(result);
        // SAFETY: finished once: `this` is consumed.
        unsafe { ffi::nvrs_bio_done(this.0.as_ptr(), code) }
    }
}

impl Drop for Bio {
    fn drop(&mut self) {
        // SAFETY: finish() forgets the value, so this bio is unfinished.
        unsafe { ffi::nvrs_bio_done(self.0.as_ptr(), Errno::EIO.code()) }
    }
}

/// A list of bios in the order in which they came, linked through the bios.
pub struct BioQueue {
    head: *mut ffi::nvrs_bio,
    tail: *mut ffi::nvrs_bio,
}

// SAFETY: owns its bios, which have no thread affinity.
unsafe impl Send for BioQueue {}

impl Default for BioQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl BioQueue {
    /// An empty list.
    pub const fn new() -> Self {
        BioQueue {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a bio.
    pub fn push(&mut self, bio: Bio) {
        let raw = ManuallyDrop::new(bio).0.as_ptr();
        // SAFETY: the bios of the list are unfinished and ours to link.
        unsafe {
            ffi::nvrs_bio_set_next(raw, ptr::null_mut());
            if self.tail.is_null() {
                self.head = raw;
            } else {
                ffi::nvrs_bio_set_next(self.tail, raw);
            }
        }
        self.tail = raw;
    }

    /// Removes the first bio.
    pub fn pop(&mut self) -> Option<Bio> {
        let raw = NonNull::new(self.head)?;
        // SAFETY: the bios of the list are unfinished and linked by push().
        self.head = unsafe { ffi::nvrs_bio_next(raw.as_ptr()) };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        Some(Bio(raw))
    }

    /// All bios, leaving the list empty.
    pub fn take(&mut self) -> BioQueue {
        core::mem::take(self)
    }
}

impl Drop for BioQueue {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// Heap memory that a transport may read or write until it says that it is
/// done. While it is lent nobody else looks at it, and if it is dropped all
/// the same its memory is leaked, never reused.
pub struct IoBuf {
    data: UnsafeCell<ManuallyDrop<KBuf>>,
    len: usize,
    lent: AtomicBool,
}

// SAFETY: the bytes are only reachable while they are not lent, through a
// shared reference that reads them or an exclusive one.
unsafe impl Sync for IoBuf {}
// SAFETY: owns its memory.
unsafe impl Send for IoBuf {}

impl IoBuf {
    /// `len` zero bytes.
    pub fn zeroed(len: usize, wait: Wait<'_>) -> Result<Self> {
        Ok(IoBuf {
            data: UnsafeCell::new(ManuallyDrop::new(KBuf::zeroed(len, wait)?)),
            len,
            lent: AtomicBool::new(false),
        })
    }

    /// How many bytes.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The bytes, before they are lent.
    pub fn get_mut(&mut self) -> &mut [u8] {
        if *self.lent.get_mut() {
            return &mut [];
        }
        self.data.get_mut()
    }

    /// The bytes, unless they are lent.
    pub fn bytes(&self) -> Option<&[u8]> {
        if self.lent.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: not lent. Lending needs an exclusive reference, which cannot
        // exist while the result borrows the buffer.
        let data: &KBuf = unsafe { &*self.data.get() };
        Some(data)
    }

    /// Lends the memory to a transport until [`IoBuf::give_back`].
    pub fn lend(&mut self) -> Option<MemDesc> {
        if self.lent.swap(true, Ordering::AcqRel) {
            return None;
        }
        let data = self.data.get_mut();
        let p = data.as_mut_ptr();
        // SAFETY: heap memory of that length, neither touched nor freed while
        // it is lent.
        Some(unsafe { MemDesc::from_vaddr(p, self.len) })
    }

    /// The transport is done with the memory: to be called from its callback,
    /// or when it never got the descriptor.
    pub fn give_back(&self) {
        self.lent.store(false, Ordering::Release);
    }
}

impl Drop for IoBuf {
    fn drop(&mut self) {
        if !*self.lent.get_mut() {
            // SAFETY: dropped once, and nobody uses the memory.
            unsafe { ManuallyDrop::drop(self.data.get_mut()) }
        }
    }
}
