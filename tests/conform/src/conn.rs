// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! One queue of the host that the tool plays. Whatever a controller sends on
//! it is measured against what was agreed and what was asked for.

use std::time::Duration;

use rawpeer::pdu::{self, Format, Raw, flag, kind};
use rawpeer::peer::Peer;

use crate::case::{Outcome, Problem, check, end_text, fail};
use crate::dial::{Ask, Disk};
use crate::judge::{Seen, Want, as_agreed, judge, then_the_end};
use crate::sqe::{Place, Sqe, admin, fabrics, nvm};

/// The most bytes that a command of ours asks for.
const DATA_MAX: usize = 4 << 20;

/// A response, and the data that came before it.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// The completion queue entry; made up if SUCCESS stood for it.
    pub cqe: [u8; 16],
    /// Data.
    pub data: Vec<u8>,
    /// SUCCESS stood for the response.
    pub short: bool,
    /// R2Ts that came.
    pub r2ts: usize,
}

impl Reply {
    /// SCT << 8 | SC.
    pub fn status(&self) -> u16 {
        u16::from_le_bytes([self.cqe[14], self.cqe[15]]) >> 1 & 0x7ff
    }

    /// SQHD.
    pub fn sqhd(&self) -> u16 {
        u16::from_le_bytes([self.cqe[8], self.cqe[9]])
    }

    /// Dword 0.
    pub fn dword(&self) -> u32 {
        u32::from_le_bytes([self.cqe[0], self.cqe[1], self.cqe[2], self.cqe[3]])
    }

    /// Do Not Retry.
    pub fn dnr(&self) -> bool {
        self.cqe[15] & 0x80 != 0
    }

    /// Fails unless the status is one of these.
    pub fn must_be(&self, wanted: &[u16]) -> Outcome {
        let s = self.status();
        if wanted.contains(&s) {
            return Ok(if s == 0 {
                "success".into()
            } else {
                format!("status {s:03x}h")
            });
        }
        fail(format!(
            "status {s:03x}h instead of {}",
            Want::Status(wanted)
        ))
    }
}

/// One queue.
pub struct Conn {
    peer: Peer,
    /// What was agreed, for what we send.
    pub format: Format,
    align: u32,
    patience: Duration,
    next: u16,
    /// The controller may not let SUCCESS stand for responses.
    pub flow_control: bool,
    /// The most data of an H2CData PDU.
    pub maxh2cdata: u32,
    /// The controller, from the Connect response.
    pub cntlid: u16,
    /// In-capsule data that fits.
    pub icd: u32,
}

impl Conn {
    /// Over an initialized connection.
    pub fn new(peer: Peer, ask: &Ask, icresp: &Raw, patience: Duration) -> Self {
        Conn {
            peer,
            format: Format {
                hdgst: icresp.header[11] & 1 != 0,
                ddgst: icresp.header[11] & 2 != 0,
                align: (icresp.header[10] + 1) * 4,
            },
            align: (u32::from(ask.hpda) + 1) * 4,
            patience,
            next: 0,
            flow_control: ask.flow_control,
            maxh2cdata: icresp.u32(12),
            cntlid: 0xffff,
            icd: 8192,
        }
    }

    /// The socket's script.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// Gives up the queue for its connection.
    pub fn into_peer(self) -> Peer {
        self.peer
    }

    /// A command with a fresh identifier.
    pub fn sqe(&mut self, opcode: u8, nsid: u32, len: u32, place: Place) -> Sqe {
        self.next = (self.next + 1) % 0x7fff;
        Sqe::new(opcode, self.next, nsid, len, place)
    }

    /// Sends bytes.
    pub fn send(&mut self, bytes: &[u8]) {
        self.peer.send(bytes);
    }

    /// Sends a capsule.
    pub fn submit(&mut self, sqe: Sqe, icd: &[u8]) {
        let bytes = pdu::command(self.format, &sqe.0, icd).bytes();
        self.send(&bytes);
    }

    /// What comes next, whatever it is.
    pub fn seen(&mut self) -> Seen {
        self.seen_within(self.patience)
    }

    /// What comes next in so long.
    pub fn seen_within(&mut self, time: Duration) -> Seen {
        match self.peer.receive_within(time) {
            Ok(r) => Seen::Pdu(r),
            Err(e) => Seen::End(e),
        }
    }

    /// The next PDU, which must be as agreed and no Terminate Connection
    /// Request.
    pub fn receive(&mut self) -> Result<Raw, Problem> {
        let r = match self.seen() {
            Seen::Pdu(r) => r,
            Seen::End(e) => return fail(end_text(e)),
        };
        if let Some((fes, fei)) = Seen::Pdu(r.clone()).term() {
            return fail(format!("TermReq FES {fes} FEI {fei}"));
        }
        self.formed(&r)?;
        Ok(r)
    }

