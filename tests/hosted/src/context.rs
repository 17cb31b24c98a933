// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What each thread may do now, and the order in which locks are taken.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::{CStr, c_char};
use std::sync::{Mutex, PoisonError};

/// A broken rule: says so and ends the process, as panic(9) would the kernel.
#[cold]
pub fn die(what: &str) -> ! {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    eprintln!("hosted kernel: panic in thread {name:?}: {what}");
    if std::env::var("RUST_BACKTRACE").as_deref() != Ok("0") {
        eprintln!("{}", std::backtrace::Backtrace::force_capture());
    }
    crate::sim::say_how_to_repeat();
    std::process::abort()
}

/// The class of a lock: its name, as WITNESS has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Class(u32);

struct Held {
    at: usize,
    class: Class,
    mutex: bool,
}

#[derive(Default)]
struct Context {
    held: Vec<Held>,
    no_sleep: Vec<&'static str>,
    /// Orders that the global table is known to have.
    seen: HashSet<(Class, Class)>,
}

thread_local! {
    static CONTEXT: RefCell<Context> = RefCell::default();
}

#[derive(Default)]
struct Order {
    names: Vec<String>,
    by_name: HashMap<String, Class>,
    after: HashMap<Class, HashSet<Class>>,
}

static ORDER: Mutex<Option<Order>> = Mutex::new(None);

fn with_order<R>(f: impl FnOnce(&mut Order) -> R) -> R {
    let mut order = ORDER.lock().unwrap_or_else(PoisonError::into_inner);
    f(order.get_or_insert_default())
}

impl Order {
    fn name(&self, c: Class) -> &str {
        self.names.get(c.0 as usize).map_or("?", String::as_str)
    }

    fn reaches(&self, from: Class, to: Class) -> bool {
        let mut todo = vec![from];
        let mut done = HashSet::new();
        while let Some(c) = todo.pop() {
            if c == to {
                return true;
            }
            if done.insert(c) {
                todo.extend(self.after.get(&c).into_iter().flatten());
            }
        }
        false
    }
}

/// The class of a name.
///
/// # Safety
///
/// `name` is a NUL-terminated string.
pub unsafe fn class(name: *const c_char) -> Class {
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) }.to_string_lossy();
    with_order(|o| match o.by_name.get(&*name) {
        Some(c) => *c,
        None => {
            let c = Class(o.names.len() as u32);
            o.names.push(name.to_string());
            o.by_name.insert(name.to_string(), c);
            c
        }
    })
}

/// The name of a class.
pub fn name_of(c: Class) -> String {
    with_order(|o| o.name(c).to_owned())
}

/// The context of this thread allows it to sleep; in a simulation it does now
/// and then.
pub fn may_sleep(what: &str) {
    check_sleep(what);
    crate::sim::sched::doze();
}

/// The same, where the sleep comes later.
pub fn check_sleep(what: &str) {
    CONTEXT.with_borrow(|c| {
        if let Some(why) = c.no_sleep.last() {
            die(&format!("{what} sleeps in {why}"));
        }
        if let Some(h) = c.held.iter().find(|h| h.mutex) {
            die(&format!(
                "{what} sleeps with mutex {:?} held",
                name_of(h.class)
            ));
        }
    });
}

/// Whether this thread may sleep.
pub fn can_sleep() -> bool {
    CONTEXT.with_borrow(|c| c.no_sleep.is_empty() && !c.held.iter().any(|h| h.mutex))
}

/// Runs `f` in a context that must not sleep.
pub fn no_sleep<R>(why: &'static str, f: impl FnOnce() -> R) -> R {
    CONTEXT.with_borrow_mut(|c| c.no_sleep.push(why));
    let r = f();
    CONTEXT.with_borrow_mut(|c| c.no_sleep.pop());
    r
}

/// Before a lock is waited for: recursion and order.
pub fn before_lock(at: usize, class: Class, mutex: bool) {
    if !mutex {
        may_sleep("sx_xlock");
    }
    CONTEXT.with_borrow_mut(|c| {
        if c.held.iter().any(|h| h.at == at) {
            die(&format!("recursion on lock {:?}", name_of(class)));
        }
        for h in &c.held {
            let edge = (h.class, class);
            if !c.seen.insert(edge) {
                continue;
            }
            with_order(|o| {
                if h.class == class {
                    die(&format!("two locks of class {:?} nested", o.name(class)));
                }
                if o.reaches(class, h.class) {
                    die(&format!(
                        "lock order reversal: {:?} is held while {:?} is taken; \
                         elsewhere it is the other way round",
                        o.name(h.class),
                        o.name(class)
                    ));
                }
                o.after.entry(h.class).or_default().insert(class);
            });
        }
    });
}

/// Runs `f` with a lock of the network stack's held: one that modules never
/// see, but that has its place in the order of theirs.
pub fn with_stack_lock<R>(at: usize, f: impl FnOnce() -> R) -> R {
    // SAFETY: a string literal.
    let class = unsafe { class(c"tcpinp".as_ptr()) };
    before_lock(at, class, true);
    locked(at, class, true);
    let r = f();
    unlocked(at, class);
    r
}

/// A lock was taken.
pub fn locked(at: usize, class: Class, mutex: bool) {
    CONTEXT.with_borrow_mut(|c| c.held.push(Held { at, class, mutex }));
}

/// A lock is released.
pub fn unlocked(at: usize, class: Class) {
    CONTEXT.with_borrow_mut(|c| match c.held.iter().rposition(|h| h.at == at) {
        Some(i) => drop(c.held.remove(i)),
        None => die(&format!(
            "lock {:?} is released by a thread that does not hold it",
            name_of(class)
        )),
    });
}

/// Whether this thread holds the lock.
pub fn holds(at: usize) -> bool {
    CONTEXT.with_borrow(|c| c.held.iter().any(|h| h.at == at))
}

/// A thread, a task or a callback returned to the kernel: it holds nothing.
pub fn holds_nothing(what: &str) {
    CONTEXT.with_borrow(|c| {
        if let Some(h) = c.held.last() {
            die(&format!("{what} returned with {:?} held", name_of(h.class)));
        }
    });
}
