// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The C functions of `nvmf_transport.ko`; contracts are in
//! `shim/include/nvrs_xport.h` and its users.
//!
//! No function here locks anything but the registry, and that not while a
//! transport is called.

use core::ffi::{c_int, c_void};
use core::ptr;
use core::sync::atomic::{AtomicPtr, Ordering};

use sys::ffi::{
    NVRS_M_WAITOK, module, nvlist, nvmf_capsule, nvmf_io_request, nvmf_qpair, nvmf_transport_ops,
    nvrs_capsule_receive_t, nvrs_io_complete_t, nvrs_memdesc, nvrs_qpair_error_t,
};
use sys::mbuf::Mbuf;
use sys::mem::{KArc, KBuf};
use sys::nv::{NvList, NvRef};
use sys::sync::Mutex;
use sys::{CanSleep, Errno, Global, Result, kprint};

use crate::params::QpairParams;
use crate::registry::{Registry, RegistryError, Slot};

/// The events of module(9).
const MOD_LOAD: c_int = 0;
const MOD_UNLOAD: c_int = 1;
const MOD_QUIESCE: c_int = 3;

/// Lists larger than this are refused before anything is allocated for them.
const NVLIST_MAX: usize = 1 << 20;

/// A transport's table. It lives as long as its module, which unregisters it.
#[derive(Clone, Copy, PartialEq)]
struct Ops(*const nvmf_transport_ops);

// SAFETY: the table is constant while it is registered.
unsafe impl Send for Ops {}

struct Layer {
    registry: Mutex<Registry<Ops>>,
}

static LAYER: Global<Layer> = Global::new();

/// MOD_LOAD of this module.
#[unsafe(no_mangle)]
pub extern "C" fn nvrs_transport_load() -> c_int {
    // SAFETY: module handlers run in a thread that may sleep.
    let sleep = unsafe { CanSleep::assert() };
    let made = Mutex::new(c"nvmf transports", Registry::new(), sleep.into())
        .and_then(|registry| KArc::new(Layer { registry }, sleep.into()));
    match made {
        Ok(layer) => {
            LAYER.set(layer);
            0
        }
        Err(e) => e.code(),
    }
}

/// MOD_QUIESCE and MOD_UNLOAD of this module: EBUSY while transports are
/// registered. Also right after a load that failed.
#[unsafe(no_mangle)]
pub extern "C" fn nvrs_transport_unload(really: bool) -> c_int {
    let Some(layer) = LAYER.get() else { return 0 };
    if !layer.registry.lock().is_empty() {
        return Errno::EBUSY.code();
    }
    if really {
        LAYER.take();
    }
    0
}

fn registry_code(r: core::result::Result<(), RegistryError>) -> c_int {
    match r {
        Ok(()) => 0,
        Err(RegistryError::Unsupported) => Errno::EINVAL.code(),
        Err(RegistryError::Full) => Errno::ENOSPC.code(),
        Err(RegistryError::Busy) => Errno::EBUSY.code(),
        Err(RegistryError::Unknown) => Errno::ENOENT.code(),
    }
}

/// The module handler that transports name in their moduledata, with their
/// table as its argument.
///
/// # Safety
///
/// `arg` is a `struct nvmf_transport_ops` that lives until MOD_UNLOAD succeeded.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_transport_module_handler(
    _mod: *mut module,
    what: c_int,
    arg: *mut c_void,
) -> c_int {
    let ops = arg.cast::<nvmf_transport_ops>().cast_const();
    let Some(layer) = LAYER.get() else {
        return Errno::ENXIO.code();
    };
    match what {
        MOD_LOAD => {
            // SAFETY: the caller's promise.
            let (trtype, priority) = unsafe { ((*ops).trtype, (*ops).priority) };
            let r = layer.registry.lock().register(trtype, priority, Ops(ops));
            if r == Err(RegistryError::Unsupported) {
                kprint!("NVMF: Unsupported transport {trtype}");
            }
            registry_code(r.map(|_| ()))
        }
        MOD_QUIESCE => match layer.registry.lock().active(Ops(ops)) {
            Some(n) if n > 0 => Errno::EBUSY.code(),
            _ => 0,
        },
        // A load that failed is unloaded too, without having been registered.
        MOD_UNLOAD => match layer.registry.lock().unregister(Ops(ops)) {
            Err(RegistryError::Unknown) => 0,
            r => registry_code(r),
        },
        _ => Errno::EOPNOTSUPP.code(),
    }
}

/// A callback as a pointer.
fn address<F: Copy>(f: Option<F>) -> *mut c_void {
    const { assert!(size_of::<Option<F>>() == size_of::<*mut c_void>()) };
    // SAFETY: of the same size: F is a function pointer, whose null is None.
    unsafe { core::mem::transmute_copy(&f) }
}

