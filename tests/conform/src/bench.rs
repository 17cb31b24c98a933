// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Associations of a host under test: one after the other, each with at most
//! one thing that is not as it should be.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rawpeer::pdu::{Builder, Format, Raw, kind};
use rawpeer::peer::Peer;

use crate::case::{Outcome, Problem, end_text, fail, skip};
use crate::honest::{Honest, Next};
use crate::judge::Seen;
use crate::link::{Cmd, Link, MAXH2CDATA};

/// What a case does to an association.
#[derive(Clone, Copy)]
pub enum Act {
    /// Nothing: it is served well until the host leaves.
    Nothing,
    /// Answers the first ICReq in another way. `None`: the right ICResp was
    /// sent with other parameters, and the association goes on.
    Setup(fn(&mut Link, &Raw) -> Option<Outcome>),
    /// Sees every command first; the first outcome ends the association.
    Command(fn(&Honest, &mut Link, &Cmd) -> Option<Outcome>),
    /// The same; that the host leaves without an outcome, or does nothing
    /// for a while, is right too.
    Watch(fn(&Honest, &mut Link, &Cmd) -> Option<Outcome>),
}

/// What an association must be like for a case.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Digests that the host must ask for, and that alone are granted;
    /// `None`: all that it asks for.
    pub digests: Option<u8>,
    /// SQ flow control.
    pub flow_control: Option<bool>,
}

/// Where hosts come to.
pub struct Bench {
    listener: TcpListener,
    /// The address.
    pub addr: SocketAddr,
    /// The controller.
    pub honest: Honest,
    /// Makes the host connect.
    pub run: Option<String>,
    /// How long to wait for a connection.
    pub wait: Duration,
    /// How long to wait for what must come.
    pub patience: Duration,
    /// How long a host may keep a connection.
    pub linger: Duration,
}

/// One association.
struct Association<'a> {
    bench: &'a Bench,
    act: Act,
    wish: Wish,
    over: AtomicBool,
    /// The association is not what the case needs.
    unfit: AtomicBool,
    verdict: Mutex<Option<Outcome>>,
    /// A host has sent its first PDU.
    spoke: AtomicBool,
    links: AtomicUsize,
}

/// How an association ended.
pub enum Ended {
    /// The case came to a verdict.
    Verdict(Outcome),
    /// The host left before the case could act.
    Left,
    /// The host does not ask for what the case needs.
    Unfit,
    /// Nobody came.
    Nobody,
}

impl Bench {
    /// Listens.
    pub fn new(
        addr: SocketAddr,
        honest: Honest,
        run: Option<String>,
        times: [Duration; 3],
    ) -> std::io::Result<Self> {
        let listener = TcpListener::bind(addr)?;
        listener.set_nonblocking(true)?;
        let [wait, patience, linger] = times;
        Ok(Bench {
            addr: listener.local_addr()?,
            listener,
            honest,
            run,
            wait,
            patience,
            linger,
        })
    }

    fn start(&self) -> Result<Option<Child>, Problem> {
        let Some(line) = &self.run else {
            return Ok(None);
        };
        let child = Command::new("sh")
            .args(["-c", line])
            .env("ADDR", self.addr.ip().to_string())
            .env("PORT", self.addr.port().to_string())
            .env("NQN", &self.honest.subnqn)
            .stdin(Stdio::null())
            .spawn();
        match child {
            Ok(c) => Ok(Some(c)),
            Err(e) => fail(format!("{line}: {e}")),
        }
    }

