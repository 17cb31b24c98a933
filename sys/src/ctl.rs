// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! ctl(4) for an NVMe front end: ports, requests, data moves.
//!
//! A request carries a reference to its owner (a queue pair of the front end, type `Q`) and the capsule that
//! it came in. It is in one of three hands: CTL's, or ours as a [`DataMove`], or ours for the last time as a
//! [`Completed`] one.

use core::ffi::{CStr, c_void};
use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use crate::context::{CanSleep, Wait};
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mbuf::Mbuf;
use crate::mem::KArc;
use crate::nv::NvRef;
use crate::xport::{Capsule, Qpair, QpairHandler, SendOutcome};

/// A port that is registered with CTL. It must be destroyed: one that is dropped is leaked.
pub struct CtlPort<P, Q> {
    raw: NonNull<ffi::nvrs_ctl_port>,
    owner: *const P,
    _requests: PhantomData<fn(KArc<Q>)>,
}

// SAFETY: CTL serialises what it does with a port.
unsafe impl<P: Send + Sync, Q: Send + Sync> Sync for CtlPort<P, Q> {}
// SAFETY: as above.
unsafe impl<P: Send + Sync, Q: Send + Sync> Send for CtlPort<P, Q> {}

impl<P, Q: Send + Sync> CtlPort<P, Q> {
    /// Registers an offline port. Its callbacks get a pointer to `owner`.
    pub fn create(
        requests: u32,
        portid: u16,
        options: NvRef<'_>,
        owner: KArc<P>,
        _sleep: CanSleep<'_>,
    ) -> Result<Self> {
        let owner = KArc::into_raw(owner);
        let mut error = 0;
        // SAFETY: may sleep; the list is live; the owner lives until destroy().
        let raw = unsafe {
            ffi::nvrs_ctl_port_create(
                requests,
                portid,
                options.as_ptr(),
                owner.cast_mut().cast::<c_void>(),
                &mut error,
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Ok(CtlPort {
                raw,
                owner,
                _requests: PhantomData,
            }),
            None => {
                // SAFETY: nobody kept the reference.
                drop(unsafe { KArc::from_raw(owner) });
                Err(Errno::from_code(error).unwrap_or(Errno::ENOMEM))
            }
        }
    }

    /// The number that CTL gave the port.
    pub fn number(&self) -> i32 {
        // SAFETY: live port.
        unsafe { ffi::nvrs_ctl_port_number(self.raw.as_ptr()) }
    }

    /// Takes the port offline, which calls back, unless it is.
    pub fn offline(&self, _sleep: CanSleep<'_>) {
        // SAFETY: live port; may sleep.
        unsafe { ffi::nvrs_ctl_port_offline(self.raw.as_ptr()) }
    }

    /// Deregisters the port. Requests hold references to this object through their owners, so having it by
    /// value means that there is none.
    pub fn destroy(self, _sleep: CanSleep<'_>) {
        // SAFETY: owned, used for the last time; may sleep. CTL does not call back afterwards.
        unsafe {
            ffi::nvrs_ctl_port_destroy(self.raw.as_ptr());
            drop(KArc::from_raw(self.owner));
        }
    }

    /// Submits a command for `lun` (namespace ID minus one). It may complete before this returns.
    #[allow(clippy::too_many_arguments)]
    pub fn submit(
        &self,
        admin: bool,
        initid: u32,
        lun: u32,
        sqe: &[u8; 64],
        owner: KArc<Q>,
        capsule: Capsule,
        _sleep: CanSleep<'_>,
    ) -> core::result::Result<(), (Errno, Capsule)> {
        let owner = KArc::into_raw(owner);
        let capsule = capsule.into_raw();
        // SAFETY: live port; may sleep; the request owns both pointers until it completes.
        let error = unsafe {
            ffi::nvrs_ctl_submit(
                self.raw.as_ptr(),
                admin,
                initid,
                lun,
                sqe.as_ptr().cast(),
                owner.cast_mut().cast::<c_void>(),
                capsule.cast(),
            )
        };
        let Some(error) = Errno::from_code(error) else {
            return Ok(());
        };
        // SAFETY: there is no request that took them.
        unsafe {
            drop(KArc::from_raw(owner));
            Capsule::from_raw(capsule).map_or(Ok(()), |capsule| Err((error, capsule)))
        }
    }

    /// Aborts all requests of an initiator; they complete as they always do.
    pub fn abort_all(&self, initid: u32, _sleep: CanSleep<'_>) -> Result<()> {
        // SAFETY: live port; may sleep.
        Errno::check(unsafe { ffi::nvrs_ctl_nexus_reset(self.raw.as_ptr(), initid) })
    }
}

/// The owner and the capsule of a request that CTL has handed to us.
struct Parts<Q> {
    owner: ManuallyDrop<KArc<Q>>,
    capsule: ManuallyDrop<Capsule>,
}

/// # Safety
///
/// `io` came from [`CtlPort::submit`] of a port with requests of type `Q` and its references were not taken.
unsafe fn parts<Q>(io: NonNull<ffi::ctl_io>) -> Option<Parts<Q>> {
    // SAFETY: submit() stored both pointers.
    unsafe {
        let owner = ffi::nvrs_ctl_io_priv(io.as_ptr(), 0);
        let capsule = ffi::nvrs_ctl_io_priv(io.as_ptr(), 1);
        Some(Parts {
            owner: ManuallyDrop::new(KArc::from_raw(owner.cast::<Q>().cast_const())),
            capsule: ManuallyDrop::new(Capsule::from_raw(capsule.cast())?),
        })
    }
}

/// What CTL wants moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MoveInfo {
    /// Offset within the command's data.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
    /// Bytes of the command's data, as the command's own fields have it.
    pub total: u32,
    /// From the controller to the host.
    pub to_host: bool,
    /// For a command of the admin queue.
    pub admin: bool,
}

