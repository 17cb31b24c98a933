// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The parameters of a queue pair, as a handoff gives them, checked (D-40, D-41).
#![forbid(unsafe_code)]

/// Which end of the connection we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We send commands.
    Host,
    /// We receive commands.
    Controller,
}

/// What a handoff and the tunables say.
#[derive(Clone, Copy, Debug)]
pub struct RawParams {
    /// Admin queue.
    pub admin: bool,
    /// SQ flow control is in use.
    pub sq_flow_control: bool,
    /// Queue entries.
    pub qsize: u64,
    /// Alignment in bytes of the data in PDUs that we receive.
    pub rxpda: u64,
    /// Alignment in bytes of the data in PDUs that we send.
    pub txpda: u64,
    /// Header digests were negotiated.
    pub header_digests: bool,
    /// Data digests were negotiated.
    pub data_digests: bool,
    /// MAXR2T, 0's based.
    pub maxr2t: u64,
    /// MAXH2CDATA in bytes: the peer's limit on a host, ours on a controller.
    pub maxh2cdata: u64,
    /// Host: in-capsule data bytes that a command of ours may carry. Controller: bytes that we accept, 0 for the
    /// default.
    pub max_icd: u64,
    /// Most data bytes in a PDU of ours; 0 for the default.
    pub max_transmit_data: u32,
}

/// The checked parameters of a queue pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// Which end we are.
    pub role: Role,
    /// Admin queue.
    pub admin: bool,
    /// SQ flow control is in use.
    pub sq_flow_control: bool,
    /// Queue entries.
    pub qsize: u32,
    /// Alignment of data that we receive: 4 to 128, a multiple of 4.
    pub rxpda: u8,
    /// Alignment of data that we send: 4 to 128, a multiple of 4.
    pub txpda: u8,
    /// Header digests are in use.
    pub hdgst: bool,
    /// Data digests are in use.
    pub ddgst: bool,
    /// Most outstanding R2Ts per command; at least 1.
    pub max_r2t: u32,
    /// MAXH2CDATA; at least 4096.
    pub maxh2cdata: u32,
    /// In-capsule data bytes that a host may send, that a controller accepts.
    pub max_icd: u32,
    /// Most data bytes in an H2CData or C2HData PDU of ours; never 0.
    pub max_data: u32,
}

/// Why a handoff is declined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamError {
    /// An alignment outside 4..=128, or no multiple of 4.
    Alignment(u64),
    /// A number that its field cannot hold, or out of its range.
    Range(u64),
}

/// Most data bytes per PDU when nothing is set.
pub const DEFAULT_MAX_TRANSMIT_DATA: u32 = 256 * 1024;
/// Least MAXH2CDATA that the specification allows (TCP 3.6.2.3).
pub const MIN_MAXH2CDATA: u32 = 4096;
/// In-capsule data that every controller takes on the admin queue and in Fabrics commands (TCP 3.3.1.1).
pub const ADMIN_ICD: u32 = 8192;
/// In-capsule data that a controller accepts on an I/O queue when the handoff gives no limit. The transport is not told
/// IOCCSZ; this is above any sensible one and bounds what a peer can make us hold.
pub const DEFAULT_IO_ICD: u32 = 64 * 1024;
/// Most transfer tags in use at a time, whatever MAXR2T the host offers (D-45).
pub const MAX_TTAGS: usize = 1024;

impl Params {
    /// Checks what a handoff says.
    pub fn parse(role: Role, raw: &RawParams) -> Result<Self, ParamError> {
        let maxh2cdata = narrow(raw.maxh2cdata)?;
        if maxh2cdata < MIN_MAXH2CDATA {
            return Err(ParamError::Range(raw.maxh2cdata));
        }
        let qsize = narrow(raw.qsize)?;
        if !(2..=65536).contains(&qsize) {
            return Err(ParamError::Range(raw.qsize));
        }
        let transmit = match raw.max_transmit_data {
            0 => DEFAULT_MAX_TRANSMIT_DATA,
            n => n,
        };
        let (max_data, max_icd) = match (role, narrow(raw.max_icd)?) {
            // With data digests Linux's controller (6.1, 6.12) takes one PDU per R2T; of more it finds the digest wrong,
            // and ends the connection. Nothing but its own limit may cut the data then.
            (Role::Host, icd) if raw.data_digests => (maxh2cdata, icd),
            (Role::Host, icd) => (transmit.min(maxh2cdata), icd),
            (Role::Controller, 0) if raw.admin => (transmit, ADMIN_ICD),
            (Role::Controller, 0) => (transmit, DEFAULT_IO_ICD),
            (Role::Controller, icd) => (transmit, icd),
        };
        Ok(Self {
            role,
            admin: raw.admin,
            sq_flow_control: raw.sq_flow_control,
            qsize,
            rxpda: alignment(raw.rxpda)?,
            txpda: alignment(raw.txpda)?,
            hdgst: raw.header_digests,
            ddgst: raw.data_digests,
            max_r2t: narrow(raw.maxr2t)?.saturating_add(1),
            maxh2cdata,
            max_icd,
            max_data,
        })
    }

