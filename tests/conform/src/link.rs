// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! One connection of the controller that the tool plays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rawpeer::pdu::{self, Builder, Format, Raw, flag, kind};
use rawpeer::peer::Peer;

use crate::case::{Outcome, Problem, check, end_text, fail};
use crate::judge::{Seen, Want, as_agreed, judge, then_the_end};

/// MAXH2CDATA of every connection.
pub const MAXH2CDATA: u32 = 8192;

/// A command that arrived.
#[derive(Clone, Debug)]
pub struct Cmd {
    /// The command.
    pub sqe: [u8; 64],
    /// Its in-capsule data.
    pub icd: Vec<u8>,
}

impl Cmd {
    /// The opcode.
    pub fn opcode(&self) -> u8 {
        self.sqe[0]
    }

    /// The command identifier.
    pub fn cid(&self) -> u16 {
        self.u16(2)
    }

    /// A 16-bit field.
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.sqe[at], self.sqe[at + 1]])
    }

    /// A 32-bit field.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    /// A 64-bit field.
    pub fn u64(&self, at: usize) -> u64 {
        u64::from(self.u32(at)) | u64::from(self.u32(at + 4)) << 32
    }

    /// Bytes that the SGL describes.
    pub fn len(&self) -> u32 {
        self.u32(32)
    }

    /// Whether the SGL describes nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The data is in the capsule.
    pub fn inside(&self) -> bool {
        self.sqe[39] == 0x01
    }
}

/// A connection.
pub struct Link {
    peer: Peer,
    /// What was agreed, for what we send.
    pub format: Format,
    /// The host's MAXR2T, zero based.
    pub maxr2t: u32,
    /// CPDA in bytes: how data that comes is aligned.
    pub cpda: u32,
    /// The queue, once it is connected.
    pub qid: Option<u16>,
    /// SQ flow control.
    pub flow_control: bool,
    /// SQHD, if it is counted.
    pub sqhd: u16,
    /// Entries of the queue.
    pub entries: u16,
    patience: Duration,
    waiting: VecDeque<Raw>,
}

impl Link {
    /// Over a TCP connection.
    pub fn new(peer: Peer, patience: Duration) -> Self {
        Link {
            peer,
            format: Format::default(),
            maxr2t: 0,
            cpda: 4,
            qid: None,
            flow_control: false,
            sqhd: 0,
            entries: 1,
            patience,
            waiting: VecDeque::new(),
        }
    }

    /// The script below.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// Gives up the connection by RST.
    pub fn reset(self) {
        self.peer.reset();
    }

