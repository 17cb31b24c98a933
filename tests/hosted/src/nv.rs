// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! nvlist(9). The packed form is our own: only we read it.

use std::ffi::{CStr, CString, c_char, c_int, c_void};

use sys::ffi::nvlist;

use crate::object::{Kind, give, object, take};

/// A list of named values. Names are unique.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct List {
    pairs: Vec<(CString, Value)>,
    error: c_int,
}

/// A value of a [`List`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A boolean.
    Bool(bool),
    /// A number.
    Number(u64),
    /// A string.
    String(CString),
    /// Bytes.
    Binary(Vec<u8>),
    /// A list.
    List(Owned),
    /// Lists.
    Array(Lists),
}

/// A list that is known by pointer, owned.
#[derive(Debug)]
pub struct Owned(*mut nvlist);

// SAFETY: it owns the list.
unsafe impl Send for Owned {}
// SAFETY: shared access only reads.
unsafe impl Sync for Owned {}

/// Lists with the array of pointers that C sees.
#[derive(Debug, Default)]
pub struct Lists(Vec<*const nvlist>);

// SAFETY: it owns the lists.
unsafe impl Send for Lists {}
// SAFETY: shared access only reads.
unsafe impl Sync for Lists {}

/// # Safety
///
/// `p` is NULL or a list of ours.
unsafe fn list<'a>(p: *const nvlist) -> &'a List {
    // SAFETY: the caller's promise.
    unsafe { object(p, "nvlist") }
}

fn new(l: List) -> *mut nvlist {
    give(Kind::NvList, l)
}

impl Owned {
    /// Makes a list known by pointer.
    pub fn new(l: List) -> Self {
        Owned(new(l))
    }

    /// The list.
    pub fn get(&self) -> &List {
        // SAFETY: owned.
        unsafe { list(self.0) }
    }

    /// The list, for C.
    pub fn as_ptr(&self) -> *const nvlist {
        self.0
    }
}

impl Clone for Owned {
    fn clone(&self) -> Self {
        Owned::new(self.get().clone())
    }
}

impl PartialEq for Owned {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: owned, destroyed once.
        unsafe { take::<List, _>(Kind::NvList, self.0, "nvlist_destroy") }
    }
}

impl Lists {
    fn iter(&self) -> impl Iterator<Item = &List> {
        // SAFETY: owned.
        self.0.iter().map(|p| unsafe { list(*p) })
    }
}

impl Clone for Lists {
    fn clone(&self) -> Self {
        Lists(self.iter().map(|l| new(l.clone()).cast_const()).collect())
    }
}

impl PartialEq for Lists {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Drop for Lists {
    fn drop(&mut self) {
        for p in &self.0 {
            // SAFETY: owned, destroyed once.
            unsafe { take::<List, _>(Kind::NvList, p.cast_mut(), "nvlist_destroy") }
        }
    }
}

fn cstring(s: &str) -> CString {
    CString::new(s).unwrap_or_default()
}

impl List {
    /// Nothing in it.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a name.
    pub fn get(&self, name: &CStr) -> Option<&Value> {
        let mut pairs = self.pairs.iter();
        pairs.find(|(n, _)| n.as_c_str() == name).map(|(_, v)| v)
    }

    fn add(&mut self, name: &CStr, v: Value) {
        if self.get(name).is_some() {
            self.error = sys::Errno::EEXIST.code();
        } else {
            self.pairs.push((name.to_owned(), v));
        }
    }

    /// Adds or replaces a value.
    pub fn set(&mut self, name: &str, v: Value) -> &mut Self {
        let name = cstring(name);
        self.remove(&name);
        self.pairs.push((name, v));
        self
    }

    /// Removes a value.
    pub fn remove(&mut self, name: &CStr) {
        self.pairs.retain(|(n, _)| n.as_c_str() != name);
    }

    /// Adds or replaces a boolean.
    pub fn bool(&mut self, name: &str, v: bool) -> &mut Self {
        self.set(name, Value::Bool(v))
    }

    /// Adds or replaces a number.
    pub fn number(&mut self, name: &str, v: u64) -> &mut Self {
        self.set(name, Value::Number(v))
    }

    /// Adds or replaces a string.
    pub fn string(&mut self, name: &str, v: &str) -> &mut Self {
        self.set(name, Value::String(cstring(v)))
    }

    /// Adds or replaces bytes.
    pub fn binary(&mut self, name: &str, v: &[u8]) -> &mut Self {
        self.set(name, Value::Binary(v.to_vec()))
    }

    /// Adds or replaces a list.
    pub fn list(&mut self, name: &str, v: List) -> &mut Self {
        self.set(name, Value::List(Owned::new(v)))
    }