    /// Slots that a controller keeps for data requests, sent and waiting. The host chooses the size of its queue, so it
    /// does not choose this: a request beyond it fails.
    pub fn request_slots(&self) -> usize {
        (self.qsize as usize).clamp(64, MAX_TTAGS)
    }
}

fn narrow(v: u64) -> Result<u32, ParamError> {
    u32::try_from(v).map_err(|_| ParamError::Range(v))
}

fn alignment(v: u64) -> Result<u8, ParamError> {
    match u8::try_from(v) {
        Ok(n) if (4..=128).contains(&n) && n % 4 == 0 => Ok(n),
        _ => Err(ParamError::Alignment(v)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::testing::raw_params;

    #[test]
    fn alignments() {
        for v in (0..=300).chain([1 << 8 | 4, 1 << 32 | 4, u64::MAX]) {
            let good = (4..=128).contains(&v) && v % 4 == 0;
            let rx = Params::parse(
                Role::Host,
                &RawParams {
                    rxpda: v,
                    ..raw_params()
                },
            );
            let tx = Params::parse(
                Role::Host,
                &RawParams {
                    txpda: v,
                    ..raw_params()
                },
            );
            assert_eq!((rx.is_ok(), tx.is_ok()), (good, good), "{v}");
        }
    }

    #[test]
    fn nothing_is_truncated() {
        for bad in [1u64 << 32, 1 << 32 | 8192, u64::MAX] {
            let with = |f: fn(&mut RawParams, u64)| {
                let mut r = raw_params();
                f(&mut r, bad);
                Params::parse(Role::Controller, &r)
            };
            assert_eq!(with(|r, v| r.maxr2t = v), Err(ParamError::Range(bad)));
            assert_eq!(with(|r, v| r.maxh2cdata = v), Err(ParamError::Range(bad)));
            assert_eq!(with(|r, v| r.max_icd = v), Err(ParamError::Range(bad)));
            assert_eq!(with(|r, v| r.qsize = v), Err(ParamError::Range(bad)));
        }
        let p = Params::parse(
            Role::Host,
            &RawParams {
                maxr2t: u32::MAX.into(),
                ..raw_params()
            },
        );
        assert_eq!(p.unwrap().max_r2t, u32::MAX);
    }

    #[test]
    fn data_per_pdu_is_never_zero() {
        let raw = RawParams {
            max_transmit_data: 0,
            maxh2cdata: 1 << 20,
            ..raw_params()
        };
        assert_eq!(
            Params::parse(Role::Host, &raw).unwrap().max_data,
            DEFAULT_MAX_TRANSMIT_DATA
        );
        let digests = RawParams {
            data_digests: true,
            ..raw
        };
        assert_eq!(
            Params::parse(Role::Host, &digests).unwrap().max_data,
            1 << 20,
            "one PDU per R2T"
        );
        assert_eq!(
            Params::parse(Role::Controller, &digests).unwrap().max_data,
            DEFAULT_MAX_TRANSMIT_DATA
        );
        let raw = RawParams {
            maxh2cdata: 4096,
            ..raw
        };
        assert_eq!(Params::parse(Role::Host, &raw).unwrap().max_data, 4096);
        assert_eq!(
            Params::parse(Role::Controller, &raw).unwrap().max_data,
            DEFAULT_MAX_TRANSMIT_DATA
        );
        for bad in [0, 1, 4095] {
            let raw = RawParams {
                maxh2cdata: bad,
                ..raw
            };
            assert_eq!(Params::parse(Role::Host, &raw), Err(ParamError::Range(bad)));
        }
    }

    #[test]
    fn in_capsule_limits() {
        let raw = RawParams {
            max_icd: 0,
            admin: true,
            ..raw_params()
        };
        assert_eq!(Params::parse(Role::Controller, &raw).unwrap().max_icd, 8192);
        assert_eq!(Params::parse(Role::Host, &raw).unwrap().max_icd, 0);
        let raw = RawParams {
            admin: false,
            ..raw
        };
        assert_eq!(
            Params::parse(Role::Controller, &raw).unwrap().max_icd,
            DEFAULT_IO_ICD
        );
        let raw = RawParams {
            max_icd: 16384,
            ..raw
        };
        assert_eq!(
            Params::parse(Role::Controller, &raw).unwrap().max_icd,
            16384
        );
    }

    #[test]
    fn queue_sizes() {
        for (qsize, slots) in [
            (2, Some(64)),
            (1024, Some(1024)),
            (65536, Some(1024)),
            (0, None),
            (1, None),
            (65537, None),
        ] {
            let p = Params::parse(
                Role::Controller,
                &RawParams {
                    qsize,
                    ..raw_params()
                },
            );
            assert_eq!(p.ok().map(|p| p.request_slots()), slots);
        }
    }
}
