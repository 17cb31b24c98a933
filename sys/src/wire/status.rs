// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Completion status (Base 3.3.3.2.1).
#![forbid(unsafe_code)]

use core::fmt;

/// The 16-bit status field of a completion queue entry, phase tag included (it is 0 on fabrics).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u16);

/// Status code types.
pub mod sct {
    /// Generic command status.
    pub const GENERIC: u8 = 0;
    /// Command specific status.
    pub const COMMAND_SPECIFIC: u8 = 1;
    /// Media and data integrity errors.
    pub const MEDIA: u8 = 2;
    /// Path related status.
    pub const PATH: u8 = 3;
    /// Vendor specific.
    pub const VENDOR: u8 = 7;
}

const DNR: u16 = 1 << 15;
const MORE: u16 = 1 << 14;

impl Status {
    /// A status with the given status code type and status code.
    pub const fn new(sct: u8, sc: u8) -> Self {
        Self((((sct & 7) as u16) << 9) | ((sc as u16) << 1))
    }

    const fn generic(sc: u8) -> Self {
        Self::new(sct::GENERIC, sc)
    }

    const fn specific(sc: u8) -> Self {
        Self::new(sct::COMMAND_SPECIFIC, sc)
    }

    /// Status Code Type.
    pub const fn sct(self) -> u8 {
        ((self.0 >> 9) & 7) as u8
    }

    /// Status Code.
    pub const fn sc(self) -> u8 {
        ((self.0 >> 1) & 0xff) as u8
    }

    /// Command Retry Delay index.
    pub const fn crd(self) -> u8 {
        ((self.0 >> 12) & 3) as u8
    }

    /// More: the Error Information log says more.
    pub const fn more(self) -> bool {
        self.0 & MORE != 0
    }

    /// Do Not Retry.
    pub const fn dnr(self) -> bool {
        self.0 & DNR != 0
    }

    /// The same status with Do Not Retry set.
    #[must_use]
    pub const fn with_dnr(self) -> Self {
        Self(self.0 | DNR)
    }

    /// The same status with More set.
    #[must_use]
    pub const fn with_more(self) -> Self {
        Self(self.0 | MORE)
    }

    /// Whether SCT and SC say success.
    pub const fn is_success(self) -> bool {
        self.code() == 0
    }

    /// SCT and SC as one number, `SCT << 8 | SC`, for comparison and messages.
    pub const fn code(self) -> u16 {
        (self.0 >> 1) & 0x7ff
    }

    /// Whether two statuses have the same SCT and SC, whatever their CRD, M and DNR.
    pub const fn same_code(self, other: Self) -> bool {
        self.code() == other.code()
    }
}

