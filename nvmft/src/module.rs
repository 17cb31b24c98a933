// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What exists once: the ports, the task queues, and the requests of `ctladm`, `ctld` and `nvmfd`.
#![forbid(unsafe_code)]

use core::fmt::{self, Write};

use sys::CanSleep;
use sys::ctl::CText;
use sys::errno::{Errno, Result};
use sys::log::RateLimit;
use sys::mem::{KArc, KBox, KVec};
use sys::nv::NvRef;
use sys::sync::{Global, Sx};
use sys::task::TaskQueue;

use crate::controller::Controller;
use crate::port::Port;
use crate::proto::port_args::{ArgError, PortConfig, PortSelector, until_nul};
use crate::proto::xml::{self, Printable, TextBuf};

/// The front end.  Ports refer to it, controllers to ports and queues to controllers.
pub struct Module {
    ports: Sx<KVec<KArc<Port>>>,
    /// Data moves of contexts that must not sleep.
    pub moves: TaskQueue,
    /// Teardowns, which wait for connections to close.
    pub teardown: TaskQueue,
}

static MODULE: Global<Module> = Global::new();

/// Gate for messages that a peer can cause.
pub static PEER_MESSAGES: RateLimit = RateLimit::new(20);

/// Prints a message that a peer caused, unless there are too many.
macro_rules! peer_message {
    ($($arg:tt)*) => {
        if $crate::module::PEER_MESSAGES.allow() {
            sys::kprint!($($arg)*);
        }
    };
}
pub(crate) use peer_message;

/// Whom a terminate request is for.
pub enum Match<'a> {
    /// Every association.
    All,
    /// By controller ID, on all ports.
    Cntlid(u16),
    /// By host name.
    HostNqn(&'a [u8]),
    /// Nobody.
    None,
}

/// The module is loaded.
pub fn load(sleep: CanSleep<'_>) -> Result<()> {
    let threads = sys::time::max_cpus();
    let moves = TaskQueue::new(c"nvmft", threads, sleep)?;
    let teardown = match TaskQueue::new(c"nvmft teardown", threads.max(4), sleep) {
        Ok(tq) => tq,
        Err(e) => {
            moves.free(sleep);
            return Err(e);
        }
    };
    let ports = Sx::new(c"nvmft ports", KVec::empty(), sleep.into())?;
    let module = KArc::new(
        Module {
            ports,
            moves,
            teardown,
        },
        sleep.into(),
    )?;
    MODULE.set(module);
    Ok(())
}

/// The module is to be unloaded: EBUSY while there are ports.  Also called after a load that failed.
pub fn unload(sleep: CanSleep<'_>) -> Result<()> {
    let Some(mut module) = MODULE.take() else {
        return Ok(());
    };
    if !module.ports.read(sleep).is_empty() {
        MODULE.set(module);
        return Err(Errno::EBUSY);
    }
    // The last objects of the last port may be on their way out.
    let module = loop {
        match KArc::try_unwrap(module) {
            Ok(module) => break module,
            Err(again) => module = again,
        }
        sys::time::pause_ms(10, sleep);
    };
    module.moves.free(sleep);
    module.teardown.free(sleep);
    // Whoever dropped the last reference returns from this module's text.
    sys::time::pause_ms(10, sleep);
    Ok(())
}

/// In a function of its own, because a configuration takes much of a stack.
#[inline(never)]
fn parse_config(
    args: NvRef<'_>,
    hostid: u64,
    sleep: CanSleep<'_>,
) -> core::result::Result<KBox<PortConfig>, ArgError> {
    let config = PortConfig::parse(|key| args.get_string(key), hostid)?;
    // Waiting allocations of this size succeed.
    KBox::new(config, sleep.into()).map_err(|_| ArgError::Missing)
}

