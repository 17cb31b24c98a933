// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! NVMe/TCP PDUs byte by byte, independent of the code under test.

use crate::crc::crc32c;

/// PDU types.
#[allow(missing_docs)]
pub mod kind {
    pub const ICREQ: u8 = 0;
    pub const ICRESP: u8 = 1;
    pub const H2C_TERM: u8 = 2;
    pub const C2H_TERM: u8 = 3;
    pub const CMD: u8 = 4;
    pub const RESP: u8 = 5;
    pub const H2C_DATA: u8 = 6;
    pub const C2H_DATA: u8 = 7;
    pub const R2T: u8 = 9;
}

/// Flags of the common header.
#[allow(missing_docs)]
pub mod flag {
    pub const HDGST: u8 = 1;
    pub const DDGST: u8 = 2;
    pub const LAST: u8 = 4;
    pub const SUCCESS: u8 = 8;
}

/// What was negotiated, as far as it shapes PDUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Format {
    /// Header digests.
    pub hdgst: bool,
    /// Data digests.
    pub ddgst: bool,
    /// Alignment of data, in bytes.
    pub align: u8,
}

/// A PDU under construction: every part can be made wrong.
#[derive(Clone, Debug)]
pub struct Builder {
    /// The header without digest.
    pub header: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
    format: Format,
    /// Changes the header digest.
    pub hdgst_xor: u32,
    /// Changes the data digest.
    pub ddgst_xor: u32,
}

impl Builder {
    /// A header of `hlen` bytes with the right common fields.
    pub fn new(format: Format, kind: u8, flags: u8, hlen: u8, data: &[u8]) -> Self {
        let digest = if format.hdgst { 4 } else { 0 };
        let mut header = vec![0; usize::from(hlen)];
        let (mut flags, mut pdo) = (flags, 0);
        let mut plen = u32::from(hlen) + digest;
        if format.hdgst {
            flags |= flag::HDGST;
        }
        if !data.is_empty() {
            let align = u32::from(format.align.max(4));
            pdo = plen.next_multiple_of(align);
            plen = pdo + data.len() as u32;
            if format.ddgst {
                flags |= flag::DDGST;
                plen += 4;
            }
        }
        header[0] = kind;
        header[1] = flags;
        header[2] = hlen;
        header[3] = pdo as u8;
        header[4..8].copy_from_slice(&plen.to_le_bytes());
        Builder {
            header,
            data: data.to_vec(),
            format,
            hdgst_xor: 0,
            ddgst_xor: 0,
        }
    }

    /// Sets bytes of the header.
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Sets a 16-bit field.
    pub fn u16(self, at: usize, v: u16) -> Self {
        self.set(at, &v.to_le_bytes())
    }

    /// Sets a 32-bit field.
    pub fn u32(self, at: usize, v: u32) -> Self {
        self.set(at, &v.to_le_bytes())
    }

    /// Sets a byte.
    pub fn u8(self, at: usize, v: u8) -> Self {
        self.set(at, &[v])
    }

    /// Damages the header digest.
    pub fn bad_hdgst(mut self) -> Self {
        self.hdgst_xor = 1;
        self
    }

    /// Damages the data digest.
    pub fn bad_ddgst(mut self) -> Self {
        self.ddgst_xor = 1;
        self
    }

    /// The bytes of the PDU.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.header.clone();
        if self.format.hdgst {
            out.extend((crc32c(&self.header) ^ self.hdgst_xor).to_le_bytes());
        }
        if !self.data.is_empty() {
            let pdo = (out.len() as u32).next_multiple_of(self.format.align.max(4).into());
            out.resize(pdo as usize, 0xee);
            out.extend(&self.data);
            if self.format.ddgst {
                out.extend((crc32c(&self.data) ^ self.ddgst_xor).to_le_bytes());
            }
        }
        out
    }
}

/// A command capsule.
pub fn command(f: Format, sqe: &[u8; 64], icd: &[u8]) -> Builder {
    Builder::new(f, kind::CMD, 0, 72, icd).set(8, sqe)
}

/// A response capsule.
pub fn response(f: Format, cqe: &[u8; 16]) -> Builder {
    Builder::new(f, kind::RESP, 0, 24, &[]).set(8, cqe)
}

/// A completion queue entry: status is (SCT << 8 | SC) without phase.
pub fn cqe(cid: u16, status: u16) -> [u8; 16] {
    let mut c = [0; 16];
    c[12..14].copy_from_slice(&cid.to_le_bytes());
    c[14..16].copy_from_slice(&(status << 1).to_le_bytes());
    c
}

