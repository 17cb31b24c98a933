// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! From a handoff to a device that works, and from a failed association to a new one.
#![forbid(unsafe_code)]

use crate::controller::{Controller, Identity, TASK_DISCONNECT, TASK_LOSS};
use crate::ffi;
use crate::link::{Link, Plan};
use crate::node::Namespace;
use crate::nvlist::List;
use crate::proto::assoc::{Action, Event};
use crate::proto::handoff::{DLE_ADRFAM, Handoff, missing_adrfam, subnqn, validate};
use crate::proto::limits::{max_transfer, mpsmin, sim_depth};
use crate::proto::timeout::SYNC;
use crate::scan;
use sys::cam::{Sim, SimError, SimParams};
use sys::cdev::Cdev;
use sys::mem::{KArc, KBuf, SetOnce};
use sys::newbus::{self, ShutdownEvents};
use sys::nv::{NvList, NvRef};
use sys::sync::Gate;
use sys::task::TaskHandler;
use sys::time::realtime;
use sys::wire::fabrics::property;
use sys::{CanSleep, Errno, Result, Wait};

/// What the device's probe and attach methods work on.
pub struct AttachRequest {
    /// The module's object.
    pub host: KArc<crate::host::Host>,
    /// What userland handed over.
    pub identity: Identity,
    /// The controller, when it is attached.
    pub made: SetOnce<KArc<Controller>>,
}

/// Checks a handoff list and takes what has to outlive it.
pub fn identity(list: NvRef<'_>, sleep: CanSleep<'_>) -> Result<Identity> {
    let wait = Wait::Sleep(sleep);
    let handoff = validate(List(list)).map_err(|_| Errno::EINVAL)?;
    let bytes = list.get_binary(c"cdata").ok_or(Errno::EINVAL)?;
    let mut cdata = KBuf::zeroed(bytes.len(), wait)?;
    cdata.copy_from_slice(bytes);
    let mut rparams = list
        .get_nvlist(c"rparams")
        .ok_or(Errno::EINVAL)?
        .to_owned()?;
    complete_address(&mut rparams, sleep)?;
    Ok(Identity {
        cdata: KArc::new(cdata, wait)?,
        rparams: KArc::new(rparams, wait)?,
        handoff,
    })
}

/// Fills in what a reconnect by nvmecontrol(8) needs and its connect left out.
fn complete_address(rparams: &mut NvList, sleep: CanSleep<'_>) -> Result<()> {
    let Some(dle) = rparams.as_ref().get_binary(c"dle") else {
        return Ok(());
    };
    let Some(adrfam) = missing_adrfam(dle) else {
        return Ok(());
    };
    let mut copy = KBuf::zeroed(dle.len(), Wait::Sleep(sleep))?;
    copy.copy_from_slice(dle);
    if let Some(byte) = copy.get_mut(DLE_ADRFAM) {
        *byte = adrfam;
    }
    rparams.set_binary(c"dle", &copy);
    rparams.as_ref().error()
}

/// Takes the queues of a handoff over and makes them a device.
pub fn attach(host: KArc<crate::host::Host>, list: NvRef<'_>, sleep: CanSleep<'_>) -> Result<()> {
    let identity = identity(list, sleep)?;
    let request = AttachRequest {
        host,
        identity,
        made: SetOnce::new(),
    };
    newbus::add(&request, sleep)?;
    let ctrl = request.made.get().ok_or(Errno::ENXIO)?;

    // The device is there, but it only becomes useful in this thread, without the topology lock.
    let result =
        bring_up(ctrl, list, sleep).and_then(|()| match ctrl.transition(Event::SetupDone) {
            Action::Proceed => {
                ctrl.find_lost();
                Ok(())
            }
            _ => Err(Errno::ENXIO),
        });
    if let Err(e) = result {
        ctrl.set_closing();
        ctrl.transition(Event::SetupFailed);
        ffi::delete_device(|other| core::ptr::eq(other, &raw const **ctrl), sleep)
            .1
            .ok();
        return Err(e);
    }
    Ok(())
}

