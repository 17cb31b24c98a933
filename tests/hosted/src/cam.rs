// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CAM, as far as a SIM sees it: CCBs that are queued, dispatched and
//! completed, scans of namespaces, and [`Disk`]s to read and write.

use std::cell::UnsafeCell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use std::sync::{Arc, Once, PoisonError};
use std::time::Duration;

use sys::ffi::{
    NVRS_CCB_CMP, NVRS_CCB_GONE, NVRS_CCB_REQUEUE, nvrs_ccb, nvrs_memdesc, nvrs_sim,
    nvrs_sim_params,
};

use crate::context::{die, holds_nothing, may_sleep, no_sleep};
use crate::object::{Kind, give, object, take};
use crate::os::{self, Condvar, Instant, Mutex, MutexGuard};

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long destroying a SIM may wait for CCBs.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq)]
struct CcbPtr(*mut nvrs_ccb);

// SAFETY: CCBs synchronise themselves.
unsafe impl Send for CcbPtr {}

#[derive(Default)]
struct SimState {
    frozen: u32,
    waiting: VecDeque<CcbPtr>,
    running: u32,
    /// Scans under way, and other references.
    refs: u32,
    disks: BTreeMap<u32, (u64, u32)>,
    /// What the driver wanted looked at.
    told: Vec<u32>,
    nn: u32,
    maxio: u32,
    destroyed: bool,
}

struct Sim {
    name: String,
    io: Option<unsafe extern "C" fn(*mut c_void, *mut nvrs_ccb, bool)>,
    arg: AtomicPtr<c_void>,
    max_trans: u32,
    state: Mutex<SimState>,
    changed: Condvar,
}

/// What is told of a completed CCB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// One of `NVRS_CCB_*`.
    pub outcome: u32,
    /// The completion queue entry, if there is one.
    pub cqe: [u8; 16],
}

struct Ccb {
    sim: Arc<Sim>,
    /// The disk's, which the entry need not name.
    nsid: u32,
    sqe: [u8; 64],
    admin: bool,
    write: bool,
    data: UnsafeCell<Vec<u8>>,
    unmapped: bool,
    next: AtomicPtr<nvrs_ccb>,
    queued: AtomicBool,
    done: Mutex<Option<Completion>>,
    changed: Condvar,
}

// SAFETY: the data belongs to the SIM until the CCB is done, then to its owner.
unsafe impl Sync for Ccb {}
// SAFETY: as above.
unsafe impl Send for Ccb {}

static SIMS: Mutex<Vec<Arc<Sim>>> = Mutex::new(Vec::new());

enum Job {
    Done(CcbPtr, Completion),
    Scan(Arc<Sim>, u32),
}

static JOBS: Mutex<[VecDeque<Job>; 2]> = Mutex::new([VecDeque::new(), VecDeque::new()]);
static WAKE: Condvar = Condvar::new();

/// The threads `doneq0` and `scanner`.
fn enqueue(which: usize, job: Job) {
    static START: Once = Once::new();
    START.call_once(|| {
        for (i, name) in ["doneq0", "xpt_thrd"].into_iter().enumerate() {
            if os::spawn_kernel(name, move || work(i)).is_err() {
                die("no CAM thread");
            }
        }
    });
    lock(&JOBS)[which].push_back(job);
    WAKE.notify_all();
}

fn work(which: usize) {
    loop {
        let job = {
            let mut jobs = lock(&JOBS);
            loop {
                match jobs[which].pop_front() {
                    Some(j) => break j,
                    None => jobs = WAKE.wait(jobs).unwrap_or_else(PoisonError::into_inner),
                }
            }
        };
        crate::fault::jitter();
        match job {
            Job::Done(ccb, c) => finish(ccb, c),
            Job::Scan(sim, nsid) => {
                sim.scan(nsid);
                sim.unref();
            }
        }
        holds_nothing("a CAM callback");
    }
}

fn ccb<'a>(c: CcbPtr, what: &str) -> &'a Ccb {
    // SAFETY: CCBs live until their owner has them back.
    unsafe { object(c.0, what) }
}

/// A CCB is back from the SIM.
fn finish(c: CcbPtr, completion: Completion) {
    let b = ccb(c, "xpt_done");
    let sim = b.sim.clone();
    {
        let mut st = lock(&sim.state);
        st.running -= 1;
        match completion.outcome {
            NVRS_CCB_REQUEUE => st.waiting.push_front(c),
            // nda(4) gives its disk up; a scan finds it again.
            NVRS_CCB_GONE if !b.admin => {
                st.disks.remove(&b.nsid);
            }
            _ => {}
        }
    }
    if completion.outcome != NVRS_CCB_REQUEUE {
        let mut done = lock(&b.done);
        *done = Some(completion);
        b.changed.notify_all();
    }
    sim.changed.notify_all();
    sim.dispatch();
}

