// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The arguments of a `CTL_PORT_REQ`: what a port is created with and how one is selected for removal.
//!
//! Every value is a string; numbers are read as `strtoul(3)` with base 0 reads them.
#![forbid(unsafe_code)]

use core::ffi::CStr;

/// The longest NVMe Qualified Name.
pub const NQN_MAX: usize = 223;

/// A subsystem NQN of 1 to 223 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Nqn {
    len: u8,
    bytes: [u8; NQN_MAX],
}

impl Nqn {
    /// The name in `bytes`, which end before a NUL; `None` when it is empty or too long.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let bytes = until_nul(bytes);
        let mut nqn = Self {
            len: u8::try_from(bytes.len()).ok()?,
            bytes: [0; NQN_MAX],
        };
        if bytes.is_empty() {
            return None;
        }
        nqn.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(nqn)
    }

    /// The name without a terminator.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or(&[])
    }
}

/// The bytes in front of the first NUL.
pub fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|b| *b == 0).next().unwrap_or(&[])
}

/// What is wrong with the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgError {
    /// A mandatory argument is absent.
    Missing,
    /// `subnqn`
    SubNqn,
    /// `portid`
    PortId,
    /// `max_io_qsize`
    MaxIoQsize,
    /// `enable_timeout`
    EnableTimeout,
    /// `ioccsz`
    Ioccsz,
    /// `iorcsz`
    Iorcsz,
    /// `nn`
    Namespaces,
    /// Both ways to select a port were used.
    Ambiguous,
    /// `port_id`
    CtlPortId,
}

impl ArgError {
    /// The text that userland gets.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "Missing required argument",
            Self::SubNqn => "Invalid SubNQN",
            Self::PortId => "Invalid port ID",
            Self::MaxIoQsize => "Invalid maximum I/O queue size",
            Self::EnableTimeout => "Invalid enable timeout",
            Self::Ioccsz => "Invalid Command Capsule size",
            Self::Iorcsz => "Invalid Response Capsule size",
            Self::Namespaces => "Invalid number of namespaces",
            Self::Ambiguous => "Ambiguous port removal request",
            Self::CtlPortId => "Invalid CTL port ID",
        }
    }
}

/// The longest serial number.
pub const SERIAL_MAX: usize = 20;

/// What a port was created with.
#[derive(Clone, PartialEq, Eq)]
pub struct PortConfig {
    /// The name of the subsystem.
    pub subnqn: Nqn,
    /// The port ID of discovery log entries.
    pub portid: u16,
    /// The largest I/O queue, in entries.
    pub max_io_qsize: u32,
    /// How long enabling may take, in units of 500 ms.
    pub enable_timeout: u8,
    /// I/O command capsule size in units of 16 bytes.
    pub ioccsz: u32,
    /// I/O response capsule size in units of 16 bytes.
    pub iorcsz: u32,
    /// The largest namespace ID.
    pub nn: u32,
    /// The serial number, padded with NULs.
    pub serial: [u8; SERIAL_MAX],
}

impl PortConfig {
    /// Checks the arguments of a create request.  `get` looks one up; `hostid` makes the default serial number.
    pub fn parse<'a>(
        get: impl Fn(&'static CStr) -> Option<&'a [u8]>,
        hostid: u64,
    ) -> Result<Self, ArgError> {
        let (Some(subnqn), Some(portid)) = (get(c"subnqn"), get(c"portid")) else {
            return Err(ArgError::Missing);
        };
        let number =
            |key, default, error| get(key).map_or(Ok(default), |v| strtoul(v).ok_or(error));

        let subnqn = Nqn::new(subnqn).ok_or(ArgError::SubNqn)?;
        let portid = strtoul(portid)
            .and_then(|v| u16::try_from(v).ok())
            .ok_or(ArgError::PortId)?;
        let max_io_qsize = number(c"max_io_qsize", 1024, ArgError::MaxIoQsize)?;
        if !(2..=65536).contains(&max_io_qsize) {
            return Err(ArgError::MaxIoQsize);
        }
        let timeout = number(c"enable_timeout", 7500, ArgError::EnableTimeout)?;
        if timeout % 500 != 0 || timeout > 127_500 {
            return Err(ArgError::EnableTimeout);
        }
        let ioccsz = number(c"ioccsz", 64 + 16 * 1024, ArgError::Ioccsz)?;
        let iorcsz = number(c"iorcsz", 16, ArgError::Iorcsz)?;
        let nn = number(c"nn", 1024, ArgError::Namespaces)?;

        Ok(Self {
            subnqn,
            portid,
            max_io_qsize: max_io_qsize as u32,
            enable_timeout: (timeout / 500) as u8,
            ioccsz: capsule_units(ioccsz, 64).ok_or(ArgError::Ioccsz)?,
            iorcsz: capsule_units(iorcsz, 16).ok_or(ArgError::Iorcsz)?,
            nn: u32::try_from(nn)
                .ok()
                .filter(|v| *v != 0)
                .ok_or(ArgError::Namespaces)?,
            serial: get(c"serial").map_or_else(|| default_serial(hostid), |v| padded(until_nul(v))),
        })
    }
}

