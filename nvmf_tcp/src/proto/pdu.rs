// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Validation of a received PDU header.
//!
//! All that can be wrong with a header of a known type shows in its first 8 bytes, so a PDU is judged before anything
//! of it but its header is buffered, whatever PLEN says. Of several faults the one at the lowest offset is reported.
//! A fault in how two fields relate is charged to the lower one, except when PLEN cannot even hold the header: then
//! nothing is measured against PLEN, and PLEN is at fault unless a lower field is in any case.
//!
//! With header digests a damaged header must be reported as such (FES 3) and not as whatever field the damage hit. The
//! digest is therefore checked before any field. Where the digest lies depends on fields that may be damaged: HLEN says
//! so when it is one of the two lengths that exist, else the type does. Only when neither helps, or when PLEN leaves no
//! room for a digest (waiting for bytes that the sender may not have meant to send could last for ever), are the fields
//! judged unprotected. A header whose digest is right and whose fields are wrong is reported by its fields, with the
//! digest being looked for both where HLEN and where the type says.
#![forbid(unsafe_code)]

use sys::wire::tcp::{self, CommonHeader, DataHeader, PduFlags, PduType, fei};
use sys::wire::{Cqe, FromBytes, Sqe};

use super::fault::{Fault, Kind, PduError};
use super::params::{Params, Role};

/// Size of a digest.
pub const DIGEST_LEN: u32 = 4;
/// Longest header that is ever looked at: a command capsule's with its digest.
pub const HEADER_MAX: usize = 76;

/// What received headers are judged by.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    role: Role,
    hdgst: bool,
    ddgst: bool,
    success: bool,
    align: u8,
    max_icd: u32,
}

/// An H2CData or C2HData header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataPdu {
    /// CCCID.
    pub cccid: u16,
    /// TTAG; meaningless in C2HData.
    pub ttag: u16,
    /// DATAO.
    pub datao: u32,
    /// DATAL.
    pub datal: u32,
    /// Bytes of data in the PDU.
    pub payload: u32,
    /// LAST_PDU.
    pub last: bool,
    /// SUCCESS.
    pub success: bool,
}

/// An R2T.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct R2tPdu {
    /// CCCID.
    pub cccid: u16,
    /// TTAG.
    pub ttag: u16,
    /// R2TO.
    pub r2to: u32,
    /// R2TL.
    pub r2tl: u32,
}

/// A PDU whose header is valid; its data, if any, has not been looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pdu {
    /// Command capsule.
    Command {
        /// The command.
        sqe: Sqe,
        /// Bytes of in-capsule data that follow.
        icd: u32,
    },
    /// Response capsule.
    Response {
        /// The response.
        cqe: Cqe,
    },
    /// Data from the host; `payload` bytes follow.
    H2cData(DataPdu),
    /// Data from the controller; `payload` bytes follow.
    C2hData(DataPdu),
    /// The controller is ready for data.
    R2t(R2tPdu),
    /// The peer ends the connection.
    TermReq {
        /// Fatal Error Status, any value.
        fes: u16,
        /// Fatal Error Information.
        fei: u32,
    },
}

/// Sizes of a PDU whose common header is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Type.
    pub kind: PduType,
    /// Header and header digest.
    pub header: u8,
    /// Padding between those and the data.
    pub pad: u8,
    /// Data bytes.
    pub data: u32,
    /// A data digest follows the data.
    pub ddgst: bool,
}

/// What the first bytes of a PDU tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Too few; this many from the start of the PDU are needed.
    Need(usize),
    /// The header is valid.
    Valid(Shape, Pdu),
}

impl Rules {
    /// The rules for a queue pair.
    pub const fn new(p: &Params) -> Self {
        Self {
            role: p.role,
            hdgst: p.hdgst,
            ddgst: p.ddgst,
            // A response without a capsule carries no SQHD, so it needs flow control off (TCP 3.4.2).
            success: !p.sq_flow_control,
            align: p.rxpda,
            max_icd: p.max_icd,
        }
    }

    /// Judges the PDU that starts with `bytes`; `crc` is the CRC32C of a byte string. Bytes after the header do not
    /// matter, and [`HEADER_MAX`] bytes are always enough.
    #[inline]
    pub fn check(&self, bytes: &[u8], crc: impl Fn(&[u8]) -> u32) -> Result<Check, Fault> {
        let Ok((ch, _)) = CommonHeader::ref_from_prefix(bytes) else {
            return Ok(Check::Need(CommonHeader::LEN));
        };
        if self.hdgst
            && !is_term_req(ch.pdu_type)
            && let Some(need) = self.header_digest(ch, bytes, crc)?
        {
            return Ok(Check::Need(need));
        }
        let shape = self.common(ch)?;
        match bytes.get(..usize::from(shape.header)) {
            Some(header) => Ok(Check::Valid(shape, parse(&shape, ch, header)?)),
            None => Ok(Check::Need(usize::from(shape.header))),
        }
    }