impl Sim {
    /// Gives the SIM what waits, unless it is frozen.
    fn dispatch(&self) {
        loop {
            let c = {
                let mut st = lock(&self.state);
                if st.frozen != 0 || st.running >= self.max_trans {
                    return;
                }
                let Some(c) = st.waiting.pop_front() else {
                    return;
                };
                st.running += 1;
                c
            };
            let b = ccb(c, "sim_action");
            b.queued.store(false, Ordering::Release);
            if let Some(io) = self.io {
                let arg = self.arg.load(Ordering::Acquire);
                // SAFETY: the SIM's function and argument; CAM holds locks.
                no_sleep("a CAM action", || unsafe { io(arg, c.0, b.admin) });
            }
        }
    }

    fn unref(&self) {
        lock(&self.state).refs -= 1;
        self.changed.notify_all();
    }

    /// Runs a command through the SIM; `None`: the SIM is gone.
    fn run(
        self: &Arc<Self>,
        nsid: u32,
        sqe: [u8; 64],
        data: Vec<u8>,
        write: bool,
        admin: bool,
    ) -> Option<(Completion, Vec<u8>)> {
        may_sleep("waiting for a CCB");
        static TURN: AtomicBool = AtomicBool::new(false);
        let unmapped = !admin && TURN.fetch_xor(true, Ordering::Relaxed);
        let c = CcbPtr(give(
            Kind::Request,
            Ccb {
                sim: self.clone(),
                nsid,
                sqe,
                admin,
                write,
                data: UnsafeCell::new(data),
                unmapped,
                next: AtomicPtr::new(ptr::null_mut()),
                queued: AtomicBool::new(false),
                done: Mutex::new(None),
                changed: Condvar::new(),
            },
        ));
        let b = ccb(c, "a CCB");
        {
            let mut st = lock(&self.state);
            if st.destroyed {
                drop(st);
                // SAFETY: nobody else has it.
                unsafe { take::<Ccb, _>(Kind::Request, c.0, "xpt_free_ccb") };
                return None;
            }
            st.waiting.push_back(c);
        }
        self.dispatch();
        let completion = {
            let mut done = lock(&b.done);
            loop {
                match *done {
                    Some(d) => break d,
                    None => done = b.changed.wait(done).unwrap_or_else(PoisonError::into_inner),
                }
            }
        };
        // SAFETY: the CCB is done: its data is ours again, and so is it.
        let data = unsafe {
            let mut data = std::mem::take(&mut *b.data.get());
            take::<Ccb, _>(Kind::Request, c.0, "xpt_free_ccb");
            if write {
                // Whoever still looks at it does not find what was written.
                data.fill(0xdd);
            }
            data
        };
        Some((completion, data))
    }

    /// Identifies a namespace; like nvme_xpt(4), not only once.
    fn probe(self: &Arc<Self>, nsid: u32, sqe: [u8; 64]) -> Option<(Completion, Vec<u8>)> {
        const RETRIES: u32 = 4;
        let mut tries = 0;
        loop {
            let (done, page) = self.run(nsid, sqe, vec![0; 4096], false, true)?;
            if done.outcome == NVRS_CCB_CMP || done.outcome == NVRS_CCB_GONE || tries == RETRIES {
                return Some((done, page));
            }
            tries += 1;
            os::sleep(Duration::from_millis(10));
        }
    }

    /// Looks at a namespace, as a probe does.
    fn scan(self: &Arc<Self>, nsid: u32) {
        let mut sqe = crate::pdu::sqe(0x06, 0, 4096, false);
        sqe[1] = 0;
        sqe[4..8].copy_from_slice(&nsid.to_le_bytes());
        let Some((done, page)) = self.probe(nsid, sqe) else {
            return;
        };
        let blocks = u64::from_le_bytes([
            page[0], page[1], page[2], page[3], page[4], page[5], page[6], page[7],
        ]);
        let format = usize::from(page[26] & 0xf);
        let shift = u32::from(page[128 + 4 * format + 2]);
        let mut st = lock(&self.state);
        if done.outcome == NVRS_CCB_CMP && blocks != 0 {
            st.disks.insert(nsid, (blocks, 1 << shift.min(16)));
        } else {
            st.disks.remove(&nsid);
        }
        drop(st);
        self.changed.notify_all();
    }
}

