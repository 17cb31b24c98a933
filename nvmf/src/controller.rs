// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A host controller: what lives as long as the device `nvmeX`, whether it is connected or not.
#![forbid(unsafe_code)]

use crate::host::Host;
use crate::link::Link;
use crate::name::Name;
use crate::node::Namespace;
use crate::proto::assoc::{Action, Association, Event, Loss, State};
use crate::proto::handoff::Handoff;
use crate::proto::losses::Losses;
use crate::proto::unserved::{self, Policy, Unserved};
use crate::qpair::HostQpair;
use crate::queues::IoQueues;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use sys::cam::Sim;
use sys::cdev::Cdev;
use sys::kprint;
use sys::mem::{KArc, KBuf, KVec, SetOnce};
use sys::newbus::{Device, ShutdownEvents, fail_on_disconnection};
use sys::nv::NvList;
use sys::sync::{Condvar, Gate, Mutex, Sx};
use sys::task::{Callout, Task};
use sys::time::uptime_ms;
use sys::{CanSleep, Result, Wait};

/// Task that takes a failed association down.
pub const TASK_DISCONNECT: u32 = 0;
/// Task that deletes a lost controller.
pub const TASK_LOSS: u32 = 1;
/// Task that handles asynchronous events.
pub const TASK_EVENTS: u32 = 2;
/// Task that sends the bios which wait at the nodes.
pub const TASK_RESUME: u32 = 3;
/// Task that has CAM look for disks which it gave up.
pub const TASK_RESCAN: u32 = 4;

/// Timer of received keep-alives.
pub const TIMER_RX: u32 = 0;
/// Timer of sent keep-alives.
pub const TIMER_TX: u32 = 1;
/// Timer that looks for overdue commands.
pub const TIMER_WATCH: u32 = 2;
/// Timer of RECONNECT notifications.
pub const TIMER_RECONNECT: u32 = 3;
/// Timer after which a disconnected controller is given up.
pub const TIMER_LOSS: u32 = 4;

/// What userland handed over last.
#[derive(Clone)]
pub struct Identity {
    /// Identify Controller data.
    pub cdata: KArc<KBuf>,
    /// Parameters for a reconnect, given back verbatim.
    pub rparams: KArc<NvList>,
    /// The scalars.
    pub handoff: Handoff,
}

/// The association and what it was made from.
pub struct Conn {
    /// State machine.
    pub machine: Association,
    /// Counts set-ups: an event of an earlier one is stale.
    pub generation: u64,
    /// The queues, while there are any.
    pub link: Option<KArc<Link>>,
    /// What userland handed over.
    pub identity: Identity,
    /// Time of the last disconnect.
    pub last_disconnect: (u64, u32),
    /// How the last associations fared.
    pub losses: Losses,
    /// The loss whose timer expired last.
    pub expired: Option<Loss>,
}

/// The namespaces, in the order of their identifiers.
pub struct NamespaceTable {
    /// The namespaces.
    pub list: KVec<KArc<Namespace>>,
    /// New ones keep their bios, because there is no association.
    pub held: bool,
}

/// A host controller.
pub struct Controller {
    name: Name,
    dev: Device,
    host: KArc<Host>,
    trtype: u32,
    conn: Mutex<Conn>,
    idle: Condvar,
    /// Its I/O queues.
    pub io_queues: IoQueues,
    max_transfer: AtomicU32,
    /// Requests fail instead of being held: the device is going away, or the system is.
    closing: AtomicBool,
    /// CAM's queue is frozen.
    frozen: AtomicBool,
    /// CAM was told that disks are gone: their namespaces know.
    lost: AtomicBool,
    /// The SIM, once there is one.
    pub sim: SetOnce<Gate<Sim<Controller>>>,
    /// The namespaces.
    pub namespaces: Mutex<NamespaceTable>,
    /// Held by whoever changes the namespaces.
    pub scan: Sx<()>,
    /// `/dev/nvmeX`.
    pub node: Mutex<Option<Cdev<Controller>>>,
    /// Registration for system shutdown.
    pub shutdown: Mutex<Option<ShutdownEvents<Controller>>>,
    /// See [`TASK_DISCONNECT`].
    pub disconnect_task: Task<Controller, TASK_DISCONNECT>,
    /// See [`TASK_LOSS`].
    pub loss_task: Task<Controller, TASK_LOSS>,
    /// See [`TASK_EVENTS`].
    pub events_task: Task<Controller, TASK_EVENTS>,
    resume_task: Task<Controller, TASK_RESUME>,
    /// See [`TASK_RESCAN`].
    pub rescan_task: Task<Controller, TASK_RESCAN>,
    /// See [`TIMER_RX`].
    pub rx_timer: Callout<Controller, TIMER_RX>,
    /// See [`TIMER_TX`].
    pub tx_timer: Callout<Controller, TIMER_TX>,
    /// See [`TIMER_WATCH`].
    pub watch_timer: Callout<Controller, TIMER_WATCH>,
    /// See [`TIMER_RECONNECT`].
    pub reconnect_timer: Callout<Controller, TIMER_RECONNECT>,
    /// See [`TIMER_LOSS`].
    pub loss_timer: Callout<Controller, TIMER_LOSS>,
}

