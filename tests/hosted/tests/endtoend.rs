// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! All four modules in one process: `nvmf`'s disks on `nvmft`'s LUNs, over
//! real TCP connections.

use std::time::{Duration, Instant};

use hosted::ctl::{BLOCK, Lun, Style};
use hosted::system;
use hosted::userland::{Error, Options, Queue};
use hosted::{Kernel, cdev, ctl, newbus};
use sys::Errno;

mod common;
use common::{SIZE, Target, pattern};

#[test]
fn disks_keep_what_is_written() {
    for n in 0..8u8 {
        let k = Kernel::boot_all();
        let style = Style {
            by_reference: n & 1 == 0,
            segment: if n & 2 == 0 { 4096 } else { 0 },
            chunk: if n & 4 == 0 { 128 << 10 } else { 20 << 10 },
            no_sleep: true,
        };
        let t = Target::new(style, 2);
        let o = Options {
            hdgst: n & 1 != 0,
            ddgst: n & 2 != 0,
            flow_control: n & 4 != 0,
            ..Options::default()
        };
        let dev = system::connect(t.daemon.addr, &o).expect("connected");
        assert!(system::associations().contains(&o.hostnqn));
        for nsid in [1, 2] {
            let disk = system::disk(&dev, nsid).expect("a disk");
            assert_eq!((disk.blocks, disk.block), ((SIZE / BLOCK) as u64, 512));
            for (i, blocks) in [1, 7, 16, 17, 128, 2047].into_iter().enumerate() {
                let len = (blocks * BLOCK).min(disk.max_io());
                let at = i as u64 * 2100;
                let data = pattern(at + u64::from(nsid), len);
                disk.write(at, data.clone()).expect("written");
                assert!(t.luns[nsid as usize - 1].contents(at as usize * BLOCK, len) == data);
                assert!(disk.read(at, len).expect("read") == data);
            }
            disk.flush().expect("flushed");
            let e = disk.read(disk.blocks, 512).expect_err("beyond the end");
            assert_eq!(e.cqe[14] >> 1 | e.cqe[15] << 7, 0x80, "LBA out of range");
        }
        system::disconnect_all().expect("disconnected");
        assert!(newbus::devices().is_empty());
        t.end();
        k.shutdown();
    }
}

#[test]
fn a_discovery_service_names_the_subsystem() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 0);
    for (hdgst, ddgst) in [(false, false), (true, true)] {
        let o = Options {
            hdgst,
            ddgst,
            ..Options::default()
        };
        let found = hosted::userland::discover(t.daemon.addr, &o).expect("a log");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].subnqn, o.subnqn);
        assert_eq!(found[0].trsvcid, t.daemon.addr.port().to_string());
    }
    t.end();
    k.shutdown();
}

/// What hosts of other systems ask of a discovery controller, and persistent
/// ones of this.
#[test]
fn a_discovery_controller_has_the_manners_of_one() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 0);
    let o = Options {
        subnqn: hosted::userland::DISCOVERY_NQN.into(),
        kato: 500,
        ..Options::default()
    };
    let mut q = Queue::connect(t.daemon.addr, &o, 0, 0xffff).expect("connected");
    let status = |r: Result<_, Error>| match r {
        Ok(_) => 0,
        Err(Error::Status(_, s)) => s,
        Err(e) => panic!("{e}"),
    };
    let keep_alive = q.sqe(0x18, 0, false);
    assert_eq!(status(q.command("Keep Alive", &keep_alive, &[])), 0x0c);
    q.enable().expect("enabled");
    let id = q.identify().expect("identified");
    assert_eq!((id[111], id[320]), (2, 10), "kind, granularity");
    assert_eq!(u16::from_le_bytes([id[78], id[79]]), q.cntlid);
    assert!(id[768..].starts_with(o.subnqn.as_bytes()));
    let sqe = q.sqe(0x02, 2048, false);
    for (lid, dwords, from, expected) in [
        (0x70u8, 512u32, 0u64, 0),
        (0x70, 512, 1024, 0),
        (0x70, 512, 4096, 0x02),
        (0x70, 511, 0, 0x02),
        (0x02, 512, 0, 0x02),
    ] {
        let mut s = sqe;
        s[40] = lid;
        s[42..46].copy_from_slice(&(dwords - 1).to_le_bytes());
        s[48..56].copy_from_slice(&from.to_le_bytes());
        let r = q.command("Get Log Page", &s, &[]);
        assert_eq!(status(r), expected, "log {lid:#x} of {dwords} from {from}");
    }
    let unknown = q.sqe(0xc0, 0, false);
    assert_eq!(status(q.command("an opcode", &unknown, &[])), 0x01);
    for _ in 0..4 {
        let event = q.sqe(0x0c, 0, false);
        let capsule = hosted::pdu::command(q.format(), &event, &[]);
        assert!(q.peer().send(&capsule.bytes()));
    }
    let fifth = q.sqe(0x0c, 0, false);
    assert_eq!(
        status(q.command("a fifth event request", &fifth, &[])),
        0x105
    );
    assert_eq!(status(q.command("Keep Alive", &keep_alive, &[])), 0);
    q.peer().expect_end();
    assert!(
        Queue::connect(t.daemon.addr, &o, 1, 1).is_err(),
        "an I/O queue"
    );
    t.end();
    k.shutdown();
}

