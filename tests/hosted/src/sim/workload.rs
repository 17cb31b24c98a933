// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a simulation does: a host connects, threads read and write and check
//! what they get, trouble comes and goes, and in the end all is removed and
//! nothing is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use sys::Errno;
use sys::ffi::{
    NVRS_BIO_FLUSH, NVRS_BIO_READ, NVRS_BIO_WRITE, NVRS_CCB_CMP, NVRS_CCB_DATA_ERROR, NVRS_CCB_GONE,
};

use super::alloc::{self, Failing};
use super::model::Model;
use super::net::{self, Weather};
use super::plan::{Plan, Trouble};
use super::sched;
use super::target::{Target, addr};
use super::{guided, tours, visitors};
use crate::cam::{self, Completion, Disk};
use crate::ctl::{self, BLOCK, Lun};
use crate::os::{self, Instant};
use crate::system;
use crate::{Kernel, cdev, console, fault, newbus};

/// Blocks of each writer.
const BLOCKS: u64 = 200;
/// No operation takes longer, in virtual time.
const PATIENCE: Duration = Duration::from_secs(900);
/// Nor does it take longer to unload modules that nobody uses.
const UNLOAD: Duration = Duration::from_secs(30);
/// Nor does a simulation last longer.
const LIMIT: Duration = Duration::from_secs(4 * 3600);

/// What was done.
#[derive(Debug, Default)]
pub struct Tally {
    /// Operations that succeeded.
    pub good: AtomicU64,
    /// Operations that failed.
    pub bad: AtomicU64,
    /// Connects and reconnects that succeeded.
    pub connects: AtomicU64,
}

struct World {
    plan: Plan,
    target: Target,
    tally: Tally,
    /// No more trouble.
    calm: AtomicBool,
    /// No more I/O.
    over: AtomicBool,
    /// Writers at work.
    busy: AtomicU32,
}

/// How an operation gets to a namespace.
#[derive(Clone, Copy)]
enum Path {
    /// As a CCB of the disk's.
    Disk,
    /// As a bio of the node's.
    Node,
}

fn by_node(disk: &Disk, cmd: u32, at: u64, data: Vec<u8>) -> Result<Vec<u8>, Completion> {
    let len = data.len() as u64;
    let done = cdev::bio(&disk.node(), cmd, at * BLOCK as u64, data, len);
    done.map_err(|e| Completion {
        outcome: match e {
            Errno::ENXIO => NVRS_CCB_GONE,
            _ => NVRS_CCB_DATA_ERROR,
        },
        cqe: [0; 16],
    })
}

impl Path {
    fn read(self, disk: &Disk, at: u64, len: usize) -> Result<Vec<u8>, Completion> {
        match self {
            Path::Disk => disk.read(at, len),
            Path::Node => by_node(disk, NVRS_BIO_READ, at, vec![0xcc; len]),
        }
    }

    fn write(self, disk: &Disk, at: u64, data: Vec<u8>) -> Result<(), Completion> {
        match self {
            Path::Disk => disk.write(at, data),
            Path::Node => by_node(disk, NVRS_BIO_WRITE, at, data).map(drop),
        }
    }

    fn flush(self, disk: &Disk) -> Result<(), Completion> {
        match self {
            Path::Disk => disk.flush(),
            Path::Node => by_node(disk, NVRS_BIO_FLUSH, 0, Vec::new()).map(drop),
        }
    }
}

fn rng(below: u64) -> u64 {
    (sched::random().unwrap_or(0) >> 16) % below.max(1)
}

fn pause(ms: u64) {
    os::sleep(Duration::from_millis(ms));
}

impl World {
    /// Connects, sooner or later.
    fn connect(&self) -> String {
        let start = Instant::now();
        loop {
            match system::connect(addr(), &self.plan.options) {
                Ok(name) => {
                    self.tally.connects.fetch_add(1, Ordering::Relaxed);
                    return name;
                }
                Err(e) if self.plan.trouble == Trouble::Calm => panic!("connect: {e}"),
                Err(_) => pause(100),
            }
            if start.elapsed() > Duration::from_secs(60) {
                net::set_hazards(Vec::new(), 0);
            }
            if start.elapsed() > PATIENCE {
                sched::give_up("the host never connects");
            }
        }
    }

