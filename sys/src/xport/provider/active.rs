// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Commands in progress.

use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use super::{CapRef, CapsuleObj, Transport};

impl<T: Transport> CapRef<T> {
    /// The right to the command's state; once per capsule.
    pub fn activate(self) -> Option<ActiveCmd<T>> {
        (!self.active_taken.swap(true, Ordering::Relaxed)).then_some(ActiveCmd(self))
    }
}

/// A command in progress: exclusive access to its [`Transport::Active`] part.
pub struct ActiveCmd<T: Transport>(CapRef<T>);

impl<T: Transport> ActiveCmd<T> {
    /// The state.
    #[inline]
    pub fn state(&mut self) -> &mut T::Active {
        // SAFETY: there is one ActiveCmd per capsule, and it is borrowed.
        unsafe { &mut *self.0.active.get() }
    }

    /// The capsule.
    #[inline]
    pub fn capsule(&self) -> &CapRef<T> {
        &self.0
    }

    /// Gives up the creator's reference if it has not: for commands that the
    /// creator abandons to the transport when it frees the queue pair.
    pub fn disown(self) {
        if !self.0.owner_gone.swap(true, Ordering::AcqRel) {
            // SAFETY: the creator's reference; the flag says it is still counted,
            // and a creator that abandons a capsule never frees it.
            drop(unsafe { CapRef::from_raw(self.0.0.as_ptr()) });
        }
    }
}

/// Where a command in progress waits to be looked up.
pub struct ActiveSlot<T: Transport>(AtomicPtr<CapsuleObj<T>>);

impl<T: Transport> ActiveSlot<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        ActiveSlot(AtomicPtr::new(ptr::null_mut()))
    }

    /// Stores a command; gives back the one that was there.
    #[inline]
    pub fn put(&self, cmd: ActiveCmd<T>) -> Option<ActiveCmd<T>> {
        let p = cmd.0.into_raw();
        // SAFETY: the slot owned what it held.
        unsafe { CapRef::from_raw(self.0.swap(p, Ordering::AcqRel)) }.map(ActiveCmd)
    }

    /// Takes the command out.
    #[inline]
    pub fn take(&self) -> Option<ActiveCmd<T>> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // SAFETY: the slot owned what it held.
        unsafe { CapRef::from_raw(self.0.swap(ptr::null_mut(), Ordering::AcqRel)) }.map(ActiveCmd)
    }
}

impl<T: Transport> Default for ActiveSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Transport> Drop for ActiveSlot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}
