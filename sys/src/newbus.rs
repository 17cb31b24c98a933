// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! new-bus: [`Device`], adding and deleting devices; and what goes with a device: sysctl nodes of its queues,
//! shutdown events.

use core::ffi::{CStr, c_void};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU64};

use crate::context::CanSleep;
use crate::errno::{Errno, Result};
use crate::ffi;
use crate::mem::KArc;

/// A device of our driver; valid until its detach has returned.
#[derive(Clone, Copy)]
pub struct Device(NonNull<ffi::nvrs_dev>);

// SAFETY: new-bus serialises its own state.
unsafe impl Sync for Device {}
// SAFETY: as above.
unsafe impl Send for Device {}

impl Device {
    /// A device that new-bus passed to us.
    ///
    /// # Safety
    ///
    /// `raw` is NULL or a device of our driver. Nobody uses the result after
    /// the device's detach method returned success.
    pub unsafe fn from_raw(raw: *mut ffi::nvrs_dev) -> Option<Self> {
        NonNull::new(raw).map(Device)
    }

    pub(crate) fn as_ptr(self) -> *mut ffi::nvrs_dev {
        self.0.as_ptr()
    }

    /// The unit number.
    pub fn unit(self) -> u32 {
        // SAFETY: a live device.
        unsafe { ffi::nvrs_dev_unit(self.0.as_ptr()) }
    }

    /// The pointer that [`add`] was given.
    pub fn ivars(self) -> *const c_void {
        // SAFETY: a live device.
        unsafe { ffi::nvrs_dev_ivars(self.0.as_ptr()) }
    }

    /// Sets the description.
    pub fn set_description(self, text: &[u8], _sleep: CanSleep<'_>) {
        // SAFETY: a live device; the bytes are copied.
        unsafe { ffi::nvrs_dev_set_desc(self.0.as_ptr(), text.as_ptr().cast(), text.len()) }
    }

    /// Creates the node above the queues' sysctl nodes.
    pub fn init_sysctl(self, _sleep: CanSleep<'_>) {
        // SAFETY: a live device that is attaching.
        unsafe { ffi::nvrs_dev_sysctl_init(self.0.as_ptr()) }
    }
}

/// Adds a device that probes and attaches with `ivars`.
pub fn add<T>(ivars: &T, _sleep: CanSleep<'_>) -> Result<()> {
    // SAFETY: the pointer is only used while this call lasts.
    Errno::check(unsafe { ffi::nvrs_dev_add((&raw const *ivars).cast_mut().cast()) })
}

unsafe extern "C" fn matches<T, F: FnMut(&T) -> bool>(
    arg: *mut c_void,
    softc: *const c_void,
) -> bool {
    // SAFETY: delete() passes its closure; the driver keeps a reference to its
    // object in the softc while the device is attached.
    unsafe { (*arg.cast::<F>())(&*softc.cast::<T>()) }
}

/// Deletes the devices of our driver whose object `f` accepts. Returns how many are gone, also on failure.
///
/// # Safety
///
/// `T` is the type of the objects that the driver keeps in its softcs.
pub unsafe fn delete<T, F: FnMut(&T) -> bool>(mut f: F, _sleep: CanSleep<'_>) -> (u32, Result<()>) {
    let mut count = 0;
    // SAFETY: the closure outlives the call; the context may sleep.
    let error = unsafe {
        ffi::nvrs_dev_delete(
            Some(matches::<T, F>),
            (&raw mut f).cast::<c_void>(),
            &mut count,
        )
    };
    (count, Errno::check(error))
}

/// Tells devd that the controller `name` wants to be reconnected. Any context.
pub fn notify_reconnect(name: &CStr) {
    // SAFETY: a valid string.
    unsafe { ffi::nvrs_dev_notify_reconnect(name.as_ptr()) }
}

/// Whether requests fail, instead of being held, while there is no association.
pub fn fail_on_disconnection() -> bool {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_fail_on_disconnection() }
}

/// The largest transfer of the system.
pub fn maxphys() -> u32 {
    // SAFETY: no preconditions.
    unsafe { ffi::nvrs_maxphys() }
}

/// What sysctl(8) shows of a queue.
#[repr(C)]
pub struct QueueCounters {
    /// Command slots plus one.
    pub num_entries: u32,
    /// Submission queue head.
    pub sq_head: AtomicU16,
    /// Submission queue tail.
    pub sq_tail: AtomicU16,
    /// Commands submitted.
    pub num_cmds: AtomicU64,
}

