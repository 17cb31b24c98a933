// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! States and events of host, controller and transport: what simulations made
//! of each pair.

use std::collections::BTreeMap;
use std::fmt::Write;

use sys::record::Machine;

use super::campaign::Numbers;

/// Pairs that do not come up, and why.
const UNREACHABLE: &[(&str, &[&str], &[&str], &str)] = &[
    (
        "host association",
        &["Connected", "Disconnecting", "Disconnected"],
        &["SetupDone", "SetupFailed"],
        "who owns a set-up reports its end once, and no set-up is under way",
    ),
    (
        "host association",
        &["Attaching", "Connected", "Disconnected", "Reconnecting"],
        &["TornDown"],
        "who owns a teardown reports its end once, and no teardown is under way",
    ),
    (
        "host association",
        &["Attaching"],
        &["LossTimer"],
        "the timer is armed when an association has been lost",
    ),
    (
        "host association",
        &["Attaching"],
        &["Reconnect"],
        "userland cannot name the device before it has its node, which comes last",
    ),
    (
        "host association",
        &["Disconnected"],
        &["Failure"],
        "what could fail was taken down before",
    ),
    (
        "host association",
        &["Detaching"],
        &["Detach"],
        "new-bus detaches a device once",
    ),
    (
        "controller",
        &["ShuttingDown"],
        &["CC.SHN"],
        "CC.SHN is set",
    ),
    (
        "controller",
        &["Disabled", "Enabled", "ShutDown"],
        &["TornDown"],
        "no teardown is under way",
    ),
    (
        "controller",
        &["Terminated"],
        &["TornDown"],
        "the teardown that ended it was the last",
    ),
    (
        "controller",
        &[
            "Disabled",
            "Resetting",
            "ShuttingDown",
            "ShutDown",
            "Failed",
            "Terminated",
        ],
        &["CC.EN=0"],
        "CC.EN is clear in every state but Enabled",
    ),
    ("controller", &["Enabled"], &["CC.EN=1"], "CC.EN is set"),
    (
        "receiver",
        &["Header", "Ended"],
        &["Bytes"],
        "bytes are taken only when they are wanted",
    ),
    (
        "receiver",
        &["Pad", "Data", "Digest", "Ended"],
        &["Begin"],
        "headers are looked at only between PDUs",
    ),
    (
        "receiver",
        &["Pad", "Data", "Digest"],
        &["Fault"],
        "a PDU's faults are found in its header",
    ),
    (
        "receiver",
        &["Ended"],
        &["Fault"],
        "the receive thread returns at the first fault",
    ),
];

/// What happened to a machine.
struct Table {
    name: &'static str,
    states: Vec<&'static str>,
    events: Vec<&'static str>,
    /// By state and event: the states that followed, and how often.
    met: BTreeMap<(usize, usize), BTreeMap<usize, u64>>,
}

fn one<const S: usize, const E: usize>(
    m: &'static Machine<S, E>,
    number: usize,
    sum: &Numbers,
) -> Table {
    let mut t = Table {
        name: m.name,
        states: m.states.to_vec(),
        events: m.events.to_vec(),
        met: BTreeMap::new(),
    };
    for (key, n) in sum {
        let Some(key) = key.strip_prefix(&format!("met:{number}:")) else {
            continue;
        };
        let at: Vec<usize> = key.split(':').filter_map(|w| w.parse().ok()).collect();
        if let [from, event, to] = at[..] {
            *t.met
                .entry((from, event))
                .or_default()
                .entry(to)
                .or_default() += n;
        }
    }
    t
}

fn tables(sum: &Numbers) -> [Table; 3] {
    [
        one(&nvmf::proto::assoc::MET, 0, sum),
        one(&nvmft::proto::controller::MET, 1, sum),
        one(&nvmf_tcp::proto::rx::MET, 2, sum),
    ]
}

/// A state machine whose table there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The host's association.
    Association,
    /// The controller.
    Controller,
}

fn each(of: Of, mut f: impl FnMut(&str, &str, &str, u32)) {
    fn named<const S: usize, const E: usize>(
        m: &Machine<S, E>,
        f: &mut impl FnMut(&str, &str, &str, u32),
    ) {
        m.each(|from, event, to, n| f(m.states[from], m.events[event], m.states[to], n));
    }
    match of {
        Of::Association => named(&nvmf::proto::assoc::MET, &mut f),
        Of::Controller => named(&nvmft::proto::controller::MET, &mut f),
    }
}

