// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Two controllers of one host, of which one is lost for good: in virtual
//! time, so that what hangs is found at once.

use std::ops::Range;
use std::time::Duration;

use hosted::os::{self, Instant};
use hosted::sim::net::{self, Harm};
use hosted::sim::plan::Plan;
use hosted::sim::sched;
use hosted::sim::target::{Target, addr};
use hosted::userland::Options;
use hosted::{Kernel, cam, newbus, system};

/// A device with a disk, and its connections.
fn connect(o: &Options) -> (String, Range<usize>) {
    let first = net::counts().0;
    let name = system::connect(addr(), o).expect("connected");
    let links = first..net::counts().0;
    system::disk(&name, 1).expect("a disk");
    (name, links)
}

/// CAM looks at one device after the other. Its scanner waits for a controller
/// that is silent; the one that is lost has to wait for the scanner. So the
/// silent one has to be torn down meanwhile.
#[test]
fn giving_a_controller_up_does_not_keep_another_from_being_torn_down() {
    let plan = Plan::small(16);
    sched::simulate(plan.sched, || {
        let k = Kernel::boot_all();
        newbus::set_fail_on_disconnection(true);
        let target = Target::new(&plan);
        let lost = Options {
            loss_timeout: 1,
            ..plan.options.clone()
        };
        let silent = Options {
            kato: 2_000,
            ..plan.options.clone()
        };
        let (lost, its_links) = connect(&lost);
        let (silent, silent_links) = connect(&silent);
        net::harm(silent_links, Harm::Silence);
        cam::rescan(&silent);
        cam::rescan(&lost);
        net::harm(its_links, Harm::Reset);
        let start = Instant::now();
        let is_there = |name: &str| newbus::devices().iter().any(|d| d.0 == name);
        while is_there(&lost) {
            assert!(
                start.elapsed() < Duration::from_secs(15),
                "it is never given up"
            );
            os::sleep(Duration::from_millis(10));
        }
        assert!(start.elapsed() > Duration::from_secs(1), "too soon");
        assert!(is_there(&silent), "only one was to be given up");
        system::disconnect_all().expect("disconnected");
        newbus::set_fail_on_disconnection(false);
        target.end();
        k.shutdown();
    });
}
