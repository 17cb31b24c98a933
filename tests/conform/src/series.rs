// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Cases of either kind, tried one after the other.

use std::time::Instant;

use crate::case::{About, Outcome, Problem, fail, matches};
use crate::report::Record;

/// What cases are tried on: a controller, or where hosts come to.
pub trait Tested {
    /// Its kind of case.
    type Case: 'static;

    /// What a case is about.
    fn about(case: &Self::Case) -> About;

    /// Tries a case.
    fn run_case(&self, case: &Self::Case) -> Outcome;

    /// Whether the peer is as good as before: what every case must leave
    /// behind, also one that could not be tried.
    fn as_before(&self) -> Outcome;
}

/// Runs the cases whose names match; `told` hears of each as it ends.
pub fn run<T: Tested>(
    tested: &T,
    cases: impl Iterator<Item = &'static T::Case>,
    pattern: &str,
    mut told: impl FnMut(&Record),
) -> Vec<Record> {
    let mut records = Vec::new();
    for case in cases {
        let about = T::about(case);
        if !matches(pattern, about.name) {
            continue;
        }
        let start = Instant::now();
        let outcome = match (tested.run_case(case), tested.as_before()) {
            (Err(Problem::Fail(why)), Err(Problem::Fail(e))) => fail(format!("{why}; {e}")),
            (_, Err(Problem::Fail(e))) => fail(e),
            (outcome, _) => outcome,
        };
        let record = Record {
            about,
            outcome,
            took: start.elapsed(),
        };
        told(&record);
        records.push(record);
    }
    records
}

/// Names are unique, and no field of a table is empty.
#[cfg(test)]
pub(crate) fn check_tables(abouts: impl Iterator<Item = About>) {
    let mut names = std::collections::BTreeSet::new();
    for a in abouts {
        assert!(a.name.contains('.') && names.insert(a.name), "{}", a.name);
        for field in [a.rule, a.clause, a.expected] {
            assert!(!field.is_empty(), "{}", a.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::skip;

    /// Cases are their outcomes: in itself, and of the peer afterwards.
    struct Plan;

    impl Tested for Plan {
        type Case = (&'static str, bool);

        fn about(case: &Self::Case) -> About {
            About {
                name: case.0,
                rule: "1",
                clause: "TCP 1",
                expected: "nothing",
            }
        }

        fn run_case(&self, case: &Self::Case) -> Outcome {
            match case {
                (_, true) => fail("wrong"),
                ("a.skip", _) => skip("not here"),
                _ => Ok("right".into()),
            }
        }

        fn as_before(&self) -> Outcome {
            fail("afterwards dead")
        }
    }

    #[test]
    fn a_peer_that_does_not_survive_fails_the_case() {
        let cases = [
            ("a.good", false),
            ("a.bad", true),
            ("a.skip", false),
            ("b", true),
        ];
        let mut heard = 0;
        let all = run(&Plan, Vec::leak(cases.to_vec()).iter(), "a.*", |_| {
            heard += 1
        });
        let outcomes: Vec<_> = all.into_iter().map(|r| r.outcome).collect();
        let wanted = [
            fail("afterwards dead"),
            fail("wrong; afterwards dead"),
            fail("afterwards dead"),
        ];
        assert_eq!((outcomes, heard), (wanted.to_vec(), 3));
    }
}
