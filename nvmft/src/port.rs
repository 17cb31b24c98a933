// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A port of CTL: one NVM subsystem, its namespaces and its controllers.
//!
//! CTL asks for a port's description with its global lock held, so the port's mutex comes after that lock and
//! nothing of CTL's is called with it.
#![forbid(unsafe_code)]

use core::fmt;

use sys::ctl::{CtlPort, Sbuf};
use sys::errno::{Errno, Result};
use sys::mem::{KArc, KBox, KVec};
use sys::nv::NvRef;
use sys::sync::{Condvar, Mutex};
use sys::wire::fabrics::Cap;
use sys::{CanSleep, Wait};

use crate::controller::Controller;
use crate::module::Module;
use crate::proto::identify;
use crate::proto::ns::NsSet;
use crate::proto::port_args::PortConfig;
use crate::proto::xml::{self, Printable};
use crate::qpair::Qp;

/// Controller IDs per port: CTL's initiators per port, which they are to CTL.
pub const MAX_CONTROLLERS: usize = 2048;

/// The port as CTL knows it.
pub type Ctl = CtlPort<Port, Qp>;

/// A controller ID.
enum Slot {
    Free,
    /// A controller with this ID is being made.
    Reserved,
    Used(KArc<Controller>),
}

struct State {
    /// CTL has enabled the port.
    online: bool,
    /// The port is being removed and stays offline.
    removed: bool,
    ctl: Option<KArc<Ctl>>,
    slots: KVec<Slot>,
    /// Slots that are not free.
    used: usize,
    active: NsSet<KVec<u32>>,
}

/// A port.
pub struct Port {
    /// The front end.
    pub module: KArc<Module>,
    /// What it was created with.
    pub config: KBox<PortConfig>,
    /// The capabilities of its controllers.
    pub cap: Cap,
    /// The value of CC.MPS that they accept.
    pub mps: u32,
    state: Mutex<State>,
    /// Signalled when the last controller is gone.
    idle: Condvar,
}

/// Why a controller cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoController {
    /// The port is not online.
    Offline,
    /// All IDs are in use.
    Full,
}

impl Port {
    /// Registers a new port and returns it with its number.
    #[inline(never)]
    pub fn create(
        module: KArc<Module>,
        config: KBox<PortConfig>,
        options: NvRef<'_>,
        sleep: CanSleep<'_>,
    ) -> Result<(KArc<Self>, i32)> {
        let wait = Wait::Sleep(sleep);
        let mps = sys::ctl::page_size().trailing_zeros().saturating_sub(12);
        let state = State {
            online: false,
            removed: false,
            ctl: None,
            slots: KVec::filled(MAX_CONTROLLERS, wait, |_| Slot::Free)?,
            used: 0,
            active: NsSet::new(KVec::filled(64, wait, |_| 0)?),
        };
        let (requests, portid) = (config.max_io_qsize, config.portid);
        let port = KArc::new(
            Port {
                cap: identify::cap(&config, mps),
                mps,
                module,
                config,
                state: Mutex::new(c"nvmft port", state, wait)?,
                idle: Condvar::new(c"nvmfoff", wait)?,
            },
            wait,
        )?;
        let ctl = Ctl::create(requests, portid, options, port.clone(), sleep)?;
        let number = ctl.number();
        match KArc::new(ctl, wait) {
            Ok(ctl) => port.state.lock().ctl = Some(ctl),
            // Does not happen: waiting allocations of this size succeed.
            Err(e) => return Err(e),
        }
        Ok((port, number))
    }

    /// The number that CTL gave it, or -1.
    pub fn number(&self, _sleep: CanSleep<'_>) -> i32 {
        self.state
            .lock()
            .ctl
            .as_ref()
            .map_or(-1, |ctl| ctl.number())
    }

    /// Ends all associations and deregisters the port.
    pub fn remove(&self, sleep: CanSleep<'_>) {
        let ctl = {
            let mut state = self.state.lock();
            state.removed = true;
            state.ctl.take()
        };
        if let Some(ctl) = &ctl {
            ctl.offline(sleep);
        }
        self.offline(sleep);
        let Some(mut ctl) = ctl else {
            return;
        };
        // Requests and controllers that are on their way out refer to it.
        let ctl = loop {
            match KArc::try_unwrap(ctl) {
                Ok(ctl) => break ctl,
                Err(again) => ctl = again,
            }
            sys::time::pause_ms(1, sleep);
        };
        ctl.destroy(sleep);
    }

    /// Hosts may connect.
    pub fn online(&self) {
        let mut state = self.state.lock();
        state.online = !state.removed;
    }

    /// Ends all associations and waits until they are gone.
    pub fn offline(&self, sleep: CanSleep<'_>) {
        self.state.lock().online = false;
        self.for_each_controller(|c| {
            sys::kprint!("nvmft{}: shutting down due to port going offline", c.cntlid);
            Controller::fail(c);
        });
        let mut state = self.state.lock();
        while state.used != 0 {
            self.idle.wait(&mut state, sleep);
        }
    }

