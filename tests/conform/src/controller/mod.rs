// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Cases for controllers: the tool is the host.

use std::time::Instant;

use crate::case::{About, Outcome, Problem, matches};
use crate::dial::Target;
use crate::report::Record;

mod abuse;
mod admin;
mod connect;
mod digests;
mod discovery;
mod features;
mod headers;
mod io;
mod properties;
mod setup;
mod terminate;
mod transfer;
mod trial;
mod writes;

/// A case.
pub struct Case {
    /// What it is about.
    pub about: About,
    run: fn(&Target) -> Outcome,
}

/// A table of cases: name, rule, clause, what must come, how to find out.
macro_rules! cases {
    ($($name:literal, $rule:literal, $clause:literal, $expected:literal => $run:expr;)*) => {
        pub(super) const CASES: &[$crate::controller::Case] = &[
            $($crate::controller::Case {
                about: $crate::case::About {
                    name: $name,
                    rule: $rule,
                    clause: $clause,
                    expected: $expected,
                },
                run: $run,
            },)*
        ];
    };
}
use cases;

pub use discovery::first_subsystem;

impl Case {
    /// Runs the case alone, without the association afterwards.
    pub fn run(&self, t: &Target) -> Outcome {
        (self.run)(t)
    }
}

/// All cases, in the order in which they run.
pub fn all() -> impl Iterator<Item = &'static Case> {
    [
        setup::CASES,
        headers::CASES,
        digests::CASES,
        writes::CASES,
        transfer::CASES,
        terminate::CASES,
        connect::CASES,
        properties::CASES,
        discovery::CASES,
        admin::CASES,
        features::CASES,
        io::CASES,
        abuse::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Runs the cases whose names match; `told` hears of each as it ends.
pub fn run(t: &Target, pattern: &str, mut told: impl FnMut(&Record)) -> Vec<Record> {
    if t.survey.get().is_none()
        && let Ok(s) = t.explore()
    {
        let _ = t.survey.set(s);
    }
    let mut records = Vec::new();
    for case in all().filter(|c| matches(pattern, c.about.name)) {
        let start = Instant::now();
        let mut outcome = case.run(t);
        // A case that was not tried may still have connected.
        if let Err(Problem::Fail(e)) = t.survives() {
            outcome = match outcome {
                Err(Problem::Fail(why)) => Err(Problem::Fail(format!("{why}; {e}"))),
                _ => Err(Problem::Fail(e)),
            };
        }
        let record = Record {
            about: case.about,
            outcome,
            took: start.elapsed(),
        };
        told(&record);
        records.push(record);
    }
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_tables_complete() {
        let mut names: Vec<&str> = all().map(|c| c.about.name).collect();
        let n = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), n);
        for c in all() {
            let a = c.about;
            assert!(a.name.contains('.'), "{}", a.name);
            assert!(
                !a.rule.is_empty() && !a.clause.is_empty() && !a.expected.is_empty(),
                "{}",
                a.name
            );
        }
    }
}
