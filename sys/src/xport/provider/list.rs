// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Lists of capsules.

use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::{CapRef, CapsuleObj, Transport};

/// Capsules in the order in which they came, without memory of its own. A
/// capsule is in one list at a time.
pub struct CapList<T: Transport> {
    head: *mut CapsuleObj<T>,
    tail: *mut CapsuleObj<T>,
}

// SAFETY: it owns references, which may be used in any thread.
unsafe impl<T: Transport> Send for CapList<T> {}

impl<T: Transport> CapList<T> {
    /// An empty list.
    pub const fn new() -> Self {
        CapList {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a capsule; gives it back if it is in a list already.
    pub fn push(&mut self, cap: CapRef<T>) -> core::result::Result<(), CapRef<T>> {
        if cap.listed.swap(true, Ordering::Acquire) {
            return Err(cap);
        }
        // SAFETY: we set `listed`, so `next` is this list's.
        unsafe { *cap.next.get() = ptr::null_mut() };
        let p = cap.into_raw();
        match NonNull::new(self.tail) {
            // SAFETY: the list holds a reference to its last capsule, whose
            // `next` is the list's.
            Some(last) => unsafe { *last.as_ref().next.get() = p },
            None => self.head = p,
        }
        self.tail = p;
        Ok(())
    }

    /// Takes the first one out.
    pub fn pop(&mut self) -> Option<CapRef<T>> {
        // SAFETY: the list's own reference.
        let cap = unsafe { CapRef::from_raw(self.head) }?;
        // SAFETY: as in push().
        self.head = unsafe { *cap.next.get() };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        cap.listed.store(false, Ordering::Release);
        Some(cap)
    }
}

impl<T: Transport> Default for CapList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Transport> Drop for CapList<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
