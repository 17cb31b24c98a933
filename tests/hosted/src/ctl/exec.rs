// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! How commands are executed: steps on the device and data moves in turn.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sys::Errno;
use sys::ffi::nvrs_segment;

use super::{BLOCK, Buffer, Io, Lun, Work, lock, queue_later};
use crate::blockdev::Op;
use crate::context::{die, no_sleep};

/// The commands that a LUN executes, and no others.
mod opcode {
    pub const FLUSH: u8 = 0x00;
    pub const WRITE: u8 = 0x01;
    pub const READ: u8 = 0x02;
    pub const COMPARE: u8 = 0x05;
    pub const WRITE_ZEROES: u8 = 0x08;
    pub const DSM: u8 = 0x09;
    pub const VERIFY: u8 = 0x0c;
}

/// Bytes of a range of Dataset Management.
const DSM_RANGE: usize = 16;
const DSM_DEALLOCATE: u8 = 1 << 2;

const SUCCESS: u16 = 0;
const INVALID_OPCODE: u16 = 0x01;
const INVALID_FIELD: u16 = 0x02;
const INTERNAL_ERROR: u16 = 0x06;
const INVALID_NAMESPACE: u16 = 0x0b;
const WRITE_PROTECTED: u16 = 0x20;
const LBA_RANGE: u16 = 0x80;
const WRITE_FAULT: u16 = 0x280;
const UNRECOVERED_READ: u16 = 0x281;
const COMPARE_FAILURE: u16 = 0x285;
const NO_SPACE: u16 = 0x287;
/// What CTL says of aborted commands; the type is wrong.
const ABORTED: u16 = 0x71;

/// What CTL's block backend makes of a device's error.
fn failure(op: Op, e: Errno) -> u16 {
    const EROFS: i32 = 30;
    const EACCES: i32 = 13;
    const EOPNOTSUPP: i32 = 45;
    const EDQUOT: i32 = 69;
    match (e.code(), op) {
        (EOPNOTSUPP, _) => INVALID_OPCODE,
        (EROFS | EACCES, _) => WRITE_PROTECTED,
        (EDQUOT, _) => NO_SPACE,
        _ if e == Errno::ENOSPC => NO_SPACE,
        (_, Op::Read) => UNRECOVERED_READ,
        (_, Op::Write | Op::Flush) => WRITE_FAULT,
        (_, Op::Zero) => INTERNAL_ERROR,
    }
}

fn u64_at(b: &[u8; 64], at: usize) -> u64 {
    (0..8).fold(0, |v, i| v | u64::from(b[at + i]) << (8 * i))
}

/// What to do next.
enum Next {
    End(u16),
    Device,
    Move,
}

impl Io {
    /// A command begins.
    pub(super) fn run(self) {
        let r = self.get("ctl_run");
        let Some(lun) = self.lun() else {
            return self.end(INVALID_NAMESPACE);
        };
        let kept = {
            let mut held = lock(&lun.held);
            let aborted = lock(&r.state).aborted;
            let keep = lun.hold.load(Ordering::Acquire) && !aborted;
            if keep {
                held.push(self);
            }
            (keep, aborted)
        };
        match kept {
            (true, _) => return,
            (false, true) => return self.end(ABORTED),
            (false, false) => {}
        }
        let sqe = &r.sqe;
        if r.admin {
            if sqe[0] != 0x06 || sqe[40] != 0 {
                return self.end(INVALID_OPCODE);
            }
            return self.start(identify(&lun, r.lun), true);
        }
        let len = self.len();
        let in_range = (u64_at(sqe, 40).checked_mul(BLOCK as u64))
            .and_then(|at| at.checked_add(len as u64))
            .is_some_and(|end| end <= lun.device.bytes() as u64);
        match (sqe[0], in_range) {
            (opcode::FLUSH, _) => self.to_device(),
            (opcode::DSM, _) => {
                // CTL takes the number of ranges as it is, not 0's based.
                let ranges = usize::from(sqe[40]);
                self.start(vec![0xdc; ranges * DSM_RANGE], false);
            }
            (
                opcode::WRITE
                | opcode::READ
                | opcode::COMPARE
                | opcode::WRITE_ZEROES
                | opcode::VERIFY,
                false,
            ) => self.end(LBA_RANGE),
            (opcode::WRITE | opcode::COMPARE, true) => self.start(vec![0xdc; len], false),
            (opcode::READ, true) => self.start(vec![0xdb; len], true),
            (opcode::VERIFY | opcode::WRITE_ZEROES, true) => self.to_device(),
            (0x7f, _) => self.end(INVALID_FIELD),
            _ => self.end(INVALID_OPCODE),
        }
    }

