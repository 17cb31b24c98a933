// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Log pages (Base 5.16.1).
#![forbid(unsafe_code)]

use super::nqn::FIELD_LEN;
use super::{FromBytes, Immutable, IntoBytes, KnownLayout, U16, U32, U64, U128, Unaligned, layout};

/// Log page identifiers.
pub mod lid {
    /// Supported Log Pages.
    pub const SUPPORTED: u8 = 0x00;
    /// Error Information.
    pub const ERROR: u8 = 0x01;
    /// SMART / Health Information.
    pub const HEALTH: u8 = 0x02;
    /// Firmware Slot Information.
    pub const FIRMWARE_SLOT: u8 = 0x03;
    /// Changed Namespace List.
    pub const CHANGED_NAMESPACES: u8 = 0x04;
    /// Commands Supported and Effects.
    pub const EFFECTS: u8 = 0x05;
    /// Feature Identifiers Supported and Effects.
    pub const FEATURES: u8 = 0x12;
    /// Discovery.
    pub const DISCOVERY: u8 = 0x70;
    /// Reservation Notification.
    pub const RESERVATION: u8 = 0x80;
}

/// Entry of the Error Information log.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug, Default)]
#[repr(C)]
pub struct ErrorEntry {
    /// Error Count: a serial number, 0 for an unused entry.
    pub error_count: U64,
    /// Submission Queue ID.
    pub sqid: U16,
    /// Command ID.
    pub cid: U16,
    /// Status field with phase tag.
    pub status_field: U16,
    /// Parameter Error Location: byte in bits 7:0, bit in bits 10:8, FFFFh if none.
    pub location: U16,
    /// LBA.
    pub lba: U64,
    /// Namespace.
    pub nsid: U32,
    /// Vendor Specific Information Available.
    pub vendor: u8,
    /// Transport Type.
    pub trtype: u8,
    /// Reserved.
    pub rsvd30: [u8; 2],
    /// Command Specific Information.
    pub csi: U64,
    /// Transport Type Specific Information.
    pub ttsi: U16,
    /// Reserved.
    pub rsvd42: [u8; 22],
}
layout!(ErrorEntry, 64, sqid @ 8, cid @ 10, status_field @ 12, location @ 14, lba @ 16, nsid @ 24, trtype @ 29, csi @ 32, ttsi @ 40);

/// SMART / Health Information log.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct HealthLog {
    /// Critical Warning.
    pub critical_warning: u8,
    /// Composite Temperature, kelvin.
    pub temperature: U16,
    /// Available Spare, percent.
    pub available_spare: u8,
    /// Available Spare Threshold, percent.
    pub available_spare_threshold: u8,
    /// Percentage Used.
    pub percentage_used: u8,
    /// Endurance Group Critical Warning Summary.
    pub endurance_warning: u8,
    /// Reserved.
    pub rsvd7: [u8; 25],
    /// Data Units Read, in thousands of 512 bytes.
    pub data_units_read: U128,
    /// Data Units Written, in thousands of 512 bytes.
    pub data_units_written: U128,
    /// Host Read Commands.
    pub host_reads: U128,
    /// Host Write Commands.
    pub host_writes: U128,
    /// Controller Busy Time, minutes.
    pub busy_time: U128,
    /// Power Cycles.
    pub power_cycles: U128,
    /// Power On Hours.
    pub power_on_hours: U128,
    /// Unsafe Shutdowns.
    pub unsafe_shutdowns: U128,
    /// Media and Data Integrity Errors.
    pub media_errors: U128,
    /// Number of Error Information Log Entries.
    pub error_entries: U128,
    /// Warning Composite Temperature Time, minutes.
    pub warning_temp_time: U32,
    /// Critical Composite Temperature Time, minutes.
    pub critical_temp_time: U32,
    /// Temperature Sensors 1 to 8, kelvin.
    pub temp_sensor: [U16; 8],
    /// Thermal management transition counts and times.
    pub thermal: [U32; 4],
    /// Reserved.
    pub rsvd232: [u8; 280],
}
layout!(
    HealthLog, 512, temperature @ 1, available_spare @ 3, percentage_used @ 5, data_units_read @ 32, host_reads @ 64,
    busy_time @ 96, media_errors @ 160, error_entries @ 176, warning_temp_time @ 192, temp_sensor @ 200, rsvd232 @ 232,
);

