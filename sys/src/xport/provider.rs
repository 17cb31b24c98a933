// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A transport's side: [`Transport`], [`QpairObj`], [`CapRef`], [`ActiveCmd`],
//! [`DataRef`].
//!
//! Ownership of a capsule is by reference count. Its creator owns one
//! reference; the transport takes one while the capsule is in transit and one
//! while its data is in use. The last one gives the capsule back to its queue
//! pair's pool, so that no I/O allocates memory in steady state. A queue pair's
//! memory outlives [`QpairObj::retire`] until the last capsule is back.

use core::cell::UnsafeCell;
use core::ffi::{c_int, c_void};
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr::{self, NonNull};
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicUsize, Ordering};

use crate::context::{CanSleep, Wait};
use crate::errno::{Errno, Result, code_of};
use crate::ffi;
use crate::mbuf::Mbuf;
use crate::mem::{KArc, KBox};
use crate::memdesc::MemDesc;
use crate::nv::NvRef;
use crate::sync::Mutex;

/// A transport: the functions behind `struct nvmf_transport_ops`.
pub trait Transport: Sized + Send + Sync + 'static {
    /// What a queue pair keeps.
    type Qpair: Send + Sync;
    /// What a capsule keeps for all threads; reset when it is reused.
    type Shared: Default + Send + Sync;
    /// What a command in progress keeps for whoever holds its [`ActiveCmd`].
    type Active: Default + Send;

    /// The transport type.
    const TRTYPE: u32;
    /// Transports of higher priority are asked first.
    const PRIORITY: i32;

    /// Makes a queue pair of the connection in `params`, or declines. Its
    /// callbacks must not be used before [`QpairObj::is_ready`].
    fn allocate_qpair(
        controller: bool,
        params: NvRef<'_>,
        sleep: CanSleep<'_>,
    ) -> Option<KArc<QpairObj<Self>>>;
    /// Stops the queue pair: threads joined, no callback afterwards.
    fn free_qpair(qp: &KArc<QpairObj<Self>>, sleep: CanSleep<'_>);
    /// Sends a capsule. Any context that may enter the network stack.
    fn transmit(qp: &QpairObj<Self>, cap: CapRef<Self>) -> Result<()>;
    /// Checks a received command: a generic status code.
    fn validate(cap: &CapsuleObj<Self>) -> u8;
    /// The data length of a received command.
    fn data_len(cap: &CapsuleObj<Self>) -> usize;
    /// Moves data from the host.
    fn receive_data(
        qp: &QpairObj<Self>,
        cap: CapRef<Self>,
        offset: u32,
        io: IoRequest,
    ) -> Result<()>;
    /// Moves data to the host: a result of `nvmf_send_controller_data`.
    fn send_data(qp: &QpairObj<Self>, cap: &CapRef<Self>, offset: u32, m: Mbuf) -> u32;
}

/// A queue pair: the public part that C sees, and the transport's.
#[repr(C)]
pub struct QpairObj<T: Transport> {
    abi: UnsafeCell<ffi::nvmf_qpair>,
    pool: Mutex<Pool<T>>,
    /// The transport's part.
    pub state: T::Qpair,
}

// SAFETY: the public part is written before the callbacks are used and only
// read afterwards; the rest synchronises itself.
unsafe impl<T: Transport> Sync for QpairObj<T> {}
// SAFETY: no thread affinity.
unsafe impl<T: Transport> Send for QpairObj<T> {}

struct Pool<T: Transport> {
    free: *mut CapsuleObj<T>,
    nfree: u32,
    keep: u32,
    live: u32,
    retired: bool,
}

// SAFETY: the list of free capsules is owned by the pool.
unsafe impl<T: Transport> Send for Pool<T> {}