    /// devd, and an administrator who brings a lost device back.
    fn devd(&self) {
        while self.plan.trouble == Trouble::Guided && !self.calm.load(Ordering::Acquire) {
            pause(50);
        }
        while !self.over.load(Ordering::Acquire) {
            for name in newbus::take_reconnects() {
                if self.plan.trouble == Trouble::Tour && !self.calm.load(Ordering::Acquire) {
                    continue;
                }
                // A controller may still work on what the host has given up;
                // a host that comes back sooner has to live with late writes.
                pause(20);
                let start = Instant::now();
                while ctl::outstanding() != 0 && start.elapsed() < Duration::from_secs(30) {
                    pause(20);
                }
                if system::reconnect(&name, addr(), &self.plan.options).is_ok() {
                    self.tally.connects.fetch_add(1, Ordering::Relaxed);
                }
            }
            let calm = self.calm.load(Ordering::Acquire);
            // Who restarts a host connects it again.
            let ours = calm || self.plan.trouble != Trouble::HostRestarts;
            if ours
                && newbus::devices().is_empty()
                && system::connect(addr(), &self.plan.options).is_ok()
            {
                self.tally.connects.fetch_add(1, Ordering::Relaxed);
            }
            pause(50);
        }
    }

    /// The disk of a LUN, of whichever device there is.
    fn disk(&self, lun: u32) -> Disk {
        let start = Instant::now();
        loop {
            for (name, _) in newbus::devices() {
                if let Some(d) = cam::wait_disk(&name, lun + 1, Duration::from_millis(200)) {
                    return d;
                }
            }
            pause(20);
            if self.plan.probes_fail() && start.elapsed() > Duration::from_secs(10) {
                // CAM has tried it a few times only.
                for (name, _) in newbus::devices() {
                    cam::rescan(&name);
                }
            }
            if !self.plan.checks_data() && start.elapsed() > Duration::from_secs(30) {
                // The host may believe anything, until somebody looks after it.
                let _ = system::disconnect_all();
                pause(2_000);
            }
            if start.elapsed() > PATIENCE {
                sched::give_up("a disk never appears");
            }
        }
    }

    fn failed(&self, what: &str, c: Completion) {
        self.tally.bad.fetch_add(1, Ordering::Relaxed);
        // A device that is gone for good is no failure of an operation's.
        let gone = c.outcome == NVRS_CCB_GONE;
        assert!(
            self.plan.may_fail() || (gone && self.over.load(Ordering::Acquire)),
            "{what} fails without a reason: {c:?}"
        );
        assert_ne!(c.outcome, NVRS_CCB_CMP);
        // Whoever tries again gives others time.
        pause(10);
    }