fn create_sim(
    ctrl: &KArc<Controller>,
    link: &Link,
    handoff: &Handoff,
    version: u32,
    sleep: CanSleep<'_>,
) -> Result<()> {
    let params = SimParams {
        dev: ctrl.device(),
        name: ctrl.name().as_cstr(),
        max_trans: sim_depth(handoff.io_qsize, handoff.io_queues),
        version,
        nn: link.features().nn,
        maxio: ctrl.max_transfer(),
        trtype: handoff.trtype as u8,
    };
    let sim = Sim::create(&params, ctrl.clone(), sleep).map_err(|e| {
        let (what, error) = match e {
            SimError::Queue => ("allocate CAM simq", Errno::ENOMEM),
            SimError::Sim => ("allocate CAM sim", Errno::ENXIO),
            SimError::Bus => ("create CAM bus", Errno::ENXIO),
            SimError::Path => ("create CAM path", Errno::ENXIO),
        };
        ctrl.say(format_args!("Failed to {what}"));
        error
    })?;
    let gate = Gate::new(c"nvmf sim", sim, Wait::Sleep(sleep))?;
    ctrl.sim.set(gate).map_err(|_| Errno::EBUSY)
}

/// CAP and VS.
fn fetch_properties(ctrl: &Controller, link: &Link, sleep: CanSleep<'_>) -> Result<(u64, u32)> {
    let cap = link
        .property_get(property::CAP, true, SYNC, sleep)
        .map_err(|_| {
            ctrl.say(format_args!("Failed to fetch CAP"));
            Errno::ENXIO
        })?;
    let vs = link
        .property_get(property::VS, false, SYNC, sleep)
        .map_err(|_| {
            ctrl.say(format_args!("Failed to fetch VS"));
            Errno::ENXIO
        })?;
    Ok((cap, vs as u32))
}

/// The first set-up.
fn bring_up(ctrl: &KArc<Controller>, list: NvRef<'_>, sleep: CanSleep<'_>) -> Result<()> {
    let Identity { cdata, handoff, .. } = ctrl.identity();
    let plan = Plan {
        ctrl,
        generation: 1,
        cdata: &cdata,
        kato_ms: handoff.kato_ms,
        list,
    };
    let link = Link::create(&plan, sleep)?;
    Controller::start_timers(ctrl, &link);
    let (cap, vs) = fetch_properties(ctrl, &link, sleep)?;
    ctrl.set_max_transfer(max_transfer(
        newbus::maxphys(),
        link.features().mdts,
        mpsmin(cap),
    ));
    create_sim(ctrl, &link, &handoff, vs, sleep)?;
    Link::start_events(&link, sleep)?;
    ctrl.io_queues.open(link.io());
    scan::rescan_all(&link, sleep).map_err(|_| Errno::ENXIO)?;
    let node = Cdev::create(ctrl.name().as_cstr(), ctrl.clone(), sleep)?;
    *ctrl.node.lock() = Some(node);
    let events = ShutdownEvents::register(ctrl.clone(), sleep);
    *ctrl.shutdown.lock() = events;
    Ok(())
}

/// Stops requests at their sources: CAM keeps its own, and so do the nodes.
pub fn hold_requests(ctrl: &Controller, sleep: CanSleep<'_>) {
    ctrl.freeze();
    ctrl.namespaces.lock().held = true;
    for ns in ctrl.namespace_list(sleep).iter() {
        ns.suspend();
    }
    ctrl.io_queues.close();
}

/// Lets requests flow again.
fn release_requests(ctrl: &Controller, link: &Link, sleep: CanSleep<'_>) {
    ctrl.io_queues.open(link.io());
    ctrl.namespaces.lock().held = false;
    for ns in ctrl.namespace_list(sleep).iter() {
        Namespace::resume(ns, true);
    }
    ctrl.release();
}

