// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identify data structures (Base 5.17, NVM 4.1.5). All of 4096 bytes: viewed in place, never on a stack.
#![forbid(unsafe_code)]

use super::nqn::FIELD_LEN;
use super::{FromBytes, Immutable, IntoBytes, KnownLayout, U16, U32, U64, U128, Unaligned, layout};

/// Size of every Identify data structure.
pub const IDENTIFY_LEN: usize = 4096;

/// Controller or Namespace Structure values.
pub mod cns {
    /// Identify Namespace.
    pub const NAMESPACE: u8 = 0x00;
    /// Identify Controller.
    pub const CONTROLLER: u8 = 0x01;
    /// Active Namespace ID list.
    pub const ACTIVE_NAMESPACES: u8 = 0x02;
    /// Namespace Identification Descriptor list.
    pub const NAMESPACE_DESCRIPTORS: u8 = 0x03;
    /// I/O command set specific Identify Namespace.
    pub const CSI_NAMESPACE: u8 = 0x05;
    /// I/O command set specific Identify Controller.
    pub const CSI_CONTROLLER: u8 = 0x06;
    /// I/O command set specific Active Namespace ID list.
    pub const CSI_ACTIVE_NAMESPACES: u8 = 0x07;
    /// I/O command set independent Identify Namespace.
    pub const INDEPENDENT_NAMESPACE: u8 = 0x08;
    /// Identify I/O Command Set.
    pub const IO_COMMAND_SET: u8 = 0x1c;
}