impl<T: Transport> QpairObj<T> {
    /// A queue pair that keeps at most `keep` unused capsules.
    pub fn new(state: T::Qpair, keep: u32, wait: Wait<'_>) -> Result<KArc<Self>> {
        let pool = Pool {
            free: ptr::null_mut(),
            nfree: 0,
            keep,
            live: 0,
            retired: false,
        };
        KArc::new(
            QpairObj {
                // SAFETY: all-zero is a valid value: null pointers and false.
                abi: UnsafeCell::new(unsafe { core::mem::zeroed() }),
                pool: Mutex::new(c"nvrs capsules", pool, wait)?,
                state,
            },
            wait,
        )
    }

    /// Whether the generic layer has filled in the callbacks. A C generic layer
    /// does that after [`Transport::allocate_qpair`] returned, without telling.
    pub fn is_ready(&self) -> bool {
        let abi = self.abi.get();
        // SAFETY: aligned fields, each as wide as a pointer, of a live object.
        // Another thread may be writing them: ours with atomics as well, one
        // in C with plain stores, which are no worse here.
        let set = |p: *mut *mut c_void| unsafe {
            !AtomicPtr::from_ptr(p).load(Ordering::Acquire).is_null()
        };
        // SAFETY: only addresses are taken.
        unsafe {
            set((&raw mut (*abi).nq_receive).cast())
                && set((&raw mut (*abi).nq_error).cast())
                && set(&raw mut (*abi).nq_receive_arg)
                && set(&raw mut (*abi).nq_error_arg)
        }
    }

    /// Whether this end is the controller's. Only once [`QpairObj::is_ready`].
    pub fn is_admin(&self) -> bool {
        // SAFETY: written before the callbacks are used.
        unsafe { (*self.abi.get()).nq_admin }
    }

    /// Tells the owner that the connection failed, or with zero that the peer
    /// closed it. Ready, not retired, no locks held.
    pub fn report_error(&self, error: c_int) {
        // SAFETY: the callbacks are filled in and their arguments live until
        // nvmf_free_qpair() returns, which waits for our threads.
        unsafe {
            let abi = &*self.abi.get();
            if let Some(f) = abi.nq_error {
                f(abi.nq_error_arg, error);
            }
        }
    }

    /// Passes a received capsule to the owner. As [`QpairObj::report_error`].
    pub fn deliver(&self, cap: CapRef<T>) {
        // SAFETY: as above; the reference goes to the callee.
        unsafe {
            let abi = &*self.abi.get();
            if let Some(f) = abi.nq_receive {
                f(abi.nq_receive_arg, cap.into_raw().cast());
            }
        }
    }

    fn as_abi(&self) -> *mut ffi::nvmf_qpair {
        self.abi.get()
    }

    /// A capsule with the given entry (64 bytes: command, 16: response), owned
    /// by the result.
    pub fn new_capsule(&self, qe: &[u8], sqhd_valid: bool, wait: Wait<'_>) -> Result<CapRef<T>> {
        let cap = self.take_capsule(wait)?;
        // SAFETY: the capsule is ours alone until the reference is shared.
        unsafe {
            let abi = &mut *cap.as_ref().abi.get();
            for (d, s) in abi.nc_qe.iter_mut().zip(qe) {
                *d = *s;
            }
            abi.nc_qe_len = qe.len() as c_int;
            abi.nc_sqhd_valid = sqhd_valid;
        }
        Ok(CapRef(cap))
    }

