// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! `rules.txt` is whole: every rule and class of attack has a case or a test
//! that exists, and every case stands where its rule is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use conform::{controller, host};

/// The rules are numbered from 1 to this.
const RULES: u32 = 119;

/// A line of the table.
struct Row {
    roles: &'static str,
    /// Cases as `c:NAME` and `h:NAME`, tests as `PATH#TEXT`; or one reason.
    shown: Vec<&'static str>,
}

fn table() -> BTreeMap<&'static str, Row> {
    let mut rows = BTreeMap::new();
    for line in include_str!("../rules.txt").lines() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let fields: Vec<&str> = line.split('|').map(str::trim).collect();
        let [key, roles, what, shown] = fields[..] else {
            panic!("not four fields: {line}");
        };
        assert!(["T", "H", "TH"].contains(&roles), "whose rule: {line}");
        assert!(!what.is_empty() && !shown.is_empty(), "{line}");
        let shown = match shown.strip_prefix('-') {
            Some(why) => {
                assert!(why.len() > 20, "no reason: {line}");
                Vec::new()
            }
            None => shown.split_whitespace().collect(),
        };
        let row = Row { roles, shown };
        assert!(rows.insert(key, row).is_none(), "{key} twice");
    }
    rows
}

/// The cases, as the table names them, and the rules that they name.
fn cases() -> BTreeMap<String, &'static str> {
    let c = controller::all().map(|c| (format!("c:{}", c.about.name), c.about.rule));
    let h = host::all().map(|c| (format!("h:{}", c.about.name), c.about.rule));
    c.chain(h).collect()
}

#[test]
fn no_rule_is_missing() {
    let rows = table();
    for n in 1..=RULES {
        assert!(rows.contains_key(n.to_string().as_str()), "rule {n}");
    }
}

#[test]
fn what_is_named_exists() {
    let cases = cases();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for (key, row) in table() {
        for name in &row.shown {
            let Some((path, text)) = name.split_once('#') else {
                assert!(cases.contains_key(*name), "{key}: no case {name}");
                continue;
            };
            let file = std::fs::read_to_string(root.join(path)).expect(path);
            assert!(file.contains(text), "{key}: no {text} in {path}");
        }
    }
}

#[test]
fn each_end_has_something_that_shows_it() {
    for (key, row) in table() {
        let of = |role| row.shown.iter().any(|s| s.starts_with(role));
        let elsewhere = row.shown.iter().any(|s| s.contains('#'));
        for (role, cases) in [('T', "c:"), ('H', "h:")] {
            let wanted = row.roles.contains(role) && !row.shown.is_empty();
            assert!(
                !wanted || of(cases) || elsewhere,
                "{key}: nothing for {role}"
            );
            assert!(
                row.roles.contains(role) || !of(cases),
                "{key} is no rule for {role}"
            );
        }
    }
}

#[test]
fn every_case_stands_where_its_rule_is() {
    let rows = table();
    let named: BTreeSet<&str> = rows.values().flat_map(|r| r.shown.clone()).collect();
    for (case, rule) in cases() {
        assert!(named.contains(case.as_str()), "{case} is nowhere");
        if !rule.starts_with("class: ") {
            let row = rows
                .get(rule)
                .unwrap_or_else(|| panic!("{case}: rule {rule}"));
            assert!(
                row.shown.contains(&case.as_str()),
                "{case} is not under {rule}"
            );
        }
    }
}
