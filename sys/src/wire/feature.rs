// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Features (Base 5.27) and asynchronous events (Base 5.2).
#![forbid(unsafe_code)]

use super::{FromBytes, Immutable, IntoBytes, KnownLayout, U64, Unaligned, layout};

/// Feature identifiers.
pub mod fid {
    /// Arbitration.
    pub const ARBITRATION: u8 = 0x01;
    /// Power Management.
    pub const POWER_MANAGEMENT: u8 = 0x02;
    /// Temperature Threshold.
    pub const TEMPERATURE_THRESHOLD: u8 = 0x04;
    /// Error Recovery.
    pub const ERROR_RECOVERY: u8 = 0x05;
    /// Volatile Write Cache.
    pub const VOLATILE_WRITE_CACHE: u8 = 0x06;
    /// Number of Queues.
    pub const NUMBER_OF_QUEUES: u8 = 0x07;
    /// Interrupt Coalescing; not on fabrics.
    pub const INTERRUPT_COALESCING: u8 = 0x08;
    /// Interrupt Vector Configuration; not on fabrics.
    pub const INTERRUPT_VECTOR: u8 = 0x09;
    /// Write Atomicity Normal.
    pub const WRITE_ATOMICITY: u8 = 0x0a;
    /// Asynchronous Event Configuration.
    pub const ASYNC_EVENT_CONFIG: u8 = 0x0b;
    /// Timestamp.
    pub const TIMESTAMP: u8 = 0x0e;
    /// Keep Alive Timer.
    pub const KEEP_ALIVE_TIMER: u8 = 0x0f;
    /// Host Behavior Support.
    pub const HOST_BEHAVIOR_SUPPORT: u8 = 0x16;
    /// Host Identifier.
    pub const HOST_IDENTIFIER: u8 = 0x81;
    /// Reservation Notification Mask.
    pub const RESERVATION_NOTIFICATION_MASK: u8 = 0x82;
    /// Reservation Persistence.
    pub const RESERVATION_PERSISTENCE: u8 = 0x83;
    /// Namespace Write Protection Config.
    pub const NAMESPACE_WRITE_PROTECT: u8 = 0x84;
}

/// Get Features: which value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// Current.
    Current,
    /// Default.
    Default,
    /// Saved.
    Saved,
    /// Supported capabilities.
    Capabilities,
}

impl Select {
    /// From bits 10:8 of dword 10 of Get Features.
    pub const fn from_cdw10(cdw10: u32) -> Option<Self> {
        match (cdw10 >> 8) & 7 {
            0 => Some(Self::Current),
            1 => Some(Self::Default),
            2 => Some(Self::Saved),
            3 => Some(Self::Capabilities),
            _ => None,
        }
    }
}

/// Set Features dword 10: Save.
pub const SAVE: u32 = 1 << 31;

/// Number of Queues: requested in dword 11, granted in completion dword 0; both counts 0's based.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberOfQueues(pub u32);

impl NumberOfQueues {
    /// The same number of submission and completion queues, at least 1 and at most 65535.
    pub const fn new(queues: u16) -> Self {
        let n = queues.saturating_sub(1) as u32;
        Self(n << 16 | n)
    }

    /// Submission queues, 0's based; FFFFh is invalid.
    pub const fn nsq(self) -> u16 {
        self.0 as u16
    }

    /// Completion queues, 0's based; FFFFh is invalid.
    pub const fn ncq(self) -> u16 {
        (self.0 >> 16) as u16
    }
}

bitflags::bitflags! {
    /// Asynchronous Event Configuration (Base figure 326): SMART / Health critical warnings and notices.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AsyncEventConfig: u32 {
        /// Available spare below threshold.
        const SPARE = 1 << 0;
        /// Temperature.
        const TEMPERATURE = 1 << 1;
        /// Reliability degraded.
        const RELIABILITY = 1 << 2;
        /// Read only.
        const READ_ONLY = 1 << 3;
        /// Volatile memory backup failed.
        const BACKUP = 1 << 4;
        /// Persistent memory region unreliable.
        const PMR = 1 << 5;
        /// Namespace Attribute Notices.
        const NAMESPACE_ATTRIBUTE = 1 << 8;
        /// Firmware Activation Notices.
        const FIRMWARE_ACTIVATION = 1 << 9;
        /// Asymmetric Namespace Access Change Notices.
        const ANA_CHANGE = 1 << 11;
        /// Discovery Log Page Change Notification.
        const DISCOVERY_CHANGE = 1 << 31;
    }
}

/// Asynchronous event types.
pub mod event_type {
    /// Error status.
    pub const ERROR: u8 = 0;
    /// SMART / Health status.
    pub const HEALTH: u8 = 1;
    /// Notice.
    pub const NOTICE: u8 = 2;
    /// I/O command set specific.
    pub const IO: u8 = 6;
    /// Vendor specific.
    pub const VENDOR: u8 = 7;
}

/// Information of notices.
pub mod notice {
    /// Namespace Attribute Changed.
    pub const NAMESPACE_ATTRIBUTE: u8 = 0x00;
    /// Firmware Activation Starting.
    pub const FIRMWARE_ACTIVATION: u8 = 0x01;
    /// Asymmetric Namespace Access Change.
    pub const ANA_CHANGE: u8 = 0x03;
    /// Discovery Log Page Change.
    pub const DISCOVERY_CHANGE: u8 = 0xf0;
}

/// An asynchronous event: dword 0 of the completion of an Asynchronous Event Request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncEvent {
    /// Type, 3 bits, see [`event_type`].
    pub kind: u8,
    /// Information.
    pub info: u8,
    /// The log page that clears the event.
    pub lid: u8,
}

impl AsyncEvent {
    /// From completion dword 0.
    pub const fn from_cdw0(cdw0: u32) -> Self {
        Self {
            kind: cdw0 as u8 & 7,
            info: (cdw0 >> 8) as u8,
            lid: (cdw0 >> 16) as u8,
        }
    }

    /// As completion dword 0.
    pub const fn cdw0(self) -> u32 {
        (self.kind & 7) as u32 | (self.info as u32) << 8 | (self.lid as u32) << 16
    }
}

/// Extended Host Identifier, data of feature 81h with EXHID.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct HostId {
    /// Host Identifier.
    pub hostid: [u8; 16],
}
layout!(HostId, 16);

/// Timestamp, data of feature 0Eh: milliseconds since 1970 in 48 bits, then attributes.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct Timestamp {
    /// Milliseconds in bits 47:0, attributes in 55:48.
    pub value: U64,
}
layout!(Timestamp, 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_zero_based() {
        assert_eq!(NumberOfQueues::new(8).0, 0x0007_0007);
        assert_eq!(NumberOfQueues::new(0).0, 0);
        assert_eq!(NumberOfQueues(0xffff_0003).ncq(), 0xffff);
        assert_eq!(NumberOfQueues(0xffff_0003).nsq(), 3);
    }

    #[test]
    fn events() {
        let e = AsyncEvent {
            kind: event_type::NOTICE,
            info: notice::NAMESPACE_ATTRIBUTE,
            lid: 4,
        };
        assert_eq!(e.cdw0(), 0x0004_0002);
        assert_eq!(
            AsyncEvent::from_cdw0(0x0070_f002).info,
            notice::DISCOVERY_CHANGE
        );
        assert_eq!(AsyncEvent::from_cdw0(e.cdw0()), e);
        assert_eq!(Select::from_cdw10(0x0300), Some(Select::Capabilities));
    }
}