/// Stores what a transport's thread may be waiting for.
///
/// # Safety
///
/// `at` is an aligned field of a live object that threads only load.
unsafe fn publish(at: *mut *mut c_void, value: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe { AtomicPtr::from_ptr(at) }.store(value, Ordering::Release);
}

/// Asks the transports of a type, the one of highest priority first.
///
/// # Safety
///
/// The caller may sleep; `params` is a live list; the callbacks accept their
/// arguments until `nvmf_free_qpair` returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_allocate_qpair(
    trtype: u32,
    controller: bool,
    params: *const nvlist,
    error_cb: nvrs_qpair_error_t,
    error_arg: *mut c_void,
    receive_cb: nvrs_capsule_receive_t,
    receive_arg: *mut c_void,
) -> *mut nvmf_qpair {
    // SAFETY: the caller's promise.
    let list = unsafe { NvRef::from_raw(params) };
    let (Some(layer), Some(admin)) = (LAYER.get(), list.and_then(|l| l.get_bool(c"admin"))) else {
        return ptr::null_mut();
    };
    let mut previous = None;
    loop {
        let next = layer.registry.lock().retain_next(trtype, previous);
        if let Some(p) = previous {
            layer.registry.lock().release(p);
        }
        let Some((slot, ops)) = next else {
            return ptr::null_mut();
        };
        // SAFETY: the table is registered and counted, so it stays.
        let qp = unsafe {
            match (*ops.0).allocate_qpair {
                Some(f) => f(controller, params),
                None => ptr::null_mut(),
            }
        };
        if !qp.is_null() {
            // SAFETY: a fresh queue pair whose transport uses the callbacks
            // only once all of them are there: arguments go first.
            unsafe {
                (*qp).nq_transport = ptr::without_provenance_mut(slot.number());
                (*qp).nq_ops = ops.0.cast_mut();
                (*qp).nq_controller = controller;
                (*qp).nq_admin = admin;
                publish(&raw mut (*qp).nq_error_arg, error_arg);
                publish(&raw mut (*qp).nq_receive_arg, receive_arg);
                publish((&raw mut (*qp).nq_error).cast(), address(error_cb));
                publish((&raw mut (*qp).nq_receive).cast(), address(receive_cb));
            }
            return qp;
        }
        previous = Some(slot);
    }
}

/// Disconnects a queue pair.
///
/// # Safety
///
/// `qp` is live; the caller may sleep and is none of its callbacks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_free_qpair(qp: *mut nvmf_qpair) {
    // SAFETY: the caller's promise; nothing is read after the transport is told.
    let slot = unsafe {
        let slot = Slot::from_number((*qp).nq_transport.addr());
        if let Some(f) = (*(*qp).nq_ops).free_qpair {
            f(qp);
        }
        slot
    };
    if let (Some(layer), Some(slot)) = (LAYER.get(), slot) {
        layer.registry.lock().release(slot);
    }
}

/// # Safety
///
/// `qp` is live and `qe` has `len` (16 or 64) bytes.
unsafe fn allocate_capsule(
    qp: *mut nvmf_qpair,
    qe: *const c_void,
    len: usize,
    how: c_int,
) -> *mut nvmf_capsule {
    // SAFETY: the caller's promise; a fresh capsule is ours alone.
    unsafe {
        let Some(f) = (*(*qp).nq_ops).allocate_capsule else {
            return ptr::null_mut();
        };
        let nc = f(qp, how);
        if !nc.is_null() {
            (*nc).nc_qpair = qp;
            (*nc).nc_qe_len = len as c_int;
            ptr::copy_nonoverlapping(qe.cast::<u8>(), (&raw mut (*nc).nc_qe).cast(), len);
        }
        nc
    }
}

/// A command capsule.
///
/// # Safety
///
/// `qp` is live and `sqe` has 64 bytes; with M_WAITOK the caller may sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_allocate_command(
    qp: *mut nvmf_qpair,
    sqe: *const c_void,
    how: c_int,
) -> *mut nvmf_capsule {
    // SAFETY: the caller's promise; a fresh capsule is ours alone.
    unsafe {
        let nc = allocate_capsule(qp, sqe, 64, how);
        if !nc.is_null() {
            // Fabrics commands use SGLs: PSDT is 01b.
            let [_, flags, ..] = &mut (*nc).nc_qe;
            *flags = (*flags & 0x3f) | 0x40;
        }
        nc
    }
}

/// A response capsule.
///
/// # Safety
///
/// `qp` is live and `cqe` has 16 bytes; with M_WAITOK the caller may sleep.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_allocate_response(
    qp: *mut nvmf_qpair,
    cqe: *const c_void,
    how: c_int,
) -> *mut nvmf_capsule {
    // SAFETY: the caller's promise; a fresh capsule is ours alone.
    unsafe {
        let nc = allocate_capsule(qp, cqe, 16, how);
        if !nc.is_null() {
            (*nc).nc_sqhd_valid = true;
        }
        nc
    }
}

