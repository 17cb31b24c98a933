// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The CAM side of the host: [`Sim`], [`Ccb`], [`CcbQueue`].

use core::ffi::{CStr, c_void};
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};

use crate::context::CanSleep;
use crate::ffi;
use crate::mem::KArc;
use crate::memdesc::MemDesc;
use crate::newbus::Device;

/// How a CCB ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CcbStatus {
    /// CAM_REQ_CMP.
    Complete,
    /// CAM_NVME_STATUS_ERROR.
    NvmeError,
    /// CAM_REQ_CMP_ERR.
    DataError,
    /// CAM_REQUEUE_REQ.
    Requeue,
    /// CAM_DEV_NOT_THERE.
    Gone,
    /// CAM_RESRC_UNAVAIL.
    NoResource,
    /// CAM_REQ_INVALID.
    Invalid,
}

impl CcbStatus {
    fn code(self) -> i32 {
        (match self {
            CcbStatus::Complete => ffi::NVRS_CCB_CMP,
            CcbStatus::NvmeError => ffi::NVRS_CCB_NVME_ERROR,
            CcbStatus::DataError => ffi::NVRS_CCB_DATA_ERROR,
            CcbStatus::Requeue => ffi::NVRS_CCB_REQUEUE,
            CcbStatus::Gone => ffi::NVRS_CCB_GONE,
            CcbStatus::NoResource => ffi::NVRS_CCB_NO_RESOURCE,
            CcbStatus::Invalid => ffi::NVRS_CCB_INVALID,
        }) as i32
    }
}

/// An NVMe CCB that we have to complete. Dropping one says that the device is gone.
#[must_use]
pub struct Ccb(NonNull<ffi::nvrs_ccb>);

// SAFETY: a CCB has no thread affinity.
unsafe impl Send for Ccb {}

impl Ccb {
    /// The submission queue entry; the queue fills in the identifier and the SGL.
    pub fn sqe(&self) -> [u8; 64] {
        let mut sqe = [0; 64];
        // SAFETY: an uncompleted CCB; 64 bytes of storage.
        unsafe { ffi::nvrs_ccb_sqe(self.0.as_ptr(), sqe.as_mut_ptr()) };
        sqe
    }

    /// The namespace whose disk CAM means. The entry may name another, or none.
    pub fn nsid(&self) -> u32 {
        // SAFETY: an uncompleted CCB.
        unsafe { ffi::nvrs_ccb_nsid(self.0.as_ptr()) }
    }

    /// Milliseconds until the command is overdue, in CAM's terms.
    pub fn timeout(&self) -> u32 {
        // SAFETY: an uncompleted CCB.
        unsafe { ffi::nvrs_ccb_timeout(self.0.as_ptr()) }
    }

    /// Its data, and whether they go to the controller. The CCB must not be
    /// completed before the transport is done with them.
    pub fn data(&self) -> Option<(MemDesc, bool)> {
        let mut raw = ffi::nvrs_memdesc { md: [0; 3] };
        let mut write = false;
        // SAFETY: an uncompleted CCB; valid storage.
        let len = unsafe { ffi::nvrs_ccb_data(self.0.as_ptr(), &mut raw, &mut write) };
        if len == 0 {
            return None;
        }
        // SAFETY: the issuer keeps the data until the CCB is completed.
        Some((unsafe { MemDesc::from_raw(raw, len as usize) }, write))
    }

    /// Copies the first bytes of the data, if they are in one plain buffer that is long enough.
    pub fn peek(&self, buf: &mut [u8]) -> bool {
        let Ok(len) = u32::try_from(buf.len()) else {
            return false;
        };
        // SAFETY: an uncompleted CCB; len bytes of storage.
        unsafe { ffi::nvrs_ccb_peek(self.0.as_ptr(), buf.as_mut_ptr().cast(), len) }
    }

    /// Marks the CCB as accepted.
    pub fn mark_queued(&self) {
        // SAFETY: an uncompleted CCB.
        unsafe { ffi::nvrs_ccb_queued(self.0.as_ptr()) }
    }