/// Identify Controller.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct IdentifyController {
    /// PCI Vendor ID.
    pub vid: U16,
    /// PCI Subsystem Vendor ID.
    pub ssvid: U16,
    /// Serial Number, space padded.
    pub sn: [u8; 20],
    /// Model Number, space padded.
    pub mn: [u8; 40],
    /// Firmware Revision, space padded.
    pub fr: [u8; 8],
    /// Recommended Arbitration Burst.
    pub rab: u8,
    /// IEEE OUI.
    pub ieee: [u8; 3],
    /// Controller Multi-Path I/O and Namespace Sharing Capabilities.
    pub cmic: u8,
    /// Maximum Data Transfer Size, a power of two of the minimum page size; 0 is no limit.
    pub mdts: u8,
    /// Controller ID.
    pub cntlid: U16,
    /// Version.
    pub ver: U32,
    /// RTD3 Resume Latency.
    pub rtd3r: U32,
    /// RTD3 Entry Latency.
    pub rtd3e: U32,
    /// Optional Asynchronous Events Supported.
    pub oaes: U32,
    /// Controller Attributes.
    pub ctratt: U32,
    /// Read Recovery Levels Supported.
    pub rrls: U16,
    /// Reserved.
    pub rsvd102: [u8; 9],
    /// Controller Type: 1 I/O, 2 discovery, 3 administrative.
    pub cntrltype: u8,
    /// FRU Globally Unique Identifier.
    pub fguid: [u8; 16],
    /// Command Retry Delay Times 1 to 3, in units of 100 ms.
    pub crdt: [U16; 3],
    /// Reserved.
    pub rsvd134: [u8; 122],
    /// Optional Admin Command Support.
    pub oacs: U16,
    /// Abort Command Limit, 0's based.
    pub acl: u8,
    /// Asynchronous Event Request Limit, 0's based.
    pub aerl: u8,
    /// Firmware Updates.
    pub frmw: u8,
    /// Log Page Attributes.
    pub lpa: u8,
    /// Error Log Page Entries, 0's based.
    pub elpe: u8,
    /// Number of Power States Support, 0's based.
    pub npss: u8,
    /// Admin Vendor Specific Command Configuration.
    pub avscc: u8,
    /// Autonomous Power State Transition Attributes.
    pub apsta: u8,
    /// Warning Composite Temperature Threshold, kelvin.
    pub wctemp: U16,
    /// Critical Composite Temperature Threshold, kelvin.
    pub cctemp: U16,
    /// Maximum Time for Firmware Activation.
    pub mtfa: U16,
    /// Host Memory Buffer Preferred Size.
    pub hmpre: U32,
    /// Host Memory Buffer Minimum Size.
    pub hmmin: U32,
    /// Total NVM Capacity.
    pub tnvmcap: U128,
    /// Unallocated NVM Capacity.
    pub unvmcap: U128,
    /// Replay Protected Memory Block Support.
    pub rpmbs: U32,
    /// Extended Device Self-test Time.
    pub edstt: U16,
    /// Device Self-test Options.
    pub dsto: u8,
    /// Firmware Update Granularity.
    pub fwug: u8,
    /// Keep Alive Support: granularity in units of 100 ms; 0 is not supported.
    pub kas: U16,
    /// Host Controlled Thermal Management Attributes.
    pub hctma: U16,
    /// Minimum Thermal Management Temperature.
    pub mntmt: U16,
    /// Maximum Thermal Management Temperature.
    pub mxtmt: U16,
    /// Sanitize Capabilities.
    pub sanicap: U32,
    /// Host Memory Buffer Minimum Descriptor Entry Size.
    pub hmminds: U32,
    /// Host Memory Maximum Descriptors Entries.
    pub hmmaxd: U16,
    /// NVM Set Identifier Maximum.
    pub nsetidmax: U16,
    /// Endurance Group Identifier Maximum.
    pub endgidmax: U16,
    /// ANA Transition Time, seconds.
    pub anatt: u8,
    /// Asymmetric Namespace Access Capabilities.
    pub anacap: u8,
    /// ANA Group Identifier Maximum.
    pub anagrpmax: U32,
    /// Number of ANA Group Identifiers.
    pub nanagrpid: U32,
    /// Persistent Event Log Size.
    pub pels: U32,
    /// Reserved here.
    pub rsvd356: [u8; 156],
    /// Submission Queue Entry Size: required in bits 3:0, maximum in bits 7:4.
    pub sqes: u8,
    /// Completion Queue Entry Size: required in bits 3:0, maximum in bits 7:4.
    pub cqes: u8,
    /// Maximum Outstanding Commands.
    pub maxcmd: U16,
    /// Number of Namespaces: the highest NSID.
    pub nn: U32,
    /// Optional NVM Command Support.
    pub oncs: U16,
    /// Fused Operation Support.
    pub fuses: U16,
    /// Format NVM Attributes.
    pub fna: u8,
    /// Volatile Write Cache.
    pub vwc: u8,
    /// Atomic Write Unit Normal, 0's based.
    pub awun: U16,
    /// Atomic Write Unit Power Fail, 0's based.
    pub awupf: U16,
    /// NVM Vendor Specific Command Configuration.
    pub nvscc: u8,
    /// Namespace Write Protection Capabilities.
    pub nwpc: u8,
    /// Atomic Compare and Write Unit, 0's based.
    pub acwu: U16,
    /// Copy Descriptor Formats Supported.
    pub cdfs: U16,
    /// SGL Support.
    pub sgls: U32,
    /// Maximum Number of Allowed Namespaces.
    pub mnan: U32,
    /// Reserved.
    pub rsvd544: [u8; 224],
    /// NVM Subsystem NQN.
    pub subnqn: [u8; FIELD_LEN],
    /// Reserved.
    pub rsvd1024: [u8; 768],
    /// I/O Queue Command Capsule Supported Size, in units of 16 bytes.
    pub ioccsz: U32,
    /// I/O Queue Response Capsule Supported Size, in units of 16 bytes.
    pub iorcsz: U32,
    /// In Capsule Data Offset, in units of 16 bytes.
    pub icdoff: U16,
    /// Fabrics Controller Attributes: bit 0 set for a static controller model.
    pub fcatt: u8,
    /// Maximum SGL Data Block Descriptors; 0 is no limit.
    pub msdbd: u8,
    /// Optional Fabric Commands Support: bit 0 Disconnect.
    pub ofcs: U16,
    /// Reserved.
    pub rsvd1806: [u8; 242],
    /// Power State Descriptors.
    pub psd: [[u8; 32]; 32],
    /// Vendor specific.
    pub vs: [u8; 1024],
}
layout!(
    IdentifyController, 4096, sn @ 4, mn @ 24, fr @ 64, ieee @ 73, mdts @ 77, cntlid @ 78, ver @ 80, oaes @ 92,
    ctratt @ 96, cntrltype @ 111, fguid @ 112, oacs @ 256, acl @ 258, aerl @ 259, frmw @ 260, lpa @ 261, elpe @ 262,
    npss @ 263, wctemp @ 266, cctemp @ 268, kas @ 320, anacap @ 343, sqes @ 512, cqes @ 513, maxcmd @ 514, nn @ 516,
    oncs @ 520, fuses @ 522, vwc @ 525, sgls @ 536, subnqn @ 768, ioccsz @ 1792, iorcsz @ 1796, icdoff @ 1800,
    fcatt @ 1802, msdbd @ 1803, ofcs @ 1804, psd @ 2048, vs @ 3072,
);

