// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A stream of PDUs through the receive machine, as the receive thread does it, with what must hold for any stream.
#![forbid(unsafe_code)]

use nvmf_tcp::proto::pdu::HEADER_MAX;
use nvmf_tcp::proto::rx::DataEnd;
use nvmf_tcp::proto::{Fault, Framing, Params, Pdu, PduError, Progress, RawParams, Role, Rx, Want};
use sys::wire::tcp::{PduType, TERM_REQ_LEN_MAX};

use crate::digest::Digest;
use crate::input::Input;

/// A connection: what was negotiated, and how its digests are computed.
#[derive(Clone, Copy, Debug)]
pub struct Link {
    /// The parameters of our end.
    pub params: Params,
    /// The digest function of both ends.
    pub digest: Digest,
}

/// Bytes of input that [`Link::from_input`] takes.
pub const LINK_LEN: usize = 5;

/// What the first byte of a link says.
pub mod link_flag {
    /// Header digests.
    pub const HDGST: u8 = 1;
    /// Data digests.
    pub const DDGST: u8 = 2;
    /// Digests that depend on the length alone.
    pub const LENGTH_DIGEST: u8 = 4;
    /// SQ flow control.
    pub const FLOW_CONTROL: u8 = 8;
    /// An admin queue.
    pub const ADMIN: u8 = 16;
}

impl Link {
    /// A link whose parameters are all valid: others are what the handoff target is for.
    pub fn from_input(role: Role, input: &mut Input<'_>) -> Self {
        let [flags, rxpda, txpda, maxr2t, limits] = input.array::<LINK_LEN>();
        let has = |flag| flags & flag != 0;
        let raw = RawParams {
            admin: has(link_flag::ADMIN),
            sq_flow_control: has(link_flag::FLOW_CONTROL),
            qsize: 8,
            rxpda: (u64::from(rxpda % 32) + 1) * 4,
            txpda: (u64::from(txpda % 32) + 1) * 4,
            header_digests: has(link_flag::HDGST),
            data_digests: has(link_flag::DDGST),
            maxr2t: u64::from(maxr2t % 4),
            maxh2cdata: 4096 << (limits & 3),
            max_icd: 512 << (limits >> 2 & 7),
            max_transmit_data: 512 << (limits >> 5),
        };
        Self {
            params: Params::parse(role, &raw).expect("valid parameters"),
            digest: if has(link_flag::LENGTH_DIGEST) {
                Digest::Length
            } else {
                Digest::Crc32c
            },
        }
    }

    /// The same connection seen from the other end.
    pub fn peer(&self) -> Self {
        let p = self.params;
        let role = match p.role {
            Role::Host => Role::Controller,
            Role::Controller => Role::Host,
        };
        Self {
            params: Params {
                role,
                rxpda: p.txpda,
                txpda: p.rxpda,
                ..p
            },
            ..*self
        }
    }

    /// The digest of a header.
    pub fn crc(&self) -> impl Fn(&[u8]) -> u32 + use<> {
        let digest = self.digest;
        move |bytes| digest.of(bytes)
    }
}

/// Who is told what arrives.
pub trait Receiver {
    /// A PDU whose header is valid; its data follows.
    fn pdu(&mut self, pdu: &Pdu) -> Result<(), PduError>;
    /// Data of the PDU.
    fn data(&mut self, bytes: &[u8]);
    /// The PDU's data is complete.
    fn end(&mut self, end: DataEnd) -> Result<(), PduError>;
}

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its bytes are used up, except for this many, which are too few.
    Short(usize),
    /// The peer sent a Terminate Connection Request.
    Terminated,
    /// A fault, seen when this many bytes were consumed.
    Fault(Fault, usize),
}

