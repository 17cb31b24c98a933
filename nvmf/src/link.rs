// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The queues of one association, and how they are set up and taken down.
#![forbid(unsafe_code)]

use crate::controller::Controller;
use crate::events::EventSlots;
use crate::nvlist::List;
use crate::proto::aer;
use crate::proto::handoff::{Queue, Source};
use crate::proto::keepalive::KeepAlive;
use crate::proto::timeout::{Limit, SYNC};
use crate::qpair::{HostQpair, Setup};
use crate::sync::{Done, ExecError, execute};
use sys::mem::{KArc, KBuf, KVec, SetOnce};
use sys::nv::NvRef;
use sys::sync::Mutex;
use sys::wire::fabrics::property;
use sys::wire::feature::fid;
use sys::wire::identify::IdentifyController;
use sys::wire::{FromBytes, Sqe};
use sys::{CanSleep, Errno, Result, Wait};

/// What of Identify Controller the host uses.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Maximum Data Transfer Size.
    pub mdts: u8,
    /// Number of Namespaces.
    pub nn: u32,
    /// Abort Command Limit: one less than the Aborts that may be outstanding.
    pub acl: u8,
    /// Asynchronous Event Request Limit.
    pub aerl: u8,
    /// Optional Asynchronous Events Supported.
    pub oaes: u32,
    /// Error Log Page Entries.
    pub elpe: u8,
    /// Controller Attributes.
    pub ctratt: u32,
    /// Version.
    pub ver: u32,
}

impl Features {
    /// Reads Identify Controller data.
    pub fn parse(cdata: &[u8]) -> Option<Self> {
        let (id, _) = IdentifyController::ref_from_prefix(cdata).ok()?;
        Some(Self {
            mdts: id.mdts,
            nn: id.nn.get(),
            acl: id.acl,
            aerl: id.aerl,
            oaes: id.oaes.get(),
            elpe: id.elpe,
            ctratt: id.ctratt.get(),
            ver: id.ver.get(),
        })
    }
}

/// The queues of one association.
pub struct Link {
    ctrl: KArc<Controller>,
    generation: u64,
    features: Features,
    keep_alive: KArc<KeepAlive>,
    admin: KArc<HostQpair>,
    io: SetOnce<KVec<KArc<HostQpair>>>,
    /// The Asynchronous Event Requests.
    pub events: Mutex<EventSlots>,
}

/// What a set-up starts from.
pub struct Plan<'a> {
    /// The controller.
    pub ctrl: &'a KArc<Controller>,
    /// Counts set-ups.
    pub generation: u64,
    /// Identify Controller data of the new association.
    pub cdata: &'a KBuf,
    /// Keep-alive timeout in milliseconds.
    pub kato_ms: u32,
    /// The handoff list.
    pub list: NvRef<'a>,
}

impl Link {
    /// Takes all queues over. The controller gets to know the link as soon as there is an admin queue, so that a
    /// failure finds it.
    pub fn create(plan: &Plan<'_>, sleep: CanSleep<'_>) -> Result<KArc<Self>> {
        let wait = Wait::Sleep(sleep);
        let ctrl = plan.ctrl;
        let features = Features::parse(plan.cdata).ok_or(Errno::EINVAL)?;
        let keep_alive = KArc::new(KeepAlive::new(plan.kato_ms, features.ctratt), wait)?;
        let events = aer::slots(features.aerl);
        let queue = |index, queue, events, params| {
            let generation = plan.generation;
            let setup = Setup {
                ctrl,
                generation,
                index,
                queue,
                events,
                keep_alive: &keep_alive,
            };
            HostQpair::create(&setup, params, sleep)
        };

        let params = plan.list.get_nvlist(c"admin").ok_or(Errno::EINVAL)?;
        let shape = Queue::parse(List(params)).ok_or(Errno::EINVAL)?;
        let admin = queue(None, shape, events, params).inspect_err(|_| {
            ctrl.say(format_args!("Failed to setup admin queue"));
        })?;
        let link = KArc::new(
            Self {
                ctrl: ctrl.clone(),
                generation: plan.generation,
                features,
                keep_alive: keep_alive.clone(),
                admin,
                io: SetOnce::new(),
                events: Mutex::new(c"nvmf aer", EventSlots::new(events), wait)?,
            },
            wait,
        )?;
        ctrl.with_conn(|conn| conn.link = Some(link.clone()));

        let list = List(plan.list);
        let count = list.array_len(c"io").unwrap_or(0);
        let mut io = KVec::with_capacity(count, wait)?;
        let mut result = Ok(());
        for i in 0..count {
            let made = match list.array_get(c"io", i) {
                Some(params) => match Queue::parse(params) {
                    Some(shape) => queue(u32::try_from(i).ok(), shape, 0, params.0),
                    None => Err(Errno::EINVAL),
                },
                None => Err(Errno::EINVAL),
            };
            match made {
                Ok(qp) => result = io.push(qp),
                Err(e) => {
                    ctrl.say(format_args!("Failed to setup I/O queue {i}"));
                    result = Err(e);
                }
            }
            if result.is_err() {
                break;
            }
        }
        let _ = link.io.set(io);
        // A queue that failed before the controller knew the link has left a note:
        // to the caller a queue that could not be set up, however far it came.
        if result.is_ok() && ctrl.with_conn(|conn| conn.machine.has_failed()) {
            result = Err(Errno::ENXIO);
        }
        if let Err(e) = result {
            Self::shut_down(&link, sleep);
            return Err(e);
        }
        Ok(link)
    }