/// How a removal request names the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortSelector<'a> {
    /// By the subsystem's name, which need not be valid.
    SubNqn(&'a [u8]),
    /// By the number that CTL gave it.
    CtlPort(u64),
}

impl<'a> PortSelector<'a> {
    /// Checks the arguments of a remove request.
    pub fn parse(get: impl Fn(&'static CStr) -> Option<&'a [u8]>) -> Result<Self, ArgError> {
        match (get(c"subnqn"), get(c"port_id")) {
            (None, None) => Err(ArgError::Missing),
            (Some(_), Some(_)) => Err(ArgError::Ambiguous),
            (Some(nqn), None) => Ok(Self::SubNqn(until_nul(nqn))),
            (None, Some(id)) => strtoul(id).map(Self::CtlPort).ok_or(ArgError::CtlPortId),
        }
    }
}

/// `strtoul(3)` with base 0, where the number must be the whole of a non-empty string.
pub fn strtoul(s: &[u8]) -> Option<u64> {
    let s = until_nul(s);
    let start = s.iter().position(|b| !matches!(b, b' ' | b'\t'..=b'\r'))?;
    let (negative, digits) = match s.get(start..)? {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (base, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', ..] => (8, digits),
        _ => (10, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = Some(0u64);
    for b in digits {
        let digit = char::from(*b).to_digit(base)?;
        value = value.and_then(|v| {
            v.checked_mul(u64::from(base))?
                .checked_add(u64::from(digit))
        });
    }
    // Out of range is the largest number, whatever the sign.
    Some(match value {
        None => u64::MAX,
        Some(v) if negative => v.wrapping_neg(),
        Some(v) => v,
    })
}

fn capsule_units(bytes: u64, min: u64) -> Option<u32> {
    if bytes < min || !bytes.is_multiple_of(16) {
        return None;
    }
    u32::try_from(bytes / 16).ok()
}

fn padded(s: &[u8]) -> [u8; SERIAL_MAX] {
    let mut out = [0; SERIAL_MAX];
    for (to, from) in out.iter_mut().zip(s) {
        *to = *from;
    }
    out
}

/// `HI:` and the host ID in decimal, cut to 19 characters.
fn default_serial(hostid: u64) -> [u8; SERIAL_MAX] {
    let mut digits = [0u8; 20];
    let mut value = hostid;
    let mut count = 0;
    for slot in &mut digits {
        *slot = b'0' + (value % 10) as u8;
        value /= 10;
        count += 1;
        if value == 0 {
            break;
        }
    }
    let mut out = [0; SERIAL_MAX];
    let text = b"HI:".iter().chain(digits.iter().take(count).rev());
    for (to, from) in out.iter_mut().take(SERIAL_MAX - 1).zip(text) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args<'a>(list: &'a [(&'a str, &'a str)]) -> impl Fn(&'static CStr) -> Option<&'a [u8]> {
        move |key| {
            list.iter()
                .find(|(k, _)| k.as_bytes() == key.to_bytes())
                .map(|(_, v)| v.as_bytes())
        }
    }

    #[test]
    fn defaults() {
        let list = [("subnqn", "nqn.x:a"), ("portid", "1")];
        let c = PortConfig::parse(args(&list), 1234).ok().unwrap();
        assert_eq!(c.subnqn.as_bytes(), b"nqn.x:a");
        assert_eq!((c.portid, c.max_io_qsize, c.enable_timeout), (1, 1024, 15));
        assert_eq!((c.ioccsz, c.iorcsz, c.nn), (1028, 1, 1024));
        assert_eq!(&c.serial, b"HI:1234\0\0\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn bounds() {
        use ArgError::*;
        let long = "q".repeat(224);
        let ok = "q".repeat(223);
        let cases: &[(&str, &str, Option<ArgError>)] = &[
            ("subnqn", "", Some(SubNqn)),
            ("subnqn", &long, Some(SubNqn)),
            ("subnqn", &ok, None),
            ("portid", "65536", Some(PortId)),
            ("portid", "0xffff", None),
            ("portid", "", Some(PortId)),
            ("portid", "1x", Some(PortId)),
            ("portid", "-1", Some(PortId)),
            ("max_io_qsize", "1", Some(MaxIoQsize)),
            ("max_io_qsize", "65537", Some(MaxIoQsize)),
            ("max_io_qsize", "65536", None),
            ("enable_timeout", "501", Some(EnableTimeout)),
            ("enable_timeout", "128000", Some(EnableTimeout)),
            ("enable_timeout", "127500", None),
            ("enable_timeout", "0", None),
            ("ioccsz", "63", Some(Ioccsz)),
            ("ioccsz", "72", Some(Ioccsz)),
            ("ioccsz", "64", None),
            ("ioccsz", "0x1000000000000", Some(Ioccsz)),
            ("iorcsz", "0", Some(Iorcsz)),
            ("iorcsz", "32", None),
            ("nn", "0", Some(Namespaces)),
            ("nn", "4294967295", None),
            ("nn", "4294967296", Some(Namespaces)),
            ("serial", "", None),
        ];
        for (key, value, expect) in cases {
            let mut list = [("subnqn", "nqn"), ("portid", "0"), ("", "")];
            match list.iter_mut().find(|(k, _)| k == key) {
                Some(slot) => slot.1 = value,
                None => list[2] = (key, value),
            }
            assert_eq!(
                PortConfig::parse(args(&list), 0).err(),
                *expect,
                "{key}={value}"
            );
        }
        for list in [&[("subnqn", "")][..], &[("portid", "x")], &[]] {
            assert_eq!(PortConfig::parse(args(list), 0).err(), Some(Missing));
        }
    }

    #[test]
    fn serial_number() {
        let list = [
            ("subnqn", "n"),
            ("portid", "0"),
            ("serial", "0123456789abcdefghijKLM"),
        ];
        let c = PortConfig::parse(args(&list), 0).ok().unwrap();
        assert_eq!(&c.serial, b"0123456789abcdefghij");
        assert_eq!(&default_serial(u64::MAX), b"HI:1844674407370955\0");
        assert_eq!(&default_serial(0)[..5], b"HI:0\0");
    }

    #[test]
    fn selectors() {
        use PortSelector::*;
        assert_eq!(PortSelector::parse(args(&[])), Err(ArgError::Missing));
        assert_eq!(
            PortSelector::parse(args(&[("subnqn", "a"), ("port_id", "1")])),
            Err(ArgError::Ambiguous)
        );
        assert_eq!(
            PortSelector::parse(args(&[("port_id", "1 ")])),
            Err(ArgError::CtlPortId)
        );
        assert_eq!(
            PortSelector::parse(args(&[("port_id", "4")])),
            Ok(CtlPort(4))
        );
        assert_eq!(
            PortSelector::parse(args(&[("subnqn", "")])),
            Ok(SubNqn(b""))
        );
    }

    #[test]
    fn numbers() {
        let cases: &[(&str, Option<u64>)] = &[
            ("0", Some(0)),
            ("010", Some(8)),
            ("08", None),
            ("0x", None),
            ("0x1F", Some(31)),
            (" \t7", Some(7)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("", None),
            (" ", None),
            ("-", None),
            ("18446744073709551616", Some(u64::MAX)),
            ("-18446744073709551616", Some(u64::MAX)),
            ("-18446744073709551615", Some(1)),
        ];
        for (s, expect) in cases {
            assert_eq!(strtoul(s.as_bytes()), *expect, "{s:?}");
        }
    }
}
