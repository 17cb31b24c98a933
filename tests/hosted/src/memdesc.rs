// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! memdesc(9) values: 24 bytes that say where memory is.
//!
//! Two words hold an address and a length or count; the third says which.

use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::AtomicU32;

use sys::ffi::{mbuf, nvrs_memdesc, nvrs_segment};

use crate::context::die;
use crate::mbuf::{Release, apply, nvrs_m_append, nvrs_m_freem, over_memory};
use crate::mem::check_flags;
use crate::sim::sched;

const VADDR: u64 = 1;
const VLIST: u64 = 3;
/// Pages that mbufs refer to without a mapping, as those of unmapped bios.
const PAGES: u64 = 8;
const PAGE: u64 = 4096;
/// An unmapped mbuf has at most this many pages.
const PAGES_MAX: u64 = 5;

/// A descriptor of pages without a mapping.
pub fn pages(p: *mut u8, len: usize) -> nvrs_memdesc {
    nvrs_memdesc {
        md: [p.expose_provenance() as u64, len as u64, PAGES],
    }
}

/// Calls `f` with each contiguous piece of a range.
fn pieces(md: &nvrs_memdesc, off: u32, len: u32, mut f: impl FnMut(*mut u8, usize)) {
    let [a, b, kind] = md.md;
    let (mut off, mut len) = (u64::from(off), u64::from(len));
    let mut piece = |base: u64, size: u64| {
        if off >= size {
            off -= size;
            return;
        }
        let n = len.min(size - off);
        if n != 0 {
            f(
                ptr::with_exposed_provenance_mut((base + off) as usize),
                n as usize,
            );
        }
        off = 0;
        len -= n;
    };
    match kind {
        VADDR | PAGES => piece(a, b),
        VLIST => {
            let segs = ptr::with_exposed_provenance::<nvrs_segment>(a as usize);
            for i in 0..b as usize {
                // SAFETY: the owner of the list promised it.
                let s = unsafe { *segs.add(i) };
                piece(s.addr, s.len);
            }
        }
        _ => die("not a memdesc"),
    }
    if len != 0 {
        die("a range beyond the end of a memdesc");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_memdesc_vaddr(
    md: *mut nvrs_memdesc,
    p: *mut c_void,
    len: usize,
) {
    // SAFETY: the caller's storage.
    unsafe { (*md).md = [p.expose_provenance() as u64, len as u64, VADDR] };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_memdesc_vlist(
    md: *mut nvrs_memdesc,
    segs: *mut nvrs_segment,
    nseg: u32,
) {
    // SAFETY: the caller's storage.
    unsafe { (*md).md = [segs.expose_provenance() as u64, nseg.into(), VLIST] };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_memdesc_copyback(
    md: *mut nvrs_memdesc,
    off: u32,
    len: u32,
    src: *const c_void,
) {
    let mut src = src.cast::<u8>();
    // SAFETY: the memory that md describes, and len bytes of the caller's.
    unsafe {
        pieces(&*md, off, len, |p, n| {
            ptr::copy_nonoverlapping(src, p, n);
            src = src.add(n);
        });
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_memdesc_copydata(
    md: *mut nvrs_memdesc,
    off: u32,
    len: u32,
    dst: *mut c_void,
) {
    let mut dst = dst.cast::<u8>();
    // SAFETY: the memory that md describes, and room for len bytes.
    unsafe {
        pieces(&*md, off, len, |p, n| {
            ptr::copy_nonoverlapping(p, dst, n);
            dst = dst.add(n);
        });
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_memdesc_from_mbuf(
    md: *mut nvrs_memdesc,
    off: u32,
    m: *const mbuf,
    moff: u32,
    len: u32,
    crc: *mut u32,
) {
    let mut off = off;
    // SAFETY: the caller's chain, descriptor and storage.
    unsafe {
        apply(m, moff, len, |p, n| {
            nvrs_memdesc_copyback(md, off, n as u32, p.cast());
            if !crc.is_null() {
                *crc = crate::crc::update(*crc, std::slice::from_raw_parts(p, n));
            }
            off += n as u32;
        });
    }
}

#[unsafe(no_mangle)]
#[allow(clippy::too_many_arguments)]
pub(crate) unsafe extern "C" fn nvrs_memdesc_mbufs(
    md: *mut nvrs_memdesc,
    off: u32,
    len: u32,
    truncate: bool,
    refs: *mut u32,
    release: Option<Release>,
    arg: *mut c_void,
    flags: c_int,
    actual: *mut u32,
) -> *mut mbuf {
    let Some(release) = release else {
        die("memdesc_alloc_ext_mbufs without a free routine");
    };
    // SAFETY: the caller's descriptor.
    let md = unsafe { &*md };
    let pages = md.md[2] == PAGES;
    // In a simulation memory begins with a page, wherever it is: runs are the same.
    let base = if sched::is_simulated() { md.md[0] } else { 0 };
    let mut len = len;
    if truncate && pages {
        // Up to the last page boundary inside.
        let end = (md.md[0] - base + u64::from(off) + u64::from(len)) % PAGE;
        if u64::from(len) > end {
            len -= end as u32;
        }
    }
    let (mut head, mut last): (*mut mbuf, *mut mbuf) = (ptr::null_mut(), ptr::null_mut());
    let mut failed = false;
    pieces(md, off, len, |p, n| {
        let mut done = 0;
        while done < n && !failed {
            if !check_flags(flags, "memdesc_alloc_ext_mbufs") {
                failed = true;
                return;
            }
            // SAFETY: inside the piece.
            let q = unsafe { p.add(done) };
            let take = if pages {
                let room = PAGES_MAX * PAGE - (q.addr() as u64 - base) % PAGE;
                (n - done).min(room as usize)
            } else {
                n - done
            };
            // SAFETY: the caller's promise for memory and count.
            let m = unsafe {
                over_memory(
                    q,
                    take as u32,
                    refs.cast::<AtomicU32>(),
                    release,
                    arg,
                    pages,
                )
            };
            if head.is_null() {
                head = m;
            } else {
                // SAFETY: our own mbufs.
                unsafe { nvrs_m_append(last, m) };
            }
            last = m;
            done += take;
        }
    });
    if failed {
        // SAFETY: our own chain or NULL.
        unsafe { nvrs_m_freem(head) };
        return ptr::null_mut();
    }
    // SAFETY: the caller's storage.
    unsafe { *actual = len };
    head
}
