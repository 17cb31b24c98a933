// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Executes the commands that arrive on a controller's queues.
#![forbid(unsafe_code)]

use sys::CanSleep;
use sys::errno::{Errno, Result};
use sys::mbuf::Mbuf;
use sys::mem::{KArc, KBuf};
use sys::time::uptime_ms;
use sys::wire::identify::{IDENTIFY_LEN, cns};
use sys::wire::{Cqe, IntoBytes, NSID_ALL, Sqe, Status};
use sys::xport::{Capsule, SendOutcome};

use crate::controller::Controller;
use crate::module::peer_message;
use crate::proto::admin::{
    self, AdminCommand, Identify, IoCommand, Property, Refused, feature_data_len,
};
use crate::proto::aer::LimitExceeded;
use crate::proto::features::{Effect, Value};
use crate::proto::identify;
use crate::proto::log::{self, LogPage, LogRequest, PAGE_MAX};
use crate::qpair::{Connection, Qp};

/// A command that is being executed.
struct Job<'a> {
    qp: &'a KArc<Qp>,
    c: &'a KArc<Controller>,
    to: &'a Connection<'a>,
    sqe: &'a Sqe,
    sleep: CanSleep<'a>,
}

/// Executes a command whose identifier was taken into use.
pub fn execute(
    qp: &KArc<Qp>,
    c: &KArc<Controller>,
    to: &Connection<'_>,
    nc: Capsule,
    sqe: &Sqe,
    sleep: CanSleep<'_>,
) {
    let job = Job {
        qp,
        c,
        to,
        sqe,
        sleep,
    };
    if qp.qid != 0 {
        match admin::decode_io(sqe, c.port.config.nn) {
            Ok(IoCommand::Submit { lun }) => job.submit(false, lun, &admin::for_ctl(*sqe), nc),
            Err(refused) => job.refuse(refused, "I/O"),
        }
        return;
    }
    let enabled = c.with(|s| s.machine.is_enabled());
    match admin::decode(sqe, nc.data_len() as u64, enabled) {
        Ok(command) => job.admin(command, nc),
        Err(refused) => job.refuse(refused, "admin"),
    }
}

