// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every case can fail: against a controller of ours that is right it passes,
//! and it fails when a relay spoils one thing of what this controller says.

mod wrong;

use std::cell::OnceCell;
use std::net::SocketAddr;
use std::time::Duration;

use conform::case::Problem;
use conform::controller;
use conform::dial::Target;
use hosted::Kernel;
use hosted::ctl::{self, Lun, Style};
use hosted::system::Port;
use hosted::userland::{Daemon, Options};
use wrong::Wrong;

/// How far back from the end of a case things are spoiled one by one.
const BACK: usize = 24;

/// Cases that only ask whether the controller survives: what must be spoiled
/// for them is the association afterwards.
const SURVIVAL: [&str; 8] = [
    "abuse.icreq-storm",
    "abuse.connect-storm",
    "abuse.cut-everywhere",
    "abuse.leave-with-writes",
    "abuse.many-faults",
    "abuse.silent-connections",
    "abuse.slow-reader",
    "abuse.memory-before-connect",
];

fn target(addr: SocketAddr, nqn: &str, patience: Duration) -> Target {
    let t = Target {
        addr,
        subnqn: nqn.into(),
        discovery: "nqn.2014-08.org.nvmexpress.discovery".into(),
        hostnqn: "nqn.2014-08.org.example:can-fail".into(),
        denied: None,
        patience,
        linger: Duration::from_secs(3),
        read_only: false,
        storm: 50,
        survey: OnceCell::new(),
    };
    let survey = t.explore().expect("a controller");
    t.survey.set(survey).expect("first");
    t
}

#[test]
#[ignore = "a minute or two: make conform runs it"]
fn every_case_for_controllers_fails_against_a_wrong_one() {
    let k = Kernel::boot_all();
    ctl::add_lun(0, Lun::new(16 << 20, Style::default()));
    let nqn = Options::default().subnqn;
    let port = Port::create(&nqn, &[]).expect("a port");
    let daemon = Daemon::start("127.0.0.1:0", 3, &nqn).expect("loopback");
    let relay = Wrong::new(daemon.addr);
    relay.spoil(0);
    // What is right may take its time; what is wrong need not be waited for.
    let target = target(relay.addr, &nqn, Duration::from_secs(3));
    let hasty = self::target(relay.addr, &nqn, Duration::from_millis(250));
    let mut never = Vec::new();
    for case in controller::all() {
        let name = case.about.name;
        // Slow by their nature; what they judge is judged by others as well.
        if matches!(name, "admin.keep-alive-expires" | "header.ends") || SURVIVAL.contains(&name) {
            continue;
        }
        relay.spoil(0);
        match case.run(&target) {
            Err(Problem::Skip(_)) => continue,
            Err(Problem::Fail(e)) => panic!("{name}: {e}"),
            Ok(_) => {}
        }
        let said = relay.said();
        let failed = (0..BACK.min(said)).any(|i| {
            relay.spoil(said - i);
            matches!(case.run(&hasty), Err(Problem::Fail(_)))
        });
        if !failed {
            never.push(name);
        }
    }
    assert!(never.is_empty(), "these cases cannot fail: {never:?}");
    // What every case ends with can fail, too.
    relay.spoil(0);
    target.fresh().expect("a fresh association");
    for n in 1..=relay.said().min(8) {
        relay.spoil(n);
        assert!(hasty.fresh().is_err(), "{n}");
    }
    drop(relay);
    port.remove().expect("removed");
    drop(daemon);
    ctl::remove_lun(0);
    k.shutdown();
}
