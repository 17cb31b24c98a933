// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The data of a host's command, until the network has let go of it.

use core::ffi::c_void;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::Ordering;

use super::{CapRef, CapsuleObj, Transport};
use crate::context::Wait;
use crate::errno::{Errno, Result};
use crate::mbuf::Mbuf;
use crate::memdesc::MemDesc;

impl<T: Transport> CapRef<T> {
    /// Starts the use of the attached data; once, and only if there is some.
    pub fn begin_data(&self) -> Option<DataRef<T>> {
        let io = self.abi().nc_data;
        if io.io_len == 0 || self.data_begun.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.data_refs.store(1, Ordering::Release);
        Some(DataRef {
            // SAFETY: the owner promised the memory until the callback.
            mem: unsafe { MemDesc::from_raw(io.io_mem, io.io_len) },
            cap: ManuallyDrop::new(self.clone()),
        })
    }
}

/// The transport's hold on a host command's data. The host hears that the data
/// is free when this is dropped and the network has let go of every mbuf over
/// it.
pub struct DataRef<T: Transport> {
    mem: MemDesc,
    cap: ManuallyDrop<CapRef<T>>,
}

impl<T: Transport> DataRef<T> {
    /// Bytes of data.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.mem.len()
    }

    /// Mbufs over `[off, off + len)`; with `truncate` maybe over less, up to a
    /// page boundary.
    pub fn mbufs(&mut self, off: u32, len: u32, truncate: bool, wait: Wait<'_>) -> Result<Mbuf> {
        let cap = self.cap.0.as_ptr();
        // SAFETY: we hold one count of data_refs; release_data() ends it, and
        // the capsule and its owner's memory stay until then.
        unsafe {
            self.mem.mbufs(
                off,
                len,
                truncate,
                (&raw const (*cap).data_refs).cast::<u32>().cast_mut(),
                release_data::<T>,
                cap.cast(),
                wait,
            )
        }
    }

    /// Copies from a received chain to `off`; see [`MemDesc::copy_from_mbuf`].
    #[inline]
    pub fn copy_from_mbuf(
        &mut self,
        off: u32,
        m: &Mbuf,
        moff: u32,
        len: u32,
        crc: Option<&mut u32>,
    ) -> Result<()> {
        self.mem.copy_from_mbuf(off, m, moff, len, crc)
    }

    /// Undoes [`CapRef::begin_data`] when nothing refers to the data yet, so
    /// that the command can be sent another time. Otherwise as dropping it.
    pub fn cancel(self) {
        if self
            .cap
            .data_refs
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            let mut this = ManuallyDrop::new(self);
            this.cap.data_begun.store(false, Ordering::Relaxed);
            // SAFETY: dropped once: `this` is never dropped.
            unsafe { ManuallyDrop::drop(&mut this.cap) };
        }
    }

    /// What the host will hear: the first error counts.
    pub fn fail(&self, error: Errno) {
        let _ = self.cap.data_error.compare_exchange(
            0,
            error.code(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// What the host will hear: bytes moved.
    pub fn set_xfered(&self, bytes: usize) {
        self.cap.data_xfered.store(bytes, Ordering::Relaxed);
    }
}

impl<T: Transport> Drop for DataRef<T> {
    fn drop(&mut self) {
        if self.cap.data_refs.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last count.
            unsafe { finish_data::<T>(self.cap.0) };
        }
        // Otherwise the last mbuf does it; `cap` is its reference now.
    }
}

/// Tells the owner that its data is free, and gives up the reference that
/// [`CapRef::begin_data`] took.
///
/// # Safety
///
/// The last count of `data_refs` is gone, and that is acted on once.
unsafe fn finish_data<T: Transport>(cap: NonNull<CapsuleObj<T>>) {
    // SAFETY: the reference of begin_data() that the last count inherits.
    let cap = CapRef(cap);
    let io = cap.abi().nc_data;
    let error = cap.data_error.load(Ordering::Relaxed);
    let xfered = cap.data_xfered.load(Ordering::Relaxed);
    if let Some(done) = io.io_complete {
        // SAFETY: the callback and argument that the owner attached; once.
        unsafe { done(io.io_complete_arg, xfered, error) };
    }
}

/// An mbuf over the data is gone: see `nvrs_memdesc_mbufs`.
unsafe extern "C" fn release_data<T: Transport>(arg: *mut c_void) {
    let one_of_many = arg.addr() & 1 != 0;
    let p = arg.map_addr(|a| a & !1).cast::<CapsuleObj<T>>();
    let Some(cap) = NonNull::new(p) else { return };
    // SAFETY: the mbuf held a count, so the capsule is alive.
    let refs = unsafe { &cap.as_ref().data_refs };
    if one_of_many && refs.fetch_sub(1, Ordering::AcqRel) != 1 {
        return;
    }
    // SAFETY: the last count is gone.
    unsafe { finish_data::<T>(cap) };
}