/// Generic command status values (SCT 0; Base figure 94, NVM figure 5).
impl Status {
    /// Successful Completion.
    pub const SUCCESS: Self = Self(0);
    /// Invalid Command Opcode.
    pub const INVALID_OPCODE: Self = Self::generic(0x01);
    /// Invalid Field in Command.
    pub const INVALID_FIELD: Self = Self::generic(0x02);
    /// Command ID Conflict.
    pub const COMMAND_ID_CONFLICT: Self = Self::generic(0x03);
    /// Data Transfer Error.
    pub const DATA_TRANSFER_ERROR: Self = Self::generic(0x04);
    /// Commands Aborted due to Power Loss Notification.
    pub const ABORTED_POWER_LOSS: Self = Self::generic(0x05);
    /// Internal Error.
    pub const INTERNAL_ERROR: Self = Self::generic(0x06);
    /// Command Abort Requested.
    pub const ABORT_REQUESTED: Self = Self::generic(0x07);
    /// Command Aborted due to SQ Deletion.
    pub const ABORTED_SQ_DELETION: Self = Self::generic(0x08);
    /// Command Aborted due to Failed Fused Command.
    pub const ABORTED_FAILED_FUSED: Self = Self::generic(0x09);
    /// Command Aborted due to Missing Fused Command.
    pub const ABORTED_MISSING_FUSED: Self = Self::generic(0x0a);
    /// Invalid Namespace or Format.
    pub const INVALID_NAMESPACE_OR_FORMAT: Self = Self::generic(0x0b);
    /// Command Sequence Error.
    pub const COMMAND_SEQUENCE_ERROR: Self = Self::generic(0x0c);
    /// Invalid SGL Segment Descriptor.
    pub const INVALID_SGL_SEGMENT: Self = Self::generic(0x0d);
    /// Invalid Number of SGL Descriptors.
    pub const INVALID_SGL_COUNT: Self = Self::generic(0x0e);
    /// Data SGL Length Invalid.
    pub const DATA_SGL_LENGTH_INVALID: Self = Self::generic(0x0f);
    /// Metadata SGL Length Invalid.
    pub const METADATA_SGL_LENGTH_INVALID: Self = Self::generic(0x10);
    /// SGL Descriptor Type Invalid.
    pub const SGL_TYPE_INVALID: Self = Self::generic(0x11);
    /// PRP Offset Invalid.
    pub const PRP_OFFSET_INVALID: Self = Self::generic(0x13);
    /// Operation Denied.
    pub const OPERATION_DENIED: Self = Self::generic(0x15);
    /// SGL Offset Invalid.
    pub const SGL_OFFSET_INVALID: Self = Self::generic(0x16);
    /// Host Identifier Inconsistent Format.
    pub const HOST_ID_INCONSISTENT: Self = Self::generic(0x18);
    /// Keep Alive Timer Expired.
    pub const KEEP_ALIVE_EXPIRED: Self = Self::generic(0x19);
    /// Keep Alive Timeout Invalid.
    pub const KEEP_ALIVE_INVALID: Self = Self::generic(0x1a);
    /// Command Aborted due to Preempt and Abort.
    pub const ABORTED_PREEMPT: Self = Self::generic(0x1b);
    /// Sanitize In Progress.
    pub const SANITIZE_IN_PROGRESS: Self = Self::generic(0x1d);
    /// Namespace is Write Protected.
    pub const NAMESPACE_WRITE_PROTECTED: Self = Self::generic(0x20);
    /// Command Interrupted.
    pub const COMMAND_INTERRUPTED: Self = Self::generic(0x21);
    /// Transient Transport Error.
    pub const TRANSIENT_TRANSPORT_ERROR: Self = Self::generic(0x22);
    /// LBA Out of Range.
    pub const LBA_OUT_OF_RANGE: Self = Self::generic(0x80);
    /// Capacity Exceeded.
    pub const CAPACITY_EXCEEDED: Self = Self::generic(0x81);
    /// Namespace Not Ready.
    pub const NAMESPACE_NOT_READY: Self = Self::generic(0x82);
    /// Reservation Conflict.
    pub const RESERVATION_CONFLICT: Self = Self::generic(0x83);
}

/// Command specific status values (SCT 1; Base figure 95, NVM figure 6).
impl Status {
    /// Completion Queue Invalid.
    pub const COMPLETION_QUEUE_INVALID: Self = Self::specific(0x00);
    /// Invalid Queue Identifier.
    pub const INVALID_QUEUE_IDENTIFIER: Self = Self::specific(0x01);
    /// Invalid Queue Size.
    pub const INVALID_QUEUE_SIZE: Self = Self::specific(0x02);
    /// Abort Command Limit Exceeded.
    pub const ABORT_LIMIT_EXCEEDED: Self = Self::specific(0x03);
    /// Asynchronous Event Request Limit Exceeded.
    pub const AER_LIMIT_EXCEEDED: Self = Self::specific(0x05);
    /// Invalid Log Page.
    pub const INVALID_LOG_PAGE: Self = Self::specific(0x09);
    /// Invalid Format.
    pub const INVALID_FORMAT: Self = Self::specific(0x0a);
    /// Feature Identifier Not Saveable.
    pub const FEATURE_NOT_SAVEABLE: Self = Self::specific(0x0d);
    /// Feature Not Changeable.
    pub const FEATURE_NOT_CHANGEABLE: Self = Self::specific(0x0e);
    /// Feature Not Namespace Specific.
    pub const FEATURE_NOT_NS_SPECIFIC: Self = Self::specific(0x0f);
    /// Conflicting Attributes.
    pub const CONFLICTING_ATTRIBUTES: Self = Self::specific(0x80);
    /// Attempted Write to Read Only Range.
    pub const WRITE_TO_READ_ONLY: Self = Self::specific(0x82);
}

