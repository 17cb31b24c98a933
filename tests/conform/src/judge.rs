// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a peer did, and whether that is what must come.

use std::fmt;

use rawpeer::pdu::{Format, Raw, flag, kind};
use rawpeer::peer::End;

use crate::case::{Outcome, Problem, check, end_text, fail};

/// Status codes: SCT << 8 | SC.
#[allow(missing_docs)]
pub mod sc {
    pub const INVALID_OPCODE: u16 = 0x01;
    pub const INVALID_FIELD: u16 = 0x02;
    pub const CID_CONFLICT: u16 = 0x03;
    pub const TRANSFER_ERROR: u16 = 0x04;
    pub const INVALID_NAMESPACE: u16 = 0x0b;
    pub const SEQUENCE_ERROR: u16 = 0x0c;
    pub const SGL_LENGTH: u16 = 0x0f;
    pub const SGL_TYPE: u16 = 0x11;
    pub const SGL_OFFSET: u16 = 0x16;
    pub const TRANSIENT_TRANSPORT: u16 = 0x22;
    pub const LBA_RANGE: u16 = 0x80;
    pub const ABORT_LIMIT: u16 = 0x103;
    pub const AER_LIMIT: u16 = 0x105;
    pub const INVALID_LOG_PAGE: u16 = 0x109;
    pub const NOT_SAVEABLE: u16 = 0x10d;
    pub const INCOMPATIBLE_FORMAT: u16 = 0x180;
    pub const CONNECT_PARAMETERS: u16 = 0x182;
    pub const CONNECT_HOST: u16 = 0x184;
    pub const QUEUE_TYPE: u16 = 0x185;
    pub const COMPARE_FAILURE: u16 = 0x285;
}

/// Fatal Error Status.
#[allow(missing_docs)]
pub mod fes {
    pub const FIELD: u16 = 1;
    pub const SEQUENCE: u16 = 2;
    pub const HDGST: u16 = 3;
    pub const RANGE: u16 = 4;
    pub const LIMIT: u16 = 5;
    pub const PARAMETER: u16 = 6;
}

/// The next thing that a peer did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// A PDU.
    Pdu(Raw),
    /// The connection ended, or nothing came.
    End(End),
}

impl Seen {
    /// Status of a response capsule: SCT << 8 | SC.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Pdu(r) if r.kind() == kind::RESP => Some(r.u16(22) >> 1 & 0x7ff),
            _ => None,
        }
    }

    /// FES and FEI of a Terminate Connection Request.
    pub fn term(&self) -> Option<(u16, u32)> {
        match self {
            Self::Pdu(r) if matches!(r.kind(), kind::C2H_TERM | kind::H2C_TERM) => {
                Some((r.u16(8), r.u32(10)))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((fes, fei)) = self.term() {
            return write!(f, "TermReq FES {fes} FEI {fei}");
        }
        match (self.status(), self) {
            (Some(0), _) => f.write_str("success"),
            (Some(s), _) => write!(f, "status {s:03x}h"),
            (None, Self::Pdu(r)) => f.write_str(match r.kind() {
                kind::ICREQ => "an ICReq",
                kind::ICRESP => "an ICResp",
                kind::CMD => "a command capsule",
                kind::H2C_DATA => "an H2CData PDU",
                kind::C2H_DATA => "a C2HData PDU",
                kind::R2T => "an R2T",
                _ => "a PDU of an unknown type",
            }),
            (None, Self::End(e)) => f.write_str(end_text(*e)),
        }
    }
}

/// What must come.
#[derive(Clone, Copy, Debug)]
pub enum Want<'a> {
    /// A Terminate Connection Request with one of these FES, and FEI if given.
    Term(&'a [(u16, Option<u32>)]),
    /// A Terminate Connection Request of any kind, or the end.
    TermOrEnd,
    /// The end, without a Terminate Connection Request.
    Silent,
    /// A response with one of these statuses.
    Status(&'a [u16]),
    /// A response with a status that is an error.
    Error,
    /// A response with an error, a Terminate Connection Request or the end.
    Refusal,
}

impl fmt::Display for Want<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Term(list) => {
                for (i, (fes, fei)) in list.iter().enumerate() {
                    let or = if i == 0 { "TermReq" } else { " or" };
                    write!(f, "{or} FES {fes}")?;
                    if let Some(fei) = fei {
                        write!(f, " FEI {fei}")?;
                    }
                }
                Ok(())
            }
            Self::TermOrEnd => f.write_str("a TermReq or the end"),
            Self::Silent => f.write_str("the end without a TermReq"),
            Self::Status([0]) => f.write_str("success"),
            Self::Status(list) => {
                let list: Vec<String> = list.iter().map(|s| format!("{s:03x}h")).collect();
                write!(f, "status {}", list.join(" or "))
            }
            Self::Error => f.write_str("a status that is an error"),
            Self::Refusal => f.write_str("an error, a TermReq or the end"),
        }
    }
}

