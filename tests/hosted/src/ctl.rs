// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! ctl(4), as far as an NVMe front end sees it: ports, LUNs in memory, and
//! worker threads that execute commands and move data.

use std::cell::UnsafeCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, Ordering};
use std::sync::{Arc, Once, PoisonError};

use sys::Errno;
use sys::ffi::{
    ctl_io, mbuf, nvlist, nvrs_ctl_move, nvrs_ctl_port, nvrs_memdesc, nvrs_segment, sbuf,
};

use crate::context::{can_sleep, die, holds_nothing, may_sleep, no_sleep};
use crate::nv::nvrs_nv_clone;
use crate::object::{Kind, give, object, take};
use crate::os::{self, Condvar, Mutex, MutexGuard};

/// Bytes of a block.
pub const BLOCK: usize = 512;
const WORKERS: usize = 2;

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a LUN moves data.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Most bytes of one data move.
    pub chunk: usize,
    /// Bytes of a scatter/gather entry; zero: a flat buffer.
    pub segment: usize,
    /// Buffers may be referred to by mbufs.
    pub by_reference: bool,
    /// Every other data move is asked for in a context that must not sleep.
    pub no_sleep: bool,
}

impl Default for Style {
    fn default() -> Self {
        Style {
            chunk: 128 << 10,
            segment: 16 << 10,
            by_reference: true,
            no_sleep: true,
        }
    }
}

/// Where the blocks of a LUN are.
pub enum Storage {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file.
    File(Mapping),
}

/// A file in memory.
pub struct Mapping {
    at: *mut u8,
    len: usize,
}

// SAFETY: it owns the mapping.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps a file, which gets that size; it is sparse where nothing was written.
    pub fn open(path: &std::path::Path, bytes: usize) -> std::io::Result<Self> {
        use std::os::fd::AsRawFd;
        let file = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        file.set_len(bytes as u64)?;
        // SAFETY: a fresh mapping of a file of that size, checked below.
        let at = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Mapping {
            at: at.cast(),
            len: bytes,
        })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: our mapping, which nobody uses any more.
        unsafe { libc::munmap(self.at.cast(), self.len) };
    }
}

impl std::ops::Deref for Storage {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Storage::Memory(v) => v,
            // SAFETY: mapped, and borrowed with the storage.
            Storage::File(m) => unsafe { std::slice::from_raw_parts(m.at, m.len) },
        }
    }
}

impl std::ops::DerefMut for Storage {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Storage::Memory(v) => v,
            // SAFETY: mapped, and borrowed with the storage.
            Storage::File(m) => unsafe { std::slice::from_raw_parts_mut(m.at, m.len) },
        }
    }
}

/// A LUN.
pub struct Lun {
    blocks: Mutex<Storage>,
    style: Style,
    /// Commands are kept instead of being executed.
    hold: AtomicBool,
    held: Mutex<Vec<Io>>,
    moves: AtomicI32,
}

impl Lun {
    /// A LUN of `bytes` in memory.
    pub fn new(bytes: usize, style: Style) -> Arc<Self> {
        Self::over(Storage::Memory(vec![0; bytes]), style)
    }

    /// A LUN over some storage.
    pub fn over(storage: Storage, style: Style) -> Arc<Self> {
        Arc::new(Lun {
            blocks: Mutex::new(storage),
            style,
            hold: AtomicBool::new(false),
            held: Mutex::default(),
            moves: AtomicI32::new(0),
        })
    }

    /// The blocks.
    pub fn blocks(&self) -> MutexGuard<'_, Storage> {
        lock(&self.blocks)
    }

    /// Keeps commands until it is called again with false.
    pub fn hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::Release);
        if !hold {
            for io in std::mem::take(&mut *lock(&self.held)) {
                queue(Work::Run(io));
            }
        }
    }

    /// How many commands are kept.
    pub fn held(&self) -> usize {
        lock(&self.held).len()
    }
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
    Continue(Io),
    Done(Io),
}

struct Ctl {
    ports: Mutex<Vec<Arc<Port>>>,
    luns: Mutex<BTreeMap<u32, Arc<Lun>>>,
    work: Mutex<VecDeque<Work>>,
    wake: Condvar,
}