    /// The first byte that a command is for.
    fn at(self) -> usize {
        let sqe = &self.get("a request").sqe;
        match sqe[0] {
            // For all blocks, or for those that its data names: what stands here may be anything.
            opcode::FLUSH | opcode::DSM => 0,
            _ => u64_at(sqe, 40) as usize * BLOCK,
        }
    }

    /// Bytes of its blocks.
    fn len(self) -> usize {
        let sqe = &self.get("a request").sqe;
        (usize::from(u16::from_le_bytes([sqe[48], sqe[49]])) + 1) * BLOCK
    }

    fn start(self, data: Vec<u8>, to_host: bool) {
        {
            let mut st = lock(&self.get("a request").state);
            st.buffer = Some(Arc::new(Buffer(UnsafeCell::new(data))));
            st.to_host = to_host;
        }
        self.go_on();
    }

    /// A data move is done.
    pub(super) fn next(self) {
        let r = self.get("a request");
        {
            let mut st = lock(&r.state);
            st.moving = false;
            st.moved += std::mem::take(&mut st.len);
        }
        self.go_on();
    }

    fn go_on(self) {
        let r = self.get("a request");
        let next = {
            let st = lock(&r.state);
            let Some(buffer) = &st.buffer else {
                die("a request without a buffer");
            };
            // SAFETY: only its length is read.
            let total = unsafe { (*buffer.0.get()).len() };
            // Blocks are written as they come; other data is needed whole.
            let as_it_comes = r.sqe[0] == opcode::WRITE;
            match (st.aborted, st.status) {
                (true, _) => Next::End(ABORTED),
                (_, Some(status)) => Next::End(status),
                _ if st.to_host && st.moved >= total => Next::End(SUCCESS),
                _ if st.to_host && st.moved >= st.stored && !r.admin => Next::Device,
                _ if st.to_host => Next::Move,
                _ if as_it_comes && st.stored >= total => Next::End(SUCCESS),
                _ if as_it_comes && st.moved > st.stored => Next::Device,
                _ if st.moved >= total => Next::Device,
                _ => Next::Move,
            }
        };
        match next {
            Next::End(status) => self.end(status),
            Next::Device => self.to_device(),
            Next::Move => self.move_data(),
        }
    }

    fn op(self) -> Op {
        match self.get("a request").sqe[0] {
            opcode::WRITE => Op::Write,
            opcode::FLUSH => Op::Flush,
            opcode::WRITE_ZEROES | opcode::DSM => Op::Zero,
            _ => Op::Read,
        }
    }

    /// The next step is the device's, when it comes to it.
    fn to_device(self) {
        let r = self.get("a request");
        let Some(lun) = self.lun() else {
            return self.end(INVALID_NAMESPACE);
        };
        let at = self.at() + lock(&r.state).stored;
        let delay = lun.device.delay(self.op(), at);
        if delay.is_zero() {
            self.device();
        } else {
            queue_later(Work::Device(self), delay);
        }
    }

