// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A queue pair of the host: submission, completion, and the end of both.
//!
//! A command is in the slot table from submission until it is finished, see [`crate::proto::slots`]; nothing is
//! allocated for it here. The table's lock is never held while the transport is called, since the transport's
//! callbacks take it with network locks held.
#![forbid(unsafe_code)]
// A refused command goes back to its submitter by value: there is no memory to box it in.
#![allow(clippy::result_large_err)]

use crate::abort::{Aborts, Target};
use crate::controller::Controller;
use crate::name::Name;
use crate::node::NodeBio;
use crate::proto::handoff::Queue;
use crate::proto::keepalive::KeepAlive;
use crate::proto::slots::{
    CidError, Class, Cqe, Entry, Finished, Progress, Shape, Storage, Table, Transfer, cqe_cid,
};
use crate::proto::timeout::{Patience, Verdict};
use crate::sim;
use crate::sync::SyncCommand;
use core::sync::atomic::{AtomicU16, AtomicU32, AtomicU64, Ordering};
use sys::cam::{Ccb, CcbQueue};
use sys::kprint;
use sys::log::RateLimit;
use sys::mem::{KArc, KVec, SetOnce};
use sys::memdesc::MemDesc;
use sys::newbus::{QueueCounters, QueueSysctl};
use sys::nv::NvRef;
use sys::sync::{Condvar, Gate, Mutex};
use sys::task::{Task, TaskHandler};
use sys::wire::{IntoBytes, Sqe};
use sys::xport::{Capsule, IoOwner, IoTag, Qpair, QpairHandler};
use sys::{CanSleep, Errno, Result, Wait};

/// On whose behalf a command runs.
pub enum Request {
    /// CAM.
    Ccb(Ccb),
    /// A namespace node.
    Bio(NodeBio),
    /// A thread that waits.
    Sync(KArc<SyncCommand>),
    /// Our own Asynchronous Event Request of that number.
    Event(u32),
    /// Our own Keep Alive.
    KeepAlive,
    /// An Abort.
    Abort(Target),
}

/// A command to submit.
pub struct Command {
    /// Submission queue entry; the queue fills in the identifier.
    pub sqe: Sqe,
    /// Data, and whether they go to the controller.
    pub data: Option<(MemDesc, bool)>,
    /// On whose behalf.
    pub request: Request,
    /// Which slots it may use.
    pub class: Class,
    /// How long it may take.
    pub patience: Patience,
}

/// Why a command was not submitted.
pub enum Refused {
    /// The queue is being taken down.
    Down(Command),
    /// All slots are in use.
    Full(Command),
    /// No memory for a capsule.
    NoMemory(Request),
}

/// What the slot table keeps for a command.
struct Payload {
    capsule: Option<Capsule>,
    request: Request,
}

// 16 of them are a kilobyte, and 127 fit in eight.
const _: () = assert!(size_of::<Entry<Payload>>() <= 64);

/// Slots that an I/O queue begins with.
const FIRST_SLOTS: u32 = 16;

impl Storage<Payload> for KVec<Entry<Payload>> {
    fn grow(&mut self, len: usize) -> bool {
        let more = len.saturating_sub(self.len());
        if self.reserve(more, Wait::NoWait).is_err() {
            return false;
        }
        while self.len() < len && self.push(Entry::default()).is_ok() {}
        true
    }
}

type Slots = Table<Payload, KVec<Entry<Payload>>>;

struct State {
    table: Slots,
    /// No command is accepted any more, and no response believed.
    down: bool,
    /// CCBs that wait for a slot.
    ccbs: CcbQueue,
    /// Threads that wait for a slot.
    waiters: u32,
    /// A namespace node has bios that wait for a slot.
    node_waits: bool,
    /// A Keep Alive waits for a slot.
    keep_alive_waits: bool,
}

/// A queue pair.
pub struct HostQpair {
    ctrl: KArc<Controller>,
    name: Name,
    index: Option<u32>,
    generation: u64,
    keep_alive: KArc<KeepAlive>,
    /// Aborts that this queue carries.
    pub aborts: Aborts,
    transport: SetOnce<Gate<Qpair<HostQpair>>>,
    state: Mutex<State>,
    room: Condvar,
    tags: KVec<IoTag>,
    counters: KArc<QueueCounters>,
    /// Commands under way, as the last that came or was answered left it.
    open: AtomicU32,
    sysctl: Mutex<Option<QueueSysctl>>,
    kick: Task<HostQpair>,
    noise: RateLimit,
}

