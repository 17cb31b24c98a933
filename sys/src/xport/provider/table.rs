// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The table of functions that C calls a transport by.

use core::ffi::c_int;
use core::mem::ManuallyDrop;
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;

use super::{CapRef, IoRequest, QpairObj, Transport};
use crate::context::{CanSleep, Wait};
use crate::errno::{Errno, code_of};
use crate::ffi;
use crate::mbuf::Mbuf;
use crate::mem::KArc;
use crate::memdesc::MemDesc;
use crate::nv::NvRef;

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