impl Job<'_> {
    fn cqe(&self, status: Status) -> Cqe {
        Cqe::new(self.sqe.cid.get(), status)
    }

    fn complete(&self, status: Status) {
        self.qp.respond(self.to, self.cqe(status), self.sleep);
    }

    fn complete_with(&self, cdw0: u32) {
        self.qp.respond(
            self.to,
            self.cqe(Status::SUCCESS).with_cdw0(cdw0),
            self.sleep,
        );
    }

    fn refuse(&self, refused: Refused, kind: &str) {
        if let Refused::Opcode(opcode) = refused {
            peer_message!(
                "nvmft{}: Unsupported {kind} opcode {opcode:#x}",
                self.c.cntlid
            );
        } else if refused.has_message() {
            peer_message!("nvmft{}: {refused}", self.c.cntlid);
        }
        self.complete(refused.status());
    }

    /// Hands a command to CTL.
    fn submit(&self, admin: bool, lun: u32, sqe: &Sqe, nc: Capsule) {
        let c = self.c;
        let mut bytes = [0; 64];
        // Both are 64 bytes.
        let _ = sqe.write_to(&mut bytes);
        c.command_begins();
        let owner = self.qp.clone();
        let submitted = c
            .ctl
            .submit(admin, c.cntlid.into(), lun, &bytes, owner, nc, self.sleep);
        let Err((error, nc)) = submitted else {
            return;
        };
        drop(nc);
        if error == Errno::ENOENT {
            self.complete(Status::INVALID_NAMESPACE_OR_FORMAT);
        } else {
            sys::kprint!(
                "nvmft{}: ctl_run failed for command on {}: {}",
                c.cntlid,
                **self.qp,
                error.code()
            );
            self.complete(Status::INTERNAL_ERROR);
            Controller::fail(c);
        }
        Controller::command_done(c);
    }

    fn admin(&self, command: AdminCommand, nc: Capsule) {
        let c = self.c;
        match command {
            AdminCommand::PropertyGet(which) => {
                let value = match which {
                    Property::Cap => c.port.cap.0,
                    Property::Vs => identify::VERSION.0.into(),
                    Property::Cc => c.with(|s| s.machine.cc()).into(),
                    Property::Csts => c.with(|s| s.machine.csts()).into(),
                };
                let mut cqe = self.cqe(Status::SUCCESS);
                cqe.set_value(value);
                self.qp.respond(self.to, cqe, self.sleep);
            }
            AdminCommand::WriteCc(value) => match Controller::write_cc(c, value) {
                Ok(actions) => {
                    // The host hears of success before its queues close.
                    self.complete(Status::SUCCESS);
                    Controller::act(c, actions);
                }
                Err(status) => self.complete(status),
            },
            AdminCommand::GetLogPage(request) => self.get_log_page(&request, &nc),
            AdminCommand::Identify(wanted) => self.identify(wanted, nc),
            AdminCommand::Abort { sqid, cid } => self.abort(sqid, cid),
            AdminCommand::SetFeatures => self.set_features(),
            AdminCommand::GetFeatures => self.get_features(&nc),
            AdminCommand::AsyncEventRequest => {
                drop(nc);
                match c.with(|s| s.aer.request(self.sqe.cid.get())) {
                    Ok(notice) => c.notify(notice, self.sleep),
                    Err(LimitExceeded) => self.complete(Status::AER_LIMIT_EXCEEDED),
                }
            }
            AdminCommand::KeepAlive => self.complete(Status::SUCCESS),
        }
    }

    /// Only Asynchronous Event Requests can be aborted: CTL finds commands of its own by SCSI tag only.
    fn abort(&self, sqid: u16, cid: u16) {
        let aborted = sqid == 0 && self.c.with(|s| s.aer.abort(cid));
        if aborted {
            let cqe = Cqe::new(cid, Status::ABORT_REQUESTED);
            self.qp.respond(self.to, cqe, self.sleep);
        }
        self.complete_with(u32::from(!aborted));
    }

    fn set_features(&self) {
        let c = self.c;
        let result = c.with(|s| {
            let (cdw0, effect) = s.features.set(self.sqe)?;
            match effect {
                Effect::None => {}
                Effect::EventConfig(config) => s.aer.set_config(config),
                Effect::KeepAlive(_) => Controller::arm_keep_alive(c, s),
            }
            Ok(cdw0)
        });
        match result {
            Ok(cdw0) => self.complete_with(cdw0),
            Err(status) => {
                if status == Status::INVALID_FIELD {
                    let fid = self.sqe.cdw10.get() as u8;
                    peer_message!(
                        "nvmft{}: Unsupported feature ID {fid} for SET_FEATURES",
                        c.cntlid
                    );
                }
                self.complete(status);
            }
        }
    }

    fn get_features(&self, nc: &Capsule) {
        let value = self.c.with(|s| s.features.get(self.sqe, s.aer.config()));
        match value {
            Ok(Value::Dword(cdw0)) => self.complete_with(cdw0),
            Ok(Value::HostId) => {
                if nc.data_len() == feature_data_len(self.sqe.cdw10.get() as u8) {
                    self.send(nc, Mbuf::from_bytes(&self.c.hostid, self.sleep.into()));
                } else {
                    self.complete(Status::DATA_SGL_LENGTH_INVALID);
                }
            }
            Err(status) => self.complete(status),
        }
    }

    fn get_log_page(&self, request: &LogRequest, nc: &Capsule) {
        let mut notice = None;
        let m = self.log_page(request, &mut notice);
        self.send(nc, m);
        self.c.notify(notice, self.sleep);
    }

    fn log_page(
        &self,
        request: &LogRequest,
        notice: &mut Option<crate::proto::aer::Notice>,
    ) -> Result<Mbuf> {
        let c = self.c;
        let mut page = KBuf::zeroed(PAGE_MAX, self.sleep.into())?;
        match request.page {
            LogPage::Error => {}
            LogPage::Health => {
                let uptime = uptime_ms().saturating_sub(c.since_ms);
                if let Some(page) = page.first_chunk_mut() {
                    c.totals().fill_health(c.busy.total_ms(), uptime, page);
                }
            }
            LogPage::FirmwareSlot => {
                let (_, release) = sys::ctl::os_names();
                log::fill_firmware_slot(&mut page, &identify::firmware_revision(release));
            }
            LogPage::ChangedNamespaces => c.with(|s| {
                s.changed.fill(&mut page);
                if request.is_full() {
                    s.changed.clear();
                }
                if !request.rae {
                    *notice = s.aer.log_read(request.is_full());
                }
            }),
            LogPage::Effects => log::fill_effects(&mut page),
        }
        let mut data = KBuf::zeroed(request.len as usize, self.sleep.into())?;
        request.slice(&page, &mut data);
        Mbuf::from_bytes(&data, self.sleep.into())
    }

    fn identify(&self, wanted: Identify, nc: Capsule) {
        let c = self.c;
        let active = |nsid| c.port.with_active(|set| set.contains(nsid));
        match wanted {
            Identify::Namespace(nsid) | Identify::Descriptors(nsid) if active(nsid) => {
                let mut sqe = *self.sqe;
                sqe.cdw10 = u32::from(cns::NAMESPACE).into();
                self.submit(true, nsid.wrapping_sub(1), &sqe, nc);
            }
            Identify::Descriptors(_) => self.complete(Status::INVALID_NAMESPACE_OR_FORMAT),
            // An identifier that no namespace can have, unlike one that none has at present.
            Identify::Namespace(nsid) if nsid > c.port.config.nn && nsid != NSID_ALL => {
                self.complete(Status::INVALID_NAMESPACE_OR_FORMAT);
            }
            Identify::Namespace(_) | Identify::Controller | Identify::ActiveList(_) => {
                let m = self.identify_page(wanted);
                self.send(&nc, m);
            }
        }
    }

    fn identify_page(&self, wanted: Identify) -> Result<Mbuf> {
        let c = self.c;
        let mut page = KBuf::zeroed(IDENTIFY_LEN, self.sleep.into())?;
        match wanted {
            Identify::Controller => {
                let (os, release) = sys::ctl::os_names();
                identify::fill_controller(&mut page, &c.port.config, c.cntlid, os, release);
            }
            Identify::ActiveList(after) => {
                c.port.with_active(|set| set.fill_list(after, &mut page));
            }
            // An inactive namespace is all zeroes.
            Identify::Namespace(_) | Identify::Descriptors(_) => {}
        }
        Mbuf::from_bytes(&page, self.sleep.into())
    }

    /// Sends all of the command's data and completes it.
    fn send(&self, nc: &Capsule, data: Result<Mbuf>) {
        let Ok(m) = data else {
            self.complete(Status::INTERNAL_ERROR);
            return;
        };
        if self.qp.has_implicit_success() {
            self.qp.release(self.sqe.cid.get());
        }
        match self.to.send_data(nc, 0, m) {
            SendOutcome::SuccessSent => {}
            SendOutcome::Sent => self.complete(Status::SUCCESS),
            // The data is all of the command's, so there is no more of it.
            SendOutcome::More => self.complete(Status::INTERNAL_ERROR),
            SendOutcome::Failed(sc) => self.complete(Status::new(0, sc)),
        }
    }
}
