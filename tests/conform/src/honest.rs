// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The controller that the tool plays, where a case does not say otherwise:
//! one namespace in memory, and a judge of what the host sends.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::case::{Problem, check, fail};
use crate::link::{Cmd, Link};
use crate::sqe::{admin, fabrics, nvm, property};

/// The only namespace.
pub const NSID: u32 = 1;
/// Its blocks are this long.
pub const BLOCK: u32 = 512;
/// Its blocks.
pub const BLOCKS: u64 = 16384;
/// In-capsule data of I/O queues.
pub const ICD: u32 = 4096;
/// Entries of each I/O queue at most.
const ENTRIES: u16 = 128;
/// I/O queues that are granted.
const QUEUES: u16 = 4;

/// A controller, or what stays of it while its host is away.
pub struct Honest {
    /// The subsystem.
    pub subnqn: String,
    /// The only host that is served, if that was asked for.
    pub only: Option<String>,
    store: Mutex<Vec<u8>>,
    cc: AtomicU32,
    /// Reads that were served.
    pub reads: AtomicU64,
    /// Writes that were taken.
    pub writes: AtomicU64,
    /// What Identify tells, if it is to be changed.
    pub edit: Mutex<Option<Edit>>,
}

/// Changes Identify data of a CNS.
pub type Edit = fn(cns: u8, page: &mut [u8]);

/// What the host does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Goes on.
    Serve,
    /// Has said that it leaves.
    Leave,
}

fn put(b: &mut [u8], at: usize, v: &[u8]) {
    b[at..at + v.len()].copy_from_slice(v);
}

fn text(b: &mut [u8], at: usize, len: usize, s: &str) {
    b[at..at + len].fill(b' ');
    put(b, at, s.as_bytes());
}

impl Honest {
    /// A subsystem with its namespace.
    pub fn new(subnqn: String, only: Option<String>) -> Self {
        Honest {
            subnqn,
            only,
            store: Mutex::new(vec![0; (BLOCKS * u64::from(BLOCK)) as usize]),
            cc: AtomicU32::new(0),
            reads: AtomicU64::new(0),
            writes: AtomicU64::new(0),
            edit: Mutex::new(None),
        }
    }

    /// A new association begins.
    pub fn fresh(&self) {
        self.cc.store(0, Ordering::Relaxed);
        self.reads.store(0, Ordering::Relaxed);
        self.writes.store(0, Ordering::Relaxed);
        if let Ok(mut e) = self.edit.lock() {
            *e = None;
        }
    }

    /// Serves a command as it should be.
    pub fn serve(&self, link: &mut Link, cmd: &Cmd) -> Result<Next, Problem> {
        match (link.qid, cmd.opcode()) {
            (None, _) => self.connect(link, cmd)?,
            (_, admin::FABRICS) => return self.fabrics(link, cmd),
            (Some(0), _) => self.admin(link, cmd)?,
            (Some(_), _) => self.io(link, cmd)?,
        }
        Ok(Next::Serve)
    }

    fn connect(&self, link: &mut Link, cmd: &Cmd) -> Result<(), Problem> {
        check(
            cmd.opcode() == admin::FABRICS && cmd.sqe[4] == fabrics::CONNECT,
            || "the first command is no Connect".into(),
        )?;
        check(cmd.inside() && cmd.icd.len() == 1024, || {
            format!("Connect with {} bytes in its capsule", cmd.icd.len())
        })?;
        let (qid, sqsize) = (cmd.u16(42), cmd.u16(44));
        let name = |at: usize| -> Result<String, Problem> {
            let field = &cmd.icd[at..at + 256];
            match field.iter().position(|b| *b == 0) {
                Some(n) if n != 0 && n < 224 => Ok(String::from_utf8_lossy(&field[..n]).into()),
                _ => fail("Connect with an NQN that is empty or has no end"),
            }
        };
        let (subnqn, hostnqn) = (name(256)?, name(512)?);
        if subnqn != self.subnqn || self.only.as_ref().is_some_and(|o| *o != hostnqn) {
            link.respond(cmd.cid(), 0x182, 1 << 16 | 256);
            return Ok(());
        }
        check(cmd.icd[..16] != [0; 16], || "Connect with HOSTID 0".into())?;
        check(sqsize != 0 && (qid == 0 || sqsize < ENTRIES), || {
            format!("Connect of queue {qid} with SQSIZE {sqsize}")
        })?;
        check(qid <= QUEUES, || format!("Connect of queue {qid}"))?;
        let cntlid = u16::from_le_bytes([cmd.icd[16], cmd.icd[17]]);
        check(cntlid == if qid == 0 { 0xffff } else { 1 }, || {
            format!("Connect of queue {qid} with CNTLID {cntlid:#x}")
        })?;
        link.qid = Some(qid);
        link.entries = sqsize + 1;
        link.flow_control = cmd.sqe[46] & 4 == 0;
        link.sqhd = if link.flow_control { 0 } else { 0xffff };
        link.respond(cmd.cid(), 0, 1);
        Ok(())
    }