    fn take_capsule(&self, wait: Wait<'_>) -> Result<NonNull<CapsuleObj<T>>> {
        let (reused, population) = {
            let mut pool = self.pool.lock();
            if pool.retired {
                return Err(Errno::ECONNABORTED);
            }
            pool.live += 1;
            let p = NonNull::new(pool.free);
            if let Some(p) = p {
                // SAFETY: capsules on the list are owned by it.
                pool.free = unsafe { *p.as_ref().next.get() };
                pool.nfree -= 1;
            }
            (p, pool.live)
        };
        let cap = match reused {
            Some(p) => p,
            None => match KBox::new(CapsuleObj::new(), wait) {
                Ok(b) => {
                    let p = NonNull::from(&*b);
                    core::mem::forget(b);
                    p
                }
                Err(e) => {
                    // Cannot be the last: the caller holds the queue pair.
                    self.pool.lock().live -= 1;
                    return Err(e);
                }
            },
        };
        // SAFETY: nobody else refers to it; see CapsuleObj::new and recycle.
        unsafe {
            let c = cap.as_ref();
            let abi = c.abi.get();
            *abi = core::mem::zeroed();
            (*abi).nc_qpair = self.as_abi();
            c.refs.store(1, Ordering::Relaxed);
            c.owner_gone.store(false, Ordering::Relaxed);
            c.active_taken.store(false, Ordering::Relaxed);
            c.data_begun.store(false, Ordering::Relaxed);
            c.data_error.store(0, Ordering::Relaxed);
            c.data_xfered.store(0, Ordering::Relaxed);
            c.population.store(population, Ordering::Relaxed);
        }
        Ok(cap)
    }

    /// Takes back a capsule whose last reference is gone.
    ///
    /// # Safety
    ///
    /// Nobody refers to the capsule any more, and it belongs to this queue pair.
    unsafe fn recycle(&self, mut cap: NonNull<CapsuleObj<T>>) {
        // SAFETY: exclusive access.
        unsafe {
            let c = cap.as_mut();
            *c.active.get_mut() = T::Active::default();
            c.shared = T::Shared::default();
        }
        let (spare, last) = {
            let mut pool = self.pool.lock();
            pool.live -= 1;
            let spare = if pool.retired || pool.nfree >= pool.keep {
                Some(cap)
            } else {
                // SAFETY: exclusive access; the list owns it from here on.
                unsafe { *cap.as_ref().next.get() = pool.free };
                pool.free = cap.as_ptr();
                pool.nfree += 1;
                None
            };
            (spare, pool.retired && pool.live == 0)
        };
        if let Some(spare) = spare {
            // SAFETY: it came from KBox::new and nobody refers to it.
            unsafe { free_capsule_memory(spare) };
        }
        if last {
            // SAFETY: the public reference, given up once: retired queue pairs
            // make no new capsules, so live reaches zero once.
            drop(unsafe { KArc::from_raw(ptr::from_ref(self)) });
        }
    }

    /// Frees the pool, and the public reference once no capsule is left.
    fn retire(&self) {
        let (mut free, last) = {
            let mut pool = self.pool.lock();
            pool.retired = true;
            (
                core::mem::replace(&mut pool.free, ptr::null_mut()),
                pool.live == 0,
            )
        };
        while let Some(p) = NonNull::new(free) {
            // SAFETY: the list owned its capsules; now we do.
            unsafe {
                free = *p.as_ref().next.get();
                free_capsule_memory(p);
            }
        }
        if last {
            // SAFETY: as in recycle().
            drop(unsafe { KArc::from_raw(ptr::from_ref(self)) });
        }
    }
}

/// # Safety
///
/// `p` was leaked from a KBox and nobody refers to it.
unsafe fn free_capsule_memory<T: Transport>(p: NonNull<CapsuleObj<T>>) {
    // SAFETY: the caller's promise: KBox's memory, dropped and freed once.
    unsafe {
        ptr::drop_in_place(p.as_ptr());
        ffi::nvrs_free(p.as_ptr().cast());
    }
}

/// A capsule: the public part that C sees, and the transport's.
#[repr(C)]
pub struct CapsuleObj<T: Transport> {
    abi: UnsafeCell<ffi::nvmf_capsule>,
    refs: AtomicU32,
    /// References to the data: one of the transport's, one per mbuf over it.
    data_refs: AtomicU32,
    data_error: AtomicI32,
    data_xfered: AtomicUsize,
    data_begun: AtomicBool,
    active_taken: AtomicBool,
    owner_gone: AtomicBool,
    listed: AtomicBool,
    /// Capsules of its queue pair, this one included, when it was made.
    population: AtomicU32,
    next: UnsafeCell<*mut CapsuleObj<T>>,
    active: UnsafeCell<T::Active>,
    /// The transport's part that all threads may use.
    pub shared: T::Shared,
}

