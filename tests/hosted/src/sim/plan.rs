// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a seed stands for.

use std::time::Duration;

use sys::Errno;

use super::alloc::Failing;
use super::net::{Harm, Hazard, Weather};
use super::sched;
use crate::blockdev::{Op, Rule, What};
use crate::ctl::Style;
use crate::middle::Rng;
use crate::userland::Options;

/// The kind of trouble that a simulation is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// None but the schedule and the weather: nothing may fail.
    Calm,
    /// Connections are reset.
    Resets,
    /// Streams end early.
    Truncations,
    /// Connections fall silent.
    Silences,
    /// Bits flip, and digests notice.
    Flips,
    /// Bits flip, and nobody may notice.
    FlipsUnnoticed,
    /// Memory is short.
    NoMemory,
    /// The controller restarts at some segment.
    ControllerRestarts,
    /// The host starts anew at some segment.
    HostRestarts,
    /// The clock jumps.
    Jumps,
    /// The controller goes away for longer than the host waits.
    Loss,
    /// LUNs come and go, and ports go off line.
    Changes,
    /// Connections break also while they are being set up.
    Handshake,
    /// Devices are slow, stop halfway and fail.
    Devices,
    /// Administrators and a second host do what they like.
    Visitors,
    /// Events are aimed at states that last a moment only.
    Tour,
    /// Every event is led to every state.
    Guided,
    /// A bit of everything.
    Mixed,
    /// What the command line says.
    Chosen,
}

const KINDS: [Trouble; 17] = [
    Trouble::Calm,
    Trouble::Resets,
    Trouble::Truncations,
    Trouble::Silences,
    Trouble::Flips,
    Trouble::FlipsUnnoticed,
    Trouble::NoMemory,
    Trouble::ControllerRestarts,
    Trouble::HostRestarts,
    Trouble::Jumps,
    Trouble::Loss,
    Trouble::Changes,
    Trouble::Handshake,
    Trouble::Devices,
    Trouble::Visitors,
    Trouble::Tour,
    Trouble::Mixed,
];

impl Trouble {
    /// The kind of that name.
    pub fn named(name: &str) -> Option<Self> {
        let all = KINDS.iter().chain(&[Trouble::Guided]);
        all.copied().find(|t| format!("{t:?}") == name)
    }
}

