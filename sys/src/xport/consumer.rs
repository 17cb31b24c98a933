// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A host's or controller's side: [`Qpair`], [`Capsule`] and the callbacks.

use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use crate::context::{CanSleep, Wait};
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mbuf::Mbuf;
use crate::mem::KArc;
use crate::memdesc::MemDesc;
use crate::nv::NvRef;

/// What a queue pair tells its owner. Neither callback may free the queue
/// pair: freeing waits for the thread that runs the callback.
pub trait QpairHandler: Sized + Send + Sync + 'static {
    /// The connection failed, or with `None` the peer closed it. May come more
    /// than once, from two threads, and before [`Qpair::allocate`] returned.
    fn error(this: &KArc<Self>, error: Option<Errno>);

    /// A command or response arrived. Runs in the receive thread.
    fn received(this: &KArc<Self>, capsule: Capsule, sleep: CanSleep<'_>);
}

/// A connected queue pair. It must be freed: a handle that is dropped leaks.
pub struct Qpair<H: QpairHandler> {
    raw: NonNull<ffi::nvmf_qpair>,
    handler: *const H,
}

// SAFETY: transports serialise their own state.
unsafe impl<H: QpairHandler> Sync for Qpair<H> {}
// SAFETY: as above.
unsafe impl<H: QpairHandler> Send for Qpair<H> {}

unsafe extern "C" fn on_error<H: QpairHandler>(arg: *mut c_void, error: c_int) {
    // SAFETY: arg is the reference that allocate() leaked and free() takes
    // back after the last callback.
    let this = ManuallyDrop::new(unsafe { KArc::from_raw(arg.cast::<H>().cast_const()) });
    H::error(&this, Errno::from_code(error));
}

unsafe extern "C" fn on_receive<H: QpairHandler>(arg: *mut c_void, nc: *mut ffi::nvmf_capsule) {
    // SAFETY: as in on_error().
    let this = ManuallyDrop::new(unsafe { KArc::from_raw(arg.cast::<H>().cast_const()) });
    if let Some(raw) = NonNull::new(nc) {
        // SAFETY: the transport calls from its receive thread with no locks.
        H::received(&this, Capsule { raw }, unsafe { CanSleep::assert() });
    }
}

