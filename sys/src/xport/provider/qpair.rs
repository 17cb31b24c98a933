// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Queue pairs, and what they tell their owner.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::sync::atomic::{AtomicPtr, Ordering};

use super::pool::Pool;
use super::{CapRef, Transport};
use crate::context::Wait;
use crate::errno::Result;
use crate::ffi;
use crate::mem::KArc;
use crate::sync::Mutex;

/// A queue pair: the public part that C sees, and the transport's.
#[repr(C)]
pub struct QpairObj<T: Transport> {
    pub(super) abi: UnsafeCell<ffi::nvmf_qpair>,
    pub(super) pool: Mutex<Pool<T>>,
    /// The transport's part.
    pub state: T::Qpair,
}

// SAFETY: the public part is written before the callbacks are used and only
// read afterwards; the rest synchronises itself.
unsafe impl<T: Transport> Sync for QpairObj<T> {}
// SAFETY: no thread affinity.
unsafe impl<T: Transport> Send for QpairObj<T> {}

impl<T: Transport> QpairObj<T> {
    /// A queue pair that keeps at most `keep` unused capsules.
    pub fn new(state: T::Qpair, keep: u32, wait: Wait<'_>) -> Result<KArc<Self>> {
        KArc::new(
            QpairObj {
                // SAFETY: all-zero is a valid value: null pointers and false.
                abi: UnsafeCell::new(unsafe { core::mem::zeroed() }),
                pool: Mutex::new(c"nvrs capsules", Pool::new(keep), wait)?,
                state,
            },
            wait,
        )
    }

    /// Whether the generic layer has filled in the callbacks. A C generic layer
    /// does that after [`Transport::allocate_qpair`] returned, without telling.
    pub fn is_ready(&self) -> bool {
        let abi = self.abi.get();
        // SAFETY: aligned fields, each as wide as a pointer, of a live object.
        // Another thread may be writing them: ours with atomics as well, one
        // in C with plain stores, which are no worse here.
        let set = |p: *mut *mut c_void| unsafe {
            !AtomicPtr::from_ptr(p).load(Ordering::Acquire).is_null()
        };
        // SAFETY: only addresses are taken.
        unsafe {
            set((&raw mut (*abi).nq_receive).cast())
                && set((&raw mut (*abi).nq_error).cast())
                && set(&raw mut (*abi).nq_receive_arg)
                && set(&raw mut (*abi).nq_error_arg)
        }
    }

    /// Tells the owner that the connection failed, or with zero that the peer
    /// closed it. Ready, not retired, no locks held.
    pub fn report_error(&self, error: c_int) {
        // SAFETY: the callbacks are filled in and their arguments live until
        // nvmf_free_qpair() returns, which waits for our threads.
        unsafe {
            let abi = &*self.abi.get();
            if let Some(f) = abi.nq_error {
                f(abi.nq_error_arg, error);
            }
        }
    }

    /// Passes a received capsule to the owner. As [`QpairObj::report_error`].
    pub fn deliver(&self, cap: CapRef<T>) {
        // SAFETY: as above; the reference goes to the callee.
        unsafe {
            let abi = &*self.abi.get();
            if let Some(f) = abi.nq_receive {
                f(abi.nq_receive_arg, cap.into_raw().cast());
            }
        }
    }

    /// The public part, which is the first.
    pub(super) fn as_abi(&self) -> *mut ffi::nvmf_qpair {
        self.abi.get()
    }

    /// A capsule with the given entry (64 bytes: command, 16: response), owned
    /// by the result.
    pub fn new_capsule(&self, qe: &[u8], sqhd_valid: bool, wait: Wait<'_>) -> Result<CapRef<T>> {
        let cap = self.take_capsule(wait)?;
        // SAFETY: the capsule is ours alone until the reference is shared.
        unsafe {
            let abi = &mut *cap.as_ref().abi.get();
            for (d, s) in abi.nc_qe.iter_mut().zip(qe) {
                *d = *s;
            }
            abi.nc_qe_len = qe.len() as c_int;
            abi.nc_sqhd_valid = sqhd_valid;
        }
        Ok(CapRef(cap))
    }
}
