// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Queue pairs: made from a handed-over connection, with one thread that
//! receives and one that sends when the socket had no room.
#![forbid(unsafe_code)]

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sys::conn::Conn;
use sys::log::{RateLimit, Text};
use sys::mbuf::Mbuf;
use sys::mem::KArc;
use sys::nv::NvRef;
use sys::sync::{Gate, Mutex};
use sys::task::{Thread, ThreadBody};
use sys::time::pause_ms;
use sys::xport::{CapRef, CapsuleObj, IoRequest, QpairObj, TRTYPE_TCP, Transport};
use sys::{CanSleep, Errno, Result, Wait, kprint};

use crate::controller::{self, Controller};
use crate::ffi::nvrs_tcp_max_transmit_data;
use crate::host::{self, Host};
use crate::pdu_out;
use crate::proto::{Framing, Params, RawParams, Role};
use crate::receiver::Receiver;
use crate::tx::Tx;

/// The NVMe/TCP transport.
pub struct Tcp;

/// A queue pair of it.
pub type Qp = QpairObj<Tcp>;

/// Socket buffers hold this many bytes at most, whatever the queue's size.
const SOCKBUF_MAX: u32 = 2 << 20;
/// Socket buffers hold at least this many bytes.
const SOCKBUF_MIN: u32 = 256 << 10;
/// How long freeing a controller's queue pair waits for the last responses to
/// reach the host.
const CONTROLLER_FLUSH_MS: u32 = 1_000;
/// The same on a host, whose commands nobody waits for any more.
const HOST_FLUSH_MS: u32 = 100;
/// Unused capsules that a queue pair keeps.
const SPARE_CAPSULES: u32 = 256;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static LIMIT: RateLimit = RateLimit::new(5);

/// Queue pairs whose memory is in use, freed ones included.
pub fn live() -> usize {
    LIVE.load(Ordering::Acquire)
}

/// What one end keeps.
pub enum Side {
    /// We send commands.
    Host(Host),
    /// We receive commands.
    Controller(Controller),
}

/// What a queue pair keeps.
pub struct QpairState {
    /// What was negotiated.
    pub params: Params,
    /// How PDUs are laid out.
    pub framing: Framing,
    /// The connection, until the queue pair is freed.
    pub conn: Gate<Conn>,
    /// The transmit side.
    pub tx: Tx,
    /// What this end keeps.
    pub side: Side,
    stopping: AtomicBool,
    threads: Mutex<Threads>,
    peer: [u8; 56],
}

#[derive(Default)]
struct Threads {
    receive: Option<Thread>,
    transmit: Option<Thread>,
}

/// The peer's address, for messages.
pub struct Peer<'a>(&'a [u8]);

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Text(self.0).fmt(f)
    }
}

impl QpairState {
    /// Whether the queue pair is being freed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer<'_> {
        Peer(&self.peer)
    }

    /// Gives up a capsule that was accepted and not sent.
    fn forsake(&self, cap: CapRef<Tcp>) {
        match &self.side {
            Side::Host(_) => host::forsake(cap),
            // A response: the host sees the connection end.
            Side::Controller(_) => drop(cap),
        }
    }

    /// Sends whole PDUs; fails once the connection has. `turn` as for
    /// [`Tx::send`].
    #[inline]
    pub fn send(&self, pdus: Mbuf, turn: bool) -> Result<()> {
        let conn = self.conn.enter().ok_or(Errno::ECONNABORTED)?;
        self.tx.send(&conn, pdus, turn)
    }
}

impl Drop for QpairState {
    fn drop(&mut self) {
        LIVE.fetch_sub(1, Ordering::AcqRel);
    }
}

