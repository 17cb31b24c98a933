// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Connect: which controller a new queue belongs to, or why it is refused.
//!
//! Userland has received the command and checked what does not depend on the controller's state.
#![forbid(unsafe_code)]

use sys::wire::fabrics::{ConnectCmd, ConnectData, InvalidParam};
use sys::wire::{Cqe, Status};

use super::controller::State;

/// The most I/O queues that a controller grants.
pub const MAX_IO_QUEUES: u16 = 1024;

/// Why a Connect for an admin queue is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminRefusal {
    /// There is no controller ID left.
    NoController,
    /// HOSTID is all zeroes.
    HostId,
    /// HOSTNQN is empty or not terminated.
    HostNqn,
}

impl AdminRefusal {
    /// What the host is told.
    pub fn response(self, cid: u16) -> Cqe {
        match self {
            Self::NoController => Cqe::new(cid, Status::CONNECT_INVALID_HOST),
            Self::HostId => invalid(cid, InvalidParam::HOSTID),
            Self::HostNqn => invalid(cid, InvalidParam::HOSTNQN),
        }
    }
}

/// Checks the host that opens an admin queue.
pub fn check_admin(data: &ConnectData) -> Result<(), AdminRefusal> {
    if data.hostid.iter().all(|b| *b == 0) {
        return Err(AdminRefusal::HostId);
    }
    sys::wire::nqn::parse(&data.hostnqn).map_err(|_| AdminRefusal::HostNqn)?;
    Ok(())
}

/// Why a Connect for an I/O queue is refused, in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoRefusal {
    /// No controller has the ID.
    NoController,
    /// Another host's controller.
    HostId,
    /// Another host's controller.
    HostNqn,
    /// The controller is being torn down.
    Disabled,
    /// The controller is not enabled.
    NotEnabled,
    /// The host has not asked for I/O queues.
    NoQueues,
    /// More queues than granted.
    Qid,
    /// Larger than CAP.MQES allows.
    Qsize,
    /// The queue exists.
    Exists,
}

impl IoRefusal {
    /// What the host is told.
    pub fn response(self, cid: u16) -> Cqe {
        match self {
            Self::NoController | Self::Disabled => invalid(cid, InvalidParam::CNTLID),
            Self::HostId => invalid(cid, InvalidParam::HOSTID),
            Self::HostNqn => invalid(cid, InvalidParam::HOSTNQN),
            Self::Qid => invalid(cid, InvalidParam::QID),
            Self::Qsize => invalid(cid, InvalidParam::SQSIZE),
            Self::NotEnabled | Self::NoQueues | Self::Exists => {
                Cqe::new(cid, Status::COMMAND_SEQUENCE_ERROR)
            }
        }
    }
}

/// What an I/O queue's Connect is checked against.
pub struct IoContext<'a> {
    /// The controller's host.
    pub hostid: &'a [u8; 16],
    /// The controller's host, as the whole field.
    pub hostnqn: &'a [u8; 256],
    /// The controller's state.
    pub state: State,
    /// Granted I/O queues, if they were asked for.
    pub queues: Option<u16>,
    /// The largest queue in entries.
    pub max_qsize: u32,
}

/// Checks a Connect for an I/O queue of `qsize` entries; `exists` says whether a queue has the ID.
pub fn check_io(
    ctx: &IoContext<'_>,
    cmd: &ConnectCmd,
    data: &ConnectData,
    qsize: u64,
    exists: impl FnOnce(u16) -> bool,
) -> Result<(), IoRefusal> {
    if data.hostid != *ctx.hostid {
        return Err(IoRefusal::HostId);
    }
    if data.hostnqn != *ctx.hostnqn {
        return Err(IoRefusal::HostNqn);
    }
    match ctx.state {
        State::Enabled => {}
        State::Disabled | State::ShutDown => return Err(IoRefusal::NotEnabled),
        State::Resetting | State::ShuttingDown | State::Failed | State::Terminated => {
            return Err(IoRefusal::Disabled);
        }
    }
    let queues = ctx.queues.ok_or(IoRefusal::NoQueues)?;
    let qid = cmd.qid.get();
    if qid == 0 || qid > queues {
        return Err(IoRefusal::Qid);
    }
    if qsize > u64::from(ctx.max_qsize) {
        return Err(IoRefusal::Qsize);
    }
    if exists(qid) {
        return Err(IoRefusal::Exists);
    }
    Ok(())
}

