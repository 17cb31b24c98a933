// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The host's side: commands in flight by CID, and their data.
#![forbid(unsafe_code)]

use sys::conn::Conn;
use sys::crc::digest;
use sys::mbuf::Mbuf;
use sys::mem::KVec;
use sys::wire::{Cqe, FromBytes, IntoBytes, Sqe};
use sys::xport::{ActiveCmd, ActiveSlot, CapRef, DataRef};
use sys::{CanSleep, Errno, Result, Wait};

use crate::pdu_out;
use crate::proto::pdu::{DataPdu, R2tPdu};
use crate::proto::segment::Pieces;
use crate::proto::transfer::{C2hEnd, Outcome};
use crate::proto::{Params, PduError, Transfer, sgl};
use crate::qpair::{Qp, Tcp};
use crate::receiver::End;

/// CIDs beyond its size that a host may use on the admin queue: for Asynchronous
/// Event Requests, which must not keep other commands from it.
const EXTRA_CIDS: usize = 64;
/// H2CData PDUs are handed to the socket in portions of about this many bytes.
const BATCH: u32 = 256 << 10;

/// What a command in flight keeps.
#[derive(Default)]
pub struct Progress {
    transfer: Transfer,
    data: Option<DataRef<Tcp>>,
}

/// The commands of a host's queue pair.
pub struct Host {
    slots: KVec<ActiveSlot<Tcp>>,
}

/// A command that could not be sent for want of memory.
pub struct Unsent(pub Errno, pub CapRef<Tcp>);

impl Host {
    /// No commands.
    #[inline(never)]
    pub fn new(p: &Params, wait: Wait<'_>) -> Result<Self> {
        let extra = if p.admin { EXTRA_CIDS } else { 0 };
        let cids = (p.qsize as usize + extra).min(1 << 16);
        Ok(Host {
            slots: KVec::filled(cids, wait, |_| ActiveSlot::new())?,
        })
    }

    fn slot(&self, cid: u16) -> Option<&ActiveSlot<Tcp>> {
        self.slots.get(usize::from(cid))
    }

    /// Sends a command, with its data if that fits into the capsule.
    #[inline]
    pub fn command(
        &self,
        qp: &Qp,
        cap: CapRef<Tcp>,
        wait: Wait<'_>,
    ) -> core::result::Result<(), Unsent> {
        let Ok(mut sqe) = Sqe::read_from_bytes(cap.qe()) else {
            return Err(Unsent(Errno::EINVAL, cap));
        };
        let (len, send) = cap.data();
        let (Some(slot), Ok(len)) = (self.slot(sqe.cid.get()), u32::try_from(len)) else {
            return Err(Unsent(Errno::EINVAL, cap));
        };
        let (sgl, icd) = sgl::describe(send, len, qp.state.params.max_icd);
        sqe.sgl1 = sgl;
        let header = qp.state.framing.command(&sqe, icd, digest);

        let mut data = cap.begin_data();
        let pdu = match (&mut data, icd) {
            (Some(d), 1..) => d
                .mbufs(0, icd, false, wait)
                .and_then(|m| pdu_out::with_data(&header, m, wait)),
            _ => pdu_out::plain(&header, wait),
        };
        let pdu = match pdu {
            Ok(pdu) => pdu,
            Err(e) => {
                if let Some(data) = data {
                    data.cancel();
                }
                return Err(Unsent(e, cap));
            }
        };
        let Some(mut cmd) = cap.clone().activate() else {
            // Sent twice: the first time counts.
            return Err(Unsent(Errno::EBUSY, cap));
        };
        *cmd.state() = Progress {
            transfer: match (icd, send) {
                (1.., _) => Transfer::settled(),
                (0, true) => Transfer::write(len),
                (0, false) => Transfer::read(len),
            },
            data,
        };
        if let Some(old) = slot.put(cmd) {
            abandon(old);
        }
        // If the connection failed, its end aborts the command.
        let _ = qp.state.send(pdu, true);
        Ok(())
    }

    /// A response arrived: the command's data is done with, one way or the
    /// other, and the host hears of the response. One that belongs to no
    /// command is for the host to judge.
    pub fn response(
        &self,
        qp: &Qp,
        cqe: &Cqe,
        sleep: CanSleep<'_>,
    ) -> core::result::Result<(), End> {
        if let Some(mut cmd) = self.slot(cqe.cid.get()).and_then(ActiveSlot::take) {
            let progress = cmd.state();
            let success = cqe.status().is_success();
            let data = progress.data.take();
            match (progress.transfer.response(success), data) {
                (Outcome::Ended { moved, failed }, Some(data)) => {
                    data.set_xfered(moved as usize);
                    if failed {
                        data.fail(Errno::EIO);
                    }
                }
                (Outcome::Settled | Outcome::Unknown, Some(data)) => data.set_xfered(data.len()),
                (_, None) => {}
            }
        }
        deliver(qp, cqe, true, sleep)
    }

