// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The network of the simulator: byte streams in memory, with seeded delays,
//! segments, windows and partial reads, and with harm at chosen bytes.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::sched;
use crate::os::{self, Condvar, Instant, Mutex, MutexGuard};

/// What the network does to every connection.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    /// The longest delay of a segment, in microseconds.
    pub delay_us: u64,
    /// Bytes of a segment at most.
    pub segment: u64,
    /// Bytes that a receiver takes in before it has to be read from.
    pub window: u32,
    /// Reads bring less than there is now and then, and writes take less.
    pub partial: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Weather {
            delay_us: 100,
            segment: 64 << 10,
            window: 256 << 10,
            partial: false,
        }
    }
}

/// What happens to a connection at a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// One bit of it arrives wrong.
    Flip,
    /// It is not sent, both ends see a reset.
    Reset,
    /// It is not sent, the receiver sees an orderly end.
    Truncate,
    /// Nothing arrives any more, in either direction, and nobody is told.
    Silence,
}

/// Harm that comes at random.
#[derive(Clone, Copy, Debug)]
pub struct Hazard {
    /// What happens.
    pub harm: Harm,
    /// After how many bytes on average.
    pub mean: u64,
}

/// Harm at one byte of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Strike {
    /// The connection: the first is number zero.
    pub link: usize,
    /// In the direction of who connected, or to it.
    pub down: bool,
    /// The byte.
    pub at: u64,
    /// What happens.
    pub harm: Harm,
}

type Id = usize;

struct End {
    peer: Id,
    link: usize,
    down: bool,
    local: SocketAddr,
    remote: SocketAddr,
    received: VecDeque<Vec<u8>>,
    /// Bytes of `received`.
    len: u32,
    eof: bool,
    error: Option<io::ErrorKind>,
    /// Sent to the peer and not there yet.
    in_flight: u32,
    /// Sent, and not known to be there.
    unacked: u32,
    sent: u64,
    /// When the last segment arrives: they stay in order.
    last: u64,
    harm: Option<(u64, Harm)>,
    /// What is sent goes nowhere.
    cut: bool,
    fin_sent: bool,
    wants_space: bool,
    woken: bool,
    closed: bool,
    /// It belongs to the kernel.
    stolen: bool,
    changed: Arc<Condvar>,
}

enum Event {
    Data(Id, Vec<u8>),
    Fin(Id),
    Reset(Id),
    Ack(Id, u32),
    Space(Id),
}

struct Network {
    weather: Weather,
    hazards: Vec<Hazard>,
    /// How often they strike until there is peace.
    budget: u32,
    strikes: Vec<Strike>,
    ends: BTreeMap<Id, End>,
    next: Id,
    links: usize,
    listeners: BTreeMap<u16, Arc<Backlog>>,
    events: BTreeMap<(u64, u64), Event>,
    turns: u64,
    /// Segments sent.
    segments: u64,
    /// At this one somebody is told.
    alarm: Option<u64>,
    harmed: u64,
    wire: bool,
}

static NET: Mutex<Network> = Mutex::new(Network {
    weather: Weather {
        delay_us: 100,
        segment: 64 << 10,
        window: 256 << 10,
        partial: false,
    },
    hazards: Vec::new(),
    budget: 0,
    strikes: Vec::new(),
    ends: BTreeMap::new(),
    next: 0,
    links: 0,
    listeners: BTreeMap::new(),
    events: BTreeMap::new(),
    turns: 0,
    segments: 0,
    alarm: None,
    harmed: 0,
    wire: false,
});
static EVENTS: Condvar = Condvar::new();
static ALARM: Condvar = Condvar::new();

type Net = MutexGuard<'static, Network>;

fn net() -> Net {
    NET.lock().unwrap_or_else(PoisonError::into_inner)
}

fn random(below: u64) -> u64 {
    (sched::random().unwrap_or(0) >> 16) % below.max(1)
}

fn now() -> u64 {
    Instant::now().as_us()
}

