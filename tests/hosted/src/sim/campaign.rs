// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Many simulations, each in a process of its own, and what they add up to.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// What a simulation printed: its numbers by name.
pub type Numbers = BTreeMap<String, u64>;

/// How a simulation ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its arguments.
    pub args: Vec<String>,
    /// Its numbers, or what it said when it failed.
    pub result: Result<Numbers, String>,
}

/// The program that simulates, and how many of it run at a time.
#[derive(Clone, Debug)]
pub struct Campaign {
    /// The program.
    pub program: PathBuf,
    /// Processes at a time.
    pub jobs: usize,
    /// No more are started once one has failed.
    pub stop: bool,
}

/// Nothing that differs between two runs of a program.
fn same_every_time(c: &mut Command, cpu: usize) {
    c.env("MALLOC_ARENA_MAX", "1");
    // SAFETY: only system calls between fork and exec.
    unsafe {
        c.pre_exec(move || {
            libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong);
            // Threads hand over to each other faster on one processor.
            let mut set: libc::cpu_set_t = std::mem::zeroed();
            let n = libc::sysconf(libc::_SC_NPROCESSORS_ONLN).max(1) as usize;
            libc::CPU_SET(cpu % n, &mut set);
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
            Ok(())
        });
    }
}

fn parse(stdout: &str) -> Option<Numbers> {
    let words: Vec<&str> = stdout.split_whitespace().collect();
    let (first, pairs) = words.split_first()?;
    if *first != "ok" {
        return None;
    }
    let number = |p: &[&str]| Some((p.first()?.to_string(), p.get(1)?.parse().ok()?));
    pairs.chunks(2).map(number).collect()
}

impl Campaign {
    /// Runs the program once.
    fn run_one(&self, args: &[String], cpu: usize) -> Outcome {
        let mut c = Command::new(&self.program);
        c.args(args);
        same_every_time(&mut c, cpu);
        let result = match c.output() {
            Err(e) => Err(format!("{}: {e}", self.program.display())),
            Ok(o) => {
                let out = String::from_utf8_lossy(&o.stdout).into_owned();
                match parse(&out).filter(|_| o.status.success()) {
                    Some(n) => Ok(n),
                    None => Err(format!(
                        "{}\n{out}{}",
                        o.status,
                        String::from_utf8_lossy(&o.stderr)
                    )),
                }
            }
        };
        Outcome {
            args: args.to_vec(),
            result,
        }
    }

    /// Runs the program with each of these arguments; `each` sees the outcomes
    /// as they come.
    pub fn run(&self, all: &[Vec<String>], each: impl FnMut(&Outcome) + Send) -> Vec<Outcome> {
        let next = AtomicUsize::new(0);
        let failed = AtomicBool::new(false);
        let each = Mutex::new(each);
        let done: Mutex<Vec<(usize, Outcome)>> = Mutex::default();
        std::thread::scope(|s| {
            for cpu in 0..self.jobs {
                let (next, failed, each, done) = (&next, &failed, &each, &done);
                s.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if self.stop && failed.load(Ordering::Relaxed) {
                            return;
                        }
                        let Some(args) = all.get(number) else {
                            return;
                        };
                        let o = self.run_one(args, cpu);
                        failed.fetch_or(o.result.is_err(), Ordering::Relaxed);
                        each.lock().unwrap_or_else(PoisonError::into_inner)(&o);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done.push((number, o));
                    }
                });
            }
        });
        let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        done.sort_by_key(|(number, _)| *number);
        done.into_iter().map(|d| d.1).collect()
    }
}

/// The sum of all numbers of those that succeeded.
pub fn total(outcomes: &[Outcome]) -> Numbers {
    let mut sum = Numbers::new();
    for n in outcomes.iter().filter_map(|o| o.result.as_ref().ok()) {
        for (k, v) in n {
            let e = sum.entry(k.clone()).or_default();
            *e = e.wrapping_add(*v);
        }
    }
    sum
}