fn data_pdu(f: Format, k: u8, flags: u8, cid: u16, ttag: u16, off: u32, data: &[u8]) -> Builder {
    Builder::new(f, k, flags, 24, data)
        .u16(8, cid)
        .u16(10, ttag)
        .u32(12, off)
        .u32(16, data.len() as u32)
}

/// An H2CData PDU.
pub fn h2c_data(f: Format, flags: u8, cid: u16, ttag: u16, off: u32, data: &[u8]) -> Builder {
    data_pdu(f, kind::H2C_DATA, flags, cid, ttag, off, data)
}

/// A C2HData PDU.
pub fn c2h_data(f: Format, flags: u8, cid: u16, off: u32, data: &[u8]) -> Builder {
    data_pdu(f, kind::C2H_DATA, flags, cid, 0, off, data)
}

/// An R2T.
pub fn r2t(f: Format, cid: u16, ttag: u16, off: u32, len: u32) -> Builder {
    Builder::new(f, kind::R2T, 0, 24, &[])
        .u16(8, cid)
        .u16(10, ttag)
        .u32(12, off)
        .u32(16, len)
}

/// A Terminate Connection Request.
pub fn term_req(k: u8, fes: u16, fei: u32, data: &[u8]) -> Vec<u8> {
    let f = Format::default();
    let mut b = Builder::new(f, k, 0, 24, &[]).u16(8, fes).u32(10, fei);
    b = b.u32(4, 24 + data.len() as u32);
    let mut out = b.bytes();
    out.extend(data);
    out
}

/// A submission queue entry with a transport SGL (`in_capsule`: an offset one).
pub fn sqe(opcode: u8, cid: u16, len: u32, in_capsule: bool) -> [u8; 64] {
    let mut s = [0; 64];
    s[0] = opcode;
    s[1] = 0x40;
    s[2..4].copy_from_slice(&cid.to_le_bytes());
    s[4..8].copy_from_slice(&1u32.to_le_bytes());
    s[32..36].copy_from_slice(&len.to_le_bytes());
    s[39] = if in_capsule { 0x01 } else { 0x5a };
    s
}

/// A PDU as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw {
    /// The header without digest.
    pub header: Vec<u8>,
    /// The data.
    pub data: Vec<u8>,
    /// Digests, as far as there are any, are right.
    pub digests_ok: bool,
}

impl Raw {
    /// PDU type.
    pub fn kind(&self) -> u8 {
        self.header[0]
    }

    /// Flags.
    pub fn flags(&self) -> u8 {
        self.header[1]
    }

    /// A 16-bit field.
    pub fn u16(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.header[at], self.header[at + 1]])
    }

    /// A 32-bit field.
    pub fn u32(&self, at: usize) -> u32 {
        u32::from(self.u16(at)) | u32::from(self.u16(at + 2)) << 16
    }

    /// Takes a whole PDU from the front; `None`: more bytes are needed. Fails
    /// if it is none.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Raw, usize)>, String> {
        let Some(ch) = bytes.get(..8) else {
            return Ok(None);
        };
        let plen = u32::from_le_bytes([ch[4], ch[5], ch[6], ch[7]]) as usize;
        let (flags, hlen, pdo) = (ch[1], usize::from(ch[2]), usize::from(ch[3]));
        let term = ch[0] == kind::H2C_TERM || ch[0] == kind::C2H_TERM;
        let digest = |bit, n| if flags & bit != 0 && !term { n } else { 0 };
        let (head, tail) = (hlen + digest(flag::HDGST, 4), digest(flag::DDGST, 4));
        let fits = match (pdo, term) {
            (_, true) => hlen <= plen,
            (0, false) => head == plen,
            (pdo, false) => head <= pdo && pdo + tail <= plen,
        };
        if !(24..=255).contains(&hlen) || plen > 8 << 20 || !fits {
            return Err(format!("no PDU: {ch:02x?}"));
        }
        let Some(pdu) = bytes.get(..plen) else {
            return Ok(None);
        };
        let header = pdu[..hlen].to_vec();
        let mut digests_ok = true;
        if head != hlen {
            digests_ok &= crc32c(&header).to_le_bytes() == pdu[hlen..head];
        }
        let data = match (pdo, term) {
            (_, true) => &pdu[hlen..],
            (0, _) => &[],
            (pdo, _) => &pdu[pdo..plen - tail],
        };
        if tail != 0 && pdo != 0 {
            digests_ok &= crc32c(data).to_le_bytes() == pdu[plen - tail..];
        }
        let raw = Raw {
            header,
            data: data.to_vec(),
            digests_ok,
        };
        Ok(Some((raw, plen)))
    }
}