/// What an event did to a command, owned, for use after the lock is released.
enum Step {
    None,
    Capsule(Option<Capsule>),
    Finished(Finished<Payload>),
}

fn owned(progress: Progress<'_, Payload>) -> Step {
    match progress {
        Progress::Waiting {
            payload,
            answered: true,
        } => Step::Capsule(payload.capsule.take()),
        Progress::Waiting { .. } | Progress::Unexpected => Step::None,
        Progress::Finished(f) => Step::Finished(f),
    }
}

/// Identity and shape of a queue pair that is set up.
pub struct Setup<'a> {
    /// The controller.
    pub ctrl: &'a KArc<Controller>,
    /// Of the association.
    pub generation: u64,
    /// Of an I/O queue.
    pub index: Option<u32>,
    /// What userland says of it.
    pub queue: Queue,
    /// Asynchronous Event Requests that it carries.
    pub events: u32,
    /// Of the association.
    pub keep_alive: &'a KArc<KeepAlive>,
}

impl HostQpair {
    /// Takes a queue pair over from userland; ENXIO if no transport wants it.
    pub fn create(setup: &Setup<'_>, params: NvRef<'_>, sleep: CanSleep<'_>) -> Result<KArc<Self>> {
        let wait = Wait::Sleep(sleep);
        let shape = Shape {
            entries: setup.queue.qsize,
            events: setup.events,
            sqhd: setup.queue.sqhd,
            sqtail: setup.queue.sqtail,
            flow_control: setup.queue.flow_control,
        };
        let count = shape.slots() as usize;
        let first = match setup.index {
            // Its kinds of commands must not starve one another.
            None => count,
            Some(_) => count.min(FIRST_SLOTS as usize),
        };
        let table = Table::new(KVec::filled(first, wait, |_| Entry::default())?, &shape);
        let name = match setup.index {
            None => Name::new(format_args!("admin queue")),
            Some(i) => Name::new(format_args!("I/O queue {i}")),
        };
        let counters = KArc::new(
            QueueCounters {
                num_entries: setup.queue.qsize.saturating_add(setup.events),
                sq_head: AtomicU16::new(shape.sqhd as u16),
                sq_tail: AtomicU16::new(shape.sqtail as u16),
                num_cmds: AtomicU64::new(0),
            },
            wait,
        )?;
        let state = State {
            table,
            down: false,
            ccbs: CcbQueue::new(),
            waiters: 0,
            node_waits: false,
            keep_alive_waits: false,
        };
        let qp = KArc::new(
            HostQpair {
                ctrl: setup.ctrl.clone(),
                name,
                index: setup.index,
                generation: setup.generation,
                keep_alive: setup.keep_alive.clone(),
                aborts: Aborts::default(),
                transport: SetOnce::new(),
                state: Mutex::new(c"nvmf qp", state, wait)?,
                room: Condvar::new(c"nvmfqpqu", wait)?,
                tags: KVec::filled(count, wait, IoTag::new)?,
                counters,
                open: AtomicU32::new(0),
                sysctl: Mutex::new(c"nvmf sysctl", None, wait)?,
                kick: Task::new(wait)?,
                noise: RateLimit::new(5),
            },
            wait,
        )?;
        let trtype = setup.ctrl.trtype();
        let raw = Qpair::allocate(trtype, false, params, qp.clone(), sleep).ok_or(Errno::ENXIO)?;
        let gate = Gate::new(c"nvmf gate", raw, wait)?;
        if qp.transport.set(gate).is_err() {
            return Err(Errno::EBUSY);
        }
        let nodes = QueueSysctl::add(setup.ctrl.device(), qp.index, qp.counters.clone(), sleep);
        *qp.sysctl.lock() = nodes;
        Ok(qp)
    }

    /// Its name, for messages.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The controller.
    pub fn controller(&self) -> &KArc<Controller> {
        &self.ctrl
    }

    /// Generation of its association.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Commands under way, as far as can be told without a lock.
    #[inline]
    pub fn open(&self) -> u32 {
        self.open.load(Ordering::Relaxed)
    }

    /// Entries of the submission queue, and of events on top of that.
    pub fn entries(&self) -> u32 {
        self.counters.num_entries
    }

