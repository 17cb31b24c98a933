// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The host that the tool plays: from a TCP connection to queues that work.

use std::cell::OnceCell;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rawpeer::pdu::{Builder, Format, Raw, kind};
use rawpeer::peer::Peer;

use crate::case::{Outcome, Problem, check, end_text, fail, skip};
use crate::conn::Conn;
use crate::sqe::{Place, Sqe, admin, fabrics, property};

/// Length of Connect data.
pub const CONNECT_LEN: usize = 1024;

/// The controller under test.
pub struct Target {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The subsystem.
    pub subnqn: String,
    /// The discovery subsystem.
    pub discovery: String,
    /// Who we say we are.
    pub hostnqn: String,
    /// A host that must be refused, if there is one.
    pub denied: Option<String>,
    /// How long to wait for what must come.
    pub patience: Duration,
    /// How long a connection may last after a Terminate Connection Request.
    pub linger: Duration,
    /// No case may write.
    pub read_only: bool,
    /// Connections of the cases that open many.
    pub storm: usize,
    /// What it is like, once that is known.
    pub survey: OnceCell<Survey>,
}

/// What a host asks for.
#[derive(Clone, Debug)]
pub struct Ask {
    /// HDGST_ENABLE and DDGST_ENABLE.
    pub digests: u8,
    /// HPDA.
    pub hpda: u8,
    /// MAXR2T.
    pub maxr2t: u32,
    /// SQ flow control.
    pub flow_control: bool,
    /// Entries of I/O queues.
    pub entries: u16,
    /// Another host NQN.
    pub hostnqn: Option<String>,
}

impl Default for Ask {
    fn default() -> Self {
        Ask {
            digests: 0,
            hpda: 0,
            maxr2t: 0,
            flow_control: false,
            entries: 16,
            hostnqn: None,
        }
    }
}

impl Ask {
    /// With these digests.
    pub fn digests(digests: u8) -> Self {
        Ask {
            digests,
            ..Self::default()
        }
    }
}

/// What a controller and its first namespace are like.
#[derive(Clone, Debug)]
pub struct Survey {
    /// CAP.
    pub cap: u64,
    /// Identify Controller.
    pub id: Vec<u8>,
    /// The first active namespace, its block size and number of blocks.
    pub disk: Option<Disk>,
    /// I/O queues that were granted.
    pub queues: u16,
}

/// A namespace.
#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// Its identifier.
    pub nsid: u32,
    /// Bytes of a block.
    pub block: u32,
    /// Blocks.
    pub blocks: u64,
}

impl Survey {
    /// A 32-bit field of Identify Controller.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes([
            self.id[at],
            self.id[at + 1],
            self.id[at + 2],
            self.id[at + 3],
        ])
    }

    /// A 16-bit field of Identify Controller.
    pub fn u16(&self, at: usize) -> u16 {
        self.u32(at) as u16
    }

    /// Bytes of in-capsule data on I/O queues.
    pub fn icd(&self) -> u32 {
        self.u32(1792).saturating_mul(16).saturating_sub(64)
    }

    /// The most entries of an I/O queue.
    pub fn entries(&self) -> u32 {
        (self.cap & 0xffff) as u32 + 1
    }

    /// The most bytes of a transfer, at most this many.
    pub fn transfer(&self, limit: u32) -> u32 {
        match self.id[77] {
            0 => limit,
            n => 4096u32
                .checked_shl(u32::from(n))
                .unwrap_or(limit)
                .min(limit),
        }
    }
}

/// An ICReq that is right.
pub fn icreq(ask: &Ask) -> Builder {
    Builder::new(Format::default(), kind::ICREQ, 0, 128, &[])
        .u8(10, ask.hpda)
        .u8(11, ask.digests)
        .u32(12, ask.maxr2t)
}

/// Writes a name into a field.
pub fn put_name(b: &mut [u8], at: usize, s: &str) {
    let s = &s.as_bytes()[..s.len().min(223)];
    b[at..at + s.len()].copy_from_slice(s);
}