/// A data move that we owe CTL. One that is dropped fails.
pub struct DataMove<Q> {
    io: NonNull<ffi::ctl_io>,
    parts: Parts<Q>,
}

// SAFETY: a request has no thread affinity.
unsafe impl<Q: Send + Sync> Send for DataMove<Q> {}

impl<Q: Send + Sync> DataMove<Q> {
    /// The move that a callback is asked for.
    ///
    /// # Safety
    ///
    /// `io` is what CTL passed to the callback of a port whose requests belong to `Q`s.
    pub unsafe fn from_raw(io: *mut ffi::ctl_io) -> Option<Self> {
        let io = NonNull::new(io)?;
        // SAFETY: the caller's promise.
        let parts = unsafe { parts(io) }?;
        Some(DataMove { io, parts })
    }

    /// What to move.
    pub fn info(&self) -> MoveInfo {
        let mut mv = ffi::nvrs_ctl_move {
            offset: 0,
            len: 0,
            total: 0,
            to_host: false,
            admin: false,
        };
        // SAFETY: the request is ours; valid storage.
        unsafe { ffi::nvrs_ctl_move_get(self.io.as_ptr(), &mut mv) };
        MoveInfo {
            offset: mv.offset,
            len: mv.len,
            total: mv.total,
            to_host: mv.to_host,
            admin: mv.admin,
        }
    }

    /// The request's owner.
    pub fn owner(&self) -> &KArc<Q> {
        &self.parts.owner
    }

    /// The capsule that brought the command.
    pub fn capsule(&self) -> &Capsule {
        &self.parts.capsule
    }

    /// The command as CTL has it.
    pub fn sqe(&self) -> [u8; 64] {
        // SAFETY: the request holds a command of 64 bytes.
        unsafe {
            ffi::nvrs_ctl_io_sqe(self.io.as_ptr())
                .cast::<[u8; 64]>()
                .read()
        }
    }

    /// The data to send, by reference where CTL allows that.
    pub fn mbufs(&self, wait: Wait<'_>) -> Result<Mbuf> {
        // SAFETY: the request is ours; flags fit the context; a fresh chain or NULL.
        unsafe {
            let raw = ffi::nvrs_ctl_move_mbufs(self.io.as_ptr(), wait.flags());
            Mbuf::from_raw(raw).ok_or(Errno::ENOMEM)
        }
    }

    /// The buffer to move, if it is in one piece and a buffer of CTL's own (not a backend's storage), as
    /// those of Identify are.
    pub fn own_buffer(&mut self) -> Option<&mut [u8]> {
        let info = self.info();
        if !info.admin {
            return None;
        }
        // SAFETY: the request is ours.
        let p = unsafe { ffi::nvrs_ctl_move_buffer(self.io.as_ptr()) };
        // SAFETY: a flat buffer of that length that CTL leaves alone until the move is done.
        (!p.is_null()).then(|| unsafe { core::slice::from_raw_parts_mut(p, info.len as usize) })
    }

    /// The command fails with a generic status code.
    pub fn fail(&mut self, sc: u8) {
        // SAFETY: the request is ours.
        unsafe { ffi::nvrs_ctl_move_fail(self.io.as_ptr(), sc) }
    }

    /// The transport has told the host of success.
    pub fn success_sent(&mut self) {
        // SAFETY: the request is ours.
        unsafe { ffi::nvrs_ctl_move_success_sent(self.io.as_ptr()) }
    }