    fn publish(&self, table: &Slots) {
        self.open.store(table.open(), Ordering::Relaxed);
        self.counters
            .sq_tail
            .store(table.sq_tail() as u16, Ordering::Relaxed);
        self.counters
            .num_cmds
            .store(table.commands(), Ordering::Relaxed);
    }

    /// Submits a command. A CCB that finds no slot waits for one here. Must not be called from a data callback.
    pub fn submit(this: &KArc<Self>, cmd: Command) -> core::result::Result<(), Refused> {
        let Some(transport) = this.transport.get().and_then(Gate::enter) else {
            return Err(Refused::Down(cmd));
        };
        let Command {
            mut sqe,
            data,
            request,
            class,
            patience,
        } = cmd;
        let transfer = match &data {
            Some((_, true)) => Some(Transfer::Write),
            // More than that is refused below.
            Some((md, false)) => Some(Transfer::Read(u32::try_from(md.len()).unwrap_or(u32::MAX))),
            None => None,
        };
        let payload = Payload {
            capsule: None,
            request,
        };
        let cid = {
            let mut st = this.state.lock();
            let refused = if st.down {
                Some((payload, true))
            } else {
                match st.table.allocate(class, transfer, patience, payload) {
                    Ok(cid) => {
                        this.publish(&st.table);
                        sqe.cid = cid.into();
                        None
                    }
                    Err(payload) => Some((payload, false)),
                }
            };
            if let Some((payload, down)) = refused {
                let request = match payload.request {
                    Request::Ccb(ccb) if !down => {
                        st.ccbs.push(ccb);
                        return Ok(());
                    }
                    Request::KeepAlive if !down => {
                        st.keep_alive_waits = true;
                        return Ok(());
                    }
                    request => request,
                };
                let back = Command {
                    sqe,
                    data,
                    request,
                    class,
                    patience,
                };
                return Err(if down {
                    Refused::Down(back)
                } else {
                    Refused::Full(back)
                });
            }
            sqe.cid.get()
        };

        let mut bytes = [0; 64];
        bytes.copy_from_slice(sqe.as_bytes());
        let Ok(capsule) = transport.command(&bytes, Wait::NoWait) else {
            return Self::roll_back(this, cid);
        };
        if let Some((md, write)) = data
            && capsule
                .append_data_at(md, write, this.clone(), usize::from(cid))
                .is_err()
        {
            return Self::roll_back(this, cid);
        }
        if let Err(e) = transport.transmit(&capsule) {
            kprint!(
                "{}: failed to transmit capsule: {}, disconnecting",
                this.ctrl.name(),
                e.code()
            );
            if transfer.is_some() {
                capsule.abort_data(Errno::ECONNABORTED);
            }
            this.failed();
        }
        this.keep_alive.on_transmit();

        let mut capsule = Some(capsule);
        let step = {
            let mut st = this.state.lock();
            match st.table.submitted(cid) {
                Progress::Waiting {
                    payload,
                    answered: false,
                } => {
                    payload.capsule = capsule.take();
                    Step::None
                }
                Progress::Finished(f) => Step::Finished(f),
                Progress::Waiting { .. } | Progress::Unexpected => Step::None,
            }
        };
        drop(capsule);
        drop(transport);
        if let Step::Finished(f) = step {
            Self::complete(this, f, false);
        }
        Ok(())
    }

    /// Takes a command back that the transport never saw.
    fn roll_back(this: &KArc<Self>, cid: u16) -> core::result::Result<(), Refused> {
        let cancelled = this.state.lock().table.cancel(cid);
        match cancelled {
            Some(payload) => {
                // The slot is free again, and somebody may wait for it.
                Self::next(this, false);
                Err(Refused::NoMemory(payload.request))
            }
            None => Ok(()),
        }
    }

    /// Sends a CCB's command, or completes the CCB if that is not possible.
    pub fn submit_ccb(this: &KArc<Self>, ccb: Ccb) {
        match Self::submit(this, sim::command(ccb)) {
            Ok(()) => (),
            Err(Refused::Down(cmd) | Refused::Full(cmd)) => sim::refuse(&this.ctrl, cmd.request),
            Err(Refused::NoMemory(request)) => sim::no_memory(request),
        }
    }

