// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A controller: one host's association with a subsystem.
//!
//! [`crate::proto::controller`] decides; here timers, queues and CTL follow. A teardown is a task that never
//! waits for CTL: when commands are outstanding it ends, and the last of them queues it again.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering, fence};

use sys::errno::{Errno, Result};
use sys::mem::{KArc, KVec};
use sys::sync::Mutex;
use sys::task::{Callout, CalloutHandler, Task, TaskHandler};
use sys::time::uptime_ms;
use sys::wire::fabrics::{ConnectCmd, ConnectData};
use sys::wire::{Cqe, Status};
use sys::{CanSleep, Wait};

use crate::module::peer_message;
use crate::port::{Ctl, Port};
use crate::proto::aer::{Aer, Notice};
use crate::proto::connect::{self, IoContext, IoRefusal};
use crate::proto::controller::{self as machine, Actions, Event, GRACE_MS, Limits};
use crate::proto::features::Features;
use crate::proto::ns::{ChangedList, LIST_ENTRIES};
use crate::proto::stats::{Busy, Totals};
use crate::qpair::{Early, Qp};

/// The timers and tasks of a controller.
const KEEP_ALIVE: u32 = 0;
const GRACE: u32 = 1;
const TEARDOWN: u32 = 0;

/// How far a teardown has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Teardown {
    /// There is none.
    Idle,
    /// I/O queues are to be closed.
    Requested,
    /// They are being closed, each by a task of its own: a dead peer costs time only once.
    Closing,
    /// CTL is told to give back all commands.
    Aborting,
    /// They are waited for.
    Draining,
}

/// What the controller's mutex protects.
pub struct State {
    /// Registers and state.
    pub machine: machine::Controller,
    /// Features.
    pub features: Features,
    /// Asynchronous events.
    pub aer: Aer,
    /// Namespaces that changed.
    pub changed: ChangedList<KVec<u32>>,
    /// The admin queue, until the end: queues refer to their controller, so it must let go of them.
    admin: Option<KArc<Qp>>,
    /// I/O queues by queue ID minus one; has room for as many as were granted.
    io: KVec<Option<KArc<Qp>>>,
    /// What closed queues did.
    closed: Totals,
    teardown: Teardown,
    grace_until_ms: u64,
}

/// A controller.
pub struct Controller {
    /// The port.
    pub port: KArc<Port>,
    /// The port as CTL knows it.
    pub ctl: KArc<Ctl>,
    /// Controller ID, and initiator ID for CTL.
    pub cntlid: u16,
    /// Transport type.
    pub trtype: u32,
    /// The host.
    pub hostid: [u8; 16],
    /// The host's name: a field of 256 bytes.
    pub hostnqn: KVec<u8>,
    /// When the association began.
    pub since_ms: u64,
    /// Commands that CTL has.
    pub busy: Busy,
    state: Mutex<State>,
    /// A command arrived since the keep-alive timer last fired.
    active: AtomicBool,
    /// The last command's completion queues the teardown task.
    draining: AtomicBool,
    /// I/O queues that are being closed.
    closing: AtomicU32,
    keep_alive: Callout<Controller, KEEP_ALIVE>,
    grace: Callout<Controller, GRACE>,
    teardown: Task<Controller, TEARDOWN>,
}

impl State {
    /// What a new controller keeps under its lock. Kept apart for the sake of the stack: see the link gate.
    #[inline(never)]
    fn locked(mps: u32, cmd: &ConnectCmd, admin: KArc<Qp>, wait: Wait<'_>) -> Result<Mutex<State>> {
        let (machine, _) = machine::Controller::new(Limits { mps });
        let state = State {
            machine,
            features: Features::new(cmd.kato.get()),
            aer: Aer::default(),
            changed: ChangedList::new(KVec::filled(LIST_ENTRIES, wait, |_| 0)?),
            admin: Some(admin),
            io: KVec::empty(),
            closed: Totals::default(),
            teardown: Teardown::Idle,
            grace_until_ms: 0,
        };
        Mutex::new(c"nvmft controller", state, wait)
    }
}