/// Creates a port and returns the number that CTL gave it.
pub fn create_port(
    args: NvRef<'_>,
    hostid: u64,
    err: &mut CText<'_>,
    sleep: CanSleep<'_>,
) -> Option<i32> {
    let module = MODULE.get()?;
    let config = match parse_config(args, hostid, sleep) {
        Ok(config) => config,
        Err(e) => {
            let _ = err.write_str(e.text());
            return None;
        }
    };
    let mut ports = module.ports.write(sleep);
    if ports.iter().any(|p| p.config.subnqn == config.subnqn) {
        let _ = write!(
            err,
            "SubNQN \"{}\" already exists",
            Printable(config.subnqn.as_bytes())
        );
        return None;
    }
    let created = ports
        .reserve(1, sleep.into())
        .and_then(|()| Port::create(module.clone(), config, args, sleep));
    match created {
        Ok((port, number)) => {
            // There is room for it.
            let _ = ports.push(port);
            Some(number)
        }
        Err(e) => {
            let _ = write!(err, "Failed to register CTL port with error {}", e.code());
            None
        }
    }
}

/// Removes a port: true when that is done.
pub fn remove_port(args: NvRef<'_>, err: &mut CText<'_>, sleep: CanSleep<'_>) -> bool {
    let Some(module) = MODULE.get() else {
        return false;
    };
    let selector = match PortSelector::parse(|key| args.get_string(key)) {
        Ok(selector) => selector,
        Err(e) => {
            let _ = err.write_str(e.text());
            return false;
        }
    };
    let mut ports = module.ports.write(sleep);
    let found = ports.iter().position(|p| match selector {
        PortSelector::SubNqn(nqn) => p.config.subnqn.as_bytes() == nqn,
        PortSelector::CtlPort(id) => i64::try_from(id) == Ok(p.number(sleep).into()),
    });
    let port = found.and_then(|at| ports.remove(at));
    drop(ports);
    match (port, selector) {
        (Some(port), _) => {
            port.remove(sleep);
            true
        }
        (None, PortSelector::SubNqn(nqn)) => {
            let _ = write!(err, "SubNQN \"{}\" does not exist", Printable(nqn));
            false
        }
        (None, PortSelector::CtlPort(id)) => {
            let _ = write!(err, "CTL port {id} is not a NVMF port");
            false
        }
    }
}

/// The port of a subsystem.
pub fn find_port(subnqn: &[u8], sleep: CanSleep<'_>) -> Option<KArc<Port>> {
    let module = MODULE.get()?;
    let ports = module.ports.read(sleep);
    let found = ports
        .iter()
        .find(|p| p.config.subnqn.as_bytes() == until_nul(subnqn));
    found.cloned()
}

/// Writes the list of associations to `buf`: its length with a NUL, or zero if it does not fit.
pub fn list(buf: &mut [u8], sleep: CanSleep<'_>) -> u32 {
    let mut text = TextBuf::new(buf);
    if write_list(&mut text, sleep).is_err() {
        return 0;
    }
    text.finish()
        .and_then(|t| u32::try_from(t.len()).ok())
        .unwrap_or(0)
}

fn write_list(text: &mut TextBuf<'_>, sleep: CanSleep<'_>) -> fmt::Result {
    text.write_str("<ctlnvmflist>\n")?;
    if let Some(module) = MODULE.get() {
        for port in module.ports.read(sleep).iter() {
            let mut result = Ok(());
            port.for_each_controller(|c| {
                if result.is_ok() {
                    let subnqn = port.config.subnqn.as_bytes();
                    result = xml::connection(text, c.cntlid, &c.hostnqn, subnqn, c.trtype);
                }
            });
            result?;
        }
    }
    text.write_str("</ctlnvmflist>\n\0")
}

/// Ends associations and says how many.
pub fn terminate(whom: &Match<'_>, sleep: CanSleep<'_>) -> u32 {
    let Some(module) = MODULE.get() else {
        return 0;
    };
    let mut count = 0;
    for port in module.ports.read(sleep).iter() {
        port.for_each_controller(|c| {
            let matches = match whom {
                Match::All => true,
                Match::Cntlid(id) => c.cntlid == *id,
                Match::HostNqn(nqn) => until_nul(&c.hostnqn) == until_nul(nqn),
                Match::None => false,
            };
            if matches {
                sys::kprint!(
                    "nvmft{}: disconnecting due to administrative request",
                    c.cntlid
                );
                Controller::fail(c);
                count += 1;
            }
        });
    }
    count
}