    /// A step on the device.
    pub(super) fn device(self) {
        let r = self.get("a request");
        let Some(lun) = self.lun() else {
            return self.end(INVALID_NAMESPACE);
        };
        let (buffer, moved, stored, aborted) = {
            let st = lock(&r.state);
            (st.buffer.clone(), st.moved, st.stored, st.aborted)
        };
        if aborted {
            return self.end(ABORTED);
        }
        let device = &*lun.device;
        let done = |r: Result<(), Errno>| r.map_or_else(|e| failure(self.op(), e), |()| SUCCESS);
        let Some(buffer) = buffer else {
            return self.end(match r.sqe[0] {
                opcode::FLUSH => done(device.flush()),
                opcode::VERIFY => {
                    done(crate::blockdev::read_all(device, self.at(), self.len()).map(drop))
                }
                _ => done(device.zero(self.at(), self.len())),
            });
        };
        // SAFETY: no move is under way.
        let data = unsafe { &mut *buffer.0.get() };
        let n = match r.sqe[0] {
            opcode::READ => {
                let end = data.len().min(stored + lun.style.chunk);
                device.read(self.at() + stored, &mut data[stored..end])
            }
            opcode::WRITE => device.write(self.at() + stored, &data[stored..moved]),
            opcode::COMPARE => {
                let there = crate::blockdev::read_all(device, self.at(), data.len());
                return self.end(match there {
                    Ok(there) if there == *data => SUCCESS,
                    Ok(_) => COMPARE_FAILURE,
                    Err(e) => failure(Op::Read, e),
                });
            }
            _ => return self.end(deallocate(&lun, &r.sqe, data)),
        };
        match n {
            // A device that gets nowhere has failed.
            Ok(0) => self.end(failure(self.op(), Errno::EIO)),
            Err(e) => self.end(failure(self.op(), e)),
            Ok(n) => {
                lock(&r.state).stored += n;
                self.go_on();
            }
        }
    }

    /// The next data move.
    fn move_data(self) {
        let r = self.get("a request");
        let Some(lun) = self.lun() else {
            return self.end(INVALID_NAMESPACE);
        };
        {
            let mut st = lock(&r.state);
            let Some(buffer) = st.buffer.clone() else {
                die("a request without a buffer");
            };
            // SAFETY: no move is under way.
            let data = unsafe { &mut *buffer.0.get() };
            let end = if st.to_host && !r.admin {
                st.stored
            } else {
                data.len()
            };
            st.len = lun.style.chunk.min(end - st.moved);
            let step = match lun.style.segment {
                0 => st.len,
                // Identify is one flat buffer.
                _ if r.admin => st.len,
                n => n,
            };
            let base = &mut data[st.moved..st.moved + st.len];
            let chunks = base.chunks_mut(step);
            st.segments = chunks
                .map(|c| nvrs_segment {
                    addr: c.as_mut_ptr().expose_provenance() as u64,
                    len: c.len() as u64,
                })
                .collect();
            st.moving = true;
        }
        let odd = lun.moves.fetch_add(1, Ordering::Relaxed) % 2 != 0;
        // SAFETY: a request of the front end's, handed to it.
        let go = || unsafe { nvmft::ffi::nvmft_rs_datamove(self.0) };
        if lun.style.no_sleep && odd {
            no_sleep("a CTL data move", go);
        } else {
            go();
        }
    }
}

/// Dataset Management; blocks without contents read as zeroes.
fn deallocate(lun: &Lun, sqe: &[u8; 64], ranges: &[u8]) -> u16 {
    let number = |b: &[u8]| b.iter().rev().fold(0u64, |v, b| v << 8 | u64::from(*b));
    let total = (lun.device.bytes() / BLOCK) as u64;
    for r in ranges.chunks_exact(DSM_RANGE) {
        let (count, first) = (number(&r[4..8]), number(&r[8..]));
        if first.checked_add(count).is_none_or(|end| end > total) {
            return LBA_RANGE;
        }
        if sqe[44] & DSM_DEALLOCATE != 0 {
            let (at, len) = (first as usize * BLOCK, count as usize * BLOCK);
            if let Err(e) = lun.device.zero(at, len) {
                return failure(Op::Zero, e);
            }
        }
    }
    SUCCESS
}

/// Identify Namespace. A LUN has the same identity whenever it is there.
fn identify(lun: &Lun, number: u32) -> Vec<u8> {
    let mut page = vec![0; 4096];
    let blocks = (lun.device.bytes() / BLOCK) as u64;
    for at in [0, 8, 16] {
        page[at..at + 8].copy_from_slice(&blocks.to_le_bytes());
    }
    page[104..120].fill(0xc7);
    page[104..108].copy_from_slice(&number.to_be_bytes());
    page[130] = BLOCK.trailing_zeros() as u8;
    page
}
