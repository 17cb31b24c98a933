// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! new-bus, shutdown events and tunables: what a host's driver needs of the
//! kernel besides CAM.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sys::Errno;
use sys::ffi::{nvrs_dev, nvrs_qcounters, nvrs_qsysctl, nvrs_shutdown};

use crate::context::may_sleep;
use crate::object::{Kind, give, object, take};
use crate::os::{Mutex, MutexGuard};

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone, Copy, PartialEq)]
struct Ptr(*mut c_void);

// SAFETY: it is passed along, not dereferenced.
unsafe impl Send for Ptr {}

const NOTHING: Ptr = Ptr(ptr::null_mut());

struct Dev {
    unit: u32,
    name: CString,
    ivars: Mutex<Ptr>,
    softc: Mutex<Ptr>,
    description: Mutex<String>,
    /// Attaching or detaching.
    busy: AtomicBool,
}

#[derive(Clone, Copy, PartialEq)]
struct DevPtr(*mut nvrs_dev);

// SAFETY: devices synchronise themselves.
unsafe impl Send for DevPtr {}

static DEVICES: Mutex<Vec<DevPtr>> = Mutex::new(Vec::new());
static RECONNECTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static FAIL_IO: AtomicBool = AtomicBool::new(false);

/// # Safety
///
/// `d` is a device.
unsafe fn dev<'a>(d: *mut nvrs_dev, what: &str) -> &'a Dev {
    // SAFETY: the caller's promise.
    unsafe { object(d, what) }
}

/// Names and descriptions of the devices.
pub fn devices() -> Vec<(String, String)> {
    // What is on the list is alive while it is locked.
    let all = lock(&DEVICES);
    let one = |d: &DevPtr| {
        // SAFETY: on the list, so alive; deleting takes it off first.
        let d = unsafe { dev(d.0, "device") };
        let text = lock(&d.description).clone();
        (d.name.to_string_lossy().into_owned(), text)
    };
    all.iter().map(one).collect()
}

/// Whether there is a device, for those who must not wait.
pub fn has_devices() -> bool {
    DEVICES.try_lock().is_ok_and(|all| !all.is_empty())
}

/// Whether a device waits for the system's end, which is the last that it
/// does when it attaches; for those who must not wait.
pub fn awaits_shutdown() -> bool {
    SHUTDOWNS.try_lock().is_ok_and(|all| !all.is_empty())
}

/// What devd heard: names of controllers that want to be reconnected.
pub fn take_reconnects() -> Vec<String> {
    std::mem::take(&mut *lock(&RECONNECTS))
}