    /// How long the host may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.peer.send(bytes);
    }

    /// Sends a PDU.
    pub fn put(&mut self, b: &Builder) {
        self.send(&b.bytes());
    }

    /// What comes next, also what had to wait.
    pub fn next(&mut self, time: Duration) -> Seen {
        match self.waiting.pop_front() {
            Some(r) => Seen::Pdu(r),
            None => self.fresh(time),
        }
    }

    fn fresh(&mut self, time: Duration) -> Seen {
        match self.peer.receive_within(time) {
            Ok(r) => Seen::Pdu(r),
            Err(e) => Seen::End(e),
        }
    }

    /// A command, if that is what a PDU is, and if it is as agreed.
    pub fn command(&self, r: &Raw) -> Result<Cmd, Problem> {
        check(r.kind() == kind::CMD && r.header.len() == 72, || {
            format!("{} instead of a command", Seen::Pdu(r.clone()))
        })?;
        self.formed(r)?;
        let mut sqe = [0; 64];
        sqe.copy_from_slice(&r.header[8..72]);
        Ok(Cmd {
            sqe,
            icd: r.data.clone(),
        })
    }

    /// Whether a PDU of the host's has the form that was agreed.
    fn formed(&self, r: &Raw) -> Result<(), Problem> {
        let (k, f) = (r.kind(), self.format);
        let data = !r.data.is_empty();
        as_agreed(r, f, data, if k == kind::H2C_DATA { 0x07 } else { 0x03 })?;
        let pdo = u32::from(r.header[3]);
        check(!data || pdo.is_multiple_of(self.cpda), || {
            format!("PDO {pdo} in a PDU of type {k}, alignment {}", self.cpda)
        })
    }

    /// A response with a status (SCT << 8 | SC) and dword 0 and 1.
    pub fn respond(&mut self, cid: u16, status: u16, value: u64) {
        let mut cqe = pdu::cqe(cid, status);
        cqe[..8].copy_from_slice(&value.to_le_bytes());
        cqe[8..10].copy_from_slice(&self.next_head().to_le_bytes());
        let b = pdu::response(self.format, &cqe);
        self.put(&b);
    }

    /// SQHD of the next response.
    pub fn next_head(&mut self) -> u16 {
        if self.flow_control {
            self.sqhd = (self.sqhd + 1) % self.entries.max(1);
        }
        self.sqhd
    }

    /// Sends the data of a read in PDUs of at most `step` bytes.
    pub fn send_data(&mut self, cid: u16, data: &[u8], step: usize) {
        let n = data.len().div_ceil(step);
        for (i, piece) in data.chunks(step).enumerate() {
            let fl = if i + 1 == n { flag::LAST } else { 0 };
            let b = pdu::c2h_data(self.format, fl, cid, (i * step) as u32, piece);
            self.put(&b);
        }
    }

    /// An R2T.
    pub fn r2t(&self, cid: u16, ttag: u16, at: u32, len: u32) -> Builder {
        pdu::r2t(self.format, cid, ttag, at, len)
    }

    /// Takes what an R2T asked for; commands that come between wait.
    pub fn take(&mut self, cid: u16, ttag: u16, at: u32, len: u32) -> Result<Vec<u8>, Problem> {
        let mut got: Vec<u8> = Vec::new();
        let end = Instant::now() + self.patience;
        while (got.len() as u32) < len {
            let r = match self.fresh(end.saturating_duration_since(Instant::now())) {
                Seen::Pdu(r) if r.kind() == kind::CMD => {
                    self.waiting.push_back(r);
                    continue;
                }
                Seen::Pdu(r) => r,
                Seen::End(e) => return fail(format!("H2CData is missing: {}", end_text(e))),
            };
            check(r.kind() == kind::H2C_DATA, || {
                format!("{} instead of H2CData", Seen::Pdu(r.clone()))
            })?;
            self.formed(&r)?;
            let (off, n) = (r.u32(12), r.u32(16));
            check(r.u16(8) == cid && r.u16(10) == ttag, || {
                format!("H2CData for CID {} TTAG {}", r.u16(8), r.u16(10))
            })?;
            check(
                n as usize == r.data.len() && n != 0 && n <= MAXH2CDATA,
                || format!("DATAL {n} with {} bytes of data", r.data.len()),
            )?;
            check(off == at + got.len() as u32, || {
                format!("DATAO {off} after {} bytes at {at}", got.len())
            })?;
            got.extend(&r.data);
            check(got.len() as u32 <= len, || {
                format!("{} bytes, {len} were asked for", got.len())
            })?;
            let last = r.flags() & flag::LAST != 0;
            check(last == (got.len() as u32 == len), || {
                format!("LAST_PDU is {last} at byte {} of {len}", got.len())
            })?;
        }
        Ok(got)
    }

    /// All the data of a write.
    pub fn take_all(&mut self, cmd: &Cmd, step: u32) -> Result<Vec<u8>, Problem> {
        if cmd.inside() {
            check(cmd.icd.len() == cmd.len() as usize, || {
                format!(
                    "{} bytes in a capsule whose SGL says {}",
                    cmd.icd.len(),
                    cmd.len()
                )
            })?;
            return Ok(cmd.icd.clone());
        }
        let mut all = Vec::new();
        while (all.len() as u32) < cmd.len() {
            let at = all.len() as u32;
            let n = step.min(cmd.len() - at);
            let ttag = (at / step.max(1)) as u16 ^ 0x40;
            let b = self.r2t(cmd.cid(), ttag, at, n);
            self.put(&b);
            all.extend(self.take(cmd.cid(), ttag, at, n)?);
        }
        Ok(all)
    }

    /// What comes next that is not the host's ordinary traffic.
    pub fn event(&mut self) -> Seen {
        let end = Instant::now() + self.patience;
        loop {
            match self.next(end.saturating_duration_since(Instant::now())) {
                Seen::Pdu(r) if matches!(r.kind(), kind::CMD | kind::H2C_DATA) => {}
                s => return s,
            }
        }
    }

    /// Judges what comes of what was sent: see [`crate::conn::Conn::fate`].
    pub fn fate(&mut self, header: &[u8], want: Want<'_>) -> Outcome {
        let seen = self.event();
        let said = judge(want, &seen)?;
        check(
            !matches!(&seen, Seen::Pdu(r) if r.kind() == kind::C2H_TERM),
            || "a C2HTermReq from a host".into(),
        )?;
        then_the_end(said, &seen, header, || {
            self.peer.close_write();
            self.next(self.patience)
        })
    }

    /// The host must go on: a command must come on this connection.
    pub fn goes_on(&mut self) -> Outcome {
        loop {
            match self.next(self.patience) {
                Seen::Pdu(r) if r.kind() == kind::CMD => {
                    self.command(&r)?;
                    self.waiting.push_front(r);
                    return Ok("the host goes on with this connection".into());
                }
                // Data of an R2T that was under way.
                Seen::Pdu(r) if r.kind() == kind::H2C_DATA => {}
                s => return fail(format!("{s} instead of the next command")),
            }
        }
    }
}
