// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! PDUs as mbuf chains.
#![forbid(unsafe_code)]

use sys::crc::digest;
use sys::mbuf::Mbuf;
use sys::wire::{Cqe, FromBytes};
use sys::{Errno, Result, Wait};

use crate::proto::segment::{Framing, Header};
use crate::proto::{PduError, R2tOut};

/// A PDU without data.
#[inline]
pub fn plain(header: &Header, wait: Wait<'_>) -> Result<Mbuf> {
    Mbuf::contiguous(header.as_bytes(), wait)
}

/// A PDU with data and, if the header says so, its digest.
#[inline]
pub fn with_data(header: &Header, data: Mbuf, wait: Wait<'_>) -> Result<Mbuf> {
    let mut pdu = plain(header, wait)?;
    let trailer = if header.data_digest() {
        let crc = !data.crc32c(0, data.len(), !0)?;
        Some(Mbuf::contiguous(&crc.to_le_bytes(), wait)?)
    } else {
        None
    };
    pdu.append(data);
    if let Some(trailer) = trailer {
        pdu.append(trailer);
    }
    Ok(pdu)
}

/// A response capsule; the CQE is at the start of `qe`.
#[inline]
pub fn response(framing: &Framing, qe: &[u8; 64], wait: Wait<'_>) -> Result<Mbuf> {
    let (cqe, _) = Cqe::read_from_prefix(qe).map_err(|_| Errno::EINVAL)?;
    plain(&framing.response(&cqe, digest), wait)
}

/// An R2T.
#[inline]
pub fn r2t(framing: &Framing, r: &R2tOut, wait: Wait<'_>) -> Result<Mbuf> {
    plain(&framing.r2t(r, digest), wait)
}

/// A Terminate Connection Request about the PDU that starts with `bad`.
#[cold]
pub fn term_req(framing: &Framing, e: &PduError, bad: &[u8], wait: Wait<'_>) -> Result<Mbuf> {
    Mbuf::contiguous(framing.term_req(e, bad).as_bytes(), wait)
}