/// OAES: Namespace Attribute Notices.
pub const OAES_NAMESPACE_ATTRIBUTE: u32 = 1 << 8;
/// CTRATT: 128-bit Host Identifier.
pub const CTRATT_HOSTID_128: u32 = 1 << 0;
/// CTRATT: Traffic Based Keep Alive Support.
pub const CTRATT_TBKAS: u32 = 1 << 6;
/// VWC: a volatile write cache is present.
pub const VWC_PRESENT: u8 = 1 << 0;
/// VWC bits 2:1 = 11b: Flush with NSID FFFFFFFFh is supported.
pub const VWC_FLUSH_ALL: u8 = 3 << 1;
/// ONCS: Compare.
pub const ONCS_COMPARE: u16 = 1 << 0;
/// ONCS: Write Uncorrectable.
pub const ONCS_WRITE_UNCORRECTABLE: u16 = 1 << 1;
/// ONCS: Dataset Management.
pub const ONCS_DSM: u16 = 1 << 2;
/// ONCS: Write Zeroes.
pub const ONCS_WRITE_ZEROES: u16 = 1 << 3;
/// ONCS: Save field in Set Features and Select field in Get Features.
pub const ONCS_SAVE_SELECT: u16 = 1 << 4;
/// ONCS: reservations.
pub const ONCS_RESERVATIONS: u16 = 1 << 5;
/// ONCS: Verify.
pub const ONCS_VERIFY: u16 = 1 << 7;
/// LPA: Commands Supported and Effects log.
pub const LPA_EFFECTS: u8 = 1 << 1;
/// LPA: Log Page Offset and extended Number of Dwords.
pub const LPA_EXTENDED: u8 = 1 << 2;
/// SGLS: SGLs are supported, no alignment needed.
pub const SGLS_SUPPORTED: u32 = 1 << 0;
/// SGLS: offset in Data Block descriptors is supported.
pub const SGLS_OFFSET: u32 = 1 << 20;
/// SGLS: Transport SGL Data Block is supported.
pub const SGLS_TRANSPORT: u32 = 1 << 21;

impl IdentifyController {
    /// Maximum data transfer size in bytes for a minimum page size, if it is limited and can be told in 64 bits.
    pub fn max_transfer(&self, mpsmin: u8) -> Option<u64> {
        match self.mdts {
            0 => None,
            n => 1u64.checked_shl(12 + u32::from(mpsmin) + u32::from(n)),
        }
    }

    /// In-capsule data bytes that an I/O command may carry.
    pub fn max_in_capsule(&self) -> u64 {
        (u64::from(self.ioccsz.get()) * 16).saturating_sub(64)
    }
}

