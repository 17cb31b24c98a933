// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! PDUs to send: headers with digest and padding, and how data is cut into PDUs.
#![forbid(unsafe_code)]

use sys::wire::tcp::{self, CommonHeader, DataHeader, PduFlags, PduType};
use sys::wire::{Cqe, IntoBytes, Sqe};

use super::fault::PduError;
use super::params::{Params, Role};
use super::pdu::DIGEST_LEN;
use super::ttag::R2tOut;

/// Everything of a PDU that comes before its data: header, header digest, padding.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; Self::MAX],
    len: u8,
    ddgst: bool,
}

impl Header {
    /// Most bytes: a header and its digest, 76 bytes, padded for an alignment of 72.
    pub const MAX: usize = 144;

    /// The bytes to send before the data.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len))
            .unwrap_or(&self.bytes)
    }

    /// Whether a data digest is to be sent after the data.
    #[inline]
    pub const fn data_digest(&self) -> bool {
        self.ddgst
    }
}

/// A Terminate Connection Request.
#[derive(Clone, Copy, Debug)]
pub struct TermReqPdu {
    bytes: [u8; tcp::TERM_REQ_LEN_MAX],
    len: u8,
}

impl TermReqPdu {
    /// The whole PDU.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes
            .get(..usize::from(self.len))
            .unwrap_or(&self.bytes)
    }
}

/// How PDUs are put together on a connection.
#[derive(Clone, Copy, Debug)]
pub struct Framing {
    hdgst: bool,
    ddgst: bool,
    align: u8,
    role: Role,
}

impl Framing {
    /// The framing of a queue pair.
    pub const fn new(p: &Params) -> Self {
        Self {
            hdgst: p.hdgst,
            ddgst: p.ddgst,
            align: p.txpda,
            role: p.role,
        }
    }

    /// A command capsule with `icd` bytes of in-capsule data.
    #[inline]
    pub fn command(&self, sqe: &Sqe, icd: u32, crc: impl Fn(&[u8]) -> u32) -> Header {
        let pdu = tcp::CapsuleCmd {
            ch: self.common(PduType::CapsuleCmd, PduFlags::empty(), icd),
            sqe: *sqe,
        };
        self.finish(pdu.as_bytes(), icd, crc)
    }

    /// A response capsule.
    #[inline]
    pub fn response(&self, cqe: &Cqe, crc: impl Fn(&[u8]) -> u32) -> Header {
        let pdu = tcp::CapsuleResp {
            ch: self.common(PduType::CapsuleResp, PduFlags::empty(), 0),
            cqe: *cqe,
        };
        self.finish(pdu.as_bytes(), 0, crc)
    }

    /// An R2T.
    #[inline]
    pub fn r2t(&self, r: &R2tOut, crc: impl Fn(&[u8]) -> u32) -> Header {
        let pdu = tcp::R2t {
            ch: self.common(PduType::R2t, PduFlags::empty(), 0),
            cccid: r.cid.into(),
            ttag: r.ttag.into(),
            r2to: r.offset.into(),
            r2tl: r.len.into(),
            rsvd20: [0; 4],
        };
        self.finish(pdu.as_bytes(), 0, crc)
    }

    /// An H2CData PDU.
    #[inline]
    pub fn h2c_data(
        &self,
        cid: u16,
        ttag: u16,
        piece: &Piece,
        crc: impl Fn(&[u8]) -> u32,
    ) -> Header {
        self.data(PduType::H2cData, cid, ttag, piece, crc)
    }

    /// A C2HData PDU.
    #[inline]
    pub fn c2h_data(&self, cid: u16, piece: &Piece, crc: impl Fn(&[u8]) -> u32) -> Header {
        self.data(PduType::C2hData, cid, 0, piece, crc)
    }

    /// The Terminate Connection Request that reports an error in the PDU that starts with `bad`, as much of it as there
    /// is. It has no digest, and at most 152 bytes.
    #[cold]
    pub fn term_req(&self, e: &PduError, bad: &[u8]) -> TermReqPdu {
        let kind = match self.role {
            Role::Host => PduType::H2cTermReq,
            Role::Controller => PduType::C2hTermReq,
        };
        let data = bad_header(bad);
        let len = (usize::from(kind.hlen()) + data.len()) as u32;
        let pdu = tcp::TermReq {
            ch: CommonHeader {
                pdu_type: kind as u8,
                flags: 0,
                hlen: kind.hlen(),
                pdo: 0,
                plen: len.into(),
            },
            fes: (e.fes as u16).into(),
            fei: e.fei.into(),
            rsvd14: [0; 10],
        };
        let mut bytes = [0; tcp::TERM_REQ_LEN_MAX];
        let source = pdu.as_bytes().iter().chain(data);
        bytes.iter_mut().zip(source).for_each(|(d, s)| *d = *s);
        TermReqPdu {
            bytes,
            len: len as u8,
        }
    }

    #[inline]
    fn data(
        &self,
        kind: PduType,
        cid: u16,
        ttag: u16,
        piece: &Piece,
        crc: impl Fn(&[u8]) -> u32,
    ) -> Header {
        let mut flags = PduFlags::empty();
        flags.set(PduFlags::LAST, piece.last);
        flags.set(PduFlags::SUCCESS, piece.success);
        let pdu = DataHeader {
            ch: self.common(kind, flags, piece.len),
            cccid: cid.into(),
            ttag: ttag.into(),
            datao: piece.offset.into(),
            datal: piece.len.into(),
            rsvd20: [0; 4],
        };
        self.finish(pdu.as_bytes(), piece.len, crc)
    }

