// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the daemon of a controller does: it accepts connections, answers
//! Initialize Connection, takes Connect, and hands the queue to the kernel.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::discovery;
use crate::handshake;
use crate::nv::{List, Owned};
use crate::os;
use crate::os::net::{Listener, Stream};
use crate::pdu::{Builder, Format, kind};
use crate::peer::Peer;
use crate::userland::{DISCOVERY_NQN, Entry, Error, Result, TRTYPE_TCP, text};

/// The controller's limit on data in a PDU of the host's.
const MAXH2CDATA: u32 = 256 << 10;

/// One connection to a controller: the handshake, then the kernel's.
pub fn accept(
    stream: impl Into<Stream>,
    digests: u8,
    entries: &[Entry],
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let stream = stream.into();
    stream.set_nodelay(true)?;
    let mut peer = Peer::new(stream.try_clone()?);
    let asked = handshake::icreq(&mut peer)?;
    let granted = asked.digests & digests;
    let icresp = Builder::new(Format::default(), kind::ICRESP, 0, 128, &[])
        .u8(11, granted)
        .u32(12, MAXH2CDATA);
    peer.send(&icresp.bytes());
    let f = Format {
        hdgst: granted & 1 != 0,
        ddgst: granted & 2 != 0,
        align: (asked.hpda + 1) * 4,
    };
    let c = handshake::connect(&mut peer, f, entries)?;
    let sqe = &c.header[8..72];
    let (qid, sqsize) = (c.u16(8 + 42), c.u16(8 + 44));
    if text(&c.data[256..512]) == DISCOVERY_NQN {
        return discovery::serve(&mut peer, f, &c, entries, stop);
    }
    let mut params = List::new();
    params
        .bool("admin", qid == 0)
        .bool("sq_flow_control", sqe[46] & 4 == 0)
        .number("qsize", u64::from(sqsize) + 1)
        .number("sqhd", 1)
        .number("rxpda", 4)
        .number("txpda", f.align.into())
        .bool("header_digests", f.hdgst)
        .bool("data_digests", f.ddgst)
        .number("maxr2t", asked.maxr2t.into())
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
    thread: Option<os::JoinHandle<()>>,
}

impl Daemon {
    /// Listens on an address; the discovery service says that one too.
    pub fn start(addr: &str, digests: u8, subnqn: &str) -> io::Result<Self> {
        Self::start_as(addr, None, digests, subnqn)
    }

    /// The same; the discovery service says another address.
    pub fn start_as(
        addr: &str,
        advertised: Option<&str>,
        digests: u8,
        subnqn: &str,
    ) -> io::Result<Self> {
        let listener = Listener::bind(addr)?;
        let addr = listener.local_addr()?;
        let entries = Arc::new(vec![Entry {
            subnqn: subnqn.into(),
            traddr: advertised.map_or_else(|| addr.ip().to_string(), Into::into),
            trsvcid: addr.port().to_string(),
        }]);
        let stop = Arc::new(AtomicBool::new(false));
        let flag = stop.clone();
        let thread = os::spawn("nvmfd", move || {
            let mut workers: Vec<os::JoinHandle<()>> = Vec::new();
            while !flag.load(Ordering::Acquire) {
                let Some((s, from)) = listener.accept() else {
                    continue;
                };
                // One thread each: a slow host holds up nobody.
                let (entries, ending) = (entries.clone(), flag.clone());
                let t = os::spawn("nvmfd handoff", move || {
                    let stop = || ending.load(Ordering::Acquire);
                    if let Err(e) = accept(s, digests, &entries, &stop)
                        && std::env::var_os("HOSTED_VERBOSE").is_some()
                    {
                        eprintln!("nvmfd: {from}: {e}");
                    }
                });
                workers.retain(|w| !w.is_finished());
                workers.extend(t);
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