    /// Judges a C2HData header.
    pub fn begin_data(&self, pdu: &DataPdu) -> core::result::Result<Filling<'_>, PduError> {
        let slot = self.slot(pdu.cccid);
        let (Some(slot), Some(mut cmd)) = (slot, slot.and_then(ActiveSlot::take)) else {
            return Err(PduError::cccid(pdu.cccid));
        };
        let judged = cmd.state().transfer.c2h_data(pdu);
        let filling = Filling {
            slot,
            cmd: Some(cmd),
            pdu: *pdu,
            done: 0,
        };
        judged.map(|()| filling)
    }

    /// All data of a C2HData PDU arrived.
    pub fn end_data(
        &self,
        qp: &Qp,
        mut filling: Filling<'_>,
        digest_ok: bool,
        sleep: CanSleep<'_>,
    ) -> core::result::Result<(), End> {
        let Some(cmd) = &mut filling.cmd else {
            return Ok(());
        };
        let progress = cmd.state();
        let C2hEnd::Complete { poisoned, response } =
            progress.transfer.c2h_end(&filling.pdu, digest_ok)
        else {
            return Ok(());
        };
        if let Some(data) = progress.data.take() {
            data.set_xfered(data.len());
            if poisoned {
                data.fail(Errno::EINTEGRITY);
            }
        }
        let Some(status) = response else {
            return Ok(());
        };
        // The PDU stands for the response: the command ends here.
        drop(filling.cmd.take());
        let mut cqe = Cqe {
            cid: filling.pdu.cccid.into(),
            ..Cqe::default()
        };
        cqe.set_status(status);
        deliver(qp, &cqe, false, sleep)
    }

    /// The controller asks for data.
    pub fn ready_to_transfer(
        &self,
        qp: &Qp,
        conn: &Conn,
        r: &R2tPdu,
        sleep: CanSleep<'_>,
    ) -> core::result::Result<(), End> {
        let slot = self.slot(r.cccid);
        let (Some(slot), Some(mut cmd)) = (slot, slot.and_then(ActiveSlot::take)) else {
            return Err(PduError::cccid(r.cccid).into());
        };
        let result = send_requested(qp, conn, &mut cmd, r, sleep);
        if let Some(old) = slot.put(cmd) {
            abandon(old);
        }
        result
    }

    /// The connection is gone: every command's data is given back, and its
    /// capsule, which the host left to us.
    pub fn abort(&self) {
        for slot in self.slots.iter() {
            if let Some(cmd) = slot.take() {
                abandon(cmd);
            }
        }
    }
}

fn abandon(mut cmd: ActiveCmd<Tcp>) {
    if let Some(data) = cmd.state().data.take() {
        data.fail(Errno::ECONNABORTED);
    }
    cmd.disown();
}

/// A command that was accepted and never became PDUs ends like one that was
/// sent: its data is given back, and its capsule.
#[cold]
pub fn forsake(cap: CapRef<Tcp>) {
    let data = cap.begin_data();
    if let Some(mut cmd) = cap.activate() {
        cmd.state().data = data;
        abandon(cmd);
    }
}

fn deliver(
    qp: &Qp,
    cqe: &Cqe,
    sqhd_valid: bool,
    sleep: CanSleep<'_>,
) -> core::result::Result<(), End> {
    let cap = qp
        .new_capsule(cqe.as_bytes(), sqhd_valid, sleep.into())
        .map_err(End::Failed)?;
    qp.deliver(cap);
    Ok(())
}

/// Answers an R2T with H2CData PDUs.
fn send_requested(
    qp: &Qp,
    conn: &Conn,
    cmd: &mut ActiveCmd<Tcp>,
    r: &R2tPdu,
    sleep: CanSleep<'_>,
) -> core::result::Result<(), End> {
    let params = &qp.state.params;
    let progress = cmd.state();
    progress.transfer.r2t(r, params.max_r2t)?;
    let Some(data) = &mut progress.data else {
        return Err(PduError::cccid(r.cccid).into());
    };
    let wait = Wait::Sleep(sleep);
    let mut pieces = Pieces::h2c(r.r2to, r.r2tl, params);
    let mut offset = r.r2to;
    let end = r.r2to.saturating_add(r.r2tl);
    let mut batch: Option<Mbuf> = None;
    while offset < end {
        let limit = pieces.limit();
        let more = end - offset > limit;
        let m = data.mbufs(offset, limit, more, wait).map_err(End::Failed)?;
        let Some(piece) = pieces.take_piece(m.len()) else {
            break;
        };
        let header = qp.state.framing.h2c_data(r.cccid, r.ttag, &piece, digest);
        let pdu = pdu_out::with_data(&header, m, wait).map_err(End::Failed)?;
        offset = offset.saturating_add(piece.len);
        match &mut batch {
            Some(b) => b.append(pdu),
            None => batch = Some(pdu),
        }
        if batch.as_ref().is_some_and(|b| b.len() >= BATCH)
            && let Some(b) = batch.take()
        {
            qp.state.tx.send(conn, b, false).map_err(End::Failed)?;
        }
    }
    if let Some(b) = batch {
        qp.state.tx.send(conn, b, false).map_err(End::Failed)?;
    }
    progress.transfer.r2t_done();
    Ok(())
}

/// A C2HData PDU whose data is arriving. Meanwhile its command is out of its
/// slot; dropping this puts it back.
pub struct Filling<'a> {
    slot: &'a ActiveSlot<Tcp>,
    cmd: Option<ActiveCmd<Tcp>>,
    pdu: DataPdu,
    done: u32,
}

impl Filling<'_> {
    /// Whether the PDU stands for the response as well.
    pub fn ends_command(&self) -> bool {
        self.pdu.last && self.pdu.success
    }

    /// Copies the first `n` bytes of `buf` to where they belong.
    #[inline]
    pub fn place(&mut self, buf: &Mbuf, n: u32, crc: Option<&mut u32>) -> Result<()> {
        let offset = self.pdu.datao.checked_add(self.done).ok_or(Errno::EFBIG)?;
        let data = self.cmd.as_mut().and_then(|c| c.state().data.as_mut());
        data.ok_or(Errno::EPROTO)?
            .copy_from_mbuf(offset, buf, 0, n, crc)?;
        self.done = self.done.saturating_add(n);
        Ok(())
    }
}

impl Drop for Filling<'_> {
    fn drop(&mut self) {
        if let Some(cmd) = self.cmd.take()
            && let Some(old) = self.slot.put(cmd)
        {
            abandon(old);
        }
    }
}
