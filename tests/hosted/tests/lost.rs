// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Disks that CAM gives up because a command of theirs finds no association:
//! CAM is told when they are back, and of no others.

mod common;

use std::time::Duration;

use common::{Target, cut, pattern};
use hosted::cam::{self, Completion, Disk};
use hosted::ctl::Style;
use hosted::os::wait_for;
use hosted::userland::Options;
use hosted::{Kernel, newbus, system};
use sys::ffi::NVRS_CCB_GONE;

const LUNS: u32 = 3;
const BYTES: usize = 4096;

/// A device with disks that have been written to.
struct Setup {
    kernel: Kernel,
    target: Target,
    dev: String,
    disks: Vec<Disk>,
}

fn data(nsid: u32) -> Vec<u8> {
    pattern(nsid.into(), BYTES)
}

impl Setup {
    fn new() -> Self {
        let kernel = Kernel::boot_all();
        newbus::take_reconnects();
        newbus::set_fail_on_disconnection(true);
        let target = Target::new(Style::default(), LUNS);
        let dev = system::connect(target.daemon.addr, &Options::default()).expect("connected");
        let find = |nsid| system::disk(&dev, nsid).expect("a disk");
        let disks: Vec<_> = (1..=LUNS).map(find).collect();
        for (disk, nsid) in disks.iter().zip(1..) {
            disk.write(0, data(nsid)).expect("written");
        }
        cam::take_told(&dev);
        Self {
            kernel,
            target,
            dev,
            disks,
        }
    }

    fn disk(&self, nsid: u32) -> &Disk {
        &self.disks[nsid as usize - 1]
    }

    fn reconnect(&self) {
        system::reconnect(&self.dev, self.target.daemon.addr, &Options::default())
            .expect("reconnected");
    }

    /// All disks are there, and CAM was told of these.
    fn has_all_and_told(&self, wanted: &[u32]) {
        wait_for("every disk", || self.disks.iter().all(Disk::is_alive));
        for (disk, nsid) in self.disks.iter().zip(1..) {
            assert!(disk.read(0, BYTES).expect("read") == data(nsid), "{nsid}");
        }
        // Whoever had anything to add.
        std::thread::sleep(Duration::from_millis(30));
        let mut told = cam::take_told(&self.dev);
        told.sort();
        assert_eq!(told, wanted);
    }

    fn end(self) {
        system::disconnect_all().expect("disconnected");
        newbus::set_fail_on_disconnection(false);
        self.target.end();
        self.kernel.shutdown();
    }
}

fn is_gone(e: Completion) -> bool {
    e.outcome == NVRS_CCB_GONE
}

#[test]
fn only_disks_that_were_lost_are_told_of() {
    let s = Setup::new();
    for lost in 1..=LUNS {
        cut(&s.dev);
        assert!(is_gone(s.disk(lost).read(0, BYTES).expect_err("no disk")));
        assert!(!s.disk(lost).is_alive());
        s.reconnect();
        s.has_all_and_told(&[lost]);
    }
    cut(&s.dev);
    s.reconnect();
    s.has_all_and_told(&[]);
    s.end();
}

/// The command names all namespaces, but only one disk sent it.
#[test]
fn a_disk_is_lost_whatever_its_command_names() {
    let s = Setup::new();
    cut(&s.dev);
    assert!(is_gone(s.disk(2).flush_all().expect_err("no disk")));
    s.reconnect();
    s.has_all_and_told(&[2]);
    s.end();
}

/// CAM gives a disk up too when it looks at it and gets no answer.
#[test]
fn disks_that_were_looked_at_too_soon_are_told_of() {
    let s = Setup::new();
    cut(&s.dev);
    cam::rescan(&s.dev);
    wait_for("the disks to go", || !s.disks.iter().any(Disk::is_alive));
    s.reconnect();
    s.has_all_and_told(&[1, 2, 3]);
    s.end();
}

#[test]
fn a_disk_that_cam_cannot_be_told_of_waits_for_the_next_association() {
    let s = Setup::new();
    cut(&s.dev);
    s.disk(1).read(0, BYTES).expect_err("no disk");
    cam::refuse_rescans(1);
    s.reconnect();
    wait_for("CAM to be told", || cam::take_told(&s.dev) == [1]);
    cut(&s.dev);
    s.reconnect();
    s.has_all_and_told(&[1]);
    s.end();
}
