// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Validation of what userland hands over: NVMF_HANDOFF_HOST and NVMF_RECONNECT_HOST.
#![forbid(unsafe_code)]

use core::ffi::CStr;
use core::net::IpAddr;

/// Length of Identify Controller data.
pub const CDATA_LEN: usize = 4096;
/// Length of a discovery log entry.
pub const DLE_LEN: usize = 1024;
/// Length of an NQN field.
pub const NQN_LEN: usize = 256;

const CDATA_SUBNQN: usize = 768;
/// Offset of the address family in a discovery log entry.
pub const DLE_ADRFAM: usize = 1;
const DLE_SUBNQN: usize = 256;
const DLE_TRADDR: usize = 512;
const DLE_TRADDR_LEN: usize = 256;
const ADMIN_MAX: u64 = 4096;
const IO_MAX: u64 = 65536;
const QSIZE_MIN: u64 = 2;
/// The most I/O queues of one association.
pub const MAX_IO_QUEUES: u64 = 1024;

/// A list of named values: an nvlist, or a test's stand-in. A key of another type counts as missing.
pub trait Source: Copy {
    /// A bool.
    fn boolean(self, key: &CStr) -> Option<bool>;
    /// A number.
    fn number(self, key: &CStr) -> Option<u64>;
    /// Whether there is such a string.
    fn has_string(self, key: &CStr) -> bool;
    /// A binary; the bytes live as long as the list that `self` refers to.
    fn with_binary<R>(self, key: &CStr, f: impl FnOnce(&[u8]) -> R) -> Option<R>;
    /// A nested list.
    fn list(self, key: &CStr) -> Option<Self>;
    /// Length of an array of lists.
    fn array_len(self, key: &CStr) -> Option<usize>;
    /// Element of an array of lists.
    fn array_get(self, key: &CStr, index: usize) -> Option<Self>;
}

/// Which check failed; userland sees EINVAL in every case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// A mandatory top-level key is missing or of another type.
    Missing,
    /// A mandatory key of `rparams` is missing or of another type.
    Params,
    /// The admin queue's list is invalid, or says that it is not the admin queue.
    Admin,
    /// The number of I/O queues is zero, absurd, or not what `rparams` says.
    IoCount,
    /// An I/O queue's list is invalid.
    Io(usize),
    /// The size of an I/O queue is not what `rparams` says.
    IoSize(usize),
    /// Identify Controller data of the wrong size.
    CdataSize,
    /// A discovery log entry of the wrong size.
    DleSize,
    /// The two subsystem NQNs differ.
    Nqn,
}

/// The transport-independent part of a queue pair's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    /// Whether it is the admin queue.
    pub admin: bool,
    /// Whether SQ flow control is on.
    pub flow_control: bool,
    /// Entries.
    pub qsize: u32,
    /// Submission queue head.
    pub sqhd: u32,
    /// Submission queue tail.
    pub sqtail: u32,
}

impl Queue {
    /// Checks a queue pair's list, in its host form.
    pub fn parse<S: Source>(list: S) -> Option<Self> {
        let admin = list.boolean(c"admin")?;
        let flow_control = list.boolean(c"sq_flow_control")?;
        let qsize = list.number(c"qsize")?;
        let max = if admin { ADMIN_MAX } else { IO_MAX };
        if !(QSIZE_MIN..=max).contains(&qsize) {
            return None;
        }
        let index = |key| {
            list.number(key)
                .filter(|&v| v < qsize)
                .and_then(|v| u32::try_from(v).ok())
        };
        Some(Self {
            admin,
            flow_control,
            qsize: u32::try_from(qsize).ok()?,
            sqhd: index(c"sqhd")?,
            sqtail: index(c"sqtail")?,
        })
    }
}

