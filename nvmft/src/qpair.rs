// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A queue pair: commands in, data and responses out.
//!
//! The transport's queue pair sits behind a gate. Whoever uses it passes the gate, and [`Qp::close`] waits for
//! them before it frees the connection, so no data move or response meets a closed socket. Closing happens in
//! ioctls and in the teardown task, never in a callback of the transport.
#![forbid(unsafe_code)]

use core::fmt::{self, Display, Formatter};
use core::sync::atomic::{AtomicU32, Ordering};

use sys::ctl::{Completed, DataMove, MoveQueue};
use sys::errno::{Errno, Result};
use sys::mem::{KArc, KVec, SetOnce};
use sys::nv::NvRef;
use sys::sync::{Gate, GateGuard, Mutex};
use sys::task::{Task, TaskHandler};
use sys::wire::identify::cns;
use sys::wire::sqe::admin;
use sys::wire::{Cqe, FromBytes, IntoBytes, Sqe, Status};
use sys::xport::{Capsule, Qpair, QpairHandler, SendOutcome};
use sys::{CanSleep, Wait};

use crate::commands;
use crate::controller::Controller;
use crate::module::{Module, peer_message};
use crate::proto::admin::data_len_fits;
use crate::proto::cid::{CidError, CidTable, cid_words};
use crate::proto::identify::namespace_to_descriptors;
use crate::proto::stats::QueueCounters;

/// The tasks of a queue pair.
const MOVE: u32 = 0;
const CLOSE: u32 = 1;
const LOST: u32 = 2;

/// The transport's queue pair, in use.
pub type Connection<'a> = GateGuard<'a, Qpair<Qp>>;

/// What a connection said before there was a controller to tell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Early {
    /// Nothing.
    None,
    /// It was closed, or it failed.
    Error(Option<Errno>),
}

struct Commands {
    cids: CidTable<KVec<u32>>,
    early: Early,
}

/// A queue pair.
pub struct Qp {
    /// Zero for the admin queue.
    pub qid: u16,
    qsize: u32,
    flow_control: bool,
    xport: SetOnce<Gate<Qpair<Qp>>>,
    controller: SetOnce<KArc<Controller>>,
    /// Commands received, modulo the size of the queue.
    sqhd: AtomicU32,
    commands: Mutex<Commands>,
    moves: Mutex<MoveQueue<Qp>>,
    move_task: Task<Qp, MOVE>,
    close_task: Task<Qp, CLOSE>,
    lost_task: Task<Qp, LOST>,
    /// What the queue did.
    pub counters: QueueCounters,
    module: KArc<Module>,
}

impl Display for Qp {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.qid {
            0 => f.write_str("admin queue"),
            qid => write!(f, "I/O queue {qid}"),
        }
    }
}

impl Qp {
    /// Takes a connection over, as the checked parameters of a handoff describe it; `None` when no transport
    /// wants it.
    #[inline(never)]
    pub fn connect(
        module: KArc<Module>,
        trtype: u32,
        qid: u16,
        params: NvRef<'_>,
        max_icd: u64,
        sleep: CanSleep<'_>,
    ) -> Result<KArc<Self>> {
        let wait = Wait::Sleep(sleep);
        let number = |name| params.get_number(name).unwrap_or(0) as u32;
        let qsize = number(c"qsize").max(1);
        let commands = Commands {
            cids: CidTable::new(KVec::filled(cid_words(qsize), wait, |_| 0)?, qsize),
            early: Early::None,
        };
        let qp = KArc::new(
            Qp {
                qid,
                qsize,
                flow_control: params.get_bool(c"sq_flow_control").unwrap_or(false),
                xport: SetOnce::new(),
                controller: SetOnce::new(),
                sqhd: AtomicU32::new(number(c"sqhd")),
                commands: Mutex::new(c"nvmft qp", commands, wait)?,
                moves: Mutex::new(c"nvmft moves", MoveQueue::new(), wait)?,
                move_task: Task::new(wait)?,
                close_task: Task::new(wait)?,
                lost_task: Task::new(wait)?,
                counters: QueueCounters::default(),
                module,
            },
            wait,
        )?;
        // What the host may send in a capsule: userland says zero, and a transport may use it as a limit. A
        // handoff without it stays without it, for the transport to decline.
        let mut params = params.to_owned()?;
        if params.as_ref().get_number(c"max_icd").is_some() {
            params.set_number(c"max_icd", max_icd);
        }
        let raw = Qpair::allocate(trtype, true, params.as_ref(), qp.clone(), sleep)
            .ok_or(Errno::ENXIO)?;
        // It is set once, here.
        let _ = qp.xport.set(Gate::new(c"nvmft gate", raw, wait)?);
        Ok(qp)
    }