/// `kern.nvmf.fail_on_disconnection`.
pub fn set_fail_on_disconnection(fail: bool) {
    FAIL_IO.store(fail, Ordering::Release);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_unit(d: *mut nvrs_dev) -> u32 {
    // SAFETY: a device of the caller's.
    unsafe { dev(d, "device_get_unit") }.unit
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_nameunit(d: *mut nvrs_dev) -> *const c_char {
    // SAFETY: a device of the caller's.
    unsafe { dev(d, "device_get_nameunit") }.name.as_ptr()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_ivars(d: *mut nvrs_dev) -> *mut c_void {
    // SAFETY: a device of the caller's.
    lock(&unsafe { dev(d, "device_get_ivars") }.ivars).0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_set_desc(d: *mut nvrs_dev, s: *const c_char, len: usize) {
    may_sleep("device_set_desc");
    // SAFETY: a device and len bytes of the caller's.
    unsafe {
        let text = std::slice::from_raw_parts(s.cast::<u8>(), len);
        *lock(&dev(d, "device_set_desc").description) = String::from_utf8_lossy(text).into();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_add(ivars: *mut c_void) -> c_int {
    may_sleep("device_add_child");
    let d = {
        let mut all = lock(&DEVICES);
        let taken = |u| {
            // SAFETY: on the list, so alive.
            all.iter().any(|d| unsafe { dev(d.0, "device") }.unit == u)
        };
        let unit = (0..).find(|u| !taken(*u)).unwrap_or(u32::MAX);
        let d = DevPtr(give(
            Kind::HostObject,
            Dev {
                unit,
                name: CString::new(format!("nvme{unit}")).unwrap_or_default(),
                ivars: Mutex::new(Ptr(ivars)),
                softc: Mutex::new(NOTHING),
                description: Mutex::default(),
                busy: AtomicBool::new(true),
            },
        ));
        all.push(d);
        d
    };
    let mut softc = ptr::null_mut();
    // SAFETY: a device of ours, with ivars.
    let error = unsafe {
        match nvmf::ffi::nvrs_nvmf_probe(d.0) {
            e if e > 0 => e,
            _ => nvmf::ffi::nvrs_nvmf_attach(d.0, &mut softc),
        }
    };
    // SAFETY: still on the list.
    let device = unsafe { dev(d.0, "device") };
    *lock(&device.ivars) = NOTHING;
    *lock(&device.softc) = Ptr(softc);
    device.busy.store(false, Ordering::Release);
    if error != 0 {
        delete(d);
    }
    error
}

fn delete(d: DevPtr) {
    lock(&DEVICES).retain(|o| *o != d);
    // SAFETY: off the list; nobody else looks for it.
    unsafe { take::<Dev, _>(Kind::HostObject, d.0, "device_delete_child") }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_delete(
    accept: Option<unsafe extern "C" fn(*mut c_void, *const c_void) -> bool>,
    arg: *mut c_void,
    count: *mut u32,
) -> c_int {
    may_sleep("device_delete_child");
    let mut gone = 0;
    let mut error = 0;
    let all = lock(&DEVICES).clone();
    for d in all {
        let softc = {
            // The topology lock: nobody deletes it while we look.
            let list = lock(&DEVICES);
            if !list.contains(&d) {
                continue;
            }
            // SAFETY: on the list, so alive.
            let device = unsafe { dev(d.0, "device") };
            let softc = *lock(&device.softc);
            // SAFETY: the driver's function and argument, with a softc of its own.
            let wanted = softc != NOTHING && accept.is_some_and(|f| unsafe { f(arg, softc.0) });
            if !wanted {
                continue;
            }
            if device.busy.swap(true, Ordering::AcqRel) {
                error = Errno::EBUSY.code();
                break;
            }
            softc
        };
        // SAFETY: what attach stored; busy excludes others.
        error = unsafe { nvmf::ffi::nvrs_nvmf_detach(softc.0) };
        if error != 0 {
            // SAFETY: a failed detach keeps the device.
            let device = unsafe { dev(d.0, "device") };
            device.busy.store(false, Ordering::Release);
            break;
        }
        delete(d);
        gone += 1;
    }
    // SAFETY: the caller's storage.
    unsafe { *count = gone };
    error
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_notify_reconnect(nameunit: *const c_char) {
    // SAFETY: a string of the caller's.
    let name = unsafe { CStr::from_ptr(nameunit) }.to_string_lossy();
    lock(&RECONNECTS).push(name.into_owned());
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_dev_sysctl_init(d: *mut nvrs_dev) {
    may_sleep("sysctl_add_oid");
    // SAFETY: a device of the caller's.
    unsafe { dev(d, "sysctl_add_oid") };
}

struct Nodes {
    device: String,
    index: c_int,
    counters: Counters,
}

#[derive(Clone, Copy)]
struct Counters(*mut nvrs_qcounters);

// SAFETY: only the fields that the owner stores to as atomics are read.
unsafe impl Send for Counters {}

#[derive(Clone, Copy, PartialEq)]
struct NodesPtr(*mut nvrs_qsysctl);

// SAFETY: it is passed along.
unsafe impl Send for NodesPtr {}

static QUEUES: Mutex<Vec<NodesPtr>> = Mutex::new(Vec::new());

/// `sysctl dev.nvme.X.ioq.Y.num_cmds`.
pub fn queue_commands(device: &str, index: u32) -> Option<u64> {
    let queues = lock(&QUEUES);
    queues.iter().find_map(|q| {
        // SAFETY: nodes in the list were not freed.
        let nodes: &Nodes = unsafe { object(q.0, "sysctl") };
        if nodes.device != device || nodes.index != index as c_int {
            return None;
        }
        // SAFETY: the counters live as long as their nodes, and their owner stores to them as atomics.
        let count = unsafe { AtomicU64::from_ptr(&raw mut (*nodes.counters.0).num_cmds) };
        Some(count.load(Ordering::Relaxed))
    })
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_qsysctl_add(
    d: *mut nvrs_dev,
    index: c_int,
    counters: *mut nvrs_qcounters,
) -> *mut nvrs_qsysctl {
    may_sleep("sysctl_add_oid");
    // SAFETY: a device of the caller's.
    let device = unsafe { dev(d, "sysctl_add_oid") };
    let nodes = give(
        Kind::HostObject,
        Nodes {
            device: device.name.to_string_lossy().into_owned(),
            index,
            counters: Counters(counters),
        },
    );
    lock(&QUEUES).push(NodesPtr(nodes));
    nodes
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_qsysctl_free(s: *mut nvrs_qsysctl) {
    may_sleep("sysctl_ctx_free");
    lock(&QUEUES).retain(|q| q.0 != s);
    // SAFETY: nodes of the caller's, given up by it.
    unsafe { take::<Nodes, _>(Kind::HostObject, s, "sysctl_ctx_free") }
}

type Event = Option<unsafe extern "C" fn(*mut c_void)>;

#[derive(Clone, Copy)]
struct Shutdown {
    pre: Event,
    post: Event,
    arg: Ptr,
}

#[derive(Clone, Copy, PartialEq)]
struct ShutdownPtr(*mut nvrs_shutdown);

// SAFETY: it is passed along.
unsafe impl Send for ShutdownPtr {}

static SHUTDOWNS: Mutex<Vec<ShutdownPtr>> = Mutex::new(Vec::new());

/// The system goes down.
pub fn shut_system_down() {
    for post in [false, true] {
        for s in lock(&SHUTDOWNS).clone() {
            // SAFETY: registered, so alive.
            let s = unsafe { *object::<Shutdown, _>(s.0, "shutdown") };
            let f = if post { s.post } else { s.pre };
            if let Some(f) = f {
                // SAFETY: the driver's function and argument.
                unsafe { f(s.arg.0) };
            }
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_shutdown_register(
    pre: Event,
    post: Event,
    arg: *mut c_void,
) -> *mut nvrs_shutdown {
    may_sleep("eventhandler_register");
    let arg = Ptr(arg);
    let s = give(Kind::HostObject, Shutdown { pre, post, arg });
    lock(&SHUTDOWNS).push(ShutdownPtr(s));
    s
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_shutdown_deregister(s: *mut nvrs_shutdown) {
    may_sleep("eventhandler_deregister");
    lock(&SHUTDOWNS).retain(|o| o.0 != s);
    // SAFETY: a registration of the caller's, given up by it.
    unsafe { take::<Shutdown, _>(Kind::HostObject, s, "eventhandler_deregister") }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_fail_on_disconnection() -> bool {
    FAIL_IO.load(Ordering::Acquire)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_maxphys() -> u32 {
    1 << 20
}