    /// Completes the CCB. Any context; `direct` runs its owner's callback here and now, which a
    /// thread may ask for that holds no locks and may submit I/O.
    pub fn complete(self, status: CcbStatus, cqe: Option<&[u8; 16]>, direct: bool) {
        let this = ManuallyDrop::new(self);
        let cqe = cqe.map_or(ptr::null(), |c| c.as_ptr());
        // SAFETY: completed once: `this` is consumed; cqe is NULL or 16 bytes.
        unsafe { ffi::nvrs_ccb_done(this.0.as_ptr(), status.code(), cqe, direct) }
    }
}

impl Drop for Ccb {
    fn drop(&mut self) {
        // SAFETY: complete() forgets the value, so this CCB is uncompleted.
        unsafe { ffi::nvrs_ccb_done(self.0.as_ptr(), CcbStatus::Gone.code(), ptr::null(), false) }
    }
}

/// A list of CCBs in the order in which they came, linked through the CCBs.
pub struct CcbQueue {
    head: *mut ffi::nvrs_ccb,
    tail: *mut ffi::nvrs_ccb,
}

// SAFETY: owns its CCBs, which have no thread affinity.
unsafe impl Send for CcbQueue {}

impl Default for CcbQueue {
    fn default() -> Self {
        Self::new()
    }
}

impl CcbQueue {
    /// An empty list.
    pub const fn new() -> Self {
        CcbQueue {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    /// Appends a CCB.
    pub fn push(&mut self, ccb: Ccb) {
        let raw = ManuallyDrop::new(ccb).0.as_ptr();
        // SAFETY: the CCBs of the list are uncompleted and ours to link.
        unsafe {
            ffi::nvrs_ccb_set_next(raw, ptr::null_mut());
            if self.tail.is_null() {
                self.head = raw;
            } else {
                ffi::nvrs_ccb_set_next(self.tail, raw);
            }
        }
        self.tail = raw;
    }

    /// Removes the first CCB.
    pub fn pop(&mut self) -> Option<Ccb> {
        let raw = NonNull::new(self.head)?;
        // SAFETY: the CCBs of the list are uncompleted and linked by push().
        self.head = unsafe { ffi::nvrs_ccb_next(raw.as_ptr()) };
        if self.head.is_null() {
            self.tail = ptr::null_mut();
        }
        Some(Ccb(raw))
    }

    /// All CCBs, leaving the list empty.
    pub fn take(&mut self) -> CcbQueue {
        core::mem::take(self)
    }
}

impl Drop for CcbQueue {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

/// What CAM asks a SIM for.
pub trait SimHandler: Sized + Send + Sync + 'static {
    /// An I/O or admin command. Must not sleep; a device mutex may be held.
    fn io(&self, ccb: Ccb, admin: bool);
}

/// What CAM is told about a SIM.
pub struct SimParams<'a> {
    /// The device.
    pub dev: Device,
    /// The controller's name.
    pub name: &'a CStr,
    /// Commands that CAM may have outstanding.
    pub max_trans: u32,
    /// The controller's version.
    pub version: u32,
    /// The highest namespace.
    pub nn: u32,
    /// The largest transfer.
    pub maxio: u32,
    /// The transport type.
    pub trtype: u8,
}

/// Which step of creating a SIM failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SimError {
    /// The queue.
    Queue,
    /// The SIM.
    Sim,
    /// The bus.
    Bus,
    /// The wildcard path.
    Path,
}

/// Why a rescan could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RescanError {
    /// No CCB.
    Ccb,
    /// No path.
    Path,
}

/// A registered SIM with its bus. It must be destroyed: a handle that is dropped leaks it.
pub struct Sim<T: SimHandler> {
    raw: NonNull<ffi::nvrs_sim>,
    owner: *const T,
}

// SAFETY: CAM serialises its own state.
unsafe impl<T: SimHandler> Sync for Sim<T> {}
// SAFETY: as above.
unsafe impl<T: SimHandler> Send for Sim<T> {}