static_assertions::const_assert_eq!(size_of::<QueueCounters>(), size_of::<ffi::nvrs_qcounters>());

/// The sysctl nodes of a queue. They must be freed: a handle that is dropped leaks them.
pub struct QueueSysctl {
    raw: NonNull<ffi::nvrs_qsysctl>,
    counters: KArc<QueueCounters>,
}

// SAFETY: sysctl serialises its own state.
unsafe impl Sync for QueueSysctl {}
// SAFETY: as above.
unsafe impl Send for QueueSysctl {}

impl QueueSysctl {
    /// Creates the nodes of an I/O queue, or with `None` of the admin queue.
    pub fn add(
        dev: Device,
        index: Option<u32>,
        counters: KArc<QueueCounters>,
        _sleep: CanSleep<'_>,
    ) -> Option<Self> {
        let index = index.map_or(-1, |i| i32::try_from(i).unwrap_or(i32::MAX));
        let p = (&raw const *counters).cast_mut().cast();
        // SAFETY: a live device; the counters live until free(), and sysctl
        // only reads them.
        let raw = unsafe { ffi::nvrs_qsysctl_add(dev.as_ptr(), index, p) };
        NonNull::new(raw).map(|raw| QueueSysctl { raw, counters })
    }

    /// Removes the nodes and waits for their readers.
    pub fn free(self, _sleep: CanSleep<'_>) {
        // SAFETY: owned and not used afterwards; may sleep.
        unsafe { ffi::nvrs_qsysctl_free(self.raw.as_ptr()) };
        drop(self.counters);
    }
}

/// An object that hears of a system shutdown.
pub trait ShutdownHandler: Sized + Send + Sync + 'static {
    /// Before file systems are synced.
    fn pre_sync(this: &KArc<Self>, sleep: CanSleep<'_>);
    /// After that.
    fn post_sync(this: &KArc<Self>, sleep: CanSleep<'_>);
}

/// A registration for shutdown events. It must be undone: a handle that is dropped leaks it.
pub struct ShutdownEvents<T: ShutdownHandler> {
    raw: NonNull<ffi::nvrs_shutdown>,
    owner: *const T,
}

// SAFETY: the kernel serialises its lists of handlers.
unsafe impl<T: ShutdownHandler> Sync for ShutdownEvents<T> {}
// SAFETY: as above.
unsafe impl<T: ShutdownHandler> Send for ShutdownEvents<T> {}

unsafe extern "C" fn on_pre_sync<T: ShutdownHandler>(arg: *mut c_void) {
    // SAFETY: the reference that register() leaked; deregistering waits for us.
    let owner = unsafe { KArc::borrow_raw(arg.cast::<T>().cast_const()) };
    // SAFETY: the rebooting thread holds no lock.
    T::pre_sync(&owner, unsafe { CanSleep::assert() });
}

unsafe extern "C" fn on_post_sync<T: ShutdownHandler>(arg: *mut c_void) {
    // SAFETY: as in on_pre_sync().
    let owner = unsafe { KArc::borrow_raw(arg.cast::<T>().cast_const()) };
    // SAFETY: the rebooting thread holds no lock.
    T::post_sync(&owner, unsafe { CanSleep::assert() });
}

impl<T: ShutdownHandler> ShutdownEvents<T> {
    /// Registers `owner`.
    pub fn register(owner: KArc<T>, _sleep: CanSleep<'_>) -> Option<Self> {
        let owner = KArc::into_raw(owner);
        // SAFETY: the reference lives until deregister(); may sleep.
        let raw = unsafe {
            ffi::nvrs_shutdown_register(
                Some(on_pre_sync::<T>),
                Some(on_post_sync::<T>),
                owner.cast_mut().cast(),
            )
        };
        match NonNull::new(raw) {
            Some(raw) => Some(ShutdownEvents { raw, owner }),
            None => {
                // SAFETY: nobody kept the reference.
                drop(unsafe { KArc::from_raw(owner) });
                None
            }
        }
    }

    /// Undoes the registration and waits for running handlers. Not from one.
    pub fn deregister(self, _sleep: CanSleep<'_>) {
        // SAFETY: owned and not used afterwards; handlers are over then.
        unsafe {
            ffi::nvrs_shutdown_deregister(self.raw.as_ptr());
            drop(KArc::from_raw(self.owner));
        }
    }
}
