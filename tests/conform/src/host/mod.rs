// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Cases for hosts: the tool is the controller.

use rawpeer::pdu::Builder;

use crate::bench::{Act, Bench, Wish};
use crate::case::{About, Outcome, Problem, Tally, fail};
use crate::judge::Want;
use crate::link::{Cmd, Link};
use crate::report::Record;
use crate::series::{self, Tested};
use crate::sqe::nvm;

mod ends;
mod headers;
mod identify;
mod reads;
mod responses;
mod setup;
mod writes;

/// A case: each variant is an association of its own.
pub struct Case {
    /// What it is about.
    pub about: About,
    wishes: &'static [Wish],
    variants: &'static [(&'static str, Act)],
}

/// A table of cases: name, rule, clause, what must come, associations that it
/// needs, variants.
macro_rules! cases {
    ($($name:literal, $rule:literal, $clause:literal, $expected:literal, $wishes:expr =>
        $(($variant:literal, $act:expr)),+ $(,)?;)*) => {
        pub(super) const CASES: &[$crate::host::Case] = &[
            $($crate::host::Case {
                about: $crate::case::About {
                    name: $name,
                    rule: $rule,
                    clause: $clause,
                    expected: $expected,
                },
                wishes: $wishes,
                variants: &[$(($variant, $act)),+],
            },)*
        ];
    };
}
use cases;

/// Whatever digests the host asks for.
const ANY: &[Wish] = &[Wish {
    digests: None,
    flow_control: None,
}];
/// Without digests, and with both.
const BOTH: &[Wish] = &[digests(0), digests(3)];
/// With header digests.
const HDGST: &[Wish] = &[digests(1)];
/// With data digests.
const DDGST: &[Wish] = &[digests(2)];
/// Without digests.
const PLAIN: &[Wish] = &[digests(0)];
/// With SQ flow control.
const FLOW: &[Wish] = &[flow_control(true)];
/// Without SQ flow control.
const NO_FLOW: &[Wish] = &[flow_control(false)];

const fn flow_control(on: bool) -> Wish {
    Wish {
        digests: None,
        flow_control: Some(on),
    }
}

const fn digests(d: u8) -> Wish {
    Wish {
        digests: Some(d),
        flow_control: None,
    }
}

/// All cases, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        setup::CASES,
        headers::CASES,
        writes::CASES,
        reads::CASES,
        responses::CASES,
        identify::CASES,
        ends::CASES,
    ]
    .into_iter()
    .flatten()
}

impl Case {
    /// Runs the first variant alone, without the association afterwards.
    pub fn run_first(&self, b: &Bench) -> Outcome {
        match (self.wishes.first(), self.variants.first()) {
            (Some(wish), Some((_, act))) => b.try_case(*act, *wish),
            _ => crate::case::skip("no variant"),
        }
    }

    fn run(&self, b: &Bench) -> Outcome {
        let mut tally = Tally::default();
        for wish in self.wishes {
            for (name, act) in self.variants {
                let r = b.try_case(*act, *wish);
                let digests = match wish.digests {
                    None | Some(0) => "",
                    Some(1) => " with header digests",
                    Some(2) => " with data digests",
                    Some(_) => " with digests",
                };
                match r {
                    // Digests are the host's choice.
                    Err(Problem::Skip(_)) if self.wishes.len() > 1 => {}
                    r => tally.add(format!("{name}{digests}"), r)?,
                }
            }
        }
        tally.outcome()
    }
}

/// Runs the cases whose names match; `told` hears of each as it ends.
pub fn run(b: &Bench, pattern: &str, told: impl FnMut(&Record)) -> Vec<Record> {
    series::run(b, all(), pattern, told)
}

impl Tested for Bench {
    type Case = Case;

    fn about(case: &Case) -> About {
        case.about
    }

    fn run_case(&self, case: &Case) -> Outcome {
        case.run(self)
    }

    fn as_before(&self) -> Outcome {
        match self.survives() {
            Err(Problem::Fail(e)) => fail(format!("afterwards: {e}")),
            r => r,
        }
    }
}

fn is_io(l: &Link) -> bool {
    l.qid.is_some_and(|q| q != 0)
}

/// A read that takes its data by C2HData.
fn is_read(l: &Link, c: &Cmd) -> bool {
    is_io(l) && c.opcode() == nvm::READ && !c.inside() && c.len() >= 1024
}

/// A write that waits for an R2T.
fn is_write(l: &Link, c: &Cmd) -> bool {
    is_io(l) && c.opcode() == nvm::WRITE && !c.inside() && c.len() >= 1024
}

/// A write that has its data in the capsule.
fn is_icd_write(l: &Link, c: &Cmd) -> bool {
    is_io(l) && c.opcode() == nvm::WRITE && c.inside()
}

/// Sends a PDU that must not be taken and judges what comes of it.
fn offend(l: &mut Link, b: Builder, want: Want<'_>) -> Option<Outcome> {
    l.put(&b);
    Some(l.fate(&b.header, want))
}

/// On the first command of an I/O queue.
fn on_io(
    l: &mut Link,
    c: &Cmd,
    build: impl FnOnce(&Link, &Cmd) -> Builder,
    want: Want<'_>,
) -> Option<Outcome> {
    if !(is_read(l, c) || is_write(l, c) || is_icd_write(l, c)) {
        return None;
    }
    let b = build(l, c);
    offend(l, b, want)
}

/// On the first read.
fn on_read(
    l: &mut Link,
    c: &Cmd,
    build: impl FnOnce(&Link, &Cmd) -> Builder,
    want: Want<'_>,
) -> Option<Outcome> {
    if !is_read(l, c) {
        return None;
    }
    let b = build(l, c);
    offend(l, b, want)
}

/// On the first write that waits for an R2T.
fn on_write(
    l: &mut Link,
    c: &Cmd,
    build: impl FnOnce(&Link, &Cmd) -> Builder,
    want: Want<'_>,
) -> Option<Outcome> {
    if !is_write(l, c) {
        return None;
    }
    let b = build(l, c);
    offend(l, b, want)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_tables_complete() {
        crate::series::check_tables(all().map(|c| c.about));
        assert!(all().all(|c| !c.variants.is_empty() && !c.wishes.is_empty()));
    }
}
