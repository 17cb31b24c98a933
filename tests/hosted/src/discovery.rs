// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A discovery controller, as far as hosts of other systems need it: Identify,
//! the log, keep-alive, and event requests that are held.

use std::time::Duration;

use crate::os::Instant;
use crate::pdu::{self, Format, Raw, kind};
use crate::peer::{End, Peer};
use crate::userland::{DISCOVERY_NQN, Entry, Error, Result};

/// A host that says nothing is sent away after this time, unless it asked for
/// another.
const IDLE: Duration = Duration::from_secs(120);
/// How long it may take to notice that the daemon ends.
const POLL: Duration = Duration::from_millis(100);
/// The controller ID that every host gets.
const CNTLID: u16 = 1;
const CAP: u64 = 1 << 37 | 0x0f << 24 | 1 << 16 | 0x3f;
const VS: u32 = 0x0001_0400;
/// The most entries of an admin queue (ASQSZ).
pub const ADMIN_ENTRIES: u16 = 32;
const LOG_DISCOVERY: u8 = 0x70;
const FEATURE_EVENTS: u8 = 0x0b;
const FEATURE_KATO: u8 = 0x0f;
/// Most bytes of one Get Log Page.
const MAX_DATA: usize = 1 << 20;
/// Most Asynchronous Event Requests.
const EVENTS: usize = 4;

const INVALID_OPCODE: u16 = 0x001;
const INVALID_FIELD: u16 = 0x002;
const SEQUENCE_ERROR: u16 = 0x00c;
const TOO_MANY_EVENTS: u16 = 0x105;
const INVALID_PARAMETERS: u16 = 0x182;