/// All that a seed decides before anything runs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The seed.
    pub seed: u64,
    /// What kind of trouble there is.
    pub trouble: Trouble,
    /// The schedule.
    pub sched: sched::Config,
    /// The network.
    pub weather: Weather,
    /// What happens on it once the host is connected.
    pub hazards: Vec<Hazard>,
    /// How often at most.
    pub budget: u32,
    /// Whether it happens before that, too.
    pub from_the_start: bool,
    /// Which allocations fail while there is I/O.
    pub failing: Failing,
    /// What the host asks for.
    pub options: Options,
    /// Digests that the controller grants.
    pub digests: u8,
    /// How LUNs move data.
    pub style: Style,
    /// LUNs.
    pub luns: u32,
    /// What their devices do.
    pub rules: Vec<Rule>,
    /// `kern.nvmf.fail_on_disconnection`.
    pub fail_io: bool,
    /// Threads with I/O.
    pub workers: u32,
    /// Operations of each.
    pub rounds: u32,
    /// Received chains have mbufs of this size; zero: as they come.
    pub rx_segment: u32,
    /// The stack is said to be nearly used up.
    pub stack_low: bool,
    /// At these segments somebody restarts.
    pub restarts: Vec<u64>,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let trouble = KINDS[(seed % KINDS.len() as u64) as usize];
        Self::with(seed, trouble)
    }

    /// The plan of a seed for some kind of trouble.
    pub fn with(seed: u64, trouble: Trouble) -> Self {
        // Another stream than the scheduler's.
        let mut rng = Rng::new(seed ^ 0x706c_616e << 16);
        let mut pick = |of: &[u64]| of[rng.below(of.len() as u64) as usize];
        let mut p = Plan {
            seed,
            trouble,
            sched: sched::Config {
                seed,
                switch_one_in: pick(&[2, 4, 16, 64]),
                jump_one_in: 0,
                jump_us: 0,
                jumps: 0,
            },
            weather: Weather {
                delay_us: pick(&[0, 50, 300, 3_000]),
                ack_us: pick(&[0, 0, 40_000]),
                segment: pick(&[7, 500, 1448, 16 << 10, 64 << 10]),
                window: pick(&[4 << 10, 20_000, 64 << 10, 512 << 10]) as u32,
                partial: pick(&[0, 0, 1]) == 1,
                loopback: pick(&[0, 1]) == 1,
            },
            hazards: Vec::new(),
            budget: pick(&[1, 4, 12]) as u32,
            from_the_start: false,
            failing: Failing::None,
            options: Options {
                hdgst: pick(&[0, 1]) == 1,
                ddgst: pick(&[0, 1]) == 1,
                hpda: pick(&[0, 0, 0, 1, 4, 31]) as u8,
                flow_control: pick(&[0, 0, 1]) == 1,
                queues: pick(&[1, 2, 3]) as u16,
                qsize: pick(&[4, 8, 64]) as u16,
                kato: pick(&[0, 0, 1_000, 10_000]) as u32,
                reconnect_delay: pick(&[1, 1, 3]),
                loss_timeout: 600,
                ..Options::default()
            },
            digests: 3,
            style: Style {
                chunk: pick(&[4 << 10, 12 << 10, 128 << 10]) as usize,
                segment: pick(&[0, 512, 4 << 10, 16 << 10]) as usize,
                by_reference: pick(&[0, 1]) == 1,
                no_sleep: pick(&[0, 1]) == 1,
            },
            luns: pick(&[1, 2]) as u32,
            rules: Vec::new(),
            fail_io: pick(&[0, 0, 0, 1]) == 1,
            workers: pick(&[1, 3, 6]) as u32,
            rounds: pick(&[4, 8, 16]) as u32,
            rx_segment: pick(&[0, 0, 0, 1, 100, 1448]) as u32,
            stack_low: pick(&[0, 0, 0, 0, 1]) == 1,
            restarts: Vec::new(),
        };
        if p.weather.segment < 500 || p.rx_segment == 1 {
            // Each byte costs a lot.
            p.workers = p.workers.min(3);
            p.rounds = p.rounds.min(4);
        }
        // Completions come in any order, also where there is no other trouble.
        let slow = Duration::from_micros(pick(&[0, 0, 0, 200, 20_000]));
        if !slow.is_zero() {
            for op in [Op::Read, Op::Write, Op::Flush] {
                p.rules.push(Rule::always(op, What::Disorder(slow)));
            }
        }
        let hazard = |harm, mean| Hazard { harm, mean };
        let mean = pick(&[1_000, 10_000, 40_000]);
        match trouble {
            Trouble::Calm | Trouble::Chosen => {}
            Trouble::Resets => p.hazards.push(hazard(Harm::Reset, mean)),
            Trouble::Truncations => p.hazards.push(hazard(Harm::Truncate, mean)),
            Trouble::Silences => {
                p.hazards.push(hazard(Harm::Silence, mean));
                p.options.kato = pick(&[1_000, 5_000]) as u32;
            }
            Trouble::Flips => {
                p.hazards.push(hazard(Harm::Flip, mean));
                (p.options.hdgst, p.options.ddgst) = (true, true);
            }
            Trouble::FlipsUnnoticed => {
                p.hazards.push(hazard(Harm::Flip, mean));
                p.digests = pick(&[0, 1, 2]) as u8;
                (p.options.hdgst, p.options.ddgst) = (true, true);
                p.options.kato = 5_000;
            }
            Trouble::NoMemory => {
                p.failing = Failing::OneIn(pick(&[2, 5, 20, 100]), pick(&[1, 5, 40]))
            }
            Trouble::ControllerRestarts | Trouble::HostRestarts => {
                let first = 1 + pick(&[10, 50, 200]);
                p.restarts = (0..3).map(|i| first + i * pick(&[20, 100, 300])).collect();
            }
            Trouble::Jumps => {
                p.sched.jump_one_in = pick(&[300, 2_000]);
                p.sched.jump_us = pick(&[10_000, 3_000_000, 40_000_000]);
                p.sched.jumps = pick(&[2, 10, 30]);
            }
            Trouble::Loss => {
                p.options.loss_timeout = pick(&[1, 2, 5]);
                p.options.kato = 1_000;
                p.restarts = vec![pick(&[60, 120, 240])];
            }
            Trouble::Changes => p.luns = 2,
            Trouble::Tour => {
                (p.workers, p.rounds, p.luns) = (1, 4, 1);
                p.weather = Weather {
                    delay_us: pick(&[0, 0, 30_000]),
                    ..Weather::default()
                };
                p.rx_segment = 0;
                p.sched.switch_one_in = pick(&[2, 8]);
                p.options.loss_timeout = 1;
            }
            Trouble::Guided => {
                p.workers = 0;
                p.weather.delay_us = p.weather.delay_us.min(300);
                p.weather.segment = p.weather.segment.max(500);
                p.options.flow_control = false;
                p.options.kato = 0;
                p.fail_io = false;
                p.rules.clear();
            }
            Trouble::Visitors => p.options.loss_timeout = pick(&[1, 600]),
            Trouble::Handshake => {
                let harm = [Harm::Reset, Harm::Truncate, Harm::Silence];
                p.hazards.push(hazard(
                    harm[pick(&[0, 1, 2]) as usize],
                    pick(&[300, 1500, 6_000]),
                ));
                p.from_the_start = true;
                p.options.kato = 2_000;
            }
            Trouble::Devices => {
                let short = pick(&[700, 4096]) as usize;
                for op in [Op::Read, Op::Write] {
                    let times = pick(&[0, 3, 1_000]) as u32;
                    p.rules.push(Rule {
                        times,
                        ..Rule::always(op, What::Short(short))
                    });
                    let times = pick(&[0, 1, 4]) as u32;
                    p.rules.push(Rule {
                        times,
                        ..Rule::always(op, What::Fail(Errno::EIO))
                    });
                }
            }
            Trouble::Mixed => {
                p.hazards.push(hazard(Harm::Reset, 2 * mean));
                p.hazards.push(hazard(Harm::Silence, 4 * mean));
                p.hazards.push(hazard(Harm::Flip, 2 * mean));
                (p.options.hdgst, p.options.ddgst) = (true, true);
                p.options.kato = 2_000;
                p.failing = Failing::OneIn(300, 10);
                p.sched.jump_one_in = 5_000;
                p.sched.jump_us = 1_000_000;
                p.sched.jumps = 5;
                p.restarts = vec![pick(&[100, 300])];
            }
        }
        p
    }

    /// A short one without trouble, to which trouble is added: two queues, a
    /// few operations, digests.
    pub fn small(seed: u64) -> Self {
        let mut p = Self::with(seed, Trouble::Calm);
        p.trouble = Trouble::Chosen;
        p.sched.switch_one_in = 16;
        p.weather = Weather::default();
        p.options = Options {
            hdgst: true,
            ddgst: true,
            kato: 2_000,
            loss_timeout: 600,
            ..Options::default()
        };
        p.style = Style::default();
        p.rules.clear();
        (p.luns, p.workers, p.rounds) = (1, 2, 3);
        (p.fail_io, p.stack_low, p.rx_segment) = (false, false, 0);
        p.from_the_start = true;
        p
    }

    /// The controller or the host restarts at a segment.
    pub fn restart_once(&mut self, segment: u64, host: bool) {
        self.restarts = vec![segment];
        self.trouble = if host {
            Trouble::HostRestarts
        } else {
            Trouble::ControllerRestarts
        };
    }

    /// Whether what is read can be checked.
    pub fn checks_data(&self) -> bool {
        let flips = self.hazards.iter().any(|h| h.harm == Harm::Flip);
        let digests = self.options.hdgst && self.options.ddgst && self.digests == 3;
        !flips || digests
    }

    /// Whether CAM may fail to find a disk though its controller is there.
    pub fn probes_fail(&self) -> bool {
        let flips = self.hazards.iter().any(|h| h.harm == Harm::Flip);
        flips || self.failing != Failing::None
    }

    /// Whether whoever waits for an answer gets one, or hears that the
    /// connection has ended.
    pub fn peers_answer(&self) -> bool {
        match self.trouble {
            Trouble::Calm
            | Trouble::Resets
            | Trouble::Truncations
            | Trouble::NoMemory
            | Trouble::ControllerRestarts
            | Trouble::HostRestarts
            | Trouble::Changes
            | Trouble::Devices => true,
            // Now and then nothing arrives for a while.
            Trouble::Guided => false,
            // A changed length makes a peer wait for what never comes.
            Trouble::Flips | Trouble::FlipsUnnoticed => false,
            Trouble::Silences | Trouble::Handshake | Trouble::Mixed | Trouble::Chosen => false,
            // Whoever is late may be too late.
            Trouble::Jumps | Trouble::Loss | Trouble::Visitors | Trouble::Tour => false,
        }
    }

    /// Whether an operation may end with an error.
    pub fn may_fail(&self) -> bool {
        // Requests that are held go through in the end, unless they are lost
        // otherwise.
        match self.trouble {
            Trouble::Calm => false,
            Trouble::Resets | Trouble::Truncations | Trouble::Silences => self.fail_io,
            Trouble::ControllerRestarts | Trouble::Jumps | Trouble::Handshake => self.fail_io,
            Trouble::Flips
            | Trouble::FlipsUnnoticed
            | Trouble::NoMemory
            | Trouble::HostRestarts
            | Trouble::Loss
            | Trouble::Changes
            | Trouble::Devices
            | Trouble::Visitors
            | Trouble::Tour
            | Trouble::Guided
            | Trouble::Mixed
            | Trouble::Chosen => true,
        }
    }
}