    /// Checks the header digest; returns how many bytes that takes if there are too few.
    #[inline]
    fn header_digest(
        &self,
        ch: &CommonHeader,
        bytes: &[u8],
        crc: impl Fn(&[u8]) -> u32,
    ) -> Result<Option<usize>, PduError> {
        // An Initialize Connection PDU has no digest, and no business here.
        let by_type = PduType::try_from(ch.pdu_type).map_or(0, PduType::hlen);
        let by_type = (by_type != 0 && by_type != 128).then_some(usize::from(by_type));
        let by_hlen = matches!(ch.hlen, 24 | 72).then_some(usize::from(ch.hlen));
        let (first, second) = match (by_hlen, by_type) {
            (Some(h), Some(t)) if h != t => (h, Some(t)),
            (Some(n), _) | (None, Some(n)) => (n, None),
            (None, None) => return Ok(None),
        };
        let digest = DIGEST_LEN as usize;
        let need = first.max(second.unwrap_or(0)) + digest;
        if (ch.plen.get() as usize) < need {
            // The shorter of two places may still be inside.
            return match second {
                Some(n) if (ch.plen.get() as usize) >= first.min(n) + digest => {
                    digest_at(bytes, first.min(n), None, crc)
                }
                _ => Ok(None),
            };
        }
        if bytes.len() < need {
            return Ok(Some(need));
        }
        digest_at(bytes, first, second, crc)
    }

    /// Checks the common header of a PDU, in the order of its fields.
    #[inline]
    pub fn common(&self, ch: &CommonHeader) -> Result<Shape, Fault> {
        let kind = self.pdu_type(ch.pdu_type)?;
        let plen = ch.plen.get();
        if matches!(kind, PduType::H2cTermReq | PduType::C2hTermReq) {
            return term_req(kind, ch);
        }
        let header = u32::from(kind.hlen()) + if self.hdgst { DIGEST_LEN } else { 0 };
        // Nothing is measured against a PLEN that cannot hold the header.
        let body = plen.checked_sub(header);
        self.flags(kind, ch.flags, body)?;
        if ch.hlen != kind.hlen() {
            return Err(PduError::field(fei::HLEN, Kind::Hlen(ch.hlen)).into());
        }
        let pdo = u32::from(ch.pdo);
        let (carries_data, max) = match kind {
            PduType::CapsuleCmd => (true, self.max_icd),
            // Data goes straight to its place; its length is judged with the rest of the header.
            PduType::H2cData | PduType::C2hData => (true, u32::MAX),
            _ => (false, 0),
        };
        let pdo_fault = if !carries_data {
            pdo != 0
        } else if pdo == 0 {
            body.is_some_and(|b| b != 0)
        } else {
            pdo < header
                || pdo % u32::from(self.align.max(1)) != 0
                || (body.is_some() && pdo > plen)
        };
        if pdo_fault {
            return Err(PduError::field(fei::PDO, Kind::Pdo(ch.pdo)).into());
        }
        let Some(body) = body else {
            return Err(PduError::field(fei::PLEN, Kind::Plen(plen)).into());
        };
        if body == 0 {
            return Ok(Shape {
                kind,
                header: header as u8,
                pad: 0,
                data: 0,
                ddgst: false,
            });
        }
        if !carries_data {
            return Err(PduError::field(fei::PLEN, Kind::UnexpectedData(body)).into());
        }
        let after_pdo = plen.saturating_sub(pdo);
        let data = if self.ddgst {
            match after_pdo.checked_sub(DIGEST_LEN) {
                Some(n) if n != 0 => n,
                _ => return Err(PduError::field(fei::PLEN, Kind::TooShortForDigest(plen)).into()),
            }
        } else {
            after_pdo
        };
        if data > max {
            return Err(PduError::field(fei::PLEN, Kind::Plen(plen)).into());
        }
        // Both at most 128, and PDO is not less than the header.
        Ok(Shape {
            kind,
            header: header as u8,
            pad: (pdo - header) as u8,
            data,
            ddgst: self.ddgst,
        })
    }

    #[inline]
    fn pdu_type(&self, v: u8) -> Result<PduType, Fault> {
        match (PduType::try_from(v), self.role) {
            (Ok(PduType::IcReq | PduType::IcResp), _) => {
                Err(PduError::field(fei::PDU_TYPE, Kind::InitializeConnection).into())
            }
            (Ok(t), Role::Controller) if t.is_from_host() => Ok(t),
            (Ok(t), Role::Host) if !t.is_from_host() => Ok(t),
            (Ok(PduType::H2cTermReq | PduType::C2hTermReq), _) => Err(Fault::Silent),
            _ => Err(PduError::field(fei::PDU_TYPE, Kind::PduType(v)).into()),
        }
    }

