// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Fabrics commands (Base 6, NVMe-oF 1.1 section 3) and controller properties (Base 3.1.3).
#![forbid(unsafe_code)]

use super::nqn::FIELD_LEN;
use super::{
    Cqe, FromBytes, Immutable, IntoBytes, KnownLayout, Sgl, Sqe, Status, U16, U32, U64, Unaligned,
    layout,
};

/// Opcode of every Fabrics command.
pub const OPCODE: u8 = 0x7f;

/// Fabrics Command Types.
pub mod fctype {
    /// Property Set.
    pub const PROPERTY_SET: u8 = 0x00;
    /// Connect.
    pub const CONNECT: u8 = 0x01;
    /// Property Get.
    pub const PROPERTY_GET: u8 = 0x04;
    /// Authentication Send.
    pub const AUTH_SEND: u8 = 0x05;
    /// Authentication Receive.
    pub const AUTH_RECEIVE: u8 = 0x06;
    /// Disconnect.
    pub const DISCONNECT: u8 = 0x08;
}

/// Controller ID that asks for a dynamic controller.
pub const CNTLID_DYNAMIC: u16 = 0xffff;
/// Controller ID that asks for any static controller.
pub const CNTLID_STATIC_ANY: u16 = 0xfffe;
/// Highest controller ID that names a controller.
pub const CNTLID_MAX: u16 = 0xffef;

/// Connect attribute: disable SQ flow control.
pub const CATTR_DISABLE_SQ_FC: u8 = 1 << 2;
/// Connect attribute: individual I/O queue deletion is supported.
pub const CATTR_IO_QUEUE_DELETION: u8 = 1 << 3;

/// Connect command.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct ConnectCmd {
    /// Opcode, 7Fh.
    pub opcode: u8,
    /// FUSE and PSDT.
    pub flags: u8,
    /// Command Identifier.
    pub cid: U16,
    /// Fabrics Command Type, 01h.
    pub fctype: u8,
    /// Reserved.
    pub rsvd5: [u8; 19],
    /// Where the data is.
    pub sgl1: Sgl,
    /// Record Format, 0.
    pub recfmt: U16,
    /// Queue ID, 0 for the admin queue.
    pub qid: U16,
    /// Submission queue size, 0's based.
    pub sqsize: U16,
    /// Connect Attributes.
    pub cattr: u8,
    /// Reserved.
    pub rsvd47: u8,
    /// Keep Alive Timeout in milliseconds.
    pub kato: U32,
    /// Reserved.
    pub rsvd52: [u8; 12],
}
layout!(ConnectCmd, 64, fctype @ 4, sgl1 @ 24, recfmt @ 40, qid @ 42, sqsize @ 44, cattr @ 46, kato @ 48);

/// Data of a Connect command.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ConnectData {
    /// Host Identifier.
    pub hostid: [u8; 16],
    /// Controller ID.
    pub cntlid: U16,
    /// Reserved.
    pub rsvd18: [u8; 238],
    /// Subsystem NQN.
    pub subnqn: [u8; FIELD_LEN],
    /// Host NQN.
    pub hostnqn: [u8; FIELD_LEN],
    /// Reserved.
    pub rsvd768: [u8; 256],
}
layout!(ConnectData, 1024, hostid @ 0, cntlid @ 16, subnqn @ 256, hostnqn @ 512);

/// Where the invalid parameter of a Connect is (IATTR bit 0 and IPO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvalidParam {
    /// Offset into the command.
    Command(u16),
    /// Offset into the data.
    Data(u16),
}

impl InvalidParam {
    /// SQSIZE.
    pub const SQSIZE: Self = Self::Command(44);
    /// QID.
    pub const QID: Self = Self::Command(42);
    /// KATO.
    pub const KATO: Self = Self::Command(48);
    /// HOSTID.
    pub const HOSTID: Self = Self::Data(0);
    /// CNTLID.
    pub const CNTLID: Self = Self::Data(16);
    /// SUBNQN.
    pub const SUBNQN: Self = Self::Data(256);
    /// HOSTNQN.
    pub const HOSTNQN: Self = Self::Data(512);
}

/// The response to a Connect that worked.
pub fn connect_success(cid: u16, cntlid: u16) -> Cqe {
    Cqe::new(cid, Status::SUCCESS).with_cdw0(u32::from(cntlid))
}

/// The response to a Connect with an invalid parameter.
pub fn connect_invalid(cid: u16, at: InvalidParam) -> Cqe {
    let (iattr, ipo) = match at {
        InvalidParam::Command(off) => (0, off),
        InvalidParam::Data(off) => (1, off),
    };
    Cqe::new(cid, Status::CONNECT_INVALID_PARAMETERS.with_dnr())
        .with_cdw0(u32::from(ipo) | iattr << 16)
}

