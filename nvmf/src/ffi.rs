// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What C calls, and what takes a promise about C: the only file of this module with `unsafe`.

use crate::assoc::AttachRequest;
use crate::controller::Controller;
use crate::detach::detach;
use crate::host::Host;
use crate::proto::handoff::{nqn_text, subnqn};
use core::ffi::{c_int, c_void};
use sys::errno::code_of;
use sys::ffi::nvrs_dev;
use sys::mem::KArc;
use sys::newbus::{self, Device};
use sys::{CanSleep, Errno, Result};

/// The description's NQN is cut here.
const DESCRIPTION: &[u8] = b"Fabrics: ";

/// Deletes the devices that `accept` likes; returns how many are gone, also on failure.
pub fn delete_device(
    accept: impl FnMut(&Controller) -> bool,
    sleep: CanSleep<'_>,
) -> (u32, Result<()>) {
    // SAFETY: nvrs_nvmf_attach() puts controllers, and nothing else, into softcs.
    unsafe { newbus::delete(accept, sleep) }
}

/// MOD_LOAD. A failure is remembered by there being no `/dev/nvmf`.
#[unsafe(no_mangle)]
pub extern "C" fn nvrs_nvmf_load() -> c_int {
    // SAFETY: a module event handler may sleep.
    code_of(Host::load(unsafe { CanSleep::assert() }))
}

/// MOD_UNLOAD, after all devices are detached; also after a failed load.
#[unsafe(no_mangle)]
pub extern "C" fn nvrs_nvmf_unload() {
    // SAFETY: as above.
    Host::unload(unsafe { CanSleep::assert() });
}

/// The request that the handoff gave to the device.
///
/// # Safety
///
/// The ivars are not NULL and came from [`newbus::add`] in `attach()`, which waits for probe and attach.
unsafe fn request<'a>(dev: Device) -> Option<&'a AttachRequest> {
    // SAFETY: the caller's promise.
    unsafe { dev.ivars().cast::<AttachRequest>().as_ref() }
}

/// Describes a device.
///
/// # Safety
///
/// Called by the driver's probe method, with ivars.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrs_nvmf_probe(dev: *mut nvrs_dev) -> c_int {
    // SAFETY: new-bus passes a device of ours.
    let Some(dev) = (unsafe { Device::from_raw(dev) }) else {
        return Errno::ENXIO.code();
    };
    // SAFETY: the caller's promise.
    let Some(request) = (unsafe { request(dev) }) else {
        return Errno::ENXIO.code();
    };
    let mut text = [0; DESCRIPTION.len() + 256];
    let nqn = subnqn(&request.identity.cdata).map_or(&[][..], nqn_text);
    let mut len = 0;
    for (to, from) in text.iter_mut().zip(DESCRIPTION.iter().chain(nqn)) {
        *to = *from;
        len += 1;
    }
    // SAFETY: a probe method may sleep.
    dev.set_description(text.get(..len).unwrap_or(DESCRIPTION), unsafe {
        CanSleep::assert()
    });
    0
}

/// Attaches a device: the controller object goes into the softc.
///
/// # Safety
///
/// Called by the driver's attach method, with ivars; `softc` points to the softc's pointer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrs_nvmf_attach(dev: *mut nvrs_dev, softc: *mut *mut c_void) -> c_int {
    // SAFETY: new-bus passes a device of ours.
    let Some(dev) = (unsafe { Device::from_raw(dev) }) else {
        return Errno::ENXIO.code();
    };
    // SAFETY: the caller's promise.
    let Some(request) = (unsafe { request(dev) }) else {
        return Errno::ENXIO.code();
    };
    // SAFETY: an attach method may sleep.
    let sleep = unsafe { CanSleep::assert() };
    dev.init_sysctl(sleep);
    let ctrl = match Controller::new(dev, request.host.clone(), request.identity.clone(), sleep) {
        Ok(ctrl) => ctrl,
        Err(e) => return e.code(),
    };
    if request.made.set(ctrl.clone()).is_err() {
        return Errno::EBUSY.code();
    }
    // SAFETY: the caller's promise; the reference lives until the detach.
    unsafe { *softc = KArc::into_raw(ctrl).cast_mut().cast() };
    0
}

/// Detaches a device; the softc's pointer is dead afterwards.
///
/// # Safety
///
/// Called by the driver's detach method with what nvrs_nvmf_attach() stored.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvrs_nvmf_detach(softc: *mut c_void) -> c_int {
    let raw = softc.cast::<Controller>().cast_const();
    if raw.is_null() {
        return 0;
    }
    // SAFETY: the reference of nvrs_nvmf_attach(), which is still the softc's.
    let ctrl = unsafe { KArc::borrow_raw(raw) };
    // SAFETY: a detach method may sleep.
    match detach(&ctrl, unsafe { CanSleep::assert() }) {
        Ok(()) => {
            // SAFETY: the softc's reference, taken back once.
            drop(unsafe { KArc::from_raw(raw) });
            0
        }
        Err(e) => e.code(),
    }
}