#[test]
fn threads_share_disks() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        ddgst: true,
        ..Options::default()
    };
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    std::thread::scope(|s| {
        for thread in 0..16u64 {
            let disk = disk.clone();
            s.spawn(move || {
                for round in 0..20 {
                    let at = thread * 1000 + round * 40;
                    let data = pattern(at, 512 * (1 + round as usize * 2));
                    disk.write(at, data.clone()).expect("written");
                    assert!(disk.read(at, data.len()).expect("read") == data);
                }
            });
        }
    });
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}

#[test]
fn namespace_nodes_serve_bios() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    let node = cdev::names()
        .into_iter()
        .find(|n| n.starts_with(&dev) && *n != dev);
    let node = node.expect("a namespace's node");
    let data = pattern(5, 100 * BLOCK);
    let len = data.len() as u64;
    cdev::bio(&node, sys::ffi::NVRS_BIO_WRITE, 4096, data.clone(), len).expect("written");
    let got = cdev::bio(
        &node,
        sys::ffi::NVRS_BIO_READ,
        4096,
        vec![0; data.len()],
        len,
    );
    assert!(got.expect("read") == data);
    assert!(t.luns[0].contents(4096, data.len()) == data[..]);
    cdev::bio(&node, sys::ffi::NVRS_BIO_FLUSH, 0, vec![], 0).expect("flushed");
    let r = cdev::bio(
        &node,
        sys::ffi::NVRS_BIO_READ,
        SIZE as u64,
        vec![0; 512],
        512,
    );
    assert!(r.is_err(), "beyond the end");
    let mut size = [0; 8];
    cdev::ioctl(&node, sys::ffi::NVRS_IOC_MEDIASIZE.into(), &mut size).expect("a size");
    assert_eq!(u64::from_ne_bytes(size), SIZE as u64);
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}

/// NVME_PASSTHROUGH_CMD with a buffer of the caller's.
fn pass(node: &str, sqe: &[u8; 64], buf: &mut [u8], read: bool) -> Result<u16, Errno> {
    let mut arg = [0u8; 104];
    arg[..64].copy_from_slice(sqe);
    let at = buf.as_mut_ptr().expose_provenance();
    arg[80..88].copy_from_slice(&at.to_ne_bytes());
    arg[88..92].copy_from_slice(&(buf.len() as u32).to_ne_bytes());
    arg[92..96].copy_from_slice(&u32::from(read).to_ne_bytes());
    cdev::ioctl(node, sys::ffi::NVRS_IOC_PASSTHROUGH.into(), &mut arg)?;
    Ok(u16::from_le_bytes([arg[78], arg[79]]) >> 1 & 0x7ff)
}

