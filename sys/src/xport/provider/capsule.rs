// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Capsules, and counted references to them.

use core::cell::UnsafeCell;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};

use super::{QpairObj, Transport};
use crate::ffi;

/// A capsule: the public part that C sees, and the transport's.
#[repr(C)]
pub struct CapsuleObj<T: Transport> {
    pub(super) abi: UnsafeCell<ffi::nvmf_capsule>,
    refs: AtomicU32,
    /// References to the data: one of the transport's, one per mbuf over it.
    pub(super) data_refs: AtomicU32,
    pub(super) data_error: AtomicI32,
    pub(super) data_xfered: AtomicUsize,
    pub(super) data_begun: AtomicBool,
    pub(super) active_taken: AtomicBool,
    pub(super) owner_gone: AtomicBool,
    pub(super) listed: AtomicBool,
    /// Capsules of its queue pair, this one included, when it was made.
    population: AtomicU32,
    pub(super) next: UnsafeCell<*mut CapsuleObj<T>>,
    pub(super) active: UnsafeCell<T::Active>,
    /// The transport's part that all threads may use.
    pub shared: T::Shared,
}

// SAFETY: the public part is set up before the capsule is shared; `active`
// belongs to the one ActiveCmd, `next` to the pool while nobody refers to the
// capsule, and otherwise to the list that set `listed`.
unsafe impl<T: Transport> Sync for CapsuleObj<T> {}
// SAFETY: no thread affinity.
unsafe impl<T: Transport> Send for CapsuleObj<T> {}

impl<T: Transport> CapsuleObj<T> {
    /// One that belongs to no queue pair yet, and that nobody refers to.
    pub(super) fn new() -> Self {
        CapsuleObj {
            // SAFETY: all-zero is a valid value.
            abi: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            refs: AtomicU32::new(0),
            data_refs: AtomicU32::new(0),
            data_error: AtomicI32::new(0),
            data_xfered: AtomicUsize::new(0),
            data_begun: AtomicBool::new(false),
            active_taken: AtomicBool::new(false),
            owner_gone: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            population: AtomicU32::new(0),
            next: UnsafeCell::new(ptr::null_mut()),
            active: UnsafeCell::new(T::Active::default()),
            shared: T::Shared::default(),
        }
    }

    /// Belongs to a queue pair from here on, carries nothing, and has one
    /// reference.
    ///
    /// # Safety
    ///
    /// Nobody else refers to it.
    pub(super) unsafe fn begin(&self, qpair: *mut ffi::nvmf_qpair, population: u32) {
        let abi = self.abi.get();
        // SAFETY: all-zero is a valid value, and nobody else looks.
        unsafe {
            *abi = core::mem::zeroed();
            (*abi).nc_qpair = qpair;
        }
        self.refs.store(1, Ordering::Relaxed);
        self.owner_gone.store(false, Ordering::Relaxed);
        self.active_taken.store(false, Ordering::Relaxed);
        self.data_begun.store(false, Ordering::Relaxed);
        self.data_error.store(0, Ordering::Relaxed);
        self.data_xfered.store(0, Ordering::Relaxed);
        self.population.store(population, Ordering::Relaxed);
    }

    /// Forgets what it was used for.
    pub(super) fn end(&mut self) {
        *self.active.get_mut() = T::Active::default();
        self.shared = T::Shared::default();
    }

    /// The public part.
    pub(super) fn abi(&self) -> &ffi::nvmf_capsule {
        // SAFETY: written before the capsule is shared. The generic layer
        // changes the entry of a capsule that its owner has not transmitted.
        unsafe { &*self.abi.get() }
    }

    /// The entry: a command's 64 bytes, of which a response uses 16.
    #[inline]
    pub fn qe(&self) -> &[u8; 64] {
        &self.abi().nc_qe
    }

    /// Whether it carries a command.
    #[inline]
    pub fn is_command(&self) -> bool {
        self.abi().nc_qe_len == 64
    }

    /// Length of the data that the host attached, and whether it is to be sent.
    #[inline]
    pub fn data(&self) -> (usize, bool) {
        (self.abi().nc_data.io_len, self.abi().nc_send_data)
    }

    /// How many capsules its queue pair had when it was made, this one
    /// included: there were no more commands than that.
    #[inline]
    pub fn population(&self) -> u32 {
        self.population.load(Ordering::Relaxed)
    }

    /// The queue pair it belongs to.
    pub fn qpair(&self) -> &QpairObj<T> {
        // SAFETY: a capsule keeps its queue pair's memory; the public part is
        // its first field.
        unsafe { &*self.abi().nc_qpair.cast::<QpairObj<T>>() }
    }

    /// Whether the creator has given up its reference.
    pub fn owner_is_gone(&self) -> bool {
        self.owner_gone.load(Ordering::Acquire)
    }
}

/// A counted reference to a capsule.
pub struct CapRef<T: Transport>(pub(super) NonNull<CapsuleObj<T>>);

// SAFETY: capsules may be shared between threads.
unsafe impl<T: Transport> Send for CapRef<T> {}
// SAFETY: as above.
unsafe impl<T: Transport> Sync for CapRef<T> {}

impl<T: Transport> CapRef<T> {
    /// The reference, to be given up by other means.
    pub(super) fn into_raw(self) -> *mut CapsuleObj<T> {
        let p = self.0.as_ptr();
        core::mem::forget(self);
        p
    }

    /// # Safety
    ///
    /// `p` carries a reference that nobody else gives up.
    pub(super) unsafe fn from_raw(p: *mut CapsuleObj<T>) -> Option<Self> {
        NonNull::new(p).map(CapRef)
    }
}

impl<T: Transport> Clone for CapRef<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.refs.fetch_add(1, Ordering::Relaxed);
        CapRef(self.0)
    }
}

impl<T: Transport> Deref for CapRef<T> {
    type Target = CapsuleObj<T>;
    #[inline]
    fn deref(&self) -> &CapsuleObj<T> {
        // SAFETY: counted.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Transport> Drop for CapRef<T> {
    #[inline]
    fn drop(&mut self) {
        if self.refs.fetch_sub(1, Ordering::AcqRel) == 1 {
            let qp = self.abi().nc_qpair.cast::<QpairObj<T>>();
            // SAFETY: the last reference: nobody else can reach the capsule,
            // and its queue pair's memory is there until recycle() counted it.
            unsafe { (*qp).recycle(self.0) };
        }
    }
}