    fn stop(&self, child: Option<Child>) {
        let Some(mut child) = child else { return };
        let end = Instant::now() + self.linger;
        while let Ok(None) = child.try_wait() {
            if Instant::now() > end {
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Serves one association.
    pub fn associate(&self, act: Act, wish: Wish) -> Result<Ended, Problem> {
        self.honest.fresh();
        let a = Association {
            bench: self,
            act,
            wish,
            over: AtomicBool::new(false),
            unfit: AtomicBool::new(false),
            verdict: Mutex::new(None),
            spoke: AtomicBool::new(false),
            links: AtomicUsize::new(0),
        };
        if self.run.is_some() {
            // What an earlier command left behind is nobody.
            while self.listener.accept().is_ok() {}
        }
        let child = self.start()?;
        std::thread::scope(|s| {
            let end = Instant::now() + self.wait;
            let mut start = None;
            loop {
                match self.listener.accept() {
                    Ok((stream, _)) => {
                        start.get_or_insert_with(Instant::now);
                        a.links.fetch_add(1, Ordering::AcqRel);
                        let a = &a;
                        s.spawn(move || {
                            a.link(stream);
                            a.links.fetch_sub(1, Ordering::AcqRel);
                        });
                    }
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
                let idle = a.links.load(Ordering::Acquire) == 0;
                let spoke = a.spoke.load(Ordering::Acquire);
                if a.over.load(Ordering::Acquire) || (spoke && idle) {
                    break;
                }
                if !spoke && Instant::now() > end {
                    break;
                }
                let long = start.is_some_and(|s| s.elapsed() > self.patience);
                if long && matches!(act, Act::Watch(_)) {
                    a.decide(Ok("nothing of the kind".into()));
                }
            }
            // Other connections of the association end with it.
            a.over.store(true, Ordering::Release);
        });
        self.stop(child);
        let verdict = a.verdict.into_inner().unwrap_or_default();
        Ok(match verdict {
            Some(v) => Ended::Verdict(v),
            None if !a.spoke.into_inner() => Ended::Nobody,
            None if a.unfit.into_inner() => Ended::Unfit,
            None if matches!(act, Act::Watch(_)) => {
                Ended::Verdict(Ok("nothing of the kind, the host leaves".into()))
            }
            None => Ended::Left,
        })
    }
}

impl Association<'_> {
    fn decide(&self, outcome: Outcome) {
        if let Ok(mut v) = self.verdict.lock() {
            v.get_or_insert(outcome);
        }
        self.over.store(true, Ordering::Release);
    }

    fn link(&self, stream: TcpStream) {
        let ready = stream
            .set_nonblocking(false)
            .and_then(|()| stream.set_nodelay(true));
        if ready.is_err() {
            return;
        }
        let mut link = Link::new(Peer::new(stream), self.bench.patience);
        if let Err(Problem::Fail(e)) = self.serve(&mut link) {
            self.decide(fail(e));
        }
    }

    fn serve(&self, link: &mut Link) -> Result<(), Problem> {
        let icreq = match link.next(self.bench.patience) {
            Seen::Pdu(r) => r,
            // A look whether there is somebody: no host.
            Seen::End(_) => return Ok(()),
        };
        let first = !self.spoke.swap(true, Ordering::AcqRel);
        check_icreq(&icreq)?;
        let mut acted = None;
        if let (Act::Setup(act), true) = (self.act, first) {
            acted = Some(act(link, &icreq));
        }
        match acted {
            Some(Some(outcome)) => {
                self.decide(outcome);
                return Ok(());
            }
            Some(None) => {}
            None => {
                let asked = icreq.header[11] & 3;
                let grant = match self.wish.digests {
                    None => asked,
                    Some(d) if d & !asked == 0 => d,
                    // Served all the same.
                    Some(_) => {
                        self.unfit.store(true, Ordering::Release);
                        asked
                    }
                };
                answer(link, &icreq, 0, grant);
            }
        }
        self.commands(link)
    }

    fn commands(&self, link: &mut Link) -> Result<(), Problem> {
        loop {
            if self.over.load(Ordering::Acquire) {
                return Ok(());
            }
            let r = match link.next(Duration::from_millis(20)) {
                Seen::Pdu(r) => r,
                Seen::End(rawpeer::peer::End::Timeout) => continue,
                Seen::End(rawpeer::peer::End::Garbage) => {
                    return fail(end_text(rawpeer::peer::End::Garbage));
                }
                Seen::End(_) => return Ok(()),
            };
            let cmd = link.command(&r)?;
            if let Act::Command(act) | Act::Watch(act) = self.act
                && self.fits(link)
                && let Some(outcome) = act(&self.bench.honest, link, &cmd)
            {
                self.decide(outcome);
                return Ok(());
            }
            if self.bench.honest.serve(link, &cmd)? == Next::Leave {
                return Ok(());
            }
        }
    }

    fn fits(&self, link: &Link) -> bool {
        let unfit = self.unfit.load(Ordering::Acquire);
        if unfit {
            return false;
        }
        match (self.wish.flow_control, link.qid) {
            (Some(wanted), Some(_)) if wanted != link.flow_control => {
                self.unfit.store(true, Ordering::Release);
                false
            }
            _ => true,
        }
    }
}

fn check_icreq(r: &Raw) -> Result<(), Problem> {
    if r.kind() != kind::ICREQ || r.header.len() != 128 {
        return fail(format!("{} instead of an ICReq", Seen::Pdu(r.clone())));
    }
    let wrong = if r.flags() != 0 {
        "flags"
    } else if r.header[3] != 0 {
        "a PDO"
    } else if r.u16(8) != 0 {
        "a PFV"
    } else if r.header[10] > 31 {
        "an HPDA over 31"
    } else if r.header[11] & !3 != 0 || r.header[16..] != [0; 112] {
        "reserved bits that are not zero"
    } else {
        return Ok(());
    };
    fail(format!("an ICReq with {wrong}"))
}

/// An ICResp that is right.
pub fn icresp(cpda: u8, digests: u8) -> Builder {
    Builder::new(Format::default(), kind::ICRESP, 0, 128, &[])
        .u8(10, cpda)
        .u8(11, digests)
        .u32(12, MAXH2CDATA)
}

/// Answers an ICReq, and remembers what was agreed.
pub fn answer(link: &mut Link, icreq: &Raw, cpda: u8, digests: u8) {
    link.send(&icresp(cpda, digests).bytes());
    agree(link, icreq, cpda, digests);
}

/// Remembers what was agreed.
pub fn agree(link: &mut Link, icreq: &Raw, cpda: u8, digests: u8) {
    link.format = Format {
        hdgst: digests & 1 != 0,
        ddgst: digests & 2 != 0,
        align: (icreq.header[10] + 1) * 4,
    };
    link.maxr2t = icreq.u32(12);
    link.cpda = (u32::from(cpda) + 1) * 4;
}

/// Associations that a case may need until one fits.
const TRIES: usize = 4;

impl Bench {
    /// Runs a case: serves associations until one fits.
    pub fn try_case(&self, act: Act, wish: Wish) -> Outcome {
        let mut why = "";
        for _ in 0..TRIES {
            match self.associate(act, wish)? {
                Ended::Verdict(v) => return v,
                Ended::Nobody => return fail("no host has connected"),
                Ended::Unfit => why = "the host does not ask for what the case needs",
                Ended::Left => why = "the host has not done what the case waits for",
            }
        }
        skip(why)
    }

    /// Whether the host still connects and works: what every case must leave
    /// behind.
    pub fn survives(&self) -> Outcome {
        for _ in 0..TRIES {
            match self.associate(Act::Nothing, Wish::default())? {
                Ended::Verdict(Err(Problem::Fail(e))) => return fail(e),
                Ended::Nobody => return fail("the host does not come again"),
                _ => {}
            }
            let h = &self.honest;
            let n = h.reads.load(Ordering::Relaxed) + h.writes.load(Ordering::Relaxed);
            if n != 0 {
                return Ok(format!("{n} reads and writes"));
            }
        }
        fail("the host connects, and neither reads nor writes")
    }
}