impl TaskHandler<TASK_DISCONNECT> for Controller {
    /// Takes a failed association down; the state machine has made this task the owner.
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        let link = this.with_conn(|conn| {
            conn.last_disconnect = realtime();
            conn.link.clone()
        });
        this.stop_timers(sleep);
        hold_requests(&this, sleep);
        if let Some(link) = link {
            Link::shut_down(&link, sleep);
        }
        Self::torn_down(&this);
        if this.fails_io() {
            // What CAM keeps is not to be kept.
            this.release();
        }
    }
}

impl TaskHandler<TASK_LOSS> for Controller {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        if this.loss_expired() == Action::Delete {
            delete_lost(&this, sleep);
        }
    }
}

fn delete_lost(ctrl: &KArc<Controller>, sleep: CanSleep<'_>) {
    let (_, result) = ffi::delete_device(|other| core::ptr::eq(other, &raw const **ctrl), sleep);
    if let Err(e) = result {
        ctrl.say(format_args!(
            "failed to detach after controller loss: {}",
            e.code()
        ));
    }
}

/// NVMF_RECONNECT_HOST.
pub fn reconnect(ctrl: &KArc<Controller>, list: NvRef<'_>, sleep: CanSleep<'_>) -> Result<()> {
    let new = identity(list, sleep)?;
    if new.handoff.trtype != ctrl.trtype() {
        ctrl.say(format_args!("transport type mismatch on reconnect"));
        return Err(Errno::EINVAL);
    }
    if subnqn(&new.cdata) != subnqn(&ctrl.identity().cdata) {
        ctrl.say(format_args!(
            "controller subsystem NQN mismatch on reconnect"
        ));
        return Err(Errno::EINVAL);
    }
    if ctrl.transition(Event::Reconnect) != Action::Proceed {
        return Err(Errno::EBUSY);
    }
    let link = match set_up_again(ctrl, &new, list, sleep) {
        Ok(link) => link,
        Err(e) => {
            // What was let loose for the new association is held again.
            hold_requests(ctrl, sleep);
            ctrl.stop_timers(sleep);
            if let Some(link) = ctrl.link() {
                Link::shut_down(&link, sleep);
            }
            if ctrl.transition(Event::SetupFailed) == Action::Delete {
                Controller::expire_loss(ctrl);
            }
            if ctrl.fails_io() {
                // As before this attempt.
                ctrl.release();
            }
            return Err(e);
        }
    };
    ctrl.say(format_args!(
        "established new association with {} I/O queues",
        link.io().len()
    ));
    Ok(())
}

fn set_up_again(
    ctrl: &KArc<Controller>,
    new: &Identity,
    list: NvRef<'_>,
    sleep: CanSleep<'_>,
) -> Result<KArc<Link>> {
    let generation = ctrl.with_conn(|conn| {
        conn.generation += 1;
        conn.generation
    });
    let plan = Plan {
        ctrl,
        generation,
        cdata: &new.cdata,
        kato_ms: new.handoff.kato_ms,
        list,
    };
    let link = Link::create(&plan, sleep)?;
    Controller::start_timers(ctrl, &link);
    let (cap, _) = fetch_properties(ctrl, &link, sleep)?;
    Link::start_events(&link, sleep)?;
    ctrl.set_max_transfer(max_transfer(
        newbus::maxphys(),
        link.features().mdts,
        mpsmin(cap),
    ));
    if let Some(sim) = ctrl.sim.get().and_then(Gate::enter) {
        sim.update(link.features().nn, ctrl.max_transfer());
    }
    // CAM may use a disk as soon as it has found it, and gives it up if it finds no queue.
    ctrl.freeze();
    // What was held must not reach namespaces that are no longer what they were.
    scan::rescan_all(&link, sleep).map_err(|_| Errno::ECONNABORTED)?;
    // While this thread owns the set-up, nobody else can take the queues down under the requests.
    release_requests(ctrl, &link, sleep);
    ctrl.with_conn(|conn| conn.identity = new.clone());
    ctrl.stop_recovery(sleep);
    if ctrl.transition(Event::SetupDone) != Action::Proceed {
        Controller::start_recovery(ctrl);
        return Err(Errno::ECONNABORTED);
    }
    ctrl.find_lost();
    Ok(link)
}
