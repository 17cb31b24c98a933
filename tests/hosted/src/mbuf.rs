// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! mbuf(9) chains.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sys::ffi::{self, NVRS_M_MAXCONTIG, mbuf};

use crate::context::{die, no_sleep};
use crate::mem::check_flags;
use crate::object::{Kind, count};

/// How a release callback is called.
pub type Release = unsafe extern "C" fn(*mut c_void);

const LIVE_MAGIC: u32 = 0x6d62_7566;
const FREE_MAGIC: u32 = 0x6672_6565;

/// Memory that mbufs share.
struct Buf {
    _bytes: Box<[u8]>,
}

/// Foreign memory of `nvrs_m_ext`, given back with its last mbuf.
struct Foreign {
    release: Release,
    arg: *mut c_void,
}

// SAFETY: release callbacks run in any context.
unsafe impl Send for Foreign {}
// SAFETY: as above.
unsafe impl Sync for Foreign {}

impl Drop for Foreign {
    fn drop(&mut self) {
        // SAFETY: the owner's callback and argument; once.
        no_sleep("an mbuf free routine", || unsafe {
            (self.release)(self.arg)
        });
    }
}

/// Memory of a memdesc: EXT_EXTREF, whose count is the owner's.
#[derive(Clone, Copy)]
struct ExtRef {
    refs: *const AtomicU32,
    release: Release,
    arg: *mut c_void,
}

enum Store {
    Own(Arc<Buf>),
    Foreign(Arc<Foreign>),
    /// Mapped memory of a memdesc.
    ExtRef(ExtRef),
    /// Unmapped pages of a memdesc: their sharers are counted here, and one
    /// count of the owner's is given back at the end.
    ExtPages(Arc<Foreign>),
}

impl Store {
    fn share(&self) -> Store {
        match self {
            Store::Own(b) => Store::Own(b.clone()),
            Store::Foreign(f) => Store::Foreign(f.clone()),
            Store::ExtPages(f) => Store::ExtPages(f.clone()),
            Store::ExtRef(e) => {
                // SAFETY: we hold a count, so the counter lives. Like
                // mb_dupcl(), a count of one is changed without atomics.
                let refs = unsafe { &*e.refs };
                if refs.load(Ordering::Relaxed) == 1 {
                    refs.store(2, Ordering::Relaxed);
                } else {
                    refs.fetch_add(1, Ordering::Relaxed);
                }
                Store::ExtRef(*e)
            }
        }
    }

    fn writable(&self) -> bool {
        matches!(self, Store::Own(b) if Arc::strong_count(b) == 1)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Store::ExtRef(e) = self {
            // SAFETY: we hold a count, so the counter lives until it is given
            // up. Like mb_free_ext(), a count of one is left as it is.
            let refs = unsafe { &*e.refs };
            if refs.load(Ordering::Acquire) == 1 || refs.fetch_sub(1, Ordering::AcqRel) == 1 {
                // SAFETY: the owner's callback and argument; the last count.
                no_sleep("an mbuf free routine", || unsafe { (e.release)(e.arg) });
            }
        }
    }
}

/// One mbuf.
struct M {
    magic: u32,
    next: *mut M,
    data: *mut u8,
    len: u32,
    store: Option<Store>,
}

/// mbufs are never given back to the process, so that late use is recognised.
struct FreeList(Vec<*mut M>);

// SAFETY: the list owns what is on it.
unsafe impl Send for FreeList {}

static FREE: Mutex<FreeList> = Mutex::new(FreeList(Vec::new()));

fn new(store: Store, data: *mut u8, len: u32) -> *mut mbuf {
    count(Kind::Mbuf, 1);
    let m = M {
        magic: LIVE_MAGIC,
        next: ptr::null_mut(),
        data,
        len,
        store: Some(store),
    };
    let old = {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        // Let them rest for a while.
        if free.0.len() > 1024 {
            let at = free.0.len() / 2;
            Some(free.0.swap_remove(at))
        } else {
            None
        }
    };
    match old {
        Some(p) => {
            // SAFETY: from the free list: ours alone; without a store.
            unsafe { p.write(m) };
            p.cast()
        }
        None => Box::into_raw(Box::new(m)).cast(),
    }
}

/// # Safety
///
/// `m` is an mbuf of the caller's, perhaps freed lately.
unsafe fn at<'a>(m: *const mbuf, what: &str) -> &'a mut M {
    if m.is_null() {
        die(&format!("{what} goes beyond the end of a chain"));
    }
    // SAFETY: mbufs stay allocated; the chain is the caller's.
    let m = unsafe { &mut *m.cast_mut().cast::<M>() };
    if m.magic != LIVE_MAGIC {
        die(&format!("{what} on an mbuf that was freed"));
    }
    m
}

