// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Data moves of a controller that cannot be finished: their commands end, all
//! the same.

mod common;

use common::{Target, pair, status};
use hosted::ctl::Style;
use hosted::os::wait_for;
use hosted::pdu::{self, kind};
use hosted::userland::Options;
use hosted::{Kernel, ctl};

#[test]
fn a_read_whose_data_cannot_be_sent_fails() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let (_a, mut q) = pair(&t, &Options::default());
    let f = q.format();
    let mut sqe = pdu::sqe(2, 1, 4096, false);
    sqe[48] = 7;
    hosted::fault::fail_nowait(1);
    q.peer().send(&pdu::command(f, &sqe, &[]).bytes());
    let r = q.peer().expect(kind::RESP);
    hosted::fault::fail_nowait(0);
    assert_eq!((r.u16(20), status(&r)), (1, 0x04), "Data Transfer Error");
    q.peer().send(&pdu::command(f, &sqe, &[]).bytes());
    assert_eq!(q.peer().expect(kind::C2H_DATA).data.len(), 4096);
    t.end();
    k.shutdown();
}

/// The host closes a queue while the device is still at a read of it.
#[test]
fn data_for_a_connection_that_is_gone_ends_its_command() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let (_a, mut q) = pair(&t, &Options::default());
    t.luns[0].hold(true);
    let f = q.format();
    let read = pdu::command(f, &pdu::sqe(2, 1, 512, false), &[]);
    q.peer().send(&read.bytes());
    wait_for("the read", || t.luns[0].held() == 1);
    q.peer().close_write();
    q.peer().expect_end();
    t.luns[0].hold(false);
    wait_for("its end", || ctl::outstanding() == 0);
    t.end();
    k.shutdown();
}

#[test]
fn a_write_whose_data_never_comes_ends_with_its_connection() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let (_a, mut q) = pair(&t, &Options::default());
    let f = q.format();
    let write = pdu::command(f, &pdu::sqe(1, 1, 512, false), &[]);
    q.peer().send(&write.bytes());
    q.peer().expect(kind::R2T);
    assert_eq!(ctl::outstanding(), 1);
    q.peer().close_write();
    wait_for("its end", || ctl::outstanding() == 0);
    t.end();
    k.shutdown();
}

/// There is no memory to ask for its data, and the receiver, who is to end the
/// connection, finds half a header when it hears of that.
#[test]
fn a_write_whose_data_cannot_be_asked_for_ends_the_connection() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let (_a, mut q) = pair(&t, &Options::default());
    t.luns[0].hold(true);
    let f = q.format();
    let write = pdu::command(f, &pdu::sqe(1, 1, 512, false), &[]).bytes();
    q.peer().send(&write);
    wait_for("the write", || t.luns[0].held() == 1);
    q.peer().send(&write[..4]);
    hosted::fault::fail_nowait(1);
    t.luns[0].hold(false);
    q.peer().expect_end();
    hosted::fault::fail_nowait(0);
    t.end();
    k.shutdown();
}
