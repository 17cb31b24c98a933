// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The module: `/dev/nvmf` and the queues of deferred work.
#![forbid(unsafe_code)]

use crate::assoc::attach;
use crate::controller::Controller;
use crate::ffi;
use crate::passthru::u64_at;
use crate::proto::handoff::{nqn_text, subnqn};
use sys::cdev::{self, Cdev, CdevHandler, ioc, unpack_nvlist};
use sys::mem::{KArc, KBuf};
use sys::sync::Mutex;
use sys::task::TaskQueue;
use sys::time::pause_ms;
use sys::{CanSleep, Errno, Global, Result, Wait};

/// The longest name that NVMF_DISCONNECT_HOST takes, with its NUL.
const PATH_MAX: usize = 1024;
const POLL_MS: u32 = 10;

/// The module's object.
pub struct Host {
    queue: TaskQueue,
    events: TaskQueue,
    losses: TaskQueue,
    node: Mutex<Option<Cdev<Host>>>,
}

static HOST: Global<Host> = Global::new();

impl Host {
    /// Queue for what keeps associations going; nothing on it waits for a peer, except to end an association.
    pub fn queue(&self) -> &TaskQueue {
        &self.queue
    }

    /// Queue for what asynchronous events lead to.
    pub fn events_queue(&self) -> &TaskQueue {
        &self.events
    }

    /// Queue for giving lost controllers up. Deleting one waits until CAM lets go of it, and CAM may be at a command
    /// of another one, which only [`Self::queue`] can end.
    pub fn losses_queue(&self) -> &TaskQueue {
        &self.losses
    }

    /// Loads the module.
    pub fn load(sleep: CanSleep<'_>) -> Result<()> {
        let host = KArc::new(
            Host {
                queue: TaskQueue::new(c"nvmf", 1, sleep)?,
                events: TaskQueue::new(c"nvmf aer", 1, sleep)?,
                losses: TaskQueue::new(c"nvmf loss", 1, sleep)?,
                node: Mutex::new(c"nvmf host", None, Wait::Sleep(sleep))?,
            },
            Wait::Sleep(sleep),
        )?;
        HOST.set(host.clone());
        match Cdev::create(c"nvmf", host.clone(), sleep) {
            Ok(node) => {
                *host.node.lock() = Some(node);
                Ok(())
            }
            Err(e) => {
                drop(host);
                Self::unload(sleep);
                Err(e)
            }
        }
    }

    /// Unloads the module; all devices are detached already.
    pub fn unload(sleep: CanSleep<'_>) {
        let Some(mut host) = HOST.take() else { return };
        let node = host.node.lock().take();
        if let Some(node) = node {
            node.destroy(sleep);
        }
        cdev::drain(sleep);
        // Everything that may still run code of this module holds a reference.
        loop {
            host.queue.drain_all(sleep);
            host.events.drain_all(sleep);
            host.losses.drain_all(sleep);
            match KArc::try_unwrap(host) {
                Ok(host) => {
                    host.queue.free(sleep);
                    host.events.free(sleep);
                    host.losses.free(sleep);
                    return;
                }
                Err(shared) => host = shared,
            }
            pause_ms(POLL_MS, sleep);
        }
    }
}

/// Deletes all controllers that `accept` likes; ENOENT if there is none.
fn disconnect(mut accept: impl FnMut(&Controller) -> bool, sleep: CanSleep<'_>) -> Result<()> {
    let mut found = false;
    let (_, result) = ffi::delete_device(
        |ctrl| {
            let yes = accept(ctrl);
            found |= yes;
            yes
        },
        sleep,
    );
    result?;
    if found { Ok(()) } else { Err(Errno::ENOENT) }
}

fn disconnect_by_name(data: &[u8], sleep: CanSleep<'_>) -> Result<()> {
    let user = u64_at(data, 0)?;
    let mut buf = KBuf::zeroed(PATH_MAX, Wait::Sleep(sleep))?;
    let len = cdev::copy_in_str(user, &mut buf, sleep)?;
    let name = buf.get(..len).ok_or(Errno::ENAMETOOLONG)?;
    let matches = |ctrl: &Controller| {
        let cdata = ctrl.identity().cdata;
        name == ctrl.name().as_bytes() || subnqn(&cdata).is_some_and(|nqn| nqn_text(nqn) == name)
    };
    disconnect(matches, sleep)
}

impl CdevHandler<0> for Host {
    fn ioctl(this: &KArc<Self>, cmd: u32, data: &mut [u8], sleep: CanSleep<'_>) -> Result<()> {
        match cmd {
            ioc::HANDOFF_HOST => {
                let list = unpack_nvlist(data, sleep)?;
                attach(this.clone(), list.as_ref(), sleep)
            }
            ioc::DISCONNECT_HOST => disconnect_by_name(data, sleep),
            ioc::DISCONNECT_ALL => disconnect(|_| true, sleep),
            _ => Err(Errno::ENOTTY),
        }
    }
}
