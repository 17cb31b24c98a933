// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Initialize Connection and Connect, judged: what is wrong with what a peer
//! sent, and how it has to be told (TCP 3.1, 3.5, 3.6.2; Base 6.3).

use std::time::Duration;

use crate::discovery::ADMIN_ENTRIES;
use crate::pdu::{self, Raw, kind};
use crate::peer::Peer;
use crate::userland::{CONNECT_LEN, DISCOVERY_NQN, Entry, Error, Result, STEP, protocol};

/// Length of both Initialize Connection PDUs.
const IC_LEN: usize = 128;
/// How long a peer may take to close a connection that is over.
const CLOSING: Duration = Duration::from_secs(1);

/// Fatal Error Status and Fatal Error Information.
type Fault = (u16, u32);

const fn field(at: u32) -> Option<Fault> {
    Some((1, at))
}

/// What is wrong with the common header of an Initialize Connection PDU.
fn common(h: &[u8], wanted: u8) -> Option<Fault> {
    let plen = u32::from_le_bytes([h[4], h[5], h[6], h[7]]);
    if h[0] != wanted {
        field(0)
    } else if h[1] != 0 {
        field(1)
    } else if usize::from(h[2]) != IC_LEN {
        field(2)
    } else if h[3] != 0 {
        field(3)
    } else if plen as usize != IC_LEN {
        field(4)
    } else {
        None
    }
}

/// What is wrong with the rest: PFV and the alignment.
fn specific(h: &[u8]) -> Option<Fault> {
    if h[8..10] != [0; 2] {
        return Some((6, 8));
    }
    if h[10] > 31 { field(10) } else { None }
}

/// Tells a peer what was wrong with its PDU, and waits until it has closed.
fn terminate(peer: &mut Peer, from_host: bool, fault: Fault, header: &[u8]) -> Error {
    let (fes, fei) = fault;
    // A Terminate Connection Request is never answered with another one.
    if !matches!(header[0], kind::H2C_TERM | kind::C2H_TERM) {
        let k = if from_host {
            kind::H2C_TERM
        } else {
            kind::C2H_TERM
        };
        peer.send(&pdu::term_req(k, fes, fei, header));
    }
    close(peer);
    Error::Protocol(format!(
        "an Initialize Connection PDU with FES {fes} FEI {fei}"
    ))
}

/// Lets the peer read what was sent before the connection goes.
pub fn close(peer: &mut Peer) {
    peer.close_write();
    peer.drain(CLOSING);
}

/// Receives an Initialize Connection PDU; judges it from the first bytes on
/// that tell something, so that nobody waits for what may never come.
fn receive(
    peer: &mut Peer,
    wanted: u8,
    judge: impl FnOnce(&[u8]) -> Option<Fault>,
) -> Result<Vec<u8>> {
    let from_host = wanted == kind::ICRESP;
    let mut h = peer.receive_exact(8, STEP)?;
    if let Some(fault) = common(&h, wanted) {
        return Err(terminate(peer, from_host, fault, &h));
    }
    h.extend(peer.receive_exact(IC_LEN - 8, STEP)?);
    match judge(&h) {
        Some(fault) => Err(terminate(peer, from_host, fault, &h)),
        None => Ok(h),
    }
}

/// What a host asks for.
#[derive(Clone, Copy, Debug)]
pub struct IcReq {
    /// HPDA.
    pub hpda: u8,
    /// Digests.
    pub digests: u8,
    /// MAXR2T.
    pub maxr2t: u32,
}

/// Receives an ICReq.
pub fn icreq(peer: &mut Peer) -> Result<IcReq> {
    let h = receive(peer, kind::ICREQ, specific)?;
    Ok(IcReq {
        hpda: h[10],
        digests: h[11] & 3,
        maxr2t: u32::from_le_bytes([h[12], h[13], h[14], h[15]]),
    })
}

/// What a controller grants.
#[derive(Clone, Copy, Debug)]
pub struct IcResp {
    /// CPDA.
    pub cpda: u8,
    /// Digests.
    pub digests: u8,
    /// MAXH2CDATA.
    pub maxh2cdata: u32,
}

