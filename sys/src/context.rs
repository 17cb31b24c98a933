// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the current context allows.

use core::marker::PhantomData;

/// Proof that the current context may sleep: the body of an ioctl, of attach
/// or detach, of a thread or of a task. Every wrapper that may sleep asks for
/// it; callbacks that must not sleep are never given one.
#[derive(Clone, Copy)]
pub struct CanSleep<'a>(PhantomData<(&'a (), *mut ())>);

impl CanSleep<'_> {
    /// States that this context may sleep.
    ///
    /// # Safety
    ///
    /// No mutex is held, and the caller is none of: a callout, a socket
    /// upcall, an mbuf free routine, a CAM action, a CTL data move.
    pub const unsafe fn assert() -> Self {
        CanSleep(PhantomData)
    }
}

/// Whether an allocation may wait for memory.
#[derive(Clone, Copy)]
pub enum Wait<'a> {
    /// It may sleep.
    Sleep(CanSleep<'a>),
    /// It fails instead.
    NoWait,
}

impl Wait<'_> {
    pub(crate) fn flags(self) -> i32 {
        match self {
            Wait::Sleep(_) => crate::ffi::NVRS_WAITOK as i32,
            Wait::NoWait => crate::ffi::NVRS_NOWAIT as i32,
        }
    }

    /// The malloc(9) flag as it crosses nvmf_transport's interface.
    pub fn how(self) -> i32 {
        match self {
            Wait::Sleep(_) => crate::ffi::NVRS_M_WAITOK as i32,
            Wait::NoWait => crate::ffi::NVRS_M_NOWAIT as i32,
        }
    }
}

impl<'a> From<CanSleep<'a>> for Wait<'a> {
    fn from(sleep: CanSleep<'a>) -> Self {
        Wait::Sleep(sleep)
    }
}
