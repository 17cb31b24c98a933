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
use wrong::{Fault, Wrong};

/// How far back from the end of a case things are spoiled one by one.
const BACK: usize = 24;

/// Cases that ask whether the controller survives: it fails them if it never
/// gives back what a connection takes.
const SURVIVAL: [&str; 7] = [
    "abuse.icreq-storm",
    "abuse.connect-storm",
    "abuse.cut-everywhere",
    "abuse.leave-with-writes",
    "abuse.many-faults",
    "abuse.silent-connections",
    "abuse.slow-reader",
];

/// Cases about how connections end.
const ENDS: [(&str, Fault); 3] = [
    ("header.ends", Fault::Endless),
    ("admin.keep-alive-expires", Fault::Endless),
    ("abuse.memory-before-connect", Fault::Patient),
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
    relay.spoil(Fault::None);
    // What is right may take its time; what is wrong need not be waited for.
    let target = target(relay.addr, &nqn, Duration::from_secs(3));
    let hasty = self::target(relay.addr, &nqn, Duration::from_millis(250));
    let mut never = Vec::new();
    for case in controller::all() {
        let name = case.about.name;
        relay.spoil(Fault::None);
        match case.run(&target) {
            Err(Problem::Skip(_)) => continue,
            Err(Problem::Fail(e)) => panic!("{name}: {e}"),
            Ok(_) => {}
        }
        let (said, came) = (relay.said(), relay.came());
        let fails = |fault| {
            relay.spoil(fault);
            matches!(case.run(&hasty), Err(Problem::Fail(_)))
        };
        let failed = match ENDS.iter().find(|(n, _)| *n == name) {
            Some((_, fault)) => fails(*fault),
            None if SURVIVAL.contains(&name) => fails(Fault::Slots(came / 2)),
            None => (0..BACK.min(said)).any(|i| fails(Fault::Thing(said - i))),
        };
        if !failed {
            never.push(name);
        }
    }
    assert!(never.is_empty(), "these cases cannot fail: {never:?}");
    // A host that must be refused, and is not.
    relay.spoil(Fault::None);
    let mut lax = self::target(relay.addr, &nqn, Duration::from_secs(3));
    lax.denied = Some(lax.hostnqn.clone());
    let denied = controller::all().find(|c| c.about.name == "connect.denied-host");
    let outcome = denied.expect("a case").run(&lax);
    assert!(matches!(outcome, Err(Problem::Fail(_))), "{outcome:?}");
    // What every case ends with can fail, too.
    relay.spoil(Fault::None);
    target.fresh().expect("a fresh association");
    for n in 1..=relay.said().min(8) {
        relay.spoil(Fault::Thing(n));
        assert!(hasty.fresh().is_err(), "{n}");
    }
    drop(relay);
    port.remove().expect("removed");
    drop(daemon);
    ctl::remove_lun(0);
    k.shutdown();
}
