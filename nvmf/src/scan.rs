// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Finding namespaces, and following what becomes of them.
#![forbid(unsafe_code)]

use crate::controller::{Controller, TASK_RESCAN};
use crate::link::Link;
use crate::node::Namespace;
use crate::proto::ns::{self, Geometry};
use crate::proto::scan::{PAGE_LEN, ScanError, Step, Walk};
use crate::proto::status::{DataOutcome, is_success};
use crate::proto::timeout::SYNC;
use crate::sync::{Done, ExecError, execute};
use sys::bio::IoBuf;
use sys::cam::RescanError;
use sys::mem::KArc;
use sys::sync::Gate;
use sys::task::TaskHandler;
use sys::wire::Sqe;
use sys::wire::identify::cns;
use sys::{CanSleep, Errno, Result, Wait};

/// What is identified, for messages.
#[derive(Clone, Copy)]
enum Subject {
    List,
    Namespace(u32),
}

impl core::fmt::Display for Subject {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::List => f.write_str("active namespaces"),
            Self::Namespace(nsid) => write!(f, "namespace {nsid}"),
        }
    }
}

fn identify(
    link: &Link,
    subject: Subject,
    cns: u8,
    nsid: u32,
    sleep: CanSleep<'_>,
) -> Result<Done> {
    let ctrl = link.controller();
    if ctrl.is_detaching() {
        return Err(Errno::ECONNABORTED);
    }
    let buf = IoBuf::zeroed(PAGE_LEN, Wait::Sleep(sleep))?;
    let done = match execute(
        link.admin(),
        Sqe::identify(cns, nsid),
        Some((buf, false)),
        SYNC,
        sleep,
    ) {
        Ok(done) => done,
        Err(e) => {
            // An association that goes down meanwhile has had its message.
            if e == ExecError::NoMemory || !ctrl.is_detaching() {
                ctrl.say(format_args!("failed to send IDENTIFY {subject} command"));
            }
            return Err(e.into());
        }
    };
    if !is_success(done.status()) {
        ctrl.say(format_args!(
            "IDENTIFY {subject} failed, status {:#x}",
            done.status() >> 1
        ));
        return Err(Errno::EIO);
    }
    let code = match done.data {
        DataOutcome::Complete => return Ok(done),
        DataOutcome::Short => Errno::EIO.code(),
        DataOutcome::Failed(code) => code,
    };
    ctrl.say(format_args!(
        "IDENTIFY {subject} failed with I/O error {code}"
    ));
    Err(Errno::EIO)
}

/// Has CAM look at a namespace; false if that cannot be.
fn rescan_disk(ctrl: &Controller, nsid: u32) -> bool {
    let Some(sim) = ctrl.sim.get().and_then(Gate::enter) else {
        return false;
    };
    let result = sim.rescan(nsid);
    match result {
        Ok(()) => (),
        Err(RescanError::Ccb) => ctrl.say(format_args!(
            "unable to alloc CCB for rescan of namespace {nsid}"
        )),
        Err(RescanError::Path) => {
            ctrl.say(format_args!(
                "Unable to create path for rescan of namespace {nsid}"
            ));
        }
    }
    result.is_ok()
}

/// Tells CAM that the disk of a namespace is gone.
fn lose_disk(ctrl: &Controller, nsid: u32) {
    if let Some(sim) = ctrl.sim.get().and_then(Gate::enter) {
        sim.lost_disk(nsid);
    }
}

/// The lowest known namespace from `from` up to and not including `end`.
fn first_between(ctrl: &Controller, from: u32, end: u32) -> Option<u32> {
    let table = ctrl.namespaces.lock();
    table
        .list
        .iter()
        .map(|ns| ns.nsid())
        .find(|&nsid| nsid >= from && nsid < end)
}

fn remove(ctrl: &Controller, nsid: u32, sleep: CanSleep<'_>) {
    let gone = {
        let mut table = ctrl.namespaces.lock();
        match table.list.binary_search_by_key(&nsid, |ns| ns.nsid()) {
            Ok(at) => table.list.remove(at),
            Err(_) => None,
        }
    };
    if let Some(ns) = gone {
        ns.destroy(sleep);
    }
}

fn create(
    ctrl: &KArc<Controller>,
    nsid: u32,
    geometry: Geometry,
    sleep: CanSleep<'_>,
) -> Result<()> {
    let wait = Wait::Sleep(sleep);
    // Only the holder of the scan lock changes the list, so the room stays.
    let (len, room) = {
        let table = ctrl.namespaces.lock();
        (table.list.len(), table.list.capacity() > table.list.len())
    };
    if !room {
        let mut bigger = sys::mem::KVec::with_capacity((len * 2).max(8), wait)?;
        let mut table = ctrl.namespaces.lock();
        for ns in table.list.iter() {
            bigger.push(ns.clone())?;
        }
        let old = core::mem::replace(&mut table.list, bigger);
        drop(table);
        drop(old);
    }
    let ns = Namespace::new(ctrl, nsid, geometry, false, wait)?;
    {
        let mut table = ctrl.namespaces.lock();
        if table.held {
            ns.suspend();
        }
        let at = match table.list.binary_search_by_key(&nsid, |ns| ns.nsid()) {
            Ok(_) => return Err(Errno::EEXIST),
            Err(at) => at,
        };
        table.list.insert(at, ns.clone())?;
    }
    Namespace::create_node(&ns, sleep).inspect_err(|_| remove(ctrl, nsid, sleep))
}