impl Controller {
    /// A controller for the host that connected `admin`.
    #[inline(never)]
    pub fn new(
        port: KArc<Port>,
        (cntlid, ctl): (u16, KArc<Ctl>),
        trtype: u32,
        admin: KArc<Qp>,
        (cmd, data): (&ConnectCmd, &ConnectData),
        sleep: CanSleep<'_>,
    ) -> Result<KArc<Self>> {
        let wait = Wait::Sleep(sleep);
        let state = State::locked(port.mps, cmd, admin, wait)?;
        let mut hostnqn = KVec::zeroed(data.hostnqn.len(), wait)?;
        for (to, from) in hostnqn.iter_mut().zip(&data.hostnqn) {
            *to = *from;
        }
        KArc::new(
            Controller {
                port,
                ctl,
                cntlid,
                trtype,
                hostid: data.hostid,
                hostnqn,
                since_ms: uptime_ms(),
                busy: Busy::default(),
                state,
                active: AtomicBool::new(true),
                draining: AtomicBool::new(false),
                closing: AtomicU32::new(0),
                keep_alive: Callout::new(wait)?,
                grace: Callout::new(wait)?,
                teardown: Task::new(wait)?,
            },
            wait,
        )
    }

    /// The association begins: its timers run.
    pub fn start(this: &KArc<Self>) {
        let mut state = this.state.lock();
        let actions = Actions::ARM_GRACE | Actions::START_KEEP_ALIVE;
        Self::timers(this, &mut state, actions);
    }

    /// The association never began.
    pub fn abandon(&self) {
        self.keep_alive.stop();
        self.grace.stop();
    }

    /// A command arrived.
    #[inline]
    pub fn touch(&self) {
        if !self.active.load(Ordering::Relaxed) {
            self.active.store(true, Ordering::Relaxed);
        }
    }

