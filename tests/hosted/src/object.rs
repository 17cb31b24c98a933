// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Kernel objects that modules know by pointer: counted, and recognised when
//! they are used after their end.

use std::any::Any;
use std::collections::VecDeque;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::context::die;

/// Kinds of objects, for accounting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Kind {
    /// Memory of malloc(9).
    Memory,
    /// Bytes of it.
    Bytes,
    /// Mutexes.
    Mutex,
    /// Shared/exclusive locks.
    Sx,
    /// Condition variables.
    Condvar,
    /// Task queues.
    TaskQueue,
    /// Tasks.
    Task,
    /// Callouts.
    Callout,
    /// Threads.
    Thread,
    /// mbufs.
    Mbuf,
    /// nvlists.
    NvList,
    /// Connections.
    Conn,
    /// ctl(4) ports.
    CtlPort,
    /// ctl(4) requests.
    CtlIo,
    /// Devices, SIMs, cdevs and the like of the host.
    HostObject,
    /// CCBs and bios.
    Request,
}

const KINDS: [Kind; 16] = [
    Kind::Memory,
    Kind::Bytes,
    Kind::Mutex,
    Kind::Sx,
    Kind::Condvar,
    Kind::TaskQueue,
    Kind::Task,
    Kind::Callout,
    Kind::Thread,
    Kind::Mbuf,
    Kind::NvList,
    Kind::Conn,
    Kind::CtlPort,
    Kind::CtlIo,
    Kind::HostObject,
    Kind::Request,
];

static LIVE: [AtomicI64; KINDS.len()] = [const { AtomicI64::new(0) }; KINDS.len()];

/// Counts `n` objects more.
pub fn count(kind: Kind, n: i64) {
    if let Some(c) = LIVE.get(kind as usize) {
        c.fetch_add(n, Ordering::Relaxed);
    }
}

/// How many objects there are.
pub fn live(kind: Kind) -> i64 {
    LIVE.get(kind as usize)
        .map_or(0, |c| c.load(Ordering::Relaxed))
}

/// What there is, by kind; empty when there is nothing.
pub fn census() -> Vec<(Kind, i64)> {
    KINDS
        .into_iter()
        .map(|k| (k, live(k)))
        .filter(|(_, n)| *n != 0)
        .collect()
}

const LIVE_MAGIC: u64 = 0x6b65_726e_656c_6f62;
const DEAD_MAGIC: u64 = 0x6465_6164_6f62_6a65;

/// A kernel object behind a pointer.
pub struct Obj<T> {
    magic: AtomicU64,
    inner: ManuallyDrop<T>,
}

/// The memory of objects whose end is recent is kept, so that late use is recognised.
static QUARANTINE: Mutex<VecDeque<Box<dyn Any + Send>>> = Mutex::new(VecDeque::new());
const QUARANTINE_LEN: usize = 4096;

/// Makes an object known by pointer.
pub fn give<T, P>(kind: Kind, inner: T) -> *mut P {
    count(kind, 1);
    let b = Box::new(Obj {
        magic: AtomicU64::new(LIVE_MAGIC),
        inner: ManuallyDrop::new(inner),
    });
    Box::into_raw(b).cast()
}

/// The object behind a pointer from [`give`].
///
/// # Safety
///
/// `p` came from `give::<T, P>`.
#[inline]
pub unsafe fn object<'a, T, P>(p: *const P, what: &str) -> &'a T {
    let p = p.cast::<Obj<T>>();
    if p.is_null() {
        die(&format!("{what} on NULL"));
    }
    // SAFETY: the caller's promise; objects that ended stay in quarantine for
    // a while, and the magic tells.
    let o = unsafe { &*p };
    match o.magic.load(Ordering::Relaxed) {
        LIVE_MAGIC => &o.inner,
        DEAD_MAGIC => die(&format!("{what} on an object that was freed")),
        _ => die(&format!("{what} on something else")),
    }
}

/// Ends an object.
///
/// # Safety
///
/// As for [`object`]; nobody uses the object any more.
pub unsafe fn take<T: Send + 'static, P>(kind: Kind, p: *mut P, what: &str) {
    // SAFETY: the caller's promise.
    unsafe { object::<T, P>(p, what) };
    count(kind, -1);
    // SAFETY: the object is alive, and from give().
    let mut b = unsafe { Box::from_raw(p.cast::<Obj<T>>()) };
    b.magic.store(DEAD_MAGIC, Ordering::Relaxed);
    // SAFETY: dropped once; nobody gets past the magic any more.
    unsafe { ManuallyDrop::drop(&mut b.inner) };
    let mut q = QUARANTINE.lock().unwrap_or_else(PoisonError::into_inner);
    q.push_back(b);
    let old = if q.len() > QUARANTINE_LEN {
        q.pop_front()
    } else {
        None
    };
    drop(q);
    drop(old);
}
