// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! taskqueue(9), callout(9), kthread(9).

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use sys::ffi::{nvrs_callout, nvrs_task, nvrs_taskqueue, nvrs_thread};

use crate::context::{die, holds_nothing, may_sleep, no_sleep};
use crate::fault::jitter;
use crate::mem::check_flags;
use crate::object::{Kind, give, object, take};
use crate::os::{self, Condvar, Instant, JoinHandle, Mutex, MutexGuard};

type Handler = Option<unsafe extern "C" fn(*mut c_void)>;

/// A pointer that is passed along for somebody else.
#[derive(Clone, Copy, PartialEq)]
struct Arg(*mut c_void);

// SAFETY: it is not dereferenced here.
unsafe impl Send for Arg {}

const NOTHING: Arg = Arg(std::ptr::null_mut());

fn call(f: Handler, arg: Arg) {
    if let Some(f) = f {
        // SAFETY: the owner of the handler passed the argument for it.
        unsafe { f(arg.0) }
    }
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wait<'a, T>(cv: &Condvar, g: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    cv.wait(g).unwrap_or_else(PoisonError::into_inner)
}

thread_local! {
    /// The queue whose task this thread runs, and the task.
    static RUNNING: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Task {
    run: Handler,
    state: Mutex<TaskState>,
}

struct TaskState {
    queued: bool,
    arg: Arg,
}

struct QueueState {
    waiting: VecDeque<(usize, u64)>,
    /// Runs under way, by the number of their turn.
    running: Vec<(usize, u64)>,
    turns: u64,
    ending: bool,
}

struct Queue {
    state: Mutex<QueueState>,
    work: Condvar,
    done: Condvar,
}

struct TaskQueue {
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Queue {
    fn at(&self) -> usize {
        (&raw const *self).addr()
    }

    fn work(&self) {
        loop {
            let mut st = lock(&self.state);
            let (task, turn) = loop {
                if let Some(t) = st.waiting.pop_front() {
                    break t;
                }
                if st.ending {
                    return;
                }
                st = wait(&self.work, st);
            };
            st.running.push((task, turn));
            drop(st);
            RUNNING.set((self.at(), task));
            jitter();
            let (run, arg) = {
                // SAFETY: a queued task is not freed.
                let t: &Task = unsafe { object(task as *const nvrs_task, "task") };
                let mut ts = lock(&t.state);
                ts.queued = false;
                (t.run, std::mem::replace(&mut ts.arg, NOTHING))
            };
            call(run, arg);
            holds_nothing("a task");
            RUNNING.set((0, 0));
            let mut st = lock(&self.state);
            st.running.retain(|r| *r != (task, turn));
            drop(st);
            self.done.notify_all();
        }
    }

    fn not_from_a_task(&self, what: &str) {
        may_sleep(what);
        if RUNNING.get().0 == self.at() {
            die(&format!("{what} from a task of the same queue"));
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_taskqueue_create(
    name: *const c_char,
    threads: c_int,
) -> *mut nvrs_taskqueue {
    may_sleep("taskqueue_create");
    // SAFETY: a string of the caller's.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    let queue = Arc::new(Queue {
        state: Mutex::new(QueueState {
            waiting: VecDeque::new(),
            running: Vec::new(),
            turns: 0,
            ending: false,
        }),
        work: Condvar::new(),
        done: Condvar::new(),
    });
    let threads = (0..threads)
        .filter_map(|i| {
            let q = queue.clone();
            os::spawn_kernel(&format!("{name} taskq_{i}"), move || q.work()).ok()
        })
        .collect();
    give(
        Kind::TaskQueue,
        TaskQueue {
            queue,
            threads: Mutex::new(threads),
        },
    )
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_taskqueue_free(tq: *mut nvrs_taskqueue) {
    // SAFETY: a queue of the caller's.
    let q = unsafe { object::<TaskQueue, _>(tq, "taskqueue_free") };
    q.queue.not_from_a_task("taskqueue_free");
    lock(&q.queue.state).ending = true;
    q.queue.work.notify_all();
    for t in std::mem::take(&mut *lock(&q.threads)) {
        let _ = t.join();
    }
    // SAFETY: its threads are gone and its owner gives it up.
    unsafe { take::<TaskQueue, _>(Kind::TaskQueue, tq, "taskqueue_free") }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_taskqueue_drain_all(tq: *mut nvrs_taskqueue) {
    // SAFETY: a queue of the caller's.
    let q = unsafe { object::<TaskQueue, _>(tq, "taskqueue_drain_all") };
    q.queue.not_from_a_task("taskqueue_drain_all");
    let mut st = lock(&q.queue.state);
    let until = st.turns;
    let before = |st: &QueueState| {
        let mut all = st.waiting.iter().chain(&st.running);
        all.any(|(_, turn)| *turn <= until)
    };
    while before(&st) {
        st = wait(&q.queue.done, st);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_task_alloc(run: Handler, flags: c_int) -> *mut nvrs_task {
    if !check_flags(flags, "task_alloc") {
        return std::ptr::null_mut();
    }
    give(
        Kind::Task,
        Task {
            run,
            state: Mutex::new(TaskState {
                queued: false,
                arg: NOTHING,
            }),
        },
    )
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_task_free(t: *mut nvrs_task) {
    // SAFETY: a task of the caller's, given up by it.
    unsafe {
        let task = object::<Task, _>(t, "task_free");
        if lock(&task.state).queued {
            die("a task is freed while it is queued");
        }
        take::<Task, _>(Kind::Task, t, "task_free");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_task_enqueue(
    tq: *mut nvrs_taskqueue,
    t: *mut nvrs_task,
    arg: *mut c_void,
) -> bool {
    // SAFETY: objects of the caller's.
    let (q, task) = unsafe {
        (
            object::<TaskQueue, _>(tq, "taskqueue_enqueue"),
            object::<Task, _>(t, "taskqueue_enqueue"),
        )
    };
    {
        let mut ts = lock(&task.state);
        if ts.queued {
            return false;
        }
        ts.queued = true;
        ts.arg = Arg(arg);
    }
    let mut st = lock(&q.queue.state);
    if st.ending {
        die("a task is queued while its queue is being freed");
    }
    st.turns += 1;
    let turn = st.turns;
    st.waiting.push_back((t.addr(), turn));
    drop(st);
    q.queue.work.notify_one();
    jitter();
    true
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_task_drain(tq: *mut nvrs_taskqueue, t: *mut nvrs_task) {
    // SAFETY: objects of the caller's.
    let q = unsafe {
        object::<Task, _>(t, "taskqueue_drain");
        object::<TaskQueue, _>(tq, "taskqueue_drain")
    };
    may_sleep("taskqueue_drain");
    if RUNNING.get().1 == t.addr() {
        die("taskqueue_drain of a task from its own handler");
    }
    let mut st = lock(&q.queue.state);
    let busy = |st: &QueueState| {
        let mut all = st.waiting.iter().chain(&st.running);
        all.any(|(at, _)| *at == t.addr())
    };
    while busy(&st) {
        st = wait(&q.queue.done, st);
    }
}

/// A timer; the clock thread keeps one alive that it runs.
struct Callout {
    run: Handler,
    state: Mutex<CalloutState>,
    idle: Condvar,
}

struct CalloutState {
    arg: Arg,
    /// Which entry of the wheel is ours.
    armed: Option<(Instant, u64)>,
    running: bool,
}

struct Wheel {
    timers: BTreeMap<(Instant, u64), Arc<Callout>>,
    next: u64,
}

struct Clock {
    wheel: Mutex<Wheel>,
    changed: Condvar,
}

/// The softclock thread.
fn clock() -> &'static Clock {
    static CLOCK: OnceLock<Clock> = OnceLock::new();
    static THREAD: std::sync::Once = std::sync::Once::new();
    let clock = CLOCK.get_or_init(|| Clock {
        wheel: Mutex::new(Wheel {
            timers: BTreeMap::new(),
            next: 0,
        }),
        changed: Condvar::new(),
    });
    THREAD.call_once(|| {
        if os::spawn_kernel("softclock", || run_clock(clock)).is_err() {
            die("no clock thread");
        }
    });
    clock
}

fn run_clock(clock: &'static Clock) {
    let mut wheel = lock(&clock.wheel);
    loop {
        let now = Instant::now();
        let Some((&key, _)) = wheel.timers.first_key_value() else {
            wheel = wait(&clock.changed, wheel);
            continue;
        };
        if key.0 > now {
            let r = clock.changed.wait_timeout(wheel, key.0 - now);
            wheel = r.unwrap_or_else(PoisonError::into_inner).0;
            continue;
        }
        let Some(co) = wheel.timers.remove(&key) else {
            continue;
        };
        drop(wheel);
        let fire = {
            let mut st = lock(&co.state);
            (st.armed == Some(key)).then(|| {
                st.armed = None;
                st.running = true;
                std::mem::replace(&mut st.arg, NOTHING)
            })
        };
        if let Some(arg) = fire {
            jitter();
            no_sleep("a callout", || call(co.run, arg));
            holds_nothing("a callout");
            lock(&co.state).running = false;
            co.idle.notify_all();
        }
        drop(co);
        wheel = lock(&clock.wheel);
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_callout_alloc(
    run: Handler,
    flags: c_int,
) -> *mut nvrs_callout {
    if !check_flags(flags, "callout_init") {
        return std::ptr::null_mut();
    }
    give(
        Kind::Callout,
        Arc::new(Callout {
            run,
            state: Mutex::new(CalloutState {
                arg: NOTHING,
                armed: None,
                running: false,
            }),
            idle: Condvar::new(),
        }),
    )
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_callout_free(co: *mut nvrs_callout) {
    // SAFETY: a callout of the caller's, given up by it.
    unsafe {
        let c = object::<Arc<Callout>, _>(co, "callout_free");
        if lock(&c.state).armed.is_some() {
            die("a callout is freed while it is armed");
        }
        take::<Arc<Callout>, _>(Kind::Callout, co, "callout_free");
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_callout_arm(
    co: *mut nvrs_callout,
    ms: u32,
    arg: *mut c_void,
) -> *mut c_void {
    // SAFETY: a callout of the caller's.
    let c = unsafe { object::<Arc<Callout>, _>(co, "callout_reset") };
    let clock = clock();
    let mut wheel = lock(&clock.wheel);
    wheel.next += 1;
    let key = (
        Instant::now() + Duration::from_millis(ms.into()),
        wheel.next,
    );
    let old = {
        let mut st = lock(&c.state);
        if let Some(k) = st.armed.replace(key) {
            wheel.timers.remove(&k);
        }
        std::mem::replace(&mut st.arg, Arg(arg))
    };
    wheel.timers.insert(key, c.clone());
    drop(wheel);
    clock.changed.notify_all();
    old.0
}

fn stop(c: &Callout) -> Arg {
    let mut wheel = lock(&clock().wheel);
    let mut st = lock(&c.state);
    if let Some(k) = st.armed.take() {
        wheel.timers.remove(&k);
    }
    std::mem::replace(&mut st.arg, NOTHING)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_callout_stop(co: *mut nvrs_callout) -> *mut c_void {
    // SAFETY: a callout of the caller's.
    stop(unsafe { object::<Arc<Callout>, _>(co, "callout_stop") }).0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_callout_drain(co: *mut nvrs_callout) -> *mut c_void {
    // SAFETY: a callout of the caller's.
    let c = unsafe { object::<Arc<Callout>, _>(co, "callout_drain") };
    may_sleep("callout_drain");
    let old = stop(c);
    let mut st = lock(&c.state);
    while st.running {
        st = wait(&c.idle, st);
    }
    old.0
}

/// Armed callouts: none at the end of a test.
pub fn armed_callouts() -> usize {
    lock(&clock().wheel).timers.len()
}

struct Thread {
    handle: Mutex<Option<JoinHandle<()>>>,
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_thread_spawn(
    name: *const c_char,
    body: Handler,
    arg: *mut c_void,
    error: *mut c_int,
) -> *mut nvrs_thread {
    may_sleep("kthread_add");
    // SAFETY: a string of the caller's.
    let name = unsafe { CStr::from_ptr(name) }
        .to_string_lossy()
        .into_owned();
    let arg = Arg(arg);
    let spawned = os::spawn_kernel(&name, move || {
        let arg = arg;
        jitter();
        call(body, arg);
        holds_nothing("a thread");
    });
    match spawned {
        Ok(h) => give(
            Kind::Thread,
            Thread {
                handle: Mutex::new(Some(h)),
            },
        ),
        Err(_) => {
            // SAFETY: the caller's storage.
            unsafe { *error = sys::Errno::ENOMEM.code() };
            std::ptr::null_mut()
        }
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_thread_join(t: *mut nvrs_thread) {
    may_sleep("joining a thread");
    // SAFETY: a thread of the caller's.
    let thread = unsafe { object::<Thread, _>(t, "kthread join") };
    match lock(&thread.handle).take() {
        Some(h) if h.thread().id() == std::thread::current().id() => die("a thread joins itself"),
        Some(h) => drop(h.join()),
        None => die("a thread is joined twice"),
    }
    // SAFETY: the thread is gone and its owner gives the handle up.
    unsafe { take::<Thread, _>(Kind::Thread, t, "kthread join") }
}
