// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Ends of connections, and what is under way between them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Weather;
use super::harm::{Harm, Hazard, Strike};
use super::socket::Backlog;
use crate::context::no_sleep;
use crate::mbuf::Piece;
use crate::os::{self, Condvar, Instant, Mutex, MutexGuard};
use crate::sim::sched;

pub(super) type Id = usize;

pub(super) struct End {
    pub(super) peer: Id,
    pub(super) link: usize,
    pub(super) down: bool,
    pub(super) local: SocketAddr,
    pub(super) remote: SocketAddr,
    pub(super) received: VecDeque<Piece>,
    /// Bytes of `received`.
    pub(super) len: u32,
    pub(super) eof: bool,
    pub(super) error: Option<io::ErrorKind>,
    /// Sent to the peer and not there yet.
    pub(super) in_flight: u32,
    /// Sent, and not known to be there.
    pub(super) unacked: u32,
    pub(super) sent: u64,
    /// When the last segment arrives: they stay in order.
    pub(super) last: u64,
    pub(super) harm: Option<(u64, Harm)>,
    /// What is sent goes nowhere.
    pub(super) cut: bool,
    pub(super) fin_sent: bool,
    pub(super) wants_space: bool,
    pub(super) woken: bool,
    pub(super) closed: bool,
    /// It belongs to the kernel.
    pub(super) stolen: bool,
    pub(super) changed: Arc<Condvar>,
}

pub(super) enum Event {
    Data(Id, Vec<Piece>),
    Fin(Id),
    Reset(Id),
    Ack(Id, u32),
    Space(Id),
}

pub(super) struct Network {
    pub(super) weather: Weather,
    pub(super) hazards: Vec<Hazard>,
    /// How often they strike until there is peace.
    pub(super) budget: u32,
    pub(super) strikes: Vec<Strike>,
    pub(super) ends: BTreeMap<Id, End>,
    pub(super) next: Id,
    pub(super) links: usize,
    pub(super) listeners: BTreeMap<u16, Arc<Backlog>>,
    pub(super) events: BTreeMap<(u64, u64), Event>,
    pub(super) turns: u64,
    /// Segments sent.
    pub(super) segments: u64,
    /// At this one somebody is told.
    pub(super) alarm: Option<u64>,
    pub(super) harmed: u64,
    pub(super) wire: bool,
    /// What nobody received.
    forgotten: Vec<Piece>,
}

