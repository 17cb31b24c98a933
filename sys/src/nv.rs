// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! nvlist(9): lists of named values, as ioctls carry them.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::ops::Deref;
use core::ptr::{self, NonNull};

use crate::errno::{Errno, Result};
use crate::ffi;

/// A list that somebody else owns. Getters answer `None` for an element that
/// is missing or of another type.
#[derive(Clone, Copy)]
pub struct NvRef<'a> {
    raw: NonNull<ffi::nvlist>,
    _life: PhantomData<&'a ()>,
}

impl<'a> NvRef<'a> {
    /// A list that C passed to us.
    ///
    /// # Safety
    ///
    /// `raw` is NULL or a live list that stays unchanged during `'a`.
    pub unsafe fn from_raw(raw: *const ffi::nvlist) -> Option<Self> {
        NonNull::new(raw.cast_mut()).map(|raw| NvRef {
            raw,
            _life: PhantomData,
        })
    }

    /// The list, for C.
    pub fn as_ptr(&self) -> *const ffi::nvlist {
        self.raw.as_ptr()
    }

    /// A boolean.
    pub fn get_bool(&self, name: &CStr) -> Option<bool> {
        let mut v = false;
        // SAFETY: live list, valid name and storage.
        unsafe { ffi::nvrs_nv_bool(self.as_ptr(), name.as_ptr(), &mut v) }.then_some(v)
    }

    /// A number.
    pub fn get_number(&self, name: &CStr) -> Option<u64> {
        let mut v = 0;
        // SAFETY: live list, valid name and storage.
        unsafe { ffi::nvrs_nv_number(self.as_ptr(), name.as_ptr(), &mut v) }.then_some(v)
    }

    /// A string, without its NUL.
    pub fn get_string(&self, name: &CStr) -> Option<&'a [u8]> {
        let (mut p, mut len) = (ptr::null(), 0);
        // SAFETY: live list, valid name and storage.
        if !unsafe { ffi::nvrs_nv_string(self.as_ptr(), name.as_ptr(), &mut p, &mut len) } {
            return None;
        }
        // SAFETY: the list owns len bytes at p and is unchanged during 'a.
        Some(unsafe { core::slice::from_raw_parts(p.cast(), len) })
    }

    /// Bytes.
    pub fn get_binary(&self, name: &CStr) -> Option<&'a [u8]> {
        let (mut p, mut len) = (ptr::null(), 0);
        // SAFETY: live list, valid name and storage.
        if !unsafe { ffi::nvrs_nv_binary(self.as_ptr(), name.as_ptr(), &mut p, &mut len) } {
            return None;
        }
        // SAFETY: the list owns len bytes at p and is unchanged during 'a.
        Some(unsafe { core::slice::from_raw_parts(p.cast(), len) })
    }

    /// A list inside the list.
    pub fn get_nvlist(&self, name: &CStr) -> Option<NvRef<'a>> {
        let mut p = ptr::null();
        // SAFETY: live list, valid name and storage.
        if !unsafe { ffi::nvrs_nv_nvlist(self.as_ptr(), name.as_ptr(), &mut p) } {
            return None;
        }
        // SAFETY: the inner list lives as long as the outer one.
        unsafe { NvRef::from_raw(p) }
    }

    /// How many lists an array of lists has.
    pub fn array_len(&self, name: &CStr) -> Option<usize> {
        let (mut p, mut len) = (ptr::null(), 0);
        // SAFETY: live list, valid name and storage.
        unsafe { ffi::nvrs_nv_array(self.as_ptr(), name.as_ptr(), &mut p, &mut len) }.then_some(len)
    }

    /// One list of an array of lists.
    pub fn array_get(&self, name: &CStr, index: usize) -> Option<NvRef<'a>> {
        let (mut p, mut len) = (ptr::null(), 0);
        // SAFETY: live list, valid name and storage.
        if !unsafe { ffi::nvrs_nv_array(self.as_ptr(), name.as_ptr(), &mut p, &mut len) }
            || index >= len
        {
            return None;
        }
        // SAFETY: p has len elements, which live as long as the list.
        unsafe { NvRef::from_raw(*p.add(index)) }
    }

    /// A copy. Any context.
    pub fn to_owned(&self) -> Result<NvList> {
        // SAFETY: live list.
        let raw = unsafe { ffi::nvrs_nv_clone(self.as_ptr()) };
        NvList::from_nonnull(raw)
    }

    /// The list's sticky error.
    pub fn error(&self) -> Result<()> {
        // SAFETY: live list.
        Errno::check(unsafe { ffi::nvrs_nv_error(self.as_ptr()) })
    }

    /// The list in packed form. Any context.
    pub fn pack(&self) -> Result<Packed> {
        self.error()?;
        let mut len = 0;
        // SAFETY: live list without error; valid storage.
        let p = unsafe { ffi::nvrs_nv_pack(self.as_ptr(), &mut len) };
        NonNull::new(p.cast())
            .map(|ptr| Packed { ptr, len })
            .ok_or(Errno::ENOMEM)
    }
}

