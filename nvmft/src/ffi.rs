// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What CTL and the glue code call: see `shim/include/nvrs_ctl.h`.

use core::ffi::{c_char, c_int, c_void};

use sys::CanSleep;
use sys::ctl::{self, CText, Completed, DataMove, Sbuf};
use sys::errno::code_of;
use sys::ffi::{ctl_io, nvlist, sbuf};
use sys::nv::NvRef;

use crate::handoff;
use crate::module::{self, Match};
use crate::port::Port;
use crate::qpair::Qp;

/// The module is loaded.
#[unsafe(no_mangle)]
pub extern "C" fn nvmft_rs_load() -> c_int {
    // SAFETY: module events may sleep.
    code_of(module::load(unsafe { CanSleep::assert() }))
}

/// The module is to be unloaded.
#[unsafe(no_mangle)]
pub extern "C" fn nvmft_rs_unload() -> c_int {
    // SAFETY: module events may sleep.
    code_of(module::unload(unsafe { CanSleep::assert() }))
}

/// `CTL_PORT_REQ`, create.
///
/// # Safety
///
/// All pointers are valid; `err` has room for `errlen` bytes. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_port_create(
    args: *const nvlist,
    hostid: u64,
    number: *mut i32,
    err: *mut c_char,
    errlen: usize,
) -> bool {
    // SAFETY: the caller's promise.
    let (args, mut err) = unsafe { (NvRef::from_raw(args), CText::from_raw(err, errlen)) };
    let Some(args) = args else {
        return false;
    };
    // SAFETY: an ioctl may sleep.
    match module::create_port(args, hostid, &mut err, unsafe { CanSleep::assert() }) {
        Some(n) => {
            // SAFETY: the caller's promise.
            unsafe { number.write(n) };
            true
        }
        None => false,
    }
}

/// `CTL_PORT_REQ`, remove.
///
/// # Safety
///
/// All pointers are valid; `err` has room for `errlen` bytes. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_port_remove(
    args: *const nvlist,
    err: *mut c_char,
    errlen: usize,
) -> bool {
    // SAFETY: the caller's promise.
    let (args, mut err) = unsafe { (NvRef::from_raw(args), CText::from_raw(err, errlen)) };
    // SAFETY: an ioctl may sleep.
    args.is_some_and(|args| module::remove_port(args, &mut err, unsafe { CanSleep::assert() }))
}

/// `CTL_NVMF`, handoff.
///
/// # Safety
///
/// All pointers are valid; `err` has room for `errlen` bytes. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_handoff(
    args: *const nvlist,
    err: *mut c_char,
    errlen: usize,
) -> bool {
    // SAFETY: the caller's promise.
    let (args, mut err) = unsafe { (NvRef::from_raw(args), CText::from_raw(err, errlen)) };
    // SAFETY: an ioctl may sleep.
    args.is_some_and(|args| handoff::handoff(args, &mut err, unsafe { CanSleep::assert() }))
}

/// `CTL_NVMF`, list.
///
/// # Safety
///
/// `buf` has room for `len` bytes. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_list(buf: *mut c_char, len: u32) -> u32 {
    // SAFETY: the caller's promise.
    let buf = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), len as usize) };
    // SAFETY: an ioctl may sleep.
    module::list(buf, unsafe { CanSleep::assert() })
}

/// `CTL_NVMF`, terminate.
///
/// # Safety
///
/// `hostnqn` points to `len` bytes. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_terminate(
    all: bool,
    cntlid: c_int,
    hostnqn: *const c_char,
    len: usize,
) -> u32 {
    // SAFETY: the caller's promise.
    let hostnqn = unsafe { core::slice::from_raw_parts(hostnqn.cast::<u8>(), len) };
    let whom = if all {
        Match::All
    } else if cntlid != -1 {
        u16::try_from(cntlid).map_or(Match::None, Match::Cntlid)
    } else if hostnqn.first().is_some_and(|b| *b != 0) {
        Match::HostNqn(hostnqn)
    } else {
        Match::None
    };
    // SAFETY: an ioctl may sleep.
    module::terminate(&whom, unsafe { CanSleep::assert() })
}

/// CTL enables a port.
///
/// # Safety
///
/// `arg` is a port's callback argument. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_port_online(arg: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { ctl::port_owner::<Port>(arg) }.online();
}

/// CTL disables a port.
///
/// # Safety
///
/// `arg` is a port's callback argument. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_port_offline(arg: *mut c_void) {
    // SAFETY: the caller's promise; CTL holds no lock.
    unsafe { ctl::port_owner::<Port>(arg).offline(CanSleep::assert()) };
}

/// CTL lists its ports.
///
/// # Safety
///
/// `arg` is a port's callback argument, `sb` a live buffer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_port_info(arg: *mut c_void, sb: *mut sbuf) -> c_int {
    // SAFETY: the caller's promise.
    let (port, sb) = unsafe { (ctl::port_owner::<Port>(arg), Sbuf::from_raw(sb)) };
    // A buffer that is too small is noticed by CTL, which then asks for a larger one.
    if let Some(mut sb) = sb {
        let _ = port.describe(&mut sb);
    }
    0
}

/// A LUN becomes visible at a port.
///
/// # Safety
///
/// `arg` is a port's callback argument. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_lun_enable(arg: *mut c_void, lun: u32) -> c_int {
    // SAFETY: the caller's promise; CTL holds no lock.
    code_of(unsafe { ctl::port_owner::<Port>(arg).enable_lun(lun, CanSleep::assert()) })
}

/// A LUN is no longer visible at a port.
///
/// # Safety
///
/// `arg` is a port's callback argument. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_lun_disable(arg: *mut c_void, lun: u32) -> c_int {
    // SAFETY: the caller's promise; CTL holds no lock.
    code_of(unsafe { ctl::port_owner::<Port>(arg).disable_lun(lun, CanSleep::assert()) })
}

/// CTL wants data moved.
///
/// # Safety
///
/// `io` is a request of one of our ports, handed to us.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_datamove(io: *mut ctl_io) {
    // SAFETY: our ports' requests belong to queue pairs; CTL holds no lock.
    let (mv, sleep) = unsafe { (DataMove::<Qp>::from_raw(io), ctl::sleep_if_allowed()) };
    if let Some(mv) = mv {
        Qp::datamove(mv, sleep);
    }
}

/// CTL has completed a request.
///
/// # Safety
///
/// `io` is a request of one of our ports, handed to us. May sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmft_rs_done(io: *mut ctl_io) {
    // SAFETY: our ports' requests belong to queue pairs; completions come in threads that may sleep.
    let (done, sleep) = unsafe { (Completed::<Qp>::from_raw(io), CanSleep::assert()) };
    if let Some(done) = done {
        Qp::done(done, sleep);
    }
}