/// # Safety
///
/// `nc` is a live capsule.
unsafe fn ops_of(nc: *const nvmf_capsule) -> &'static nvmf_transport_ops {
    // SAFETY: a capsule keeps its queue pair, and that its transport, which
    // outlives what is made of the result: one call.
    unsafe { &*(*(*nc).nc_qpair).nq_ops }
}

/// Gives up a reference to a capsule.
///
/// # Safety
///
/// `nc` is a live capsule and the reference is the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_free_capsule(nc: *mut nvmf_capsule) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(f) = ops_of(nc).free_capsule {
            f(nc);
        }
    }
}

/// Attaches data to a command, once.
///
/// # Safety
///
/// `nc` is a live capsule that is not yet transmitted; the memory that `mem`
/// describes stays until the callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_capsule_append_data(
    nc: *mut nvmf_capsule,
    mem: *mut nvrs_memdesc,
    len: usize,
    send: bool,
    complete_cb: nvrs_io_complete_t,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        if (*nc).nc_data.io_len != 0 {
            return Errno::EBUSY.code();
        }
        (*nc).nc_send_data = send;
        (*nc).nc_data = nvmf_io_request {
            io_mem: *mem,
            io_len: len,
            io_complete: complete_cb,
            io_complete_arg: cb_arg,
        };
    }
    0
}

/// Queues a capsule for transmission.
///
/// # Safety
///
/// `nc` is a live capsule of a live queue pair.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_transmit_capsule(nc: *mut nvmf_capsule) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match ops_of(nc).transmit_capsule {
            Some(f) => f(nc),
            None => Errno::EOPNOTSUPP.code(),
        }
    }
}

/// Ends the use of data that was attached but will not be transferred.
///
/// # Safety
///
/// `nc` is a live capsule whose data no transport uses.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_abort_capsule_data(nc: *mut nvmf_capsule, error: c_int) {
    // SAFETY: the caller's promise; the callback runs once, since the request
    // is forgotten first.
    unsafe {
        let io = (*nc).nc_data;
        if io.io_len != 0 {
            (*nc).nc_data.io_len = 0;
            if let Some(f) = io.io_complete {
                f(io.io_complete_arg, 0, error);
            }
        }
    }
}

/// The entry of a command capsule.
///
/// # Safety
///
/// `nc` is a live capsule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_capsule_sqe(nc: *mut nvmf_capsule) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { (&raw mut (*nc).nc_qe).cast() }
}

/// The entry of a response capsule.
///
/// # Safety
///
/// `nc` is a live capsule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_capsule_cqe(nc: *mut nvmf_capsule) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { (&raw mut (*nc).nc_qe).cast() }
}

/// Whether a response says where the controller's SQ head is.
///
/// # Safety
///
/// `nc` is a live capsule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_sqhd_valid(nc: *mut nvmf_capsule) -> bool {
    // SAFETY: the caller's promise.
    unsafe { (*nc).nc_sqhd_valid }
}

/// Checks a received command: a generic status code, zero if it is good.
///
/// # Safety
///
/// `nc` is a live command capsule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_validate_command_capsule(nc: *mut nvmf_capsule) -> u8 {
    // SAFETY: the caller's promise.
    unsafe {
        let [_, flags, ..] = (*nc).nc_qe;
        if flags >> 6 != 1 {
            return 0x02;
        }
        match ops_of(nc).validate_command_capsule {
            Some(f) => f(nc),
            None => 0,
        }
    }
}

/// The data length that a received command's SGL describes.
///
/// # Safety
///
/// `nc` is a live command capsule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_capsule_data_len(nc: *const nvmf_capsule) -> usize {
    // SAFETY: the caller's promise.
    unsafe {
        match ops_of(nc).capsule_data_len {
            Some(f) => f(nc),
            None => 0,
        }
    }
}

/// Whether a capsule is a command that a controller received, and `len` bytes
/// at `offset` lie inside its data.
///
/// # Safety
///
/// `nc` is a live capsule.
unsafe fn check_range(nc: *mut nvmf_capsule, offset: u32, len: usize) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        if (*nc).nc_qe_len != 64 || !(*(*nc).nc_qpair).nq_controller {
            return Err(Errno::EINVAL);
        }
        match (offset as usize).checked_add(len) {
            Some(end) if end <= nvmf_capsule_data_len(nc) => Ok(()),
            _ => Err(Errno::EFBIG),
        }
    }
}