/// Identify Namespace, NVM command set.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct IdentifyNamespace {
    /// Namespace Size in logical blocks.
    pub nsze: U64,
    /// Namespace Capacity.
    pub ncap: U64,
    /// Namespace Utilization.
    pub nuse: U64,
    /// Namespace Features.
    pub nsfeat: u8,
    /// Number of LBA Formats, 0's based.
    pub nlbaf: u8,
    /// Formatted LBA Size.
    pub flbas: u8,
    /// Metadata Capabilities.
    pub mc: u8,
    /// End-to-end Data Protection Capabilities.
    pub dpc: u8,
    /// End-to-end Data Protection Type Settings.
    pub dps: u8,
    /// Namespace Multi-path I/O and Namespace Sharing Capabilities.
    pub nmic: u8,
    /// Reservation Capabilities.
    pub rescap: u8,
    /// Format Progress Indicator.
    pub fpi: u8,
    /// Deallocate Logical Block Features.
    pub dlfeat: u8,
    /// Namespace Atomic Write Unit Normal.
    pub nawun: U16,
    /// Namespace Atomic Write Unit Power Fail.
    pub nawupf: U16,
    /// Namespace Atomic Compare and Write Unit.
    pub nacwu: U16,
    /// Namespace Atomic Boundary Size Normal.
    pub nabsn: U16,
    /// Namespace Atomic Boundary Offset.
    pub nabo: U16,
    /// Namespace Atomic Boundary Size Power Fail.
    pub nabspf: U16,
    /// Namespace Optimal I/O Boundary.
    pub noiob: U16,
    /// NVM Capacity.
    pub nvmcap: U128,
    /// Namespace Preferred Write Granularity.
    pub npwg: U16,
    /// Namespace Preferred Write Alignment.
    pub npwa: U16,
    /// Namespace Preferred Deallocate Granularity.
    pub npdg: U16,
    /// Namespace Preferred Deallocate Alignment.
    pub npda: U16,
    /// Namespace Optimal Write Size.
    pub nows: U16,
    /// Maximum Single Source Range Length.
    pub mssrl: U16,
    /// Maximum Copy Length.
    pub mcl: U32,
    /// Maximum Source Range Count.
    pub msrc: u8,
    /// Reserved.
    pub rsvd81: [u8; 11],
    /// ANA Group Identifier.
    pub anagrpid: U32,
    /// Reserved.
    pub rsvd96: [u8; 3],
    /// Namespace Attributes.
    pub nsattr: u8,
    /// NVM Set Identifier.
    pub nvmsetid: U16,
    /// Endurance Group Identifier.
    pub endgid: U16,
    /// Namespace Globally Unique Identifier, big-endian.
    pub nguid: [u8; 16],
    /// IEEE Extended Unique Identifier, big-endian.
    pub eui64: [u8; 8],
    /// LBA Format Support.
    pub lbaf: [LbaFormat; 64],
    /// Vendor specific.
    pub vs: [u8; 3712],
}
layout!(
    IdentifyNamespace, 4096, nsze @ 0, ncap @ 8, nuse @ 16, nsfeat @ 24, nlbaf @ 25, flbas @ 26, mc @ 27, dps @ 29,
    nmic @ 30, rescap @ 31, dlfeat @ 33, nvmcap @ 48, npwg @ 64, nows @ 72, anagrpid @ 92, nsattr @ 99, nguid @ 104,
    eui64 @ 120, lbaf @ 128, vs @ 384,
);

/// LBA Format.
#[derive(
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
)]
#[repr(C)]
pub struct LbaFormat {
    /// Metadata Size.
    pub ms: U16,
    /// LBA Data Size, a power of two.
    pub lbads: u8,
    /// Relative Performance.
    pub rp: u8,
}
layout!(LbaFormat, 4, ms @ 0, lbads @ 2, rp @ 3);

impl IdentifyNamespace {
    /// The LBA format in use, if FLBAS names one that exists.
    pub fn format(&self) -> Option<&LbaFormat> {
        // Bits 6:5 extend the index when there are more than 16 formats.
        let high = if self.nlbaf >= 16 {
            (self.flbas >> 5) & 3
        } else {
            0
        };
        let index = (self.flbas & 0xf) | high << 4;
        if index > self.nlbaf {
            None
        } else {
            self.lbaf.get(usize::from(index))
        }
    }
}

/// Entries in a namespace list.
pub const NSLIST_ENTRIES: usize = 1024;

/// Namespace list: ascending NSIDs, zero terminated unless full.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct NamespaceList {
    /// The entries.
    pub nsid: [U32; NSLIST_ENTRIES],
}
layout!(NamespaceList, 4096);

impl NamespaceList {
    /// The identifiers up to the first zero.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.nsid.iter().map(|n| n.get()).take_while(|&n| n != 0)
    }
}

/// Namespace identifier types.
pub mod nidt {
    /// EUI64, 8 bytes.
    pub const EUI64: u8 = 1;
    /// NGUID, 16 bytes.
    pub const NGUID: u8 = 2;
    /// UUID, 16 bytes.
    pub const UUID: u8 = 3;
    /// Command Set Identifier, 1 byte.
    pub const CSI: u8 = 4;
}

