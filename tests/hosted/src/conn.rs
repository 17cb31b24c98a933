// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Connections: `nvrs_sock.h` over [`Socket`]s.
//!
//! Sent mbufs are held until the peer acknowledged their bytes, as TCP does;
//! then they are freed in a context that must not sleep, by the thread that
//! receives on the connection or by the network thread.

use std::collections::VecDeque;
use std::ffi::{c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use sys::Errno;
use sys::ffi::{mbuf, nvrs_conn, nvrs_rxstate};

use crate::context::{die, may_sleep, no_sleep, with_stack_lock};
use crate::fault;
use crate::mbuf::{
    Piece, nvrs_m_append, nvrs_m_crc32c, nvrs_m_freem, nvrs_m_length, nvrs_m_split, received,
};
use crate::object::{Kind, give, object, take};
use crate::os::{self, Condvar, Instant, Mutex, MutexGuard};
use crate::sim::sched;
use crate::socket::Socket;

const DEFAULT_BUFFER: u32 = 64 << 10;
const READ_SIZE: usize = 64 << 10;
/// How often the network thread looks after connections with data under way.
const TICK: Duration = Duration::from_micros(500);
/// How long a connection that was closed may take to send what it has.
const LINGER: Duration = Duration::from_secs(5);

/// A chain that was given to TCP.
struct Chain {
    head: *mut mbuf,
    len: u32,
    /// In a simulation: of its bytes when they were sent.
    sum: Option<u32>,
}

impl Chain {
    fn sum(&self) -> u32 {
        // SAFETY: the chain has that many bytes.
        unsafe { nvrs_m_crc32c(self.head, 0, self.len, !0) }
    }

    /// What TCP may have to send once more is still what was sent.
    fn check(&self) {
        if self.sum.is_some_and(|sum| sum != self.sum()) {
            die("memory was changed while TCP had it");
        }
    }
}

// SAFETY: it owns the chain.
unsafe impl Send for Chain {}

impl Drop for Chain {
    fn drop(&mut self) {
        // SAFETY: owned, freed once.
        no_sleep("an mbuf free routine", || unsafe {
            nvrs_m_freem(self.head)
        });
    }
}

#[derive(Default)]
struct Rx {
    /// Received and not taken: chains with their lengths.
    chains: VecDeque<Chain>,
    avail: u32,
    eof: bool,
    error: i32,
    kicked: bool,
    alarm: Option<Instant>,
    capacity: u32,
}

#[derive(Default)]
struct Tx {
    /// Not acknowledged, oldest first.
    held: VecDeque<Chain>,
    /// Bytes of `held`.
    used: u32,
    /// Bytes of `held` that the socket has.
    written: u32,
    kicked: bool,
    capacity: u32,
    dead: bool,
}

struct Conn {
    socket: Socket,
    rx: Mutex<Rx>,
    tx: Mutex<Tx>,
    tx_changed: Condvar,
    error: AtomicI32,
    sending: AtomicBool,
    calls: AtomicUsize,
    closed: Mutex<Option<Instant>>,
}

/// The connections that the network thread looks after.
struct Net {
    active: Mutex<Active>,
    changed: Condvar,
}

#[derive(Default)]
struct Active {
    conns: Vec<Arc<Conn>>,
    /// Something happened since they were looked at.
    event: bool,
}

fn lock<T>(m: &Mutex<T>) -> MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

fn net() -> &'static Net {
    static NET: OnceLock<Net> = OnceLock::new();
    static THREAD: std::sync::Once = std::sync::Once::new();
    let net = NET.get_or_init(|| Net {
        active: Mutex::default(),
        changed: Condvar::new(),
    });
    THREAD.call_once(|| {
        if os::spawn_kernel("netisr", || run_net(net)).is_err() {
            die("no network thread");
        }
    });
    net
}