static CTL: Ctl = Ctl {
    ports: Mutex::new(Vec::new()),
    luns: Mutex::new(BTreeMap::new()),
    work: Mutex::new(VecDeque::new()),
    wake: Condvar::new(),
};

fn queue(w: Work) {
    static START: Once = Once::new();
    START.call_once(|| {
        for i in 0..WORKERS {
            if os::spawn(&format!("ctl_work{i}"), worker).is_err() {
                die("no CTL thread");
            }
        }
    });
    lock(&CTL.work).push_back(w);
    CTL.wake.notify_one();
}

fn worker() {
    loop {
        let w = {
            let mut q = lock(&CTL.work);
            loop {
                match q.pop_front() {
                    Some(w) => break w,
                    None => q = CTL.wake.wait(q).unwrap_or_else(PoisonError::into_inner),
                }
            }
        };
        crate::fault::jitter();
        match w {
            Work::Run(io) => io.run(),
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
    offset: usize,
    len: usize,
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

fn u64_at(b: &[u8; 64], at: usize) -> u64 {
    (0..8).fold(0, |v, i| v | u64::from(b[at + i]) << (8 * i))
}

/// The commands that a LUN executes, and no others.
mod opcode {
    pub const FLUSH: u8 = 0x00;
    pub const WRITE: u8 = 0x01;
    pub const READ: u8 = 0x02;
    pub const COMPARE: u8 = 0x05;
    pub const WRITE_ZEROES: u8 = 0x08;
    pub const DSM: u8 = 0x09;
    pub const VERIFY: u8 = 0x0c;
}

/// Bytes of a range of Dataset Management.
const DSM_RANGE: usize = 16;
const DSM_DEALLOCATE: u8 = 1 << 2;

const SUCCESS: u16 = 0;
const INVALID_OPCODE: u16 = 0x01;
const INVALID_FIELD: u16 = 0x02;
const INVALID_NAMESPACE: u16 = 0x0b;
const LBA_RANGE: u16 = 0x80;
const COMPARE_FAILURE: u16 = 0x285;
/// What CTL says of aborted commands; the type is wrong.
const ABORTED: u16 = 0x71;

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

    fn run(self) {
        let r = self.get("ctl_run");
        let Some(lun) = self.lun() else {
            return self.end(INVALID_NAMESPACE);
        };
        let kept = {
            let mut held = lock(&lun.held);
            let aborted = lock(&r.state).aborted;
            let keep = lun.hold.load(Ordering::Acquire) && !aborted;
            if keep {
                held.push(self);
            }
            (keep, aborted)
        };
        match kept {
            (true, _) => return,
            (false, true) => return self.end(ABORTED),
            (false, false) => {}
        }
        let sqe = &r.sqe;
        if r.admin {
            if sqe[0] != 0x06 || sqe[40] != 0 {
                return self.end(INVALID_OPCODE);
            }
            return self.start(identify(&lun, r.lun), true);
        }
        let blocks = usize::from(u16::from_le_bytes([sqe[48], sqe[49]])) + 1;
        let len = blocks * BLOCK;
        let at = u64_at(sqe, 40).checked_mul(BLOCK as u64);
        let range = at
            .and_then(|a| usize::try_from(a).ok())
            .and_then(|a| Some(a..a.checked_add(len)?))
            .filter(|r| r.end <= lun.blocks().len());
        match (sqe[0], range) {
            (opcode::FLUSH, _) => self.end(SUCCESS),
            (opcode::DSM, _) => {
                // CTL takes the number of ranges as it is, not 0's based.
                let ranges = usize::from(sqe[40]);
                self.start(vec![0xdc; ranges * DSM_RANGE], false);
            }
            (
                opcode::WRITE
                | opcode::READ
                | opcode::COMPARE
                | opcode::WRITE_ZEROES
                | opcode::VERIFY,
                None,
            ) => self.end(LBA_RANGE),
            (opcode::WRITE | opcode::COMPARE, Some(_)) => self.start(vec![0xdc; len], false),
            (opcode::VERIFY, Some(_)) => self.end(SUCCESS),
            (opcode::READ, Some(range)) => {
                let data = lun.blocks()[range].to_vec();
                self.start(data, true);
            }
            (opcode::WRITE_ZEROES, Some(range)) => {
                lun.blocks()[range].fill(0);
                self.end(SUCCESS);
            }
            (0x7f, _) => self.end(INVALID_FIELD),
            _ => self.end(INVALID_OPCODE),
        }
    }

    fn start(self, data: Vec<u8>, to_host: bool) {
        {
            let mut st = lock(&self.get("a request").state);
            st.buffer = Some(Arc::new(Buffer(UnsafeCell::new(data))));
            st.to_host = to_host;
        }
        self.next();
    }

    /// The next data move, or the end.
    fn next(self) {
        let r = self.get("a request");
        let Some(lun) = self.lun() else {
            return self.end(INVALID_NAMESPACE);
        };
        let ended = {
            let mut st = lock(&r.state);
            st.moving = false;
            st.offset += std::mem::take(&mut st.len);
            let Some(buffer) = st.buffer.clone() else {
                die("a request without a buffer");
            };
            // SAFETY: no move is under way.
            let data = unsafe { &mut *buffer.0.get() };
            if st.aborted {
                Some(ABORTED)
            } else if st.status.is_some() {
                st.status
            } else if st.offset >= data.len() {
                Some(if st.to_host {
                    SUCCESS
                } else {
                    received(&mut lun.blocks(), &r.sqe, data)
                })
            } else {
                st.len = lun.style.chunk.min(data.len() - st.offset);
                let step = match lun.style.segment {
                    0 => st.len,
                    // Identify is one flat buffer.
                    _ if r.admin => st.len,
                    n => n,
                };
                let base = &mut data[st.offset..st.offset + st.len];
                let chunks = base.chunks_mut(step);
                st.segments = chunks
                    .map(|c| nvrs_segment {
                        addr: c.as_mut_ptr().expose_provenance() as u64,
                        len: c.len() as u64,
                    })
                    .collect();
                st.moving = true;
                None
            }
        };
        if let Some(status) = ended {
            return self.end(status);
        }
        let odd = lun.moves.fetch_add(1, Ordering::Relaxed) % 2 != 0;
        // SAFETY: a request of the front end's, handed to it.
        let go = || unsafe { nvmft::ffi::nvmft_rs_datamove(self.0) };
        if lun.style.no_sleep && odd {
            no_sleep("a CTL data move", go);
        } else {
            go();
        }
    }
}

/// Executes a command whose data the host has sent.
fn received(blocks: &mut [u8], sqe: &[u8; 64], data: &[u8]) -> u16 {
    if sqe[0] == opcode::DSM {
        return deallocate(blocks, sqe, data);
    }
    let at = u64_at(sqe, 40) as usize * BLOCK;
    let target = &mut blocks[at..at + data.len()];
    if sqe[0] == opcode::COMPARE {
        return if target == data {
            SUCCESS
        } else {
            COMPARE_FAILURE
        };
    }
    target.copy_from_slice(data);
    SUCCESS
}

/// Dataset Management; blocks without contents read as zeroes.
fn deallocate(blocks: &mut [u8], sqe: &[u8; 64], ranges: &[u8]) -> u16 {
    let number = |b: &[u8]| b.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
    let total = (blocks.len() / BLOCK) as u64;
    for r in ranges.chunks_exact(DSM_RANGE) {
        let (count, first) = (number(&r[4..8]), number(&r[8..]));
        let Some(end) = first.checked_add(count).filter(|end| *end <= total) else {
            return LBA_RANGE;
        };
        if sqe[44] & DSM_DEALLOCATE != 0 {
            blocks[first as usize * BLOCK..end as usize * BLOCK].fill(0);
        }
    }
    SUCCESS
}

/// Identify Namespace. A LUN has the same identity whenever it is there.
fn identify(lun: &Lun, number: u32) -> Vec<u8> {
    let mut page = vec![0; 4096];
    let blocks = (lun.blocks().len() / BLOCK) as u64;
    for at in [0, 8, 16] {
        page[at..at + 8].copy_from_slice(&blocks.to_le_bytes());
    }
    page[104..120].fill(0xc7);
    page[104..108].copy_from_slice(&number.to_be_bytes());
    page[130] = BLOCK.trailing_zeros() as u8;
    page
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
            offset: st.offset as u32,
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
    if st.offset + st.len != total(&st) {
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
