// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Where capsules come from, and go back to.

use core::ptr::{self, NonNull};

use super::{CapsuleObj, QpairObj, Transport};
use crate::context::Wait;
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mem::{KArc, KBox};

/// The capsules of a queue pair.
pub(super) struct Pool<T: Transport> {
    free: *mut CapsuleObj<T>,
    nfree: u32,
    keep: u32,
    live: u32,
    retired: bool,
}

// SAFETY: the list of free capsules is owned by the pool.
unsafe impl<T: Transport> Send for Pool<T> {}

impl<T: Transport> Pool<T> {
    /// Keeps at most `keep` unused capsules.
    pub(super) fn new(keep: u32) -> Self {
        Pool {
            free: ptr::null_mut(),
            nfree: 0,
            keep,
            live: 0,
            retired: false,
        }
    }
}

impl<T: Transport> QpairObj<T> {
    /// A capsule that carries nothing yet, with one reference.
    pub(super) fn take_capsule(&self, wait: Wait<'_>) -> Result<NonNull<CapsuleObj<T>>> {
        let (reused, population) = {
            let mut pool = self.pool.lock();
            if pool.retired {
                return Err(Errno::ECONNABORTED);
            }
            pool.live += 1;
            let p = NonNull::new(pool.free);
            if let Some(p) = p {
                // SAFETY: capsules on the list are owned by it.
                pool.free = unsafe { *p.as_ref().next.get() };
                pool.nfree -= 1;
            }
            (p, pool.live)
        };
        let cap = match reused {
            Some(p) => p,
            None => match KBox::new(CapsuleObj::new(), wait) {
                Ok(b) => {
                    let p = NonNull::from(&*b);
                    core::mem::forget(b);
                    p
                }
                Err(e) => {
                    // Cannot be the last: the caller holds the queue pair.
                    self.pool.lock().live -= 1;
                    return Err(e);
                }
            },
        };
        // SAFETY: nobody else refers to it; see CapsuleObj::new and recycle.
        unsafe { cap.as_ref().begin(self.as_abi(), population) };
        Ok(cap)
    }

    /// Takes back a capsule whose last reference is gone.
    ///
    /// # Safety
    ///
    /// Nobody refers to the capsule any more, and it belongs to this queue pair.
    pub(super) unsafe fn recycle(&self, mut cap: NonNull<CapsuleObj<T>>) {
        // SAFETY: exclusive access.
        unsafe { cap.as_mut().end() };
        let (spare, last) = {
            let mut pool = self.pool.lock();
            pool.live -= 1;
            let spare = if pool.retired || pool.nfree >= pool.keep {
                Some(cap)
            } else {
                // SAFETY: exclusive access; the list owns it from here on.
                unsafe { *cap.as_ref().next.get() = pool.free };
                pool.free = cap.as_ptr();
                pool.nfree += 1;
                None
            };
            (spare, pool.retired && pool.live == 0)
        };
        if let Some(spare) = spare {
            // SAFETY: it came from KBox::new and nobody refers to it.
            unsafe { free_capsule_memory(spare) };
        }
        if last {
            // SAFETY: the public reference, given up once: retired queue pairs
            // make no new capsules, so live reaches zero once.
            drop(unsafe { KArc::from_raw(ptr::from_ref(self)) });
        }
    }

    /// Frees the pool, and the public reference once no capsule is left.
    pub(super) fn retire(&self) {
        let (mut free, last) = {
            let mut pool = self.pool.lock();
            pool.retired = true;
            (
                core::mem::replace(&mut pool.free, ptr::null_mut()),
                pool.live == 0,
            )
        };
        while let Some(p) = NonNull::new(free) {
            // SAFETY: the list owned its capsules; now we do.
            unsafe {
                free = *p.as_ref().next.get();
                free_capsule_memory(p);
            }
        }
        if last {
            // SAFETY: as in recycle().
            drop(unsafe { KArc::from_raw(ptr::from_ref(self)) });
        }
    }
}

/// # Safety
///
/// `p` was leaked from a KBox and nobody refers to it.
unsafe fn free_capsule_memory<T: Transport>(p: NonNull<CapsuleObj<T>>) {
    // SAFETY: the caller's promise: KBox's memory, dropped and freed once.
    unsafe {
        ptr::drop_in_place(p.as_ptr());
        ffi::nvrs_free(p.as_ptr().cast());
    }
}