fn run_net(net: &'static Net) {
    loop {
        let all = {
            let mut active = lock(&net.active);
            // The simulator's network tells; others are asked now and then.
            while active.conns.is_empty() || (sched::is_simulated() && !active.event) {
                let r = net.changed.wait_timeout(active, LINGER);
                let (guard, late) = r.unwrap_or_else(PoisonError::into_inner);
                active = guard;
                active.event |= late.timed_out();
            }
            active.event = false;
            active.conns.clone()
        };
        for c in &all {
            c.transmit();
            c.reclaim();
        }
        let idle: Vec<_> = all.iter().filter(|c| !c.has_work()).collect();
        let mut active = lock(&net.active);
        let keep = |c: &Arc<Conn>| !idle.iter().any(|i| Arc::ptr_eq(c, i)) || c.has_work();
        let (kept, gone) = std::mem::take(&mut active.conns)
            .into_iter()
            .partition(keep);
        active.conns = kept;
        drop(active);
        drop::<Vec<_>>(gone);
        drop(all);
        if !sched::is_simulated() {
            os::sleep(TICK);
        }
    }
}

/// The simulator's network has acknowledgements, room, or a reset.
pub fn network_event() {
    lock(&net().active).event = true;
    net().changed.notify_all();
}

impl Conn {
    /// The socket failed.
    fn fail(&self, error: i32) {
        let _ = self
            .error
            .compare_exchange(0, error, Ordering::AcqRel, Ordering::Relaxed);
        self.socket.wake();
        self.tx_changed.notify_all();
    }

    /// Reads what is there, up to the buffer's size.
    fn fill(&self, rx: &mut Rx) {
        while rx.avail < rx.capacity && !rx.eof && rx.error == 0 {
            let want = READ_SIZE.min((rx.capacity - rx.avail) as usize);
            match self.socket.receive(want) {
                Ok(Some(pieces)) if pieces.is_empty() => rx.eof = true,
                Ok(Some(pieces)) => {
                    let n: usize = pieces.iter().map(Piece::len).sum();
                    let head = received(pieces, fault::rx_segment());
                    rx.chains.push_back(Chain {
                        head,
                        len: n as u32,
                        sum: None,
                    });
                    rx.avail += n as u32;
                    if n < want {
                        return;
                    }
                }
                Ok(None) => return,
                Err(e) => {
                    rx.error = e;
                    // A reset also ends what is being sent.
                    lock(&self.tx).dead = true;
                    self.fail(rx.error);
                }
            }
        }
    }

    /// Gives the socket what it takes.
    fn transmit(&self) {
        let mut tx = lock(&self.tx);
        while tx.written < tx.used && !tx.dead {
            let mut skip = tx.written;
            let unsent = tx.held.iter().filter_map(|c| {
                let from = skip.min(c.len);
                skip -= from;
                (from < c.len).then_some((c.head.cast_const(), from))
            });
            // SAFETY: held chains are ours.
            match unsafe { self.socket.send(unsent) } {
                Ok(0) => return,
                Ok(n) => tx.written += n as u32,
                Err(e) => {
                    tx.dead = true;
                    self.fail(e);
                }
            }
        }
    }

    /// Frees what the peer acknowledged, or all after a failure.
    fn reclaim(&self) {
        let mut done = Vec::new();
        {
            let mut tx = lock(&self.tx);
            if tx.used == 0 {
                return;
            }
            let mut acked = tx.written.saturating_sub(self.socket.unacked());
            if tx.dead {
                acked = tx.used;
                tx.written = tx.used;
            }
            while let Some(len) = tx.held.front().map(|c| c.len)
                && len <= acked
            {
                acked -= len;
                tx.used -= len;
                tx.written -= len;
                done.extend(tx.held.pop_front());
            }
            if !done.is_empty() {
                self.tx_changed.notify_all();
            }
            if !tx.dead {
                done.iter().for_each(Chain::check);
            }
        }
        // As in TCP input, which holds the connection's lock.
        if !done.is_empty() {
            with_stack_lock((&raw const *self).addr(), || drop(done));
        }
    }

