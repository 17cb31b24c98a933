// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What scripted hosts have in common: a queue that is connected, as quickly
//! as the tests wait.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rawpeer::pdu::{self, Builder, Format, kind};
use rawpeer::peer::{End, Peer};

/// The subsystem that they ask for.
pub const NQN: &str = "nqn.2014-08.org.example:scripted";
/// The tool's patience with them.
pub const PATIENCE: Duration = Duration::from_millis(120);

/// Does nothing until the other end has left, and for a while more.
pub fn wait(mut peer: Peer) -> End {
    peer.drain(Duration::from_secs(20));
    std::thread::sleep(2 * PATIENCE);
    End::Timeout
}

/// A connection on which Connect was sent, and what was agreed.
pub fn ask(addr: SocketAddr, qid: u16, flow_control: bool) -> Result<(Peer, Format), End> {
    let stream = TcpStream::connect(addr).map_err(|_| End::Closed)?;
    let mut peer = Peer::new(stream);
    // As many digests as a case may want to find asked for, or not.
    let asked = if flow_control { 0 } else { 3 };
    let icreq = Builder::new(Format::default(), kind::ICREQ, 0, 128, &[]).u8(11, asked);
    peer.send(&icreq.bytes());
    let r = match peer.receive_within(2 * PATIENCE) {
        Ok(r) if r.kind() == kind::ICRESP && r.header[10] == 0 && r.header[11] & !asked == 0 => r,
        _ => return Err(wait(peer)),
    };
    let f = Format {
        hdgst: r.header[11] & 1 != 0,
        ddgst: r.header[11] & 2 != 0,
        align: 4,
    };
    let mut data = vec![0; 1024];
    data[..16].fill(1);
    let cntlid: u16 = if qid == 0 { 0xffff } else { 1 };
    data[16..18].copy_from_slice(&cntlid.to_le_bytes());
    data[256..256 + NQN.len()].copy_from_slice(NQN.as_bytes());
    data[512..512 + NQN.len()].copy_from_slice(NQN.as_bytes());
    let mut sqe = pdu::sqe(0x7f, 0, 1024, true);
    sqe[4..8].copy_from_slice(&[1, 0, 0, 0]);
    sqe[42..44].copy_from_slice(&qid.to_le_bytes());
    sqe[44] = 31;
    sqe[46] = if flow_control { 0 } else { 4 };
    peer.send(&pdu::command(f, &sqe, &data).bytes());
    Ok((peer, f))
}

/// A queue that is connected, and what was agreed.
pub fn connect(addr: SocketAddr, qid: u16, flow_control: bool) -> Result<(Peer, Format), End> {
    let (mut peer, f) = ask(addr, qid, flow_control)?;
    match peer.receive_within(2 * PATIENCE) {
        Ok(r) if r.kind() == kind::RESP && r.u16(22) >> 1 == 0 => Ok((peer, f)),
        _ => Err(wait(peer)),
    }
}

/// A command for blocks from the first on.
pub fn blocks(opcode: u8, cid: u16, n: u16) -> [u8; 64] {
    let mut s = pdu::sqe(opcode, cid, u32::from(n) * 512, false);
    s[48..50].copy_from_slice(&(n - 1).to_le_bytes());
    s
}

/// The same, its data in the capsule.
pub fn inside(mut s: [u8; 64]) -> [u8; 64] {
    s[39] = 0x01;
    s
}