    /// Sends `m` at the move's offset.
    pub fn send<H: QpairHandler>(&self, qp: &Qpair<H>, m: Mbuf) -> SendOutcome {
        qp.send_data(self.capsule(), self.info().offset, m)
    }

    /// Asks the host for the data. When it is there, or when that failed, the move is done.
    pub fn receive(self, sleep: Option<CanSleep<'_>>) -> Result<()> {
        let info = self.info();
        let mut md = ffi::nvrs_memdesc { md: [0; 3] };
        let io = self.io.as_ptr();
        // SAFETY: the request's buffers stay until the move is done, which is what the callback does.
        let error = unsafe {
            ffi::nvrs_ctl_move_memdesc(io, &mut md);
            ffi::nvmf_receive_controller_data(
                self.capsule().as_ptr(),
                info.offset,
                &mut md,
                info.len as usize,
                Some(received),
                io.cast(),
            )
        };
        let this = ManuallyDrop::new(self);
        Errno::check(error).inspect_err(|_| {
            let mut this = ManuallyDrop::into_inner(this);
            this.fail(DATA_TRANSFER_ERROR);
            this.done(sleep);
        })
    }

    /// The move is over: CTL goes on, in this thread if it may sleep.
    pub fn done(self, sleep: Option<CanSleep<'_>>) {
        let this = ManuallyDrop::new(self);
        // SAFETY: the request goes back to CTL.
        unsafe { ffi::nvrs_ctl_move_done(this.io.as_ptr(), sleep.is_some()) }
    }

    /// The connection is gone: the command is aborted.
    pub fn abort(self, sleep: Option<CanSleep<'_>>) {
        // SAFETY: the request is ours.
        unsafe { ffi::nvrs_ctl_move_abort(self.io.as_ptr()) }
        self.done(sleep);
    }
}

impl<Q> Drop for DataMove<Q> {
    fn drop(&mut self) {
        // SAFETY: the request is ours and goes back to CTL.
        unsafe {
            ffi::nvrs_ctl_move_abort(self.io.as_ptr());
            ffi::nvrs_ctl_move_done(self.io.as_ptr(), false);
        }
    }
}

/// The generic status code Data Transfer Error.
const DATA_TRANSFER_ERROR: u8 = 0x04;
/// The generic status code Transient Transport Error.
const TRANSIENT_TRANSPORT_ERROR: u8 = 0x22;

/// All data of a move arrived, or will not.
unsafe extern "C" fn received(arg: *mut c_void, len: usize, error: i32) {
    let io = arg.cast::<ffi::ctl_io>();
    // SAFETY: the request that receive() lent to the transport, which is done with it.
    unsafe {
        if error == Errno::EINTEGRITY.code() {
            // A data digest was wrong: the command may be tried again (TCP 3.5).
            ffi::nvrs_ctl_move_fail(io, TRANSIENT_TRANSPORT_ERROR);
        } else if error != 0 {
            ffi::nvrs_ctl_move_fail(io, DATA_TRANSFER_ERROR);
        } else {
            ffi::nvrs_ctl_move_received(io, u32::try_from(len).unwrap_or(u32::MAX));
        }
        ffi::nvrs_ctl_move_done(io, false);
    }
}

/// Data moves in the order in which they came; needs no memory of its own.
pub struct MoveQueue<Q> {
    head: *mut ffi::ctl_io,
    tail: *mut ffi::ctl_io,
    _moves: PhantomData<fn(KArc<Q>)>,
}

// SAFETY: it owns the requests in it, which have no thread affinity.
unsafe impl<Q: Send + Sync> Send for MoveQueue<Q> {}

impl<Q: Send + Sync> MoveQueue<Q> {
    /// An empty queue.
    pub const fn new() -> Self {
        MoveQueue {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            _moves: PhantomData,
        }
    }

    /// Appends a move.
    pub fn push(&mut self, mv: DataMove<Q>) {
        let io = ManuallyDrop::new(mv).io.as_ptr();
        // SAFETY: all requests in the queue are ours, and their links are ours to use.
        unsafe {
            ffi::nvrs_ctl_io_set_next(io, ptr::null_mut());
            if self.tail.is_null() {
                self.head = io;
            } else {
                ffi::nvrs_ctl_io_set_next(self.tail, io);
            }
        }
        self.tail = io;
    }

    /// Takes the first.
    pub fn pop(&mut self) -> Option<DataMove<Q>> {
        let io = NonNull::new(self.head)?;
        // SAFETY: as above; push() got it as a move.
        unsafe {
            self.head = ffi::nvrs_ctl_io_next(io.as_ptr());
            if self.head.is_null() {
                self.tail = ptr::null_mut();
            }
            DataMove::from_raw(io.as_ptr())
        }
    }
}

