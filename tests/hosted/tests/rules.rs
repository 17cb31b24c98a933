// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The hosted kernel ends the process when a module breaks a rule. Each test
//! runs itself again as a process that breaks one.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use hosted::Kernel;
use hosted::kernel::can_sleep;
use sys::mem::{KArc, KBuf};
use sys::sync::{Condvar, Mutex, Sx};
use sys::task::{Callout, CalloutHandler, Task, TaskHandler, TaskQueue};
use sys::{CanSleep, Wait};

const MARK: &str = "HOSTED_RULE";

/// Runs `f` in a process of its own, which must end with these words.
fn dies(test: &str, words: &str, f: impl FnOnce()) {
    if std::env::var(MARK).as_deref() == Ok(test) {
        f();
        std::process::exit(0);
    }
    let exe = std::env::current_exe().expect("this program");
    let out = Command::new(exe)
        .args(["--exact", test, "--nocapture"])
        .env(MARK, test)
        .env("RUST_BACKTRACE", "0")
        .env("HOSTED_SETTLE_MS", "100")
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success(), "nothing was noticed");
    assert!(text.contains(words), "{text}");
}

fn wait<'a>() -> Wait<'a> {
    Wait::Sleep(can_sleep())
}

/// A context that claims more than it may.
fn claim<'a>() -> CanSleep<'a> {
    // SAFETY: not true, which is what the tests are about.
    unsafe { CanSleep::assert() }
}

#[test]
fn allocating_with_a_mutex_held() {
    dies(
        "allocating_with_a_mutex_held",
        "malloc sleeps with mutex \"a\" held",
        || {
            let m = Mutex::new(c"a", (), wait()).unwrap();
            let _g = m.lock();
            let _ = KBuf::zeroed(1, Wait::Sleep(claim()));
        },
    );
}

#[test]
fn waiting_with_another_mutex_held() {
    dies(
        "waiting_with_another_mutex_held",
        "cv_wait sleeps with mutex \"a\" held",
        || {
            let a = Mutex::new(c"a", (), wait()).unwrap();
            let b = Mutex::new(c"b", (), wait()).unwrap();
            let cv = Condvar::new(c"cv", wait()).unwrap();
            let _a = a.lock();
            let mut b = b.lock();
            cv.wait(&mut b, claim());
        },
    );
}

#[test]
fn recursion() {
    dies("recursion", "recursion on lock \"a\"", || {
        let m = Mutex::new(c"a", (), wait()).unwrap();
        let _g = m.lock();
        let _h = m.lock();
    });
}

#[test]
fn lock_order() {
    dies(
        "lock_order",
        "lock order reversal: \"c\" is held while \"a\"",
        || {
            let a = Mutex::new(c"a", (), wait()).unwrap();
            let b = Mutex::new(c"b", (), wait()).unwrap();
            let c = Mutex::new(c"c", (), wait()).unwrap();
            for (x, y) in [(&a, &b), (&b, &c), (&c, &a)] {
                let _x = x.lock();
                let _y = y.lock();
            }
        },
    );
}

#[test]
fn two_locks_of_a_class() {
    dies("two_locks_of_a_class", "two locks of class \"a\"", || {
        let a = Mutex::new(c"a", (), wait()).unwrap();
        let b = Mutex::new(c"a", (), wait()).unwrap();
        let _a = a.lock();
        let _b = b.lock();
    });
}

#[test]
fn sx_under_a_mutex() {
    dies(
        "sx_under_a_mutex",
        "sx_xlock sleeps with mutex \"a\" held",
        || {
            let a = Mutex::new(c"a", (), wait()).unwrap();
            let s = Sx::new(c"s", (), wait()).unwrap();
            let _a = a.lock();
            let _s = s.write(claim());
        },
    );
}

