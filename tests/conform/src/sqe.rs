// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Commands, field by field.

/// Opcodes of the admin queue.
#[allow(missing_docs)]
pub mod admin {
    pub const GET_LOG: u8 = 0x02;
    pub const IDENTIFY: u8 = 0x06;
    pub const ABORT: u8 = 0x08;
    pub const SET_FEATURES: u8 = 0x09;
    pub const GET_FEATURES: u8 = 0x0a;
    pub const ASYNC_EVENT: u8 = 0x0c;
    pub const KEEP_ALIVE: u8 = 0x18;
    pub const FABRICS: u8 = 0x7f;
    /// Vendor specific, with data to the controller: nobody has it.
    pub const VENDOR_WRITE: u8 = 0xf1;
}

/// Opcodes of the NVM command set.
#[allow(missing_docs)]
pub mod nvm {
    pub const FLUSH: u8 = 0x00;
    pub const WRITE: u8 = 0x01;
    pub const READ: u8 = 0x02;
    pub const COMPARE: u8 = 0x05;
    pub const WRITE_ZEROES: u8 = 0x08;
    pub const DSM: u8 = 0x09;
}

/// Types of Fabrics commands.
#[allow(missing_docs)]
pub mod fabrics {
    pub const PROPERTY_SET: u8 = 0;
    pub const CONNECT: u8 = 1;
    pub const PROPERTY_GET: u8 = 4;
    pub const DISCONNECT: u8 = 8;
}

/// Offsets of properties.
#[allow(missing_docs)]
pub mod property {
    pub const CAP: u32 = 0;
    pub const VS: u32 = 8;
    pub const CC: u32 = 0x14;
    pub const CSTS: u32 = 0x1c;
}

/// How a command's data travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the capsule.
    Capsule,
    /// By data PDUs.
    Buffer,
}

/// A submission queue entry.
#[derive(Clone, Copy, Debug)]
pub struct Sqe(pub [u8; 64]);

impl Sqe {
    /// With an SGL for so many bytes.
    pub fn new(opcode: u8, cid: u16, nsid: u32, len: u32, place: Place) -> Self {
        let mut s = Self(rawpeer::pdu::sqe(opcode, cid, len, place == Place::Capsule));
        s.0[4..8].copy_from_slice(&nsid.to_le_bytes());
        s
    }

    /// Sets bytes.
    pub fn set(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Sets a 32-bit field.
    pub fn u32(self, at: usize, v: u32) -> Self {
        self.set(at, &v.to_le_bytes())
    }

    /// Sets a 16-bit field.
    pub fn u16(self, at: usize, v: u16) -> Self {
        self.set(at, &v.to_le_bytes())
    }

    /// Sets a byte.
    pub fn u8(self, at: usize, v: u8) -> Self {
        self.set(at, &[v])
    }

    /// Sets command dword 10.
    pub fn cdw10(self, v: u32) -> Self {
        self.u32(40, v)
    }

    /// Sets command dword 11.
    pub fn cdw11(self, v: u32) -> Self {
        self.u32(44, v)
    }

    /// Sets SLBA and the number of blocks.
    pub fn blocks(self, slba: u64, n: u32) -> Self {
        self.set(40, &slba.to_le_bytes())
            .u16(48, n.wrapping_sub(1) as u16)
    }

    /// Sets the SGL's length.
    pub fn sgl_len(self, len: u32) -> Self {
        self.u32(32, len)
    }

    /// The command identifier.
    pub fn cid(&self) -> u16 {
        u16::from_le_bytes([self.0[2], self.0[3]])
    }
}
