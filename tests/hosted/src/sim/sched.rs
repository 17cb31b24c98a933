// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The scheduler of the simulator: one thread runs at a time, and a seed
//! decides which one after every step.
//!
//! Simulated threads are threads of the operating system that hand a baton to
//! each other. One that does not have it waits; so nothing that happens
//! depends on the operating system's scheduler or on its clock. Time passes a
//! little with every step, and jumps to the next deadline when nobody can run.
//! When there is no deadline either, that is a deadlock: every thread says
//! where it waits, and the process ends.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::brake;
use crate::middle::Rng;

/// A simulated thread.
pub type Tid = usize;

/// How a simulation is scheduled.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Where all randomness comes from.
    pub seed: u64,
    /// A thread that could go on gives way at one of so many steps.
    pub switch_one_in: u64,
    /// The clock jumps at one of so many steps; zero: never.
    pub jump_one_in: u64,
    /// How far it jumps at most, in microseconds.
    pub jump_us: u64,
    /// How often it jumps at most.
    pub jumps: u64,
}

/// More steps than any simulation takes that makes progress.
const STEPS_MAX: u64 = 30_000_000;
/// Longer than any simulation lasts that makes progress: six hours.
const TIME_MAX_US: u64 = 6 * 3600 * 1_000_000;

#[derive(Clone, Copy)]
struct Wait {
    at: usize,
    what: &'static str,
    until: Option<(u64, u64)>,
}

enum State {
    Runnable,
    Waiting(Wait),
    Done,
}

#[derive(Default)]
struct Baton {
    here: AtomicBool,
    thread: OnceLock<std::thread::Thread>,
}

impl Baton {
    fn pass(&self) {
        self.here.store(true, Ordering::Release);
        if let Some(t) = self.thread.get() {
            t.unpark();
        }
    }

    fn await_it(&self) {
        while !self.here.swap(false, Ordering::AcqRel) {
            std::thread::park();
        }
    }
}

struct Thread {
    name: String,
    state: State,
    timed_out: bool,
    baton: Arc<Baton>,
}

struct Scheduler {
    config: Config,
    rng: Rng,
    threads: Vec<Thread>,
    runnable: Vec<Tid>,
    /// Deadlines, with a number that makes them unique.
    timers: BTreeMap<(u64, u64), Tid>,
    /// Waiting threads, first come first.
    waiting: BTreeMap<usize, Vec<Tid>>,
    turns: u64,
    steps: u64,
    jumps: u64,
    hash: u64,
}

static SCHEDULER: Mutex<Option<Scheduler>> = Mutex::new(None);
static NOW: AtomicU64 = AtomicU64::new(0);
static DEADLINE: AtomicU64 = AtomicU64::new(TIME_MAX_US);
/// Threads that are given the baton now say where they are.
static REPORTING: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ME: Cell<Option<Tid>> = const { Cell::new(None) };
}

/// Whether the calling thread is simulated.
#[inline]
pub fn is_simulated() -> bool {
    ME.get().is_some()
}

/// The virtual time in microseconds, for simulated threads.
#[inline]
pub fn now_us() -> Option<u64> {
    ME.get().map(|_| NOW.load(Ordering::Relaxed))
}

/// The processor on which the calling thread is said to be, of so many.
pub fn processor(of: u32) -> Option<u32> {
    // Threads stay on one; the work of a queue is not always on the same.
    ME.get().map(|tid| tid as u32 % of)
}

pub(super) fn me() -> Tid {
    ME.get().expect("a simulated thread")
}

/// Whether a thread's name begins like this.
pub(super) fn name_starts_with(tid: Tid, name: &str) -> bool {
    lock().threads[tid].name.starts_with(name)
}

fn tracing() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    *ON.get_or_init(|| std::env::var_os("SIM_TRACE").is_some())
}

