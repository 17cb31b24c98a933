// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A connection that userland accepted becomes an admin or an I/O queue.
#![forbid(unsafe_code)]

use core::fmt::Write;

use sys::CanSleep;
use sys::ctl::CText;
use sys::errno::{Errno, Result};
use sys::mem::KArc;
use sys::nv::NvRef;
use sys::wire::fabrics::{ConnectCmd, ConnectData, connect_success};
use sys::wire::{Cqe, FromBytes};

use crate::controller::Controller;
use crate::module::{self, peer_message};
use crate::port::{NoController, Port};
use crate::proto::connect::{self, AdminRefusal, IoRefusal};
use crate::proto::port_args::Nqn;
use crate::proto::xml::Printable;
use crate::qpair::{Early, Qp};

/// In-capsule data that a host may send on an admin queue.
const ADMIN_IN_CAPSULE: u64 = 8192;

/// The parts of a handoff.
struct Handoff<'a> {
    trtype: u32,
    params: NvRef<'a>,
    cmd: &'a ConnectCmd,
    data: &'a ConnectData,
    sleep: CanSleep<'a>,
}

/// Carries a handoff out; what went wrong is written to `err`.
pub fn handoff(args: NvRef<'_>, err: &mut CText<'_>, sleep: CanSleep<'_>) -> bool {
    let parts = (
        args.get_number(c"trtype"),
        args.get_nvlist(c"params"),
        args.get_binary(c"cmd"),
        args.get_binary(c"data"),
    );
    let (Some(trtype), Some(params), Some(cmd), Some(data)) = parts else {
        return fail(err, "Handoff arguments missing required value");
    };
    if !sys::ctl::valid_qpair_params(params) {
        return fail(err, "Invalid queue pair parameters");
    }
    let Ok(cmd) = ConnectCmd::ref_from_bytes(cmd) else {
        return fail(err, "Wrong size for CONNECT SQE");
    };
    let Ok(data) = ConnectData::ref_from_bytes(data) else {
        return fail(err, "Wrong size for CONNECT data");
    };
    if Nqn::new(&data.subnqn).is_none() {
        return fail(err, "Invalid SubNQN");
    }
    let Some(port) = module::find_port(&data.subnqn, sleep) else {
        return fail(err, "Unknown SubNQN");
    };
    if !port.is_online() {
        return fail(err, "CTL port offline");
    }
    let h = Handoff {
        // A type that is not known is declined like one without transport.
        trtype: u32::try_from(trtype).unwrap_or(u32::MAX),
        params,
        cmd,
        data,
        sleep,
    };
    let (kind, result) = match params.get_bool(c"admin") {
        Some(true) => ("admin", h.admin_queue(&port)),
        _ => ("I/O", h.io_queue(&port)),
    };
    match result {
        Ok(()) => true,
        Err(e) => {
            let _ = write!(err, "Failed to handoff {kind} queue: {}", e.code());
            false
        }
    }
}

fn fail(err: &mut CText<'_>, text: &str) -> bool {
    let _ = err.write_str(text);
    false
}