/// Property Get and Property Set command.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct PropertyCmd {
    /// Opcode, 7Fh.
    pub opcode: u8,
    /// FUSE and PSDT.
    pub flags: u8,
    /// Command Identifier.
    pub cid: U16,
    /// Fabrics Command Type, 00h or 04h.
    pub fctype: u8,
    /// Reserved.
    pub rsvd5: [u8; 35],
    /// Attributes: size in bits 2:0.
    pub attrib: u8,
    /// Reserved.
    pub rsvd41: [u8; 3],
    /// Offset of the property.
    pub ofst: U32,
    /// Value to set.
    pub value: U64,
    /// Reserved.
    pub rsvd56: [u8; 8],
}
layout!(PropertyCmd, 64, fctype @ 4, attrib @ 40, ofst @ 44, value @ 48);

impl PropertyCmd {
    /// Size of the property in bytes, if the attribute is valid.
    pub const fn size(&self) -> Option<u8> {
        match self.attrib & 7 {
            0 => Some(4),
            1 => Some(8),
            _ => None,
        }
    }
}

/// Disconnect command.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct DisconnectCmd {
    /// Opcode, 7Fh.
    pub opcode: u8,
    /// FUSE and PSDT.
    pub flags: u8,
    /// Command Identifier.
    pub cid: U16,
    /// Fabrics Command Type, 08h.
    pub fctype: u8,
    /// Reserved.
    pub rsvd5: [u8; 35],
    /// Record Format, 0.
    pub recfmt: U16,
    /// Reserved.
    pub rsvd42: [u8; 22],
}
layout!(DisconnectCmd, 64, fctype @ 4, recfmt @ 40);

impl Sqe {
    fn fabrics(fctype: u8) -> Self {
        Self {
            nsid: u32::from(fctype).into(),
            ..Self::new(OPCODE)
        }
    }

    /// Property Get of a property of 4 or 8 bytes.
    pub fn property_get(ofst: u32, wide: bool) -> Self {
        Self {
            cdw10: u32::from(wide).into(),
            cdw11: ofst.into(),
            ..Self::fabrics(fctype::PROPERTY_GET)
        }
    }

    /// Property Set of a property of 4 bytes.
    pub fn property_set(ofst: u32, value: u32) -> Self {
        Self {
            cdw11: ofst.into(),
            cdw12: value.into(),
            ..Self::fabrics(fctype::PROPERTY_SET)
        }
    }

    /// Disconnect.
    pub fn disconnect() -> Self {
        Self::fabrics(fctype::DISCONNECT)
    }

    /// This entry seen as a Connect.
    pub fn as_connect(&self) -> &ConnectCmd {
        zerocopy::transmute_ref!(self)
    }

    /// This entry seen as a Property Get or Property Set.
    pub fn as_property(&self) -> &PropertyCmd {
        zerocopy::transmute_ref!(self)
    }

    /// This entry seen as a Disconnect.
    pub fn as_disconnect(&self) -> &DisconnectCmd {
        zerocopy::transmute_ref!(self)
    }
}

/// Property offsets.
pub mod property {
    /// Controller Capabilities, 8 bytes.
    pub const CAP: u32 = 0x00;
    /// Version.
    pub const VS: u32 = 0x08;
    /// Controller Configuration.
    pub const CC: u32 = 0x14;
    /// Controller Status.
    pub const CSTS: u32 = 0x1c;
    /// NVM Subsystem Reset.
    pub const NSSR: u32 = 0x20;
}

/// Controller Capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cap(pub u64);

impl Cap {
    /// CSS: NVM command set.
    pub const CSS_NVM: u64 = 1 << 37;
    /// Contiguous Queues Required.
    pub const CQR: u64 = 1 << 16;

    /// A controller with NVM command set, contiguous queues, 4 KiB pages only.
    pub const fn new(mqes: u16, to: u8) -> Self {
        Self(mqes as u64 | Self::CQR | (to as u64) << 24 | Self::CSS_NVM)
    }

    /// Maximum Queue Entries Supported, 0's based.
    pub const fn mqes(self) -> u16 {
        self.0 as u16
    }

    /// Timeout, in units of 500 ms.
    pub const fn to(self) -> u8 {
        (self.0 >> 24) as u8
    }

    /// Doorbell Stride; 0 on fabrics.
    pub const fn dstrd(self) -> u8 {
        (self.0 >> 32) as u8 & 0xf
    }

    /// Command Sets Supported.
    pub const fn css(self) -> u8 {
        (self.0 >> 37) as u8
    }

    /// Memory Page Size Minimum: 2^(12 + MPSMIN) bytes.
    pub const fn mpsmin(self) -> u8 {
        (self.0 >> 48) as u8 & 0xf
    }

    /// Memory Page Size Maximum: 2^(12 + MPSMAX) bytes.
    pub const fn mpsmax(self) -> u8 {
        (self.0 >> 52) as u8 & 0xf
    }
}

/// Version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Vs(pub u32);

impl Vs {
    /// A version number.
    pub const fn new(major: u16, minor: u8, tertiary: u8) -> Self {
        Self((major as u32) << 16 | (minor as u32) << 8 | tertiary as u32)
    }

