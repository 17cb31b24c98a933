// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Block devices that fail, take their time and stop halfway: host and
//! controller report each as what it is, and lose nothing.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Target, pattern};
use hosted::blockdev::{Device, Faulty, Op, RamDisk, Rule, SparseFile, What};
use hosted::cam::{Completion, Disk};
use hosted::ctl::{self, Lun, Style};
use hosted::os::wait_for;
use hosted::system::{self, Port};
use hosted::userland::{Daemon, Options};
use hosted::{Kernel, cdev};
use sys::Errno;
use sys::ffi::{NVRS_BIO_FLUSH, NVRS_BIO_READ, NVRS_BIO_WRITE, NVRS_CCB_NVME_ERROR};

const SIZE: usize = 4 << 20;
const EROFS: i32 = 30;
const EDQUOT: i32 = 69;

struct Setup {
    kernel: Kernel,
    target: Target,
    device: Arc<Faulty>,
    disk: Disk,
    node: String,
}

impl Setup {
    fn new(style: Style) -> Self {
        let kernel = Kernel::boot_all();
        let device = Arc::new(Faulty::new(Arc::new(RamDisk::new(SIZE))));
        let lun = Lun::over(device.clone(), style);
        ctl::add_lun(0, lun.clone());
        let nqn = Options::default().subnqn;
        let target = Target {
            port: Port::create(&nqn, &[]).expect("a port"),
            daemon: Daemon::start("127.0.0.1:0", 3, &nqn).expect("loopback"),
            luns: vec![lun],
        };
        let dev = system::connect(target.daemon.addr, &Options::default()).expect("connected");
        Setup {
            disk: system::disk(&dev, 1).expect("a disk"),
            node: format!("{dev}ns1"),
            kernel,
            target,
            device,
        }
    }

    fn end(self) {
        system::disconnect_all().expect("disconnected");
        self.target.end();
        self.kernel.shutdown();
    }

    fn run(&self, op: Op, block: u64) -> Result<(), Completion> {
        match op {
            Op::Read => self.disk.read(block, 8192).map(drop),
            Op::Write => self.disk.write(block, pattern(block, 8192)),
            Op::Flush => self.disk.flush(),
            Op::Zero => self.disk.zero(block, 16),
        }
    }
}

/// SCT << 8 | SC of a command that failed with a status.
fn status(r: Result<(), Completion>) -> u16 {
    let c = r.expect_err("a failure");
    assert_eq!(c.outcome, NVRS_CCB_NVME_ERROR, "{c:?}");
    u16::from_le_bytes([c.cqe[14], c.cqe[15]]) >> 1 & 0x7ff
}

/// Also where success could have been told with the last of the data.
#[test]
fn each_error_of_a_device_arrives_as_its_status() {
    let s = Setup::new(Style::default());
    let errno = |n| Errno::from_code(n).expect("not zero");
    for (op, error, expected) in [
        (Op::Read, Errno::EIO, 0x281),
        (Op::Write, Errno::EIO, 0x280),
        (Op::Flush, Errno::EIO, 0x280),
        (Op::Zero, Errno::EIO, 0x006),
        (Op::Write, Errno::ENOSPC, 0x287),
        (Op::Write, errno(EDQUOT), 0x287),
        (Op::Write, errno(EROFS), 0x020),
        (Op::Zero, Errno::EOPNOTSUPP, 0x001),
        (Op::Read, Errno::ENXIO, 0x281),
    ] {
        s.device.add(Rule::once(op, What::Fail(error)));
        assert_eq!(status(s.run(op, 32)), expected, "{op:?} {error:?}");
        s.run(op, 32).expect("it works again");
    }
    s.end();
}

#[test]
fn nodes_report_errors_as_errno() {
    let s = Setup::new(Style::default());
    let eio = Err(Errno::EIO);
    for (op, bio, len) in [
        (Op::Read, NVRS_BIO_READ, 4096),
        (Op::Write, NVRS_BIO_WRITE, 4096),
        (Op::Flush, NVRS_BIO_FLUSH, 0),
    ] {
        let run = || cdev::bio(&s.node, bio, 4096, vec![0; len], len as u64).map(drop);
        s.device.add(Rule::once(op, What::Fail(Errno::EIO)));
        assert_eq!(run(), eio, "{op:?}");
        assert_eq!(run(), Ok(()), "{op:?}");
    }
    s.end();
}

/// The first chunks of a transfer have been moved already.
#[test]
fn an_error_halfway_fails_the_whole_command() {
    let s = Setup::new(Style {
        chunk: 8192,
        ..Style::default()
    });
    let old = pattern(1, 65536);
    s.disk.write(0, old.clone()).expect("written");
    let halfway = |op| Rule {
        at: 40960..49152,
        ..Rule::once(op, What::Fail(Errno::EIO))
    };
    s.device.add(halfway(Op::Read));
    assert_eq!(status(s.disk.read(0, 65536).map(drop)), 0x281);
    assert!(s.disk.read(0, 65536).expect("read") == old);
    s.device.add(halfway(Op::Write));
    let new = pattern(2, 65536);
    assert_eq!(status(s.disk.write(0, new.clone())), 0x280);
    let now = s.disk.read(0, 65536).expect("read");
    assert!(now[..40960] == new[..40960] && now[40960..] == old[40960..]);
    s.end();
}

