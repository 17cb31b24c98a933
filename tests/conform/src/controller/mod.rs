// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Cases for controllers: the tool is the host.

use crate::case::{About, Outcome};
use crate::dial::Target;
use crate::report::Record;
use crate::series::{self, Tested};

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
pub fn run(t: &Target, pattern: &str, told: impl FnMut(&Record)) -> Vec<Record> {
    if t.survey.get().is_none()
        && let Ok(s) = t.explore()
    {
        let _ = t.survey.set(s);
    }
    series::run(t, all(), pattern, told)
}

impl Tested for Target {
    type Case = Case;

    fn about(case: &Case) -> About {
        case.about
    }

    fn run_case(&self, case: &Case) -> Outcome {
        case.run(self)
    }

    fn as_before(&self) -> Outcome {
        self.survives()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_unique_and_tables_complete() {
        crate::series::check_tables(super::all().map(|c| c.about));
    }
}