#[test]
fn double_free() {
    dies(
        "double_free",
        "free of memory that is not allocated",
        || {
            let b = std::mem::ManuallyDrop::new(KBuf::zeroed(9, wait()).unwrap());
            // SAFETY: not safe at all: two owners.
            unsafe {
                drop(std::ptr::read(&*b));
                drop(std::ptr::read(&*b));
            }
        },
    );
}

#[test]
fn writing_beyond_the_end() {
    dies(
        "writing_beyond_the_end",
        "9 bytes were written beyond their end",
        || {
            let mut b = KBuf::zeroed(9, wait()).unwrap();
            // SAFETY: not safe, but inside the red zone.
            unsafe { *b.as_mut_ptr().add(9) = 1 };
        },
    );
}

#[test]
fn writing_after_free() {
    dies("writing_after_free", "written at 3 after free", || {
        let mut b = KBuf::zeroed(9, wait()).unwrap();
        let p = b.as_mut_ptr();
        drop(b);
        // SAFETY: not safe, but quarantined.
        unsafe { *p.add(3) = 1 };
        hosted::mem::check_freed();
    });
}

struct Sleeper {
    timer: Callout<Sleeper, 0>,
}

impl CalloutHandler<0> for Sleeper {
    fn fire(_this: KArc<Self>) {
        sys::time::pause_ms(1, claim());
    }
}

#[test]
fn sleeping_in_a_callout() {
    dies("sleeping_in_a_callout", "pause sleeps in a callout", || {
        let s = Sleeper {
            timer: Callout::new(wait()).unwrap(),
        };
        let s = KArc::new(s, wait()).unwrap();
        s.timer.arm_ms(1, s.clone());
        std::thread::sleep(Duration::from_secs(5));
    });
}

struct Drainer {
    queue: Arc<TaskQueue>,
    task: Task<Drainer, 0>,
}

impl TaskHandler<0> for Drainer {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        this.task.drain(&this.queue, sleep);
    }
}

#[test]
fn a_task_that_drains_itself() {
    dies("a_task_that_drains_itself", "from its own handler", || {
        let queue = Arc::new(TaskQueue::new(c"q", 1, can_sleep()).unwrap());
        let d = Drainer {
            queue: queue.clone(),
            task: Task::new(wait()).unwrap(),
        };
        let d = KArc::new(d, wait()).unwrap();
        d.task.enqueue(&queue, d.clone());
        std::thread::sleep(Duration::from_secs(5));
    });
}

#[test]
fn leaking() {
    dies("leaking", "left behind: [(Memory, 1), (Bytes, 77)]", || {
        let k = Kernel::boot();
        std::mem::forget(KBuf::zeroed(77, wait()).unwrap());
        k.shutdown();
    });
}

#[test]
fn leaking_an_mbuf() {
    dies("leaking_an_mbuf", "left behind: [(Mbuf, 2)]", || {
        let k = Kernel::boot();
        std::mem::forget(sys::mbuf::Mbuf::chain(5000, wait()).unwrap());
        k.shutdown();
    });
}

#[test]
fn a_lock_that_is_kept() {
    struct Body;
    impl sys::task::ThreadBody for Body {
        type Target = Mutex<()>;
        fn body(m: KArc<Mutex<()>>, _sleep: CanSleep<'_>) {
            std::mem::forget(m.lock());
        }
    }
    dies(
        "a_lock_that_is_kept",
        "a thread returned with \"a\" held",
        || {
            let m = KArc::new(Mutex::new(c"a", (), wait()).unwrap(), wait()).unwrap();
            let t = sys::task::Thread::spawn::<Body>(c"t", m.clone(), can_sleep()).unwrap();
            t.join(can_sleep());
        },
    );
}

#[test]
fn a_kernel_thread_that_panics() {
    dies(
        "a_kernel_thread_that_panics",
        "a kernel thread panicked",
        || {
            let t = hosted::os::spawn_kernel("t", || panic!("with these words")).unwrap();
            let _: Result<(), _> = t.join();
        },
    );
}