impl<H: QpairHandler> Qpair<H> {
    /// Asks the transports of `trtype` for a queue pair over the connection
    /// that `params` names; the descriptor is looked up in this thread.
    pub fn allocate(
        trtype: u32,
        controller: bool,
        params: NvRef<'_>,
        handler: KArc<H>,
        _sleep: CanSleep<'_>,
    ) -> Option<Self> {
        let handler = KArc::into_raw(handler);
        let arg = handler.cast_mut().cast::<c_void>();
        // SAFETY: the list is live, may sleep, and the callbacks' argument
        // lives until free().
        let raw = unsafe {
            ffi::nvmf_allocate_qpair(
                trtype,
                controller,
                params.as_ptr(),
                Some(on_error::<H>),
                arg,
                Some(on_receive::<H>),
                arg,
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Some(Qpair { raw, handler }),
            None => {
                // SAFETY: nobody kept the reference.
                drop(unsafe { KArc::from_raw(handler) });
                None
            }
        }
    }

    /// Disconnects. No callback of the queue pair runs afterwards; data
    /// callbacks of its capsules may still come while the network lets go of
    /// their memory. Not from a callback.
    pub fn free(self, _sleep: CanSleep<'_>) {
        // SAFETY: owned; may sleep; the callbacks are over when it returns.
        unsafe {
            ffi::nvmf_free_qpair(self.raw.as_ptr());
            drop(KArc::from_raw(self.handler));
        }
    }

    /// A capsule for a command.
    #[inline]
    pub fn command(&self, sqe: &[u8; 64], wait: Wait<'_>) -> Result<Capsule> {
        // SAFETY: live queue pair; 64 bytes are copied.
        let nc = unsafe {
            ffi::nvmf_allocate_command(self.raw.as_ptr(), sqe.as_ptr().cast(), wait.how())
        };
        NonNull::new(nc)
            .map(|raw| Capsule { raw })
            .ok_or(Errno::ENOMEM)
    }

    /// A capsule for a response.
    #[inline]
    pub fn response(&self, cqe: &[u8; 16], wait: Wait<'_>) -> Result<Capsule> {
        // SAFETY: live queue pair; 16 bytes are copied.
        let nc = unsafe {
            ffi::nvmf_allocate_response(self.raw.as_ptr(), cqe.as_ptr().cast(), wait.how())
        };
        NonNull::new(nc)
            .map(|raw| Capsule { raw })
            .ok_or(Errno::ENOMEM)
    }

    fn owns(&self, nc: &Capsule) -> Result<()> {
        // SAFETY: a capsule keeps its queue pair's memory.
        if unsafe { (*nc.raw.as_ptr()).nc_qpair } == self.raw.as_ptr() {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        }
    }

    /// Queues a capsule for transmission. Any context that allows the network
    /// stack to be entered: no spin locks, not an mbuf free routine.
    #[inline]
    pub fn transmit(&self, nc: &Capsule) -> Result<()> {
        self.owns(nc)?;
        // SAFETY: both are live; the transport takes its own reference.
        Errno::check(unsafe { ffi::nvmf_transmit_capsule(nc.raw.as_ptr()) })
    }

    /// Controller: moves `mem.len()` bytes at `offset` of the command's data
    /// from the host to `mem`; `done` hears of it once, also on failure.
    pub fn receive_data<D: DataDone>(
        &self,
        nc: &Capsule,
        offset: u32,
        mut mem: MemDesc,
        done: KArc<D>,
    ) -> Result<()> {
        self.owns(nc)?;
        let len = mem.len();
        let arg = KArc::into_raw(done);
        // SAFETY: live objects; mem's promise lasts until the callback, whose
        // argument is the leaked reference.
        let error = unsafe {
            ffi::nvmf_receive_controller_data(
                nc.raw.as_ptr(),
                offset,
                mem.as_mut_ptr(),
                len,
                Some(on_data_done::<D>),
                arg.cast_mut().cast::<c_void>(),
            )
        };
        Errno::check(error).inspect_err(|_| {
            // SAFETY: a failed call keeps no argument.
            drop(unsafe { KArc::from_raw(arg) });
        })
    }

    /// Like [`Qpair::receive_data`], reporting to element `index` of `owner`.
    pub fn receive_data_at<O: IoOwner>(
        &self,
        nc: &Capsule,
        offset: u32,
        mut mem: MemDesc,
        owner: KArc<O>,
        index: usize,
    ) -> Result<()> {
        self.owns(nc)?;
        let len = mem.len();
        let (arg, owner) = IoTag::arm(owner, index)?;
        // SAFETY: as in receive_data(); the tag lives in its owner.
        let error = unsafe {
            ffi::nvmf_receive_controller_data(
                nc.raw.as_ptr(),
                offset,
                mem.as_mut_ptr(),
                len,
                Some(on_tag_done::<O>),
                arg,
            )
        };
        Errno::check(error).inspect_err(|_| {
            // SAFETY: a failed call keeps no argument.
            drop(unsafe { KArc::from_raw(owner) });
        })
    }

    /// Controller: sends `m` as the command's data at `offset`; pieces of one
    /// command come in order.
    pub fn send_data(&self, nc: &Capsule, offset: u32, m: Mbuf) -> SendOutcome {
        if self.owns(nc).is_err() {
            return SendOutcome::Failed(0x02);
        }
        let len = m.len() as usize;
        // SAFETY: live objects; the chain is given away.
        let r =
            unsafe { ffi::nvmf_send_controller_data(nc.raw.as_ptr(), offset, m.into_raw(), len) };
        match r {
            0 => SendOutcome::Sent,
            ffi::NVRS_SUCCESS_SENT => SendOutcome::SuccessSent,
            ffi::NVRS_MORE => SendOutcome::More,
            sc => SendOutcome::Failed(sc as u8),
        }
    }
}

/// What became of [`Qpair::send_data`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
    /// All of the command's data is queued; the response is still to be sent.
    Sent,
    /// All is queued, and the transport also tells the host of success.
    SuccessSent,
    /// Queued; more of the command's data must follow.
    More,
    /// A generic status code.
    Failed(u8),
}