    /// Whether hosts may connect.
    pub fn is_online(&self) -> bool {
        self.state.lock().online
    }

    /// Takes the lowest free controller ID.
    pub fn reserve(&self) -> core::result::Result<(u16, KArc<Ctl>), NoController> {
        let mut state = self.state.lock();
        let ctl = match &state.ctl {
            Some(ctl) if state.online => ctl.clone(),
            _ => return Err(NoController::Offline),
        };
        let free = state.slots.iter().position(|s| matches!(s, Slot::Free));
        let at = free.ok_or(NoController::Full)?;
        let cntlid = u16::try_from(at).map_err(|_| NoController::Full)?;
        if let Some(slot) = state.slots.get_mut(at) {
            *slot = Slot::Reserved;
        }
        state.used += 1;
        Ok((cntlid, ctl))
    }

    /// Makes a controller known; false when the port went offline, and then its ID is free again.
    pub fn install(&self, c: KArc<Controller>) -> bool {
        let mut state = self.state.lock();
        if state.online
            && let Some(slot) = state.slots.get_mut(usize::from(c.cntlid))
        {
            *slot = Slot::Used(c);
            return true;
        }
        drop(state);
        self.release(c.cntlid);
        false
    }

    /// Frees a controller ID.
    pub fn release(&self, cntlid: u16) {
        let mut state = self.state.lock();
        let slot = state.slots.get_mut(usize::from(cntlid));
        let old = slot.map(|slot| core::mem::replace(slot, Slot::Free));
        if matches!(old, Some(Slot::Reserved | Slot::Used(_))) {
            state.used = state.used.saturating_sub(1);
        }
        if state.used == 0 {
            self.idle.broadcast();
        }
        drop(state);
        // A controller that dies with this is not destroyed under the port's mutex.
        drop(old);
    }

    /// The controller with an ID.
    pub fn controller(&self, cntlid: u16) -> Option<KArc<Controller>> {
        match self.state.lock().slots.get(usize::from(cntlid)) {
            Some(Slot::Used(c)) => Some(c.clone()),
            _ => None,
        }
    }

    /// Calls `f`, without a lock, for each controller.
    pub fn for_each_controller(&self, mut f: impl FnMut(&KArc<Controller>)) {
        for cntlid in 0..MAX_CONTROLLERS as u16 {
            if let Some(c) = self.controller(cntlid) {
                f(&c);
            }
        }
    }

    /// Calls `f` with the active namespaces.
    pub fn with_active<R>(&self, f: impl FnOnce(&NsSet<KVec<u32>>) -> R) -> R {
        f(&self.state.lock().active)
    }

    /// A LUN becomes a namespace.
    pub fn enable_lun(&self, lun: u32, sleep: CanSleep<'_>) -> Result<()> {
        let nqn = Printable(self.config.subnqn.as_bytes());
        if lun >= self.config.nn {
            sys::kprint!(
                "NVMFT: {nqn} lun {lun} larger than maximum nsid {}",
                self.config.nn
            );
            return Err(Errno::EOPNOTSUPP);
        }
        let nsid = lun + 1;
        let mut larger = KVec::empty();
        loop {
            let mut state = self.state.lock();
            if larger.len() > state.active.capacity() {
                let old = state.active.replace_storage(larger);
                drop(state);
                drop(old);
                larger = KVec::empty();
                continue;
            }
            match state.active.insert(nsid) {
                Ok(true) => break,
                Ok(false) => {
                    drop(state);
                    sys::kprint!("NVMFT: {nqn} duplicate lun {lun}");
                    return Err(Errno::EINVAL);
                }
                Err(_) => {
                    let capacity = state.active.capacity();
                    drop(state);
                    larger = KVec::filled(capacity * 2, sleep.into(), |_| 0)?;
                }
            }
        }
        self.for_each_controller(|c| c.namespace_changed(nsid, sleep));
        Ok(())
    }

    /// A namespace goes away.
    pub fn disable_lun(&self, lun: u32, sleep: CanSleep<'_>) -> Result<()> {
        if lun >= self.config.nn {
            return Ok(());
        }
        let nsid = lun + 1;
        let removed = self.state.lock().active.remove(nsid);
        if !removed {
            sys::kprint!(
                "NVMFT: {} request to disable nonexistent lun {lun}",
                Printable(self.config.subnqn.as_bytes())
            );
            return Err(Errno::EINVAL);
        }
        self.for_each_controller(|c| c.namespace_changed(nsid, sleep));
        Ok(())
    }

    /// Describes the port to CTL, which holds its global lock.
    pub fn describe(&self, out: &mut Sbuf<'_>) -> fmt::Result {
        xml::port(out, self.config.subnqn.as_bytes(), self.config.portid)?;
        let state = self.state.lock();
        for slot in state.slots.iter() {
            if let Slot::Used(c) = slot {
                xml::host(out, c.cntlid, &c.hostnqn)?;
            }
        }
        Ok(())
    }
}