/// Moves data from the host; the callback runs once if zero is returned.
///
/// # Safety
///
/// `nc` is a live command capsule of a live queue pair; the memory that `mem`
/// describes stays until the callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_receive_controller_data(
    nc: *mut nvmf_capsule,
    data_offset: u32,
    mem: *mut nvrs_memdesc,
    len: usize,
    complete_cb: nvrs_io_complete_t,
    cb_arg: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        if let Err(e) = check_range(nc, data_offset, len) {
            return e.code();
        }
        let mut io = nvmf_io_request {
            io_mem: *mem,
            io_len: len,
            io_complete: complete_cb,
            io_complete_arg: cb_arg,
        };
        match ops_of(nc).receive_controller_data {
            Some(f) => f(nc, data_offset, &mut io),
            None => Errno::EOPNOTSUPP.code(),
        }
    }
}

/// Moves data to the host; the chain is consumed in every case.
///
/// # Safety
///
/// `nc` is a live command capsule of a live queue pair; `m` is a chain of
/// `len` bytes that the caller gives away.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_send_controller_data(
    nc: *mut nvmf_capsule,
    data_offset: u32,
    m: *mut sys::ffi::mbuf,
    len: usize,
) -> u32 {
    // SAFETY: the caller's promise.
    unsafe {
        if check_range(nc, data_offset, len).is_err() {
            drop(Mbuf::from_raw(m));
            return 0x02;
        }
        match ops_of(nc).send_controller_data {
            Some(f) => f(nc, data_offset, m, len),
            None => 0x02,
        }
    }
}

/// `struct nvmf_ioc_nv`: an nvlist on its way between userland and kernel.
#[repr(C)]
pub struct IocNv {
    data: *mut c_void,
    len: usize,
    size: usize,
}

fn pack_out(list: NvRef<'_>, nv: &mut IocNv) -> Result<()> {
    list.error()?;
    // SAFETY: a live list without error.
    let size = unsafe { sys::ffi::nvrs_nv_size(list.as_ptr()) };
    if nv.size == 0 {
        nv.len = size;
        return Ok(());
    }
    let packed = list.pack()?;
    nv.len = packed.len();
    if nv.len > nv.size {
        return Err(Errno::EFBIG);
    }
    // SAFETY: user memory, in the ioctl's thread.
    Errno::check(unsafe { sys::ffi::nvrs_copyout(packed.as_ptr().cast(), nv.data, packed.len()) })
}

/// Packs a list for userland, or says how large it is.
///
/// # Safety
///
/// In an ioctl: `nvl` is a live list, `nv` kernel memory that names user memory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_pack_ioc_nvlist(nvl: *const nvlist, nv: *mut IocNv) -> c_int {
    // SAFETY: the caller's promise.
    let (list, nv) = unsafe { (NvRef::from_raw(nvl), &mut *nv) };
    match list {
        Some(list) => sys::errno::code_of(pack_out(list, nv)),
        None => Errno::ENOMEM.code(),
    }
}

fn unpack_in(nv: &IocNv, sleep: CanSleep<'_>) -> Result<NvList> {
    if nv.size == 0 || nv.size > NVLIST_MAX {
        return Err(Errno::EINVAL);
    }
    let mut buf = KBuf::zeroed(nv.size, sleep.into())?;
    // SAFETY: user memory, in the ioctl's thread; the buffer has size bytes.
    Errno::check(unsafe { sys::ffi::nvrs_copyin(nv.data, buf.as_mut_ptr().cast(), buf.len()) })?;
    NvList::unpack(&buf)
}

/// Copies in and unpacks a list of at most 1 MiB.
///
/// # Safety
///
/// In an ioctl: `nv` is kernel memory that names user memory, `nvlp` takes the
/// list, which is then the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_unpack_ioc_nvlist(nv: *const IocNv, nvlp: *mut *mut nvlist) -> c_int {
    // SAFETY: the caller's promise; ioctls may sleep.
    let (nv, sleep) = unsafe { (&*nv, CanSleep::assert()) };
    match unpack_in(nv, sleep) {
        Ok(list) => {
            // SAFETY: the caller's promise.
            unsafe { *nvlp = list.into_raw() };
            0
        }
        Err(e) => e.code(),
    }
}

/// Whether the transport-independent parameters of a queue pair are valid.
///
/// # Safety
///
/// `nvl` is a live list.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmf_validate_qpair_nvlist(nvl: *const nvlist, controller: bool) -> bool {
    // SAFETY: the caller's promise.
    let Some(l) = (unsafe { NvRef::from_raw(nvl) }) else {
        return false;
    };
    QpairParams {
        admin: l.get_bool(c"admin"),
        sq_flow_control: l.get_bool(c"sq_flow_control"),
        qsize: l.get_number(c"qsize"),
        sqhd: l.get_number(c"sqhd"),
        sqtail: l.get_number(c"sqtail"),
    }
    .are_valid(controller)
}

const _: () = assert!(NVRS_M_WAITOK == 2);
