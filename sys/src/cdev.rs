// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Character devices: [`Cdev`], ioctl commands, and the user memory that they point to.

use core::ffi::{CStr, c_int, c_ulong, c_void};
use core::ptr::{self, NonNull};

use crate::bio::Bio;
use crate::context::CanSleep;
use crate::errno::{Errno, Result, code_of};
use crate::ffi;
use crate::mem::KArc;
use crate::nv::{NvList, NvRef};

/// ioctl(2) commands and the layout of their arguments.
pub mod ioc {
    pub use crate::ffi::{
        NVRS_IOC_CONNECTION_STATUS as CONNECTION_STATUS, NVRS_IOC_DISCONNECT_ALL as DISCONNECT_ALL,
        NVRS_IOC_DISCONNECT_HOST as DISCONNECT_HOST,
        NVRS_IOC_GET_CONTROLLER_DATA as GET_CONTROLLER_DATA,
        NVRS_IOC_GET_MAX_XFER_SIZE as GET_MAX_XFER_SIZE, NVRS_IOC_GET_NSID as GET_NSID,
        NVRS_IOC_HANDOFF_HOST as HANDOFF_HOST, NVRS_IOC_MEDIASIZE as MEDIASIZE,
        NVRS_IOC_PASSTHROUGH as PASSTHROUGH, NVRS_IOC_RECONNECT_HOST as RECONNECT_HOST,
        NVRS_IOC_RECONNECT_PARAMS as RECONNECT_PARAMS, NVRS_IOC_SECTORSIZE as SECTORSIZE,
        NVRS_NSID_NSID as NSID_NSID, NVRS_PT_BUF as PT_BUF, NVRS_PT_CPL as PT_CPL,
        NVRS_PT_IS_READ as PT_IS_READ, NVRS_PT_LEN as PT_LEN,
    };
}

/// What the users of a character device reach. `TAG` lets one type have several devices.
pub trait CdevHandler<const TAG: u32>: Sized + Send + Sync + 'static {
    /// An ioctl(2); `data` is the argument, copied in before and out after.
    fn ioctl(this: &KArc<Self>, cmd: u32, data: &mut [u8], sleep: CanSleep<'_>) -> Result<()>;

    /// A bio, for devices created with [`Cdev::create_disk`]. Must not sleep.
    fn strategy(this: &KArc<Self>, bio: Bio) {
        let _ = this;
        bio.finish(Err(Errno::EOPNOTSUPP));
    }
}

/// A character device. It must be destroyed: a handle that is dropped leaks it.
pub struct Cdev<T: CdevHandler<TAG>, const TAG: u32 = 0> {
    raw: NonNull<ffi::nvrs_cdev>,
    owner: *const T,
}

// SAFETY: devfs serialises its own state.
unsafe impl<T: CdevHandler<TAG>, const TAG: u32> Sync for Cdev<T, TAG> {}
// SAFETY: as above.
unsafe impl<T: CdevHandler<TAG>, const TAG: u32> Send for Cdev<T, TAG> {}

unsafe extern "C" fn on_ioctl<T: CdevHandler<TAG>, const TAG: u32>(
    arg: *mut c_void,
    cmd: c_ulong,
    data: *mut u8,
    len: usize,
) -> c_int {
    // SAFETY: the reference that create() leaked; destroying waits for us.
    let owner = unsafe { KArc::borrow_raw(arg.cast::<T>().cast_const()) };
    let data = if data.is_null() || len == 0 {
        &mut [][..]
    } else {
        // SAFETY: the kernel's copy of the argument has the length that the
        // command says.
        unsafe { core::slice::from_raw_parts_mut(data, len) }
    };
    // SAFETY: a system call's thread with no locks held.
    code_of(T::ioctl(&owner, cmd as u32, data, unsafe {
        CanSleep::assert()
    }))
}

unsafe extern "C" fn on_strategy<T: CdevHandler<TAG>, const TAG: u32>(
    arg: *mut c_void,
    bio: *mut ffi::nvrs_bio,
) {
    // SAFETY: as in on_ioctl().
    let owner = unsafe { KArc::borrow_raw(arg.cast::<T>().cast_const()) };
    // SAFETY: the kernel gives us the bio to finish.
    if let Some(bio) = unsafe { Bio::from_raw(bio) } {
        T::strategy(&owner, bio);
    }
}

