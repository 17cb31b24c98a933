// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a case is, and what may come of it.

use rawpeer::peer::End;

/// A named case: one rule, what must come of it, and the text that says so.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// `group.name`.
    pub name: &'static str,
    /// The rule's number in the list of rules, or the class of attack.
    pub rule: &'static str,
    /// Document and section.
    pub clause: &'static str,
    /// What must come.
    pub expected: &'static str,
}

/// Why a case has not passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The peer is wrong.
    Fail(String),
    /// The case does not apply, or could not be tried.
    Skip(String),
}

/// What was seen, if that was right.
pub type Outcome = Result<String, Problem>;

/// A failure.
pub fn fail<T>(why: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Fail(why.into()))
}

/// A case that cannot be tried.
pub fn skip<T>(why: impl Into<String>) -> Result<T, Problem> {
    Err(Problem::Skip(why.into()))
}

/// Fails unless a condition holds.
pub fn check(ok: bool, why: impl FnOnce() -> String) -> Result<(), Problem> {
    if ok { Ok(()) } else { fail(why()) }
}

/// How an end reads in a report.
pub fn end_text(e: End) -> &'static str {
    match e {
        End::Closed => "the connection was closed",
        End::Reset => "the connection was reset",
        End::Timeout => "nothing came in time",
        End::Garbage => "what came is no PDU",
    }
}

/// The results of a case's variants.
#[derive(Default)]
pub struct Tally {
    tried: usize,
    wrong: Vec<String>,
    seen: Vec<String>,
}

/// Variants named in a report; the rest is counted.
const NAMED: usize = 3;

impl Tally {
    /// Notes one variant. A variant that cannot be tried ends the case.
    pub fn add(&mut self, name: impl AsRef<str>, r: Outcome) -> Result<(), Problem> {
        self.tried += 1;
        match r {
            Ok(seen) => {
                if !self.seen.contains(&seen) {
                    self.seen.push(seen);
                }
            }
            Err(Problem::Fail(why)) => self.wrong.push(format!("{}: {why}", name.as_ref())),
            Err(e) => return Err(e),
        }
        Ok(())
    }

    /// The outcome of all variants.
    pub fn outcome(self) -> Outcome {
        if self.tried == 0 {
            return skip("no variant applies");
        }
        if self.wrong.is_empty() {
            let more = self.seen.len().saturating_sub(NAMED);
            let mut text = self.seen[..self.seen.len().min(NAMED)].join("; ");
            if more != 0 {
                text += &format!("; and {more} more");
            }
            if self.tried > 1 {
                text = format!("{} variants: {text}", self.tried);
            }
            return Ok(text);
        }
        let n = self.wrong.len();
        let mut text = self.wrong[..n.min(NAMED)].join("; ");
        if n > NAMED {
            text += &format!("; and {} more", n - NAMED);
        }
        fail(format!("{n} of {} variants: {text}", self.tried))
    }
}

/// Whether a name matches a pattern of literal text and `*`.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => {
            let Some(tail) = name.strip_prefix(head) else {
                return false;
            };
            (0..=tail.len()).any(|i| tail.is_char_boundary(i) && matches(rest, &tail[i..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (p, n, wanted) in [
            ("*", "a.b", true),
            ("a.*", "a.b", true),
            ("a.*", "b.a.c", false),
            ("*.b*d", "a.bcd", true),
            ("a", "ab", false),
            ("", "a", false),
        ] {
            assert_eq!(matches(p, n), wanted, "{p} {n}");
        }
    }

    #[test]
    fn one_wrong_variant_fails_a_case() {
        let mut t = Tally::default();
        assert_eq!(t.add("a", Ok("fine".into())), Ok(()));
        assert_eq!(t.add("b", fail("odd")), Ok(()));
        assert_eq!(t.outcome(), fail("1 of 2 variants: b: odd"));
        let mut t = Tally::default();
        assert_eq!(t.add("a", Ok("fine".into())), Ok(()));
        assert_eq!(t.add("b", Ok("fine".into())), Ok(()));
        assert_eq!(t.outcome(), Ok("2 variants: fine".into()));
        assert!(Tally::default().add("a", skip("no")).is_err());
    }
}