    /// Runs `f` with the state.
    pub fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock())
    }

    /// The association has to end.
    pub fn fail(this: &KArc<Self>) {
        Self::event(this, Event::Fatal);
    }

    fn event(this: &KArc<Self>, event: Event) {
        let actions = {
            let mut state = this.state.lock();
            let actions = state.machine.event(event);
            Self::begin(this, &mut state, actions);
            actions
        };
        Self::act(this, actions);
    }

    /// The host writes CC. On success [`Controller::act`] follows when the response is sent.
    pub fn write_cc(this: &KArc<Self>, value: u32) -> core::result::Result<Actions, Status> {
        let mut state = this.state.lock();
        match state.machine.write_cc(value) {
            Ok(actions) => {
                Self::begin(this, &mut state, actions);
                Ok(actions)
            }
            Err(machine::CcError::InvalidField) => Err(Status::INVALID_FIELD),
            Err(machine::CcError::Sequence) => Err(Status::COMMAND_SEQUENCE_ERROR),
        }
    }

    /// The part of a transition's actions that happens under the lock.
    fn begin(this: &KArc<Self>, state: &mut State, actions: Actions) {
        if actions.contains(Actions::TEAR_DOWN) {
            state.teardown = Teardown::Requested;
        }
        Self::timers(this, state, actions);
    }

    fn timers(this: &KArc<Self>, state: &mut State, actions: Actions) {
        if actions.contains(Actions::STOP_KEEP_ALIVE) {
            this.keep_alive.stop();
        }
        if actions.contains(Actions::STOP_GRACE) {
            this.grace.stop();
        }
        if actions.contains(Actions::START_KEEP_ALIVE) {
            Self::arm_keep_alive(this, state);
        }
        if actions.contains(Actions::ARM_GRACE) {
            state.grace_until_ms = uptime_ms() + u64::from(GRACE_MS);
            this.grace.arm_ms(GRACE_MS, this.clone());
        }
    }

    /// (Re)starts or stops the keep-alive timer for the current timeout.
    pub fn arm_keep_alive(this: &KArc<Self>, state: &State) {
        match state.features.kato_ms() {
            0 => this.keep_alive.stop(),
            ms => {
                this.active.store(true, Ordering::Relaxed);
                this.keep_alive.arm_ms(ms, this.clone());
            }
        }
    }

    /// The part of a transition's actions that follows without the lock.
    pub fn act(this: &KArc<Self>, actions: Actions) {
        if actions.contains(Actions::SAY_SHUTDOWN) {
            peer_message!("nvmft{}: shutdown requested", this.cntlid);
        }
        if actions.contains(Actions::SAY_RESET) {
            peer_message!("nvmft{}: reset requested", this.cntlid);
        }
        if actions.contains(Actions::TEAR_DOWN) {
            Self::queue_teardown(this);
        }
    }

    fn queue_teardown(this: &KArc<Self>) {
        this.teardown
            .enqueue(&this.port.module.teardown, this.clone());
    }

    /// A queue's connection was closed by the host, or failed.
    pub fn connection_lost(this: &KArc<Self>, qp: &KArc<Qp>, error: Option<Errno>) {
        match error {
            // Linux resets connections right after it closed them.
            None | Some(Errno::ECONNRESET) if qp.qid == 0 => Self::event(this, Event::AdminClosed),
            // The queue can be made again after a reset, but the host waits for its connection to end (TCP 3.5).
            None | Some(Errno::ECONNRESET) => Qp::queue_lost(qp),
            Some(error) => {
                peer_message!("nvmft{}: error {} on {}", this.cntlid, error.code(), **qp);
                Self::event(this, Event::Fatal);
            }
        }
    }

    /// Takes a new I/O queue, or says why not, and returns what its connection said before.
    pub fn add_queue(
        this: &KArc<Self>,
        cmd: &ConnectCmd,
        data: &ConnectData,
        qp: &KArc<Qp>,
        qsize: u64,
        sleep: CanSleep<'_>,
    ) -> core::result::Result<Early, IoRefusal> {
        let mut slots = KVec::empty();
        loop {
            let mut state = this.state.lock();
            let queues = state.features.queues();
            let hostnqn = this.hostnqn.first_chunk().ok_or(IoRefusal::HostNqn)?;
            let ctx = IoContext {
                hostid: &this.hostid,
                hostnqn,
                state: state.machine.state(),
                queues,
                max_qsize: this.port.config.max_io_qsize,
            };
            connect::check_io(&ctx, cmd, data, qsize, |qid| {
                let at = usize::from(qid.wrapping_sub(1));
                matches!(state.io.get(at), Some(Some(_)))
            })?;
            let granted = usize::from(queues.unwrap_or(0));
            if state.io.is_empty() && slots.len() == granted {
                state.io = core::mem::replace(&mut slots, KVec::empty());
            }
            let at = usize::from(cmd.qid.get().wrapping_sub(1));
            if let Some(slot) = state.io.get_mut(at) {
                *slot = Some(qp.clone());
                // With the lock held, so that a teardown finds the queue attached.
                return Ok(qp.attach(this.clone()));
            }
            drop(state);
            slots = KVec::filled(granted, sleep.into(), |_| None)
                .map_err(|_| IoRefusal::NoController)?;
        }
    }

    /// What the controller's queues did.
    pub fn totals(&self) -> Totals {
        let state = self.state.lock();
        let mut totals = state.closed;
        for qp in state.io.iter().flatten() {
            totals.add(&qp.counters);
        }
        totals
    }

    /// A namespace was added, removed or changed.
    pub fn namespace_changed(&self, nsid: u32, sleep: CanSleep<'_>) {
        let notice = {
            let mut state = self.state.lock();
            if !state.machine.is_enabled() {
                return;
            }
            state.changed.add(nsid);
            state.aer.namespace_changed()
        };
        self.notify(notice, sleep);
    }

    /// Completes an Asynchronous Event Request.
    pub fn notify(&self, notice: Option<Notice>, sleep: CanSleep<'_>) {
        let Some(notice) = notice else {
            return;
        };
        let Some(admin) = self.with(|s| s.admin.clone()) else {
            return;
        };
        if let Some(to) = admin.connection() {
            let cqe = Cqe::new(notice.cid, Status::SUCCESS).with_cdw0(notice.cdw0);
            admin.respond(&to, cqe, sleep);
        }
    }

    /// CTL has one more command.
    #[inline]
    pub fn command_begins(&self) {
        self.busy.begin(uptime_ms);
    }

    /// CTL has one command less.
    #[inline]
    pub fn command_done(this: &KArc<Self>) {
        if this.busy.end(uptime_ms) && this.draining.load(Ordering::SeqCst) {
            Self::queue_teardown(this);
        }
    }

    /// An I/O queue is closed.
    pub fn queue_closed(this: &KArc<Self>, qp: &Qp) {
        this.state.lock().closed.add(&qp.counters);
        if this.closing.fetch_sub(1, Ordering::AcqRel) == 1 {
            Self::queue_teardown(this);
        }
    }

    /// The next step of a teardown, decided under the lock because the task may run in two threads.
    fn next_step(&self) -> Step {
        let mut state = self.state.lock();
        match state.teardown {
            Teardown::Idle | Teardown::Aborting => Step::Wait,
            Teardown::Requested => {
                let queues = core::mem::replace(&mut state.io, KVec::empty());
                let count = queues.iter().flatten().count();
                self.closing
                    .store(u32::try_from(count).unwrap_or(u32::MAX), Ordering::Release);
                state.teardown = Teardown::Closing;
                Step::Close(queues)
            }
            Teardown::Closing if self.closing.load(Ordering::Acquire) != 0 => Step::Wait,
            Teardown::Closing => {
                state.teardown = Teardown::Aborting;
                Step::Abort
            }
            Teardown::Draining if self.busy.pending() != 0 => Step::Wait,
            Teardown::Draining => {
                self.draining.store(false, Ordering::SeqCst);
                state.teardown = Teardown::Idle;
                Step::Finish
            }
        }
    }

    fn abort_commands(&self, sleep: CanSleep<'_>) {
        if let Err(e) = self.ctl.abort_all(self.cntlid.into(), sleep) {
            sys::kprint!(
                "nvmft{}: failed to terminate tasks: {}",
                self.cntlid,
                e.code()
            );
        }
        self.state.lock().teardown = Teardown::Draining;
        self.draining.store(true, Ordering::SeqCst);
        // Either the last command sees the flag or the next step sees no command.
        fence(Ordering::SeqCst);
    }

    fn torn_down(this: &KArc<Self>, sleep: CanSleep<'_>) {
        let mut stale = [0; crate::proto::aer::AER_MAX];
        let (actions, admin) = {
            let mut state = this.state.lock();
            let actions = state.machine.event(Event::TornDown);
            if actions.contains(Actions::CLEAR) {
                for (to, cid) in stale.iter_mut().zip(state.aer.outstanding()) {
                    *to = u32::from(*cid) + 1;
                }
                state.aer.reset();
                state.changed.clear();
                state.features.reset();
            }
            Self::begin(this, &mut state, actions);
            let admin = if actions.contains(Actions::TERMINATE) {
                state.admin.take()
            } else {
                state.admin.clone()
            };
            (actions, admin)
        };
        if let Some(admin) = &admin {
            for cid in stale.iter().filter_map(|c| c.checked_sub(1)) {
                admin.release(cid as u16);
            }
        }
        if actions.contains(Actions::TERMINATE) {
            if let Some(admin) = admin {
                admin.close(sleep);
            }
            peer_message!("nvmft{}: association terminated", this.cntlid);
            this.port.release(this.cntlid);
        }
    }
}

