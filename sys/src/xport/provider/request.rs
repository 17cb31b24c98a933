// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A controller's requests for data.

use core::ffi::{c_int, c_void};
use core::mem::ManuallyDrop;

use crate::errno::Errno;
use crate::memdesc::MemDesc;

/// A controller's request to move data from the host; its callback runs once,
/// with ECONNABORTED if the request is dropped.
pub struct IoRequest {
    /// Where the data goes.
    pub mem: MemDesc,
    pub(super) done: unsafe extern "C" fn(*mut c_void, usize, c_int),
    pub(super) arg: *mut c_void,
}

// SAFETY: the requester's callback may run in any thread.
unsafe impl Send for IoRequest {}

impl IoRequest {
    /// Ends the request. Any context; the callback does not sleep.
    pub fn complete(self, xfered: usize, error: Option<Errno>) {
        let this = ManuallyDrop::new(self);
        this.call(xfered, error.map_or(0, Errno::code));
    }

    /// Gives the request back to a caller that will be told so by an error:
    /// its callback does not run.
    pub fn cancel(self) {
        core::mem::forget(self);
    }

    fn call(&self, xfered: usize, error: c_int) {
        // SAFETY: the requester's callback and argument; self is gone after.
        unsafe { (self.done)(self.arg, xfered, error) };
    }
}

impl Drop for IoRequest {
    fn drop(&mut self) {
        self.call(0, Errno::ECONNABORTED.code());
    }
}