unsafe extern "C" fn on_io<T: SimHandler>(arg: *mut c_void, ccb: *mut ffi::nvrs_ccb, admin: bool) {
    // SAFETY: arg is the reference that create() leaked; the SIM, and so CAM's
    // calls, end before it is taken back.
    let owner = unsafe { &*arg.cast::<T>().cast_const() };
    if let Some(raw) = NonNull::new(ccb) {
        owner.io(Ccb(raw), admin);
    }
}

impl<T: SimHandler> Sim<T> {
    /// Registers a SIM whose commands go to `owner`.
    pub fn create(
        params: &SimParams<'_>,
        owner: KArc<T>,
        _sleep: CanSleep<'_>,
    ) -> core::result::Result<Self, SimError> {
        let owner = KArc::into_raw(owner);
        let raw = ffi::nvrs_sim_params {
            dev: params.dev.as_ptr(),
            name: params.name.as_ptr(),
            io: Some(on_io::<T>),
            arg: owner.cast_mut().cast(),
            max_trans: params.max_trans,
            version: params.version,
            nn: params.nn,
            maxio: params.maxio,
            trtype: params.trtype,
        };
        let mut sim = ptr::null_mut();
        // SAFETY: valid parameters and storage; the context may sleep.
        let error = unsafe { ffi::nvrs_sim_create(&raw, &mut sim) } as u32;
        match NonNull::new(sim) {
            Some(raw) if error == 0 => Ok(Sim { raw, owner }),
            _ => {
                // SAFETY: there is no SIM that could use the reference.
                drop(unsafe { KArc::from_raw(owner) });
                Err(match error {
                    ffi::NVRS_SIM_NOMEM_Q => SimError::Queue,
                    ffi::NVRS_SIM_NOMEM_SIM => SimError::Sim,
                    ffi::NVRS_SIM_NO_BUS => SimError::Bus,
                    _ => SimError::Path,
                })
            }
        }
    }

    /// What a new association may do. Any context.
    pub fn update(&self, nn: u32, maxio: u32) {
        // SAFETY: a live SIM.
        unsafe { ffi::nvrs_sim_update(self.raw.as_ptr(), nn, maxio) }
    }

    /// Tells CAM that all disks are gone.
    pub fn lost(&self, _sleep: CanSleep<'_>) {
        // SAFETY: a live SIM.
        unsafe { ffi::nvrs_sim_lost(self.raw.as_ptr()) }
    }

    /// Tells CAM that the disk of a namespace is gone. Any context.
    pub fn lost_disk(&self, nsid: u32) {
        // SAFETY: a live SIM.
        unsafe { ffi::nvrs_sim_lost_disk(self.raw.as_ptr(), nsid) }
    }

    /// CAM starts no further command. Any context.
    pub fn freeze(&self) {
        // SAFETY: a live SIM.
        unsafe { ffi::nvrs_sim_freeze(self.raw.as_ptr()) }
    }

    /// Undoes one [`Sim::freeze`]; commands may come before this returns.
    pub fn release(&self) {
        // SAFETY: a live SIM.
        unsafe { ffi::nvrs_sim_release(self.raw.as_ptr()) }
    }

    /// Has CAM look at a namespace. Any context.
    pub fn rescan(&self, nsid: u32) -> core::result::Result<(), RescanError> {
        // SAFETY: a live SIM.
        match unsafe { ffi::nvrs_sim_rescan(self.raw.as_ptr(), nsid) } as u32 {
            0 => Ok(()),
            ffi::NVRS_RESCAN_NO_CCB => Err(RescanError::Ccb),
            _ => Err(RescanError::Path),
        }
    }

    /// Deregisters the bus and waits until CAM lets go of the SIM.
    pub fn destroy(self, _sleep: CanSleep<'_>) {
        // SAFETY: owned and not used afterwards; no command comes when it has
        // returned, so the owner's reference can go.
        unsafe {
            ffi::nvrs_sim_destroy(self.raw.as_ptr());
            drop(KArc::from_raw(self.owner));
        }
    }
}