#[inline(never)]
fn parse(controller: bool, list: NvRef<'_>) -> Option<(i32, Params)> {
    let role = if controller {
        Role::Controller
    } else {
        Role::Host
    };
    let raw = RawParams {
        admin: list.get_bool(c"admin")?,
        sq_flow_control: list.get_bool(c"sq_flow_control")?,
        qsize: list.get_number(c"qsize")?,
        rxpda: list.get_number(c"rxpda")?,
        txpda: list.get_number(c"txpda")?,
        header_digests: list.get_bool(c"header_digests")?,
        data_digests: list.get_bool(c"data_digests")?,
        maxr2t: list.get_number(c"maxr2t")?,
        maxh2cdata: list.get_number(c"maxh2cdata")?,
        max_icd: list.get_number(c"max_icd")?,
        max_transmit_data: nvrs_tcp_max_transmit_data.load(Ordering::Relaxed),
    };
    let fd = i32::try_from(list.get_number(c"fd")?).ok()?;
    match Params::parse(role, &raw) {
        Ok(params) => Some((fd, params)),
        Err(e) => {
            if LIMIT.allow() {
                kprint!("NVMe/TCP: queue pair parameters declined: {e:?}");
            }
            None
        }
    }
}

/// Room for the data of all commands of a queue, within reason.
fn buffer_size(p: &Params) -> u32 {
    let per_command = 16 << 10;
    p.qsize
        .saturating_mul(per_command)
        .clamp(SOCKBUF_MIN, SOCKBUF_MAX)
}

// Kept apart for the sake of the stack: see the link gate.
#[inline(never)]
fn make(params: Params, conn: Conn, sleep: CanSleep<'_>) -> Result<KArc<Qp>> {
    let wait = Wait::Sleep(sleep);
    let mut peer = [0; 56];
    conn.peer(&mut peer, sleep);
    let size = if params.admin {
        SOCKBUF_MIN
    } else {
        buffer_size(&params)
    };
    conn.tune(size, size, sleep);
    let side = match params.role {
        Role::Host => Side::Host(Host::new(&params, wait)?),
        Role::Controller => Side::Controller(Controller::new(&params, wait)?),
    };
    LIVE.fetch_add(1, Ordering::AcqRel);
    let state = QpairState {
        framing: Framing::new(&params),
        conn: Gate::new(c"nvmf/tcp conn", conn, wait)?,
        tx: Tx::new(params.role, params.admin, wait)?,
        side,
        stopping: AtomicBool::new(false),
        threads: Mutex::new(c"nvmf/tcp threads", Threads::default(), wait)?,
        peer,
        params,
    };
    let keep = params.qsize.min(SPARE_CAPSULES);
    let qp = Qp::new(state, keep, wait)?;
    let receive = Thread::spawn::<ReceiveThread>(c"nvmef tcp rx", qp.clone(), sleep);
    let transmit = Thread::spawn::<TransmitThread>(c"nvmef tcp tx", qp.clone(), sleep);
    let failed = receive.is_err() || transmit.is_err();
    {
        let mut threads = qp.state.threads.lock();
        threads.receive = receive.ok();
        threads.transmit = transmit.ok();
    }
    if failed {
        stop(&qp, false, sleep);
        return Err(Errno::ENOMEM);
    }
    Ok(qp)
}

struct ReceiveThread;
struct TransmitThread;

impl ThreadBody for ReceiveThread {
    type Target = Qp;

    fn body(this: KArc<Qp>, sleep: CanSleep<'_>) {
        let Some(conn) = this.state.conn.enter() else {
            return;
        };
        // A generic layer in C fills in the callbacks after the queue pair was
        // made, and does not tell.
        while !this.is_ready() {
            if this.state.is_stopping() {
                return;
            }
            pause_ms(1, sleep);
        }
        Receiver::new(&this, &conn).run(sleep);
    }
}

impl ThreadBody for TransmitThread {
    type Target = Qp;

    fn body(this: KArc<Qp>, sleep: CanSleep<'_>) {
        if let Some(conn) = this.state.conn.enter() {
            let retry = |cap: CapRef<Tcp>| {
                if let Err(host::Unsent(e, cap)) = submit(&this, cap, sleep.into()) {
                    this.state.forsake(cap);
                    this.state.tx.fail(&conn, e);
                }
            };
            this.state.tx.work(&conn, retry, sleep);
        }
    }
}