/// Frees one mbuf and returns the next.
///
/// # Safety
///
/// `m` is an mbuf of the caller's, given up by it.
unsafe fn free_one(m: *mut mbuf) -> *mut mbuf {
    // SAFETY: the caller's promise.
    let x = unsafe { at(m, "m_free") };
    x.magic = FREE_MAGIC;
    count(Kind::Mbuf, -1);
    let next = x.next;
    x.next = ptr::null_mut();
    drop(x.store.take());
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    free.0.push(m.cast());
    next.cast()
}

fn own(capacity: usize, len: u32) -> *mut mbuf {
    let mut bytes = vec![0xa5; capacity.max(1)].into_boxed_slice();
    let data = bytes.as_mut_ptr();
    // The buffer is written through `data` only.
    new(Store::Own(Arc::new(Buf { _bytes: bytes })), data, len)
}

/// Part of an mbuf's memory, without the mbuf: what a send buffer, the network
/// and a receive buffer share.
pub struct Piece {
    store: Store,
    data: *mut u8,
    len: u32,
    /// Of its bytes, once it is on its way.
    sum: Option<u32>,
}

// SAFETY: nobody writes to what is shared.
unsafe impl Send for Piece {}

impl Piece {
    /// Memory of its own.
    pub fn own(bytes: Vec<u8>) -> Self {
        let mut bytes = bytes.into_boxed_slice();
        let (data, len) = (bytes.as_mut_ptr(), bytes.len() as u32);
        Piece {
            store: Store::Own(Arc::new(Buf { _bytes: bytes })),
            data,
            len,
            sum: None,
        }
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the store keeps them.
        unsafe { std::slice::from_raw_parts(self.data, self.len()) }
    }

    /// Its bytes must not change from now on.
    pub fn seal(&mut self) {
        self.sum = Some(crate::crc::update(!0, self.bytes()));
    }

    /// They have not.
    pub fn check(&self) {
        let same = |sum| sum == crate::crc::update(!0, self.bytes());
        if !self.sum.is_none_or(same) {
            die("memory was changed while the network had it");
        }
    }

    /// Takes the first bytes off.
    pub fn split_front(&mut self, len: usize) -> Self {
        self.check();
        let len = self.len.min(len as u32);
        let mut front = Piece {
            store: self.store.share(),
            data: self.data,
            len,
            sum: None,
        };
        // SAFETY: not beyond its end.
        self.data = unsafe { self.data.add(len as usize) };
        self.len -= len;
        if self.sum.is_some() {
            front.seal();
            self.seal();
        }
        front
    }
}

/// The memory of a chain from a byte on, shared with its mbufs.
///
/// # Safety
///
/// `m` is a chain of the caller's.
pub unsafe fn pieces(m: *const mbuf, skip: u32) -> Vec<Piece> {
    let mut out = Vec::new();
    let (mut m, mut skip) = (m, skip);
    while !m.is_null() {
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "send") };
        if skip >= x.len {
            skip -= x.len;
        } else if let Some(store) = &x.store {
            out.push(Piece {
                store: store.share(),
                // SAFETY: inside the mbuf.
                data: unsafe { x.data.add(skip as usize) },
                len: x.len - skip,
                sum: None,
            });
            skip = 0;
        }
        m = x.next.cast();
    }
    out
}

/// A chain over received bytes; `segment` is the most that one mbuf has, zero:
/// as they come.
pub fn received(bytes: Vec<Piece>, segment: u32) -> *mut mbuf {
    let (mut head, mut last): (*mut mbuf, *mut mbuf) = (ptr::null_mut(), ptr::null_mut());
    for mut piece in bytes {
        piece.check();
        piece.sum = None;
        while !piece.is_empty() {
            let most = if segment == 0 { piece.len } else { segment };
            let Piece {
                store, data, len, ..
            } = piece.split_front(most as usize);
            let m = new(store, data, len);
            if head.is_null() {
                head = m;
            } else {
                // SAFETY: our own mbufs.
                unsafe { nvrs_m_append(last, m) };
            }
            last = m;
        }
    }
    head
}

/// A mbuf over memory of a memdesc; see `nvrs_memdesc_mbufs`.
///
/// # Safety
///
/// `data` has `len` bytes that stay while a count of `refs` is held.
pub unsafe fn over_memory(
    data: *mut u8,
    len: u32,
    refs: *const AtomicU32,
    release: Release,
    arg: *mut c_void,
    pages: bool,
) -> *mut mbuf {
    // SAFETY: the caller holds a count, so the counter lives.
    unsafe { &*refs }.fetch_add(1, Ordering::Relaxed);
    let store = if pages {
        Store::ExtPages(Arc::new(Foreign {
            release,
            arg: arg.map_addr(|a| a | 1),
        }))
    } else {
        Store::ExtRef(ExtRef { refs, release, arg })
    };
    new(store, data, len)
}