/// Carries what is under way.
fn run_wire() {
    let mut n = net();
    loop {
        match n.events.first_key_value().map(|(k, _)| *k) {
            Some(key) if key.0 <= now() => {
                if let Some(e) = n.events.remove(&key) {
                    n.apply(e);
                }
            }
            Some(key) => {
                let wait = Duration::from_micros(key.0 - now());
                let r = EVENTS.wait_timeout(n, wait);
                n = r.unwrap_or_else(PoisonError::into_inner).0;
            }
            None => n = EVENTS.wait(n).unwrap_or_else(PoisonError::into_inner),
        }
    }
}

impl Network {
    fn end(&mut self, id: Id) -> &mut End {
        self.ends.get_mut(&id).expect("an end of a connection")
    }

    fn after(&mut self, when: u64, e: Event) {
        if !self.wire {
            self.wire = true;
            os::spawn("wire", run_wire).expect("a thread");
        }
        self.turns += 1;
        self.events.insert((when, self.turns), e);
        EVENTS.notify_one();
    }

    fn soon(&mut self, e: Event) {
        let when = now() + random(self.weather.delay_us + 1);
        self.after(when, e);
    }

    /// When the next thing that an end sends arrives.
    fn arrival(&mut self, id: Id) -> u64 {
        let delay = random(self.weather.delay_us + 1);
        let e = self.end(id);
        e.last = e.last.max(now() + delay);
        e.last
    }

    fn apply(&mut self, e: Event) {
        match e {
            Event::Data(to, bytes) => {
                let n = bytes.len() as u32;
                let Some(e) = self.ends.get_mut(&to) else {
                    return;
                };
                let peer = e.peer;
                if e.closed {
                    return self.soon(Event::Reset(peer));
                }
                if e.error.is_some() || e.eof {
                    return;
                }
                e.len += n;
                e.received.push_back(bytes);
                e.changed.notify_all();
                if let Some(p) = self.ends.get_mut(&peer) {
                    p.in_flight = p.in_flight.saturating_sub(n);
                    self.soon(Event::Ack(peer, n));
                }
            }
            Event::Fin(to) => {
                if let Some(e) = self.ends.get_mut(&to) {
                    e.eof = true;
                    e.changed.notify_all();
                }
            }
            Event::Reset(to) => {
                if let Some(e) = self.ends.get_mut(&to)
                    && !e.closed
                {
                    e.error.get_or_insert(io::ErrorKind::ConnectionReset);
                    e.cut = true;
                    e.changed.notify_all();
                    crate::conn::network_event();
                }
            }
            Event::Ack(to, n) => {
                if let Some(e) = self.ends.get_mut(&to) {
                    e.unacked = e.unacked.saturating_sub(n);
                    e.changed.notify_all();
                    crate::conn::network_event();
                }
            }
            Event::Space(to) => {
                if let Some(e) = self.ends.get_mut(&to) {
                    e.changed.notify_all();
                    crate::conn::network_event();
                }
            }
        }
    }

    /// Chooses the byte at which harm comes next, if any is to come.
    fn draw_harm(&mut self, id: Id) {
        let strikes: Vec<Strike> = self.strikes.clone();
        let hazards = match self.budget {
            0 => Vec::new(),
            _ => self.hazards.clone(),
        };
        let e = self.end(id);
        if e.harm.is_some() {
            return;
        }
        let ours = |s: &&Strike| s.link == e.link && s.down == e.down && s.at >= e.sent;
        e.harm = strikes
            .iter()
            .filter(ours)
            .min_by_key(|s| s.at)
            .map(|s| (s.at, s.harm));
        for h in hazards {
            // Nothing protects the handshake that comes first.
            let from = e.sent.max(if h.harm == Harm::Flip { 128 } else { 0 });
            let at = from + random(2 * h.mean);
            if e.harm.is_none_or(|(other, _)| at < other) {
                e.harm = Some((at, h.harm));
            }
        }
    }