impl Handoff<'_> {
    fn host(&self) -> Printable<'_> {
        Printable(&self.data.hostnqn)
    }

    fn cid(&self) -> u16 {
        self.cmd.cid.get()
    }

    /// Tells the host why not and closes the connection.
    fn refuse(&self, qp: &Qp, cqe: Cqe, error: Errno) -> Result<()> {
        qp.send_connect_response(cqe, self.sleep);
        qp.close(self.sleep);
        Err(error)
    }

    fn admin_queue(&self, port: &KArc<Port>) -> Result<()> {
        let sleep = self.sleep;
        if self.cmd.qid.get() != 0 {
            return Err(Errno::EINVAL);
        }
        let module = port.module.clone();
        let qp = match Qp::connect(module, self.trtype, 0, self.params, ADMIN_IN_CAPSULE, sleep) {
            Ok(qp) => qp,
            Err(e) => {
                peer_message!("NVMFT: Failed to setup admin queue from {}", self.host());
                return Err(e);
            }
        };
        if let Err(refusal) = connect::check_admin(self.data) {
            return self.refuse(&qp, refusal.response(self.cid()), Errno::EINVAL);
        }
        let id = match port.reserve() {
            Ok(id) => id,
            Err(NoController::Offline) => {
                qp.close(sleep);
                return Err(Errno::ENXIO);
            }
            Err(NoController::Full) => {
                peer_message!("NVMFT: Unable to allocate controller for {}", self.host());
                let cqe = AdminRefusal::NoController.response(self.cid());
                return self.refuse(&qp, cqe, Errno::ENOMEM);
            }
        };
        let cntlid = id.0;
        let connect = (self.cmd, self.data);
        let c = match Controller::new(port.clone(), id, self.trtype, qp.clone(), connect, sleep) {
            Ok(c) => c,
            Err(e) => {
                port.release(cntlid);
                qp.close(sleep);
                return Err(e);
            }
        };
        Controller::start(&c);
        if !port.install(c.clone()) {
            c.abandon();
            qp.close(sleep);
            return Err(Errno::ENXIO);
        }
        let early = qp.attach(c.clone());
        peer_message!("nvmft{cntlid}: associated with {}", self.host());
        qp.send_connect_response(connect_success(self.cid(), cntlid), sleep);
        if let Early::Error(error) = early {
            Controller::connection_lost(&c, &qp, error);
        }
        Ok(())
    }

    fn io_queue(&self, port: &KArc<Port>) -> Result<()> {
        let sleep = self.sleep;
        let qid = self.cmd.qid.get();
        if qid == 0 {
            return Err(Errno::EINVAL);
        }
        let module = port.module.clone();
        let in_capsule = (u64::from(port.config.ioccsz) * 16).saturating_sub(64);
        let qp = match Qp::connect(module, self.trtype, qid, self.params, in_capsule, sleep) {
            Ok(qp) => qp,
            Err(e) => {
                peer_message!(
                    "NVMFT: Failed to setup I/O queue {qid} from {}",
                    self.host()
                );
                return Err(e);
            }
        };
        let cntlid = self.data.cntlid.get();
        let Some(c) = port.controller(cntlid) else {
            let host = self.host();
            peer_message!("NVMFT: Nonexistent controller {cntlid} for I/O queue {qid} from {host}");
            let cqe = IoRefusal::NoController.response(self.cid());
            return self.refuse(&qp, cqe, Errno::ENOENT);
        };
        let qsize = self.params.get_number(c"qsize").unwrap_or(0);
        let early = match Controller::add_queue(&c, self.cmd, self.data, &qp, qsize, sleep) {
            Ok(early) => early,
            Err(refusal) => {
                self.say(cntlid, refusal);
                return self.refuse(&qp, refusal.response(self.cid()), Errno::EINVAL);
            }
        };
        qp.send_connect_response(connect_success(self.cid(), cntlid), sleep);
        if let Early::Error(error) = early {
            Controller::connection_lost(&c, &qp, error);
        }
        Ok(())
    }

    fn say(&self, cntlid: u16, refusal: IoRefusal) {
        let (qid, host) = (self.cmd.qid.get(), self.host());
        match refusal {
            IoRefusal::NoController => {}
            IoRefusal::HostId => {
                peer_message!("nvmft{cntlid}: hostid mismatch for I/O queue {qid} from {host}");
            }
            IoRefusal::HostNqn => {
                peer_message!("nvmft{cntlid}: hostnqn mismatch for I/O queue {qid} from {host}");
            }
            IoRefusal::Disabled | IoRefusal::NotEnabled => {
                peer_message!(
                    "nvmft{cntlid}: attempt to create I/O queue {qid} on disabled controller from {host}"
                );
            }
            IoRefusal::NoQueues => {
                peer_message!(
                    "nvmft{cntlid}: attempt to create I/O queue {qid} without enabled queues from {host}"
                );
            }
            IoRefusal::Qid => {
                peer_message!(
                    "nvmft{cntlid}: attempt to create invalid I/O queue {qid} from {host}"
                );
            }
            IoRefusal::Qsize => {
                peer_message!("nvmft{cntlid}: I/O queue {qid} from {host} is too large");
            }
            IoRefusal::Exists => {
                peer_message!("nvmft{cntlid}: attempt to re-create I/O queue {qid} from {host}");
            }
        }
    }
}
