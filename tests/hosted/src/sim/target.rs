// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The controller of a simulation, which can be taken away and come back.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::net;
use super::plan::Plan;
use super::sched;
use crate::blockdev::{Faulty, RamDisk};
use crate::ctl::{self, Lun};
use crate::os::{self, Mutex, MutexGuard};
use crate::system::Port;
use crate::userland::{Daemon, Options};

/// How long it may take to remove a port, while the clock does not jump.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of each LUN.
pub const SIZE: usize = 1 << 20;

/// The controller's address.
pub fn addr() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 4420))
}

struct Up {
    port: Port,
    daemon: Daemon,
}

/// A controller.
pub struct Target {
    up: Mutex<Option<Up>>,
    digests: u8,
    /// How long it may take to go down.
    patience: Duration,
    /// Its LUNs.
    pub luns: Vec<Arc<Lun>>,
}

impl Target {
    /// With the LUNs of a plan, and up.
    pub fn new(p: &Plan) -> Self {
        let made = (0..p.luns).map(|n| {
            let device = Faulty::new(Arc::new(RamDisk::new(SIZE)));
            for r in &p.rules {
                device.add(r.clone());
            }
            let lun = Lun::over(Arc::new(device), p.style);
            ctl::add_lun(n, lun.clone());
            lun
        });
        let t = Target {
            luns: made.collect(),
            digests: p.digests,
            patience: PATIENCE + Duration::from_micros(p.sched.jumps * p.sched.jump_us),
            up: Mutex::new(None),
        };
        t.start();
        t
    }

    fn up(&self) -> MutexGuard<'_, Option<Up>> {
        self.up.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Comes up.
    pub fn start(&self) {
        let nqn = Options::default().subnqn;
        let port = Port::create(&nqn, &[]).expect("a port");
        let daemon = Daemon::start(&addr().to_string(), self.digests, &nqn).expect("a listener");
        *self.up() = Some(Up { port, daemon });
    }

    /// Goes down, as in a crash or in order.
    pub fn stop(&self, crash: bool) {
        let Some(Up { port, daemon }) = self.up().take() else {
            return;
        };
        if crash {
            net::reset_all();
        }
        let _limit = sched::Limit::new(self.patience);
        // A listener that is gone refuses; handoffs under way are over.
        drop(daemon);
        port.remove().expect("a port that is removed");
    }

    /// Goes down and comes back.
    pub fn restart(&self, crash: bool, away: Duration) {
        self.stop(crash);
        os::sleep(away);
        self.start();
    }

    /// All of it goes.
    pub fn end(&self) {
        self.stop(false);
        for n in 0..self.luns.len() as u32 {
            ctl::remove_lun(n);
        }
    }
}
