// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a host's tools do before a kernel takes a connection over: Initialize
//! Connection, Connect, the set-up of a controller, and asking what there is.
//! Every wait has a limit, and so has everything that a peer sends.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

pub use crate::daemon::{Daemon, accept};
use crate::handshake;
use crate::nv::List;
use crate::os::net::Stream;
use crate::os::{self, Instant};
use crate::pdu::{self, Builder, Format, Raw, kind};
use crate::peer::{End, Peer};

/// How long a step of the handshake may take.
pub(crate) const STEP: Duration = Duration::from_secs(3);
pub(crate) const TRTYPE_TCP: u64 = 3;
/// Connect data.
pub(crate) const CONNECT_LEN: usize = 1024;

/// Why a handshake failed.
#[derive(Debug)]
pub enum Error {
    /// The network.
    Io(io::Error),
    /// The connection ended, or the peer was too slow.
    Ended(End),
    /// The peer said something that it must not.
    Protocol(String),
    /// A command failed: SCT << 8 | SC.
    Status(&'static str, u16),
    /// The kernel's errno or text.
    Kernel(String),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(e) => e.fmt(f),
            Self::Ended(End::Timeout) => f.write_str("the peer does not answer"),
            Self::Ended(_) => f.write_str("the peer closed the connection"),
            Self::Protocol(s) | Self::Kernel(s) => f.write_str(s),
            Self::Status(what, s) => write!(f, "{what} failed with status {s:#05x}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

impl From<End> for Error {
    fn from(e: End) -> Self {
        Self::Ended(e)
    }
}

/// What a step of a handshake gives.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn protocol<T>(s: impl Into<String>) -> Result<T> {
    Err(Error::Protocol(s.into()))
}

/// What a host asks for.
#[derive(Clone, Debug)]
pub struct Options {
    /// NQN of the host.
    pub hostnqn: String,
    /// NQN of the subsystem.
    pub subnqn: String,
    /// Header digests.
    pub hdgst: bool,
    /// Data digests.
    pub ddgst: bool,
    /// Data in PDUs begins at multiples of four times this plus one.
    pub hpda: u8,
    /// SQ flow control.
    pub flow_control: bool,
    /// I/O queues.
    pub queues: u16,
    /// Entries of each I/O queue.
    pub qsize: u16,
    /// Keep-alive timeout in milliseconds.
    pub kato: u32,
    /// Seconds between attempts to reconnect.
    pub reconnect_delay: u64,
    /// Seconds until a lost controller is given up.
    pub loss_timeout: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            hostnqn: "nqn.2014-08.org.nvmexpress:uuid:5b3f0000-0000-4000-8000-000000000001".into(),
            subnqn: "nqn.2026-11.org.example:hosted".into(),
            hdgst: false,
            ddgst: false,
            hpda: 0,
            flow_control: false,
            queues: 2,
            qsize: 64,
            kato: 0,
            reconnect_delay: 1,
            loss_timeout: 10,
        }
    }
}

/// A connection on its way to the kernel.
pub struct Queue {
    /// The socket.
    pub stream: Stream,
    peer: Peer,
    format: Format,
    /// Commands sent.
    sent: u16,
    sqhd: u16,
    admin: bool,
    hpda: u8,
    qsize: u16,
    maxh2cdata: u32,
    max_icd: u32,
    flow_control: bool,
    /// From the Connect response.
    pub cntlid: u16,
}

fn put(b: &mut [u8], at: usize, bytes: &[u8]) {
    b[at..at + bytes.len()].copy_from_slice(bytes);
}

fn name(b: &mut [u8], at: usize, s: &str) {
    put(b, at, &s.as_bytes()[..s.len().min(223)]);
}

fn dgst(hdgst: bool, ddgst: bool) -> u8 {
    u8::from(hdgst) | u8::from(ddgst) << 1
}