/// What is wrong with the form of a Terminate Connection Request that answers
/// a PDU with this header, which is not known if it is empty.
pub fn term_form(term: &Raw, header: &[u8]) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("a TermReq with {why}"));
    if term.flags() != 0 {
        return wrong("flags");
    }
    if term.header.len() != 24 {
        return wrong("an HLEN that is not 24");
    }
    if term.header[3] != 0 {
        return wrong("a PDO");
    }
    if term.data.len() > 128 {
        return wrong("a PLEN over 152");
    }
    if term.header[14..] != [0; 10] {
        return wrong("reserved bytes that are not zero");
    }
    let n = term.data.len().min(header.len());
    if term.data[..n] != header[..n] {
        return wrong("data that is not the header at fault");
    }
    if n == 0 && !header.is_empty() {
        return wrong("no data, where the header at fault belongs");
    }
    Ok(())
}

/// Whether what was seen is what must come.
pub fn judge(want: Want<'_>, seen: &Seen) -> Outcome {
    let ended = matches!(seen, Seen::End(End::Closed | End::Reset));
    let failed = seen.status().is_some_and(|s| s != 0);
    let right = match want {
        Want::Term(list) => seen.term().is_some_and(|(fes, fei)| {
            let fits = |w: &(u16, Option<u32>)| w.0 == fes && w.1.is_none_or(|v| v == fei);
            list.iter().any(fits)
        }),
        Want::TermOrEnd => seen.term().is_some() || ended,
        Want::Silent => ended,
        Want::Status(list) => seen.status().is_some_and(|s| list.contains(&s)),
        Want::Error => failed,
        Want::Refusal => failed || seen.term().is_some() || ended,
    };
    if right {
        Ok(seen.to_string())
    } else {
        fail(format!("{seen} instead of {want}"))
    }
}

/// What must follow an answer that was judged to be right: after a Terminate
/// Connection Request for a PDU with this header, nothing but the end. `last`
/// closes our side and tells what comes.
pub fn then_the_end(
    said: String,
    seen: &Seen,
    header: &[u8],
    last: impl FnOnce() -> Seen,
) -> Outcome {
    let (Seen::Pdu(term), Some(_)) = (seen, seen.term()) else {
        return Ok(said);
    };
    term_form(term, header).or_else(fail)?;
    match last() {
        Seen::End(End::Closed | End::Reset) => Ok(said),
        Seen::End(e) => fail(format!("{said}, and then {}", end_text(e))),
        s @ Seen::Pdu(_) => fail(format!("{said}, and then {s}")),
    }
}

/// Whether the flags and digests of a PDU are as agreed. `data`: it carries
/// data; `known`: its flags.
pub fn as_agreed(r: &Raw, f: Format, data: bool, known: u8) -> Result<(), Problem> {
    let k = r.kind();
    check((r.flags() & flag::HDGST != 0) == f.hdgst, || {
        format!("HDGSTF does not agree with the ICResp in a PDU of type {k}")
    })?;
    check((r.flags() & flag::DDGST != 0) == (f.ddgst && data), || {
        format!("DDGSTF does not agree with the ICResp in a PDU of type {k}")
    })?;
    check(r.flags() & !known == 0, || {
        format!("reserved flags in a PDU of type {k}")
    })?;
    check(r.digests_ok, || {
        format!("a wrong digest in a PDU of type {k}")
    })
}

#[cfg(test)]
mod tests;