/// The scheduler, locked.
struct Lock(MutexGuard<'static, Option<Scheduler>>);

fn lock() -> Lock {
    Lock(SCHEDULER.lock().unwrap_or_else(PoisonError::into_inner))
}

impl std::ops::Deref for Lock {
    type Target = Scheduler;
    fn deref(&self) -> &Scheduler {
        self.0.as_ref().expect("a simulation")
    }
}

impl std::ops::DerefMut for Lock {
    fn deref_mut(&mut self) -> &mut Scheduler {
        self.0.as_mut().expect("a simulation")
    }
}

impl Scheduler {
    fn note(&mut self, a: u64, b: u64) {
        // FNV-1a over words.
        for w in [a, b] {
            self.hash = (self.hash ^ w).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn pass_time(&mut self) {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            self.stuck("livelock: too many steps");
        }
        let mut now = NOW.load(Ordering::Relaxed) + self.rng.below(3);
        let may_jump = self.config.jump_one_in != 0 && self.jumps < self.config.jumps;
        if may_jump && self.rng.below(self.config.jump_one_in) == 0 {
            self.jumps += 1;
            now += self.rng.below(self.config.jump_us);
            self.note(0xc10c, now);
        }
        if now > DEADLINE.load(Ordering::Relaxed) {
            self.stuck("what should have ended by now has not");
        }
        NOW.store(now, Ordering::Relaxed);
    }

    fn expire(&mut self) {
        let now = NOW.load(Ordering::Relaxed);
        while let Some((&key, &tid)) = self.timers.first_key_value()
            && key.0 <= now
        {
            self.make_runnable(tid, true);
        }
    }

    fn make_runnable(&mut self, tid: Tid, timed_out: bool) {
        let t = &mut self.threads[tid];
        let State::Waiting(w) = std::mem::replace(&mut t.state, State::Runnable) else {
            return;
        };
        t.timed_out = timed_out;
        if let Some(key) = w.until {
            self.timers.remove(&key);
        }
        if let Some(q) = self.waiting.get_mut(&w.at) {
            q.retain(|x| *x != tid);
            if q.is_empty() {
                self.waiting.remove(&w.at);
            }
        }
        self.runnable.push(tid);
    }

    /// Who runs next.
    fn choose(&mut self) -> Tid {
        self.pass_time();
        loop {
            self.expire();
            if !self.runnable.is_empty() {
                break;
            }
            match self.timers.first_key_value() {
                Some((&(when, _), _)) => NOW.store(when, Ordering::Relaxed),
                None => self.stuck("deadlock: nobody can run"),
            }
        }
        let n = self.rng.below(self.runnable.len() as u64) as usize;
        let tid = self.runnable[n];
        self.note(tid as u64, NOW.load(Ordering::Relaxed));
        if tracing() {
            let now = NOW.load(Ordering::Relaxed);
            eprintln!("{now:>10} {tid:>3} {}", self.threads[tid].name);
        }
        tid
    }

    /// Every thread says where it is, and the process ends.
    fn stuck(&mut self, why: &str) -> ! {
        eprintln!("simulator: {why}");
        for (i, t) in self.threads.iter().enumerate() {
            match &t.state {
                // Of those that have nothing to do there are many.
                State::Waiting(_) if t.name.contains("taskq") => {}
                State::Waiting(w) => {
                    eprintln!("thread {i} {:?} waits for {}:", t.name, w.what);
                    REPORTING.store(true, Ordering::Release);
                    t.baton.pass();
                    while REPORTING.load(Ordering::Acquire) {
                        std::thread::yield_now();
                    }
                }
                State::Runnable => eprintln!("thread {i} {:?} can run", t.name),
                State::Done => {}
            }
        }
        super::say_how_to_repeat();
        std::process::abort()
    }
}

/// Waits for the baton.
fn wait_turn(baton: &Baton) {
    loop {
        baton.await_it();
        if !REPORTING.load(Ordering::Acquire) {
            return;
        }
        eprintln!("{}", super::short_backtrace());
        REPORTING.store(false, Ordering::Release);
    }
}

/// Gives the baton to whoever is chosen; returns when it is back.
fn hand_over(mut s: Lock) {
    let next = s.choose();
    if next == me() {
        return;
    }
    let (from, to) = (s.threads[me()].baton.clone(), s.threads[next].baton.clone());
    drop(s);
    to.pass();
    wait_turn(&from);
}

/// A point at which another thread may go on instead.
#[inline]
pub fn point() {
    let Some(me) = ME.get() else {
        return;
    };
    brake::pass(me);
    let mut s = lock();
    let n = s.config.switch_one_in;
    if s.runnable.len() == 1 && s.timers.is_empty() || s.rng.below(n) != 0 {
        s.pass_time();
        return;
    }
    hand_over(s);
}

/// Waits until somebody wakes `at`; true when the time ran out.
pub fn block(at: usize, what: &'static str, time: Option<Duration>) -> bool {
    let timed_out = wait(at, what, time);
    brake::pass(me());
    timed_out
}

/// Waits at a brake.
pub(super) fn stand(at: usize, time: Duration) {
    wait(at, "a brake to be let go", Some(time));
}

fn wait(at: usize, what: &'static str, time: Option<Duration>) -> bool {
    let tid = me();
    let mut s = lock();
    s.turns += 1;
    let until = time.map(|t| {
        let when = NOW.load(Ordering::Relaxed) + t.as_micros() as u64;
        (when, s.turns)
    });
    if let Some(key) = until {
        s.timers.insert(key, tid);
    }
    s.waiting.entry(at).or_default().push(tid);
    s.threads[tid].state = State::Waiting(Wait { at, what, until });
    s.runnable.retain(|x| *x != tid);
    hand_over(s);
    let s = lock();
    s.threads[tid].timed_out
}

/// Wakes one that waits for `at`, whichever.
pub fn wake_one(at: usize) {
    let mut s = lock();
    let Some(n) = s.waiting.get(&at).map(Vec::len) else {
        return;
    };
    let i = s.rng.below(n as u64) as usize;
    let tid = s.waiting[&at][i];
    s.make_runnable(tid, false);
}

/// Wakes all that wait for `at`.
pub fn wake_all(at: usize) {
    let mut s = lock();
    for tid in s.waiting.get(&at).cloned().unwrap_or_default() {
        s.make_runnable(tid, false);
    }
}

/// Waits for a while.
pub fn sleep(time: Duration) {
    // An address of this thread's own.
    let at = 0u8;
    block((&raw const at).addr(), "time to pass", Some(time));
}

/// A call that may sleep: one in some does.
pub fn doze() {
    const ONE_IN: u64 = 150;
    const MOST_US: u64 = 400;
    if let Some(r) = random()
        && (r >> 40).is_multiple_of(ONE_IN)
    {
        sleep(Duration::from_micros((r >> 16) % MOST_US));
    }
}

/// A random number.
pub fn random() -> Option<u64> {
    is_simulated().then(|| lock().rng.number())
}

/// Adds to the trace what happened outside the scheduler.
pub fn note(a: u64, b: u64) {
    if is_simulated() {
        lock().note(a, b);
    }
}

impl Scheduler {
    fn add(&mut self, name: &str) -> Tid {
        let tid = self.threads.len();
        self.threads.push(Thread {
            name: name.into(),
            state: State::Runnable,
            timed_out: false,
            baton: Arc::default(),
        });
        tid
    }
}

/// Makes the body of a new simulated thread, which runs once
/// [`started`] was told of it.
pub fn adopt<F: FnOnce() + Send>(name: &str, body: F) -> (Tid, impl FnOnce() + Send + use<F>) {
    let mut s = lock();
    let tid = s.add(name);
    let baton = s.threads[tid].baton.clone();
    let run = move || {
        ME.set(Some(tid));
        let _ = baton.thread.set(std::thread::current());
        wait_turn(&baton);
        body();
        finish(tid);
    };
    (tid, run)
}

/// The thread exists; from now on it may be chosen.
pub fn started(tid: Tid) {
    let baton = lock().threads[tid].baton.clone();
    // Its first steps, which allocate, are over before anything else happens.
    while baton.thread.get().is_none() {
        std::thread::yield_now();
    }
    lock().runnable.push(tid);
    point();
}

fn joiners(tid: Tid) -> usize {
    // Not the address of anything.
    usize::MAX - tid
}

fn finish(tid: Tid) {
    let mut s = lock();
    s.threads[tid].state = State::Done;
    s.runnable.retain(|x| *x != tid);
    for t in s.waiting.get(&joiners(tid)).cloned().unwrap_or_default() {
        s.make_runnable(t, false);
    }
    let next = s.choose();
    let to = s.threads[next].baton.clone();
    drop(s);
    ME.set(None);
    to.pass();
}

/// Whether a thread has ended.
pub fn is_finished(tid: Tid) -> bool {
    matches!(lock().threads[tid].state, State::Done)
}

/// Waits for a thread's end.
pub fn join(tid: Tid) {
    while !is_finished(tid) {
        block(joiners(tid), "a thread to end", None);
    }
}

/// What a simulation was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// Depends on every decision and on the time of each.
    pub hash: u64,
    /// Scheduling steps.
    pub steps: u64,
    /// Jumps of the clock.
    pub jumps: u64,
    /// Threads there were.
    pub threads: usize,
    /// Virtual time that passed, in microseconds.
    pub time_us: u64,
}

/// Runs `f` as the first thread of a simulation, of which there is one per
/// process: threads that did not end stay where they are.
pub fn simulate<R>(config: Config, f: impl FnOnce() -> R) -> (R, Trace) {
    {
        let mut slot = SCHEDULER.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(slot.is_none(), "one simulation per process");
        let mut s = Scheduler {
            config,
            rng: Rng::new(config.seed),
            threads: Vec::new(),
            runnable: vec![0],
            timers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            turns: 0,
            steps: 0,
            jumps: 0,
            hash: 0xcbf2_9ce4_8422_2325,
        };
        s.add("main");
        let _ = s.threads[0].baton.thread.set(std::thread::current());
        *slot = Some(s);
    }
    ME.set(Some(0));
    let r = f();
    ME.set(None);
    let s = lock();
    let trace = Trace {
        hash: s.hash,
        steps: s.steps,
        jumps: s.jumps,
        threads: s.threads.len(),
        time_us: NOW.load(Ordering::Relaxed),
    };
    (r, trace)
}

/// Every thread says where it is, and the process ends.
pub fn give_up(why: &str) -> ! {
    lock().stuck(why)
}

/// What is under way ends in this time, or every thread says where it is.
pub struct Limit(());

impl Limit {
    /// From now on, until it is dropped; one at a time.
    pub fn new(time: Duration) -> Self {
        let end = NOW.load(Ordering::Relaxed) + time.as_micros() as u64;
        DEADLINE.store(end, Ordering::Relaxed);
        Limit(())
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        DEADLINE.store(TIME_MAX_US, Ordering::Relaxed);
    }
}

/// The clock does not jump from now on.
pub fn stop_jumps() {
    lock().config.jumps = 0;
}