impl Target {
    /// A TCP connection.
    pub fn dial(&self) -> Result<Peer, Problem> {
        let s = TcpStream::connect_timeout(&self.addr, self.patience)
            .and_then(|s| s.set_nodelay(true).map(|()| s));
        match s {
            Ok(s) => Ok(Peer::new(s)),
            Err(e) => fail(format!("no TCP connection: {e}")),
        }
    }

    /// The ICResp to what was sent.
    pub fn icresp(&self, peer: &mut Peer) -> Result<Raw, Problem> {
        match peer.receive_within(self.patience) {
            Ok(r) if r.kind() == kind::ICRESP && r.header.len() == 128 => Ok(r),
            Ok(r) => fail(format!(
                "a PDU of type {:#x} instead of an ICResp",
                r.kind()
            )),
            Err(e) => fail(format!("no ICResp: {}", end_text(e))),
        }
    }

    /// An initialized connection.
    pub fn initialize(&self, ask: &Ask) -> Result<Conn, Problem> {
        let mut peer = self.dial()?;
        peer.send(&icreq(ask).bytes());
        let r = self.icresp(&mut peer)?;
        check(r.header[11] & !ask.digests == 0, || {
            format!(
                "ICResp with DGST {:#x}, {:#x} was asked for",
                r.header[11], ask.digests
            )
        })?;
        check(r.header[10] <= 31, || {
            format!("ICResp with CPDA {}", r.header[10])
        })?;
        if r.header[11] != ask.digests {
            return skip("the controller declines digests");
        }
        Ok(Conn::new(peer, ask, &r, self.patience))
    }

    /// Connect data.
    pub fn connect_data(&self, ask: &Ask, subnqn: &str, cntlid: u16) -> Vec<u8> {
        let mut d = vec![0; CONNECT_LEN];
        d[..16].copy_from_slice(&[0x5b; 16]);
        d[16..18].copy_from_slice(&cntlid.to_le_bytes());
        put_name(&mut d, 256, subnqn);
        put_name(&mut d, 512, ask.hostnqn.as_deref().unwrap_or(&self.hostnqn));
        d
    }

    /// A Connect command.
    pub fn connect_sqe(&self, c: &mut Conn, ask: &Ask, qid: u16) -> Sqe {
        let entries = if qid == 0 { 32 } else { ask.entries };
        c.sqe(admin::FABRICS, 0, CONNECT_LEN as u32, Place::Capsule)
            .u8(4, fabrics::CONNECT)
            .u16(42, qid)
            .u16(44, entries - 1)
            .u8(46, if ask.flow_control { 0 } else { 4 })
    }

    /// A queue that is connected to a subsystem.
    pub fn connect_to(
        &self,
        ask: &Ask,
        subnqn: &str,
        qid: u16,
        cntlid: u16,
    ) -> Result<Conn, Problem> {
        let mut c = self.initialize(ask)?;
        let sqe = self.connect_sqe(&mut c, ask, qid);
        let data = self.connect_data(ask, subnqn, cntlid);
        let r = c.run(sqe, &data)?;
        if r.status() != 0 {
            return fail(format!("Connect failed with status {:03x}h", r.status()));
        }
        c.cntlid = u16::from_le_bytes([r.cqe[0], r.cqe[1]]);
        c.flow_control = ask.flow_control || r.sqhd() != 0xffff;
        Ok(c)
    }

    /// An admin queue that is connected, its controller disabled.
    pub fn connected(&self, ask: &Ask) -> Result<Conn, Problem> {
        self.connect_to(ask, &self.subnqn, 0, 0xffff)
    }

    /// The admin queue of an enabled controller.
    pub fn admin(&self, ask: &Ask) -> Result<Conn, Problem> {
        let mut c = self.connected(ask)?;
        self.enable(&mut c)?;
        Ok(c)
    }

    /// Enables a controller, within CAP.TO.
    pub fn enable(&self, c: &mut Conn) -> Result<(), Problem> {
        let cap = c.property_get(property::CAP, true)?;
        let css = if cap >> 37 & 1 != 0 {
            0
        } else if cap >> 43 & 1 != 0 {
            6
        } else {
            0
        };
        c.property_set(property::CC, 0x0046_0001 | css << 4)?;
        let limit = Duration::from_millis((cap >> 24 & 0xff).max(1) * 500);
        self.wait_csts(c, limit, "CSTS.RDY", |v| v & 1 != 0)
    }