impl Controller {
    /// A controller that is attaching, without queues.
    pub fn new(
        dev: Device,
        host: KArc<Host>,
        identity: Identity,
        sleep: CanSleep<'_>,
    ) -> Result<KArc<Self>> {
        let wait = Wait::Sleep(sleep);
        let conn = Conn {
            machine: Association::new(),
            generation: 1,
            link: None,
            identity,
            last_disconnect: (0, 0),
            losses: Losses::default(),
            expired: None,
        };
        let trtype = conn.identity.handoff.trtype;
        let table = NamespaceTable {
            list: KVec::empty(),
            held: false,
        };
        KArc::new(
            Self {
                name: Name::new(format_args!("nvme{}", dev.unit())),
                dev,
                host,
                trtype,
                conn: Mutex::new(c"nvmf connection", conn, wait)?,
                idle: Condvar::new(c"nvmfconn", wait)?,
                io_queues: IoQueues::new(wait)?,
                max_transfer: AtomicU32::new(0),
                closing: AtomicBool::new(false),
                frozen: AtomicBool::new(false),
                lost: AtomicBool::new(false),
                sim: SetOnce::new(),
                namespaces: Mutex::new(c"nvmf namespaces", table, wait)?,
                scan: Sx::new(c"nvmf scan", (), wait)?,
                node: Mutex::new(c"nvmf node", None, wait)?,
                shutdown: Mutex::new(c"nvmf shutdown", None, wait)?,
                disconnect_task: Task::new(wait)?,
                loss_task: Task::new(wait)?,
                events_task: Task::new(wait)?,
                resume_task: Task::new(wait)?,
                rescan_task: Task::new(wait)?,
                rx_timer: Callout::new(wait)?,
                tx_timer: Callout::new(wait)?,
                watch_timer: Callout::new(wait)?,
                reconnect_timer: Callout::new(wait)?,
                loss_timer: Callout::new(wait)?,
            },
            wait,
        )
    }

    /// `nvmeX`.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// The device, until it is detached.
    pub fn device(&self) -> Device {
        self.dev
    }

    /// The module's object.
    pub fn host(&self) -> &KArc<Host> {
        &self.host
    }

    /// Transport type.
    pub fn trtype(&self) -> u32 {
        self.trtype
    }

    /// The largest transfer of a command.
    pub fn max_transfer(&self) -> u32 {
        self.max_transfer.load(Ordering::Relaxed)
    }

    /// Sets the largest transfer of a command.
    pub fn set_max_transfer(&self, bytes: u32) {
        self.max_transfer.store(bytes, Ordering::Relaxed);
    }

    /// What userland handed over last.
    pub fn identity(&self) -> Identity {
        self.conn.lock().identity.clone()
    }

    /// Looks at, or changes, the association.
    pub fn with_conn<R>(&self, f: impl FnOnce(&mut Conn) -> R) -> R {
        f(&mut self.conn.lock())
    }

    /// Reports an event to the state machine, and wakes who waits for its owner.
    pub fn transition(&self, event: Event) -> Action {
        self.transition_and(event, |_, action| action)
    }

    /// The same, and `then` sees the association before anybody else does.
    pub fn transition_and<R>(&self, event: Event, then: impl FnOnce(&mut Conn, Action) -> R) -> R {
        let mut conn = self.conn.lock();
        let action = conn.machine.handle(event);
        if (event, action) == (Event::SetupDone, Action::Proceed) {
            conn.losses.made(uptime_ms());
        }
        if !conn.machine.is_owned() {
            self.idle.broadcast();
        }
        then(&mut conn, action)
    }

    /// Waits until no thread is inside a set-up or a teardown.
    pub fn wait_until_unowned(&self, sleep: CanSleep<'_>) {
        let mut conn = self.conn.lock();
        while conn.machine.is_owned() {
            self.idle.wait(&mut conn, sleep);
        }
    }

    /// The current queues.
    pub fn link(&self) -> Option<KArc<Link>> {
        self.conn.lock().link.clone()
    }

    /// Whether there is an association that serves requests.
    pub fn is_connected(&self) -> bool {
        self.conn.lock().machine.state() == State::Connected
    }

    /// Whether the device is going away.
    pub fn is_detaching(&self) -> bool {
        self.conn.lock().machine.state() == State::Detaching
    }

    /// The admin queue, if there is one.
    pub fn admin_queue(&self) -> Option<KArc<HostQpair>> {
        self.conn
            .lock()
            .link
            .as_ref()
            .map(|link| link.admin().clone())
    }