/// How often an event met a state in this process.
pub fn met(of: Of, state: &str, event: &str) -> u32 {
    let mut sum = 0;
    each(of, |from, e, _, n| {
        if (from, e) == (state, event) {
            sum += n;
        }
    });
    sum
}

/// How often a state followed another in this process.
pub fn entered(of: Of, state: &str) -> u32 {
    let mut sum = 0;
    each(of, |from, _, to, n| {
        if from != to && to == state {
            sum += n;
        }
    });
    sum
}

/// The pairs that can come up, in the order of the table.
pub fn possible(of: Of) -> Vec<(&'static str, &'static str)> {
    fn all<const S: usize, const E: usize>(
        m: &'static Machine<S, E>,
    ) -> Vec<(&'static str, &'static str)> {
        let pairs = m.states.iter().flat_map(|s| m.events.map(|e| (*s, e)));
        pairs
            .filter(|(s, e)| why_not(m.name, s, e).is_none())
            .collect()
    }
    match of {
        Of::Association => all(&nvmf::proto::assoc::MET),
        Of::Controller => all(&nvmft::proto::controller::MET),
    }
}

/// What happened in this process, as numbers of [`super::campaign`].
pub fn numbers() -> Numbers {
    let mut all = Numbers::new();
    let mut add = |machine: usize, from, event, to, n: u32| {
        all.insert(format!("met:{machine}:{from}:{event}:{to}"), n.into());
    };
    nvmf::proto::assoc::MET.each(|f, e, t, n| add(0, f, e, t, n));
    nvmft::proto::controller::MET.each(|f, e, t, n| add(1, f, e, t, n));
    nvmf_tcp::proto::rx::MET.each(|f, e, t, n| add(2, f, e, t, n));
    all
}

fn why_not(machine: &str, state: &str, event: &str) -> Option<&'static str> {
    let fits = |u: &&(&str, &[&str], &[&str], &'static str)| {
        u.0 == machine && u.1.contains(&state) && u.2.contains(&event)
    };
    UNREACHABLE.iter().find(fits).map(|u| u.3)
}

/// The tables as text.
pub fn report(sum: &Numbers) -> String {
    let mut out = String::new();
    let mut reasons: Vec<&str> = Vec::new();
    for t in tables(sum) {
        let _ = writeln!(out, "\n{}", t.name);
        for (s, state) in t.states.iter().enumerate() {
            for (e, event) in t.events.iter().enumerate() {
                let cell = match (t.met.get(&(s, e)), why_not(t.name, state, event)) {
                    (Some(to), _) => to
                        .iter()
                        .map(|(to, n)| format!("{} x{n}", t.states[*to]))
                        .collect::<Vec<_>>()
                        .join(", "),
                    (None, Some(why)) => {
                        let known = reasons.iter().position(|r| *r == why);
                        let n = known.unwrap_or_else(|| {
                            reasons.push(why);
                            reasons.len() - 1
                        });
                        format!("- [{}]", n + 1)
                    }
                    (None, None) => "NEVER".into(),
                };
                let state = if e == 0 { state } else { "" };
                let _ = writeln!(out, "    {state:<14} {event:<13} {cell}");
            }
        }
    }
    for (n, why) in reasons.iter().enumerate() {
        let _ = writeln!(out, "\n[{}] {why}", n + 1);
    }
    out
}

/// Pairs that can come up, and did not; and those of which it is said that they
/// cannot, and did.
pub fn gaps(sum: &Numbers) -> Vec<String> {
    let mut gaps = Vec::new();
    for t in tables(sum) {
        for (s, state) in t.states.iter().enumerate() {
            for (e, event) in t.events.iter().enumerate() {
                let pair = format!("{}: {event} in {state}", t.name);
                match (t.met.get(&(s, e)), why_not(t.name, state, event)) {
                    (None, None) => gaps.push(format!("{pair} did not come up")),
                    (Some(_), Some(_)) => gaps.push(format!("{pair} did come up")),
                    _ => {}
                }
            }
        }
    }
    gaps
}