/// Status values of Fabrics commands (SCT 1; Base figure 96).
impl Status {
    /// Connect: Incompatible Format.
    pub const CONNECT_INCOMPATIBLE_FORMAT: Self = Self::specific(0x80);
    /// Connect: Controller Busy.
    pub const CONNECT_CONTROLLER_BUSY: Self = Self::specific(0x81);
    /// Connect: Invalid Parameters.
    pub const CONNECT_INVALID_PARAMETERS: Self = Self::specific(0x82);
    /// Connect: Restart Discovery.
    pub const CONNECT_RESTART_DISCOVERY: Self = Self::specific(0x83);
    /// Connect: Invalid Host.
    pub const CONNECT_INVALID_HOST: Self = Self::specific(0x84);
    /// Disconnect: Invalid Queue Type.
    pub const INVALID_QUEUE_TYPE: Self = Self::specific(0x85);
    /// Discover Restart.
    pub const DISCOVER_RESTART: Self = Self::specific(0x90);
    /// Authentication Required.
    pub const AUTHENTICATION_REQUIRED: Self = Self::specific(0x91);
}

/// Media and data integrity (SCT 2) and path related (SCT 3) status values.
impl Status {
    /// Write Fault.
    pub const WRITE_FAULT: Self = Self::new(sct::MEDIA, 0x80);
    /// Unrecovered Read Error.
    pub const UNRECOVERED_READ_ERROR: Self = Self::new(sct::MEDIA, 0x81);
    /// Compare Failure.
    pub const COMPARE_FAILURE: Self = Self::new(sct::MEDIA, 0x85);
    /// Access Denied.
    pub const ACCESS_DENIED: Self = Self::new(sct::MEDIA, 0x86);
    /// Deallocated or Unwritten Logical Block.
    pub const DEALLOCATED_BLOCK: Self = Self::new(sct::MEDIA, 0x87);
    /// Internal Path Error.
    pub const INTERNAL_PATH_ERROR: Self = Self::new(sct::PATH, 0x00);
    /// Asymmetric Access Inaccessible.
    pub const ANA_INACCESSIBLE: Self = Self::new(sct::PATH, 0x02);
    /// Controller Pathing Error.
    pub const CONTROLLER_PATHING_ERROR: Self = Self::new(sct::PATH, 0x60);
    /// Host Pathing Error.
    pub const HOST_PATHING_ERROR: Self = Self::new(sct::PATH, 0x70);
    /// Command Aborted By Host: the host made this up, no controller sent it.
    pub const ABORTED_BY_HOST: Self = Self::new(sct::PATH, 0x71);
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SCT {:#x} SC {:#04x}", self.sct(), self.sc())?;
        if self.dnr() {
            f.write_str(" DNR")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_overlap() {
        let s = Status::new(sct::PATH, 0x71);
        assert_eq!(s.0, (3 << 9) | (0x71 << 1));
        assert_eq!(
            (s.sct(), s.sc(), s.crd(), s.more(), s.dnr()),
            (3, 0x71, 0, false, false)
        );
        let s = s.with_dnr().with_more();
        assert_eq!(s.0 & 0xc000, 0xc000);
        assert!(s.dnr() && s.more() && s.same_code(Status::ABORTED_BY_HOST));
        assert!(Status(1).is_success(), "the phase tag is no error");
        assert_eq!(Status(0x3000).crd(), 3);
    }
}