impl Queue {
    /// Connects a queue; `qid` zero is the admin queue.
    pub fn connect(addr: SocketAddr, o: &Options, qid: u16, cntlid: u16) -> Result<Self> {
        let stream = Stream::connect_timeout(&addr, STEP)?;
        stream.set_nodelay(true)?;
        let mut peer = Peer::new(stream.try_clone()?);
        let wanted = dgst(o.hdgst, o.ddgst);
        let icreq = Builder::new(Format::default(), kind::ICREQ, 0, 128, &[])
            .u8(10, o.hpda)
            .u8(11, wanted)
            .u32(12, 0);
        peer.send(&icreq.bytes());
        let granted = handshake::icresp(&mut peer, wanted)?;
        let admin = qid == 0;
        let mut q = Queue {
            stream,
            peer,
            format: Format {
                hdgst: granted.digests & 1 != 0,
                ddgst: granted.digests & 2 != 0,
                align: (granted.cpda + 1) * 4,
            },
            sent: 0,
            sqhd: 0,
            admin,
            hpda: o.hpda,
            qsize: if admin { 32 } else { o.qsize },
            maxh2cdata: granted.maxh2cdata,
            max_icd: 8192,
            flow_control: o.flow_control,
            cntlid,
        };
        let mut data = vec![0; CONNECT_LEN];
        put(&mut data, 0, &[0x5b; 16]);
        put(&mut data, 16, &cntlid.to_le_bytes());
        name(&mut data, 256, &o.subnqn);
        name(&mut data, 512, &o.hostnqn);
        let mut sqe = q.sqe(0x7f, CONNECT_LEN as u32, true);
        sqe[4] = 1;
        put(&mut sqe, 42, &qid.to_le_bytes());
        put(&mut sqe, 44, &(q.qsize - 1).to_le_bytes());
        sqe[46] = if o.flow_control { 0 } else { 4 };
        put(&mut sqe, 48, &if admin { o.kato } else { 0 }.to_le_bytes());
        let cqe = q.command("Connect", &sqe, &data)?.0;
        q.cntlid = u16::from_le_bytes([cqe[0], cqe[1]]);
        Ok(q)
    }

    /// A command with the next CID.
    pub fn sqe(&self, opcode: u8, len: u32, in_capsule: bool) -> [u8; 64] {
        let mut s = pdu::sqe(opcode, self.sent, len, in_capsule);
        put(&mut s, 4, &[0; 4]);
        s
    }

    /// The connection, for scripts.
    pub fn peer(&mut self) -> &mut Peer {
        &mut self.peer
    }

    /// What was negotiated.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Runs one command; returns the response and the data.
    pub fn command(
        &mut self,
        what: &'static str,
        sqe: &[u8; 64],
        icd: &[u8],
    ) -> Result<([u8; 16], Vec<u8>)> {
        self.sent = (self.sent + 1) % self.qsize;
        self.peer.send(&pdu::command(self.format, sqe, icd).bytes());
        let mut data = Vec::new();
        let cid = u16::from_le_bytes([sqe[2], sqe[3]]);
        let len = u32::from_le_bytes([sqe[32], sqe[33], sqe[34], sqe[35]]) as usize;
        let room = if icd.is_empty() { len } else { 0 };
        loop {
            let r: Raw = self.peer.receive_within(STEP)?;
            if !r.digests_ok {
                return protocol("a digest is wrong");
            }
            let whose = r.u16(if r.kind() == kind::RESP { 20 } else { 8 });
            if whose != cid {
                return protocol(format!("a PDU for CID {whose}, which is not outstanding"));
            }
            match r.kind() {
                kind::C2H_DATA
                    if r.u32(12) as usize == data.len() && data.len() + r.data.len() <= room =>
                {
                    data.extend(&r.data);
                    if r.flags() & pdu::flag::SUCCESS != 0 {
                        return Ok(([0; 16], data));
                    }
                }
                kind::RESP => {
                    let mut cqe = [0; 16];
                    cqe.copy_from_slice(&r.header[8..24]);
                    if self.flow_control {
                        self.sqhd = r.u16(16);
                    }
                    let status = r.u16(22) >> 1 & 0x7ff;
                    if status != 0 {
                        return Err(Error::Status(what, status));
                    }
                    return Ok((cqe, data));
                }
                k => return protocol(format!("a PDU of type {k} instead of a response")),
            }
        }
    }

