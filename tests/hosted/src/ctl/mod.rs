// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! ctl(4), as far as an NVMe front end sees it: ports, LUNs over block devices, and
//! worker threads that execute commands and move data.

mod exec;
mod lun;

use std::cell::UnsafeCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::{Arc, Once, PoisonError};
use std::time::Duration;

use sys::Errno;
use sys::ffi::{
    ctl_io, mbuf, nvlist, nvrs_ctl_move, nvrs_ctl_port, nvrs_memdesc, nvrs_segment, sbuf,
};

pub use lun::{Lun, Style};

use crate::context::{can_sleep, die, holds_nothing, may_sleep, no_sleep};
use crate::nv::nvrs_nv_clone;
use crate::object::{Kind, give, object, take};
use crate::os::{self, Condvar, Instant, Mutex, MutexGuard};

/// Bytes of a block.
pub const BLOCK: usize = 512;
const WORKERS: usize = 2;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Port {
    arg: Ptr,
    number: i32,
    online: AtomicBool,
    /// Requests under way.
    ios: Mutex<Vec<Io>>,
    options: AtomicPtr<nvlist>,
}

#[derive(Clone, Copy, PartialEq)]
struct Ptr(*mut c_void);

// SAFETY: it is passed along, not dereferenced.
unsafe impl Send for Ptr {}
// SAFETY: as above.
unsafe impl Sync for Ptr {}

/// A request that is known by pointer.
#[derive(Clone, Copy, PartialEq)]
struct Io(*mut ctl_io);

// SAFETY: requests are objects with locks of their own.
unsafe impl Send for Io {}
// SAFETY: as above.
unsafe impl Sync for Io {}

enum Work {
    Run(Io),
    Device(Io),
    Continue(Io),
    Done(Io),
}

/// What the workers have to do.
struct Agenda {
    now: VecDeque<Work>,
    /// By the time it is due, and a number.
    later: BTreeMap<(Instant, u64), Work>,
    turns: u64,
}

struct Ctl {
    ports: Mutex<Vec<Arc<Port>>>,
    luns: Mutex<BTreeMap<u32, Arc<Lun>>>,
    work: Mutex<Agenda>,
    wake: Condvar,
}

static CTL: Ctl = Ctl {
    ports: Mutex::new(Vec::new()),
    luns: Mutex::new(BTreeMap::new()),
    work: Mutex::new(Agenda {
        now: VecDeque::new(),
        later: BTreeMap::new(),
        turns: 0,
    }),
    wake: Condvar::new(),
};

fn start_workers() {
    static START: Once = Once::new();
    START.call_once(|| {
        for i in 0..WORKERS {
            if os::spawn_kernel(&format!("ctl_work{i}"), worker).is_err() {
                die("no CTL thread");
            }
        }
    });
}

fn queue(w: Work) {
    start_workers();
    lock(&CTL.work).now.push_back(w);
    CTL.wake.notify_one();
}

fn queue_later(w: Work, delay: Duration) {
    start_workers();
    let mut agenda = lock(&CTL.work);
    agenda.turns += 1;
    let key = (Instant::now() + delay, agenda.turns);
    agenda.later.insert(key, w);
    drop(agenda);
    CTL.wake.notify_one();
}

impl Agenda {
    /// What is to be done now, or how long there is nothing.
    fn take(&mut self) -> Result<Work, Option<Duration>> {
        let now = Instant::now();
        match self.later.first_key_value() {
            Some((&key, _)) if key.0 <= now => self.later.remove(&key).ok_or(None),
            first => {
                let wait = first.map(|(key, _)| key.0 - now);
                self.now.pop_front().ok_or(wait)
            }
        }
    }
}