/// Sends a capsule, or gives it back.
#[inline]
fn submit(qp: &Qp, cap: CapRef<Tcp>, wait: Wait<'_>) -> core::result::Result<(), host::Unsent> {
    match &qp.state.side {
        Side::Host(h) => h.command(qp, cap, wait),
        Side::Controller(_) => match pdu_out::response(&qp.state.framing, cap.qe(), wait) {
            // If the connection failed, its end is reported otherwise.
            Ok(pdu) => {
                let _ = qp.state.send(pdu, true);
                Ok(())
            }
            Err(e) => Err(host::Unsent(e, cap)),
        },
    }
}

/// Ends the connection and everything that waits for it.
fn stop(qp: &Qp, flush: bool, sleep: CanSleep<'_>) {
    let st = &qp.state;
    let mut delivered = false;
    if let Some(conn) = st.conn.enter() {
        if flush && st.tx.failure().is_none() {
            let ms = match st.params.role {
                Role::Host => HOST_FLUSH_MS,
                Role::Controller => CONTROLLER_FLUSH_MS,
            };
            st.tx.burst_expired(&conn);
            delivered = st.tx.drain(ms, sleep) && conn.flush(ms, sleep);
        }
        st.stopping.store(true, Ordering::Release);
        let mut unsent = st.tx.stop(&conn);
        conn.kick_receive();
        while let Some(cap) = unsent.pop() {
            st.forsake(cap);
        }
    }
    let Threads { receive, transmit } = core::mem::take(&mut *st.threads.lock());
    for thread in [receive, transmit].into_iter().flatten() {
        thread.join(sleep);
    }
    if let Some(conn) = st.conn.close(sleep) {
        // A reset frees at once what the peer did not acknowledge.
        conn.close(!delivered, sleep);
    }
    match &st.side {
        Side::Host(h) => h.abort(),
        Side::Controller(c) => c.abort(),
    }
}

impl Transport for Tcp {
    type Qpair = QpairState;
    type Shared = controller::Received;
    type Active = host::Progress;

    const TRTYPE: u32 = TRTYPE_TCP;
    const PRIORITY: i32 = 0;

    fn allocate_qpair(
        controller: bool,
        params: NvRef<'_>,
        sleep: CanSleep<'_>,
    ) -> Option<KArc<Qp>> {
        let (fd, params) = parse(controller, params)?;
        let conn = match Conn::steal(fd, sleep) {
            Ok(conn) => conn,
            Err(e) => {
                if LIMIT.allow() {
                    kprint!(
                        "NVMe/TCP: descriptor {fd} is not a connected TCP socket: {}",
                        e.code()
                    );
                }
                return None;
            }
        };
        match make(params, conn, sleep) {
            Ok(qp) => Some(qp),
            Err(e) => {
                kprint!("NVMe/TCP: cannot set up a queue pair: {}", e.code());
                None
            }
        }
    }

    fn free_qpair(qp: &KArc<Qp>, sleep: CanSleep<'_>) {
        stop(qp, true, sleep);
    }

    fn transmit(qp: &Qp, cap: CapRef<Self>) -> Result<()> {
        match submit(qp, cap, Wait::NoWait) {
            Ok(()) => Ok(()),
            Err(host::Unsent(Errno::ENOMEM, cap)) => qp.state.tx.defer(cap).inspect_err(|&e| {
                // A capsule that is lost without a word would hang its command.
                if let Some(conn) = qp.state.conn.enter() {
                    qp.state.tx.fail(&conn, e);
                }
            }),
            Err(host::Unsent(e, _)) => Err(e),
        }
    }

    fn validate(cap: &CapsuleObj<Self>) -> u8 {
        controller::validate(cap)
    }

    fn data_len(cap: &CapsuleObj<Self>) -> usize {
        controller::data_len(cap)
    }

    fn receive_data(qp: &Qp, cap: CapRef<Self>, offset: u32, io: IoRequest) -> Result<()> {
        match &qp.state.side {
            Side::Controller(c) => c.receive_data(qp, cap, offset, io),
            Side::Host(_) => Err(Errno::EINVAL),
        }
    }

    fn send_data(qp: &Qp, cap: &CapRef<Self>, offset: u32, m: Mbuf) -> u32 {
        match &qp.state.side {
            Side::Controller(c) => c.send_data(qp, cap, offset, m),
            Side::Host(_) => 0x02,
        }
    }
}