/// Header of a Namespace Identification Descriptor.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned, Clone, Copy, Debug)]
#[repr(C)]
pub struct NamespaceIdHeader {
    /// Type, see [`nidt`].
    pub nidt: u8,
    /// Length of the identifier.
    pub nidl: u8,
    /// Reserved.
    pub rsvd2: U16,
}
layout!(NamespaceIdHeader, 4);

/// Walks a Namespace Identification Descriptor list; stops at its end or at the first malformed descriptor.
#[derive(Clone, Debug)]
pub struct NamespaceIds<'a>(&'a [u8]);

impl<'a> NamespaceIds<'a> {
    /// Over the data of Identify CNS 03h.
    pub const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }
}

impl<'a> Iterator for NamespaceIds<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (h, rest) = NamespaceIdHeader::ref_from_prefix(self.0).ok()?;
        let (id, rest) = rest.split_at_checked(usize::from(h.nidl))?;
        if h.nidl == 0 {
            return None;
        }
        self.0 = rest;
        Some((h.nidt, id))
    }
}

/// Appends a Namespace Identification Descriptor at `*at`; false if it does not fit.
pub fn push_namespace_id(list: &mut [u8], at: &mut usize, nidt: u8, id: &[u8]) -> bool {
    let (Ok(nidl), Some(end)) = (u8::try_from(id.len()), at.checked_add(4 + id.len())) else {
        return false;
    };
    let Some([t, l, r0, r1, body @ ..]) = list.get_mut(*at..end) else {
        return false;
    };
    (*t, *l, *r0, *r1) = (nidt, nidl, 0, 0);
    body.iter_mut().zip(id).for_each(|(d, s)| *d = *s);
    *at = end;
    true
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::FromZeros;
    use super::*;

    #[test]
    fn formats_out_of_range_are_refused() {
        let mut buf = std::vec![0u8; 4096];
        let ns = IdentifyNamespace::mut_from_bytes(&mut buf).unwrap();
        ns.lbaf[0].lbads = 9;
        assert_eq!(ns.format().unwrap().lbads, 9);
        ns.flbas = 1;
        assert!(ns.format().is_none());
        ns.nlbaf = 63;
        ns.flbas = 0x6f;
        ns.lbaf[63].lbads = 12;
        assert_eq!(ns.format().unwrap().lbads, 12);
        ns.nlbaf = 255;
        assert_eq!(ns.format().unwrap().lbads, 12);
        ns.nlbaf = 15;
        assert!(ns.format().is_some_and(|f| f.lbads == 0));
        ns.zero();
    }

    #[test]
    fn sizes_cannot_overflow() {
        let mut buf = std::vec![0u8; 4096];
        let c = IdentifyController::mut_from_bytes(&mut buf).unwrap();
        assert_eq!(c.max_transfer(0), None);
        c.mdts = 5;
        assert_eq!(c.max_transfer(0), Some(128 << 10));
        c.mdts = 255;
        assert_eq!(c.max_transfer(15), None);
        assert_eq!(c.max_in_capsule(), 0);
        c.ioccsz = 1028.into();
        assert_eq!(c.max_in_capsule(), 16384);
        c.ioccsz = u32::MAX.into();
        assert!(c.max_in_capsule() > u64::from(u32::MAX));
    }

    #[test]
    fn descriptors() {
        let mut buf = std::vec![0u8; 4096];
        let mut at = 0;
        assert!(push_namespace_id(&mut buf, &mut at, nidt::NGUID, &[7; 16]));
        assert!(push_namespace_id(&mut buf, &mut at, nidt::CSI, &[0]));
        let mut it = NamespaceIds::new(&buf);
        assert_eq!(it.next(), Some((2, &[7u8; 16][..])));
        assert_eq!(it.next(), Some((4, &[0u8][..])));
        assert_eq!(it.next(), None);
        assert_eq!(
            NamespaceIds::new(&[3, 16, 0, 0, 1]).next(),
            None,
            "cut short"
        );
        assert!(!push_namespace_id(&mut buf[..8], &mut 0, 3, &[0; 16]));
    }

    #[test]
    fn list_ends_at_zero() {
        let mut buf = std::vec![0u8; 4096];
        let l = NamespaceList::mut_from_bytes(&mut buf).unwrap();
        (l.nsid[0], l.nsid[1], l.nsid[3]) = (1.into(), 5.into(), 9.into());
        assert!(l.iter().eq([1, 5]));
    }
}