    /// Fills in HLEN, PDO, PLEN and the digest flags for `data` bytes of data.
    #[inline]
    fn common(&self, kind: PduType, mut flags: PduFlags, data: u32) -> CommonHeader {
        flags.set(PduFlags::HDGST, self.hdgst);
        flags.set(PduFlags::DDGST, self.ddgst && data != 0);
        let header = self.header_len(kind.hlen());
        let (pdo, plen) = match data {
            0 => (0, u32::from(header)),
            n => {
                let pdo = self.padded(header);
                let digest = if self.ddgst { DIGEST_LEN } else { 0 };
                // Data is never near 4 GiB: pieces are bounded, and so is in-capsule data.
                (pdo, u32::from(pdo).saturating_add(n).saturating_add(digest))
            }
        };
        CommonHeader {
            pdu_type: kind as u8,
            flags: flags.bits(),
            hlen: kind.hlen(),
            pdo,
            plen: plen.into(),
        }
    }

    #[inline]
    const fn header_len(&self, hlen: u8) -> u8 {
        // At most 76: no Initialize Connection PDU is built here.
        if self.hdgst {
            hlen.saturating_add(DIGEST_LEN as u8)
        } else {
            hlen
        }
    }

    /// The least multiple of the alignment, 4 to 128, that is not less than `header`, at most 76: no more than
    /// [`Header::MAX`].
    #[inline]
    fn padded(&self, header: u8) -> u8 {
        header
            .checked_next_multiple_of(self.align)
            .unwrap_or(Header::MAX as u8)
    }

    #[inline]
    fn finish(&self, pdu: &[u8], data: u32, crc: impl Fn(&[u8]) -> u32) -> Header {
        let mut bytes = [0; Header::MAX];
        bytes.iter_mut().zip(pdu).for_each(|(d, s)| *d = *s);
        let hlen = pdu.len() as u8;
        if self.hdgst {
            let digest = crc(pdu).to_le_bytes();
            bytes
                .iter_mut()
                .skip(pdu.len())
                .zip(digest)
                .for_each(|(d, s)| *d = s);
        }
        let header = self.header_len(hlen);
        let len = if data == 0 {
            header
        } else {
            self.padded(header)
        };
        Header {
            bytes,
            len,
            ddgst: self.ddgst && data != 0,
        }
    }
}

/// The part of a bad PDU that a Terminate Connection Request carries: its header, by its own account if that makes sense.
fn bad_header(bad: &[u8]) -> &[u8] {
    let hlen = bad.get(2).map_or(0, |&n| usize::from(n));
    let plen = match bad.get(4..8) {
        Some(&[a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
        _ => 0,
    };
    let hlen = if hlen < CommonHeader::LEN || hlen > plen as usize {
        CommonHeader::LEN
    } else {
        hlen
    };
    let len = hlen.min(tcp::TERM_REQ_DATA_MAX).min(bad.len());
    bad.get(..len).unwrap_or(bad)
}

/// The data of one data PDU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// DATAO.
    pub offset: u32,
    /// DATAL, never 0.
    pub len: u32,
    /// LAST_PDU.
    pub last: bool,
    /// SUCCESS.
    pub success: bool,
}

/// Cuts a range of a command's data into data PDUs. As an iterator it makes each as long as allowed.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    offset: u32,
    left: u32,
    max: u32,
    last: bool,
    success: bool,
}

impl Pieces {
    /// The answer to an R2T that was found good: LAST_PDU ends the R2T.
    pub const fn h2c(r2to: u32, r2tl: u32, p: &Params) -> Self {
        Self {
            offset: r2to,
            left: r2tl,
            max: p.max_data,
            last: true,
            success: false,
        }
    }

    /// `len` bytes at `offset` of the data of a command that asked for `total`: LAST_PDU ends the command's data, and
    /// SUCCESS stands for its response when SQ flow control is off. `None` if the range is not within `total`.
    pub fn c2h(offset: u32, len: u32, total: u32, p: &Params) -> Option<Self> {
        let end = offset.checked_add(len).filter(|&n| n <= total)?;
        let last = end == total;
        Some(Self {
            offset,
            left: len,
            max: p.max_data,
            last,
            success: last && !p.sq_flow_control,
        })
    }

    /// Whether the final piece carries SUCCESS, so that no response capsule may be sent.
    pub const fn sends_success(&self) -> bool {
        self.success && self.left != 0
    }

    /// The most that the next piece may carry; 0 at the end.
    #[inline]
    pub fn limit(&self) -> u32 {
        self.left.min(self.max.max(1))
    }

    /// The next piece, with `len` bytes of data but no more than [`Pieces::limit`].
    #[inline]
    pub fn take_piece(&mut self, len: u32) -> Option<Piece> {
        let len = len.min(self.limit());
        if len == 0 {
            return None;
        }
        let offset = self.offset;
        // The end of the range is known to fit.
        self.offset = offset.saturating_add(len);
        self.left -= len;
        let end = self.left == 0;
        Some(Piece {
            offset,
            len,
            last: end && self.last,
            success: end && self.success,
        })
    }
}

impl Iterator for Pieces {
    type Item = Piece;

    #[inline]
    fn next(&mut self) -> Option<Piece> {
        self.take_piece(u32::MAX)
    }
}

#[cfg(test)]
mod tests;