/// A disk that CAM found.
#[derive(Clone)]
pub struct Disk {
    sim: Arc<Sim>,
    nsid: u32,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of a block.
    pub block: u32,
}

static CCB_TIMEOUT: AtomicU32 = AtomicU32::new(30_000);

/// How long commands may take from now on, in milliseconds: nda(4) gives them half a minute.
pub fn set_timeout(ms: u32) {
    CCB_TIMEOUT.store(ms, Ordering::Relaxed);
}

static REFUSALS: AtomicU32 = AtomicU32::new(0);

/// So many wishes of a driver's to have a namespace looked at find no CCB.
pub fn refuse_rescans(count: u32) {
    REFUSALS.store(count, Ordering::Release);
}

/// `camcontrol rescan`: looks at the first namespaces of a controller.
pub fn rescan(controller: &str) {
    const NAMESPACES: u32 = 8;
    let sim = lock(&SIMS).iter().find(|s| s.name == controller).cloned();
    if let Some(sim) = sim {
        let last = lock(&sim.state).nn.min(NAMESPACES);
        for nsid in 1..=last {
            lock(&sim.state).refs += 1;
            enqueue(1, Job::Scan(sim.clone(), nsid));
        }
    }
}

/// The namespaces that a controller's driver wanted looked at since the last call, in the order in which it did.
/// nda(4) is not to be told again of a disk that it has.
pub fn take_told(controller: &str) -> Vec<u32> {
    let sim = lock(&SIMS).iter().find(|s| s.name == controller).cloned();
    sim.map_or_else(Vec::new, |s| std::mem::take(&mut lock(&s.state).told))
}

/// Waits until a disk of a controller appears.
pub fn wait_disk(controller: &str, nsid: u32, time: Duration) -> Option<Disk> {
    let end = Instant::now() + time;
    loop {
        let sim = lock(&SIMS).iter().find(|s| s.name == controller).cloned();
        if let Some(sim) = sim {
            let found = lock(&sim.state).disks.get(&nsid).copied();
            if let Some((blocks, block)) = found {
                return Some(Disk {
                    sim,
                    nsid,
                    blocks,
                    block,
                });
            }
        }
        if Instant::now() > end {
            return None;
        }
        os::sleep(Duration::from_millis(1));
    }
}

impl Disk {
    fn io(
        &self,
        opcode: u8,
        block: u64,
        data: Vec<u8>,
        write: bool,
    ) -> Result<Vec<u8>, Completion> {
        let mut sqe = crate::pdu::sqe(opcode, 0, 0, false);
        sqe[1] = 0;
        sqe[4..8].copy_from_slice(&self.nsid.to_le_bytes());
        sqe[40..48].copy_from_slice(&block.to_le_bytes());
        let n = (data.len() / self.block as usize).saturating_sub(1) as u16;
        sqe[48..50].copy_from_slice(&n.to_le_bytes());
        self.run(sqe, data, write)
    }

    fn run(&self, sqe: [u8; 64], data: Vec<u8>, write: bool) -> Result<Vec<u8>, Completion> {
        let gone = Completion {
            outcome: NVRS_CCB_GONE,
            cqe: [0; 16],
        };
        let (c, data) = self
            .sim
            .run(self.nsid, sqe, data, write, false)
            .ok_or(gone)?;
        match c.outcome {
            NVRS_CCB_CMP => Ok(data),
            _ => Err(c),
        }
    }

    /// The node of the same namespace.
    pub fn node(&self) -> String {
        format!("{}n{}", self.sim.name, self.nsid)
    }

    /// The largest transfer, in bytes.
    pub fn max_io(&self) -> usize {
        lock(&self.sim.state).maxio as usize
    }

    /// Reads `len` bytes, at most [`Disk::max_io`].
    pub fn read(&self, block: u64, len: usize) -> Result<Vec<u8>, Completion> {
        self.io(2, block, vec![0xcc; len], false)
    }

    /// Writes bytes, at most [`Disk::max_io`].
    pub fn write(&self, block: u64, data: Vec<u8>) -> Result<(), Completion> {
        self.io(1, block, data, true).map(|_| ())
    }

    /// Write Zeroes.
    pub fn zero(&self, block: u64, blocks: u16) -> Result<(), Completion> {
        let mut sqe = crate::pdu::sqe(8, 0, 0, false);
        sqe[1] = 0;
        sqe[4..8].copy_from_slice(&self.nsid.to_le_bytes());
        sqe[40..48].copy_from_slice(&block.to_le_bytes());
        sqe[48..50].copy_from_slice(&(blocks - 1).to_le_bytes());
        self.run(sqe, Vec::new(), false).map(drop)
    }