/// Feeds `stream` to the receive machine, showing it at most `step` bytes more than it last saw at a time.
pub fn receive(link: &Link, stream: &[u8], step: usize, to: &mut impl Receiver) -> End {
    let mut rx = Rx::new(&link.params);
    let mut at = 0;
    let mut seen = 0;
    // Where the next PDU starts, by the PLEN of the one before it.
    let mut boundary = 0;
    loop {
        let rest = &stream[at..];
        let shown = seen.min(rest.len());
        let more = rest.len() > shown;
        let before = (rx.want(), at);
        let short = match rx.want() {
            Want::Header => {
                assert_eq!(at, boundary);
                let bytes = &rest[..shown.min(HEADER_MAX)];
                match rx.header(bytes, link.crc()) {
                    Ok(Progress::Need(n)) => {
                        assert!(
                            n > bytes.len() && n <= HEADER_MAX,
                            "need {n} of {}",
                            bytes.len()
                        );
                        true
                    }
                    Ok(Progress::Pdu { taken, pdu }) => {
                        assert!((8..=bytes.len()).contains(&taken));
                        let plen = bytes[4..8].try_into().expect("4 bytes");
                        boundary += u32::from_le_bytes(plen) as usize;
                        at += taken;
                        seen -= taken;
                        if let Pdu::TermReq { .. } = pdu {
                            assert_eq!(rx.want(), Want::Nothing);
                            return End::Terminated;
                        }
                        if let Err(e) = to.pdu(&pdu) {
                            return fault(link, &mut rx, e.into(), rest, at);
                        }
                        false
                    }
                    Err(e) => return fault(link, &mut rx, e, bytes, at),
                }
            }
            Want::Skip(_) | Want::Payload(_) | Want::Digest if shown == 0 => true,
            Want::Skip(left) => {
                // PDO is a byte, and the shortest header has 24.
                assert!((1..=255 - 24).contains(&left));
                let n = shown.min(left as usize);
                rx.skip(n as u32);
                at += n;
                seen -= n;
                false
            }
            Want::Payload(left) => {
                assert_ne!(left, 0);
                let n = shown.min(left as usize);
                let bytes = &rest[..n];
                to.data(bytes);
                let crc = rx.crc().map_or(0, |crc| link.digest.update(crc, bytes));
                let end = rx.payload(n as u32, crc);
                at += n;
                seen -= n;
                if let Some(end) = end
                    && let Err(e) = to.end(end)
                {
                    return fault(link, &mut rx, e.into(), rest, at);
                }
                false
            }
            Want::Digest => match rest[..shown].first_chunk::<4>() {
                Some(received) => {
                    let end = rx.digest(*received).expect("a digest was wanted");
                    at += 4;
                    seen -= 4;
                    if let Err(e) = to.end(end) {
                        return fault(link, &mut rx, e.into(), rest, at);
                    }
                    false
                }
                None => true,
            },
            Want::Nothing => unreachable!("nothing ended the stream"),
        };
        if short && !more {
            return End::Short(rest.len());
        }
        if short {
            seen = seen.saturating_add(step.max(1));
        } else {
            assert_ne!((rx.want(), at), before, "no progress");
        }
    }
}

/// The connection ends: nothing more is wanted, and the Terminate Connection Request is one that the peer understands.
fn fault(link: &Link, rx: &mut Rx, fault: Fault, bytes: &[u8], at: usize) -> End {
    rx.end();
    assert_eq!(rx.want(), Want::Nothing);
    assert!(rx.header(bytes, link.crc()).is_err());
    if let Fault::Fatal(e) = fault {
        let framing = Framing::new(&link.params);
        let bad = &bytes[..bytes.len().min(HEADER_MAX)];
        let req = framing.term_req(&e, bad);
        let req = req.as_bytes();
        assert!((24..=TERM_REQ_LEN_MAX).contains(&req.len()));
        assert_eq!(
            u32::from_le_bytes(req[4..8].try_into().expect("4 bytes")) as usize,
            req.len()
        );
        assert!(bad.starts_with(&req[24..]));
        let mut peer = Rx::new(&link.peer().params);
        let seen = peer.header(req.get(..HEADER_MAX).unwrap_or(req), link.crc());
        let expected = Pdu::TermReq {
            fes: e.fes as u16,
            fei: e.fei,
        };
        assert_eq!(
            seen,
            Ok(Progress::Pdu {
                taken: 24,
                pdu: expected
            })
        );
    }
    End::Fault(fault, at)
}

/// The PDU whose header our end would send, as the other end sees it.
pub fn seen_by_peer(link: &Link, header: &[u8]) -> Pdu {
    let mut rx = Rx::new(&link.peer().params);
    match rx.header(header.get(..HEADER_MAX).unwrap_or(header), link.crc()) {
        Ok(Progress::Pdu { taken, pdu }) => {
            let pad = match rx.want() {
                Want::Skip(n) => n as usize,
                _ => 0,
            };
            assert_eq!(taken + pad, header.len(), "{pdu:?}");
            pdu
        }
        other => panic!(
            "our own PDU is refused: {other:?}, {:?}",
            PduType::try_from(header[0])
        ),
    }
}