    /// Reads and writes blocks that nobody else writes.
    fn writer(&self, number: u32) {
        let lun = number % self.plan.luns;
        let first = u64::from(number) * BLOCKS;
        let mut model = Model::new(first, BLOCKS);
        let mut disk = self.disk(lun);
        let mut version = 0;
        for _ in 0..self.plan.rounds {
            let blocks = 1 + match rng(4) {
                0 => rng(BLOCKS),
                1 => rng(32),
                _ => rng(16),
            } as usize;
            let blocks = blocks.min(BLOCKS as usize).min(disk.max_io() / BLOCK);
            let at = first + rng(BLOCKS - blocks as u64 + 1);
            let start = Instant::now();
            let path = if rng(8) == 0 { Path::Node } else { Path::Disk };
            match rng(16) {
                0 => match path.flush(&disk) {
                    Ok(()) => self.good(start),
                    Err(c) => self.failed("a flush", c),
                },
                1..7 => match path.read(&disk, at, blocks * BLOCK) {
                    Ok(data) => {
                        self.good(start);
                        self.check(&mut model, at, &data);
                    }
                    Err(c) => self.failed("a read", c),
                },
                _ => {
                    version += 1;
                    model.begin(at, blocks, version);
                    match path.write(&disk, at, Model::data(at, blocks, version)) {
                        Ok(()) => {
                            self.good(start);
                            model.succeeded(at, blocks, version);
                        }
                        Err(c) => self.failed("a write", c),
                    }
                }
            }
            if !disk.is_alive() {
                disk = self.disk(lun);
            }
        }
        self.busy.fetch_sub(1, Ordering::AcqRel);
        // What was written is still there when the trouble is over.
        while !self.calm.load(Ordering::Acquire) {
            pause(100);
        }
        let most = disk.max_io().min(64 << 10) / BLOCK;
        let mut at = first;
        let start = Instant::now();
        while at < first + BLOCKS {
            let n = most.min((first + BLOCKS - at) as usize);
            match disk.read(at, n * BLOCK) {
                Ok(data) => {
                    self.check(&mut model, at, &data);
                    at += n as u64;
                }
                Err(_) => {
                    pause(50);
                    disk = self.disk(lun);
                }
            }
            if start.elapsed() > PATIENCE {
                sched::give_up("reads fail though there is no trouble");
            }
        }
    }

    fn good(&self, start: Instant) {
        self.tally.good.fetch_add(1, Ordering::Relaxed);
        assert!(start.elapsed() < PATIENCE, "an operation took too long");
    }

    fn check(&self, model: &mut Model, at: u64, data: &[u8]) {
        if self.plan.checks_data()
            && let Err(e) = model.check(at, data)
        {
            panic!("wrong data: {e}");
        }
    }

    /// What goes on beside the I/O.
    fn trouble(&self) {
        match self.plan.trouble {
            Trouble::Changes => self.changes(),
            Trouble::Visitors => self.visitors(),
            Trouble::Guided => {
                guided::associations::tour(&self.plan.options);
                guided::slots::tour(&self.plan.options);
                guided::data::tour(&self.plan.options);
                guided::controllers::tour(&self.plan.options);
                guided::disks::tour(&self.plan.options);
                newbus::set_fail_on_disconnection(self.plan.fail_io);
            }
            Trouble::Tour if rng(2) == 0 => tours::of_controllers(&self.plan.options),
            Trouble::Tour => tours::of_associations(&self.plan.options),
            Trouble::Loss => {
                self.at_segment(self.plan.restarts[0]);
                self.target.stop(rng(2) == 0);
                let patience = 1_000 * self.plan.options.loss_timeout;
                match rng(3) {
                    0 => pause(patience + 1_000 + rng(8_000)),
                    // Just in time, or just too late.
                    1 => pause(patience - rng(300)),
                    _ => {
                        os::sleep(Duration::from_micros(1_000 * patience - rng(3_000)));
                        let _ = system::disconnect_all();
                    }
                }
                self.target.start();
            }
            Trouble::HostRestarts => {
                for n in &self.plan.restarts {
                    self.at_segment(*n);
                    if rng(2) == 0 {
                        net::reset_all();
                    }
                    // Somebody else may be at it.
                    let _ = system::disconnect_all();
                    pause(rng(300));
                    if newbus::devices().is_empty() {
                        self.connect();
                    }
                }
            }
            _ => {
                for n in &self.plan.restarts {
                    self.at_segment(*n);
                    self.target
                        .restart(rng(2) == 0, Duration::from_millis(rng(3_000)));
                }
            }
        }
    }

    /// Several at a time, each with a mind of its own.
    fn visitors(&self) {
        let mut all = Vec::new();
        for n in 0..2 + rng(3) {
            let o = self.plan.options.clone();
            let name = format!("visitor {n}");
            let body = move || match n {
                0 => visitors::odd_host(&o),
                _ => visitors::administrator(&o),
            };
            all.push(os::spawn(&name, body).expect("a thread"));
        }
        for v in all {
            let _ = v.join();
        }
    }

