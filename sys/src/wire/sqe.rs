// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Submission queue entry (Base 3.3.3.1) and the commands that the modules issue or parse.
#![forbid(unsafe_code)]

use super::{FromBytes, Immutable, IntoBytes, KnownLayout, Sgl, U16, U32, U64, Unaligned, layout};

/// Submission queue entry, 64 bytes.
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
pub struct Sqe {
    /// Opcode.
    pub opcode: u8,
    /// FUSE in bits 1:0, PSDT in bits 7:6.
    pub flags: u8,
    /// Command Identifier.
    pub cid: U16,
    /// Namespace Identifier; the low byte is FCTYPE in a Fabrics command.
    pub nsid: U32,
    /// Dword 2.
    pub cdw2: U32,
    /// Dword 3.
    pub cdw3: U32,
    /// Metadata Pointer.
    pub mptr: U64,
    /// SGL Entry 1.
    pub sgl1: Sgl,
    /// Dword 10.
    pub cdw10: U32,
    /// Dword 11.
    pub cdw11: U32,
    /// Dword 12.
    pub cdw12: U32,
    /// Dword 13.
    pub cdw13: U32,
    /// Dword 14.
    pub cdw14: U32,
    /// Dword 15.
    pub cdw15: U32,
}
layout!(Sqe, 64, flags @ 1, cid @ 2, nsid @ 4, mptr @ 16, sgl1 @ 24, cdw10 @ 40, cdw12 @ 48, cdw15 @ 60);

/// PSDT 01b: SGLs are used and MPTR holds an address. The only form on fabrics, with 10b for an MPTR SGL.
pub const PSDT_SGL: u8 = 0b01;

/// Opcodes of admin commands (Base figure 138).
pub mod admin {
    /// Delete I/O Submission Queue.
    pub const DELETE_SQ: u8 = 0x00;
    /// Get Log Page.
    pub const GET_LOG_PAGE: u8 = 0x02;
    /// Identify.
    pub const IDENTIFY: u8 = 0x06;
    /// Abort.
    pub const ABORT: u8 = 0x08;
    /// Set Features.
    pub const SET_FEATURES: u8 = 0x09;
    /// Get Features.
    pub const GET_FEATURES: u8 = 0x0a;
    /// Asynchronous Event Request.
    pub const ASYNC_EVENT_REQUEST: u8 = 0x0c;
    /// Keep Alive.
    pub const KEEP_ALIVE: u8 = 0x18;
}

/// Opcodes of NVM commands (NVM figure 12).
pub mod nvm {
    /// Flush.
    pub const FLUSH: u8 = 0x00;
    /// Write.
    pub const WRITE: u8 = 0x01;
    /// Read.
    pub const READ: u8 = 0x02;
    /// Write Uncorrectable.
    pub const WRITE_UNCORRECTABLE: u8 = 0x04;
    /// Compare.
    pub const COMPARE: u8 = 0x05;
    /// Write Zeroes.
    pub const WRITE_ZEROES: u8 = 0x08;
    /// Dataset Management.
    pub const DATASET_MANAGEMENT: u8 = 0x09;
    /// Verify.
    pub const VERIFY: u8 = 0x0c;
    /// Reservation Register.
    pub const RESERVATION_REGISTER: u8 = 0x0d;
    /// Reservation Report.
    pub const RESERVATION_REPORT: u8 = 0x0e;
    /// Reservation Acquire.
    pub const RESERVATION_ACQUIRE: u8 = 0x11;
    /// Reservation Release.
    pub const RESERVATION_RELEASE: u8 = 0x15;
    /// Copy.
    pub const COPY: u8 = 0x19;
}

/// Which way a command's data goes, from the low two bits of its opcode (Base 3.3.3.1, 1.5.14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// No data.
    None,
    /// Host to controller.
    HostToController,
    /// Controller to host.
    ControllerToHost,
    /// Both; no command uses it.
    Bidirectional,
}

/// Arguments of Get Log Page (Base 5.16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GetLogPage {
    /// Log Page Identifier.
    pub lid: u8,
    /// Log Specific Parameter, 7 bits.
    pub lsp: u8,
    /// Retain Asynchronous Event.
    pub rae: bool,
    /// Number of Dwords, 0's based.
    pub numd: u32,
    /// Log Specific Identifier.
    pub lsi: u16,
    /// Log Page Offset.
    pub offset: u64,
    /// The offset counts entries, not bytes.
    pub ot: bool,
    /// Command Set Identifier.
    pub csi: u8,
}

impl GetLogPage {
    /// Bytes asked for; cannot overflow.
    pub const fn len(&self) -> u64 {
        (self.numd as u64 + 1) * 4
    }

