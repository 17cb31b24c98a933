// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What daemons and tools of userland do before a kernel takes a connection
//! over: Initialize Connection, Connect, and a host's set-up of a controller.
//! Every wait has a limit, and so has everything that a peer sends.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::nv::{List, Owned};
use crate::pdu::{self, Builder, Format, Raw, kind};
use crate::peer::{End, Peer};

/// How long a step of the handshake may take.
const STEP: Duration = Duration::from_secs(3);
/// The controller's limit on data in a PDU of the host's.
const MAXH2CDATA: u32 = 256 << 10;
const TRTYPE_TCP: u64 = 3;
/// Connect data.
const CONNECT_LEN: usize = 1024;

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

type Result<T> = std::result::Result<T, Error>;

fn protocol<T>(s: impl Into<String>) -> Result<T> {
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
    pub stream: TcpStream,
    peer: Peer,
    format: Format,
    /// Commands sent.
    sent: u16,
    sqhd: u16,
    admin: bool,
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
        let stream = TcpStream::connect_timeout(&addr, STEP)?;
        stream.set_nodelay(true)?;
        let mut peer = Peer::new(stream.try_clone()?);
        let wanted = dgst(o.hdgst, o.ddgst);
        let icreq = Builder::new(Format::default(), kind::ICREQ, 0, 128, &[])
            .u8(11, wanted)
            .u32(12, 0);
        peer.send(&icreq.bytes());
        let r = peer.receive_within(STEP)?;
        if r.header.len() != 128 || r.kind() != kind::ICRESP || r.flags() != 0 || r.header[3] != 0 {
            return protocol("no valid Initialize Connection Response");
        }
        let (pfv, cpda, granted, maxh2cdata) = (r.u16(8), r.header[10], r.header[11], r.u32(12));
        if pfv != 0
            || cpda > 31
            || granted & !wanted != 0
            || maxh2cdata < 4096
            || maxh2cdata % 4 != 0
        {
            return protocol("the Initialize Connection Response makes no sense");
        }
        let admin = qid == 0;
        let mut q = Queue {
            stream,
            peer,
            format: Format {
                hdgst: granted & 1 != 0,
                ddgst: granted & 2 != 0,
                align: (cpda + 1) * 4,
            },
            sent: 0,
            sqhd: 0,
            admin,
            qsize: if admin { 32 } else { o.qsize },
            maxh2cdata,
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
        loop {
            let r: Raw = self.peer.receive_within(STEP)?;
            if !r.digests_ok {
                return protocol("a digest is wrong");
            }
            match r.kind() {
                kind::C2H_DATA if r.u32(12) as usize == data.len() && data.len() < 1 << 20 => {
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

    fn property_set(&mut self, at: u32, value: u64) -> Result<()> {
        let mut s = self.sqe(0x7f, 0, false);
        s[4] = 0;
        put(&mut s, 44, &at.to_le_bytes());
        put(&mut s, 48, &value.to_le_bytes());
        self.command("Property Set", &s, &[]).map(|_| ())
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
            std::thread::sleep(Duration::from_millis(1));
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
            .number("rxpda", 4)
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

fn text(field: &[u8]) -> String {
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

/// A discovery controller for one host, until it leaves.
fn serve_discovery(peer: &mut Peer, f: Format, entries: &[Entry]) -> Result<()> {
    let mut log = vec![0; 1024];
    put(&mut log, 8, &(entries.len() as u64).to_le_bytes());
    for e in entries {
        let mut b = vec![0; 1024];
        put(
            &mut b,
            0,
            &[3, if e.traddr.contains(':') { 2 } else { 1 }, 2, 0],
        );
        put(&mut b, 4, &[1, 0, 0xff, 0xff, 32, 0]);
        name(&mut b, 32, &e.trsvcid);
        name(&mut b, 256, &e.subnqn);
        name(&mut b, 512, &e.traddr);
        log.extend(b);
    }
    let mut cc = 0u32;
    // The commands of a discovery are few.
    for _ in 0..1024 {
        let c = match peer.receive_within(STEP) {
            Ok(c) => c,
            Err(End::Closed | End::Reset) => return Ok(()),
            Err(e) => return Err(e.into()),
        };
        if c.kind() != kind::CMD || c.header.len() != 72 || !c.digests_ok {
            return protocol("no command");
        }
        let (op, fctype, cid) = (c.header[8], c.header[12], c.u16(10));
        let mut cqe = pdu::cqe(cid, 0);
        let mut data = &[][..];
        match (op, fctype) {
            (0x7f, 4) => {
                let v: u64 = match c.u32(8 + 44) {
                    0 => 0x0020_0f01_003f | 1 << 37,
                    8 => 0x0001_0400,
                    0x14 => cc.into(),
                    0x1c => u64::from(cc & 1),
                    _ => 0,
                };
                put(&mut cqe, 0, &v.to_le_bytes());
            }
            (0x7f, 0) => cc = c.u32(8 + 48),
            (0x02, _) if c.header[8 + 40] == 0x70 => {
                let numd = u64::from(c.u16(8 + 42)) | u64::from(c.u16(8 + 44)) << 16;
                let from = u64::from(c.u32(8 + 48)) | u64::from(c.u32(8 + 52)) << 32;
                let range = from.checked_add((numd + 1) * 4);
                let range = range.map(|end| from as usize..end as usize);
                match range.and_then(|r| log.get(r)) {
                    Some(d) if d.len() as u32 == c.u32(8 + 32) => data = d,
                    _ => cqe = pdu::cqe(cid, 0x02),
                }
            }
            _ => cqe = pdu::cqe(cid, 0x01),
        }
        if !data.is_empty() {
            peer.send(&pdu::c2h_data(f, pdu::flag::LAST, cid, 0, data).bytes());
        }
        peer.send(&pdu::response(f, &cqe).bytes());
    }
    Ok(())
}

/// One connection to a controller: the handshake, then the kernel's.
pub fn accept(stream: TcpStream, digests: u8, entries: &[Entry]) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut peer = Peer::new(stream.try_clone()?);
    let icreq = peer.receive_within(STEP)?;
    let len_ok = icreq.header.len() == 128 && icreq.kind() == kind::ICREQ;
    if !len_ok || icreq.flags() != 0 || icreq.header[3] != 0 || icreq.u16(8) != 0 {
        return protocol("no valid Initialize Connection Request");
    }
    let (hpda, wanted, maxr2t) = (icreq.header[10], icreq.header[11], icreq.u32(12));
    if hpda > 31 {
        return protocol("HPDA is out of range");
    }
    let granted = wanted & digests & 3;
    let icresp = Builder::new(Format::default(), kind::ICRESP, 0, 128, &[])
        .u8(11, granted)
        .u32(12, MAXH2CDATA);
    peer.send(&icresp.bytes());
    let c = peer.receive_within(STEP)?;
    if c.kind() != kind::CMD || c.header.len() != 72 || !c.digests_ok {
        return protocol("no Connect command");
    }
    let sqe = &c.header[8..72];
    if sqe[0] != 0x7f || sqe[4] != 1 || c.data.len() != CONNECT_LEN {
        return protocol("no valid Connect command");
    }
    let (qid, sqsize) = (c.u16(8 + 42), c.u16(8 + 44));
    if text(&c.data[256..512]) == DISCOVERY_NQN {
        let f = Format {
            hdgst: granted & 1 != 0,
            ddgst: granted & 2 != 0,
            align: (hpda + 1) * 4,
        };
        let mut cqe = pdu::cqe(c.u16(10), if qid == 0 { 0 } else { 0x182 });
        cqe[0] = 1;
        peer.send(&pdu::response(f, &cqe).bytes());
        return serve_discovery(&mut peer, f, entries);
    }
    let mut params = List::new();
    params
        .bool("admin", qid == 0)
        .bool("sq_flow_control", sqe[46] & 4 == 0)
        .number("qsize", u64::from(sqsize) + 1)
        .number("sqhd", 1)
        .number("rxpda", 4)
        .number("txpda", u64::from(hpda + 1) * 4)
        .bool("header_digests", granted & 1 != 0)
        .bool("data_digests", granted & 2 != 0)
        .number("maxr2t", maxr2t.into())
        .number("maxh2cdata", MAXH2CDATA.into())
        .number("max_icd", 0)
        .number("fd", stream.as_raw_fd() as u64);
    let mut l = List::new();
    l.number("trtype", TRTYPE_TCP)
        .list("params", params)
        .binary("cmd", sqe)
        .binary("data", &c.data);
    let l = Owned::new(l);
    let mut text = [0u8; 256];
    // SAFETY: a live list, and room for a text.
    let ok =
        unsafe { nvmft::ffi::nvmft_rs_handoff(l.as_ptr(), text.as_mut_ptr().cast(), text.len()) };
    if ok {
        return Ok(());
    }
    let end = text.iter().position(|&b| b == 0).unwrap_or(text.len());
    Err(Error::Kernel(
        String::from_utf8_lossy(&text[..end]).into_owned(),
    ))
}

/// The daemon of a controller: accepts connections until it is dropped.
pub struct Daemon {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Daemon {
    /// Listens on an address.
    pub fn start(addr: &str, digests: u8, subnqn: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        let addr = listener.local_addr()?;
        let entries = Arc::new(vec![Entry {
            subnqn: subnqn.into(),
            traddr: addr.ip().to_string(),
            trsvcid: addr.port().to_string(),
        }]);
        listener.set_nonblocking(true)?;
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = std::thread::Builder::new()
            .name("nvmfd".into())
            .spawn(move || {
                let mut workers: Vec<std::thread::JoinHandle<()>> = Vec::new();
                while !flag.load(Ordering::Acquire) {
                    match listener.accept() {
                        Ok((s, from)) => {
                            let _ = s.set_nonblocking(false);
                            // One thread each: a slow host holds up nobody.
                            let entries = entries.clone();
                            let t = std::thread::spawn(move || {
                                if let Err(e) = accept(s, digests, &entries)
                                    && std::env::var_os("HOSTED_VERBOSE").is_some()
                                {
                                    eprintln!("nvmfd: {from}: {e}");
                                }
                            });
                            workers.retain(|w| !w.is_finished());
                            workers.push(t);
                        }
                        Err(_) => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
                for w in workers {
                    let _ = w.join();
                }
            })?;
        Ok(Daemon {
            addr,
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