fn worker() {
    loop {
        let w = {
            let mut agenda = lock(&CTL.work);
            loop {
                agenda = match agenda.take() {
                    Ok(w) => break w,
                    Err(None) => CTL
                        .wake
                        .wait(agenda)
                        .unwrap_or_else(PoisonError::into_inner),
                    Err(Some(time)) => {
                        let r = CTL.wake.wait_timeout(agenda, time);
                        r.unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
        };
        crate::fault::jitter();
        match w {
            Work::Run(io) => io.run(),
            Work::Device(io) => io.device(),
            Work::Continue(io) => io.next(),
            Work::Done(io) => io.done(),
        }
        holds_nothing("a CTL callback");
    }
}

/// The memory of a command's data. Whoever still reads it later sees that.
struct Buffer(UnsafeCell<Vec<u8>>);

// SAFETY: one move at a time writes, and CTL reads when it is done.
unsafe impl Sync for Buffer {}
// SAFETY: owned memory.
unsafe impl Send for Buffer {}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.0.get_mut().fill(0xdb);
    }
}

#[derive(Default)]
struct State {
    /// SCT << 8 | SC once the command has ended.
    status: Option<u16>,
    success_sent: bool,
    aborted: bool,
    moving: bool,
    /// Bytes that data moves have moved.
    moved: usize,
    /// Bytes of the move under way.
    len: usize,
    /// Bytes that the device has read or written.
    stored: usize,
    to_host: bool,
    buffer: Option<Arc<Buffer>>,
    segments: Vec<nvrs_segment>,
}

struct Request {
    port: Arc<Port>,
    admin: bool,
    initid: u32,
    lun: u32,
    sqe: [u8; 64],
    privs: [Ptr; 2],
    next: AtomicPtr<ctl_io>,
    state: Mutex<State>,
}

impl Io {
    fn get<'a>(self, what: &str) -> &'a Request {
        // SAFETY: requests live until nvrs_ctl_io_free(), and are recognised
        // for a while after.
        unsafe { object(self.0, what) }
    }

    fn lun(self) -> Option<Arc<Lun>> {
        lock(&CTL.luns).get(&self.get("a request").lun).cloned()
    }

    /// The command ends; the front end hears of it in a thread that may sleep.
    fn end(self, status: u16) {
        lock(&self.get("ctl_done").state)
            .status
            .get_or_insert(status);
        if can_sleep() {
            self.done();
        } else {
            queue(Work::Done(self));
        }
    }

    fn done(self) {
        let r = self.get("ctl_done");
        lock(&r.port.ios).retain(|io| *io != self);
        lock(&r.state).buffer = None;
        // SAFETY: a request of the front end's, handed back.
        unsafe { nvmft::ffi::nvmft_rs_done(self.0) };
    }
}

/// Makes a LUN visible at all ports that are online.
pub fn add_lun(number: u32, lun: Arc<Lun>) {
    lock(&CTL.luns).insert(number, lun);
    for p in online_ports() {
        // SAFETY: the port's callback argument.
        unsafe { nvmft::ffi::nvmft_rs_lun_enable(p.arg.0, number) };
    }
}

/// Takes a LUN away; commands that it kept complete.
pub fn remove_lun(number: u32) {
    let lun = lock(&CTL.luns).remove(&number);
    for p in online_ports() {
        // SAFETY: the port's callback argument.
        unsafe { nvmft::ffi::nvmft_rs_lun_disable(p.arg.0, number) };
    }
    if let Some(lun) = lun {
        lun.hold(false);
    }
}

fn online_ports() -> Vec<Arc<Port>> {
    let ports = lock(&CTL.ports);
    let online = ports.iter().filter(|p| p.online.load(Ordering::Acquire));
    online.cloned().collect()
}

fn find_port(number: i32) -> Option<Arc<Port>> {
    lock(&CTL.ports)
        .iter()
        .find(|p| p.number == number)
        .cloned()
}

/// `ctladm port -o on`.
pub fn enable_port(number: i32) {
    let Some(p) = find_port(number) else { return };
    let luns: Vec<u32> = lock(&CTL.luns).keys().copied().collect();
    for lun in luns {
        // SAFETY: the port's callback argument.
        unsafe { nvmft::ffi::nvmft_rs_lun_enable(p.arg.0, lun) };
    }
    // SAFETY: as above.
    unsafe { nvmft::ffi::nvmft_rs_port_online(p.arg.0) };
    p.online.store(true, Ordering::Release);
}

/// `ctladm port -o off`.
pub fn disable_port(number: i32) {
    if let Some(p) = find_port(number) {
        p.go_offline();
    }
}

impl Port {
    fn go_offline(&self) {
        if !self.online.swap(false, Ordering::AcqRel) {
            return;
        }
        may_sleep("ctl_port_offline");
        // SAFETY: the port's callback argument.
        unsafe { nvmft::ffi::nvmft_rs_port_offline(self.arg.0) };
        let luns: Vec<u32> = lock(&CTL.luns).keys().copied().collect();
        for lun in luns {
            // SAFETY: as above.
            unsafe { nvmft::ffi::nvmft_rs_lun_disable(self.arg.0, lun) };
        }
    }
}

/// `ctladm portlist`: what the front end says of a port.
pub fn port_info(number: i32) -> String {
    let mut text: Vec<u8> = Vec::new();
    if let Some(p) = find_port(number) {
        let sb = (&raw mut text).cast::<sbuf>();
        // SAFETY: the port's callback argument and a live buffer; CTL holds
        // its lock meanwhile.
        no_sleep("port_info", || unsafe {
            nvmft::ffi::nvmft_rs_port_info(p.arg.0, sb)
        });
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Requests under way at all ports.
pub fn outstanding() -> usize {
    lock(&CTL.ports).iter().map(|p| lock(&p.ios).len()).sum()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_port_create(
    num_io: u32,
    _portid: u16,
    options: *const nvlist,
    arg: *mut c_void,
    error: *mut c_int,
) -> *mut nvrs_ctl_port {
    static NEXT: AtomicI32 = AtomicI32::new(3);
    may_sleep("ctl_port_register");
    if num_io == 0 {
        // SAFETY: the caller's storage.
        unsafe { *error = Errno::EINVAL.code() };
        return ptr::null_mut();
    }
    // SAFETY: the caller's list.
    let options = unsafe { nvrs_nv_clone(options) };
    let port = Arc::new(Port {
        arg: Ptr(arg),
        number: NEXT.fetch_add(1, Ordering::Relaxed),
        online: AtomicBool::new(false),
        ios: Mutex::default(),
        options: AtomicPtr::new(options),
    });
    lock(&CTL.ports).push(port.clone());
    give(Kind::CtlPort, port)
}

/// # Safety
///
/// `p` is a port of the caller's.
unsafe fn port<'a>(p: *const nvrs_ctl_port, what: &str) -> &'a Arc<Port> {
    // SAFETY: the caller's promise.
    unsafe { object(p, what) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_port_number(p: *const nvrs_ctl_port) -> i32 {
    // SAFETY: a port of the caller's.
    unsafe { port(p, "ctl_port") }.number
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_port_offline(p: *mut nvrs_ctl_port) {
    // SAFETY: a port of the caller's.
    unsafe { port(p, "ctl_port_offline") }.go_offline();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_port_destroy(p: *mut nvrs_ctl_port) {
    may_sleep("ctl_port_deregister");
    // SAFETY: a port of the caller's, given up by it.
    unsafe {
        let port = port(p, "ctl_port_deregister");
        if port.online.load(Ordering::Acquire) {
            die("a CTL port is deregistered while it is online");
        }
        if !lock(&port.ios).is_empty() {
            die("a CTL port is deregistered with requests under way");
        }
        lock(&CTL.ports).retain(|q| !Arc::ptr_eq(q, port));
        crate::nv::nvrs_nv_destroy(port.options.swap(ptr::null_mut(), Ordering::AcqRel));
        take::<Arc<Port>, _>(Kind::CtlPort, p, "ctl_port_deregister");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_submit(
    p: *mut nvrs_ctl_port,
    admin: bool,
    initid: u32,
    lun: u32,
    sqe: *const c_void,
    priv0: *mut c_void,
    priv1: *mut c_void,
) -> c_int {
    may_sleep("ctl_alloc_io");
    // SAFETY: the caller's port and 64 bytes.
    let (port, sqe) = unsafe { (port(p, "ctl_run"), sqe.cast::<[u8; 64]>().read()) };
    let io = Io(give(
        Kind::CtlIo,
        Request {
            port: port.clone(),
            admin,
            initid,
            lun,
            sqe,
            privs: [Ptr(priv0), Ptr(priv1)],
            next: AtomicPtr::new(ptr::null_mut()),
            state: Mutex::default(),
        },
    ));
    lock(&port.ios).push(io);
    queue(Work::Run(io));
    0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_nexus_reset(p: *mut nvrs_ctl_port, initid: u32) -> c_int {
    may_sleep("a CTL task");
    // SAFETY: the caller's port.
    let port = unsafe { port(p, "ctl_run") };
    // Requests leave the list before the front end may free them.
    let ios = lock(&port.ios);
    for io in ios.iter().copied() {
        let r = io.get("a task");
        if r.initid != initid {
            continue;
        }
        lock(&r.state).aborted = true;
        if let Some(lun) = io.lun() {
            let mut held = lock(&lun.held);
            if let Some(i) = held.iter().position(|h| *h == io) {
                held.remove(i);
                queue(Work::Run(io));
            }
        }
    }
    drop(ios);
    0
}

/// # Safety
///
/// `io` is a request in the caller's hands.
unsafe fn req<'a>(io: *const ctl_io, what: &str) -> &'a Request {
    // SAFETY: the caller's promise.
    unsafe { object(io, what) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_io_priv(io: *const ctl_io, which: c_int) -> *mut c_void {
    // SAFETY: the caller's request.
    unsafe { req(io, "ctl_private") }.privs[which as usize & 1].0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_io_sqe(io: *const ctl_io) -> *const u8 {
    // SAFETY: the caller's request.
    unsafe { req(io, "nvmeio.cmd") }.sqe.as_ptr()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_io_next(io: *const ctl_io) -> *mut ctl_io {
    // SAFETY: the caller's request.
    unsafe { req(io, "links") }.next.load(Ordering::Acquire)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_io_set_next(io: *mut ctl_io, next: *mut ctl_io) {
    // SAFETY: the caller's request.
    unsafe { req(io, "links") }
        .next
        .store(next, Ordering::Release);
}

/// # Safety
///
/// As for [`req`].
unsafe fn moving<'a>(io: *const ctl_io, what: &str) -> (&'a Request, MutexGuard<'a, State>) {
    // SAFETY: the caller's promise.
    let r = unsafe { req(io, what) };
    let st = lock(&r.state);
    if !st.moving {
        die(&format!("{what}: no data move is under way"));
    }
    (r, st)
}

fn total(st: &State) -> usize {
    // SAFETY: only its length is read.
    st.buffer
        .as_ref()
        .map_or(0, |b| unsafe { (*b.0.get()).len() })
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_get(io: *const ctl_io, mv: *mut nvrs_ctl_move) {
    // SAFETY: the caller's request and storage.
    unsafe {
        let (r, st) = moving(io, "a data move");
        *mv = nvrs_ctl_move {
            offset: st.moved as u32,
            len: st.len as u32,
            total: total(&st) as u32,
            to_host: st.to_host,
            admin: r.admin,
        };
    }
}

unsafe extern "C" fn release_buffer(arg: *mut c_void) {
    // SAFETY: a reference that was leaked for this call.
    drop(unsafe { Arc::from_raw(arg.cast::<Buffer>().cast_const()) });
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_mbufs(io: *mut ctl_io, flags: c_int) -> *mut mbuf {
    // SAFETY: the caller's request.
    let (_, st) = unsafe { moving(io, "the mbufs of a data move") };
    let by_reference = Io(io).lun().is_some_and(|l| l.style.by_reference);
    let (buffer, segments, len) = (st.buffer.clone(), st.segments.clone(), st.len);
    drop(st);
    let Some(buffer) = buffer else {
        return ptr::null_mut();
    };
    let (mut head, mut last): (*mut mbuf, *mut mbuf) = (ptr::null_mut(), ptr::null_mut());
    if !by_reference {
        // SAFETY: a fresh chain, and the move's memory.
        unsafe {
            head = crate::mbuf::nvrs_m_getchain(len as u32, flags);
            let mut off = 0;
            for s in segments.iter().filter(|_| !head.is_null()) {
                let p = ptr::with_exposed_provenance::<c_void>(s.addr as usize);
                crate::mbuf::nvrs_m_copyback(head, off, s.len as u32, p);
                off += s.len as u32;
            }
        }
        return head;
    }
    for s in segments {
        let p = ptr::with_exposed_provenance::<c_void>(s.addr as usize);
        let arg = Arc::into_raw(buffer.clone()).cast_mut().cast();
        // SAFETY: the buffer stays while its reference does; our own chain.
        unsafe {
            let m = crate::mbuf::nvrs_m_ext(p, s.len as u32, Some(release_buffer), arg, flags);
            if m.is_null() {
                release_buffer(arg);
                crate::mbuf::nvrs_m_freem(head);
                return ptr::null_mut();
            }
            if head.is_null() {
                head = m;
            } else {
                crate::mbuf::nvrs_m_append(last, m);
            }
            last = m;
        }
    }
    head
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_buffer(io: *mut ctl_io) -> *mut u8 {
    // SAFETY: the caller's request.
    let (_, st) = unsafe { moving(io, "the buffer of a data move") };
    match st.segments.as_slice() {
        [s] => ptr::with_exposed_provenance_mut(s.addr as usize),
        _ => ptr::null_mut(),
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_memdesc(io: *mut ctl_io, md: *mut nvrs_memdesc) {
    // SAFETY: the caller's request and storage; the segments stay until the
    // move is done.
    unsafe {
        let (_, mut st) = moving(io, "the memory of a data move");
        let n = st.segments.len() as u32;
        crate::memdesc::nvrs_memdesc_vlist(md, st.segments.as_mut_ptr(), n);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_received(io: *mut ctl_io, len: u32) {
    // SAFETY: the caller's request.
    let (_, st) = unsafe { moving(io, "kern_data_resid") };
    if len as usize > st.len {
        die("a data move received more than it asked for");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_fail(io: *mut ctl_io, sc: u8) {
    // SAFETY: the caller's request.
    let (_, mut st) = unsafe { moving(io, "failing a data move") };
    st.status = Some(sc.into());
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_abort(io: *mut ctl_io) {
    // SAFETY: the caller's request.
    let (_, mut st) = unsafe { moving(io, "aborting a data move") };
    st.aborted = true;
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_success_sent(io: *mut ctl_io) {
    // SAFETY: the caller's request.
    let (_, mut st) = unsafe { moving(io, "success_sent") };
    if st.moved + st.len != total(&st) {
        die("success was sent before all of the data");
    }
    st.success_sent = true;
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_move_done(io: *mut ctl_io, samethr: bool) {
    // SAFETY: the caller's request.
    drop(unsafe { moving(io, "ctl_datamove_done") });
    if samethr {
        may_sleep("ctl_datamove_done(samethr)");
        Io(io).next();
    } else {
        queue(Work::Continue(Io(io)));
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_done_result(io: *const ctl_io, cqe: *mut c_void) -> bool {
    // SAFETY: the caller's request and 16 bytes.
    unsafe {
        let r = req(io, "a completed request");
        let st = lock(&r.state);
        let Some(status) = st.status else {
            die("a request completes without status");
        };
        let cid = u16::from_le_bytes([r.sqe[2], r.sqe[3]]);
        cqe.cast::<[u8; 16]>().write(crate::pdu::cqe(cid, status));
        !st.success_sent
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ctl_io_free(io: *mut ctl_io) {
    // SAFETY: the caller's request, given up by it.
    unsafe {
        let r = req(io, "ctl_free_io");
        if lock(&r.port.ios).contains(&Io(io)) {
            die("a request is freed while CTL works on it");
        }
        take::<Request, _>(Kind::CtlIo, io, "ctl_free_io");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_can_sleep() -> bool {
    can_sleep()
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sbuf_cat(
    sb: *mut sbuf,
    s: *const std::ffi::c_char,
    len: usize,
) -> bool {
    // SAFETY: the buffer that port_info() passed, and len bytes.
    unsafe {
        let out = &mut *sb.cast::<Vec<u8>>();
        out.extend_from_slice(std::slice::from_raw_parts(s.cast(), len));
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_os_names(
    kind: *mut *const std::ffi::c_char,
    release: *mut *const std::ffi::c_char,
) {
    // SAFETY: the caller's storage; static strings.
    unsafe {
        *kind = c"FreeBSD".as_ptr();
        *release = c"15.0-HOSTED".as_ptr();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_page_size() -> u32 {
    4096
}