    /// Major version.
    pub const fn major(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Minor version.
    pub const fn minor(self) -> u8 {
        (self.0 >> 8) as u8
    }
}

/// Controller Configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cc(pub u32);

/// Values of CC.SHN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shn {
    /// No notification.
    None,
    /// Normal shutdown.
    Normal,
    /// Abrupt shutdown.
    Abrupt,
    /// Reserved.
    Reserved,
}

impl Cc {
    /// Enable.
    pub const EN: u32 = 1;

    /// Enabled, NVM command set, 4 KiB pages, 64-byte and 16-byte entries.
    pub const fn enabled() -> Self {
        Self(Self::EN | 6 << 16 | 4 << 20)
    }

    /// Enable.
    pub const fn en(self) -> bool {
        self.0 & Self::EN != 0
    }

    /// I/O Command Set Selected.
    pub const fn css(self) -> u8 {
        (self.0 >> 4) as u8 & 7
    }

    /// Memory Page Size.
    pub const fn mps(self) -> u8 {
        (self.0 >> 7) as u8 & 0xf
    }

    /// Arbitration Mechanism Selected.
    pub const fn ams(self) -> u8 {
        (self.0 >> 11) as u8 & 7
    }

    /// Shutdown Notification.
    pub const fn shn(self) -> Shn {
        match (self.0 >> 14) & 3 {
            0 => Shn::None,
            1 => Shn::Normal,
            2 => Shn::Abrupt,
            _ => Shn::Reserved,
        }
    }

    /// I/O Submission Queue Entry Size, a power of two.
    pub const fn iosqes(self) -> u8 {
        (self.0 >> 16) as u8 & 0xf
    }

    /// I/O Completion Queue Entry Size, a power of two.
    pub const fn iocqes(self) -> u8 {
        (self.0 >> 20) as u8 & 0xf
    }

    /// The same configuration with Shutdown Notification set to normal.
    #[must_use]
    pub const fn with_normal_shutdown(self) -> Self {
        Self(self.0 & !(3 << 14) | 1 << 14)
    }
}

/// Controller Status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Csts(pub u32);

/// Values of CSTS.SHST.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shst {
    /// Normal operation.
    Normal,
    /// Shutdown is occurring.
    Occurring,
    /// Shutdown is complete.
    Complete,
    /// Reserved.
    Reserved,
}

impl Csts {
    /// Ready.
    pub const RDY: u32 = 1;
    /// Controller Fatal Status.
    pub const CFS: u32 = 1 << 1;

    /// Ready.
    pub const fn rdy(self) -> bool {
        self.0 & Self::RDY != 0
    }

    /// Controller Fatal Status.
    pub const fn cfs(self) -> bool {
        self.0 & Self::CFS != 0
    }

    /// Shutdown Status.
    pub const fn shst(self) -> Shst {
        match (self.0 >> 2) & 3 {
            0 => Shst::Normal,
            1 => Shst::Occurring,
            2 => Shst::Complete,
            _ => Shst::Reserved,
        }
    }

    /// The same status with another Shutdown Status.
    #[must_use]
    pub const fn with_shst(self, shst: Shst) -> Self {
        Self(self.0 & !(3 << 2) | (shst as u32) << 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn property_commands() {
        let s = Sqe::property_set(property::CC, 0x0046_0001);
        let p = s.as_property();
        assert_eq!(
            (p.opcode, p.fctype, p.size(), p.ofst.get()),
            (0x7f, 0, Some(4), 0x14)
        );
        assert_eq!(p.value.get(), 0x0046_0001);
        let s = Sqe::property_get(property::CAP, true);
        assert_eq!(
            (s.as_property().size(), s.fctype()),
            (Some(8), fctype::PROPERTY_GET)
        );
        assert_eq!(Sqe::disconnect().as_disconnect().fctype, 8);
    }

    #[test]
    fn registers() {
        assert_eq!(Cc::enabled().0, 0x0046_0001);
        let c = Cc::enabled().with_normal_shutdown();
        assert_eq!(
            (c.en(), c.shn(), c.iosqes(), c.iocqes(), c.mps(), c.css()),
            (true, Shn::Normal, 6, 4, 0, 0)
        );
        let s = Csts(Csts::RDY).with_shst(Shst::Complete);
        assert_eq!(
            (s.0, s.rdy(), s.shst(), s.cfs()),
            (0b1001, true, Shst::Complete, false)
        );
        let cap = Cap::new(1023, 15);
        assert_eq!(
            (cap.mqes(), cap.to(), cap.css(), cap.mpsmin(), cap.dstrd()),
            (1023, 15, 1, 0, 0)
        );
        assert_eq!(Vs::new(1, 4, 0).0, 0x0001_0400);
    }

    #[test]
    fn connect_responses() {
        let c = connect_invalid(5, InvalidParam::HOSTNQN);
        assert_eq!(&c.as_bytes()[..4], [0x00, 0x02, 0x01, 0x00]);
        assert!(c.status().same_code(Status::CONNECT_INVALID_PARAMETERS) && c.status().dnr());
        assert_eq!(connect_invalid(5, InvalidParam::SQSIZE).cdw0.get(), 44);
        assert_eq!(connect_success(5, 0x1234).cdw0.get(), 0x1234);
    }
}