    fn fabrics(&self, link: &mut Link, cmd: &Cmd) -> Result<Next, Problem> {
        let (at, cid) = (cmd.u32(44), cmd.cid());
        match cmd.sqe[4] {
            fabrics::PROPERTY_GET => {
                let cc = self.cc.load(Ordering::Relaxed);
                let shst = if cc >> 14 & 3 != 0 { 2 << 2 } else { 0 };
                let v = match at {
                    property::CAP => 1 << 37 | 20 << 24 | 1 << 16 | u64::from(ENTRIES - 1),
                    property::VS => 0x0001_0400,
                    property::CC => cc.into(),
                    property::CSTS => u64::from(cc & 1) | shst,
                    _ => {
                        link.respond(cid, 0x02, 0);
                        return Ok(Next::Serve);
                    }
                };
                link.respond(cid, 0, v);
            }
            fabrics::PROPERTY_SET if at == property::CC => {
                self.cc.store(cmd.u32(48), Ordering::Relaxed);
                link.respond(cid, 0, 0);
            }
            fabrics::DISCONNECT => {
                link.respond(cid, 0, 0);
                return Ok(Next::Leave);
            }
            _ => link.respond(cid, 0x02, 0),
        }
        Ok(Next::Serve)
    }

    fn admin(&self, link: &mut Link, cmd: &Cmd) -> Result<(), Problem> {
        let cid = cmd.cid();
        match cmd.opcode() {
            admin::IDENTIFY => {
                let page = self.identify(cmd.sqe[40], cmd.u32(4));
                match page {
                    Some(p) if cmd.len() == 4096 => {
                        link.send_data(cid, &p, 4096);
                        link.respond(cid, 0, 0);
                    }
                    Some(_) => return fail(format!("Identify with {} bytes", cmd.len())),
                    None => link.respond(cid, 0x02, 0),
                }
            }
            admin::GET_LOG => {
                let n = (u64::from(cmd.u16(42)) | u64::from(cmd.u16(44)) << 16) * 4 + 4;
                check(n == u64::from(cmd.len()) && n <= 1 << 20, || {
                    format!("Get Log Page of {n} bytes, SGL of {}", cmd.len())
                })?;
                link.send_data(cid, &vec![0; n as usize], 4096);
                link.respond(cid, 0, 0);
            }
            admin::SET_FEATURES => {
                let v = if cmd.sqe[40] == 7 {
                    u64::from(QUEUES - 1) << 16 | u64::from(QUEUES - 1)
                } else {
                    0
                };
                if !cmd.is_empty() {
                    link.take_all(cmd, 4096)?;
                }
                link.respond(cid, 0, v);
            }
            admin::GET_FEATURES => link.respond(cid, 0x02, 0),
            // Kept, and never answered.
            admin::ASYNC_EVENT => {}
            admin::KEEP_ALIVE => link.respond(cid, 0, 0),
            admin::ABORT => link.respond(cid, 0, 1),
            _ => link.respond(cid, 0x01, 0),
        }
        Ok(())
    }

