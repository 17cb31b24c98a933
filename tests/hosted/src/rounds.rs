// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A host that connects, writes, reads, flushes and disconnects, again and
//! again, whatever comes of it.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::cam::{self, Disk};
use crate::system;
use crate::userland::{Error, Options};

/// How long nobody may listen.
const DESERTED: Duration = Duration::from_secs(3);

/// Some I/O of every kind: by R2T, by C2HData, in the capsule. What fails is
/// what a hostile controller is for; the next command shows what it left.
fn work(disk: &Disk) {
    for i in 0..3u8 {
        let _ = disk.write(0, vec![i; 20_480]);
        let _ = disk.read(0, 20_480);
        let _ = disk.write(64, vec![i; 512]);
        let _ = disk.read(64, 2048);
        let _ = disk.flush();
    }
}

/// Connects with and without digests and SQ flow control by turns, until it is
/// to stop or nobody has listened for three seconds.
pub fn run(addr: SocketAddr, mut o: Options, stop: &dyn Fn() -> bool) {
    let mut heard = Instant::now();
    let mut round = 0u64;
    while !stop() && heard.elapsed() < DESERTED {
        o.flow_control = round % 2 == 1;
        (o.hdgst, o.ddgst) = (round % 4 != 3, round % 4 != 3);
        round += 1;
        match system::connect(addr, &o) {
            Ok(dev) => {
                heard = Instant::now();
                if let Some(disk) = cam::wait_disk(&dev, 1, Duration::from_millis(300)) {
                    work(&disk);
                }
            }
            Err(Error::Io(_)) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => heard = Instant::now(),
        }
        let _ = system::disconnect_all();
    }
}