    /// Never: NUMD is 0's based.
    pub const fn is_empty(&self) -> bool {
        false
    }
}

/// Range descriptor of Dataset Management (NVM 3.2.3).
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
pub struct DsmRange {
    /// Context Attributes.
    pub attributes: U32,
    /// Length in logical blocks, not 0's based.
    pub length: U32,
    /// Starting LBA.
    pub slba: U64,
}
layout!(DsmRange, 16, attributes @ 0, length @ 4, slba @ 8);

/// Dataset Management: most ranges in one command.
pub const DSM_MAX_RANGES: usize = 256;
/// Dataset Management dword 11: Attribute – Deallocate.
pub const DSM_DEALLOCATE: u32 = 1 << 2;
/// Read, Write, Compare dword 12: Force Unit Access.
pub const FUA: u32 = 1 << 30;
/// Read, Write, Compare dword 12: Limited Retry.
pub const LIMITED_RETRY: u32 = 1 << 31;

impl Sqe {
    /// A command with everything but its opcode and PSDT zero and no data. The queue fills in the CID.
    pub fn new(opcode: u8) -> Self {
        Self {
            opcode,
            flags: PSDT_SGL << 6,
            sgl1: Sgl::transport(0),
            ..Self::default()
        }
    }

    /// Fused Operation: 0 normal, 1 first, 2 second.
    pub const fn fuse(&self) -> u8 {
        self.flags & 3
    }

    /// PRP or SGL for Data Transfer.
    pub const fn psdt(&self) -> u8 {
        self.flags >> 6
    }

    /// Whether this is a Fabrics command.
    pub const fn is_fabrics(&self) -> bool {
        self.opcode == super::fabrics::OPCODE
    }

    /// Fabrics Command Type.
    pub const fn fctype(&self) -> u8 {
        self.nsid.to_bytes()[0]
    }

    /// Which way the data goes. The type, not the opcode, says so in a Fabrics command.
    pub const fn direction(&self) -> Direction {
        let code = if self.is_fabrics() {
            self.fctype()
        } else {
            self.opcode
        };
        match code & 3 {
            0 => Direction::None,
            1 => Direction::HostToController,
            2 => Direction::ControllerToHost,
            _ => Direction::Bidirectional,
        }
    }

    /// Identify.
    pub fn identify(cns: u8, nsid: u32) -> Self {
        Self::identify_csi(cns, nsid, 0)
    }

    /// Identify for a command set.
    pub fn identify_csi(cns: u8, nsid: u32, csi: u8) -> Self {
        Self {
            nsid: nsid.into(),
            cdw10: u32::from(cns).into(),
            cdw11: (u32::from(csi) << 24).into(),
            ..Self::new(admin::IDENTIFY)
        }
    }

    /// Get Log Page.
    pub fn get_log_page(nsid: u32, a: &GetLogPage) -> Self {
        Self {
            nsid: nsid.into(),
            cdw10: (u32::from(a.lid)
                | u32::from(a.lsp & 0x7f) << 8
                | u32::from(a.rae) << 15
                | (a.numd & 0xffff) << 16)
                .into(),
            cdw11: (a.numd >> 16 | u32::from(a.lsi) << 16).into(),
            cdw12: (a.offset as u32).into(),
            cdw13: ((a.offset >> 32) as u32).into(),
            cdw14: (u32::from(a.ot) << 23 | u32::from(a.csi) << 24).into(),
            ..Self::new(admin::GET_LOG_PAGE)
        }
    }

    /// The arguments of a Get Log Page command.
    pub const fn as_get_log_page(&self) -> GetLogPage {
        let (d10, d11, d14) = (self.cdw10.get(), self.cdw11.get(), self.cdw14.get());
        GetLogPage {
            lid: d10 as u8,
            lsp: (d10 >> 8) as u8 & 0x7f,
            rae: d10 & (1 << 15) != 0,
            numd: d10 >> 16 | d11 << 16,
            lsi: (d11 >> 16) as u16,
            offset: self.cdw12.get() as u64 | (self.cdw13.get() as u64) << 32,
            ot: d14 & (1 << 23) != 0,
            csi: (d14 >> 24) as u8,
        }
    }

    /// Set Features, not saved.
    pub fn set_features(fid: u8, value: u32) -> Self {
        Self {
            cdw10: u32::from(fid).into(),
            cdw11: value.into(),
            ..Self::new(admin::SET_FEATURES)
        }
    }

    /// Get Features.
    pub fn get_features(fid: u8, sel: u8) -> Self {
        Self {
            cdw10: (u32::from(fid) | u32::from(sel & 7) << 8).into(),
            ..Self::new(admin::GET_FEATURES)
        }
    }

