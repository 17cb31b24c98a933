// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the end-to-end tests share.

use std::sync::Arc;

use hosted::ctl::{self, Lun, Style};
use hosted::newbus;
use hosted::os::wait_for;
use hosted::pdu::Raw;
use hosted::system::{self, Port};
use hosted::userland::{Daemon, Options, Queue};

/// Bytes of each LUN.
pub const SIZE: usize = 8 << 20;

/// A controller with LUNs in memory.
pub struct Target {
    /// Its port.
    pub port: Port,
    /// Its daemon.
    pub daemon: Daemon,
    /// Its LUNs.
    pub luns: Vec<Arc<Lun>>,
}

impl Target {
    /// With so many LUNs.
    pub fn new(style: Style, luns: u32) -> Self {
        let made = (0..luns).map(|n| {
            let lun = Lun::new(SIZE, style);
            ctl::add_lun(n, lun.clone());
            lun
        });
        let luns = made.collect();
        let nqn = Options::default().subnqn;
        let port = Port::create(&nqn, &[]).expect("a port");
        let daemon = Daemon::start("127.0.0.1:0", 3, &nqn).expect("loopback");
        Target { port, daemon, luns }
    }

    /// Removes it all.
    pub fn end(self) {
        self.port.remove().expect("removed");
        drop(self.daemon);
        for n in 0..self.luns.len() as u32 {
            ctl::remove_lun(n);
        }
    }
}

/// Ends the association of the only host, and waits until that is told to devd.
#[allow(dead_code)]
pub fn cut(dev: &String) {
    system::terminate_all();
    wait_for("devd to be told", || {
        newbus::take_reconnects().contains(dev)
    });
}

/// Bytes that look random.
#[allow(dead_code)]
pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut x = seed | 1;
    (0..len)
        .map(|_| {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (x >> 56) as u8
        })
        .collect()
}

/// The admin queue of a controller that is enabled, and an I/O queue.
#[allow(dead_code)]
pub fn pair(t: &Target, o: &Options) -> (Queue, Queue) {
    let mut a = Queue::connect(t.daemon.addr, o, 0, 0xffff).expect("connected");
    a.enable().expect("enabled");
    a.set_queues(4).expect("queues");
    let q = Queue::connect(t.daemon.addr, o, 1, a.cntlid).expect("connected");
    (a, q)
}

/// SCT << 8 | SC of a response.
#[allow(dead_code)]
pub fn status(r: &Raw) -> u16 {
    r.u16(22) >> 1 & 0x7ff
}