fn put(b: &mut [u8], at: usize, bytes: &[u8]) {
    b[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A field that is padded with spaces.
fn text(b: &mut [u8], at: usize, len: usize, s: &str) {
    b[at..at + len].fill(b' ');
    put(b, at, s.as_bytes());
}

fn identify() -> Vec<u8> {
    let mut b = vec![0; 4096];
    text(&mut b, 4, 20, "HOSTED");
    text(&mut b, 24, 40, "nvmf-rs discovery");
    text(&mut b, 64, 8, "1");
    put(&mut b, 78, &CNTLID.to_le_bytes());
    put(&mut b, 80, &VS.to_le_bytes());
    b[111] = 2; // CNTRLTYPE: discovery
    b[259] = EVENTS as u8 - 1;
    b[261] = 1 << 2; // LPA: any offset
    put(&mut b, 320, &10u16.to_le_bytes()); // KAS, 100 ms each
    b[512] = 0x66;
    b[513] = 0x44;
    put(&mut b, 514, &64u16.to_le_bytes()); // MAXCMD
    put(&mut b, 536, &0x0030_0001u32.to_le_bytes()); // SGLS
    put(&mut b, 768, DISCOVERY_NQN.as_bytes());
    put(&mut b, 1792, &4u32.to_le_bytes()); // IOCCSZ
    put(&mut b, 1796, &1u32.to_le_bytes()); // IORCSZ
    b[1803] = 1; // MSDBD
    b
}

fn log(entries: &[Entry]) -> Vec<u8> {
    let mut log = vec![0; 1024];
    put(&mut log, 8, &(entries.len() as u64).to_le_bytes());
    for e in entries {
        let mut b = vec![0; 1024];
        let family = if e.traddr.contains(':') { 2 } else { 1 };
        put(&mut b, 0, &[3, family, 2, 0]);
        put(&mut b, 4, &[1, 0, 0xff, 0xff]);
        put(&mut b, 8, &ADMIN_ENTRIES.to_le_bytes());
        text(&mut b, 32, 32, &e.trsvcid);
        put(&mut b, 256, e.subnqn.as_bytes());
        text(&mut b, 512, 256, &e.traddr);
        log.extend(b);
    }
    log
}

struct Controller {
    log: Vec<u8>,
    cc: u32,
    kato: u32,
    held: usize,
    event_config: u32,
}

/// What becomes of a command.
enum Outcome {
    Done(u64),
    Data(Vec<u8>),
    Fail(u16),
    Held,
}

impl Controller {
    /// CSTS: ready as soon as enabled, and shut down as soon as asked.
    fn csts(&self) -> u32 {
        let shut_down = self.cc >> 14 & 3 != 0;
        self.cc & 1 | u32::from(shut_down) << 3
    }

    fn execute(&mut self, c: &Raw) -> Outcome {
        let (opcode, fctype) = (c.header[8], c.header[12]);
        let dword = |n: usize| c.u32(8 + 4 * n);
        if opcode != 0x7f && self.cc & 1 == 0 {
            return Outcome::Fail(SEQUENCE_ERROR);
        }
        match (opcode, fctype) {
            (0x7f, 4) => match dword(11) {
                0 => Outcome::Done(CAP),
                8 => Outcome::Done(VS.into()),
                0x14 => Outcome::Done(self.cc.into()),
                0x1c => Outcome::Done(self.csts().into()),
                _ => Outcome::Fail(INVALID_FIELD),
            },
            (0x7f, 0) if dword(11) == 0x14 => {
                self.cc = dword(12);
                Outcome::Done(0)
            }
            (0x7f, _) => Outcome::Fail(INVALID_FIELD),
            (0x02, _) => self.log_page(c),
            (0x06, _) if dword(10) as u8 == 1 && dword(8) == 4096 => Outcome::Data(identify()),
            (0x06, _) => Outcome::Fail(INVALID_FIELD),
            (0x09, _) => match dword(10) as u8 {
                FEATURE_EVENTS => {
                    self.event_config = dword(11);
                    Outcome::Done(0)
                }
                FEATURE_KATO => {
                    self.kato = dword(11);
                    Outcome::Done(0)
                }
                _ => Outcome::Fail(INVALID_FIELD),
            },
            (0x0a, _) => match dword(10) as u8 {
                FEATURE_EVENTS => Outcome::Done(self.event_config.into()),
                FEATURE_KATO => Outcome::Done(self.kato.into()),
                _ => Outcome::Fail(INVALID_FIELD),
            },
            (0x0c, _) if self.held == EVENTS => Outcome::Fail(TOO_MANY_EVENTS),
            (0x0c, _) => {
                self.held += 1;
                Outcome::Held
            }
            (0x18, _) => Outcome::Done(0),
            _ => Outcome::Fail(INVALID_OPCODE),
        }
    }

    fn log_page(&self, c: &Raw) -> Outcome {
        let dword = |n: usize| c.u32(8 + 4 * n);
        let dwords = u64::from(dword(10) >> 16) | u64::from(dword(11) & 0xffff) << 16;
        let len = (dwords + 1) * 4;
        let from = u64::from(dword(12)) | u64::from(dword(13)) << 32;
        let fits = len <= MAX_DATA as u64 && len == u64::from(dword(8));
        let fits = fits && from.is_multiple_of(4) && from <= self.log.len() as u64;
        if dword(10) as u8 != LOG_DISCOVERY || !fits {
            return Outcome::Fail(INVALID_FIELD);
        }
        // What follows the last entry reads as zeroes.
        let rest = self.log.iter().skip(from as usize);
        let padded = rest.copied().chain(std::iter::repeat(0));
        Outcome::Data(padded.take(len as usize).collect())
    }

    fn patience(&self) -> Duration {
        match self.kato {
            0 => IDLE,
            ms => Duration::from_millis(ms.into()),
        }
    }
}

/// Answers a Connect to the discovery service, and serves the host until it
/// leaves, says nothing for too long, or `stop` says so.
pub fn serve(
    peer: &mut Peer,
    f: Format,
    connect: &Raw,
    entries: &[Entry],
    stop: &dyn Fn() -> bool,
) -> Result<()> {
    let admin = connect.u16(8 + 42) == 0;
    let status = if admin { 0 } else { INVALID_PARAMETERS };
    let mut cqe = pdu::cqe(connect.u16(10), status);
    put(&mut cqe, 0, &CNTLID.to_le_bytes());
    peer.send(&pdu::response(f, &cqe).bytes());
    if !admin {
        return Ok(());
    }
    let mut ctrl = Controller {
        log: log(entries),
        cc: 0,
        kato: connect.u32(8 + 48),
        held: 0,
        event_config: 0,
    };
    let mut heard = Instant::now();
    while !stop() {
        let c = match peer.receive_within(POLL) {
            Ok(c) => c,
            Err(End::Closed | End::Reset) => return Ok(()),
            Err(End::Timeout) if heard.elapsed() < ctrl.patience() => continue,
            Err(e) => return Err(e.into()),
        };
        heard = Instant::now();
        if c.kind() != kind::CMD || c.header.len() != 72 || !c.digests_ok {
            return Err(Error::Protocol("no command".into()));
        }
        let cid = c.u16(10);
        let mut cqe = pdu::cqe(cid, 0);
        match ctrl.execute(&c) {
            Outcome::Done(value) => put(&mut cqe, 0, &value.to_le_bytes()),
            Outcome::Data(data) => {
                let pdu = pdu::c2h_data(f, pdu::flag::LAST, cid, 0, &data);
                peer.send(&pdu.bytes());
            }
            Outcome::Fail(status) => cqe = pdu::cqe(cid, status),
            Outcome::Held => continue,
        }
        peer.send(&pdu::response(f, &cqe).bytes());
    }
    Ok(())
}