    fn property_get(&mut self, at: u32, wide: bool) -> Result<u64> {
        let mut s = self.sqe(0x7f, 0, false);
        s[4] = 4;
        s[40] = u8::from(wide);
        put(&mut s, 44, &at.to_le_bytes());
        let cqe = self.command("Property Get", &s, &[])?.0;
        Ok((0..8).fold(0, |v, i| v | u64::from(cqe[i]) << (8 * i)))
    }

    fn property_command(&self, at: u32, value: u64) -> [u8; 64] {
        let mut s = self.sqe(0x7f, 0, false);
        s[4] = 0;
        put(&mut s, 44, &at.to_le_bytes());
        put(&mut s, 48, &value.to_le_bytes());
        s
    }

    fn property_set(&mut self, at: u32, value: u64) -> Result<()> {
        let s = self.property_command(at, value);
        self.command("Property Set", &s, &[]).map(|_| ())
    }

    /// Sets a property of four bytes; without `wait` the answer stays where it
    /// is. What comes of it does not matter.
    pub fn write_property(&mut self, at: u32, value: u64, wait: bool) {
        if wait {
            let _ = self.property_set(at, value);
            return;
        }
        let s = self.property_command(at, value);
        self.sent = (self.sent + 1) % self.qsize;
        let _ = self.peer.send(&pdu::command(self.format, &s, &[]).bytes());
    }

    /// Enables the controller.
    pub fn enable(&mut self) -> Result<()> {
        let cap = self.property_get(0, true)?;
        let limit = Duration::from_millis((cap >> 24 & 0xff) * 500 + 500);
        self.property_set(0x14, 0x0046_0001)?;
        let end = Instant::now() + limit;
        while self.property_get(0x1c, false)? & 1 == 0 {
            if Instant::now() > end {
                return protocol("the controller does not become ready");
            }
            os::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Identify Controller.
    pub fn identify(&mut self) -> Result<Vec<u8>> {
        let mut s = self.sqe(0x06, 4096, false);
        s[40] = 1;
        let data = self.command("Identify", &s, &[])?.1;
        if data.len() != 4096 {
            return protocol("Identify data of the wrong size");
        }
        Ok(data)
    }

    /// Asks for I/O queues; returns how many there are.
    pub fn set_queues(&mut self, n: u16) -> Result<u16> {
        let mut s = self.sqe(0x09, 0, false);
        s[40] = 7;
        put(&mut s, 44, &(n - 1).to_le_bytes());
        put(&mut s, 46, &(n - 1).to_le_bytes());
        let cqe = self.command("Set Features", &s, &[])?.0;
        Ok(u16::from_le_bytes([cqe[0], cqe[1]])
            .saturating_add(1)
            .min(n))
    }

    /// What the kernel needs to take the queue over.
    fn list(&self) -> List {
        let mut l = List::new();
        l.bool("admin", self.admin)
            .bool("sq_flow_control", self.flow_control)
            .number("qsize", self.qsize.into())
            .number("sqhd", self.sqhd.into())
            .number("sqtail", self.sent.into())
            .number("rxpda", (u64::from(self.hpda) + 1) * 4)
            .number("txpda", self.format.align.into())
            .bool("header_digests", self.format.hdgst)
            .bool("data_digests", self.format.ddgst)
            .number("maxr2t", 0)
            .number("maxh2cdata", self.maxh2cdata.into())
            .number("max_icd", self.max_icd.into())
            .number("fd", self.stream.as_raw_fd() as u64);
        l
    }
}

/// A host's queues, ready for the kernel.
pub struct Association {
    /// The list of the handoff.
    pub list: List,
    /// Identify Controller.
    pub cdata: Vec<u8>,
    queues: Vec<Queue>,
}

impl Association {
    /// Connects all queues of a controller.
    pub fn connect(addr: SocketAddr, o: &Options) -> Result<Self> {
        let mut admin = Queue::connect(addr, o, 0, 0xffff)?;
        admin.enable()?;
        let cdata = admin.identify()?;
        let granted = admin.set_queues(o.queues)?;
        let ioccsz = u32::from_le_bytes([cdata[1792], cdata[1793], cdata[1794], cdata[1795]]);
        let mut queues = Vec::new();
        for qid in 1..=granted {
            let mut q = Queue::connect(addr, o, qid, admin.cntlid)?;
            q.max_icd = ioccsz.saturating_mul(16).saturating_sub(64);
            queues.push(q);
        }
        let mut dle = vec![0; 1024];
        dle[0] = 3;
        dle[1] = if addr.is_ipv4() { 1 } else { 2 };
        put(&mut dle, 32, addr.port().to_string().as_bytes());
        dle[256..512].copy_from_slice(&cdata[768..1024]);
        put(&mut dle, 512, addr.ip().to_string().as_bytes());
        let mut rparams = List::new();
        rparams
            .binary("dle", &dle)
            .string("hostnqn", &o.hostnqn)
            .number("num_io_queues", granted.into())
            .number("io_qsize", o.qsize.into());
        let mut list = List::new();
        list.number("trtype", TRTYPE_TCP)
            .number("kato", o.kato.into())
            .number("reconnect_delay", o.reconnect_delay)
            .number("controller_loss_timeout", o.loss_timeout)
            .list("admin", admin.list())
            .array("io", queues.iter().map(Queue::list).collect())
            .binary("cdata", &cdata)
            .list("rparams", rparams);
        queues.push(admin);
        Ok(Association {
            list,
            cdata,
            queues,
        })
    }

    /// Packs the list for an ioctl; the sockets stay until it is over.
    pub fn packed(&self) -> Vec<u8> {
        assert!(!self.queues.is_empty());
        self.list.pack()
    }
}

/// The NQN of discovery services.
pub const DISCOVERY_NQN: &str = "nqn.2014-08.org.nvmexpress.discovery";

/// A subsystem that a discovery service knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its NQN.
    pub subnqn: String,
    /// Its address, as text.
    pub traddr: String,
    /// Its port, as text.
    pub trsvcid: String,
}

pub(crate) fn text(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0).unwrap_or(field.len());
    String::from_utf8_lossy(&field[..end]).trim_end().to_owned()
}

