// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Reports: text for people, JUnit XML for machines.

use std::fmt::Write;
use std::time::Duration;

use crate::case::{About, Outcome, Problem};

/// What came of a case.
pub struct Record {
    /// The case.
    pub about: About,
    /// What was seen, or why it has not passed.
    pub outcome: Outcome,
    /// How long it took.
    pub took: Duration,
}

/// How many cases passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Skipped.
    pub skipped: usize,
}

impl Totals {
    /// Of these records.
    pub fn of(records: &[Record]) -> Self {
        let mut t = Self::default();
        for r in records {
            match r.outcome {
                Ok(_) => t.passed += 1,
                Err(Problem::Fail(_)) => t.failed += 1,
                Err(Problem::Skip(_)) => t.skipped += 1,
            }
        }
        t
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let n = self.passed + self.failed + self.skipped;
        write!(
            f,
            "{n} cases: {} passed, {} failed, {} skipped",
            self.passed, self.failed, self.skipped
        )
    }
}

/// A case as `--list` shows it.
pub fn listed(a: &About) -> String {
    format!(
        "{:<34} rule {}; {}\n      expected  {}",
        a.name, a.rule, a.clause, a.expected
    )
}

/// A record as text.
pub fn text(r: &Record) -> String {
    let (verdict, seen) = match &r.outcome {
        Ok(s) => ("pass", s),
        Err(Problem::Fail(s)) => ("FAIL", s),
        Err(Problem::Skip(s)) => ("skip", s),
    };
    format!("{verdict}  {}\n      seen      {seen}", listed(&r.about))
}

fn escape(s: &str) -> String {
    let mut out = String::new();
    for c in s.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if (c as u32) < 0x20 => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// All records as JUnit XML.
pub fn junit(suite: &str, records: &[Record]) -> String {
    let t = Totals::of(records);
    let time: Duration = records.iter().map(|r| r.took).sum();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" errors=\"0\" time=\"{:.3}\">",
        escape(suite),
        records.len(),
        t.failed,
        t.skipped,
        time.as_secs_f64()
    );
    for r in records {
        let (group, name) = r.about.name.split_once('.').unwrap_or(("", r.about.name));
        let _ = write!(
            out,
            "  <testcase classname=\"{}.{}\" name=\"{}\" time=\"{:.3}\">",
            escape(suite),
            escape(group),
            escape(name),
            r.took.as_secs_f64()
        );
        let a = &r.about;
        let about = format!("rule {}; {}; expected: {}", a.rule, a.clause, a.expected);
        let _ = match &r.outcome {
            Ok(s) => write!(
                out,
                "<system-out>{}; seen: {}</system-out>",
                escape(&about),
                escape(s)
            ),
            Err(Problem::Fail(s)) => write!(
                out,
                "<failure message=\"{}\">{}</failure>",
                escape(s),
                escape(&about)
            ),
            Err(Problem::Skip(s)) => write!(out, "<skipped message=\"{}\"/>", escape(s)),
        };
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::case::{fail, skip};

    #[test]
    fn a_failure_is_told() {
        let about = About {
            name: "group.case",
            rule: "7",
            clause: "TCP 3.1",
            expected: "a < b",
        };
        let record = |outcome| Record {
            about,
            outcome,
            took: Duration::from_millis(5),
        };
        let all = [
            record(Ok("fine".into())),
            record(fail("\"odd\" & bad")),
            record(skip("no disk")),
        ];
        let t = Totals::of(&all);
        assert_eq!((t.passed, t.failed, t.skipped), (1, 1, 1));
        let xml = junit("controller", &all);
        for part in [
            "tests=\"3\" failures=\"1\" skipped=\"1\"",
            "classname=\"controller.group\" name=\"case\" time=\"0.005\"",
            "<failure message=\"&quot;odd&quot; &amp; bad\">",
            "expected: a &lt; b",
            "<skipped message=\"no disk\"/>",
        ] {
            assert!(xml.contains(part), "{part}: {xml}");
        }
        assert!(text(&all[1]).starts_with("FAIL  group.case"));
    }
}