/// Invalid parameters.  Without Do Not Retry: the controller may be there again, or enabled, the next time.
fn invalid(cid: u16, at: InvalidParam) -> Cqe {
    let (iattr, ipo) = match at {
        InvalidParam::Command(off) => (0, off),
        InvalidParam::Data(off) => (1, off),
    };
    Cqe::new(cid, Status::CONNECT_INVALID_PARAMETERS).with_cdw0(u32::from(ipo) | iattr << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;
    use sys::wire::{FromBytes, FromZeros};

    fn data() -> Box<ConnectData> {
        let mut d = ConnectData::new_box_zeroed_for_test();
        d.hostid[0] = 1;
        d.hostnqn[..4].copy_from_slice(b"nqn\0");
        d
    }

    trait BoxZeroed {
        fn new_box_zeroed_for_test() -> Box<Self>;
    }

    impl BoxZeroed for ConnectData {
        fn new_box_zeroed_for_test() -> Box<Self> {
            Box::new(ConnectData::read_from_bytes(&[0; 1024]).unwrap())
        }
    }

    fn cmd(qid: u16) -> ConnectCmd {
        let mut c = ConnectCmd::read_from_bytes(&[0; 64]).unwrap();
        c.qid = qid.into();
        c
    }

    fn bytes(c: Cqe) -> (u8, u8, u32) {
        (c.status().sct(), c.status().sc(), c.cdw0.get())
    }

    #[test]
    fn admin() {
        let mut d = data();
        assert_eq!(check_admin(&d), Ok(()));
        d.hostid.zero();
        assert_eq!(check_admin(&d), Err(AdminRefusal::HostId));
        d.hostid[3] = 1;
        d.hostnqn = [b'x'; 256];
        assert_eq!(check_admin(&d), Err(AdminRefusal::HostNqn));
        assert_eq!(bytes(AdminRefusal::NoController.response(1)), (1, 0x84, 0));
        assert_eq!(bytes(AdminRefusal::HostId.response(1)), (1, 0x82, 0x1_0000));
    }

    #[test]
    fn io_in_order() {
        let d = data();
        let (hostid, hostnqn) = (d.hostid, d.hostnqn);
        let other_id = [9; 16];
        let other_nqn = [b'y'; 256];
        let check = |hostid, hostnqn, state, queues, qid, qsize, exists| {
            let ctx = IoContext {
                hostid,
                hostnqn,
                state,
                queues,
                max_qsize: 128,
            };
            check_io(&ctx, &cmd(qid), &d, qsize, |_| exists)
        };
        use IoRefusal::*;
        use State::*;
        assert_eq!(
            check(&hostid, &hostnqn, Enabled, Some(2), 2, 128, false),
            Ok(())
        );
        assert_eq!(
            check(&other_id, &other_nqn, Failed, None, 9, 999, true),
            Err(HostId)
        );
        assert_eq!(
            check(&hostid, &other_nqn, Failed, None, 9, 999, true),
            Err(HostNqn)
        );
        assert_eq!(
            check(&hostid, &hostnqn, Failed, None, 9, 999, true),
            Err(IoRefusal::Disabled)
        );
        for state in [State::Disabled, ShutDown] {
            assert_eq!(
                check(&hostid, &hostnqn, state, None, 9, 999, true),
                Err(NotEnabled)
            );
        }
        assert_eq!(
            check(&hostid, &hostnqn, Enabled, None, 9, 999, true),
            Err(NoQueues)
        );
        assert_eq!(
            check(&hostid, &hostnqn, Enabled, Some(2), 3, 999, true),
            Err(Qid)
        );
        assert_eq!(
            check(&hostid, &hostnqn, Enabled, Some(2), 2, 129, true),
            Err(Qsize)
        );
        assert_eq!(
            check(&hostid, &hostnqn, Enabled, Some(2), 2, 2, true),
            Err(Exists)
        );
    }

    #[test]
    fn io_responses() {
        use IoRefusal::*;
        for (refusal, expect) in [
            (NoController, (1, 0x82, 0x1_0010)),
            (HostId, (1, 0x82, 0x1_0000)),
            (HostNqn, (1, 0x82, 0x1_0200)),
            (Disabled, (1, 0x82, 0x1_0010)),
            (NotEnabled, (0, 0x0c, 0)),
            (NoQueues, (0, 0x0c, 0)),
            (Qid, (1, 0x82, 42)),
            (Qsize, (1, 0x82, 44)),
            (Exists, (0, 0x0c, 0)),
        ] {
            assert_eq!(bytes(refusal.response(7)), expect, "{refusal:?}");
        }
    }
}