    /// Whether a PDU has the form that was agreed.
    fn formed(&self, r: &Raw) -> Result<(), Problem> {
        let (k, f) = (r.kind(), self.format);
        let hlen = match k {
            kind::RESP | kind::C2H_DATA | kind::R2T => 24,
            _ => return fail(format!("a PDU of type {k:#x}")),
        };
        check(r.header.len() == hlen, || {
            format!("HLEN {} in a PDU of type {k}", r.header.len())
        })?;
        let data = k == kind::C2H_DATA;
        as_agreed(r, f, data, if data { 0x0f } else { 0x01 })?;
        let pdo = u32::from(r.header[3]);
        check(
            if data {
                pdo.is_multiple_of(self.align)
            } else {
                pdo == 0
            },
            || format!("PDO {pdo} in a PDU of type {k}, alignment {}", self.align),
        )
    }

    /// Runs one command: answers R2Ts from `out`, which is in the capsule if
    /// the SGL says so.
    pub fn run(&mut self, sqe: Sqe, out: &[u8]) -> Result<Reply, Problem> {
        let inside = sqe.0[39] == 0x01;
        self.submit(sqe, if inside { out } else { &[] });
        self.reply(sqe, out)
    }

    /// The reply to a command that was sent.
    pub fn reply(&mut self, sqe: Sqe, out: &[u8]) -> Result<Reply, Problem> {
        self.reply_after(sqe, out, 0)
    }

    /// The same, when so many bytes were asked for before.
    pub fn reply_after(&mut self, sqe: Sqe, out: &[u8], before: usize) -> Result<Reply, Problem> {
        let cid = sqe.cid();
        let len = u32::from_le_bytes([sqe.0[32], sqe.0[33], sqe.0[34], sqe.0[35]]) as usize;
        let mut reply = Reply::default();
        let mut granted = before;
        loop {
            let r = self.receive()?;
            let whose = r.u16(if r.kind() == kind::RESP { 20 } else { 8 });
            check(whose == cid, || {
                format!("a PDU of type {} for CID {whose}, not {cid}", r.kind())
            })?;
            match r.kind() {
                kind::C2H_DATA => {
                    self.take_data(&mut reply, &r, len)?;
                    if r.flags() & flag::SUCCESS != 0 {
                        reply.short = true;
                        return Ok(reply);
                    }
                }
                kind::R2T => {
                    let (to, tl) = (r.u32(12) as usize, r.u32(16) as usize);
                    check(to == granted, || {
                        format!("R2TO {to}, {granted} bytes were asked for before")
                    })?;
                    check(tl != 0 && to + tl <= out.len(), || {
                        format!("R2T for {tl} bytes at {to} of {}", out.len())
                    })?;
                    check(r.header[20..24] == [0; 4], || {
                        "reserved bytes of an R2T are not zero".into()
                    })?;
                    granted += tl;
                    reply.r2ts += 1;
                    self.answer(&r, &out[to..to + tl]);
                }
                _ => {
                    reply.cqe.copy_from_slice(&r.header[8..24]);
                    return Ok(reply);
                }
            }
        }
    }

    fn take_data(&self, reply: &mut Reply, r: &Raw, len: usize) -> Result<(), Problem> {
        let (at, n) = (r.u32(12) as usize, r.u32(16) as usize);
        check(n == r.data.len() && n != 0, || {
            format!("DATAL {n} with {} bytes of data", r.data.len())
        })?;
        check(at == reply.data.len(), || {
            format!("DATAO {at} after {} bytes", reply.data.len())
        })?;
        check(at + n <= len.min(DATA_MAX), || {
            format!("{n} bytes at {at} of {len}")
        })?;
        check(at.is_multiple_of(4), || format!("DATAO {at}"))?;
        check(r.header[20..24] == [0; 4], || {
            "reserved bytes of C2HData are not zero".into()
        })?;
        let (last, success) = (r.flags() & flag::LAST != 0, r.flags() & flag::SUCCESS != 0);
        check(last == (at + n == len), || {
            format!("LAST_PDU is {last} at byte {} of {len}", at + n)
        })?;
        check(!success || last, || "SUCCESS without LAST_PDU".into())?;
        check(!success || !self.flow_control, || {
            "SUCCESS with SQ flow control".into()
        })?;
        reply.data.extend(&r.data);
        Ok(())
    }

    /// Sends what an R2T asks for.
    pub fn answer(&mut self, r2t: &Raw, data: &[u8]) {
        let (cid, ttag, to) = (r2t.u16(8), r2t.u16(10), r2t.u32(12));
        let step = (self.maxh2cdata.max(4096) & !3) as usize;
        let n = data.len().div_ceil(step);
        for (i, piece) in data.chunks(step).enumerate() {
            let fl = if i + 1 == n { flag::LAST } else { 0 };
            let at = to + (i * step) as u32;
            let bytes = pdu::h2c_data(self.format, fl, cid, ttag, at, piece).bytes();
            self.send(&bytes);
        }
    }

    /// Property Get.
    pub fn property_sqe(&mut self, at: u32, wide: bool) -> Sqe {
        self.sqe(admin::FABRICS, 0, 0, Place::Buffer)
            .u8(4, fabrics::PROPERTY_GET)
            .u8(40, wide.into())
            .u32(44, at)
    }