    /// Waits, at most `ms` milliseconds, until a slot may be free.
    pub fn wait_for_room(&self, ms: u32, sleep: CanSleep<'_>) {
        let mut st = self.state.lock();
        if st.down || st.table.has_room() {
            return;
        }
        st.waiters += 1;
        self.room.wait_ms(&mut st, ms, sleep);
        st.waiters = st.waiters.saturating_sub(1);
    }

    /// A namespace node's bio found no slot: the node wants to be told when there may be one.
    pub fn node_waits(&self) {
        let mut st = self.state.lock();
        if st.table.has_room() {
            drop(st);
            self.ctrl.resume_nodes();
        } else {
            st.node_waits = true;
        }
    }

    /// A finished command. `direct` says that this context may submit others.
    fn complete(this: &KArc<Self>, f: Finished<Payload>, direct: bool) {
        let Finished { payload, cqe, data } = f;
        // With its capsule gone, nothing of the command is left in the transport.
        drop(payload.capsule);
        match payload.request {
            Request::Ccb(ccb) => sim::finish(&this.ctrl, ccb, &cqe, data, direct),
            Request::Bio(bio) => bio.finish(&cqe, data),
            Request::Sync(cmd) => cmd.finish(&cqe, data),
            Request::Event(i) => Controller::event_completed(&this.ctrl, this.generation, i, &cqe),
            Request::KeepAlive => this.ctrl.keep_alive_completed(&this.keep_alive, &cqe),
            Request::Abort(target) => this.aborts.ended(target),
        }
        Self::next(this, direct);
    }

    /// Serves who waits for a slot.
    fn next(this: &KArc<Self>, direct: bool) {
        loop {
            let mut st = this.state.lock();
            if st.down || !st.table.has_room() {
                return;
            }
            if st.waiters != 0 {
                this.room.signal();
            }
            let node_waits = core::mem::take(&mut st.node_waits);
            let idle = st.ccbs.is_empty() && !st.keep_alive_waits;
            let (keep_alive, ccb) = if idle || !direct {
                (false, None)
            } else if core::mem::take(&mut st.keep_alive_waits) {
                (true, None)
            } else {
                (false, st.ccbs.pop())
            };
            drop(st);
            if node_waits {
                this.ctrl.resume_nodes();
            }
            if idle {
                return;
            }
            if !direct {
                this.kick.enqueue(this.ctrl.host().queue(), this.clone());
                return;
            }
            if keep_alive {
                Controller::send_keep_alive(this);
            }
            if let Some(ccb) = ccb {
                Self::submit_ccb(this, ccb);
            }
        }
    }

    /// The association is to be given up.
    fn failed(&self) {
        Controller::failure(&self.ctrl, self.generation);
    }

    /// Its number for the controller.
    pub fn id(&self) -> u16 {
        self.index
            .and_then(|i| u16::try_from(i).ok())
            .map_or(0, |i| i.saturating_add(1))
    }

    /// A command was overdue, and is given up.
    pub fn overdue(&self) {
        kprint!(
            "{}: command timed out on {}, disconnecting",
            self.ctrl.name(),
            self.name
        );
        self.failed();
    }

    /// The first command that something is to be done about, and what. Of an Abort [`Self::abort_ended`] is to be told.
    pub fn look(&self, now: u64, may_abort: bool) -> Option<(u16, Verdict)> {
        let mut st = self.state.lock();
        if st.down {
            return None;
        }
        st.table.look(now, may_abort)
    }

    /// The Abort for a command has ended.
    pub fn abort_ended(this: &KArc<Self>, cid: u16) {
        let step = owned(this.state.lock().table.abort_ended(cid));
        if let Step::Finished(f) = step {
            Self::complete(this, f, false);
        }
    }

    /// Whether no command of CAM or of a node is outstanding.
    pub fn is_quiet(&self) -> bool {
        let st = self.state.lock();
        st.table.is_idle() && st.ccbs.is_empty()
    }

    /// Ends the waiting of every thread that waits for a command, without ending the commands. With `down`, no
    /// further one is accepted. Any context.
    pub fn abandon_waiters(&self, down: bool) {
        let mut st = self.state.lock();
        st.down |= down;
        for cid in 0..st.table.count() {
            if let Some(Payload {
                request: Request::Sync(cmd),
                ..
            }) = st.table.payload(cid)
            {
                cmd.abandon();
            }
        }
        drop(st);
        self.room.broadcast();
    }