/// Calls `f` with each contiguous piece of a range, as m_apply() does.
///
/// # Safety
///
/// `m` is a chain of the caller's.
pub unsafe fn apply(m: *const mbuf, off: u32, len: u32, mut f: impl FnMut(*mut u8, usize)) {
    let (mut m, mut off, mut len) = (m, off, len);
    while len != 0 {
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "m_apply") };
        if off >= x.len {
            off -= x.len;
        } else {
            let n = len.min(x.len - off);
            // SAFETY: inside the mbuf.
            f(unsafe { x.data.add(off as usize) }, n as usize);
            off = 0;
            len -= n;
        }
        m = x.next.cast();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_get(len: u32, flags: c_int) -> *mut mbuf {
    if len > NVRS_M_MAXCONTIG || !check_flags(flags, "m_get") {
        return ptr::null_mut();
    }
    own(if len <= 224 { 224 } else { 2048 }, len)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_getchain(len: u32, flags: c_int) -> *mut mbuf {
    let (mut head, mut last): (*mut mbuf, *mut mbuf) = (ptr::null_mut(), ptr::null_mut());
    let mut left = len;
    loop {
        if !check_flags(flags, "m_getm2") {
            // SAFETY: our own chain, or NULL.
            unsafe { nvrs_m_freem(head) };
            return ptr::null_mut();
        }
        let n = left.min(4096);
        let m = own(if n <= 224 { 224 } else { n as usize }, n);
        if head.is_null() {
            head = m;
        } else {
            // SAFETY: our own mbufs.
            unsafe { nvrs_m_append(last, m) };
        }
        last = m;
        left -= n;
        if left == 0 {
            return head;
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_freem(m: *mut mbuf) {
    let mut m = m;
    while !m.is_null() {
        // SAFETY: the caller's chain, given up by it.
        m = unsafe { free_one(m) };
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_data(m: *mut mbuf) -> *mut u8 {
    // SAFETY: the caller's mbuf.
    let x = unsafe { at(m, "mtod") };
    match x.store {
        Some(Store::ExtPages(_)) => ptr::null_mut(),
        _ => x.data,
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_len(m: *const mbuf) -> u32 {
    // SAFETY: the caller's mbuf.
    unsafe { at(m, "m_len") }.len
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_length(m: *mut mbuf, last: *mut *mut mbuf) -> u32 {
    let (mut m, mut len, mut end) = (m, 0, ptr::null_mut());
    while !m.is_null() {
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "m_length") };
        len += x.len;
        end = m;
        m = x.next.cast();
    }
    if !last.is_null() {
        // SAFETY: the caller's storage.
        unsafe { *last = end };
    }
    len
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_append(last: *mut mbuf, m: *mut mbuf) {
    // SAFETY: the caller's chains.
    let (x, y) = unsafe { (at(last, "m_cat"), at(m, "m_cat")) };
    if !x.next.is_null() {
        die("m_cat: not the last mbuf of its chain");
    }
    x.next = y;
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_split(m: *mut mbuf, len: u32, flags: c_int) -> *mut mbuf {
    let (mut m, mut left) = (m, len);
    loop {
        if m.is_null() {
            return ptr::null_mut();
        }
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "m_split") };
        if left > x.len {
            left -= x.len;
            m = x.next.cast();
            continue;
        }
        if left == x.len {
            let rest = x.next;
            x.next = ptr::null_mut();
            return rest.cast();
        }
        if !check_flags(flags, "m_split") {
            return ptr::null_mut();
        }
        let Some(store) = &x.store else {
            die("m_split: an mbuf without memory");
        };
        // SAFETY: inside the mbuf, whose memory the new one shares.
        let rest = new(
            store.share(),
            unsafe { x.data.add(left as usize) },
            x.len - left,
        );
        // SAFETY: just made.
        unsafe { at(rest, "m_split") }.next = x.next;
        x.next = ptr::null_mut();
        x.len = left;
        return rest;
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_advance(m: *mut mbuf, len: u32) -> *mut mbuf {
    let (mut m, mut len) = (m, len);
    while !m.is_null() {
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "m_adj") };
        if len < x.len {
            // SAFETY: inside the mbuf.
            x.data = unsafe { x.data.add(len as usize) };
            x.len -= len;
            return m;
        }
        len -= x.len;
        // SAFETY: the caller gives up what is passed.
        m = unsafe { free_one(m) };
    }
    if len != 0 {
        die("m_adj goes beyond the end of a chain");
    }
    m
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_copydata(
    m: *const mbuf,
    off: u32,
    len: u32,
    dst: *mut c_void,
) {
    let mut dst = dst.cast::<u8>();
    // SAFETY: the caller's chain, and room for len bytes.
    unsafe {
        apply(m, off, len, |p, n| {
            ptr::copy_nonoverlapping(p, dst, n);
            dst = dst.add(n);
        });
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_copyback(
    m: *mut mbuf,
    off: u32,
    len: u32,
    src: *const c_void,
) {
    let (mut x, mut skip) = (m, off);
    let (mut src, mut left) = (src.cast::<u8>(), len);
    while left != 0 {
        // SAFETY: the caller's chain.
        let b = unsafe { at(x, "m_copyback") };
        if skip >= b.len {
            skip -= b.len;
        } else {
            if !b.store.as_ref().is_some_and(Store::writable) {
                die("m_copyback to memory that is shared or read only");
            }
            let n = left.min(b.len - skip);
            // SAFETY: inside the mbuf; the caller has len bytes.
            unsafe {
                ptr::copy_nonoverlapping(src, b.data.add(skip as usize), n as usize);
                src = src.add(n as usize);
            }
            skip = 0;
            left -= n;
        }
        x = b.next.cast();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_crc32c(m: *const mbuf, off: u32, len: u32, crc: u32) -> u32 {
    let mut crc = crc;
    // SAFETY: the caller's chain.
    unsafe {
        apply(m, off, len, |p, n| {
            crc = crate::crc::update(crc, std::slice::from_raw_parts(p, n));
        });
    }
    crc
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_m_ext(
    buf: *const c_void,
    len: u32,
    release: Option<Release>,
    arg: *mut c_void,
    flags: c_int,
) -> *mut mbuf {
    let Some(release) = release else {
        die("m_extadd without a free routine");
    };
    if !check_flags(flags, "m_extadd") {
        return ptr::null_mut();
    }
    let store = Store::Foreign(Arc::new(Foreign { release, arg }));
    new(store, buf.cast_mut().cast(), len)
}

/// The bytes of a chain, for tests.
///
/// # Safety
///
/// `m` is a chain of the caller's.
pub unsafe fn bytes(m: *const mbuf) -> Vec<u8> {
    let mut out = Vec::new();
    let mut m = m;
    while !m.is_null() {
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "bytes") };
        // SAFETY: the mbuf's memory.
        out.extend_from_slice(unsafe { std::slice::from_raw_parts(x.data, x.len as usize) });
        m = x.next.cast();
    }
    out
}

/// One I/O vector per mbuf, at most `max`.
///
/// # Safety
///
/// `m` is a chain of the caller's, which outlives the result.
pub(crate) unsafe fn vectors(m: *const ffi::mbuf, skip: u32, max: usize) -> Vec<libc::iovec> {
    let mut out = Vec::new();
    let (mut m, mut skip) = (m, skip);
    while !m.is_null() && out.len() < max {
        // SAFETY: the caller's chain.
        let x = unsafe { at(m, "send") };
        if skip >= x.len {
            skip -= x.len;
        } else {
            out.push(libc::iovec {
                // SAFETY: inside the mbuf.
                iov_base: unsafe { x.data.add(skip as usize) }.cast(),
                iov_len: (x.len - skip) as usize,
            });
            skip = 0;
        }
        m = x.next.cast();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use sys::ffi::NVRS_WAITOK;

    const WAIT: c_int = NVRS_WAITOK as c_int;

    #[test]
    fn chains_split_and_advance() {
        let data: Vec<u8> = (0..10_000).map(|i| i as u8).collect();
        // SAFETY: chains are used as the header says.
        unsafe {
            let m = nvrs_m_getchain(10_000, WAIT);
            nvrs_m_copyback(m, 0, 10_000, data.as_ptr().cast());
            assert_eq!(bytes(m), data);
            let rest = nvrs_m_split(m, 5000, WAIT);
            assert_eq!(
                (bytes(m), bytes(rest)),
                (data[..5000].to_vec(), data[5000..].to_vec())
            );
            assert!(nvrs_m_split(m, 5000, WAIT).is_null());
            let rest = nvrs_m_advance(rest, 4500);
            assert_eq!(bytes(rest), data[9500..]);
            assert!(nvrs_m_advance(rest, 500).is_null());
            nvrs_m_freem(m);
        }
    }
}
