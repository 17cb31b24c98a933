// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! malloc(9) with accounting, red zones, poison and quarantine; user memory.

use std::alloc::{Layout, alloc, dealloc};
use std::collections::{HashMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, PoisonError};

use sys::ffi::{NVRS_MALLOC_MAX, NVRS_NOWAIT, NVRS_WAITOK, NVRS_ZERO};

use crate::context::{die, may_sleep};
use crate::fault;
use crate::object::{Kind, count};

const HEADER: usize = 32;
const RED_ZONE: usize = 16;
const RED: u8 = 0xfd;
const FRESH: u8 = 0xa5;
const FREED: u8 = 0xde;
const LIVE_MAGIC: u64 = 0x6d61_6c6c_6f63_6564;
const FREE_MAGIC: u64 = 0x6d65_6d66_7265_6564;
const QUARANTINE_BYTES: usize = 32 << 20;

#[repr(C)]
struct Header {
    magic: u64,
    size: usize,
    /// From the start of the allocation to the memory.
    offset: usize,
    align: usize,
}

struct Freed(*mut u8);

// SAFETY: an address; whoever pops it owns the allocation.
unsafe impl Send for Freed {}

#[derive(Default)]
struct Arena {
    live: HashMap<usize, (usize, Option<String>)>,
    freed: VecDeque<Freed>,
    freed_bytes: usize,
}

static ARENA: Mutex<Option<Arena>> = Mutex::new(None);

fn with_arena<R>(f: impl FnOnce(&mut Arena) -> R) -> R {
    let mut a = ARENA.lock().unwrap_or_else(PoisonError::into_inner);
    f(a.get_or_insert_default())
}

/// Whether an allocation with these flags may go ahead; false: it fails.
pub fn check_flags(flags: c_int, what: &str) -> bool {
    let (nowait, wait) = (
        flags & NVRS_NOWAIT as c_int != 0,
        flags & NVRS_WAITOK as c_int != 0,
    );
    match (nowait, wait) {
        (true, false) => !fault::nowait_fails(),
        (false, true) => {
            may_sleep(what);
            true
        }
        _ => die(&format!("{what}: neither M_WAITOK nor M_NOWAIT")),
    }
}

fn tracing() -> bool {
    static ON: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var_os("HOSTED_TRACE").is_some())
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_malloc(
    size: usize,
    align: usize,
    flags: c_int,
) -> *mut c_void {
    if !check_flags(flags, "malloc") || size > NVRS_MALLOC_MAX as usize {
        return std::ptr::null_mut();
    }
    let align = align.max(16);
    let offset = HEADER.next_multiple_of(align);
    let Ok(layout) = Layout::from_size_align(offset + size + RED_ZONE, align) else {
        die("malloc: bad alignment");
    };
    let fill = if flags & NVRS_ZERO as c_int != 0 {
        0
    } else {
        FRESH
    };
    // SAFETY: the layout has room for header, memory and red zone.
    let p = unsafe {
        let base = alloc(layout);
        if base.is_null() {
            return std::ptr::null_mut();
        }
        let p = base.add(offset);
        p.sub(HEADER).cast::<Header>().write(Header {
            magic: LIVE_MAGIC,
            size,
            offset,
            align,
        });
        p.write_bytes(fill, size);
        p.add(size).write_bytes(RED, RED_ZONE);
        p
    };
    count(Kind::Memory, 1);
    count(Kind::Bytes, size as i64);
    let trace = tracing().then(|| std::backtrace::Backtrace::force_capture().to_string());
    with_arena(|a| a.live.insert(p.addr(), (size, trace)));
    p.cast()
}