    /// The connection, unless it is closed.
    pub fn connection(&self) -> Option<Connection<'_>> {
        self.xport.get()?.enter()
    }

    /// The controller, once the queue has one.
    pub fn controller(&self) -> Option<&KArc<Controller>> {
        self.controller.get()
    }

    /// Gives the queue to a controller and returns what the connection said before.
    pub fn attach(&self, c: KArc<Controller>) -> Early {
        let commands = self.commands.lock();
        let _ = self.controller.set(c);
        commands.early
    }

    /// Nobody uses the connection from now on.
    pub fn shut(&self) {
        if let Some(gate) = self.xport.get() {
            gate.shut();
        }
    }

    /// Closes the connection, once; data moves that wait for it fail.
    pub fn close(&self, sleep: CanSleep<'_>) {
        if let Some(raw) = self.xport.get().and_then(|gate| gate.close(sleep)) {
            raw.free(sleep);
        }
    }

    /// Has a task close the connection and tell the controller.
    pub fn queue_close(this: &KArc<Self>) {
        this.close_task.enqueue(&this.module.teardown, this.clone());
    }

    /// Has a task close a connection that the host gave up; the queue stays until the controller is reset.
    pub fn queue_lost(this: &KArc<Self>) {
        this.lost_task.enqueue(&this.module.teardown, this.clone());
    }

    /// Sends a response to a command whose identifier is not, or no longer, in use.
    pub fn send(&self, to: &Connection<'_>, mut cqe: Cqe, sleep: CanSleep<'_>) {
        let sqhd = if self.flow_control {
            self.sqhd.load(Ordering::Relaxed) as u16
        } else {
            0
        };
        cqe.sqhd = sqhd.into();
        self.transmit(to, &cqe, sleep);
    }

    /// Sends the response to the Connect that made the queue.
    pub fn send_connect_response(&self, mut cqe: Cqe, sleep: CanSleep<'_>) {
        let sqhd = if self.flow_control {
            self.sqhd.load(Ordering::Relaxed) as u16
        } else {
            0xffff
        };
        cqe.sqhd = sqhd.into();
        if let Some(to) = self.connection() {
            self.transmit(&to, &cqe, sleep);
        }
    }

    /// Sends a response and releases its command's identifier.
    pub fn respond(&self, to: &Connection<'_>, cqe: Cqe, sleep: CanSleep<'_>) {
        self.release(cqe.cid.get());
        self.send(to, cqe, sleep);
    }

    /// Releases a command's identifier.
    pub fn release(&self, cid: u16) {
        self.commands.lock().cids.remove(cid);
    }

    /// Whether success is told with the last of the data, so that no response follows it.
    pub fn has_implicit_success(&self) -> bool {
        !self.flow_control
    }

    fn transmit(&self, to: &Connection<'_>, cqe: &Cqe, sleep: CanSleep<'_>) {
        let mut bytes = [0; 16];
        // Both are 16 bytes.
        let _ = cqe.write_to(&mut bytes);
        if let Ok(nc) = to.response(&bytes, sleep.into()) {
            // A transport that fails to send reports that to error().
            let _ = to.transmit(&nc);
        }
    }

    fn count_command(&self) {
        // Only the receive thread counts.
        let next = (self.sqhd.load(Ordering::Relaxed) + 1) % self.qsize;
        self.sqhd.store(next, Ordering::Relaxed);
    }

    fn receive(this: &KArc<Self>, nc: Capsule, sleep: CanSleep<'_>) {
        let bytes = nc.sqe();
        let Ok(sqe) = Sqe::read_from_bytes(&bytes) else {
            return;
        };
        let Some(c) = this.controller() else {
            let (cid, opcode) = (sqe.cid.get(), sqe.opcode);
            let name: &Qp = this;
            peer_message!("NVMFT: {name} received CID {cid} opcode {opcode} on newborn queue");
            return;
        };
        let Some(to) = this.connection() else {
            return;
        };
        c.touch();
        this.count_command();
        let cid = sqe.cid.get();
        let sc = nc.validate();
        if sc != 0 {
            this.send(&to, Cqe::new(cid, Status::new(0, sc)), sleep);
            return;
        }
        let inserted = this.commands.lock().cids.insert(cid);
        let refused = match inserted {
            Ok(()) => {
                commands::execute(this, c, &to, nc, &sqe, sleep);
                return;
            }
            Err(CidError::Conflict) => Status::COMMAND_ID_CONFLICT,
            Err(CidError::QueueFull) => Status::COMMAND_SEQUENCE_ERROR,
        };
        this.send(&to, Cqe::new(cid, refused), sleep);
    }

    /// CTL wants data moved; without leave to sleep a task does it.
    pub fn datamove(mv: DataMove<Qp>, sleep: Option<CanSleep<'_>>) {
        let qp = mv.owner().clone();
        match sleep {
            Some(sleep) => qp.move_data(mv, sleep),
            None => {
                qp.moves.lock().push(mv);
                qp.move_task.enqueue(&qp.module.moves, qp.clone());
            }
        }
    }

    fn move_data(&self, mut mv: DataMove<Qp>, sleep: CanSleep<'_>) {
        let Some(to) = self.connection() else {
            mv.abort(Some(sleep));
            return;
        };
        let info = mv.info();
        let sqe = mv.capsule().sqe();
        let Ok(sqe) = Sqe::ref_from_bytes(&sqe) else {
            return;
        };
        if !data_len_fits(sqe, mv.capsule().data_len() as u64, info.total.into()) {
            drop(to);
            mv.fail(Status::DATA_SGL_LENGTH_INVALID.sc());
            mv.done(Some(sleep));
            return;
        }
        if !info.to_host {
            let result = mv.receive(Some(sleep));
            drop(to);
            if let Err(e) = result {
                peer_message!("Failed to request capsule data: {}", e.code());
            }
            return;
        }
        if info.admin
            && asks_for_descriptors(sqe)
            && let Some(page) = mv.own_buffer()
        {
            namespace_to_descriptors(page);
        }
        // A host may use the identifier again as soon as it has the last of the data.
        let last = u64::from(info.offset) + u64::from(info.len) >= mv.capsule().data_len() as u64;
        if last && self.has_implicit_success() {
            self.release(sqe.cid.get());
        }
        let outcome = match mv.mbufs(sleep.into()) {
            Ok(m) => mv.send(&to, m),
            Err(_) => SendOutcome::Failed(Status::INTERNAL_ERROR.sc()),
        };
        drop(to);
        match outcome {
            SendOutcome::Sent | SendOutcome::More => {}
            SendOutcome::SuccessSent => mv.success_sent(),
            SendOutcome::Failed(sc) => mv.fail(sc),
        }
        mv.done(Some(sleep));
    }

    /// CTL has completed a command.
    pub fn done(done: Completed<Qp>, sleep: CanSleep<'_>) {
        let Completed {
            owner: qp,
            capsule,
            cqe,
            send,
        } = done;
        let Some(c) = qp.controller() else {
            return;
        };
        let sqe = capsule.sqe();
        if let (Ok(sqe), Ok(mut cqe)) = (Sqe::ref_from_bytes(&sqe), Cqe::read_from_bytes(&cqe)) {
            if !send || cqe.status().is_success() {
                qp.counters.count(sqe.opcode, capsule.data_len() as u64);
            }
            if send {
                cqe.cid = sqe.cid;
                cqe.sqid = 0.into();
                cqe.set_status(status_for_host(cqe.status()));
                match qp.connection() {
                    Some(to) => qp.respond(&to, cqe, sleep),
                    None => qp.release(sqe.cid.get()),
                }
            }
        }
        drop(capsule);
        Controller::command_done(c);
    }
}

