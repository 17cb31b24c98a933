// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Character devices: [`ioctl`] by name, and bios of namespace nodes.

use std::cell::{Cell, UnsafeCell};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Arc, PoisonError};

use sys::Errno;
use sys::ffi::{NVRS_BIO_WRITE, nvrs_bio, nvrs_cdev, nvrs_cdev_params, nvrs_memdesc};

use crate::context::{die, may_sleep, no_sleep};
use crate::object::{Kind, give, object, take};
use crate::os::{Condvar, Mutex, MutexGuard};

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Node {
    params: nvrs_cdev_params,
    users: Mutex<u32>,
    left: Condvar,
}

// SAFETY: the driver's functions may be called from any thread.
unsafe impl Sync for Node {}
// SAFETY: as above.
unsafe impl Send for Node {}

static NODES: Mutex<BTreeMap<String, Arc<Node>>> = Mutex::new(BTreeMap::new());

thread_local! {
    /// The node in whose functions this thread is.
    static INSIDE: Cell<usize> = const { Cell::new(0) };
}

/// Names in /dev.
pub fn names() -> Vec<String> {
    lock(&NODES).keys().cloned().collect()
}

/// Runs `f` with a node that stays meanwhile.
fn with_node<R>(name: &str, f: impl FnOnce(&Node) -> R) -> Option<R> {
    let node = {
        let nodes = lock(&NODES);
        let node = nodes.get(name)?.clone();
        *lock(&node.users) += 1;
        node
    };
    let outer = INSIDE.replace(Arc::as_ptr(&node).addr());
    let r = f(&node);
    INSIDE.set(outer);
    *lock(&node.users) -= 1;
    node.left.notify_all();
    Some(r)
}

/// ioctl(2); the result is an errno.
pub fn ioctl(name: &str, cmd: u64, data: &mut [u8]) -> Result<(), Errno> {
    may_sleep("ioctl");
    let r = with_node(name, |n| match n.params.ioctl {
        // SAFETY: the driver's function and argument, and the data's length.
        Some(f) => unsafe { f(n.params.arg, cmd, data.as_mut_ptr(), data.len()) },
        None => Errno::ENOTTY.code(),
    });
    match r {
        None => Err(Errno::ENOENT),
        Some(e) => Errno::check(e),
    }
}

/// An ioctl that takes a packed nvlist.
pub fn ioctl_list(name: &str, cmd: u64, packed: &[u8]) -> Result<(), Errno> {
    let mut arg = [0u8; 24];
    arg[..8].copy_from_slice(&packed.as_ptr().addr().to_ne_bytes());
    arg[8..16].copy_from_slice(&packed.len().to_ne_bytes());
    arg[16..].copy_from_slice(&packed.len().to_ne_bytes());
    packed.as_ptr().expose_provenance();
    ioctl(name, cmd, &mut arg)
}

struct Bio {
    cmd: u32,
    offset: u64,
    data: UnsafeCell<Vec<u8>>,
    len: u64,
    next: AtomicPtr<nvrs_bio>,
    done: Mutex<Option<c_int>>,
    changed: Condvar,
}

// SAFETY: the data belongs to the driver until the bio is done.
unsafe impl Sync for Bio {}
// SAFETY: as above.
unsafe impl Send for Bio {}