/// A command or response capsule; dropping it gives up the owner's reference.
pub struct Capsule {
    raw: NonNull<ffi::nvmf_capsule>,
}

// SAFETY: a capsule has no thread affinity.
unsafe impl Send for Capsule {}
// SAFETY: shared methods only read what is constant, or are the transport's.
unsafe impl Sync for Capsule {}

impl Capsule {
    /// The submission queue entry of a command.
    #[inline]
    pub fn sqe(&self) -> [u8; 64] {
        // SAFETY: live capsule; its entry does not change.
        unsafe { (*self.raw.as_ptr()).nc_qe }
    }

    /// The completion queue entry of a response.
    #[inline]
    pub fn cqe(&self) -> [u8; 16] {
        let mut cqe = [0; 16];
        // SAFETY: live capsule; its entry does not change.
        let qe = unsafe { &(*self.raw.as_ptr()).nc_qe };
        for (d, s) in cqe.iter_mut().zip(qe) {
            *d = *s;
        }
        cqe
    }

    /// Whether it carries a command.
    pub fn is_command(&self) -> bool {
        // SAFETY: live capsule.
        unsafe { (*self.raw.as_ptr()).nc_qe_len == 64 }
    }

    /// Whether the response's SQHD means something.
    pub fn sqhd_valid(&self) -> bool {
        // SAFETY: live capsule.
        unsafe { (*self.raw.as_ptr()).nc_sqhd_valid }
    }

    /// Controller: the status code of checking PSDT and SGL; zero is good.
    pub fn validate(&self) -> u8 {
        // SAFETY: live capsule.
        unsafe { ffi::nvmf_validate_command_capsule(self.raw.as_ptr()) }
    }

    /// Controller: the length in the command's SGL.
    pub fn data_len(&self) -> usize {
        // SAFETY: live capsule.
        unsafe { ffi::nvmf_capsule_data_len(self.raw.as_ptr()) }
    }

    /// Host: attaches the command's data. `done` hears of it once, after the
    /// capsule was transmitted or its data aborted, in any context, with locks
    /// of the network held: it must not sleep nor submit.
    pub fn append_data<D: DataDone>(
        &self,
        mut mem: MemDesc,
        send: bool,
        done: KArc<D>,
    ) -> Result<()> {
        let len = mem.len();
        let arg = KArc::into_raw(done);
        // SAFETY: live capsule; mem's promise lasts until the callback.
        let error = unsafe {
            ffi::nvmf_capsule_append_data(
                self.raw.as_ptr(),
                mem.as_mut_ptr(),
                len,
                send,
                Some(on_data_done::<D>),
                arg.cast_mut().cast::<c_void>(),
            )
        };
        Errno::check(error).inspect_err(|_| {
            // SAFETY: a failed call keeps no argument.
            drop(unsafe { KArc::from_raw(arg) });
        })
    }

    /// Like [`Capsule::append_data`], reporting to element `index` of `owner`.
    pub fn append_data_at<O: IoOwner>(
        &self,
        mut mem: MemDesc,
        send: bool,
        owner: KArc<O>,
        index: usize,
    ) -> Result<()> {
        let len = mem.len();
        let (arg, owner) = IoTag::arm(owner, index)?;
        // SAFETY: as in append_data(); the tag lives in its owner.
        let error = unsafe {
            ffi::nvmf_capsule_append_data(
                self.raw.as_ptr(),
                mem.as_mut_ptr(),
                len,
                send,
                Some(on_tag_done::<O>),
                arg,
            )
        };
        Errno::check(error).inspect_err(|_| {
            // SAFETY: a failed call keeps no argument.
            drop(unsafe { KArc::from_raw(owner) });
        })
    }

