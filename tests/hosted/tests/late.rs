// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A write that comes back from the network when a new association stands
//! already: in virtual time, over a loopback, where sender and receiver share
//! memory until both have let go of it.

use std::time::Duration;

use hosted::os::{self, wait_for};
use hosted::sim::net::{self, Harm, Strike, Weather};
use hosted::sim::plan::Plan;
use hosted::sim::sched;
use hosted::sim::target::{Target, addr};
use hosted::userland::Options;
use hosted::{Kernel, cam, newbus, system};

const BLOCK: usize = 512;
const BYTES: usize = 32 << 10;
/// What of the write arrives, segment after segment, before the network falls silent.
const ARRIVES: u64 = 20 << 10;
/// The host gives the write up after a while.
const HOST_MS: u32 = 500;
/// The controller takes longer to notice.
const CONTROLLER_MS: u32 = 30_000;

/// The operator wants requests to fail without an association. But this one
/// ends when there is one again, and nobody would look for the disk any more.
#[test]
fn a_write_that_comes_back_after_the_reconnect_loses_no_disk() {
    let plan = Plan::small(16);
    sched::simulate(plan.sched, || {
        net::set_weather(Weather {
            loopback: true,
            segment: 1448,
            delay_us: 5_000,
            ..Weather::default()
        });
        let k = Kernel::boot_all();
        newbus::take_reconnects();
        newbus::set_fail_on_disconnection(true);
        let target = Target::new(&plan);
        let options = Options {
            kato: CONTROLLER_MS,
            ddgst: false,
            ..plan.options.clone()
        };
        let first = net::counts().0;
        let name = system::connect(addr(), &options).expect("connected");
        let links = first..net::counts().0;
        let disk = system::disk(&name, 1).expect("a disk");

        // The peers lose sight of each other in the middle of the data.
        let sent = |link| net::traffic().into_iter().find(|t| t.0 == link && t.1);
        let silence = |link| Strike {
            link,
            down: true,
            at: sent(link).map_or(0, |t| t.2) + ARRIVES,
            harm: Harm::Silence,
        };
        net::set_strikes(links.clone().skip(1).map(silence).collect());
        let harmed = net::counts().2;
        cam::set_timeout(HOST_MS);
        let writing = disk.clone();
        let writer = os::spawn("writer", move || {
            writing.write(0, (0..BYTES).map(|i| (i / BLOCK) as u8).collect())
        });
        let writer = writer.expect("a thread");
        wait_for("data to be sent", || net::counts().2 > harmed);
        net::set_strikes(Vec::new());
        net::harm(links, Harm::Silence);

        wait_for("the host to notice", || {
            newbus::take_reconnects().contains(&name)
        });
        system::reconnect(&name, addr(), &options).expect("reconnected");
        os::sleep(Duration::from_millis(100));
        assert!(!writer.is_finished(), "the network has let go of it");

        let written = writer.join().expect("no panic");
        assert!(written.is_ok(), "{written:?}");
        assert!(disk.is_alive(), "the disk is gone");
        let read = disk.read(0, BYTES).expect("read");
        assert!(read.chunks(BLOCK).zip(0..).all(|(b, n)| b == [n; BLOCK]));

        system::disconnect_all().expect("disconnected");
        newbus::set_fail_on_disconnection(false);
        target.end();
        k.shutdown();
    });
}