/// Receives the ICResp to an ICReq that asked for these digests.
pub fn icresp(peer: &mut Peer, asked: u8) -> Result<IcResp> {
    let max = |h: &[u8]| u32::from_le_bytes([h[12], h[13], h[14], h[15]]);
    let h = receive(peer, kind::ICRESP, |h| {
        specific(h).or_else(|| {
            if h[11] & 3 & !asked != 0 {
                field(11)
            } else if max(h) < 4096 || max(h) % 4 != 0 {
                field(12)
            } else {
                None
            }
        })
    })?;
    Ok(IcResp {
        cpda: h[10],
        digests: h[11] & 3,
        maxh2cdata: max(&h),
    })
}

const SEQUENCE_ERROR: u16 = 0x00c;
const TRANSIENT_TRANSPORT_ERROR: u16 = 0x022;
const INCOMPATIBLE_FORMAT: u16 = 0x180;
const INVALID_PARAMETERS: u16 = 0x182;

/// Why a Connect is refused: the status, and dword 0 of the response.
type Refusal = Option<(u16, u32)>;

const fn in_command(at: u32) -> Refusal {
    Some((INVALID_PARAMETERS, at))
}

const fn in_data(at: u32) -> Refusal {
    Some((INVALID_PARAMETERS, 1 << 16 | at))
}

/// An NQN that ends and is not empty.
fn nqn(field: &[u8]) -> Option<&[u8]> {
    let end = field.iter().position(|b| *b == 0)?;
    (1..224).contains(&end).then(|| &field[..end])
}

fn refusal(c: &Raw, entries: &[Entry]) -> Refusal {
    let sqe = &c.header[8..72];
    let u16_at = |b: &[u8], at: usize| u16::from_le_bytes([b[at], b[at + 1]]);
    if !c.digests_ok {
        return Some((TRANSIENT_TRANSPORT_ERROR, 0));
    }
    if sqe[0] != 0x7f || sqe[4] != 1 {
        return Some((SEQUENCE_ERROR, 0));
    }
    if u16_at(sqe, 40) != 0 {
        return Some((INCOMPATIBLE_FORMAT, 0));
    }
    let len = u32::from_le_bytes([sqe[32], sqe[33], sqe[34], sqe[35]]);
    if len as usize != CONNECT_LEN || c.data.len() != CONNECT_LEN || sqe[39] != 0x01 {
        return in_command(24);
    }
    let (qid, cntlid) = (u16_at(sqe, 42), u16_at(&c.data, 16));
    let sqsize = u16_at(sqe, 44);
    if sqsize == 0 || (qid == 0 && sqsize >= ADMIN_ENTRIES) {
        return in_command(44);
    }
    if qid != 0 && sqe[48..52] != [0; 4] {
        return in_command(48);
    }
    if c.data[..16] == [0; 16] {
        return in_data(0);
    }
    if (qid == 0 && cntlid != 0xffff) || (qid != 0 && cntlid > 0xffef) {
        return in_data(16);
    }
    match nqn(&c.data[256..512]) {
        Some(n) if n == DISCOVERY_NQN.as_bytes() => {}
        Some(n) if entries.iter().any(|e| e.subnqn.as_bytes() == n) => {}
        _ => return in_data(256),
    }
    if nqn(&c.data[512..768]).is_none() {
        return in_data(512);
    }
    None
}

/// Receives a Connect for one of these subsystems, or refuses what came.
pub fn connect(peer: &mut Peer, f: pdu::Format, entries: &[Entry]) -> Result<Raw> {
    let c = peer.receive_within(STEP)?;
    // What is wrong with the header itself is not told before there is a queue
    // but by its kind.
    if c.kind() != kind::CMD || c.header.len() != 72 {
        return Err(terminate(peer, false, (1, 0), &c.header));
    }
    let Some((status, dword)) = refusal(&c, entries) else {
        return Ok(c);
    };
    let mut cqe = pdu::cqe(c.u16(10), status);
    cqe[..4].copy_from_slice(&dword.to_le_bytes());
    peer.send(&pdu::response(f, &cqe).bytes());
    close(peer);
    protocol(format!("Connect was refused with status {status:#05x}"))
}