// SAFETY: the public part is set up before the capsule is shared; `active`
// belongs to the one ActiveCmd, `next` to the pool while nobody refers to the
// capsule, and otherwise to the list that set `listed`.
unsafe impl<T: Transport> Sync for CapsuleObj<T> {}
// SAFETY: no thread affinity.
unsafe impl<T: Transport> Send for CapsuleObj<T> {}

impl<T: Transport> CapsuleObj<T> {
    fn new() -> Self {
        CapsuleObj {
            // SAFETY: all-zero is a valid value.
            abi: UnsafeCell::new(unsafe { core::mem::zeroed() }),
            refs: AtomicU32::new(0),
            data_refs: AtomicU32::new(0),
            data_error: AtomicI32::new(0),
            data_xfered: AtomicUsize::new(0),
            data_begun: AtomicBool::new(false),
            active_taken: AtomicBool::new(false),
            owner_gone: AtomicBool::new(false),
            listed: AtomicBool::new(false),
            population: AtomicU32::new(0),
            next: UnsafeCell::new(ptr::null_mut()),
            active: UnsafeCell::new(T::Active::default()),
            shared: T::Shared::default(),
        }
    }

    fn abi(&self) -> &ffi::nvmf_capsule {
        // SAFETY: written before the capsule is shared. The generic layer
        // changes the entry of a capsule that its owner has not transmitted.
        unsafe { &*self.abi.get() }
    }

    /// The entry: a command's 64 bytes, of which a response uses 16.
    #[inline]
    pub fn qe(&self) -> &[u8; 64] {
        &self.abi().nc_qe
    }

    /// Whether it carries a command.
    #[inline]
    pub fn is_command(&self) -> bool {
        self.abi().nc_qe_len == 64
    }

    /// Length of the data that the host attached, and whether it is to be sent.
    #[inline]
    pub fn data(&self) -> (usize, bool) {
        (self.abi().nc_data.io_len, self.abi().nc_send_data)
    }

    /// How many capsules its queue pair had when it was made, this one
    /// included: there were no more commands than that.
    #[inline]
    pub fn population(&self) -> u32 {
        self.population.load(Ordering::Relaxed)
    }

    /// The queue pair it belongs to.
    pub fn qpair(&self) -> &QpairObj<T> {
        // SAFETY: a capsule keeps its queue pair's memory; the public part is
        // its first field.
        unsafe { &*self.abi().nc_qpair.cast::<QpairObj<T>>() }
    }

    /// Whether the creator has given up its reference.
    pub fn owner_is_gone(&self) -> bool {
        self.owner_gone.load(Ordering::Acquire)
    }
}

/// A counted reference to a capsule.
pub struct CapRef<T: Transport>(NonNull<CapsuleObj<T>>);

// SAFETY: capsules may be shared between threads.
unsafe impl<T: Transport> Send for CapRef<T> {}
// SAFETY: as above.
unsafe impl<T: Transport> Sync for CapRef<T> {}

impl<T: Transport> CapRef<T> {
    fn into_raw(self) -> *mut CapsuleObj<T> {
        let p = self.0.as_ptr();
        core::mem::forget(self);
        p
    }

    /// # Safety
    ///
    /// `p` carries a reference that nobody else gives up.
    unsafe fn from_raw(p: *mut CapsuleObj<T>) -> Option<Self> {
        NonNull::new(p).map(CapRef)
    }

    /// The right to the command's state; once per capsule.
    pub fn activate(self) -> Option<ActiveCmd<T>> {
        (!self.active_taken.swap(true, Ordering::Relaxed)).then_some(ActiveCmd(self))
    }