#[test]
fn short_transfers_lose_nothing() {
    let s = Setup::new(Style::default());
    for (part, len) in [(512, 8192), (1, 1024), (4096, 65536), (7000, 131072)] {
        s.device.add(Rule::always(Op::Read, What::Short(part)));
        s.device.add(Rule::always(Op::Write, What::Short(part)));
        let data = pattern(part as u64, len);
        s.disk.write(8, data.clone()).expect("written");
        assert!(s.disk.read(8, len).expect("read") == data, "{part}");
        s.device.heal();
        assert!(s.target.luns[0].contents(4096, len) == data, "{part}");
    }
    // A device that gets nowhere.
    for (op, expected) in [(Op::Read, 0x281), (Op::Write, 0x280)] {
        s.device.add(Rule::once(op, What::Short(0)));
        assert_eq!(status(s.run(op, 8)), expected);
        s.run(op, 8).expect("it works again");
    }
    s.end();
}

#[test]
fn delays_hold_up_nobody_else() {
    let s = Setup::new(Style::default());
    s.device.add(Rule {
        at: 0..512,
        ..Rule::once(Op::Read, What::Delay(Duration::from_millis(700)))
    });
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| s.disk.read(0, 4096).expect("read"));
        wait_for("the slow one", || s.device.is_spent());
        for n in 1..50 {
            s.disk.read(n * 8, 4096).expect("read");
        }
        assert!(!slow.is_finished(), "the others waited for it");
    });
    s.end();
}

/// The later a command is sent, the sooner it ends; and it ends when the device
/// is done. Nothing but its response tells of that: there is no data.
#[test]
fn completions_in_another_order_are_those_of_their_commands() {
    const COMMANDS: usize = 6;
    const LEN: usize = 8192;
    let s = Setup::new(Style::default());
    let lun = &s.target.luns[0];
    let ended = Mutex::new(Vec::new());
    s.disk.write(0, vec![1; COMMANDS * LEN]).expect("written");
    lun.hold(true);
    std::thread::scope(|scope| {
        for n in 0..COMMANDS {
            let at = n * LEN;
            let delay = Duration::from_millis(20 * (COMMANDS - n) as u64);
            s.device.add(Rule {
                at: at..at + LEN,
                ..Rule::always(Op::Zero, What::Delay(delay))
            });
            let (disk, ended) = (&s.disk, &ended);
            scope.spawn(move || {
                disk.zero((at / 512) as u64, (LEN / 512) as u16)
                    .expect("zeroed");
                assert!(lun.contents(at, LEN) == [0; LEN], "{n} has not ended");
                ended.lock().expect("no panic").push(n);
            });
            wait_for("a command", || lun.held() == n + 1);
        }
        lun.hold(false);
    });
    let ended = ended.into_inner().expect("no panic");
    assert!(!ended.is_sorted(), "nothing was reordered");
    s.end();
}

#[test]
fn data_in_any_order_is_that_of_its_command() {
    let s = Setup::new(Style::default());
    let late = What::Disorder(Duration::from_millis(20));
    s.device.add(Rule::always(Op::Read, late));
    s.device.add(Rule::always(Op::Write, late));
    std::thread::scope(|scope| {
        for n in 0..24u64 {
            let s = &s;
            scope.spawn(move || {
                for round in 0..6 {
                    let data = pattern(n * 100 + round, 512 << (n % 6));
                    s.disk.write(n * 64, data.clone()).expect("written");
                    assert!(s.disk.read(n * 64, data.len()).expect("read") == data);
                }
            });
        }
    });
    s.end();
}

/// It ends as soon as they are, and not before.
#[test]
fn a_controller_ends_when_slow_devices_are_done() {
    let s = Setup::new(Style::default());
    let slow = What::Delay(Duration::from_millis(400));
    s.device.add(Rule::once(Op::Read, slow));
    let host = Options::default().hostnqn;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = s.disk.read(0, 8192);
        });
        wait_for("the device to be busy", || s.device.is_spent());
        system::terminate_all();
        wait_for("the end", || !system::associations().contains(&host));
        assert_eq!(ctl::outstanding(), 0);
        // Nobody waits for a reconnect.
        system::disconnect_all().expect("disconnected");
    });
    s.target.end();
    s.kernel.shutdown();
}

#[test]
fn sparse_files_take_room_only_where_there_is_data() {
    let dir = std::env::temp_dir();
    let path = dir.join(format!("nvmf-rs-sparse-{}", std::process::id()));
    let k = Kernel::boot_all();
    let file = Arc::new(SparseFile::open(&path, 1 << 30).expect("a file"));
    let t = Target::new(Style::default(), 0);
    ctl::add_lun(0, Lun::over(file.clone(), Style::default()));
    let dev = system::connect(t.daemon.addr, &Options::default()).expect("connected");
    let disk = system::disk(&dev, 1).expect("a disk");
    assert_eq!(disk.blocks, (1 << 30) / 512);
    let data = pattern(5, 131072);
    disk.write(1 << 20, data.clone()).expect("written");
    disk.flush().expect("flushed");
    assert!(disk.read(1 << 20, data.len()).expect("read") == data);
    assert!(disk.read(0, 4096).expect("read").iter().all(|b| *b == 0));
    let before = file.allocated().expect("a size");
    assert!((131072..1 << 20).contains(&before), "{before}");
    disk.zero(1 << 20, 256).expect("zeroed");
    assert!(
        disk.read(1 << 20, 131072)
            .expect("read")
            .iter()
            .all(|b| *b == 0)
    );
    assert!(
        file.allocated().expect("a size") < before,
        "there is no hole"
    );
    assert_eq!(file.bytes(), 1 << 30);
    system::disconnect_all().expect("disconnected");
    t.end();
    ctl::remove_lun(0);
    k.shutdown();
    std::fs::remove_file(&path).expect("removed");
}