    /// Asynchronous Event Request.
    pub fn async_event_request() -> Self {
        Self::new(admin::ASYNC_EVENT_REQUEST)
    }

    /// Keep Alive.
    pub fn keep_alive() -> Self {
        Self::new(admin::KEEP_ALIVE)
    }

    /// Abort of command `cid` on queue `sqid`.
    pub fn abort(sqid: u16, cid: u16) -> Self {
        Self {
            cdw10: (u32::from(sqid) | u32::from(cid) << 16).into(),
            ..Self::new(admin::ABORT)
        }
    }

    /// Read; `nlb` is the number of blocks, 1 to 65536.
    pub fn read(nsid: u32, slba: u64, nlb: u32) -> Self {
        Self::block_io(nvm::READ, nsid, slba, nlb)
    }

    /// Write; `nlb` is the number of blocks, 1 to 65536.
    pub fn write(nsid: u32, slba: u64, nlb: u32) -> Self {
        Self::block_io(nvm::WRITE, nsid, slba, nlb)
    }

    /// Any command of the Read and Write shape; `nlb` is the number of blocks, 1 to 65536.
    pub fn block_io(opcode: u8, nsid: u32, slba: u64, nlb: u32) -> Self {
        Self {
            nsid: nsid.into(),
            cdw10: (slba as u32).into(),
            cdw11: ((slba >> 32) as u32).into(),
            cdw12: (nlb.wrapping_sub(1) & 0xffff).into(),
            ..Self::new(opcode)
        }
    }

    /// Flush.
    pub fn flush(nsid: u32) -> Self {
        Self {
            nsid: nsid.into(),
            ..Self::new(nvm::FLUSH)
        }
    }

    /// Dataset Management that deallocates `ranges` ranges, 1 to 256.
    pub fn deallocate(nsid: u32, ranges: u32) -> Self {
        Self {
            nsid: nsid.into(),
            cdw10: (ranges.wrapping_sub(1) & 0xff).into(),
            cdw11: DSM_DEALLOCATE.into(),
            ..Self::new(nvm::DATASET_MANAGEMENT)
        }
    }

    /// Starting LBA of a command of the Read and Write shape.
    pub const fn slba(&self) -> u64 {
        self.cdw10.get() as u64 | (self.cdw11.get() as u64) << 32
    }

    /// Number of blocks of a command of the Read and Write shape, 1 to 65536.
    pub const fn nlb(&self) -> u32 {
        (self.cdw12.get() & 0xffff) + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_is_an_sgl_command_without_data() {
        let s = Sqe::new(nvm::FLUSH);
        assert_eq!((s.psdt(), s.fuse()), (1, 0));
        assert_eq!(s.as_bytes()[1], 0x40);
        assert_eq!(s.as_bytes()[39], 0x5a);
    }

    #[test]
    fn log_page_round_trip() {
        let a = GetLogPage {
            lid: 0x70,
            lsp: 0x55,
            rae: true,
            numd: 0xffff_ffff,
            lsi: 0xabcd,
            offset: 0x1122_3344_5566_7788,
            ot: true,
            csi: 3,
        };
        assert_eq!(Sqe::get_log_page(1, &a).as_get_log_page(), a);
        assert_eq!(a.len(), 1 << 34, "no 32-bit wrap (D-17)");
        let b = GetLogPage {
            lsp: 0,
            rae: false,
            numd: 127,
            lsi: 0,
            offset: 0,
            ot: false,
            csi: 0,
            lid: 2,
        };
        let s = Sqe::get_log_page(0xffff_ffff, &b);
        assert_eq!(s.cdw10.get(), 2 | 127 << 16);
        assert_eq!(b.len(), 512);
    }

    #[test]
    fn block_io() {
        let s = Sqe::write(7, 0x1_0000_0002, 65536);
        assert_eq!((s.slba(), s.nlb(), s.nsid.get()), (0x1_0000_0002, 65536, 7));
        assert_eq!(s.direction(), Direction::HostToController);
        assert_eq!(Sqe::read(1, 0, 1).direction(), Direction::ControllerToHost);
        assert_eq!(Sqe::flush(1).direction(), Direction::None);
        assert_eq!(Sqe::deallocate(1, 256).cdw10.get(), 255);
    }

    #[test]
    fn fabrics_direction_is_that_of_fctype() {
        let mut s = Sqe::new(0x7f);
        s.nsid = 1.into();
        assert_eq!(s.direction(), Direction::HostToController);
        s.nsid = 4.into();
        assert_eq!(s.direction(), Direction::None);
    }
}
