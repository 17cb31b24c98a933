// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Tours through states that last a moment only: what happens to a controller
//! or to an association is aimed at them.

use sys::ffi::NVRS_IOC_RECONNECT_HOST;

use super::net;
use super::target::addr;
use super::visitors::{CC, SIZES, any_cc, pause_us, rng};
use crate::os::{self, Instant, JoinHandle};
use crate::userland::{Association, Options, Queue};
use crate::{cdev, newbus, system};

/// Writes to CC that come while the one before takes effect, with the end of
/// the association among them.
pub fn of_controllers(o: &Options) {
    for n in 0..50 {
        let Ok(mut q) = Queue::connect(addr(), o, 0, 0xffff) else {
            pause_us(20_000);
            continue;
        };
        let before = [SIZES | 1, SIZES][n % 2];
        q.write_property(CC, before, true);
        let first = [SIZES, SIZES | 1 << 14 | 1, SIZES | 2 << 14][rng(3) as usize];
        q.write_property(CC, first, false);
        for _ in 0..rng(4) {
            q.write_property(CC, [any_cc(), SIZES | 1 << 14][rng(2) as usize], false);
        }
        pause_us(rng(400));
        match rng(4) {
            0 => {}
            1 => net::reset_all(),
            _ => drop(system::terminate_all()),
        }
        // Perhaps its commands come to a controller that has just failed.
        for _ in 0..rng(4) {
            q.write_property(CC, any_cc(), false);
        }
        pause_us(rng(2_000));
    }
    // One that nobody enables.
    if let Ok(_q) = Queue::connect(addr(), o, 0, 0xffff) {
        pause_us(121_000_000);
    }
}

/// Associations that end, are lost and are made again at the same time.
pub fn of_associations(o: &Options) {
    let mut attach_us = 3_000;
    for _ in 0..30 {
        if newbus::devices().is_empty() {
            let start = Instant::now();
            if system::connect(addr(), o).is_ok() {
                attach_us = start.elapsed().as_micros() as u64;
            }
        }
        match rng(8) {
            0 => detach_while_attaching(o, attach_us),
            1 => reconnect_while_disconnecting(o),
            2 => detach_while_disconnecting(),
            3 => detach_while_reconnecting(o),
            4 => reconnect_while_detaching(o),
            5 => loss_while_reconnecting(o, attach_us),
            6 => (0..3).for_each(|_| loss_while_detaching(o)),
            _ => make_and_detach(o, attach_us * (85 + rng(25)) / 100),
        }
    }
}

fn in_background(f: impl FnOnce() + Send + 'static) -> JoinHandle<()> {
    os::spawn("tour", f).expect("a thread")
}

/// Hands queues over, whatever has become of them.
fn hand_over(a: &Association) {
    for (name, _) in newbus::devices() {
        let _ = cdev::ioctl_list(&name, NVRS_IOC_RECONNECT_HOST.into(), &a.packed());
    }
}

fn make_and_detach(o: &Options, after_us: u64) {
    let _ = system::disconnect_all();
    let options = o.clone();
    let maker = in_background(move || drop(system::connect(addr(), &options)));
    pause_us(after_us);
    let _ = system::disconnect_all();
    let _ = maker.join();
}

fn detach_while_attaching(o: &Options, attach_us: u64) {
    make_and_detach(o, rng(attach_us));
}

fn reconnect_while_disconnecting(o: &Options) {
    if let Ok(a) = Association::connect(addr(), o) {
        net::reset_all();
        pause_us(rng(1_500));
        hand_over(&a);
    }
}

fn detach_while_disconnecting() {
    net::reset_all();
    pause_us(rng(1_500));
    let _ = system::disconnect_all();
}

fn detach_while_reconnecting(o: &Options) {
    let reconnect = |detach_after: Option<u64>| {
        net::reset_all();
        pause_us(20_000);
        let a = Association::connect(addr(), o).ok()?;
        let start = Instant::now();
        let again = in_background(move || hand_over(&a));
        if let Some(us) = detach_after {
            pause_us(us);
            let _ = system::disconnect_all();
        }
        let _ = again.join();
        Some(start.elapsed().as_micros() as u64)
    };
    let Some(us) = reconnect(None) else {
        return;
    };
    for percent in [rng(100), 75 + rng(30), 85 + rng(20)] {
        reconnect(Some(us * percent / 100));
        let _ = system::connect(addr(), o);
    }
}

fn reconnect_while_detaching(o: &Options) {
    if let Ok(a) = Association::connect(addr(), o) {
        let end = in_background(|| {
            let _ = system::disconnect_all();
        });
        pause_us(rng(1_500));
        hand_over(&a);
        let _ = end.join();
    }
}

fn loss_while_reconnecting(o: &Options, attach_us: u64) {
    net::reset_all();
    let lost = Instant::now();
    pause_us(600_000 * o.loss_timeout);
    if let Ok(a) = Association::connect(addr(), o) {
        let aim = 1_000_000 * o.loss_timeout + 2_000;
        let aim = aim.saturating_sub(rng(attach_us / 2));
        pause_us(aim.saturating_sub(lost.elapsed().as_micros() as u64));
        hand_over(&a);
    }
}

/// The task of the loss timer waits behind the teardown of another device.
fn loss_while_detaching(o: &Options) {
    if newbus::devices().is_empty() {
        let _ = system::connect(addr(), o);
    }
    net::reset_all();
    let lost = Instant::now();
    pause_us(700_000 * o.loss_timeout);
    let _ = system::connect(addr(), o);
    let aim = (1_000_000 * o.loss_timeout).saturating_sub(rng(800));
    pause_us(aim.saturating_sub(lost.elapsed().as_micros() as u64));
    net::reset_all();
    pause_us(rng(2_500));
    let _ = system::disconnect_all();
}
