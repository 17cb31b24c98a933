// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Associations that end and come back.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::Target;
use hosted::ctl::Style;
use hosted::middle::Middle;
use hosted::os::wait_for;
use hosted::pdu::kind;
use hosted::userland::Options;
use hosted::{Kernel, console, newbus, system, task};

const READ: u8 = 2;
const POISON: u8 = 9;

/// Waits until devd is told of a device, and says how long that took.
fn told(dev: &String, since: Instant) -> Duration {
    while !newbus::take_reconnects().contains(dev) {
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "devd is not told"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
    since.elapsed()
}

/// A controller that was lost, came back and left: nobody waits for the time to
/// give it up.
#[test]
fn no_timer_of_a_loss_outlives_it() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        loss_timeout: 600,
        ..Options::default()
    };
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    system::disk(&dev, 1).expect("a disk");
    system::terminate_all();
    told(&dev, Instant::now());
    system::reconnect(&dev, t.daemon.addr, &o).expect("reconnected");
    system::disconnect_all().expect("disconnected");
    wait_for("timers to end", || task::armed_callouts() == 0);
    t.end();
    k.shutdown();
}

/// A command that ends every association it is sent on.
#[test]
fn a_command_that_ends_associations_is_sent_again_after_pauses_and_never_failed() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    let t = Target::new(Style::default(), 1);
    let bad = Arc::new(AtomicBool::new(true));
    let poison = bad.clone();
    let middle = Middle::meddler(t.daemon.addr, move |raw, down, mut bytes| {
        let read = down && raw.kind() == kind::CMD && raw.header[8] == READ;
        if read && raw.header[48] == POISON && poison.load(Ordering::Acquire) {
            // To the controller no PDU at all, so that it hangs up.
            bytes[0] = 0xff;
        }
        bytes
    })
    .expect("loopback");
    let o = Options {
        reconnect_delay: 1,
        ..Options::default()
    };
    let dev = system::connect(middle.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    disk.write(POISON.into(), vec![5; 512]).expect("written");
    console::take();
    std::thread::scope(|s| {
        let reader = s.spawn(|| disk.read(POISON.into(), 512));
        let mut begin = Instant::now();
        for _ in 0..3 {
            told(&dev, begin);
            assert!(!console::take().iter().any(|l| l.contains("in a row")));
            // What is sent again may end the association before it is made.
            let _ = system::reconnect(&dev, middle.addr, &o);
            begin = Instant::now();
        }
        for round in 4..6 {
            let pause = told(&dev, begin);
            assert!(pause >= Duration::from_millis(900), "{round}: {pause:?}");
            let wanted = format!("{round} associations in a row were short");
            let said = console::take();
            assert!(said.iter().any(|l| l.contains(&wanted)), "{said:?}");
            assert!(!reader.is_finished());
            if round == 5 {
                bad.store(false, Ordering::Release);
            }
            let made = system::reconnect(&dev, middle.addr, &o);
            assert!(round == 4 || made.is_ok(), "{made:?}");
            begin = Instant::now();
        }
        assert_eq!(reader.join().expect("no panic").expect("read"), [5; 512]);
    });
    system::disconnect_all().expect("disconnected");
    drop(middle);
    t.end();
    k.shutdown();
}