/// Identify CNS 03h goes to CTL as CNS 00h: see [`namespace_to_descriptors`].
fn asks_for_descriptors(sqe: &Sqe) -> bool {
    sqe.opcode == admin::IDENTIFY && sqe.cdw10.get() as u8 == cns::NAMESPACE_DESCRIPTORS
}

/// CTL says that a command was aborted with a path related status code under the wrong type.
fn status_for_host(status: Status) -> Status {
    if status.code() == 0x71 {
        Status::ABORTED_SQ_DELETION
    } else {
        Status(status.0 & !1)
    }
}

impl QpairHandler for Qp {
    fn error(this: &KArc<Self>, error: Option<Errno>) {
        let c = {
            let mut commands = this.commands.lock();
            match this.controller() {
                Some(c) => c,
                None => {
                    if commands.early == Early::None {
                        commands.early = Early::Error(error);
                    }
                    return;
                }
            }
        };
        Controller::connection_lost(c, this, error);
    }

    fn received(this: &KArc<Self>, capsule: Capsule, sleep: CanSleep<'_>) {
        Self::receive(this, capsule, sleep);
    }
}

impl TaskHandler<CLOSE> for Qp {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        this.close(sleep);
        if let Some(c) = this.controller() {
            Controller::queue_closed(c, &this);
        }
    }
}

impl TaskHandler<LOST> for Qp {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        this.close(sleep);
    }
}

impl TaskHandler<MOVE> for Qp {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        loop {
            let next = this.moves.lock().pop();
            match next {
                Some(mv) => this.move_data(mv, sleep),
                None => break,
            }
        }
    }
}