/// How a namespace comes to be looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// An event names it.
    Event,
    /// It is in the list of active namespaces.
    Listed,
}

/// Brings what is known of a namespace in line with the controller.
///
/// CAM only hears of what is new to it: nda(4) forgets, when it looks at a disk again, that the disk takes unmapped
/// requests, and then panics on the next one if the kernel has INVARIANTS. Disks that CAM gave up have their own task.
fn refresh(link: &Link, nsid: u32, cause: Cause, sleep: CanSleep<'_>) -> Result<()> {
    let ctrl = link.controller();
    let done = identify(link, Subject::Namespace(nsid), cns::NAMESPACE, nsid, sleep)?;
    match ns::parse(done.bytes()) {
        ns::Namespace::Absent => {
            if cause == Cause::Listed {
                ctrl.say(format_args!(
                    "ignoring active namespace {nsid} with zero size"
                ));
            }
            remove(ctrl, nsid, sleep);
        }
        ns::Namespace::Usable(geometry) => match ctrl.namespace(nsid) {
            Some(ns) if ns.geometry() == geometry => return Ok(()),
            Some(ns) if !geometry.replaces(&ns.geometry()) => {
                ns.set_geometry(geometry);
                // If CAM gave the disk up, it looks for it now.
                ns.take_lost();
            }
            Some(_) => {
                // Requests for the old one must not reach the new one.
                remove(ctrl, nsid, sleep);
                lose_disk(ctrl, nsid);
                create(ctrl, nsid, geometry, sleep)?;
            }
            None => create(ctrl, nsid, geometry, sleep)?,
        },
        ns::Namespace::Unusable(why) => {
            sys::kprint!("{}n{nsid}: {why}", ctrl.name());
            remove(ctrl, nsid, sleep);
        }
    }
    rescan_disk(ctrl, nsid);
    Ok(())
}

/// Looks at one namespace again.
pub fn rescan_one(link: &Link, nsid: u32, sleep: CanSleep<'_>) -> Result<()> {
    if nsid == 0 || nsid > link.features().nn {
        return Ok(());
    }
    let ctrl = link.controller();
    let _scan = ctrl.scan.write(sleep);
    refresh(link, nsid, Cause::Event, sleep)
}

fn remove_between(ctrl: &Controller, from: u32, end: u32, sleep: CanSleep<'_>) {
    while let Some(nsid) = first_between(ctrl, from, end) {
        remove(ctrl, nsid, sleep);
        rescan_disk(ctrl, nsid);
    }
}

/// Looks at all namespaces.
pub fn rescan_all(link: &Link, sleep: CanSleep<'_>) -> Result<()> {
    let ctrl = link.controller();
    let _scan = ctrl.scan.write(sleep);
    let mut walk = Walk::new(link.features().nn);
    let mut next = 1;
    loop {
        let page = identify(
            link,
            Subject::List,
            cns::ACTIVE_NAMESPACES,
            walk.last(),
            sleep,
        )?;
        loop {
            match walk.step(page.bytes()) {
                Ok(Step::Active(nsid)) => {
                    remove_between(ctrl, next, nsid, sleep);
                    refresh(link, nsid, Cause::Listed, sleep)?;
                    next = nsid.saturating_add(1);
                }
                Ok(Step::NextPage) => break,
                Ok(Step::Done) => {
                    remove_between(ctrl, next, u32::MAX, sleep);
                    return Ok(());
                }
                Err(e) => {
                    match e {
                        ScanError::Duplicate(nsid) => {
                            ctrl.say(format_args!(
                                "duplicate namespace {nsid} in active namespace list"
                            ));
                        }
                        ScanError::Invalid(nsid) => {
                            ctrl.say(format_args!(
                                "invalid namespace {nsid} in active namespace list"
                            ));
                        }
                        ScanError::TooMany => ctrl.say(format_args!("too many active namespaces")),
                    }
                    return Err(Errno::EIO);
                }
            }
        }
    }
}

impl TaskHandler<TASK_RESCAN> for Controller {
    /// Tells CAM that the disks which it gave up are back, and of no others. What became of their namespaces meanwhile,
    /// the set-up has found out.
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        let _scan = this.scan.write(sleep);
        // Without an association the next one does it.
        if !this.is_connected() || !this.take_lost() {
            return;
        }
        // Only the holder of the scan lock changes the list.
        let known = |at| this.namespaces.lock().list.get(at).cloned();
        for ns in (0..).map_while(known) {
            if ns.take_lost() && !rescan_disk(&this, ns.nsid()) {
                // With the next one that is lost, or the next association.
                this.note_lost(&ns);
            }
        }
    }
}