static NET: Mutex<Network> = Mutex::new(Network {
    weather: Weather {
        delay_us: 100,
        ack_us: 0,
        segment: 64 << 10,
        window: 256 << 10,
        partial: false,
        loopback: false,
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
    forgotten: Vec::new(),
});
static EVENTS: Condvar = Condvar::new();
pub(super) static ALARM: Condvar = Condvar::new();

pub(super) type Net = MutexGuard<'static, Network>;

pub(super) fn net() -> Net {
    NET.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn random(below: u64) -> u64 {
    (sched::random().unwrap_or(0) >> 16) % below.max(1)
}

fn now() -> u64 {
    Instant::now().as_us()
}

/// Takes the first bytes off.
fn front(pieces: &mut VecDeque<Piece>, len: usize) -> Vec<Piece> {
    let mut taken = Vec::new();
    let mut left = len;
    while left != 0
        && let Some(first) = pieces.front_mut()
    {
        let piece = if first.len() <= left {
            pieces.pop_front()
        } else {
            Some(first.split_front(left))
        };
        left -= piece.as_ref().map_or(left, Piece::len);
        taken.extend(piece);
    }
    taken
}

/// Carries what is under way.
fn run_wire() {
    let mut n = net();
    loop {
        let forgotten = std::mem::take(&mut n.forgotten);
        if !forgotten.is_empty() {
            drop(n);
            forgotten.iter().for_each(Piece::check);
            no_sleep("an mbuf free routine", || drop(forgotten));
            n = net();
            continue;
        }
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
    pub(super) fn end(&mut self, id: Id) -> &mut End {
        self.ends.get_mut(&id).expect("an end of a connection")
    }

    pub(super) fn after(&mut self, when: u64, e: Event) {
        if !self.wire {
            self.wire = true;
            os::spawn("wire", run_wire).expect("a thread");
        }
        self.turns += 1;
        self.events.insert((when, self.turns), e);
        EVENTS.notify_one();
    }

    pub(super) fn soon(&mut self, e: Event) {
        let when = now() + random(self.weather.delay_us + 1);
        self.after(when, e);
    }

    /// When the next thing that an end sends arrives.
    pub(super) fn arrival(&mut self, id: Id) -> u64 {
        let delay = random(self.weather.delay_us + 1);
        let e = self.end(id);
        e.last = e.last.max(now() + delay);
        e.last
    }

    pub(super) fn apply(&mut self, e: Event) {
        match e {
            Event::Data(to, pieces) => {
                let n = pieces.iter().map(|p| p.len() as u32).sum();
                let Some(e) = self.ends.get_mut(&to) else {
                    return;
                };
                let peer = e.peer;
                if e.closed {
                    self.soon(Event::Reset(peer));
                    return self.forget(pieces);
                }
                if e.error.is_some() || e.eof {
                    return self.forget(pieces);
                }
                e.len += n;
                e.received.extend(pieces);
                e.changed.notify_all();
                if let Some(p) = self.ends.get_mut(&peer) {
                    p.in_flight = p.in_flight.saturating_sub(n);
                    let late = random(self.weather.delay_us + self.weather.ack_us + 1);
                    self.after(now() + late, Event::Ack(peer, n));
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

    /// What nobody receives is freed by the wire, where no lock is held.
    fn forget(&mut self, pieces: impl IntoIterator<Item = Piece>) {
        self.forgotten.extend(pieces);
        if !self.forgotten.is_empty() {
            EVENTS.notify_one();
        }
    }

    /// The sender has what it sends until it hears that it has arrived.
    pub(super) fn send(&mut self, id: Id, pieces: Vec<Piece>) -> io::Result<usize> {
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
        let total: usize = pieces.iter().map(Piece::len).sum();
        let mut n = total.min(room as usize);
        if n == 0 {
            self.end(id).wants_space = true;
            return Err(io::ErrorKind::WouldBlock.into());
        }
        if self.weather.partial && random(4) == 0 {
            n = 1 + random(n as u64) as usize;
        }
        let mut rest: VecDeque<Piece> = if self.weather.loopback {
            pieces.into()
        } else {
            let copy = |p: &Piece| Piece::own(p.bytes().to_vec());
            pieces.iter().map(copy).collect()
        };
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
            at += len;
            if !self.segment(id, front(&mut rest, len)) {
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
    fn segment(&mut self, id: Id, mut pieces: Vec<Piece>) -> bool {
        if self.weather.loopback {
            pieces.iter_mut().for_each(Piece::seal);
        }
        self.draw_harm(id);
        self.segments += 1;
        if self.alarm.is_some_and(|a| a <= self.segments) {
            self.alarm = None;
            ALARM.notify_all();
        }
        let when = self.arrival(id);
        let e = self.end(id);
        let (start, peer) = (e.sent, e.peer);
        let len = pieces.iter().map(|p| p.len() as u64).sum();
        e.sent += len;
        e.in_flight += len as u32;
        e.unacked += len as u32;
        sched::note(id as u64, len);
        let e = self.end(id);
        let Some((at, harm)) = e.harm.filter(|(at, _)| *at < start + len) else {
            self.after(when, Event::Data(peer, pieces));
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
        let mut pieces = VecDeque::from(pieces);
        if harm == Harm::Flip {
            let mut bytes: Vec<u8> = pieces.iter().flat_map(Piece::bytes).copied().collect();
            bytes[keep] ^= 1 << random(8);
            self.after(when, Event::Data(peer, vec![Piece::own(bytes)]));
            return true;
        }
        let kept = front(&mut pieces, keep);
        if !kept.is_empty() {
            self.after(when, Event::Data(peer, kept));
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

    pub(super) fn receive(&mut self, id: Id, want: usize) -> io::Result<Vec<Piece>> {
        let partial = self.weather.partial && random(3) == 0;
        let e = self.end(id);
        let want = if partial {
            1 + random(want as u64) as usize
        } else {
            want
        };
        let pieces = front(&mut e.received, want);
        if pieces.is_empty() {
            return match e.error {
                Some(error) => Err(error.into()),
                None if e.eof => Ok(pieces),
                None => Err(io::ErrorKind::WouldBlock.into()),
            };
        }
        e.len -= pieces.iter().map(|p| p.len() as u32).sum::<u32>();
        let peer = e.peer;
        if let Some(p) = self.ends.get_mut(&peer)
            && std::mem::take(&mut p.wants_space)
        {
            self.soon(Event::Space(peer));
        }
        Ok(pieces)
    }

    pub(super) fn fin(&mut self, id: Id) {
        let e = self.end(id);
        if std::mem::replace(&mut e.fin_sent, true) || e.cut {
            return;
        }
        let peer = e.peer;
        let when = self.arrival(id);
        self.after(when, Event::Fin(peer));
    }

    pub(super) fn close(&mut self, id: Id, abort: bool) {
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
        e.len = 0;
        e.changed.notify_all();
        let unread = std::mem::take(&mut e.received);
        self.forget(unread);
    }
}
