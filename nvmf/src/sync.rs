// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Synchronous commands: a thread that waits for one command, for a bounded time.
#![forbid(unsafe_code)]

use crate::proto::slots::{Class, Cqe, cqe_status};
use crate::proto::status::{DataOutcome, is_host_abort};
use crate::proto::timeout::Limit;
use crate::qpair::{Command, HostQpair, Refused, Request};
use sys::bio::IoBuf;
use sys::mem::KArc;
use sys::sync::{Condvar, Mutex};
use sys::time::uptime_ms;
use sys::wire::Sqe;
use sys::{CanSleep, Errno, Wait};

/// A finished command.
#[derive(Clone, Copy)]
struct Outcome {
    cqe: Cqe,
    data: DataOutcome,
}

struct State {
    outcome: Option<Outcome>,
    abandoned: bool,
}

/// A command that a thread waits for. The queue keeps it until the transport is done with its buffer, also when the
/// thread is gone.
pub struct SyncCommand {
    state: Mutex<State>,
    changed: Condvar,
    buf: Option<IoBuf>,
}

impl SyncCommand {
    /// The command is finished. Any context.
    pub fn finish(&self, cqe: &Cqe, data: DataOutcome) {
        if let Some(buf) = &self.buf {
            buf.give_back();
        }
        self.state.lock().outcome = Some(Outcome { cqe: *cqe, data });
        self.changed.broadcast();
    }

    /// The thread shall not wait any longer. Any context.
    pub fn abandon(&self) {
        self.state.lock().abandoned = true;
        self.changed.broadcast();
    }
}

/// Why a command did not complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExecError {
    /// There was no memory for it; it was not sent.
    NoMemory,
    /// The association is gone, or was given up meanwhile.
    Aborted,
    /// The controller did not answer in time; the association is given up.
    TimedOut,
}

impl From<ExecError> for Errno {
    fn from(e: ExecError) -> Errno {
        match e {
            ExecError::NoMemory => Errno::ENOMEM,
            ExecError::Aborted => Errno::ECONNABORTED,
            ExecError::TimedOut => Errno::ETIMEDOUT,
        }
    }
}

/// A completed command with what it read.
pub struct Done {
    command: KArc<SyncCommand>,
    /// Completion queue entry.
    pub cqe: Cqe,
    /// How its data fared.
    pub data: DataOutcome,
}

impl Done {
    /// The status field.
    pub fn status(&self) -> u16 {
        cqe_status(&self.cqe)
    }

    /// Dwords 0 and 1 as one value, as Property Get returns it.
    pub fn value(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.cqe;
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The bytes of the command's buffer.
    pub fn bytes(&self) -> &[u8] {
        self.command
            .buf
            .as_ref()
            .and_then(IoBuf::bytes)
            .unwrap_or(&[])
    }
}

/// Sends a command and waits for it, as long as `limit` says. With `buf`, its data go to (`true`) or come from the
/// controller. A command that is overdue, and that the controller does not abort, costs it the association.
pub fn execute(
    qp: &KArc<HostQpair>,
    sqe: Sqe,
    buf: Option<(IoBuf, bool)>,
    limit: Limit,
    sleep: CanSleep<'_>,
) -> Result<Done, ExecError> {
    let no_memory = |_| ExecError::NoMemory;
    let wait = Wait::Sleep(sleep);
    let (mut buf, write) = match buf {
        Some((b, w)) => (Some(b), w),
        None => (None, false),
    };
    let data = match &mut buf {
        Some(b) if b.len() != 0 => b.lend().map(|md| (md, write)),
        _ => None,
    };
    let state = Mutex::new(
        c"nvmf cmd",
        State {
            outcome: None,
            abandoned: false,
        },
        wait,
    )
    .map_err(no_memory)?;
    let changed = Condvar::new(c"nvmfcmd", wait).map_err(no_memory)?;
    let command = KArc::new(
        SyncCommand {
            state,
            changed,
            buf,
        },
        wait,
    )
    .map_err(no_memory)?;
    let begin = uptime_ms();
    let due = begin.saturating_add(u64::from(limit.ms));
    let end = begin.saturating_add(u64::from(limit.wait_ms()));

    let mut attempt = Command {
        sqe,
        data,
        request: Request::Sync(command.clone()),
        class: Class::Normal,
        patience: limit.patience(begin),
    };
    loop {
        match HostQpair::submit(qp, attempt) {
            Ok(()) => break,
            Err(Refused::NoMemory(_)) => {
                if let Some(b) = &command.buf {
                    b.give_back();
                }
                return Err(ExecError::NoMemory);
            }
            Err(Refused::Down(_)) => {
                // The transport never got the buffer.
                if let Some(b) = &command.buf {
                    b.give_back();
                }
                return Err(ExecError::Aborted);
            }
            Err(Refused::Full(back)) => {
                let left = due.saturating_sub(uptime_ms());
                if left == 0 {
                    if let Some(b) = &command.buf {
                        b.give_back();
                    }
                    return Err(ExecError::TimedOut);
                }
                qp.wait_for_room(u32::try_from(left).unwrap_or(u32::MAX), sleep);
                attempt = back;
            }
        }
    }

    let outcome = {
        let mut state = command.state.lock();
        loop {
            if let Some(outcome) = state.outcome {
                break Some(outcome);
            }
            let left = end.saturating_sub(uptime_ms());
            if state.abandoned || left == 0 {
                break None;
            }
            command
                .changed
                .wait_ms(&mut state, u32::try_from(left).unwrap_or(u32::MAX), sleep);
        }
    };
    let now = uptime_ms();
    match outcome {
        Some(o) if is_host_abort(cqe_status(&o.cqe)) && now < due => Err(ExecError::Aborted),
        // Nobody is told that it was overdue but in this way.
        Some(o) if is_host_abort(cqe_status(&o.cqe)) => Err(ExecError::TimedOut),
        Some(o) => Ok(Done {
            command,
            cqe: o.cqe,
            data: o.data,
        }),
        None if now >= end => {
            qp.overdue();
            Err(ExecError::TimedOut)
        }
        None if now >= due => Err(ExecError::TimedOut),
        None => Err(ExecError::Aborted),
    }
}