/// The scalars of a valid handoff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handoff {
    /// Transport type.
    pub trtype: u32,
    /// Keep-alive timeout in milliseconds, 0 for none.
    pub kato_ms: u32,
    /// Seconds between RECONNECT notifications, 0 for none.
    pub reconnect_delay: u32,
    /// Seconds until a lost controller is given up, 0 for never.
    pub loss_timeout: u32,
    /// Number of I/O queues.
    pub io_queues: u32,
    /// Entries of each I/O queue.
    pub io_qsize: u32,
    /// The admin queue.
    pub admin: Queue,
}

impl Handoff {
    /// Whether a lost controller is still there when the reconnect delay is over.
    pub fn survives_delay(&self) -> bool {
        self.loss_timeout == 0 || self.reconnect_delay < self.loss_timeout
    }
}

fn clamp(value: Option<u64>) -> u32 {
    u32::try_from(value.unwrap_or(0)).unwrap_or(u32::MAX)
}

/// Checks a handoff, in the order that the contract gives.
pub fn validate<S: Source>(list: S) -> Result<Handoff, Invalid> {
    let trtype = list.number(c"trtype").ok_or(Invalid::Missing)?;
    let admin = list.list(c"admin").ok_or(Invalid::Missing)?;
    let count = list.array_len(c"io").ok_or(Invalid::Missing)?;
    let cdata_len = list
        .with_binary(c"cdata", <[u8]>::len)
        .ok_or(Invalid::Missing)?;
    let rparams = list.list(c"rparams").ok_or(Invalid::Missing)?;

    let dle_len = rparams
        .with_binary(c"dle", <[u8]>::len)
        .ok_or(Invalid::Params)?;
    if !rparams.has_string(c"hostnqn") {
        return Err(Invalid::Params);
    }
    let num_io_queues = rparams.number(c"num_io_queues").ok_or(Invalid::Params)?;
    let io_qsize = rparams.number(c"io_qsize").ok_or(Invalid::Params)?;

    let admin = Queue::parse(admin)
        .filter(|q| q.admin)
        .ok_or(Invalid::Admin)?;

    if count == 0 || num_io_queues != count as u64 || num_io_queues > MAX_IO_QUEUES {
        return Err(Invalid::IoCount);
    }
    for i in 0..count {
        let queue = list
            .array_get(c"io", i)
            .and_then(Queue::parse)
            .ok_or(Invalid::Io(i))?;
        if u64::from(queue.qsize) != io_qsize {
            return Err(Invalid::IoSize(i));
        }
    }

    if cdata_len != CDATA_LEN {
        return Err(Invalid::CdataSize);
    }
    if dle_len != DLE_LEN {
        return Err(Invalid::DleSize);
    }
    let same = list.with_binary(c"cdata", |cdata| {
        rparams.with_binary(c"dle", |dle| {
            match (subnqn(cdata), dle.get(DLE_SUBNQN..DLE_SUBNQN + NQN_LEN)) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            }
        })
    });
    if same.flatten() != Some(true) {
        return Err(Invalid::Nqn);
    }

    Ok(Handoff {
        trtype: u32::try_from(trtype).unwrap_or(u32::MAX),
        kato_ms: clamp(list.number(c"kato")),
        reconnect_delay: clamp(list.number(c"reconnect_delay")),
        loss_timeout: clamp(list.number(c"controller_loss_timeout")),
        io_queues: u32::try_from(num_io_queues).map_err(|_| Invalid::IoCount)?,
        io_qsize: u32::try_from(io_qsize).map_err(|_| Invalid::IoCount)?,
        admin,
    })
}

/// The address family that a discovery log entry lacks, from its numeric transport address.
///
/// nvmecontrol(8) makes up an entry without one for `connect`, and then refuses it for `reconnect`.
pub fn missing_adrfam(dle: &[u8]) -> Option<u8> {
    const TRTYPE_TCP: u8 = 3;
    if dle.first() != Some(&TRTYPE_TCP) || dle.get(DLE_ADRFAM) != Some(&0) {
        return None;
    }
    let address = nqn_text(dle.get(DLE_TRADDR..DLE_TRADDR + DLE_TRADDR_LEN)?);
    let address = core::str::from_utf8(address).ok()?.trim_end();
    match address.split('%').next()?.parse().ok()? {
        IpAddr::V4(_) => Some(1),
        IpAddr::V6(_) => Some(2),
    }
}