    /// The value of a property.
    pub fn property_get(&mut self, at: u32, wide: bool) -> Result<u64, Problem> {
        let s = self.property_sqe(at, wide);
        let r = self.run(s, &[])?;
        if r.status() != 0 {
            return fail(format!("Property Get {at:#x}: status {:03x}h", r.status()));
        }
        let mut v = [0; 8];
        v.copy_from_slice(&r.cqe[..8]);
        Ok(u64::from_le_bytes(v))
    }

    /// Sets a property and returns the status.
    pub fn property_try(&mut self, at: u32, value: u64, wide: bool) -> Result<Reply, Problem> {
        let s = self
            .sqe(admin::FABRICS, 0, 0, Place::Buffer)
            .u8(4, fabrics::PROPERTY_SET)
            .u8(40, wide.into())
            .u32(44, at)
            .set(48, &value.to_le_bytes());
        self.run(s, &[])
    }

    /// Sets a 32-bit property.
    pub fn property_set(&mut self, at: u32, value: u32) -> Result<(), Problem> {
        let r = self.property_try(at, value.into(), false)?;
        check(r.status() == 0, || {
            format!(
                "Property Set {at:#x} to {value:#x}: status {:03x}h",
                r.status()
            )
        })
    }

    /// Identify data.
    pub fn identify(&mut self, cns: u8, nsid: u32) -> Result<Vec<u8>, Problem> {
        let s = self
            .sqe(admin::IDENTIFY, nsid, 4096, Place::Buffer)
            .cdw10(cns.into());
        let r = self.run(s, &[])?;
        check(r.status() == 0 && r.data.len() == 4096, || {
            format!(
                "Identify CNS {cns:#x}: status {:03x}h, {} bytes",
                r.status(),
                r.data.len()
            )
        })?;
        Ok(r.data)
    }

    /// Asks for I/O queues; returns how many were granted.
    pub fn ask_queues(&mut self, n: u16) -> Result<u16, Problem> {
        let s = self
            .sqe(admin::SET_FEATURES, 0, 0, Place::Buffer)
            .cdw10(7)
            .cdw11(u32::from(n - 1) << 16 | u32::from(n - 1));
        let r = self.run(s, &[])?;
        check(r.status() == 0, || {
            format!("Number of Queues {n}: status {:03x}h", r.status())
        })?;
        Ok((r.dword() as u16).saturating_add(1))
    }

    /// A command without data that any queue takes; `Ok` if it was answered.
    pub fn ping(&mut self) -> Result<Reply, Problem> {
        let s = self.sqe(admin::KEEP_ALIVE, 0, 0, Place::Buffer);
        self.run(s, &[])
    }

    /// Reads blocks.
    pub fn read(&mut self, d: &Disk, slba: u64, blocks: u32) -> Result<Vec<u8>, Problem> {
        let len = blocks * d.block;
        let s = self
            .sqe(nvm::READ, d.nsid, len, Place::Buffer)
            .blocks(slba, blocks);
        let r = self.run(s, &[])?;
        check(r.status() == 0, || {
            format!("a read: status {:03x}h", r.status())
        })?;
        check(r.data.len() == len as usize, || {
            format!("a read of {len} bytes gave {}", r.data.len())
        })?;
        Ok(r.data)
    }

    /// A write that asks to be asked for its data.
    pub fn write_sqe(&mut self, d: &Disk, slba: u64, blocks: u32) -> Sqe {
        self.sqe(nvm::WRITE, d.nsid, blocks * d.block, Place::Buffer)
            .blocks(slba, blocks)
    }

    /// Writes blocks.
    pub fn write(
        &mut self,
        d: &Disk,
        slba: u64,
        data: &[u8],
        place: Place,
    ) -> Result<Reply, Problem> {
        let s = self
            .sqe(nvm::WRITE, d.nsid, data.len() as u32, place)
            .blocks(slba, data.len() as u32 / d.block);
        self.run(s, data)
    }

    /// Sends what must not be taken and judges what comes of it. After a
    /// Terminate Connection Request nothing else may come, and the connection
    /// must end when we close our side. `header`: the header at fault.
    pub fn offend(&mut self, bytes: &[u8], header: &[u8], want: Want<'_>) -> Outcome {
        self.send(bytes);
        self.fate(header, want)
    }

    /// Judges what comes of what was sent.
    pub fn fate(&mut self, header: &[u8], want: Want<'_>) -> Outcome {
        let seen = self.seen();
        let said = judge(want, &seen)?;
        then_the_end(said, &seen, header, || {
            self.peer.close_write();
            self.seen()
        })
    }

    /// Where so many bytes of a write travel in the usual way.
    pub fn place(&self, len: usize) -> Place {
        if len <= self.icd as usize {
            Place::Capsule
        } else {
            Place::Buffer
        }
    }

    /// What the queue must still be good for.
    pub fn works(&mut self) -> Result<(), Problem> {
        match self.ping() {
            Ok(_) => Ok(()),
            Err(Problem::Fail(e) | Problem::Skip(e)) => {
                fail(format!("the queue does not work any more: {e}"))
            }
        }
    }
}