    /// Whether requests without an association fail, instead of being held.
    pub fn fails_io(&self) -> bool {
        match self.policy() {
            Policy::Hold => false,
            Policy::Fail | Policy::End => true,
        }
    }

    fn policy(&self) -> Policy {
        if self.is_closing() {
            Policy::End
        } else if fail_on_disconnection() {
            Policy::Fail
        } else {
            Policy::Hold
        }
    }

    /// What becomes of a command of CAM's that no association served. Any context.
    pub fn unserved(&self) -> Unserved {
        unserved::judge(self.policy(), self.conn.lock().machine.state())
    }

    /// Whether the device or the system is going away, so that peers hang up with good reason.
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Requests without an association fail from now on.
    pub fn set_closing(&self) {
        self.closing.store(true, Ordering::Release);
    }

    /// CAM was told that the disk of a namespace is gone. Any context.
    ///
    /// Who ends a set-up looks for lost disks afterwards, with [`Controller::find_lost`] too: either that call comes
    /// after this one has left its note, or this one finds the association standing.
    pub fn disk_lost(&self, nsid: u32) {
        if let Some(ns) = self.namespace(nsid) {
            self.note_lost(&ns);
            self.find_lost();
        }
        // CAM hears of namespaces that are not known when they are found.
    }

    /// Has CAM look, soon, for disks that it gave up, if there are any and an association stands. Any context.
    pub fn find_lost(&self) {
        let this = self.with_conn(|conn| {
            let wanted = conn.machine.state() == State::Connected && self.has_lost();
            let link = conn.link.as_ref().filter(|_| wanted);
            link.map(|link| link.controller().clone())
        });
        if let Some(this) = this {
            self.rescan_task.enqueue(self.host.events_queue(), this);
        }
    }

    /// CAM is yet to be told that a disk is back.
    pub fn note_lost(&self, ns: &Namespace) {
        ns.note_lost();
        // Not before: who takes this note then looks at every namespace's.
        self.lost.store(true, Ordering::Release);
    }

    /// Whether there are such disks since [`Controller::take_lost`].
    fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Whether there are such disks since the last call. Their namespaces are still to be asked.
    pub fn take_lost(&self) -> bool {
        self.lost.swap(false, Ordering::AcqRel)
    }

    /// Keeps CAM from sending commands.
    pub fn freeze(&self) {
        if let Some(sim) = self.sim.get().and_then(Gate::enter)
            && !self.frozen.swap(true, Ordering::AcqRel)
        {
            sim.freeze();
        }
    }

    /// Lets CAM send commands again. Not from a data callback.
    pub fn release(&self) {
        if let Some(sim) = self.sim.get().and_then(Gate::enter)
            && self.frozen.swap(false, Ordering::AcqRel)
        {
            sim.release();
        }
    }

    /// Has the nodes send, soon, the bios that wait there. Any context.
    pub fn resume_nodes(&self) {
        if let Some(this) = self
            .conn
            .lock()
            .link
            .as_ref()
            .map(|link| link.controller().clone())
        {
            self.resume_task.enqueue(self.host.queue(), this);
        }
    }

    /// The namespace of that identifier.
    pub fn namespace(&self, nsid: u32) -> Option<KArc<Namespace>> {
        let table = self.namespaces.lock();
        let at = table
            .list
            .binary_search_by_key(&nsid, |ns| ns.nsid())
            .ok()?;
        table.list.get(at).cloned()
    }

    /// All namespaces, in a list of the caller's own.
    pub fn namespace_list(&self, sleep: CanSleep<'_>) -> KVec<KArc<Namespace>> {
        loop {
            let count = self.namespaces.lock().list.len();
            let Ok(mut copy) = KVec::with_capacity(count, Wait::Sleep(sleep)) else {
                return KVec::empty();
            };
            let table = self.namespaces.lock();
            if table.list.len() <= count {
                for ns in table.list.iter() {
                    let _ = copy.push(ns.clone());
                }
                return copy;
            }
        }
    }

    /// The association of that generation is to be given up. Any context; may come at any time, also for an
    /// association that is gone.
    pub fn failure(this: &KArc<Self>, generation: u64) {
        let (action, link) = {
            let mut conn = this.conn.lock();
            if conn.generation != generation {
                return;
            }
            (conn.machine.handle(Event::Failure), conn.link.clone())
        };
        match action {
            Action::TearDown => {
                // Nobody shall wait for this association any more, least of all on the task's behalf.
                if let Some(link) = link {
                    link.admin().abandon_waiters(true);
                }
                this.disconnect_task
                    .enqueue(this.host.queue(), this.clone());
            }
            Action::Unstick => {
                if let Some(link) = link {
                    link.admin().abandon_waiters(true);
                }
            }
            _ => (),
        }
    }

    /// Prints a message of this controller.
    pub fn say(&self, args: core::fmt::Arguments<'_>) {
        kprint!("{}: {args}", self.name);
    }
}