    /// Host: the data of a capsule that was never transmitted will not be
    /// used; its callback hears `error`.
    pub fn abort_data(&self, error: Errno) {
        // SAFETY: live capsule.
        unsafe { ffi::nvmf_abort_capsule_data(self.raw.as_ptr(), error.code()) }
    }
}

impl Capsule {
    /// Gives the reference to C.
    pub(crate) fn into_raw(self) -> *mut ffi::nvmf_capsule {
        core::mem::ManuallyDrop::new(self).raw.as_ptr()
    }

    /// The capsule, for C.
    pub(crate) fn as_ptr(&self) -> *mut ffi::nvmf_capsule {
        self.raw.as_ptr()
    }

    /// Takes back a reference that [`Capsule::into_raw`] gave away.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw`, and was not taken back yet.
    pub(crate) unsafe fn from_raw(raw: *mut ffi::nvmf_capsule) -> Option<Self> {
        NonNull::new(raw).map(|raw| Capsule { raw })
    }
}

impl Drop for Capsule {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the owner's reference, given up once.
        unsafe { ffi::nvmf_free_capsule(self.raw.as_ptr()) }
    }
}

/// An object of its own that hears when data was moved.
pub trait DataDone: Sized + Send + Sync + 'static {
    /// `xfered` bytes were moved; with `None` the transfer is complete or was
    /// cut short without error. Must not sleep.
    fn data_done(this: KArc<Self>, xfered: usize, error: Option<Errno>);
}

unsafe extern "C" fn on_data_done<D: DataDone>(arg: *mut c_void, xfered: usize, error: c_int) {
    // SAFETY: the reference that went with the request; called once.
    let this = unsafe { KArc::from_raw(arg.cast::<D>().cast_const()) };
    D::data_done(this, xfered, Errno::from_code(error));
}

/// An object with numbered I/Os, so that none needs memory of its own.
pub trait IoOwner: Sized + Send + Sync + 'static {
    /// One tag for each I/O; the same slice at every call.
    fn io_tags(&self) -> &[IoTag];

    /// As [`DataDone::data_done`], for the I/O `index`.
    fn io_done(this: KArc<Self>, index: usize, xfered: usize, error: Option<Errno>);
}

/// A callback argument that stands for an owner and an index.
pub struct IoTag {
    owner: AtomicPtr<c_void>,
    index: usize,
    _pin: PhantomData<core::marker::PhantomPinned>,
}

impl IoTag {
    /// The tag of the I/O `index`.
    pub const fn new(index: usize) -> Self {
        IoTag {
            owner: AtomicPtr::new(core::ptr::null_mut()),
            index,
            _pin: PhantomData,
        }
    }

    /// Prepares a tag for one callback, which takes the owner's reference.
    fn arm<O: IoOwner>(owner: KArc<O>, index: usize) -> Result<(*mut c_void, *const O)> {
        let raw = KArc::into_raw(owner);
        // SAFETY: just leaked, so alive until the callback.
        let Some(tag) = (unsafe { &*raw }).io_tags().get(index) else {
            // SAFETY: the reference goes nowhere.
            drop(unsafe { KArc::from_raw(raw) });
            return Err(Errno::EINVAL);
        };
        tag.owner
            .store(raw.cast_mut().cast::<c_void>(), Ordering::Release);
        Ok(((&raw const *tag).cast_mut().cast::<c_void>(), raw))
    }
}

unsafe extern "C" fn on_tag_done<O: IoOwner>(arg: *mut c_void, xfered: usize, error: c_int) {
    // SAFETY: arg is a tag of an owner that the pending callback keeps alive.
    let tag = unsafe { &*arg.cast::<IoTag>() };
    let index = tag.index;
    let owner = tag.owner.load(Ordering::Acquire);
    // SAFETY: the reference that went with the request; called once.
    let owner = unsafe { KArc::from_raw(owner.cast::<O>().cast_const()) };
    O::io_done(owner, index, xfered, Errno::from_code(error));
}