#[test]
fn passthrough_moves_data_both_ways() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    let node = format!("{dev}n1");
    let mut sqe = [0u8; 64];
    sqe[0] = 0x06;
    sqe[40] = 1;
    let mut page = vec![0; 4096];
    assert_eq!(pass(&dev, &sqe, &mut page, true), Ok(0));
    assert_eq!(&page[24..31], b"FreeBSD");
    let mut io = [0u8; 64];
    io[4] = 1;
    io[40] = 3;
    io[48] = 7;
    let mut data = pattern(1, 4096);
    io[0] = 1;
    assert_eq!(pass(&node, &io, &mut data, false), Ok(0));
    assert!(t.luns[0].contents(1536, 4096) == data[..]);
    let mut back = vec![0; 4096];
    io[0] = 2;
    assert_eq!(pass(&node, &io, &mut back, true), Ok(0));
    assert!(back == data);
    // Compare; Dataset Management; Verify.
    io[0] = 0x05;
    assert_eq!(pass(&node, &io, &mut data, false), Ok(0));
    let mut other = pattern(2, 4096);
    assert_eq!(pass(&node, &io, &mut other, false), Ok(0x285));
    let mut dsm = [0u8; 64];
    (dsm[0], dsm[4], dsm[40], dsm[44]) = (0x09, 1, 1, 4);
    let mut ranges = [0u8; 32];
    (ranges[4], ranges[8], ranges[20], ranges[24]) = (1, 3, 2, 5);
    assert_eq!(pass(&node, &dsm, &mut ranges, false), Ok(0));
    for (block, zero) in [(3, true), (4, false), (5, true), (6, true), (7, false)] {
        let now = t.luns[0].contents(block * 512, 512).iter().all(|b| *b == 0);
        assert_eq!(now, zero, "block {block}");
    }
    ranges[31] = 1;
    assert_eq!(pass(&node, &dsm, &mut ranges, false), Ok(0x80));
    io[0] = 0x0c;
    assert_eq!(pass(&node, &io, &mut [], false), Ok(0));
    io[0] = 0x02;
    // A length that is not the command's, and one that is absurd.
    assert_ne!(pass(&node, &io, &mut back[..512], true), Ok(0));
    sqe[0] = 0xc5;
    assert_eq!(
        pass(&dev, &sqe, &mut [], false),
        Ok(0x01),
        "an opcode that is not there"
    );
    let mut huge = vec![0; 8 << 20];
    assert!(pass(&dev, &sqe, &mut huge, true).is_err());
    let mut nsid = [0u8; 260];
    cdev::ioctl(&node, sys::ffi::NVRS_IOC_GET_NSID.into(), &mut nsid).expect("an ID");
    assert_eq!((&nsid[..5], nsid[256]), (dev.as_bytes(), 1));
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}

#[test]
fn a_system_that_goes_down_takes_leave() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    disk.write(0, vec![1; 512]).expect("written");
    let start = Instant::now();
    newbus::shut_system_down();
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    let end = Instant::now() + Duration::from_secs(5);
    while system::associations().contains("nqn") && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = system::disconnect_all();
    t.end();
    k.shutdown();
}

#[test]
fn a_host_that_falls_silent_is_given_up() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        kato: 1000,
        ..Options::default()
    };
    // Our host keeps its association alive, a script does not.
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let mut silent = Queue::connect(t.daemon.addr, &o, 0, 0xffff).expect("connected");
    silent.enable().expect("enabled");
    let start = Instant::now();
    let gone = silent.peer().receive_within(Duration::from_secs(8));
    assert!(
        gone.is_err_and(|e| e != hosted::peer::End::Timeout),
        "it is still there"
    );
    assert!(start.elapsed() > Duration::from_millis(900));
    let disk = system::disk(&dev, 1).expect("a disk");
    disk.write(0, vec![1; 512]).expect("the other one is alive");
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}

#[test]
fn namespaces_come_and_go() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    assert!(system::disk(&dev, 1).is_some());
    // More often than there are requests for events.
    for _ in 0..6 {
        let lun = Lun::new(1 << 20, Style::default());
        ctl::add_lun(9, lun);
        let disk = system::disk(&dev, 10).expect("a disk for the new LUN");
        assert_eq!(disk.blocks, 2048);
        ctl::remove_lun(9);
        let end = Instant::now() + Duration::from_secs(5);
        while hosted::cam::wait_disk(&dev, 10, Duration::ZERO).is_some() {
            assert!(Instant::now() < end, "the disk stays");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}

#[test]
fn a_port_that_goes_with_commands_outstanding_ends_them() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    newbus::set_fail_on_disconnection(true);
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    t.luns[0].hold(true);
    let lun = t.luns[0].clone();
    std::thread::scope(|s| {
        for i in 0..8u64 {
            let disk = disk.clone();
            s.spawn(move || disk.read(i, 512).expect_err("the port is gone"));
        }
        let end = Instant::now() + Duration::from_secs(5);
        while lun.held() < 8 {
            assert!(Instant::now() < end, "{} commands arrived", lun.held());
            std::thread::sleep(Duration::from_millis(1));
        }
        let start = Instant::now();
        t.end();
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(ctl::outstanding(), 0);
    });
    newbus::set_fail_on_disconnection(false);
    system::disconnect_all().expect("disconnected");
    k.shutdown();
}