    /// Adds or replaces an array of lists.
    pub fn array(&mut self, name: &str, v: Vec<List>) -> &mut Self {
        let lists = Lists(v.into_iter().map(|l| new(l).cast_const()).collect());
        self.set(name, Value::Array(lists))
    }

    /// The number of a name.
    pub fn get_number(&self, name: &CStr) -> Option<u64> {
        match self.get(name) {
            Some(Value::Number(n)) => Some(*n),
            _ => None,
        }
    }

    /// The list of a name.
    pub fn get_list(&self, name: &CStr) -> Option<&List> {
        match self.get(name) {
            Some(Value::List(l)) => Some(l.get()),
            _ => None,
        }
    }

    /// The packed form.
    pub fn pack(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.pack_to(&mut out);
        out
    }

    fn pack_to(&self, out: &mut Vec<u8>) {
        let chunk = |out: &mut Vec<u8>, b: &[u8]| {
            out.extend((b.len() as u32).to_le_bytes());
            out.extend(b);
        };
        out.extend((self.pairs.len() as u32).to_le_bytes());
        for (name, v) in &self.pairs {
            chunk(out, name.to_bytes());
            match v {
                Value::Bool(b) => out.extend([1, u8::from(*b)]),
                Value::Number(n) => {
                    out.push(2);
                    out.extend(n.to_le_bytes());
                }
                Value::String(s) => {
                    out.push(3);
                    chunk(out, s.to_bytes());
                }
                Value::Binary(b) => {
                    out.push(4);
                    chunk(out, b);
                }
                Value::List(l) => {
                    out.push(5);
                    l.get().pack_to(out);
                }
                Value::Array(a) => {
                    out.push(6);
                    out.extend((a.0.len() as u32).to_le_bytes());
                    a.iter().for_each(|l| l.pack_to(out));
                }
            }
        }
    }

    /// From the packed form.
    pub fn unpack(bytes: &[u8]) -> Option<List> {
        let mut r = Reader { rest: bytes };
        let l = r.list(0)?;
        r.rest.is_empty().then_some(l)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (a, b) = self.rest.split_at_checked(n)?;
        self.rest = b;
        Some(a)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn chunk(&mut self) -> Option<&'a [u8]> {
        let n = self.u32()? as usize;
        self.take(n)
    }

