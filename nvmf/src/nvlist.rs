// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! nvlists as the protocol half sees them.
#![forbid(unsafe_code)]

use crate::proto::handoff::Source;
use core::ffi::CStr;
use sys::nv::NvRef;

/// An nvlist.
#[derive(Clone, Copy)]
pub struct List<'a>(pub NvRef<'a>);

impl Source for List<'_> {
    fn boolean(self, key: &CStr) -> Option<bool> {
        self.0.get_bool(key)
    }

    fn number(self, key: &CStr) -> Option<u64> {
        self.0.get_number(key)
    }

    fn has_string(self, key: &CStr) -> bool {
        self.0.get_string(key).is_some()
    }

    fn with_binary<R>(self, key: &CStr, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
        self.0.get_binary(key).map(f)
    }

    fn list(self, key: &CStr) -> Option<Self> {
        self.0.get_nvlist(key).map(List)
    }

    fn array_len(self, key: &CStr) -> Option<usize> {
        self.0.array_len(key)
    }

    fn array_get(self, key: &CStr, index: usize) -> Option<Self> {
        self.0.array_get(key, index).map(List)
    }
}