/// # Safety
///
/// `p` was popped from the quarantine.
unsafe fn really_free(p: *mut u8) {
    // SAFETY: quarantined memory is whole and owned by us.
    unsafe {
        let h = p.sub(HEADER).cast::<Header>().read();
        let bytes = std::slice::from_raw_parts(p, h.size);
        if let Some(i) = bytes.iter().position(|&b| b != FREED) {
            die(&format!(
                "memory of {} bytes was written at {i} after free",
                h.size
            ));
        }
        let layout = Layout::from_size_align_unchecked(h.offset + h.size + RED_ZONE, h.align);
        dealloc(p.sub(h.offset), layout);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_free(p: *mut c_void) {
    if p.is_null() {
        return;
    }
    let p = p.cast::<u8>();
    if with_arena(|a| a.live.remove(&p.addr())).is_none() {
        die("free of memory that is not allocated (freed twice?)");
    }
    // SAFETY: live memory of ours, whose last user gives it up.
    unsafe {
        let h = &mut *p.sub(HEADER).cast::<Header>();
        if h.magic != LIVE_MAGIC {
            die("free: the memory before the allocation was overwritten");
        }
        let red = std::slice::from_raw_parts(p.add(h.size), RED_ZONE);
        if red.iter().any(|&b| b != RED) {
            die(&format!(
                "free: {} bytes were written beyond their end",
                h.size
            ));
        }
        h.magic = FREE_MAGIC;
        p.write_bytes(FREED, h.size);
        count(Kind::Memory, -1);
        count(Kind::Bytes, -(h.size as i64));
        let size = h.size;
        let mut evicted = Vec::new();
        with_arena(|a| {
            a.freed.push_back(Freed(p));
            a.freed_bytes += size;
            while a.freed_bytes > QUARANTINE_BYTES {
                let Some(Freed(old)) = a.freed.pop_front() else {
                    break;
                };
                a.freed_bytes -= (*old.sub(HEADER).cast::<Header>()).size;
                evicted.push(old);
            }
        });
        for old in evicted {
            really_free(old);
        }
    }
}

/// Checks that nobody wrote to freed memory.
pub fn check_freed() {
    let freed = with_arena(|a| {
        a.freed_bytes = 0;
        std::mem::take(&mut a.freed)
    });
    for Freed(p) in freed {
        // SAFETY: out of the quarantine.
        unsafe { really_free(p) };
    }
}

/// The size of everything that is allocated.
pub fn sizes() -> Vec<usize> {
    with_arena(|a| a.live.values().map(|(size, _)| *size).collect())
}

/// What is allocated, for a leak report; with HOSTED_TRACE set, by whom.
pub fn report() -> String {
    with_arena(|a| {
        let mut s = String::new();
        for (p, (size, trace)) in a.live.iter().take(8) {
            s += &format!(
                "{size} bytes at {p:#x}\n{}\n",
                trace.as_deref().unwrap_or("")
            );
        }
        s
    })
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_copyin(
    uaddr: *const c_void,
    kaddr: *mut c_void,
    len: usize,
) -> c_int {
    may_sleep("copyin");
    if uaddr.addr() < 4096 {
        return sys::Errno::EFAULT.code();
    }
    // SAFETY: "user" memory is memory of a test, valid for len bytes.
    unsafe { std::ptr::copy(uaddr.cast::<u8>(), kaddr.cast::<u8>(), len) };
    0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_copyout(
    kaddr: *const c_void,
    uaddr: *mut c_void,
    len: usize,
) -> c_int {
    may_sleep("copyout");
    if uaddr.addr() < 4096 {
        return sys::Errno::EFAULT.code();
    }
    // SAFETY: as in nvrs_copyin().
    unsafe { std::ptr::copy(kaddr.cast::<u8>(), uaddr.cast::<u8>(), len) };
    0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_copyinstr(
    uaddr: *const c_void,
    kaddr: *mut c_void,
    len: usize,
    done: *mut usize,
) -> c_int {
    may_sleep("copyinstr");
    if uaddr.addr() < 4096 {
        return sys::Errno::EFAULT.code();
    }
    for i in 0..len {
        // SAFETY: as in nvrs_copyin(), up to the NUL.
        let b = unsafe {
            let b = *uaddr.cast::<u8>().add(i);
            *kaddr.cast::<u8>().add(i) = b;
            b
        };
        if b == 0 {
            if !done.is_null() {
                // SAFETY: the caller's storage.
                unsafe { *done = i + 1 };
            }
            return 0;
        }
    }
    sys::Errno::ENAMETOOLONG.code()
}