    fn list(&mut self, depth: u32) -> Option<List> {
        let mut l = List::new();
        for _ in 0..self.u32()? {
            let name = CString::new(self.chunk()?).ok()?;
            let v = match self.take(1)? {
                [1] => Value::Bool(self.take(1)? != [0]),
                [2] => Value::Number(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
                [3] => Value::String(CString::new(self.chunk()?).ok()?),
                [4] => Value::Binary(self.chunk()?.to_vec()),
                [5] if depth < 16 => Value::List(Owned::new(self.list(depth + 1)?)),
                [6] if depth < 16 => {
                    let mut lists = Lists::default();
                    for _ in 0..self.u32()? {
                        lists.0.push(new(self.list(depth + 1)?));
                    }
                    Value::Array(lists)
                }
                _ => return None,
            };
            if l.get(&name).is_some() {
                return None;
            }
            l.pairs.push((name, v));
        }
        Some(l)
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_create() -> *mut nvlist {
    new(List::new())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_destroy(p: *mut nvlist) {
    if !p.is_null() {
        // SAFETY: a list of the caller's, given up by it.
        unsafe { take::<List, _>(Kind::NvList, p, "nvlist_destroy") }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_clone(p: *const nvlist) -> *mut nvlist {
    // SAFETY: a list of the caller's.
    new(unsafe { list(p) }.clone())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_error(p: *const nvlist) -> c_int {
    if p.is_null() {
        return sys::Errno::ENOMEM.code();
    }
    // SAFETY: a list of the caller's.
    unsafe { list(p) }.error
}

/// # Safety
///
/// `p` is NULL or a list; `name` a string.
unsafe fn find<'a>(p: *const nvlist, name: *const c_char) -> Option<&'a Value> {
    if p.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let (l, name) = unsafe { (list(p), CStr::from_ptr(name)) };
    if l.error != 0 {
        return None;
    }
    l.get(name)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_bool(
    p: *const nvlist,
    name: *const c_char,
    out: *mut bool,
) -> bool {
    // SAFETY: the caller's list, name and storage.
    unsafe {
        let Some(Value::Bool(v)) = find(p, name) else {
            return false;
        };
        *out = *v;
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_number(
    p: *const nvlist,
    name: *const c_char,
    out: *mut u64,
) -> bool {
    // SAFETY: the caller's list, name and storage.
    unsafe {
        let Some(Value::Number(v)) = find(p, name) else {
            return false;
        };
        *out = *v;
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_string(
    p: *const nvlist,
    name: *const c_char,
    out: *mut *const c_char,
    len: *mut usize,
) -> bool {
    // SAFETY: the caller's list, name and storage.
    unsafe {
        let Some(Value::String(v)) = find(p, name) else {
            return false;
        };
        *out = v.as_ptr();
        *len = v.to_bytes().len();
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_binary(
    p: *const nvlist,
    name: *const c_char,
    out: *mut *const c_void,
    len: *mut usize,
) -> bool {
    // SAFETY: the caller's list, name and storage.
    unsafe {
        let Some(Value::Binary(v)) = find(p, name) else {
            return false;
        };
        *out = v.as_ptr().cast();
        *len = v.len();
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_nvlist(
    p: *const nvlist,
    name: *const c_char,
    out: *mut *const nvlist,
) -> bool {
    // SAFETY: the caller's list, name and storage.
    unsafe {
        let Some(Value::List(v)) = find(p, name) else {
            return false;
        };
        *out = v.0;
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_array(
    p: *const nvlist,
    name: *const c_char,
    out: *mut *const *const nvlist,
    len: *mut usize,
) -> bool {
    // SAFETY: the caller's list, name and storage.
    unsafe {
        let Some(Value::Array(v)) = find(p, name) else {
            return false;
        };
        *out = v.0.as_ptr();
        *len = v.0.len();
    }
    true
}

/// # Safety
///
/// `p` is a list that the caller owns; `name` a string.
unsafe fn add(p: *mut nvlist, name: *const c_char, v: Value) {
    // SAFETY: the caller's promise: nobody else uses the list.
    unsafe {
        let l: *const List = list(p);
        (*l.cast_mut()).add(CStr::from_ptr(name), v);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_add_bool(p: *mut nvlist, name: *const c_char, v: bool) {
    // SAFETY: the caller's list and name.
    unsafe { add(p, name, Value::Bool(v)) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_add_number(p: *mut nvlist, name: *const c_char, v: u64) {
    // SAFETY: the caller's list and name.
    unsafe { add(p, name, Value::Number(v)) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_add_string(
    p: *mut nvlist,
    name: *const c_char,
    v: *const c_char,
) {
    // SAFETY: the caller's list and strings.
    unsafe { add(p, name, Value::String(CStr::from_ptr(v).to_owned())) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_add_binary(
    p: *mut nvlist,
    name: *const c_char,
    v: *const c_void,
    len: usize,
) {
    // SAFETY: the caller's list, name and bytes.
    unsafe {
        let bytes = std::slice::from_raw_parts(v.cast::<u8>(), len);
        add(p, name, Value::Binary(bytes.to_vec()));
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_add_nvlist(
    p: *mut nvlist,
    name: *const c_char,
    v: *const nvlist,
) {
    // SAFETY: the caller's lists and name.
    unsafe { add(p, name, Value::List(Owned::new(list(v).clone()))) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_remove(p: *mut nvlist, name: *const c_char) {
    // SAFETY: the caller's list, that nobody else uses, and name.
    unsafe {
        let l: *const List = list(p);
        (*l.cast_mut()).remove(CStr::from_ptr(name));
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_pack(p: *const nvlist, len: *mut usize) -> *mut c_void {
    // SAFETY: the caller's list and storage.
    unsafe {
        let bytes = list(p).pack();
        *len = bytes.len();
        let m = crate::mem::nvrs_malloc(bytes.len(), 8, sys::ffi::NVRS_NOWAIT as c_int);
        if !m.is_null() {
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), m.cast(), bytes.len());
        }
        m
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_free_packed(p: *mut c_void) {
    // SAFETY: memory of nvrs_nv_pack().
    unsafe { crate::mem::nvrs_free(p) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_size(p: *const nvlist) -> usize {
    // SAFETY: the caller's list.
    unsafe { list(p) }.pack().len()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_nv_unpack(buf: *const c_void, len: usize) -> *mut nvlist {
    // SAFETY: the caller's bytes.
    let bytes = unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) };
    List::unpack(bytes).map_or(std::ptr::null_mut(), new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packing_keeps_everything() {
        let mut inner = List::new();
        inner.string("s", "text").binary("b", &[1, 2, 3]);
        let mut l = List::new();
        l.bool("t", true)
            .number("n", u64::MAX)
            .list("l", inner.clone())
            .array("a", vec![inner, List::new()]);
        let packed = l.pack();
        assert_eq!(List::unpack(&packed), Some(l));
        for n in 0..packed.len() {
            assert_eq!(List::unpack(&packed[..n]), None);
        }
    }
}