    /// Flushes.
    pub fn flush(&self) -> Result<(), Completion> {
        self.io(0, 0, Vec::new(), false).map(|_| ())
    }

    /// Flushes all namespaces of its controller, as a passthrough command of this disk may.
    pub fn flush_all(&self) -> Result<(), Completion> {
        let mut sqe = crate::pdu::sqe(0, 0, 0, false);
        sqe[1] = 0;
        sqe[4..8].fill(0xff);
        self.run(sqe, Vec::new(), false).map(drop)
    }

    /// Whether its controller still has it.
    pub fn is_alive(&self) -> bool {
        let st = lock(&self.sim.state);
        !st.destroyed && st.disks.contains_key(&self.nsid)
    }

    /// Commands with the SIM, and commands that wait for it.
    pub fn pending(&self) -> (u32, usize) {
        let st = lock(&self.sim.state);
        (st.running, st.waiting.len())
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_create(
    params: *const nvrs_sim_params,
    simp: *mut *mut nvrs_sim,
) -> c_int {
    may_sleep("cam_sim_alloc");
    // SAFETY: the caller's parameters.
    let p = unsafe { &*params };
    // SAFETY: a string of the caller's.
    let name = unsafe { CStr::from_ptr(p.name) };
    let sim = Arc::new(Sim {
        name: name.to_string_lossy().into_owned(),
        io: p.io,
        arg: AtomicPtr::new(p.arg),
        max_trans: p.max_trans,
        state: Mutex::new(SimState {
            nn: p.nn,
            maxio: p.maxio,
            ..SimState::default()
        }),
        changed: Condvar::new(),
    });
    lock(&SIMS).push(sim.clone());
    // SAFETY: the caller's storage.
    unsafe { *simp = give(Kind::HostObject, sim) };
    0
}

/// # Safety
///
/// `s` is a SIM of the caller's.
unsafe fn sim<'a>(s: *mut nvrs_sim, what: &str) -> &'a Arc<Sim> {
    // SAFETY: the caller's promise.
    unsafe { object(s, what) }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_update(s: *mut nvrs_sim, nn: u32, maxio: u32) {
    // SAFETY: a SIM of the caller's.
    let mut st = lock(&unsafe { sim(s, "nvrs_sim_update") }.state);
    st.nn = nn;
    st.maxio = maxio;
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_lost(s: *mut nvrs_sim) {
    may_sleep("xpt_async");
    // SAFETY: a SIM of the caller's.
    let sim = unsafe { sim(s, "xpt_async") };
    let waiting = {
        let mut st = lock(&sim.state);
        st.disks.clear();
        st.running += st.waiting.len() as u32;
        std::mem::take(&mut st.waiting)
    };
    for c in waiting {
        finish(
            c,
            Completion {
                outcome: NVRS_CCB_GONE,
                cqe: [0; 16],
            },
        );
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_destroy(s: *mut nvrs_sim) {
    may_sleep("cam_sim_free");
    // SAFETY: a SIM of the caller's.
    let m = unsafe { sim(s, "cam_sim_free") }.clone();
    lock(&SIMS).retain(|o| !Arc::ptr_eq(o, &m));
    let end = Instant::now() + PATIENCE;
    let mut st = lock(&m.state);
    st.destroyed = true;
    while st.running != 0 || st.refs != 0 || !st.waiting.is_empty() {
        if Instant::now() > end {
            die(&format!(
                "a SIM is destroyed with {} CCBs, {} waiting, {} references, frozen {}",
                st.running,
                st.waiting.len(),
                st.refs,
                st.frozen
            ));
        }
        let r = m.changed.wait_timeout(st, Duration::from_millis(50));
        st = r.unwrap_or_else(PoisonError::into_inner).0;
    }
    drop(st);
    // SAFETY: nothing refers to it any more, and its owner gives it up.
    unsafe { take::<Arc<Sim>, _>(Kind::HostObject, s, "cam_sim_free") }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_freeze(s: *mut nvrs_sim) {
    // SAFETY: a SIM of the caller's.
    lock(&unsafe { sim(s, "xpt_freeze_simq") }.state).frozen += 1;
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_release(s: *mut nvrs_sim) {
    // SAFETY: a SIM of the caller's.
    let sim = unsafe { sim(s, "xpt_release_simq") };
    {
        let mut st = lock(&sim.state);
        match st.frozen.checked_sub(1) {
            Some(n) => st.frozen = n,
            None => die("xpt_release_simq: the queue is not frozen"),
        }
    }
    sim.dispatch();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_sim_rescan(s: *mut nvrs_sim, nsid: u32) -> c_int {
    // SAFETY: a SIM of the caller's.
    let sim = unsafe { sim(s, "xpt_rescan") };
    {
        let mut st = lock(&sim.state);
        if nsid > st.nn {
            return sys::ffi::NVRS_RESCAN_NO_PATH as c_int;
        }
        st.told.push(nsid);
        let refuse = |n: u32| n.checked_sub(1);
        if (REFUSALS.fetch_update(Ordering::AcqRel, Ordering::Acquire, refuse)).is_ok() {
            return sys::ffi::NVRS_RESCAN_NO_CCB as c_int;
        }
        st.refs += 1;
    }
    enqueue(1, Job::Scan(sim.clone(), nsid));
    0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_sqe(c: *const nvrs_ccb, sqe: *mut u8) {
    // SAFETY: the caller's CCB and 64 bytes.
    unsafe {
        let b = object::<Ccb, _>(c, "nvmeio.cmd");
        ptr::copy_nonoverlapping(b.sqe.as_ptr(), sqe, 64);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_timeout(c: *const nvrs_ccb) -> u32 {
    // SAFETY: the caller's CCB.
    unsafe { object::<Ccb, _>(c, "ccb_h.timeout") };
    CCB_TIMEOUT.load(Ordering::Relaxed)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_nsid(c: *const nvrs_ccb) -> u32 {
    // SAFETY: the caller's CCB.
    unsafe { object::<Ccb, _>(c, "xpt_path_lun_id") }.nsid
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_data(
    c: *mut nvrs_ccb,
    md: *mut nvrs_memdesc,
    write: *mut bool,
) -> u32 {
    // SAFETY: the caller's CCB and storage; its data is the SIM's now.
    unsafe {
        let b = object::<Ccb, _>(c, "memdesc_ccb");
        let data = &mut *b.data.get();
        if data.is_empty() {
            return 0;
        }
        let (p, len) = (data.as_mut_ptr(), data.len());
        if b.unmapped {
            *md = crate::memdesc::pages(p, len);
        } else {
            crate::memdesc::nvrs_memdesc_vaddr(md, p.cast(), len);
        }
        *write = b.write;
        len as u32
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_peek(
    c: *const nvrs_ccb,
    buf: *mut c_void,
    len: u32,
) -> bool {
    // SAFETY: the caller's CCB, whose data is the SIM's now, and len bytes.
    unsafe {
        let b = object::<Ccb, _>(c, "data_ptr");
        let data = &*b.data.get();
        if b.unmapped || data.len() < len as usize {
            return false;
        }
        ptr::copy_nonoverlapping(data.as_ptr(), buf.cast(), len as usize);
    }
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_queued(c: *mut nvrs_ccb) {
    // SAFETY: the caller's CCB.
    let b = unsafe { object::<Ccb, _>(c, "CAM_SIM_QUEUED") };
    b.queued.store(true, Ordering::Release);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_done(
    c: *mut nvrs_ccb,
    outcome: c_int,
    cqe: *const u8,
    direct: bool,
) {
    let mut completion = Completion {
        outcome: outcome as u32,
        cqe: [0; 16],
    };
    // SAFETY: the caller's CCB, and 16 bytes unless NULL.
    unsafe {
        let b = object::<Ccb, _>(c, "xpt_done");
        if lock(&b.done).is_some() {
            die("a CCB is completed twice");
        }
        if !cqe.is_null() {
            completion.cqe = cqe.cast::<[u8; 16]>().read();
        }
    }
    if direct {
        // The owner's callback takes locks of CAM's, and may submit.
        holds_nothing("a direct completion");
        finish(CcbPtr(c), completion);
    } else {
        enqueue(0, Job::Done(CcbPtr(c), completion));
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_next(c: *const nvrs_ccb) -> *mut nvrs_ccb {
    // SAFETY: the caller's CCB.
    unsafe { object::<Ccb, _>(c, "sim_priv") }
        .next
        .load(Ordering::Acquire)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_ccb_set_next(c: *mut nvrs_ccb, next: *mut nvrs_ccb) {
    // SAFETY: the caller's CCB.
    let b = unsafe { object::<Ccb, _>(c, "sim_priv") };
    b.next.store(next, Ordering::Release);
}