    /// Waits for a state of CSTS.
    pub fn wait_csts(
        &self,
        c: &mut Conn,
        limit: Duration,
        what: &str,
        right: impl Fn(u32) -> bool,
    ) -> Result<(), Problem> {
        let end = Instant::now() + limit;
        loop {
            let v = c.property_get(property::CSTS, false)? as u32;
            if right(v) {
                return Ok(());
            }
            if Instant::now() > end {
                return fail(format!(
                    "{what} has not come within {limit:?}: CSTS is {v:#x}"
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// An admin queue and one I/O queue.
    pub fn pair(&self, ask: &Ask) -> Result<(Conn, Conn), Problem> {
        let mut a = self.admin(ask)?;
        let granted = a.ask_queues(1)?;
        check(granted >= 1, || "no I/O queue is granted".into())?;
        let mut io = self.connect_to(ask, &self.subnqn, 1, a.cntlid)?;
        io.icd = self.survey.get().map_or(0, Survey::icd);
        Ok((a, io))
    }

    /// The pair and the namespace, for cases that need one.
    pub fn disk(&self, ask: &Ask) -> Result<(Conn, Conn, Disk), Problem> {
        let disk = self.survey()?.disk;
        match disk {
            Some(d) => self.pair(ask).map(|(a, io)| (a, io, d)),
            None => skip("the controller has no active namespace"),
        }
    }

    /// As [`Target::disk`], for cases that write.
    pub fn writable(&self, ask: &Ask) -> Result<(Conn, Conn, Disk), Problem> {
        if self.read_only {
            return skip("the case writes, and --read-only was given");
        }
        self.disk(ask)
    }

    /// Blocks of a write that is too long for a capsule.
    pub fn long(&self, d: &Disk) -> Result<u32, Problem> {
        Ok(self.survey()?.transfer(64 << 10) / d.block)
    }

    /// What the controller is like.
    pub fn survey(&self) -> Result<&Survey, Problem> {
        match self.survey.get() {
            Some(s) => Ok(s),
            None => skip("the controller could not be identified"),
        }
    }

    /// Finds out what the controller is like.
    pub fn explore(&self) -> Result<Survey, Problem> {
        let mut c = self.admin(&Ask::default())?;
        let cap = c.property_get(property::CAP, true)?;
        let id = c.identify(1, 0)?;
        let list = c.identify(2, 0)?;
        let nsid = u32::from_le_bytes([list[0], list[1], list[2], list[3]]);
        let mut disk = None;
        if nsid != 0 {
            let ns = c.identify(0, nsid)?;
            let at = 128 + 4 * usize::from(ns[26] & 15);
            let mut size = [0; 8];
            size.copy_from_slice(&ns[..8]);
            if (9..=16).contains(&ns[at + 2]) {
                disk = Some(Disk {
                    nsid,
                    block: 1 << ns[at + 2],
                    blocks: u64::from_le_bytes(size),
                });
            }
        }
        let queues = c.ask_queues(4)?;
        Ok(Survey {
            cap,
            id,
            disk,
            queues,
        })
    }

    /// Whether a fresh association works: what every case must leave behind.
    /// A controller that is still busy with what a case did gets some time.
    pub fn survives(&self) -> Outcome {
        let end = Instant::now() + 4 * self.patience;
        loop {
            match self.fresh() {
                Err(Problem::Fail(_)) if Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                r => return r,
            }
        }
    }

    /// Whether a fresh association works at once.
    pub fn fresh(&self) -> Outcome {
        let ask = Ask::default();
        let r = match self.survey.get().and_then(|s| s.disk) {
            None => self.admin(&ask).and_then(|mut c| c.identify(1, 0)),
            Some(d) => self
                .pair(&ask)
                .and_then(|(mut a, mut io)| a.identify(1, 0).and(io.read(&d, 0, 1))),
        };
        match r {
            Ok(_) => Ok("a fresh association works".into()),
            Err(Problem::Fail(e) | Problem::Skip(e)) => {
                fail(format!("afterwards no fresh association works: {e}"))
            }
        }
    }
}