/// Keeps this thread on one processor: its commands go to one queue.
fn stay_on_one_processor() {
    // SAFETY: a set of ours, of the size that is said.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(0, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set);
    }
}

#[test]
fn commands_that_wait_for_a_slot_end_with_the_device() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        qsize: 8,
        queues: 2,
        ..Options::default()
    };
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    t.luns[0].hold(true);
    std::thread::scope(|s| {
        for i in 0..32u64 {
            let disk = disk.clone();
            s.spawn(move || {
                stay_on_one_processor();
                disk.read(i, 512).expect_err("the device is gone")
            });
        }
        let end = Instant::now() + Duration::from_secs(5);
        while t.luns[0].held() < 7 || disk.pending().0 <= 7 {
            assert!(Instant::now() < end, "{:?}", disk.pending());
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(t.luns[0].held(), 7, "as many as the queue has slots");
        system::disconnect_all().expect("disconnected");
    });
    t.luns[0].hold(false);
    t.end();
    k.shutdown();
}

#[test]
fn a_lost_controller_is_reconnected_and_its_commands_go_on() {
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    let t = Target::new(Style::default(), 1);
    let o = Options::default();
    let dev = system::connect(t.daemon.addr, &o).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    disk.write(3, vec![7; 512]).expect("written");
    assert_eq!(system::terminate_all(), 1);
    std::thread::scope(|s| {
        // Sent while there is no association: kept until there is one.
        let reader = s.spawn(|| disk.read(3, 512).expect("read after the reconnect"));
        let end = Instant::now() + Duration::from_secs(5);
        while !newbus::take_reconnects().contains(&dev) {
            assert!(Instant::now() < end, "devd was not told");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(!reader.is_finished());
        let o = Options {
            hdgst: true,
            queues: 1,
            ..o.clone()
        };
        system::reconnect(&dev, t.daemon.addr, &o).expect("reconnected");
        assert_eq!(reader.join().expect("a result"), [7; 512]);
    });
    system::disconnect_all().expect("disconnected");
    t.end();
    k.shutdown();
}

#[test]
fn a_controller_that_stays_lost_is_given_up() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    let o = Options {
        loss_timeout: 1,
        ..Options::default()
    };
    system::connect(t.daemon.addr, &o).expect("connected");
    system::terminate_all();
    let end = Instant::now() + Duration::from_secs(8);
    while !newbus::devices().is_empty() {
        assert!(Instant::now() < end, "the device stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(system::disconnect_all(), Err(Errno::ENOENT));
    t.end();
    k.shutdown();
}

#[test]
fn connecting_again_and_again_leaves_nothing() {
    let k = Kernel::boot_all();
    let t = Target::new(Style::default(), 1);
    for _ in 0..20 {
        let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
        let disk = system::disk(&dev, 1).expect("a disk");
        disk.write(0, vec![1; 4096]).expect("written");
        system::disconnect_all().expect("disconnected");
    }
    t.end();
    k.shutdown();
}

#[test]
fn disconnecting_during_traffic_ends_every_command() {
    let k = Kernel::boot_all();
    for round in 0..10u64 {
        let t = Target::new(Style::default(), 1);
        let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
        let disk = system::disk(&dev, 1).expect("a disk");
        std::thread::scope(|s| {
            for i in 0..8u64 {
                let disk = disk.clone();
                s.spawn(move || {
                    for n in 0..1000 {
                        let at = i * 100;
                        let r = if (n + i) % 2 == 0 {
                            disk.write(at, vec![1; 32 << 10])
                        } else {
                            disk.read(at, 32 << 10).map(|_| ())
                        };
                        if r.is_err() {
                            return;
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(3 * round));
            let start = Instant::now();
            system::disconnect_all().expect("disconnected");
            assert!(start.elapsed() < Duration::from_secs(5));
        });
        t.end();
    }
    k.shutdown();
}
