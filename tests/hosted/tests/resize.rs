// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A namespace that is another size when the host looks again.

mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{SIZE, Target, cut};
use hosted::cam::Disk;
use hosted::ctl::{BLOCK, Lun, Style};
use hosted::middle::Middle;
use hosted::pdu::kind;
use hosted::userland::Options;
use hosted::{Kernel, cam, cdev, ctl, newbus, system};

const GET_LOG_PAGE: u8 = 0x02;
const IDENTIFY: u8 = 0x06;
const NAMESPACE: u8 = 0;
const CHANGED_NAMESPACES: u8 = 4;

/// Blocks of the namespace that the controller really has.
const FULL: u64 = (SIZE / BLOCK) as u64;

static BLOCKS: AtomicU64 = AtomicU64::new(0);

/// A controller whose first namespace has [`BLOCKS`] blocks, and which names it whenever any namespace changed.
fn elastic(t: &Target) -> Middle {
    let asked = Mutex::new(Vec::new());
    Middle::meddler(t.daemon.addr, move |raw, down, mut bytes| {
        let mut asked = asked.lock().expect("no panic");
        if down && raw.kind() == kind::CMD {
            match (raw.header[8], raw.header[48], raw.header[12]) {
                (IDENTIFY, NAMESPACE, 1) => asked.push((raw.u16(10), IDENTIFY)),
                (GET_LOG_PAGE, CHANGED_NAMESPACES, _) => asked.push((raw.u16(10), GET_LOG_PAGE)),
                _ => {}
            }
        }
        let page = !down && raw.kind() == kind::C2H_DATA && raw.data.len() == 4096;
        if page && let Some(i) = asked.iter().position(|a| a.0 == raw.u16(8)) {
            let at = bytes.len() - 4096;
            if asked.remove(i).1 == IDENTIFY {
                let blocks = BLOCKS.load(Ordering::Acquire).to_le_bytes();
                bytes[at..at + 8].copy_from_slice(&blocks);
                bytes[at + 8..at + 16].copy_from_slice(&blocks);
            } else {
                bytes[at..at + 4].copy_from_slice(&1u32.to_le_bytes());
            }
        }
        bytes
    })
    .expect("loopback")
}

fn wait_for_size(dev: &str, blocks: u64) {
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let mut size = [0; 8];
        cdev::ioctl(
            &format!("{dev}n1"),
            sys::ffi::NVRS_IOC_MEDIASIZE.into(),
            &mut size,
        )
        .expect("a node");
        let disk = system::disk(dev, 1).map(|d| d.blocks);
        if disk == Some(blocks) && i64::from_ne_bytes(size) as u64 == blocks * BLOCK as u64 {
            return;
        }
        assert!(Instant::now() < end, "{disk:?} and {size:?}, not {blocks}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A host connected to a controller that says half of its namespace: what is between them, the device, the disk.
fn half_a_disk(t: &Target) -> (Middle, String, Disk) {
    BLOCKS.store(FULL / 2, Ordering::Release);
    let middle = elastic(t);
    let dev = system::connect(middle.addr, &Options::default()).expect("connected");
    wait_for_size(&dev, FULL / 2);
    let disk = system::disk(&dev, 1).expect("a disk");
    (middle, dev, disk)
}

#[test]
fn disk_and_node_follow_the_size_after_an_event_and_after_a_reconnect() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    let t = Target::new(Style::default(), 1);
    let (middle, dev, disk) = half_a_disk(&t);
    disk.write(0, vec![3; 512]).expect("written");

    BLOCKS.store(FULL, Ordering::Release);
    ctl::add_lun(7, Lun::new(SIZE, Style::default()));
    wait_for_size(&dev, FULL);
    assert_eq!(disk.read(0, 512).expect("the same disk"), [3; 512]);

    BLOCKS.store(FULL / 4, Ordering::Release);
    cut(&dev);
    system::reconnect(&dev, middle.addr, &Options::default()).expect("reconnected");
    wait_for_size(&dev, FULL / 4);

    system::disconnect_all().expect("disconnected");
    drop(middle);
    ctl::remove_lun(7);
    t.end();
    k.shutdown();
}

/// CAM finds both out with one look, and is not told again of a disk that it has by then.
#[test]
fn a_lost_disk_of_another_size_is_told_of_once() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    newbus::set_fail_on_disconnection(true);
    let t = Target::new(Style::default(), 1);
    let (middle, dev, disk) = half_a_disk(&t);
    cam::take_told(&dev);

    cut(&dev);
    disk.read(0, 512).expect_err("no association");
    BLOCKS.store(FULL, Ordering::Release);
    system::reconnect(&dev, middle.addr, &Options::default()).expect("reconnected");
    wait_for_size(&dev, FULL);
    // Whoever had anything to add.
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(cam::take_told(&dev), [1]);

    newbus::set_fail_on_disconnection(false);
    system::disconnect_all().expect("disconnected");
    drop(middle);
    t.end();
    k.shutdown();
}