/// Asks a discovery service what there is.
pub fn discover(addr: SocketAddr, o: &Options) -> Result<Vec<Entry>> {
    let o = Options {
        subnqn: DISCOVERY_NQN.into(),
        kato: 0,
        ..o.clone()
    };
    let mut q = Queue::connect(addr, &o, 0, 0xffff)?;
    q.enable()?;
    let mut log = |offset: u64, len: u32| {
        let mut s = q.sqe(0x02, len, false);
        let numd = len / 4 - 1;
        s[40] = 0x70;
        put(&mut s, 42, &(numd as u16).to_le_bytes());
        put(&mut s, 44, &((numd >> 16) as u16).to_le_bytes());
        put(&mut s, 48, &offset.to_le_bytes());
        q.command("Get Log Page", &s, &[]).map(|r| r.1)
    };
    let head = log(0, 1024)?;
    if head.len() != 1024 {
        return protocol("a discovery log of the wrong size");
    }
    let count = head[8..16]
        .iter()
        .rev()
        .fold(0u64, |v, b| v << 8 | u64::from(*b));
    let mut entries = Vec::new();
    for i in 0..count.min(256) {
        let e = log(1024 * (i + 1), 1024)?;
        if e.len() != 1024 {
            return protocol("a discovery log entry of the wrong size");
        }
        // TCP, and a subsystem with storage.
        if e[0] == 3 && e[2] == 2 {
            entries.push(Entry {
                subnqn: text(&e[256..512]),
                traddr: text(&e[512..768]),
                trsvcid: text(&e[32..64]),
            });
        }
    }
    Ok(entries)
}
