// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Failing allocations that may not wait, by site: the call chain that leads
//! to one. Sites are numbered in the order in which a run comes to them, so a
//! run that fails site `n` is, until then, the run that found it.

use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::{Mutex, PoisonError};

use super::sched;

/// Which allocations fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Failing {
    /// None, and sites are not looked at.
    #[default]
    None,
    /// None, but sites are counted.
    Count,
    /// One in so many, until so many have failed.
    OneIn(u64, u64),
    /// The first of one site.
    Site {
        /// The site.
        number: usize,
        /// How many.
        times: u64,
    },
}

#[derive(Default)]
struct Sites {
    failing: Failing,
    numbers: BTreeMap<u64, usize>,
    failed: u64,
}

static SITES: Mutex<Option<Sites>> = Mutex::new(None);

fn with<R>(f: impl FnOnce(&mut Sites) -> R) -> R {
    let mut s = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    f(s.get_or_insert_default())
}

/// Says which allocations fail from now on.
pub fn set(failing: Failing) {
    with(|s| s.failing = failing);
}

/// How many sites were seen, and how many allocations failed.
pub fn counts() -> (usize, u64) {
    with(|s| (s.numbers.len(), s.failed))
}

/// Return addresses that tell sites apart.
const FRAMES: usize = 12;

struct Walk {
    skip: usize,
    left: usize,
    base: usize,
    hash: u64,
}

unsafe extern "C" {
    fn _Unwind_Backtrace(
        f: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        arg: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

unsafe extern "C" fn frame(context: *mut c_void, arg: *mut c_void) -> c_int {
    const GO_ON: c_int = 0;
    const STOP: c_int = 5;
    // SAFETY: the walk of call_chain(), and the unwinder's context.
    let (w, ip) = unsafe { (&mut *arg.cast::<Walk>(), _Unwind_GetIP(context)) };
    if w.skip != 0 {
        w.skip -= 1;
        return GO_ON;
    }
    // Where the process is loaded does not matter.
    let offset = ip.wrapping_sub(w.base) as u64;
    w.hash = (w.hash ^ offset).wrapping_mul(0x0100_0000_01b3);
    w.left -= 1;
    if w.left == 0 { STOP } else { GO_ON }
}

fn call_chain() -> u64 {
    let mut w = Walk {
        skip: 4,
        left: FRAMES,
        base: (call_chain as fn() -> u64) as usize,
        hash: 0xcbf2_9ce4_8422_2325,
    };
    // SAFETY: the callback gets its own walk.
    unsafe { _Unwind_Backtrace(frame, (&raw mut w).cast()) };
    w.hash
}

/// Whether an allocation of the calling simulated thread fails.
pub fn fails() -> bool {
    let failing = with(|s| s.failing);
    let (fails, number) = match failing {
        Failing::None => return false,
        Failing::OneIn(n, most) => {
            let hit = sched::random().is_some_and(|r| (r >> 16) % n == 0);
            (hit && with(|s| s.failed) < most, None)
        }
        Failing::Count | Failing::Site { .. } => {
            let chain = call_chain();
            with(|s| {
                let next = s.numbers.len();
                let number = *s.numbers.entry(chain).or_insert(next);
                let hit = matches!(failing, Failing::Site { number: n, times }
                    if n == number && s.failed < times);
                (hit, Some(number))
            })
        }
    };
    if fails {
        let nth = with(|s| {
            s.failed += 1;
            s.failed
        });
        sched::note(0xa110c, nth);
        if let (Some(number), 1) = (number, nth) {
            eprintln!("allocation site {number}:\n{}", super::short_backtrace());
        }
    }
    fails
}