/// What a teardown does next.
enum Step {
    /// Something else has to happen first.
    Wait,
    /// Close these queues.
    Close(KVec<Option<KArc<Qp>>>),
    /// Abort commands.
    Abort,
    /// All is done.
    Finish,
}

impl TaskHandler<TEARDOWN> for Controller {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        loop {
            match this.next_step() {
                Step::Wait => return,
                Step::Close(queues) => {
                    for qp in queues.iter().flatten() {
                        qp.shut();
                    }
                    for qp in queues.iter().flatten() {
                        Qp::queue_close(qp);
                    }
                }
                Step::Abort => this.abort_commands(sleep),
                Step::Finish => {
                    Self::torn_down(&this, sleep);
                    return;
                }
            }
        }
    }
}

impl CalloutHandler<KEEP_ALIVE> for Controller {
    fn fire(this: KArc<Self>) {
        let expired = {
            let state = this.state.lock();
            let waits = match state.machine.state() {
                machine::State::Disabled | machine::State::Enabled | machine::State::ShutDown => {
                    true
                }
                machine::State::Resetting
                | machine::State::ShuttingDown
                | machine::State::Failed
                | machine::State::Terminated => false,
            };
            if !waits || state.features.kato_ms() == 0 {
                return;
            }
            let expired = !this.active.swap(false, Ordering::Relaxed);
            if !expired {
                this.keep_alive
                    .arm_ms(state.features.kato_ms(), this.clone());
            }
            expired
        };
        if expired {
            sys::kprint!(
                "nvmft{}: disconnecting due to KeepAlive timeout",
                this.cntlid
            );
            Self::event(&this, Event::Fatal);
        }
    }
}

impl CalloutHandler<GRACE> for Controller {
    fn fire(this: KArc<Self>) {
        // A timer that was stopped or started again too late fires early.
        if uptime_ms() >= this.state.lock().grace_until_ms {
            Self::event(&this, Event::GraceExpired);
        }
    }
}