/// The 256 bytes of the subsystem NQN in Identify Controller data.
pub fn subnqn(cdata: &[u8]) -> Option<&[u8]> {
    cdata.get(CDATA_SUBNQN..CDATA_SUBNQN + NQN_LEN)
}

/// The part of an NQN field before its first NUL: the field need not have one.
pub fn nqn_text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or(field)
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::BTreeMap;
    use std::ffi::CString;
    use std::vec;
    use std::vec::Vec;

    #[derive(Clone, Debug)]
    enum Value {
        Bool(bool),
        Number(u64),
        Str,
        Binary(Vec<u8>),
        List(List),
        Array(Vec<List>),
    }

    #[derive(Clone, Debug, Default)]
    struct List(BTreeMap<CString, Value>);

    impl List {
        fn with(mut self, key: &CStr, value: Value) -> Self {
            self.0.insert(key.into(), value);
            self
        }
        fn without(mut self, key: &CStr) -> Self {
            self.0.remove(key);
            self
        }
    }

    impl Source for &List {
        fn boolean(self, key: &CStr) -> Option<bool> {
            if let Some(Value::Bool(b)) = self.0.get(key) {
                Some(*b)
            } else {
                None
            }
        }
        fn number(self, key: &CStr) -> Option<u64> {
            if let Some(Value::Number(n)) = self.0.get(key) {
                Some(*n)
            } else {
                None
            }
        }
        fn has_string(self, key: &CStr) -> bool {
            matches!(self.0.get(key), Some(Value::Str))
        }
        fn with_binary<R>(self, key: &CStr, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
            if let Some(Value::Binary(b)) = self.0.get(key) {
                Some(f(b))
            } else {
                None
            }
        }
        fn list(self, key: &CStr) -> Option<Self> {
            if let Some(Value::List(l)) = self.0.get(key) {
                Some(l)
            } else {
                None
            }
        }
        fn array_len(self, key: &CStr) -> Option<usize> {
            if let Some(Value::Array(a)) = self.0.get(key) {
                Some(a.len())
            } else {
                None
            }
        }
        fn array_get(self, key: &CStr, index: usize) -> Option<Self> {
            if let Some(Value::Array(a)) = self.0.get(key) {
                a.get(index)
            } else {
                None
            }
        }
    }

    fn queue(admin: bool, qsize: u64) -> List {
        List::default()
            .with(c"admin", Value::Bool(admin))
            .with(c"sq_flow_control", Value::Bool(true))
            .with(c"qsize", Value::Number(qsize))
            .with(c"sqhd", Value::Number(qsize - 1))
            .with(c"sqtail", Value::Number(0))
    }

    fn rparams() -> List {
        let mut dle = vec![0; DLE_LEN];
        dle[256..260].copy_from_slice(b"nqn.");
        List::default()
            .with(c"dle", Value::Binary(dle))
            .with(c"hostnqn", Value::Str)
            .with(c"num_io_queues", Value::Number(2))
            .with(c"io_qsize", Value::Number(128))
    }

    fn good() -> List {
        let mut cdata = vec![0; CDATA_LEN];
        cdata[768..772].copy_from_slice(b"nqn.");
        List::default()
            .with(c"trtype", Value::Number(3))
            .with(c"admin", Value::List(queue(true, 32)))
            .with(c"io", Value::Array(vec![queue(false, 128); 2]))
            .with(c"cdata", Value::Binary(cdata))
            .with(c"rparams", Value::List(rparams()))
    }

    fn good_with_params(params: List) -> List {
        good().with(c"rparams", Value::List(params))
    }

    #[test]
    fn accepts_what_nvmecontrol_sends() {
        let h = validate(&good().with(c"kato", Value::Number(120_000))).unwrap();
        assert_eq!(
            (h.trtype, h.kato_ms, h.reconnect_delay, h.loss_timeout),
            (3, 120_000, 0, 0)
        );
        assert_eq!((h.io_queues, h.io_qsize), (2, 128));
        assert_eq!(
            h.admin,
            Queue {
                admin: true,
                flow_control: true,
                qsize: 32,
                sqhd: 31,
                sqtail: 0
            }
        );
    }

    #[test]
    fn optional_keys_of_another_type_are_absent_and_large_ones_clamped() {
        let h = validate(
            &good()
                .with(c"kato", Value::Str)
                .with(c"reconnect_delay", Value::Number(u64::MAX)),
        )
        .unwrap();
        assert_eq!((h.kato_ms, h.reconnect_delay), (0, u32::MAX));
    }

    #[test]
    fn a_pause_must_not_cost_the_controller() {
        let with = |delay, loss| {
            let list = good()
                .with(c"reconnect_delay", Value::Number(delay))
                .with(c"controller_loss_timeout", Value::Number(loss));
            validate(&list).unwrap().survives_delay()
        };
        assert!(with(10, 600) && with(10, 0) && with(10, 11));
        assert!(!with(10, 10) && !with(10, 1));
    }

    #[test]
    fn mandatory_keys() {
        for key in [c"trtype", c"admin", c"io", c"cdata", c"rparams"] {
            assert_eq!(validate(&good().without(key)), Err(Invalid::Missing));
            assert_eq!(
                validate(&good().with(key, Value::Str)),
                Err(Invalid::Missing)
            );
        }
        for key in [c"dle", c"hostnqn", c"num_io_queues", c"io_qsize"] {
            assert_eq!(
                validate(&good_with_params(rparams().without(key))),
                Err(Invalid::Params)
            );
            assert_eq!(
                validate(&good_with_params(rparams().with(key, Value::Bool(true)))),
                Err(Invalid::Params)
            );
        }
    }

    #[test]
    fn queue_lists() {
        for key in [c"admin", c"sq_flow_control", c"qsize", c"sqhd", c"sqtail"] {
            let bad = good().with(c"admin", Value::List(queue(true, 32).without(key)));
            assert_eq!(validate(&bad), Err(Invalid::Admin));
            let bad = good().with(
                c"io",
                Value::Array(vec![queue(false, 128), queue(false, 128).without(key)]),
            );
            assert_eq!(validate(&bad), Err(Invalid::Io(1)));
        }
        let bad = good().with(c"admin", Value::List(queue(false, 32)));
        assert_eq!(validate(&bad), Err(Invalid::Admin));
        for qsize in [1, 4097] {
            let bad = good().with(c"admin", Value::List(queue(true, qsize)));
            assert_eq!(validate(&bad), Err(Invalid::Admin));
        }
        for key in [c"sqhd", c"sqtail"] {
            let bad = good().with(
                c"admin",
                Value::List(queue(true, 32).with(key, Value::Number(32))),
            );
            assert_eq!(validate(&bad), Err(Invalid::Admin));
        }
        assert!(Queue::parse(&queue(false, 65536)).is_some());
        assert!(Queue::parse(&queue(false, 65537)).is_none());
    }

    #[test]
    fn io_queues_match_rparams() {
        let bad = good().with(c"io", Value::Array(vec![]));
        assert_eq!(validate(&bad), Err(Invalid::IoCount));
        let bad = good_with_params(rparams().with(c"num_io_queues", Value::Number(3)));
        assert_eq!(validate(&bad), Err(Invalid::IoCount));
        let bad = good_with_params(rparams().with(c"io_qsize", Value::Number(127)));
        assert_eq!(validate(&bad), Err(Invalid::IoSize(0)));
        // The kernel does not ask whether an I/O queue says that it is the admin queue.
        assert!(validate(&good().with(c"io", Value::Array(vec![queue(true, 128); 2]))).is_ok());
    }

    #[test]
    fn sizes_and_nqn() {
        for len in [0, CDATA_LEN - 1, CDATA_LEN + 1] {
            assert_eq!(
                validate(&good().with(c"cdata", Value::Binary(vec![0; len]))),
                Err(Invalid::CdataSize)
            );
        }
        for len in [0, DLE_LEN - 1, DLE_LEN + 1] {
            let bad = good_with_params(rparams().with(c"dle", Value::Binary(vec![0; len])));
            assert_eq!(validate(&bad), Err(Invalid::DleSize));
        }
        let mut dle = vec![0; DLE_LEN];
        dle[256..260].copy_from_slice(b"nqn.");
        dle[511] = 1;
        let bad = good_with_params(rparams().with(c"dle", Value::Binary(dle)));
        assert_eq!(validate(&bad), Err(Invalid::Nqn));
    }

    #[test]
    fn checks_come_in_order() {
        let everything = List::default()
            .with(c"trtype", Value::Number(3))
            .with(c"admin", Value::List(List::default()))
            .with(c"io", Value::Array(vec![]))
            .with(c"cdata", Value::Binary(vec![]))
            .with(c"rparams", Value::List(List::default()));
        assert_eq!(validate(&everything), Err(Invalid::Params));
        let next = everything.with(
            c"rparams",
            Value::List(rparams().with(c"dle", Value::Binary(vec![]))),
        );
        assert_eq!(validate(&next), Err(Invalid::Admin));
        let next = next.with(c"admin", Value::List(queue(true, 32)));
        assert_eq!(validate(&next), Err(Invalid::IoCount));
        let next = next.with(
            c"io",
            Value::Array(vec![queue(false, 128), queue(false, 64)]),
        );
        assert_eq!(validate(&next), Err(Invalid::IoSize(1)));
        let next = next.with(c"io", Value::Array(vec![queue(false, 128); 2]));
        assert_eq!(validate(&next), Err(Invalid::CdataSize));
        let next = next.with(c"cdata", Value::Binary(vec![0; CDATA_LEN]));
        assert_eq!(validate(&next), Err(Invalid::DleSize));
        let next = next.with(c"rparams", Value::List(rparams()));
        assert_eq!(validate(&next), Err(Invalid::Nqn));
    }

    #[test]
    fn address_family_from_the_address() {
        let mut dle = vec![0; DLE_LEN];
        dle[0] = 3;
        assert_eq!(missing_adrfam(&dle), None);
        for (text, family) in [
            ("10.0.0.1", Some(1)),
            ("fe80::1%lo0", Some(2)),
            ("::1", Some(2)),
            ("host.example", None),
        ] {
            dle[512..768].fill(0);
            dle[512..512 + text.len()].copy_from_slice(text.as_bytes());
            assert_eq!(missing_adrfam(&dle), family);
        }
        dle[512..768].fill(b'1');
        assert_eq!(missing_adrfam(&dle), None);
        dle[512..768].fill(0);
        dle[512..515].copy_from_slice(b"::1");
        dle[1] = 1;
        assert_eq!(missing_adrfam(&dle), None);
        dle[1] = 0;
        dle[0] = 1;
        assert_eq!(missing_adrfam(&dle), None);
        assert_eq!(missing_adrfam(&dle[..600]), None);
    }

    #[test]
    fn nqn_fields_need_no_nul() {
        assert_eq!(nqn_text(b"nqn.x\0\0y"), b"nqn.x");
        assert_eq!(nqn_text(&[b'a'; 256]).len(), 256);
        assert_eq!(nqn_text(b""), b"");
    }
}
