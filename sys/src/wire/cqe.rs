// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Completion queue entry (Base 3.3.3.2).
#![forbid(unsafe_code)]

use super::{
    FromBytes, Immutable, IntoBytes, KnownLayout, Status, U16, U32, U64, Unaligned, layout,
};

/// Completion queue entry, 16 bytes.
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
pub struct Cqe {
    /// Dword 0, command specific.
    pub cdw0: U32,
    /// Dword 1, command specific.
    pub cdw1: U32,
    /// SQ Head Pointer.
    pub sqhd: U16,
    /// SQ Identifier; reserved on fabrics.
    pub sqid: U16,
    /// Command Identifier.
    pub cid: U16,
    /// Status field with phase tag.
    pub status_field: U16,
}
layout!(Cqe, 16, cdw0 @ 0, cdw1 @ 4, sqhd @ 8, sqid @ 10, cid @ 12, status_field @ 14);

impl Cqe {
    /// An entry for command `cid` with dwords 0 and 1 zero; the queue fills in SQHD.
    pub const fn new(cid: u16, status: Status) -> Self {
        Self {
            cdw0: U32::ZERO,
            cdw1: U32::ZERO,
            sqhd: U16::ZERO,
            sqid: U16::ZERO,
            cid: U16::new(cid),
            status_field: U16::new(status.0),
        }
    }

    /// The same entry with dword 0 set.
    #[must_use]
    pub const fn with_cdw0(mut self, v: u32) -> Self {
        self.cdw0 = U32::new(v);
        self
    }

    /// Dwords 0 and 1 as one number, the value of a Property Get.
    pub const fn value(&self) -> u64 {
        ((self.cdw1.get() as u64) << 32) | self.cdw0.get() as u64
    }

    /// Sets dwords 0 and 1.
    pub fn set_value(&mut self, v: u64) {
        let b = U64::new(v).to_bytes();
        self.cdw0 = U32::from_bytes([b[0], b[1], b[2], b[3]]);
        self.cdw1 = U32::from_bytes([b[4], b[5], b[6], b[7]]);
    }

    /// The status field.
    pub const fn status(&self) -> Status {
        Status(self.status_field.get())
    }

    /// Sets the status field.
    pub fn set_status(&mut self, status: Status) {
        self.status_field = U16::new(status.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes() {
        let mut c = Cqe::new(0x1234, Status::INVALID_FIELD.with_dnr());
        c.set_value(0x1122_3344_5566_7788);
        assert_eq!(c.value(), 0x1122_3344_5566_7788);
        assert_eq!(
            c.as_bytes(),
            [
                0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0, 0, 0, 0, 0x34, 0x12, 0x04, 0x80
            ]
        );
    }
}