    /// Identify data.
    pub fn identify(&self, cns: u8, nsid: u32) -> Option<Vec<u8>> {
        let mut p = vec![0; 4096];
        match cns {
            0 if nsid == NSID => {
                for at in [0, 8, 16] {
                    put(&mut p, at, &BLOCKS.to_le_bytes());
                }
                p[104..120].copy_from_slice(&[0xc0; 16]);
                p[130] = 9;
            }
            0 => {}
            1 => {
                text(&mut p, 4, 20, "CONFORM");
                text(&mut p, 24, 40, "nvme-tcp-conform");
                text(&mut p, 64, 8, "1");
                put(&mut p, 78, &[1, 0]);
                put(&mut p, 80, &0x0001_0400u32.to_le_bytes());
                p[77] = 5;
                p[92] = 0;
                p[93] = 1;
                p[111] = 1;
                p[259] = 3;
                put(&mut p, 320, &10u16.to_le_bytes());
                put(&mut p, 512, &[0x66, 0x44]);
                put(&mut p, 514, &ENTRIES.to_le_bytes());
                put(&mut p, 516, &16u32.to_le_bytes());
                put(&mut p, 520, &[0x0c, 0]);
                p[525] = 1;
                put(&mut p, 536, &0x0010_0001u32.to_le_bytes());
                put(&mut p, 768, self.subnqn.as_bytes());
                put(&mut p, 1792, &((64 + ICD) / 16).to_le_bytes());
                put(&mut p, 1796, &1u32.to_le_bytes());
                p[1803] = 1;
            }
            2 if nsid < NSID => put(&mut p, 0, &NSID.to_le_bytes()),
            2 => {}
            3 if nsid == NSID => {
                put(&mut p, 0, &[2, 16, 0, 0]);
                p[4..20].copy_from_slice(&[0xc0; 16]);
                put(&mut p, 20, &[4, 1, 0, 0, 0]);
            }
            _ => return None,
        }
        if let Ok(e) = self.edit.lock()
            && let Some(edit) = *e
        {
            edit(cns, &mut p);
        }
        Some(p)
    }

    /// The bytes of a read or write, which must be inside the namespace.
    pub fn range(&self, cmd: &Cmd) -> Result<std::ops::Range<usize>, Problem> {
        let (slba, n) = (cmd.u64(40), u64::from(cmd.u16(48)) + 1);
        check(slba.checked_add(n).is_some_and(|e| e <= BLOCKS), || {
            format!("{n} blocks at {slba} of {BLOCKS}")
        })?;
        let from = (slba * u64::from(BLOCK)) as usize;
        Ok(from..from + (n * u64::from(BLOCK)) as usize)
    }

    /// The data that a read gets.
    pub fn data(&self, cmd: &Cmd) -> Result<Vec<u8>, Problem> {
        let range = self.range(cmd)?;
        match self.store.lock() {
            Ok(s) => Ok(s[range].to_vec()),
            Err(_) => fail("the store is lost"),
        }
    }

    fn io(&self, link: &mut Link, cmd: &Cmd) -> Result<(), Problem> {
        let cid = cmd.cid();
        let moves = matches!(cmd.opcode(), nvm::READ | nvm::WRITE | nvm::COMPARE);
        if moves {
            check(cmd.u32(4) == NSID, || {
                format!("a command for namespace {}", cmd.u32(4))
            })?;
            let range = self.range(cmd)?;
            check(range.len() == cmd.len() as usize, || {
                format!("{} bytes of blocks, SGL of {}", range.len(), cmd.len())
            })?;
        }
        match cmd.opcode() {
            nvm::READ => {
                let data = self.data(cmd)?;
                link.send_data(cid, &data, 8192);
                link.respond(cid, 0, 0);
                self.reads.fetch_add(1, Ordering::Relaxed);
            }
            nvm::WRITE => {
                let data = link.take_all(cmd, 16384)?;
                let range = self.range(cmd)?;
                if let Ok(mut s) = self.store.lock() {
                    s[range].copy_from_slice(&data);
                }
                link.respond(cid, 0, 0);
                self.writes.fetch_add(1, Ordering::Relaxed);
            }
            nvm::DSM => {
                link.take_all(cmd, 4096)?;
                link.respond(cid, 0, 0);
            }
            nvm::FLUSH => link.respond(cid, 0, 0),
            nvm::WRITE_ZEROES => {
                let range = self.range(cmd)?;
                if let Ok(mut s) = self.store.lock() {
                    s[range].fill(0);
                }
                link.respond(cid, 0, 0);
            }
            _ => link.respond(cid, 0x01, 0),
        }
        Ok(())
    }
}