/// Firmware Slot Information log.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FirmwareSlotLog {
    /// Active Firmware Info: active slot in bits 2:0, next in bits 6:4.
    pub afi: u8,
    /// Reserved.
    pub rsvd1: [u8; 7],
    /// Firmware revisions of slots 1 to 7.
    pub frs: [[u8; 8]; 7],
    /// Reserved.
    pub rsvd64: [u8; 448],
}
layout!(FirmwareSlotLog, 512, frs @ 8, rsvd64 @ 64);

/// Changed Namespace List log: up to 1024 NSIDs; a first entry of FFFFFFFFh says that there are more.
pub type ChangedNamespaces = super::identify::NamespaceList;

/// Supported Log Pages log: one descriptor per identifier, bit 0 set if supported.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct SupportedLogs {
    /// LID Supported and Effects.
    pub lid: [U32; 256],
}
layout!(SupportedLogs, 1024);

/// Commands Supported and Effects log.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct EffectsLog {
    /// Admin commands, by opcode.
    pub acs: [U32; 256],
    /// I/O commands, by opcode.
    pub iocs: [U32; 256],
    /// Reserved.
    pub rsvd2048: [u8; 2048],
}
layout!(EffectsLog, 4096, acs @ 0, iocs @ 1024);

/// Effects: Command Supported.
pub const EFFECT_SUPPORTED: u32 = 1 << 0;
/// Effects: Logical Block Content Change.
pub const EFFECT_LBCC: u32 = 1 << 1;

/// Header of the Discovery log.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DiscoveryHeader {
    /// Generation Counter.
    pub genctr: U64,
    /// Number of Records.
    pub numrec: U64,
    /// Record Format, 0.
    pub recfmt: U16,
    /// Reserved.
    pub rsvd18: [u8; 1006],
}
layout!(DiscoveryHeader, 1024, genctr @ 0, numrec @ 8, recfmt @ 16);

/// Entry of the Discovery log.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DiscoveryEntry {
    /// Transport Type.
    pub trtype: u8,
    /// Address Family.
    pub adrfam: u8,
    /// Subsystem Type.
    pub subtype: u8,
    /// Transport Requirements.
    pub treq: u8,
    /// Port ID.
    pub portid: U16,
    /// Controller ID.
    pub cntlid: U16,
    /// Admin Max SQ Size.
    pub asqsz: U16,
    /// Entry Flags.
    pub eflags: U16,
    /// Reserved.
    pub rsvd12: [u8; 20],
    /// Transport Service Identifier.
    pub trsvcid: [u8; 32],
    /// Reserved.
    pub rsvd64: [u8; 192],
    /// Subsystem NQN.
    pub subnqn: [u8; FIELD_LEN],
    /// Transport Address.
    pub traddr: [u8; 256],
    /// Transport Specific Address Subtype; for TCP byte 0 is the security type.
    pub tsas: [u8; 256],
}
layout!(
    DiscoveryEntry, 1024, adrfam @ 1, subtype @ 2, treq @ 3, portid @ 4, cntlid @ 6, asqsz @ 8, eflags @ 10,
    trsvcid @ 32, subnqn @ 256, traddr @ 512, tsas @ 768,
);

/// Transport types.
pub mod trtype {
    /// RDMA.
    pub const RDMA: u8 = 1;
    /// Fibre Channel.
    pub const FC: u8 = 2;
    /// TCP.
    pub const TCP: u8 = 3;
    /// Intra-host.
    pub const INTRA_HOST: u8 = 0xfe;
}

/// Address families.
pub mod adrfam {
    /// IPv4.
    pub const IPV4: u8 = 1;
    /// IPv6.
    pub const IPV6: u8 = 2;
}

/// Subsystem types of Discovery log entries.
pub mod subtype {
    /// Referral to another discovery subsystem.
    pub const REFERRAL: u8 = 1;
    /// NVM subsystem.
    pub const NVM: u8 = 2;
    /// The current discovery subsystem.
    pub const CURRENT_DISCOVERY: u8 = 3;
}