    /// Takes the queue pair down: frees it, and gives every command up. Commands whose data the network still holds
    /// finish when it lets go of them.
    pub fn shut_down(this: &KArc<Self>, sleep: CanSleep<'_>) {
        this.abandon_waiters(true);
        let transport = this.transport.get().and_then(|gate| gate.close(sleep));
        // Our references to the capsules go first: the transport keeps its own.
        let count = this.state.lock().table.count();
        for cid in 0..count {
            let capsule = this
                .state
                .lock()
                .table
                .payload(cid)
                .and_then(|p| p.capsule.take());
            drop(capsule);
        }
        if let Some(transport) = transport {
            transport.free(sleep);
        }
        let mut waiting = this.state.lock().ccbs.take();
        while let Some(ccb) = waiting.pop() {
            sim::refuse(&this.ctrl, Request::Ccb(ccb));
        }
        for cid in 0..count {
            let step = owned(this.state.lock().table.abort(cid));
            if let Step::Finished(f) = step {
                Self::complete(this, f, false);
            }
        }
        let nodes = this.sysctl.lock().take();
        if let Some(nodes) = nodes {
            nodes.free(sleep);
        }
    }
}

impl QpairHandler for HostQpair {
    fn error(this: &KArc<Self>, error: Option<Errno>) {
        let expected = this.ctrl.is_detaching() || this.ctrl.is_closing();
        if !(error.is_none() && expected) && this.noise.allow() {
            let code = error.map_or(0, Errno::code);
            kprint!(
                "{}: error {} on {}, disconnecting",
                this.ctrl.name(),
                code,
                this.name
            );
        }
        this.failed();
    }

    fn received(this: &KArc<Self>, capsule: Capsule, _sleep: CanSleep<'_>) {
        let cqe: Cqe = capsule.cqe();
        let sqhd_valid = capsule.sqhd_valid();
        drop(capsule);
        this.keep_alive.on_receive();
        let result = {
            let mut st = this.state.lock();
            if st.down {
                None
            } else {
                let step = st.table.response(&cqe, sqhd_valid).map(owned);
                this.counters
                    .sq_head
                    .store(st.table.sq_head() as u16, Ordering::Relaxed);
                this.open.store(st.table.open(), Ordering::Relaxed);
                Some(step)
            }
        };
        let cid = cqe_cid(&cqe);
        match result {
            Some(Ok(Step::Finished(f))) => Self::complete(this, f, true),
            Some(Ok(Step::Capsule(capsule))) => drop(capsule),
            Some(Ok(Step::None)) => (),
            Some(Err(e)) => {
                if this.noise.allow() {
                    let ctrl = this.ctrl.name();
                    match e {
                        CidError::Invalid => {
                            kprint!("{ctrl}: received invalid CID {cid}, disconnecting")
                        }
                        CidError::Inactive => {
                            kprint!(
                                "{ctrl}: received completion for inactive CID {cid}, disconnecting"
                            );
                        }
                    }
                }
                this.failed();
            }
            None => {
                let expected = this.ctrl.is_detaching() || this.ctrl.is_closing();
                if !expected && this.noise.allow() {
                    let ctrl = this.ctrl.name();
                    kprint!(
                        "{ctrl}: received completion for CID {cid} on shutdown {}",
                        this.name
                    );
                }
            }
        }
    }
}

impl IoOwner for HostQpair {
    fn io_tags(&self) -> &[IoTag] {
        &self.tags
    }

    fn io_done(this: KArc<Self>, index: usize, xfered: usize, error: Option<Errno>) {
        let Ok(cid) = u16::try_from(index) else {
            return;
        };
        let mut st = this.state.lock();
        let code = error.map_or(0, Errno::code);
        let step = owned(st.table.data(cid, xfered, code));
        drop(st);
        match step {
            Step::Finished(f) => Self::complete(&this, f, false),
            Step::Capsule(capsule) => drop(capsule),
            Step::None => (),
        }
    }
}

impl TaskHandler<0> for HostQpair {
    fn run(this: KArc<Self>, _sleep: CanSleep<'_>) {
        Self::next(&this, true);
    }
}

/// An identifier for nothing in particular: the queue fills it in.
pub fn admin_command(sqe: Sqe, request: Request, class: Class) -> Command {
    Command {
        sqe,
        data: None,
        request,
        class,
        patience: Patience::ENDLESS,
    }
}