/// An owned list.
pub struct NvList(NvRef<'static>);

// SAFETY: an owned list has no thread affinity.
unsafe impl Send for NvList {}
// SAFETY: reading a list does not change it.
unsafe impl Sync for NvList {}

impl NvList {
    fn from_nonnull(raw: *mut ffi::nvlist) -> Result<Self> {
        // SAFETY: a fresh list that only the result refers to.
        unsafe { NvRef::from_raw(raw) }
            .map(NvList)
            .ok_or(Errno::ENOMEM)
    }

    /// An empty list. Any context.
    pub fn new() -> Result<Self> {
        // SAFETY: no preconditions.
        Self::from_nonnull(unsafe { ffi::nvrs_nv_create() })
    }

    /// A list that C gives away.
    ///
    /// # Safety
    ///
    /// `raw` is NULL or a live list that only the result refers to.
    pub unsafe fn from_raw(raw: *mut ffi::nvlist) -> Option<Self> {
        // SAFETY: the caller's promise.
        unsafe { NvRef::from_raw(raw) }.map(NvList)
    }

    /// Gives the list to C.
    pub fn into_raw(self) -> *mut ffi::nvlist {
        let raw = self.0.raw.as_ptr();
        core::mem::forget(self);
        raw
    }

    /// From packed form; EINVAL if malformed.
    pub fn unpack(bytes: &[u8]) -> Result<Self> {
        // SAFETY: the slice is valid for its length.
        let raw = unsafe { ffi::nvrs_nv_unpack(bytes.as_ptr().cast(), bytes.len()) };
        Self::from_nonnull(raw).map_err(|_| Errno::EINVAL)
    }

    /// The list, borrowed.
    pub fn as_ref(&self) -> NvRef<'_> {
        self.0
    }

    /// Adds a boolean. A failure is remembered: see [`NvRef::error`].
    pub fn add_bool(&mut self, name: &CStr, v: bool) {
        // SAFETY: live list that we own; valid name.
        unsafe { ffi::nvrs_nv_add_bool(self.0.raw.as_ptr(), name.as_ptr(), v) }
    }

    /// Adds a number.
    pub fn add_number(&mut self, name: &CStr, v: u64) {
        // SAFETY: live list that we own; valid name.
        unsafe { ffi::nvrs_nv_add_number(self.0.raw.as_ptr(), name.as_ptr(), v) }
    }

    /// Adds a string.
    pub fn add_string(&mut self, name: &CStr, v: &CStr) {
        // SAFETY: live list that we own; valid strings.
        unsafe { ffi::nvrs_nv_add_string(self.0.raw.as_ptr(), name.as_ptr(), v.as_ptr()) }
    }

    /// Adds bytes.
    pub fn add_binary(&mut self, name: &CStr, v: &[u8]) {
        // SAFETY: live list that we own; the slice is valid for its length.
        unsafe {
            ffi::nvrs_nv_add_binary(
                self.0.raw.as_ptr(),
                name.as_ptr(),
                v.as_ptr().cast(),
                v.len(),
            )
        }
    }

    /// Adds a copy of a list.
    pub fn add_nvlist(&mut self, name: &CStr, v: NvRef<'_>) {
        // SAFETY: live lists; the name is valid.
        unsafe { ffi::nvrs_nv_add_nvlist(self.0.raw.as_ptr(), name.as_ptr(), v.as_ptr()) }
    }

    /// Replaces or adds bytes.
    pub fn set_binary(&mut self, name: &CStr, v: &[u8]) {
        // SAFETY: live list that we own; valid name.
        unsafe { ffi::nvrs_nv_remove(self.0.raw.as_ptr(), name.as_ptr()) }
        self.add_binary(name, v);
    }

    /// Replaces or adds a number.
    pub fn set_number(&mut self, name: &CStr, v: u64) {
        // SAFETY: live list that we own; valid name.
        unsafe { ffi::nvrs_nv_remove(self.0.raw.as_ptr(), name.as_ptr()) }
        self.add_number(name, v);
    }
}

impl Drop for NvList {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { ffi::nvrs_nv_destroy(self.0.raw.as_ptr()) }
    }
}

/// A packed list.
pub struct Packed {
    ptr: NonNull<u8>,
    len: usize,
}

impl Deref for Packed {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        // SAFETY: owned memory of that length.
        unsafe { core::slice::from_raw_parts(self.ptr.as_ptr(), self.len) }
    }
}

impl Drop for Packed {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        unsafe { ffi::nvrs_nv_free_packed(self.ptr.as_ptr().cast()) }
    }
}