    #[inline]
    fn flags(&self, kind: PduType, bits: u8, body: Option<u32>) -> Result<(), PduError> {
        let allowed = match kind {
            PduType::CapsuleCmd => PduFlags::HDGST.union(PduFlags::DDGST),
            PduType::H2cData => PduFlags::HDGST.union(PduFlags::DDGST).union(PduFlags::LAST),
            PduType::C2hData => PduFlags::all(),
            _ => PduFlags::HDGST,
        };
        let f = PduFlags::from_bits_retain(bits);
        let may_digest = allowed.contains(PduFlags::DDGST);
        let ddgst_wrong = match body {
            Some(n) => f.contains(PduFlags::DDGST) != (may_digest && self.ddgst && n != 0),
            None => f.contains(PduFlags::DDGST) && !self.ddgst,
        };
        let success_wrong =
            f.contains(PduFlags::SUCCESS) && !(f.contains(PduFlags::LAST) && self.success);
        if !allowed.contains(f)
            || f.contains(PduFlags::HDGST) != self.hdgst
            || ddgst_wrong
            || success_wrong
        {
            return Err(PduError::field(fei::FLAGS, Kind::Flags(bits)));
        }
        Ok(())
    }
}

const fn is_term_req(pdu_type: u8) -> bool {
    pdu_type == PduType::H2cTermReq as u8 || pdu_type == PduType::C2hTermReq as u8
}

/// Checks the digest of the `first` bytes; if it is wrong, that of the `second`.
#[inline]
fn digest_at(
    bytes: &[u8],
    first: usize,
    second: Option<usize>,
    crc: impl Fn(&[u8]) -> u32,
) -> Result<Option<usize>, PduError> {
    let Some((header, received)) = digest_of(bytes, first) else {
        return Ok(Some(first + DIGEST_LEN as usize));
    };
    if crc(header) == received {
        return Ok(None);
    }
    match second.and_then(|n| digest_of(bytes, n)) {
        Some((header, digest)) if crc(header) == digest => Ok(None),
        _ => Err(PduError::header_digest(received)),
    }
}

#[inline]
fn digest_of(bytes: &[u8], len: usize) -> Option<(&[u8], u32)> {
    let (header, rest) = bytes.split_at_checked(len)?;
    Some((header, u32::from_le_bytes(*rest.first_chunk()?)))
}

/// Checks a Terminate Connection Request (TCP 3.6.2.4). Whatever is wrong with it, no request answers it.
#[cold]
fn term_req(kind: PduType, ch: &CommonHeader) -> Result<Shape, Fault> {
    let plen = ch.plen.get() as usize;
    if ch.flags != 0
        || ch.hlen != 24
        || ch.pdo != 0
        || !(24..=tcp::TERM_REQ_LEN_MAX).contains(&plen)
    {
        return Err(Fault::Silent);
    }
    // What follows the header is only good for a human; the connection ends here.
    Ok(Shape {
        kind,
        header: 24,
        pad: 0,
        data: 0,
        ddgst: false,
    })
}

#[inline]
fn parse(shape: &Shape, ch: &CommonHeader, header: &[u8]) -> Result<Pdu, Fault> {
    let pdu = match shape.kind {
        PduType::CapsuleCmd => {
            tcp::CapsuleCmd::ref_from_prefix(header)
                .ok()
                .map(|(h, _)| Pdu::Command {
                    sqe: h.sqe,
                    icd: shape.data,
                })
        }
        PduType::CapsuleResp => tcp::CapsuleResp::ref_from_prefix(header)
            .ok()
            .map(|(h, _)| Pdu::Response { cqe: h.cqe }),
        PduType::H2cData => data_pdu(header, shape.data, ch.flags).map(Pdu::H2cData),
        PduType::C2hData => data_pdu(header, shape.data, ch.flags).map(Pdu::C2hData),
        PduType::R2t => tcp::R2t::ref_from_prefix(header).ok().map(|(h, _)| {
            Pdu::R2t(R2tPdu {
                cccid: h.cccid.get(),
                ttag: h.ttag.get(),
                r2to: h.r2to.get(),
                r2tl: h.r2tl.get(),
            })
        }),
        PduType::H2cTermReq | PduType::C2hTermReq => tcp::TermReq::ref_from_prefix(header)
            .ok()
            .map(|(h, _)| Pdu::TermReq {
                fes: h.fes.get(),
                fei: h.fei.get(),
            }),
        PduType::IcReq | PduType::IcResp => None,
    };
    pdu.ok_or(PduError::field(fei::PDU_TYPE, Kind::PduType(ch.pdu_type)).into())
}

#[inline]
fn data_pdu(header: &[u8], payload: u32, flags: u8) -> Option<DataPdu> {
    let (h, _) = DataHeader::ref_from_prefix(header).ok()?;
    let f = PduFlags::from_bits_retain(flags);
    Some(DataPdu {
        cccid: h.cccid.get(),
        ttag: h.ttag.get(),
        datao: h.datao.get(),
        datal: h.datal.get(),
        payload,
        last: f.contains(PduFlags::LAST),
        success: f.contains(PduFlags::SUCCESS),
    })
}

#[cfg(test)]
mod tests;