/// One bio through a node's strategy function: its data, or an errno.
pub fn bio(name: &str, cmd: u32, offset: u64, data: Vec<u8>, len: u64) -> Result<Vec<u8>, Errno> {
    may_sleep("biowait");
    let p: *mut nvrs_bio = give(
        Kind::Request,
        Bio {
            cmd,
            offset,
            data: UnsafeCell::new(data),
            len,
            next: AtomicPtr::new(ptr::null_mut()),
            done: Mutex::new(None),
            changed: Condvar::new(),
        },
    );
    let started = with_node(name, |n| match n.params.strategy {
        Some(f) => {
            // SAFETY: the driver's function and argument.
            no_sleep("d_strategy", || unsafe { f(n.params.arg, p) });
            true
        }
        None => false,
    });
    // SAFETY: ours until it is freed below.
    let b = unsafe { object::<Bio, _>(p, "bio") };
    let error = if started == Some(true) {
        let mut done = lock(&b.done);
        loop {
            match *done {
                Some(e) => break e,
                None => done = b.changed.wait(done).unwrap_or_else(PoisonError::into_inner),
            }
        }
    } else {
        Errno::ENXIO.code()
    };
    // SAFETY: done, so ours again.
    let data = unsafe {
        let mut data = std::mem::take(&mut *b.data.get());
        take::<Bio, _>(Kind::Request, p, "g_destroy_bio");
        if cmd == NVRS_BIO_WRITE {
            // Whoever still looks at it does not find what was written.
            data.fill(0xdd);
        }
        data
    };
    Errno::check(error).map(|()| data)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cdev_create(
    params: *const nvrs_cdev_params,
    cdevp: *mut *mut nvrs_cdev,
) -> c_int {
    may_sleep("make_dev_s");
    // SAFETY: the caller's parameters and strings.
    let (p, name, alias) = unsafe {
        let p = *params;
        let text = |s| CStr::from_ptr(s).to_string_lossy().into_owned();
        let alias = (!p.alias.is_null()).then(|| text(p.alias));
        (p, text(p.name), alias)
    };
    let node = Arc::new(Node {
        params: p,
        users: Mutex::new(0),
        left: Condvar::new(),
    });
    let mut nodes = lock(&NODES);
    if nodes.contains_key(&name) {
        return Errno::EEXIST.code();
    }
    nodes.insert(name, node.clone());
    if let Some(alias) = alias {
        nodes.entry(alias).or_insert(node.clone());
    }
    // SAFETY: the caller's storage.
    unsafe { *cdevp = give(Kind::HostObject, node) };
    0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cdev_destroy(c: *mut nvrs_cdev) {
    may_sleep("destroy_dev");
    // SAFETY: a node of the caller's.
    let node = unsafe { object::<Arc<Node>, _>(c, "destroy_dev") }.clone();
    if INSIDE.get() == Arc::as_ptr(&node).addr() {
        die("destroy_dev from a function of the same device");
    }
    lock(&NODES).retain(|_, n| !Arc::ptr_eq(n, &node));
    let mut users = lock(&node.users);
    while *users != 0 {
        users = node
            .left
            .wait(users)
            .unwrap_or_else(PoisonError::into_inner);
    }
    drop(users);
    // SAFETY: nobody is inside, and its owner gives it up.
    unsafe { take::<Arc<Node>, _>(Kind::HostObject, c, "destroy_dev") }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_cdev_drain() {
    may_sleep("destroy_dev_drain");
}

/// # Safety
///
/// `b` is a bio of the caller's.
unsafe fn get<'a>(b: *const nvrs_bio, what: &str) -> &'a Bio {
    // SAFETY: the caller's promise.
    unsafe { object(b, what) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_cmd(b: *const nvrs_bio) -> c_int {
    // SAFETY: the caller's bio.
    unsafe { get(b, "bio_cmd") }.cmd as c_int
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_offset(b: *const nvrs_bio) -> u64 {
    // SAFETY: the caller's bio.
    unsafe { get(b, "bio_offset") }.offset
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_length(b: *const nvrs_bio) -> u64 {
    // SAFETY: the caller's bio.
    unsafe { get(b, "bio_bcount") }.len
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_memdesc(b: *mut nvrs_bio, md: *mut nvrs_memdesc) {
    // SAFETY: the caller's bio, whose data is the driver's now, and storage.
    unsafe {
        let data = &mut *get(b, "memdesc_bio").data.get();
        *md = crate::memdesc::pages(data.as_mut_ptr(), data.len());
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_done(b: *mut nvrs_bio, error: c_int) {
    // SAFETY: the caller's bio, given up by it.
    let b = unsafe { get(b, "biodone") };
    let mut done = lock(&b.done);
    if done.replace(error).is_some() {
        die("a bio is completed twice");
    }
    b.changed.notify_all();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_next(b: *const nvrs_bio) -> *mut nvrs_bio {
    // SAFETY: the caller's bio.
    unsafe { get(b, "bio_driver1") }
        .next
        .load(Ordering::Acquire)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_bio_set_next(b: *mut nvrs_bio, next: *mut nvrs_bio) {
    // SAFETY: the caller's bio.
    unsafe { get(b, "bio_driver1") }
        .next
        .store(next, Ordering::Release);
}
