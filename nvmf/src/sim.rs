// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The CAM SIM: CCBs become commands, and finished commands become completed CCBs.
#![forbid(unsafe_code)]

use crate::controller::Controller;
use crate::proto::ns::{self, Namespace};
use crate::proto::slots::{Class, Cqe, cqe_status};
use crate::proto::status::{CcbOutcome, DataOutcome, ccb_outcome};
use crate::proto::timeout::{Deadline, Patience};
use crate::proto::unserved::Unserved;
use crate::qpair::{Command, HostQpair, Request};
use sys::cam::{Ccb, CcbStatus, SimHandler};
use sys::time::uptime_ms;
use sys::wire::Sqe;
use sys::wire::identify::cns;
use sys::wire::sqe::admin;

/// Identify Namespace up to the end of its LBA formats.
const FORMATS_END: usize = 384;

/// The command of a CCB.
pub fn command(ccb: Ccb) -> Command {
    let sqe: Sqe = zerocopy::transmute!(ccb.sqe());
    let data = ccb.data();
    let patience = Patience::Until(Deadline::of_ccb(uptime_ms(), ccb.timeout()));
    Command {
        sqe,
        data,
        request: Request::Ccb(ccb),
        class: Class::Normal,
        patience,
    }
}

/// A request that finds no association: it comes back to CAM, to be held there or to fail.
pub fn refuse(ctrl: &Controller, request: Request) {
    if let Request::Ccb(ccb) = request {
        give_back(ctrl, ccb, None, false);
    }
}

/// Gives back a CCB that was not served.
fn give_back(ctrl: &Controller, ccb: Ccb, cqe: Option<&Cqe>, direct: bool) {
    match ctrl.unserved() {
        Unserved::Requeue => ccb.complete(CcbStatus::Requeue, cqe, direct),
        Unserved::Gone => {
            let nsid = ccb.nsid();
            ccb.complete(CcbStatus::Gone, cqe, direct);
            // Not before: whoever looks for the disk then must not come too soon.
            ctrl.disk_lost(nsid);
        }
    }
}

/// A request for which there was no memory.
pub fn no_memory(request: Request) {
    if let Request::Ccb(ccb) = request {
        ccb.complete(CcbStatus::NoResource, None, false);
    }
}

/// Whether CAM would build a disk on Identify data that we refuse. nvme_xpt(4) and nda(4) take block sizes as they
/// come, so the check has to be made here.
fn shows_bad_namespace(ccb: &Ccb, cqe: &Cqe) -> bool {
    let sqe: Sqe = zerocopy::transmute!(ccb.sqe());
    if sqe.opcode != admin::IDENTIFY
        || (sqe.cdw10.get() & 0xff) as u8 != cns::NAMESPACE
        || cqe_status(cqe) >> 1 != 0
    {
        return false;
    }
    let mut data = [0; FORMATS_END];
    ccb.peek(&mut data) && matches!(ns::parse(&data), Namespace::Unusable(_))
}

/// A finished CCB; `direct` as for [`Ccb::complete`].
pub fn finish(ctrl: &Controller, ccb: Ccb, cqe: &Cqe, data: DataOutcome, direct: bool) {
    let status = match ccb_outcome(cqe_status(cqe), data) {
        CcbOutcome::Complete if shows_bad_namespace(&ccb, cqe) => CcbStatus::DataError,
        CcbOutcome::Complete => CcbStatus::Complete,
        CcbOutcome::NvmeError => CcbStatus::NvmeError,
        CcbOutcome::DataError => CcbStatus::DataError,
        CcbOutcome::Unserved => return give_back(ctrl, ccb, Some(cqe), direct),
    };
    ccb.complete(status, Some(cqe), direct);
}

impl SimHandler for Controller {
    fn io(&self, ccb: Ccb, is_admin: bool) {
        let queue = if is_admin {
            self.admin_queue()
        } else {
            self.io_queues.here()
        };
        match queue {
            Some(qp) => {
                ccb.mark_queued();
                HostQpair::submit_ccb(&qp, ccb);
            }
            None => refuse(self, Request::Ccb(ccb)),
        }
    }
}