    fn send(&mut self, id: Id, bytes: &[u8]) -> io::Result<usize> {
        let e = self.end(id);
        if let Some(error) = e.error {
            return Err(error.into());
        }
        if e.fin_sent || e.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let (peer, in_flight, cut) = (e.peer, e.in_flight, e.cut);
        let waiting = self.ends.get(&peer).map_or(0, |p| p.len);
        let room = self.weather.window.saturating_sub(waiting + in_flight);
        let mut n = bytes.len().min(room as usize);
        if n == 0 {
            self.end(id).wants_space = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.weather.partial && random(4) == 0 {
            n = 1 + random(n as u64) as usize;
        }
        let taken = &bytes[..n];
        if cut {
            let e = self.end(id);
            e.in_flight += n as u32;
            e.unacked += n as u32;
            return Ok(n);
        }
        let mut at = 0;
        while at < n {
            let most = self.weather.segment.min((n - at) as u64);
            let len = if self.weather.partial {
                1 + random(most) as usize
            } else {
                most as usize
            };
            let piece = taken[at..at + len].to_vec();
            at += len;
            if !self.segment(id, piece) {
                // The rest goes nowhere, too.
                let e = self.end(id);
                e.in_flight += (n - at) as u32;
                e.unacked += (n - at) as u32;
                break;
            }
        }
        Ok(n)
    }

    /// Sends one segment; false: the connection was cut in it.
    fn segment(&mut self, id: Id, mut bytes: Vec<u8>) -> bool {
        self.draw_harm(id);
        self.segments += 1;
        if self.alarm.is_some_and(|a| a <= self.segments) {
            self.alarm = None;
            ALARM.notify_all();
        }
        let when = self.arrival(id);
        let e = self.end(id);
        let (start, peer) = (e.sent, e.peer);
        let len = bytes.len() as u64;
        e.sent += len;
        e.in_flight += len as u32;
        e.unacked += len as u32;
        sched::note(id as u64, len);
        let e = self.end(id);
        let Some((at, harm)) = e.harm.filter(|(at, _)| *at < start + len) else {
            self.after(when, Event::Data(peer, bytes));
            return true;
        };
        e.harm = None;
        self.budget = self.budget.saturating_sub(1);
        if self.budget == 0 {
            for e in self.ends.values_mut() {
                e.harm = None;
            }
        }
        self.harmed += 1;
        sched::note(at, harm as u64);
        let keep = at.saturating_sub(start) as usize;
        if harm == Harm::Flip {
            bytes[keep] ^= 1 << random(8);
            self.after(when, Event::Data(peer, bytes));
            return true;
        }
        bytes.truncate(keep);
        if !bytes.is_empty() {
            self.after(when, Event::Data(peer, bytes));
        }
        self.end(id).cut = true;
        match harm {
            Harm::Flip => {}
            Harm::Reset => {
                self.after(when, Event::Reset(peer));
                self.soon(Event::Reset(id));
            }
            Harm::Truncate => {
                self.after(when, Event::Fin(peer));
                self.after(when, Event::Reset(id));
            }
            Harm::Silence => self.silence(peer),
        }
        false
    }

    fn silence(&mut self, id: Id) {
        if let Some(p) = self.ends.get_mut(&id) {
            p.cut = true;
        }
    }

    fn receive(&mut self, id: Id, buf: &mut [u8]) -> io::Result<usize> {
        let partial = self.weather.partial && random(3) == 0;
        let e = self.end(id);
        let mut n = 0;
        let want = if partial {
            1 + random(buf.len() as u64) as usize
        } else {
            buf.len()
        };
        while n < want {
            let Some(front) = e.received.front_mut() else {
                break;
            };
            let take = front.len().min(want - n);
            buf[n..n + take].copy_from_slice(&front[..take]);
            n += take;
            if take == front.len() {
                e.received.pop_front();
            } else {
                front.drain(..take);
            }
        }
        if n == 0 {
            return match e.error {
                Some(error) => Err(error.into()),
                None if e.eof => Ok(0),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        e.len -= n as u32;
        let peer = e.peer;
        if let Some(p) = self.ends.get_mut(&peer)
            && std::mem::take(&mut p.wants_space)
        {
            self.soon(Event::Space(peer));
        }
        Ok(n)
    }

    fn fin(&mut self, id: Id) {
        let e = self.end(id);
        if std::mem::replace(&mut e.fin_sent, true) || e.cut {
            return;
        }
        let peer = e.peer;
        let when = self.arrival(id);
        self.after(when, Event::Fin(peer));
    }

    fn close(&mut self, id: Id, abort: bool) {
        let e = self.end(id);
        if e.closed {
            return;
        }
        let unread = e.len != 0;
        let (peer, cut) = (e.peer, e.cut);
        if abort || unread {
            if !cut {
                let when = self.arrival(id);
                self.after(when, Event::Reset(peer));
            }
        } else {
            self.fin(id);
        }
        let e = self.end(id);
        e.closed = true;
        e.received.clear();
        e.len = 0;
        e.changed.notify_all();
    }
}

/// Says what the network is like from now on.
pub fn set_weather(weather: Weather) {
    net().weather = weather;
}

/// Says what can happen from now on, and how often at most: hosts and
/// controllers have to get somewhere.
pub fn set_hazards(hazards: Vec<Hazard>, budget: u32) {
    let mut n = net();
    for e in n.ends.values_mut() {
        e.harm = None;
    }
    n.hazards = hazards;
    n.budget = budget;
}

/// Says what happens, and at which byte.
pub fn set_strikes(strikes: Vec<Strike>) {
    net().strikes = strikes;
}

/// Connections so far, segments so far, and harm so far.
pub fn counts() -> (usize, u64, u64) {
    let n = net();
    (n.links, n.segments, n.harmed)
}

/// What each direction of each connection carried: its number, whether it is
/// the one from who connected, and bytes.
pub fn traffic() -> Vec<(usize, bool, u64)> {
    let n = net();
    n.ends.values().map(|e| (e.link, e.down, e.sent)).collect()
}

/// Waits until so many segments were sent; false when time ran out.
pub fn wait_segment(number: u64, time: Duration) -> bool {
    let end = Instant::now() + time;
    let mut n = net();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if n.segments >= number {
            return true;
        }
        if left.is_zero() {
            return false;
        }
        n.alarm = Some(number);
        let r = ALARM.wait_timeout(n, left);
        n = r.unwrap_or_else(PoisonError::into_inner).0;
    }
}

/// Something happens to these connections, between two bytes.
pub fn harm(links: std::ops::Range<usize>, harm: Harm) {
    let mut n = net();
    let open = n
        .ends
        .iter()
        .filter(|e| !e.1.closed && links.contains(&e.1.link));
    let ids: Vec<Id> = open.map(|e| *e.0).collect();
    for id in ids {
        match harm {
            Harm::Flip => {}
            Harm::Reset => n.soon(Event::Reset(id)),
            Harm::Truncate => n.soon(Event::Fin(id)),
            Harm::Silence => n.silence(id),
        }
    }
}

/// All connections are reset, as when a machine restarts.
pub fn reset_all() {
    let mut n = net();
    let ids: Vec<Id> = n
        .ends
        .iter()
        .filter(|e| !e.1.closed)
        .map(|e| *e.0)
        .collect();
    for id in ids {
        n.soon(Event::Reset(id));
    }
}

/// One end of a connection; dropping it closes it.
pub struct Socket(Id);

/// Descriptors of the simulator's begin here.
const FD_BASE: i32 = 0x4000_0000;

impl Socket {
    /// Connects to a listener.
    pub fn connect(to: SocketAddr) -> io::Result<Self> {
        os::sleep(Duration::from_micros(random(200)));
        let mut n = net();
        let Some(backlog) = n.listeners.get(&to.port()).cloned() else {
            return Err(io::ErrorKind::ConnectionRefused.into());
        };
        let (a, b) = (n.next, n.next + 1);
        n.next += 2;
        let link = n.links;
        n.links += 1;
        let from = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 2), 40_000 + (link % 20_000) as u16));
        for (id, peer, down, local, remote) in [(a, b, true, from, to), (b, a, false, to, from)] {
            let e = End {
                peer,
                link,
                down,
                local,
                remote,
                received: VecDeque::new(),
                len: 0,
                eof: false,
                error: None,
                in_flight: 0,
                unacked: 0,
                sent: 0,
                last: 0,
                harm: None,
                cut: false,
                fin_sent: false,
                wants_space: false,
                woken: false,
                closed: false,
                stolen: false,
                changed: Arc::default(),
            };
            n.ends.insert(id, e);
        }
        drop(n);
        let mut q = backlog
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        q.push_back(Socket(b));
        backlog.changed.notify_all();
        Ok(Socket(a))
    }

    /// Takes the connection behind a descriptor away from its streams.
    pub fn steal(fd: i32) -> Option<Self> {
        let id = usize::try_from(fd.checked_sub(FD_BASE)?).ok()?;
        let mut n = net();
        let e = n.ends.get_mut(&id)?;
        if e.stolen || e.closed {
            return None;
        }
        e.stolen = true;
        Some(Socket(id))
    }

    /// A descriptor for [`Socket::steal`].
    pub fn fd(&self) -> i32 {
        FD_BASE + self.0 as i32
    }

    /// Whether the kernel took it.
    pub fn is_stolen(&self) -> bool {
        net().end(self.0).stolen
    }

    /// The address of the other end.
    pub fn peer(&self) -> SocketAddr {
        net().end(self.0).remote
    }

    /// The address of this end.
    pub fn local(&self) -> SocketAddr {
        net().end(self.0).local
    }

    /// Receives without waiting.
    pub fn receive(&self, buf: &mut [u8]) -> io::Result<usize> {
        net().receive(self.0, buf)
    }

    /// Sends what there is room for, without waiting.
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        net().send(self.0, bytes)
    }

    /// Bytes that the peer has not acknowledged.
    pub fn unacked(&self) -> u32 {
        net().end(self.0).unacked
    }

    /// Ends a wait.
    pub fn wake(&self) {
        let mut n = net();
        let e = n.end(self.0);
        e.woken = true;
        e.changed.notify_all();
    }

    fn wait_until(&self, time: Option<Duration>, ready: impl Fn(&mut End) -> bool) -> bool {
        let end = time.map(|t| Instant::now() + t);
        let mut n = net();
        loop {
            let e = n.end(self.0);
            if ready(e) {
                return true;
            }
            let changed = e.changed.clone();
            n = match end.map(|e| e.saturating_duration_since(Instant::now())) {
                None => changed.wait(n).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return false,
                Some(left) => {
                    let r = changed.wait_timeout(n, left);
                    r.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Waits for input, an end or [`Socket::wake`]; false when time ran out.
    pub fn wait_input(&self, time: Option<Duration>) -> bool {
        self.wait_until(time, |e| {
            let woken = std::mem::take(&mut e.woken);
            woken || e.len != 0 || e.eof || e.error.is_some()
        })
    }

    /// Sends all of it, unless the connection ends.
    pub fn send_all(&self, mut bytes: &[u8], time: Duration) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.send(bytes) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let wanted = |e: &mut End| !e.wants_space || e.error.is_some();
                    if !self.wait_until(Some(time), wanted) {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// No more is sent.
    pub fn close_write(&self) {
        net().fin(self.0);
    }

    /// No more is sent or received.
    pub fn shut_down(&self) {
        let mut n = net();
        n.fin(self.0);
        let e = n.end(self.0);
        e.eof = true;
        e.changed.notify_all();
    }

    /// Ends the connection with a reset.
    pub fn abort(&self) {
        net().close(self.0, true);
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        net().close(self.0, false);
    }
}

#[derive(Default)]
struct Backlog {
    waiting: Mutex<VecDeque<Socket>>,
    changed: Condvar,
}

/// A listening socket; dropping it refuses who waits.
pub struct Listener {
    addr: SocketAddr,
    backlog: Arc<Backlog>,
}

impl Listener {
    /// Listens on the port of an address, or on any.
    pub fn bind(addr: SocketAddr) -> Self {
        let mut n = net();
        let taken = |p: &u16| n.listeners.contains_key(p);
        let port = match addr.port() {
            0 => (4420..).find(|p| !taken(p)).unwrap_or(0),
            p => p,
        };
        let backlog = Arc::<Backlog>::default();
        n.listeners.insert(port, backlog.clone());
        let addr = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port));
        Listener { addr, backlog }
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection, if one comes in time.
    pub fn accept(&self, time: Duration) -> Option<Socket> {
        let b = &self.backlog;
        let mut q = b.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if q.is_empty() {
            let r = b.changed.wait_timeout(q, time);
            q = r.unwrap_or_else(PoisonError::into_inner).0;
        }
        q.pop_front()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        net().listeners.remove(&self.addr.port());
        let mut q = self
            .backlog
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for s in std::mem::take(&mut *q) {
            s.abort();
        }
    }
}