    /// Starts the use of the attached data; once, and only if there is some.
    pub fn begin_data(&self) -> Option<DataRef<T>> {
        let io = self.abi().nc_data;
        if io.io_len == 0 || self.data_begun.swap(true, Ordering::Relaxed) {
            return None;
        }
        self.data_refs.store(1, Ordering::Release);
        Some(DataRef {
            // SAFETY: the owner promised the memory until the callback.
            mem: unsafe { MemDesc::from_raw(io.io_mem, io.io_len) },
            cap: ManuallyDrop::new(self.clone()),
        })
    }
}

impl<T: Transport> Clone for CapRef<T> {
    #[inline]
    fn clone(&self) -> Self {
        self.refs.fetch_add(1, Ordering::Relaxed);
        CapRef(self.0)
    }
}

impl<T: Transport> Deref for CapRef<T> {
    type Target = CapsuleObj<T>;
    #[inline]
    fn deref(&self) -> &CapsuleObj<T> {
        // SAFETY: counted.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Transport> Drop for CapRef<T> {
    #[inline]
    fn drop(&mut self) {
        if self.refs.fetch_sub(1, Ordering::AcqRel) == 1 {
            let qp = self.abi().nc_qpair.cast::<QpairObj<T>>();
            // SAFETY: the last reference: nobody else can reach the capsule,
            // and its queue pair's memory is there until recycle() counted it.
            unsafe { (*qp).recycle(self.0) };
        }
    }
}

/// Capsules in the order in which they came, without memory of its own. A
/// capsule is in one list at a time.
pub struct CapList<T: Transport> {
    head: *mut CapsuleObj<T>,
    tail: *mut CapsuleObj<T>,
}

// SAFETY: it owns references, which may be used in any thread.
unsafe impl<T: Transport> Send for CapList<T> {}

impl<T: Transport> CapList<T> {
    /// An empty list.
    pub const fn new() -> Self {
        CapList {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a capsule; gives it back if it is in a list already.
    pub fn push(&mut self, cap: CapRef<T>) -> core::result::Result<(), CapRef<T>> {
        if cap.listed.swap(true, Ordering::Acquire) {
            return Err(cap);
        }
        // SAFETY: we set `listed`, so `next` is this list's.
        unsafe { *cap.next.get() = ptr::null_mut() };
        let p = cap.into_raw();
        match NonNull::new(self.tail) {
            // SAFETY: the list holds a reference to its last capsule, whose
            // `next` is the list's.
            Some(last) => unsafe { *last.as_ref().next.get() = p },
            None => self.head = p,
        }
        self.tail = p;
        Ok(())
    }

    /// Takes the first one out.
    pub fn pop(&mut self) -> Option<CapRef<T>> {
        // SAFETY: the list's own reference.
        let cap = unsafe { CapRef::from_raw(self.head) }?;
        // SAFETY: as in push().
        self.head = unsafe { *cap.next.get() };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        cap.listed.store(false, Ordering::Release);
        Some(cap)
    }
}

impl<T: Transport> Default for CapList<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Transport> Drop for CapList<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// A command in progress: exclusive access to its [`Transport::Active`] part.
pub struct ActiveCmd<T: Transport>(CapRef<T>);

impl<T: Transport> ActiveCmd<T> {
    /// The state.
    #[inline]
    pub fn state(&mut self) -> &mut T::Active {
        // SAFETY: there is one ActiveCmd per capsule, and it is borrowed.
        unsafe { &mut *self.0.active.get() }
    }

    /// The capsule.
    #[inline]
    pub fn capsule(&self) -> &CapRef<T> {
        &self.0
    }

    /// Gives up the creator's reference if it has not: for commands that the
    /// creator abandons to the transport when it frees the queue pair.
    pub fn disown(self) {
        if !self.0.owner_gone.swap(true, Ordering::AcqRel) {
            // SAFETY: the creator's reference; the flag says it is still counted,
            // and a creator that abandons a capsule never frees it.
            drop(unsafe { CapRef::from_raw(self.0.0.as_ptr()) });
        }
    }
}

/// Where a command in progress waits to be looked up.
pub struct ActiveSlot<T: Transport>(AtomicPtr<CapsuleObj<T>>);

impl<T: Transport> ActiveSlot<T> {
    /// An empty slot.
    pub const fn new() -> Self {
        ActiveSlot(AtomicPtr::new(ptr::null_mut()))
    }

    /// Stores a command; gives back the one that was there.
    #[inline]
    pub fn put(&self, cmd: ActiveCmd<T>) -> Option<ActiveCmd<T>> {
        let p = cmd.0.into_raw();
        // SAFETY: the slot owned what it held.
        unsafe { CapRef::from_raw(self.0.swap(p, Ordering::AcqRel)) }.map(ActiveCmd)
    }

    /// Takes the command out.
    #[inline]
    pub fn take(&self) -> Option<ActiveCmd<T>> {
        if self.0.load(Ordering::Relaxed).is_null() {
            return None;
        }
        // SAFETY: the slot owned what it held.
        unsafe { CapRef::from_raw(self.0.swap(ptr::null_mut(), Ordering::AcqRel)) }.map(ActiveCmd)
    }
}

impl<T: Transport> Default for ActiveSlot<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Transport> Drop for ActiveSlot<T> {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// The transport's hold on a host command's data. The host hears that the data
/// is free when this is dropped and the network has let go of every mbuf over
/// it.
pub struct DataRef<T: Transport> {
    mem: MemDesc,
    cap: ManuallyDrop<CapRef<T>>,
}

impl<T: Transport> DataRef<T> {
    /// Bytes of data.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.mem.len()
    }

    /// Mbufs over `[off, off + len)`; with `truncate` maybe over less, up to a
    /// page boundary.
    pub fn mbufs(&mut self, off: u32, len: u32, truncate: bool, wait: Wait<'_>) -> Result<Mbuf> {
        let cap = self.cap.0.as_ptr();
        // SAFETY: we hold one count of data_refs; release_data() ends it, and
        // the capsule and its owner's memory stay until then.
        unsafe {
            self.mem.mbufs(
                off,
                len,
                truncate,
                (&raw const (*cap).data_refs).cast::<u32>().cast_mut(),
                release_data::<T>,
                cap.cast(),
                wait,
            )
        }
    }

    /// Copies from a received chain to `off`; see [`MemDesc::copy_from_mbuf`].
    #[inline]
    pub fn copy_from_mbuf(
        &mut self,
        off: u32,
        m: &Mbuf,
        moff: u32,
        len: u32,
        crc: Option<&mut u32>,
    ) -> Result<()> {
        self.mem.copy_from_mbuf(off, m, moff, len, crc)
    }

    /// Undoes [`CapRef::begin_data`] when nothing refers to the data yet, so
    /// that the command can be sent another time. Otherwise as dropping it.
    pub fn cancel(self) {
        if self
            .cap
            .data_refs
            .compare_exchange(1, 0, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
        {
            let mut this = ManuallyDrop::new(self);
            this.cap.data_begun.store(false, Ordering::Relaxed);
            // SAFETY: dropped once: `this` is never dropped.
            unsafe { ManuallyDrop::drop(&mut this.cap) };
        }
    }

    /// What the host will hear: the first error counts.
    pub fn fail(&self, error: Errno) {
        let _ = self.cap.data_error.compare_exchange(
            0,
            error.code(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// What the host will hear: bytes moved.
    pub fn set_xfered(&self, bytes: usize) {
        self.cap.data_xfered.store(bytes, Ordering::Relaxed);
    }
}

impl<T: Transport> Drop for DataRef<T> {
    fn drop(&mut self) {
        if self.cap.data_refs.fetch_sub(1, Ordering::AcqRel) == 1 {
            // SAFETY: the last count.
            unsafe { finish_data::<T>(self.cap.0) };
        }
        // Otherwise the last mbuf does it; `cap` is its reference now.
    }
}

/// Tells the owner that its data is free, and gives up the reference that
/// [`CapRef::begin_data`] took.
///
/// # Safety
///
/// The last count of `data_refs` is gone, and that is acted on once.
unsafe fn finish_data<T: Transport>(cap: NonNull<CapsuleObj<T>>) {
    // SAFETY: the reference of begin_data() that the last count inherits.
    let cap = CapRef(cap);
    let io = cap.abi().nc_data;
    let error = cap.data_error.load(Ordering::Relaxed);
    let xfered = cap.data_xfered.load(Ordering::Relaxed);
    if let Some(done) = io.io_complete {
        // SAFETY: the callback and argument that the owner attached; once.
        unsafe { done(io.io_complete_arg, xfered, error) };
    }
}

/// An mbuf over the data is gone: see `nvrs_memdesc_mbufs`.
unsafe extern "C" fn release_data<T: Transport>(arg: *mut c_void) {
    let one_of_many = arg.addr() & 1 != 0;
    let p = arg.map_addr(|a| a & !1).cast::<CapsuleObj<T>>();
    let Some(cap) = NonNull::new(p) else { return };
    // SAFETY: the mbuf held a count, so the capsule is alive.
    let refs = unsafe { &cap.as_ref().data_refs };
    if one_of_many && refs.fetch_sub(1, Ordering::AcqRel) != 1 {
        return;
    }
    // SAFETY: the last count is gone.
    unsafe { finish_data::<T>(cap) };
}

/// A controller's request to move data from the host; its callback runs once,
/// with ECONNABORTED if the request is dropped.
pub struct IoRequest {
    /// Where the data goes.
    pub mem: MemDesc,
    done: unsafe extern "C" fn(*mut c_void, usize, c_int),
    arg: *mut c_void,
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

/// The table that a transport registers.
pub const fn ops<T: Transport>() -> ffi::nvmf_transport_ops {
    ffi::nvmf_transport_ops {
        allocate_qpair: Some(allocate_qpair::<T>),
        free_qpair: Some(free_qpair::<T>),
        allocate_capsule: Some(allocate_capsule::<T>),
        free_capsule: Some(free_capsule::<T>),
        transmit_capsule: Some(transmit_capsule::<T>),
        validate_command_capsule: Some(validate_command_capsule::<T>),
        capsule_data_len: Some(capsule_data_len::<T>),
        receive_controller_data: Some(receive_controller_data::<T>),
        send_controller_data: Some(send_controller_data::<T>),
        trtype: T::TRTYPE,
        priority: T::PRIORITY,
    }
}

unsafe extern "C" fn allocate_qpair<T: Transport>(
    controller: bool,
    params: *const ffi::nvlist,
) -> *mut ffi::nvmf_qpair {
    // SAFETY: the generic layer passes a live list, from a context that sleeps.
    let (params, sleep) = unsafe { (NvRef::from_raw(params), CanSleep::assert()) };
    match params.and_then(|p| T::allocate_qpair(controller, p, sleep)) {
        Some(qp) => KArc::into_raw(qp).cast_mut().cast(),
        None => ptr::null_mut(),
    }
}

unsafe extern "C" fn free_qpair<T: Transport>(qp: *mut ffi::nvmf_qpair) {
    let p = qp.cast::<QpairObj<T>>().cast_const();
    // SAFETY: the public reference of a live queue pair; the generic layer
    // calls from a context that sleeps, once.
    let (qp, sleep) = unsafe { (KArc::borrow_raw(p), CanSleep::assert()) };
    T::free_qpair(&qp, sleep);
    qp.retire();
}

unsafe extern "C" fn allocate_capsule<T: Transport>(
    qp: *mut ffi::nvmf_qpair,
    how: c_int,
) -> *mut ffi::nvmf_capsule {
    // SAFETY: a live queue pair; with M_WAITOK the caller may sleep.
    let (qp, sleep) = unsafe { (&*qp.cast::<QpairObj<T>>(), CanSleep::assert()) };
    let wait = if how & ffi::NVRS_M_WAITOK as c_int != 0 {
        Wait::Sleep(sleep)
    } else {
        Wait::NoWait
    };
    match qp.take_capsule(wait) {
        Ok(cap) => cap.as_ptr().cast(),
        Err(_) => ptr::null_mut(),
    }
}

unsafe extern "C" fn free_capsule<T: Transport>(nc: *mut ffi::nvmf_capsule) {
    // SAFETY: the creator gives up its reference.
    let cap = unsafe { CapRef::<T>::from_raw(nc.cast()) };
    if let Some(cap) = cap
        && cap.owner_gone.swap(true, Ordering::AcqRel)
    {
        // Already given up on the creator's behalf.
        core::mem::forget(cap);
    }
}

/// # Safety
///
/// `nc` is a capsule that its owner holds during the call.
unsafe fn borrow_capsule<T: Transport>(nc: *mut ffi::nvmf_capsule) -> ManuallyDrop<CapRef<T>> {
    // SAFETY: the caller's promise; the reference is not given up here.
    ManuallyDrop::new(CapRef(unsafe { NonNull::new_unchecked(nc.cast()) }))
}

unsafe extern "C" fn transmit_capsule<T: Transport>(nc: *mut ffi::nvmf_capsule) -> c_int {
    // SAFETY: the owner holds the capsule.
    let cap = unsafe { borrow_capsule::<T>(nc) };
    code_of(T::transmit(cap.qpair(), (*cap).clone()))
}

unsafe extern "C" fn validate_command_capsule<T: Transport>(nc: *mut ffi::nvmf_capsule) -> u8 {
    // SAFETY: the owner holds the capsule.
    let cap = unsafe { borrow_capsule::<T>(nc) };
    T::validate(&cap)
}

unsafe extern "C" fn capsule_data_len<T: Transport>(nc: *const ffi::nvmf_capsule) -> usize {
    // SAFETY: the owner holds the capsule.
    let cap = unsafe { borrow_capsule::<T>(nc.cast_mut()) };
    T::data_len(&cap)
}

unsafe extern "C" fn receive_controller_data<T: Transport>(
    nc: *mut ffi::nvmf_capsule,
    offset: u32,
    io: *mut ffi::nvmf_io_request,
) -> c_int {
    // SAFETY: the owner holds the capsule; io is on the caller's stack.
    let (cap, io) = unsafe { (borrow_capsule::<T>(nc), *io) };
    let Some(done) = io.io_complete else {
        return Errno::EINVAL.code();
    };
    // The callback is only owed once the request is accepted.
    let request = ManuallyDrop::new(IoRequest {
        // SAFETY: the requester promised the memory until the callback.
        mem: unsafe { MemDesc::from_raw(io.io_mem, io.io_len) },
        done,
        arg: io.io_complete_arg,
    });
    let end = (offset as usize).checked_add(io.io_len);
    if !cap.is_command() {
        return Errno::EINVAL.code();
    }
    if end.is_none_or(|e| e > T::data_len(&cap)) {
        return Errno::EFBIG.code();
    }
    code_of(T::receive_data(
        cap.qpair(),
        (*cap).clone(),
        offset,
        ManuallyDrop::into_inner(request),
    ))
}

unsafe extern "C" fn send_controller_data<T: Transport>(
    nc: *mut ffi::nvmf_capsule,
    offset: u32,
    m: *mut ffi::mbuf,
    len: usize,
) -> u32 {
    // SAFETY: the owner holds the capsule; the chain is given away.
    let (cap, m) = unsafe { (borrow_capsule::<T>(nc), Mbuf::from_raw(m)) };
    match m {
        Some(m) if m.len() as usize == len && cap.is_command() => {
            T::send_data(cap.qpair(), &cap, offset, m)
        }
        _ => 0x02,
    }
}