    /// Waits until the network carries a segment, unless all I/O is done.
    fn at_segment(&self, n: u64) {
        while !net::wait_segment(n, Duration::from_secs(1)) {
            if self.busy.load(Ordering::Acquire) == 0 {
                return;
            }
        }
    }

    fn changes(&self) {
        for _ in 0..6 {
            pause(rng(40));
            match rng(3) {
                0 => {
                    ctl::add_lun(7, Lun::new(64 << 10, self.plan.style));
                    pause(rng(20));
                    ctl::remove_lun(7);
                }
                1 => {
                    system::terminate_all();
                }
                _ => self.target.restart(false, Duration::from_millis(rng(100))),
            }
        }
    }
}

/// Runs a plan in the calling, simulated thread.
pub fn run(plan: Plan) -> Tally {
    let begin = Instant::now();
    net::set_weather(plan.weather);
    let k = Kernel::boot_all();
    newbus::take_reconnects();
    newbus::set_fail_on_disconnection(plan.fail_io);
    fault::set_rx_segment(plan.rx_segment);
    fault::set_stack_low(plan.stack_low);
    let target = Target::new(&plan);
    let world = Arc::new(World {
        target,
        tally: Tally::default(),
        calm: AtomicBool::new(false),
        over: AtomicBool::new(false),
        busy: AtomicU32::new(plan.workers),
        plan,
    });
    let trouble_at = |w: &Arc<World>| {
        net::set_hazards(w.plan.hazards.clone(), w.plan.budget);
        alloc::set(w.plan.failing);
    };
    let early = world.plan.from_the_start && world.plan.restarts.len() == 1;
    let helper = early.then(|| {
        let w = world.clone();
        os::spawn("trouble", move || w.trouble()).expect("a thread")
    });
    if world.plan.from_the_start {
        trouble_at(&world);
    }
    world.connect();
    if !world.plan.from_the_start {
        trouble_at(&world);
    }
    let spawn = |name: &str, f: Box<dyn FnOnce(&World) + Send>| {
        let w = world.clone();
        os::spawn(name, move || f(&w)).expect("a thread")
    };
    let devd = spawn("devd", Box::new(World::devd));
    let trouble = helper.unwrap_or_else(|| spawn("trouble", Box::new(World::trouble)));
    let writers: Vec<_> = (0..world.plan.workers)
        .map(|n| spawn(&format!("writer {n}"), Box::new(move |w| w.writer(n))))
        .collect();
    let deadline = begin + LIMIT;
    while world.busy.load(Ordering::Acquire) != 0 {
        pause(500);
        // Trouble has an end; operations have to have one, too.
        if begin.elapsed() > LIMIT / 8 {
            net::set_hazards(Vec::new(), 0);
            alloc::set(Failing::None);
        }
        if Instant::now() > deadline {
            sched::give_up("I/O never ends");
        }
    }
    let _ = trouble.join();
    net::set_hazards(Vec::new(), 0);
    net::set_weather(Weather::default());
    alloc::set(Failing::None);
    sched::stop_jumps();
    world.calm.store(true, Ordering::Release);
    for w in writers {
        let _ = w.join();
    }
    world.over.store(true, Ordering::Release);
    let _ = devd.join();
    if rng(2) == 0 {
        world.target.end();
        let _ = system::disconnect_all();
    } else {
        let _ = system::disconnect_all();
        world.target.end();
    }
    assert!(newbus::devices().is_empty(), "a device stays");
    newbus::set_fail_on_disconnection(false);
    // Nothing is armed or held any more.
    let limit = sched::Limit::new(UNLOAD);
    k.shutdown();
    drop(limit);
    if world.plan.peers_answer() {
        // Who is late has forgotten something, even if others help out.
        let late = |line: &&String| line.contains("timed out") || line.contains("Timeout");
        let lines = console::take();
        assert_eq!(lines.iter().find(late), None, "everybody answers");
    }
    Arc::into_inner(world).expect("all threads are done").tally
}