    /// The controller.
    pub fn controller(&self) -> &KArc<Controller> {
        &self.ctrl
    }

    /// Counts set-ups.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What of Identify Controller the host uses.
    pub fn features(&self) -> &Features {
        &self.features
    }

    /// Keep-alive state.
    pub fn keep_alive(&self) -> &KArc<KeepAlive> {
        &self.keep_alive
    }

    /// The admin queue.
    pub fn admin(&self) -> &KArc<HostQpair> {
        &self.admin
    }

    /// The I/O queues.
    pub fn io(&self) -> &[KArc<HostQpair>] {
        self.io.get().map_or(&[], |v| v)
    }

    /// Takes all queues down. The controller does not know the link afterwards.
    pub fn shut_down(this: &KArc<Self>, sleep: CanSleep<'_>) {
        for qp in this.io() {
            HostQpair::shut_down(qp, sleep);
        }
        HostQpair::shut_down(&this.admin, sleep);
        let old = this.ctrl.with_conn(|conn| match &conn.link {
            Some(link) if link.generation == this.generation => conn.link.take(),
            _ => None,
        });
        drop(old);
    }

    /// A synchronous admin command.
    pub fn admin_command(
        &self,
        sqe: Sqe,
        limit: Limit,
        sleep: CanSleep<'_>,
    ) -> core::result::Result<Done, ExecError> {
        execute(&self.admin, sqe, None, limit, sleep)
    }

    /// Reads a property of 4 bytes, or of 8 if it is `wide`.
    pub fn property_get(
        &self,
        offset: u32,
        wide: bool,
        limit: Limit,
        sleep: CanSleep<'_>,
    ) -> Result<u64> {
        let done = self.admin_command(Sqe::property_get(offset, wide), limit, sleep)?;
        if done.status() >> 1 != 0 {
            self.ctrl.say(format_args!(
                "PROPERTY_GET failed, status {:#x}",
                done.status() >> 1
            ));
            return Err(Errno::EIO);
        }
        Ok(if wide {
            done.value()
        } else {
            done.value() & 0xffff_ffff
        })
    }

    /// Tells the controller to shut down in order; does not wait until it has.
    pub fn shut_down_controller(&self, sleep: CanSleep<'_>) {
        use crate::proto::timeout::SHUTDOWN;
        use sys::wire::fabrics::Cc;
        let Ok(cc) = self.property_get(property::CC, false, SHUTDOWN, sleep) else {
            self.ctrl
                .say(format_args!("Failed to fetch CC for shutdown"));
            return;
        };
        let sqe = Sqe::property_set(property::CC, Cc(cc as u32).with_normal_shutdown().0);
        let failed = match self.admin_command(sqe, SHUTDOWN, sleep) {
            Ok(done) => done.status() >> 1 != 0,
            // A controller that closes the connection in answer has understood.
            Err(ExecError::Aborted) => false,
            Err(_) => true,
        };
        if failed {
            self.ctrl
                .say(format_args!("Failed to set CC to trigger shutdown"));
        }
    }

    /// Says which asynchronous events the host wants, and submits the requests for them.
    pub fn start_events(this: &KArc<Self>, sleep: CanSleep<'_>) -> Result<()> {
        let value = aer::configuration(this.features.oaes, this.features.ver);
        let sqe = Sqe::set_features(fid::ASYNC_EVENT_CONFIG, value);
        let done = match this.admin_command(sqe, SYNC, sleep) {
            Ok(done) => done,
            Err(e) => {
                this.ctrl.say(format_args!(
                    "failed to allocate SET_FEATURES (ASYNC_EVENT_CONFIGURATION) command"
                ));
                return Err(match e {
                    ExecError::NoMemory => Errno::ENOMEM,
                    ExecError::Aborted | ExecError::TimedOut => Errno::ECONNABORTED,
                });
            }
        };
        if done.status() >> 1 != 0 {
            let status = done.status() >> 1;
            this.ctrl.say(format_args!(
                "SET_FEATURES (ASYNC_EVENT_CONFIGURATION) failed, status {status:#x}"
            ));
            return Err(Errno::EIO);
        }
        Self::arm_events(this);
        Ok(())
    }
}