impl<T: CdevHandler<TAG>, const TAG: u32> Cdev<T, TAG> {
    fn make(
        name: &CStr,
        alias: Option<&CStr>,
        iosize: Option<u32>,
        owner: KArc<T>,
    ) -> Result<Self> {
        let owner = KArc::into_raw(owner);
        let params = ffi::nvrs_cdev_params {
            name: name.as_ptr(),
            alias: alias.map_or(ptr::null(), CStr::as_ptr),
            ioctl: Some(on_ioctl::<T, TAG>),
            strategy: match iosize {
                Some(_) => Some(on_strategy::<T, TAG>),
                None => None,
            },
            arg: owner.cast_mut().cast(),
            iosize_max: iosize.unwrap_or(0),
        };
        let mut raw = ptr::null_mut();
        // SAFETY: valid parameters; the owner's reference lives until destroy().
        let error = unsafe { ffi::nvrs_cdev_create(&params, &mut raw) };
        match (Errno::check(error), NonNull::new(raw)) {
            (Ok(()), Some(raw)) => Ok(Cdev { raw, owner }),
            (result, _) => {
                // SAFETY: there is no device that could use the reference.
                drop(unsafe { KArc::from_raw(owner) });
                Err(result.err().unwrap_or(Errno::ENXIO))
            }
        }
    }

    /// A device that only knows ioctl(2).
    pub fn create(name: &CStr, owner: KArc<T>, _sleep: CanSleep<'_>) -> Result<Self> {
        Self::make(name, None, None, owner)
    }

    /// A disk with an alias, whose requests are at most `iosize` bytes.
    pub fn create_disk(
        name: &CStr,
        alias: &CStr,
        iosize: u32,
        owner: KArc<T>,
        _sleep: CanSleep<'_>,
    ) -> Result<Self> {
        Self::make(name, Some(alias), Some(iosize), owner)
    }

    /// Removes the device and waits until no thread is in its functions. Not from one of them.
    pub fn destroy(self, _sleep: CanSleep<'_>) {
        // SAFETY: owned and not used afterwards; no function runs when it has returned.
        unsafe {
            ffi::nvrs_cdev_destroy(self.raw.as_ptr());
            drop(KArc::from_raw(self.owner));
        }
    }
}

/// Waits until the last device is wholly gone: for unloading.
pub fn drain(_sleep: CanSleep<'_>) {
    // SAFETY: the context may sleep.
    unsafe { ffi::nvrs_cdev_drain() }
}

/// Copies from user memory.
pub fn copy_in(user: u64, to: &mut [u8], _sleep: CanSleep<'_>) -> Result<()> {
    let user = user as usize as *const c_void;
    // SAFETY: the kernel checks the user's address; `to` has the length given.
    Errno::check(unsafe { ffi::nvrs_copyin(user, to.as_mut_ptr().cast(), to.len()) })
}

/// Copies to user memory.
pub fn copy_out(from: &[u8], user: u64, _sleep: CanSleep<'_>) -> Result<()> {
    let user = user as usize as *mut c_void;
    // SAFETY: the kernel checks the user's address; `from` has the length given.
    Errno::check(unsafe { ffi::nvrs_copyout(from.as_ptr().cast(), user, from.len()) })
}

/// Copies a string from user memory; returns its length without the NUL.
pub fn copy_in_str(user: u64, to: &mut [u8], _sleep: CanSleep<'_>) -> Result<usize> {
    let user = user as usize as *const c_void;
    let mut done = 0;
    // SAFETY: the kernel checks the user's address; `to` has the length given.
    Errno::check(unsafe {
        ffi::nvrs_copyinstr(user, to.as_mut_ptr().cast(), to.len(), &mut done)
    })?;
    Ok(done.saturating_sub(1).min(to.len()))
}

const IOC_NV_LEN: usize = 24;

fn ioc_nv(data: &mut [u8]) -> Result<*mut ffi::nvmf_ioc_nv> {
    let p = data.as_mut_ptr();
    if data.len() < IOC_NV_LEN || !p.addr().is_multiple_of(8) {
        return Err(Errno::EINVAL);
    }
    Ok(p.cast())
}

/// Takes the nvlist of an ioctl argument in.
pub fn unpack_nvlist(data: &mut [u8], _sleep: CanSleep<'_>) -> Result<NvList> {
    let nv = ioc_nv(data)?;
    let mut list = ptr::null_mut();
    // SAFETY: an aligned argument of the right size; may sleep.
    Errno::check(unsafe { ffi::nvmf_unpack_ioc_nvlist(nv, &mut list) })?;
    // SAFETY: a fresh list, or NULL.
    unsafe { NvList::from_raw(list) }.ok_or(Errno::EINVAL)
}

/// Gives an nvlist out in an ioctl argument.
pub fn pack_nvlist(list: NvRef<'_>, data: &mut [u8], _sleep: CanSleep<'_>) -> Result<()> {
    let nv = ioc_nv(data)?;
    // SAFETY: a live list and an aligned argument of the right size, which is
    // exclusively ours; may sleep.
    Errno::check(unsafe { ffi::nvmf_pack_ioc_nvlist(list.as_ptr(), nv) })
}