    fn has_work(&self) -> bool {
        let busy = lock(&self.tx).used != 0;
        match *lock(&self.closed) {
            Some(end) => busy && Instant::now() < end,
            None => busy,
        }
    }

    fn activate(self: &Arc<Self>) {
        let net = net();
        let mut active = lock(&net.active);
        if !active.conns.iter().any(|c| Arc::ptr_eq(c, self)) {
            active.conns.push(self.clone());
            active.event = true;
            net.changed.notify_all();
        }
    }

    fn rx_error(&self, rx: &Rx) -> i32 {
        match rx.error {
            0 => self.error.load(Ordering::Acquire),
            e => e,
        }
    }

    fn space(&self) -> (u32, bool) {
        let tx = lock(&self.tx);
        (tx.capacity.saturating_sub(tx.used), tx.used == 0)
    }
}

/// A call on a connection is under way.
struct Call<'a>(&'a Arc<Conn>);

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::AcqRel);
    }
}

/// # Safety
///
/// `c` is a connection of the caller's.
unsafe fn enter<'a>(c: *mut nvrs_conn, what: &str) -> Call<'a> {
    // SAFETY: the caller's promise.
    let conn = unsafe { object::<Arc<Conn>, _>(c, what) };
    conn.calls.fetch_add(1, Ordering::AcqRel);
    Call(conn)
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_steal(fd: c_int, connp: *mut *mut nvrs_conn) -> c_int {
    may_sleep("taking a socket over");
    let socket = match Socket::steal(fd) {
        Ok(socket) => socket,
        Err(e) => return e,
    };
    let conn = Arc::new(Conn {
        socket,
        rx: Mutex::new(Rx {
            capacity: DEFAULT_BUFFER,
            ..Rx::default()
        }),
        tx: Mutex::new(Tx {
            capacity: DEFAULT_BUFFER,
            ..Tx::default()
        }),
        tx_changed: Condvar::new(),
        error: AtomicI32::new(0),
        sending: AtomicBool::new(false),
        calls: AtomicUsize::new(0),
        closed: Mutex::new(None),
    });
    // SAFETY: the caller's storage.
    unsafe { *connp = give(Kind::Conn, conn) };
    0
}

static BUFFER_LIMIT: AtomicU32 = AtomicU32::new(2 << 20);

/// As kern.ipc.maxsockbuf: the largest socket buffer.
pub fn set_buffer_limit(bytes: u32) {
    BUFFER_LIMIT.store(bytes, Ordering::Relaxed);
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_tune(c: *mut nvrs_conn, sndbuf: u32, rcvbuf: u32) {
    may_sleep("setsockopt");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_tune") };
    c.0.socket.tune();
    let limit = BUFFER_LIMIT.load(Ordering::Relaxed);
    {
        let mut tx = lock(&c.0.tx);
        tx.capacity = sndbuf.min(limit).max(tx.capacity.min(limit));
    }
    let mut rx = lock(&c.0.rx);
    rx.capacity = rcvbuf.min(limit).max(rx.capacity.min(limit));
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_close(c: *mut nvrs_conn, abort: bool) {
    may_sleep("soclose");
    // SAFETY: a connection of the caller's.
    let conn = unsafe { object::<Arc<Conn>, _>(c, "nvrs_conn_close") }.clone();
    if conn.calls.load(Ordering::Acquire) != 0 {
        die("a connection is closed while a thread is in a call on it");
    }
    if abort {
        conn.socket.abort();
        lock(&conn.tx).dead = true;
        conn.reclaim();
    } else {
        conn.transmit();
        conn.reclaim();
        *lock(&conn.closed) = Some(Instant::now() + LINGER);
        if conn.has_work() {
            conn.activate();
        }
    }
    *lock(&conn.rx) = Rx::default();
    drop(conn);
    // SAFETY: no call is under way and its owner gives it up.
    unsafe { take::<Arc<Conn>, _>(Kind::Conn, c, "nvrs_conn_close") };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_rx_wait(
    c: *mut nvrs_conn,
    lowat: u32,
    ms: u32,
    st: *mut nvrs_rxstate,
) {
    may_sleep("waiting to receive");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_rx_wait") };
    let end = (ms != 0).then(|| Instant::now() + Duration::from_millis(ms.into()));
    let mut state = nvrs_rxstate {
        avail: 0,
        error: 0,
        eof: false,
        kicked: false,
        timedout: false,
    };
    loop {
        let alarm;
        {
            let mut rx = lock(&c.0.rx);
            c.0.fill(&mut rx);
            alarm = rx.alarm;
            if alarm.is_some_and(|at| at <= Instant::now()) {
                rx.alarm = None;
                state.timedout = true;
            }
            let lowat = lowat.min((rx.capacity / 2).max(1));
            let error = c.0.rx_error(&rx);
            if rx.avail >= lowat || rx.kicked || rx.eof || error != 0 || state.timedout {
                state.avail = rx.avail;
                state.error = error;
                state.eof = rx.eof;
                state.kicked = std::mem::take(&mut rx.kicked);
                break;
            }
        }
        // Acknowledgements come with what the peer sends.
        c.0.reclaim();
        let left = match (end, alarm) {
            (Some(end), Some(alarm)) => Some(end.min(alarm)),
            (end, alarm) => end.or(alarm),
        }
        .map(|e| e.saturating_duration_since(Instant::now()));
        if left.is_some_and(|l| l.is_zero()) {
            state.timedout = true;
            continue;
        }
        c.0.socket.wait(left);
    }
    c.0.reclaim();
    // SAFETY: the caller's storage.
    unsafe { *st = state };
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_kick_rx(c: *mut nvrs_conn) {
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_kick_rx") };
    lock(&c.0.rx).kicked = true;
    c.0.socket.wake();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_rx_alarm(c: *mut nvrs_conn, us: u32) {
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_rx_alarm") };
    let at = (us != 0).then(|| Instant::now() + Duration::from_micros(us.into()));
    lock(&c.0.rx).alarm = at;
    if at.is_some() {
        c.0.socket.wake();
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_receive(
    c: *mut nvrs_conn,
    max: u32,
    mp: *mut *mut mbuf,
    len: *mut u32,
) -> c_int {
    may_sleep("soreceive");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_receive") };
    let (mut head, mut last): (*mut mbuf, *mut mbuf) = (ptr::null_mut(), ptr::null_mut());
    let mut got = 0;
    let mut error = 0;
    crate::fault::jitter();
    {
        let mut rx = lock(&c.0.rx);
        c.0.fill(&mut rx);
        while got < max
            && let Some(mut chain) = rx.chains.pop_front()
        {
            let n = chain.len.min(max - got);
            let p = chain.head;
            if n < chain.len {
                // SAFETY: our own chain, which is long enough.
                chain.head = unsafe { nvrs_m_split(p, n, sys::ffi::NVRS_WAITOK as c_int) };
                chain.len -= n;
                rx.chains.push_front(chain);
            } else {
                std::mem::forget(chain);
            }
            rx.avail -= n;
            got += n;
            if head.is_null() {
                head = p;
            } else {
                // SAFETY: our own chains.
                unsafe { nvrs_m_append(last, p) };
            }
            // SAFETY: our own chain.
            unsafe { nvrs_m_length(p, &mut last) };
        }
        if got == 0 {
            // The call that reports an error consumes it.
            error = std::mem::take(&mut rx.error);
            if error == 0 {
                error = c.0.error.swap(0, Ordering::AcqRel);
            }
            if error != 0 {
                rx.eof = true;
            }
        }
    }
    // SAFETY: the caller's storage.
    unsafe {
        *mp = head;
        *len = got;
    }
    error
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_tx_space(c: *mut nvrs_conn, empty: *mut bool) -> u32 {
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_tx_space") };
    let (space, is_empty) = c.0.space();
    // SAFETY: the caller's storage.
    unsafe { *empty = is_empty };
    space
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_send(
    c: *mut nvrs_conn,
    m: *mut mbuf,
    _more: bool,
) -> c_int {
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_send") };
    // Not from where the stack has its lock already.
    with_stack_lock(Arc::as_ptr(c.0).addr(), || ());
    if c.0.sending.swap(true, Ordering::AcqRel) {
        die("two threads send on one connection");
    }
    // SAFETY: the caller gives the chain away.
    let len = unsafe { nvrs_m_length(m, ptr::null_mut()) };
    let mut chain = Chain {
        head: m,
        len,
        sum: None,
    };
    chain.sum = sched::is_simulated().then(|| chain.sum());
    let error = {
        let mut tx = lock(&c.0.tx);
        if tx.dead || c.0.error.load(Ordering::Acquire) != 0 {
            Errno::EPIPE.code()
        } else if len > tx.capacity.saturating_sub(tx.used) {
            die(&format!(
                "{len} bytes are sent with room for {}",
                tx.capacity.saturating_sub(tx.used)
            ));
        } else {
            tx.used += len;
            tx.held.push_back(chain);
            0
        }
    };
    if error == 0 {
        crate::fault::jitter();
        c.0.transmit();
        c.0.activate();
    }
    c.0.sending.store(false, Ordering::Release);
    error
}

impl Conn {
    fn tx_wait(&self, ms: u32, ready: impl Fn(&Self, &Tx) -> bool) -> bool {
        let end = Instant::now() + Duration::from_millis(ms.into());
        let mut tx = lock(&self.tx);
        loop {
            if ready(self, &tx) {
                tx.kicked = false;
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                tx.kicked = false;
                return false;
            }
            let r = self.tx_changed.wait_timeout(tx, left);
            tx = r.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn is_dead(&self, tx: &Tx) -> bool {
        tx.dead || self.error.load(Ordering::Acquire) != 0
    }
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_tx_wait(c: *mut nvrs_conn, space: u32, ms: u32) -> bool {
    may_sleep("waiting to send");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_tx_wait") };
    c.0.tx_wait(ms, |c, tx| {
        let free = tx.capacity.saturating_sub(tx.used);
        (free > 0 && free >= space) || tx.used == 0 || tx.kicked || c.is_dead(tx)
    })
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_tx_flush(c: *mut nvrs_conn, ms: u32) -> bool {
    may_sleep("waiting for acknowledgements");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_tx_flush") };
    c.0.tx_wait(ms, |c, tx| tx.used == 0 || c.is_dead(tx));
    lock(&c.0.tx).used == 0
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_kick_tx(c: *mut nvrs_conn) {
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_kick_tx") };
    lock(&c.0.tx).kicked = true;
    c.0.tx_changed.notify_all();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_shutdown(c: *mut nvrs_conn) {
    may_sleep("soshutdown");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_shutdown") };
    c.0.socket.shut_down();
    c.0.socket.wake();
}

#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvrs_conn_peer(
    c: *mut nvrs_conn,
    buf: *mut c_char,
    len: usize,
) -> c_int {
    may_sleep("sopeeraddr");
    // SAFETY: a connection of the caller's.
    let c = unsafe { enter(c, "nvrs_conn_peer") };
    let addr = c.0.socket.peer();
    let text = addr.map(|a| a.to_string()).unwrap_or_default();
    let n = text.len().min(len.saturating_sub(1));
    // SAFETY: the caller has room for len bytes.
    unsafe {
        ptr::copy_nonoverlapping(text.as_ptr(), buf.cast(), n);
        *buf.add(n) = 0;
    }
    match addr {
        Some(std::net::SocketAddr::V4(_)) => 2,
        Some(std::net::SocketAddr::V6(_)) => 28,
        None => 0,
    }
}