impl<Q: Send + Sync> Default for MoveQueue<Q> {
    fn default() -> Self {
        Self::new()
    }
}

/// A request that CTL has completed and that no longer exists.
pub struct Completed<Q> {
    /// Its owner.
    pub owner: KArc<Q>,
    /// The capsule that brought the command.
    pub capsule: Capsule,
    /// The response.
    pub cqe: [u8; 16],
    /// The host does not have the response yet.
    pub send: bool,
}

impl<Q> Completed<Q> {
    /// Takes the request from CTL and frees it.
    ///
    /// # Safety
    ///
    /// `io` is what CTL passed to the callback of a port whose requests belong to `Q`s.
    pub unsafe fn from_raw(io: *mut ffi::ctl_io) -> Option<Self> {
        let io = NonNull::new(io)?;
        let mut cqe = [0; 16];
        // SAFETY: the caller's promise; the request and its references are ours now.
        unsafe {
            let parts = parts(io)?;
            let send = ffi::nvrs_ctl_done_result(io.as_ptr(), cqe.as_mut_ptr().cast());
            ffi::nvrs_ctl_io_free(io.as_ptr());
            Some(Completed {
                owner: ManuallyDrop::into_inner(parts.owner),
                capsule: ManuallyDrop::into_inner(parts.capsule),
                cqe,
                send,
            })
        }
    }
}

/// The callback argument of a port.
///
/// # Safety
///
/// `arg` is what CTL passed to a callback of a port whose owner is a `P`.
pub unsafe fn port_owner<P>(arg: *mut c_void) -> KArc<P> {
    // SAFETY: the port holds the reference that create() leaked.
    unsafe { KArc::borrow_raw(arg.cast::<P>().cast_const()) }
}

/// Leave to sleep in a callback that CTL makes in threads of both kinds.
///
/// # Safety
///
/// No mutex is held.
pub unsafe fn sleep_if_allowed<'a>() -> Option<CanSleep<'a>> {
    // SAFETY: the kernel says that this thread may, and the caller holds no mutex.
    unsafe { ffi::nvrs_can_sleep().then(|| CanSleep::assert()) }
}

/// Text that CTL collects.
pub struct Sbuf<'a>(NonNull<ffi::sbuf>, PhantomData<&'a mut ()>);

impl Sbuf<'_> {
    /// The buffer that a callback is to write to.
    ///
    /// # Safety
    ///
    /// `raw` is NULL or a live buffer that nobody else uses meanwhile.
    pub unsafe fn from_raw(raw: *mut ffi::sbuf) -> Option<Self> {
        NonNull::new(raw).map(|raw| Sbuf(raw, PhantomData))
    }
}

impl fmt::Write for Sbuf<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        // SAFETY: live buffer; the string is valid for its length.
        if unsafe { ffi::nvrs_sbuf_cat(self.0.as_ptr(), s.as_ptr().cast(), s.len()) } {
            Ok(())
        } else {
            Err(fmt::Error)
        }
    }
}

/// Text for a C caller: what does not fit is cut, and a NUL follows.
pub struct CText<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl<'a> CText<'a> {
    /// An empty text in a C buffer.
    ///
    /// # Safety
    ///
    /// `buf` points to `len` writable bytes that nobody else uses during `'a`.
    pub unsafe fn from_raw(buf: *mut core::ffi::c_char, len: usize) -> Self {
        let buf = match NonNull::new(buf.cast::<u8>()) {
            // SAFETY: the caller's promise.
            Some(p) => unsafe { core::slice::from_raw_parts_mut(p.as_ptr(), len) },
            None => &mut [],
        };
        if let Some(first) = buf.first_mut() {
            *first = 0;
        }
        CText { buf, len: 0 }
    }
}

impl fmt::Write for CText<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        for b in s.bytes() {
            if let Some([to, nul]) = self.buf.get_mut(self.len..self.len + 2) {
                (*to, *nul) = (b, 0);
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Whether a handoff's parameters of a queue pair are complete and in range.
pub fn valid_qpair_params(params: NvRef<'_>) -> bool {
    // SAFETY: live list.
    unsafe { ffi::nvmf_validate_qpair_nvlist(params.as_ptr(), true) }
}

/// The operating system's name and release.
pub fn os_names() -> (&'static [u8], &'static [u8]) {
    let (mut name, mut release) = (ptr::null(), ptr::null());
    // SAFETY: both are static strings of the kernel.
    unsafe {
        ffi::nvrs_os_names(&mut name, &mut release);
        (
            CStr::from_ptr(name).to_bytes(),
            CStr::from_ptr(release).to_bytes(),
        )
    }
}

/// The size of a page of memory.
pub fn page_size() -> u32 {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_page_size() }
}
