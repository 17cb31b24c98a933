// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a finished command means to CAM, to a bio and to a waiting thread.
#![forbid(unsafe_code)]

/// Status field of a completion that the host makes up: path related (SCT 3), command aborted by host (SC 0x71).
pub const ABORTED_BY_HOST: u16 = (3 << 9) | (0x71 << 1);

/// The SCT and SC of a status field, without the phase tag, CRD, More and DNR.
pub fn code(status: u16) -> u16 {
    (status >> 1) & 0x7ff
}

/// Whether a status field reports success; the phase tag says nothing here.
pub fn is_success(status: u16) -> bool {
    code(status) == 0
}

/// Whether a status field says that the host gave the command up.
pub fn is_host_abort(status: u16) -> bool {
    code(status) == code(ABORTED_BY_HOST)
}

/// How a command with data went, beside its completion queue entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataOutcome {
    /// Every byte was transferred, or there were none.
    Complete,
    /// The transport reported success for less than the command asked for.
    Short,
    /// The transport failed with an errno.
    Failed(i32),
}

impl DataOutcome {
    /// Judges a data callback: `wanted` bytes must have arrived.
    pub fn judge(wanted: u32, transferred: usize, error: i32) -> Self {
        match error {
            0 if transferred < wanted as usize => Self::Short,
            0 => Self::Complete,
            error => Self::Failed(error),
        }
    }
}

/// What a finished request tells CAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CcbOutcome {
    /// CAM_REQ_CMP.
    Complete,
    /// CAM_NVME_STATUS_ERROR, with the completion queue entry in the CCB.
    NvmeError,
    /// CAM_REQ_CMP_ERR: the data did not arrive whole.
    DataError,
    /// The host gave the command up: see [`crate::proto::unserved`].
    Unserved,
}

/// Judges a CCB.
pub fn ccb_outcome(status: u16, data: DataOutcome) -> CcbOutcome {
    if is_host_abort(status) {
        CcbOutcome::Unserved
    } else if !is_success(status) {
        CcbOutcome::NvmeError
    } else {
        match data {
            DataOutcome::Complete => CcbOutcome::Complete,
            DataOutcome::Short | DataOutcome::Failed(_) => CcbOutcome::DataError,
        }
    }
}

/// What a finished request means to a bio of a namespace node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BioOutcome {
    /// Done without error.
    Complete,
    /// Failed with an errno of the transport.
    DataError(i32),
    /// Failed with EIO.
    IoError,
    /// Keep it until the association is back.
    Hold,
    /// Failed with ECONNABORTED.
    Aborted,
}

/// Judges a bio; `fail` says that requests are failed, not held, while there is no association.
pub fn bio_outcome(status: u16, data: DataOutcome, fail: bool) -> BioOutcome {
    if is_host_abort(status) {
        return if fail {
            BioOutcome::Aborted
        } else {
            BioOutcome::Hold
        };
    }
    match data {
        DataOutcome::Failed(error) => BioOutcome::DataError(error),
        _ if !is_success(status) => BioOutcome::IoError,
        DataOutcome::Short => BioOutcome::IoError,
        DataOutcome::Complete => BioOutcome::Complete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OK: DataOutcome = DataOutcome::Complete;

    #[test]
    fn phase_tag_is_not_an_error() {
        assert!(is_success(1));
        assert!(!is_success(2));
        assert!(!is_success(0x0e00));
        assert!(is_success(0xc001));
    }

    #[test]
    fn abort_is_found_with_any_other_bit() {
        assert_eq!(ABORTED_BY_HOST, 0x06e2);
        assert!(is_host_abort(ABORTED_BY_HOST | 0x8001));
        assert!(!is_host_abort(0x71 << 1));
    }

    #[test]
    fn ccb_order_of_conditions() {
        let failed = DataOutcome::Failed(53);
        assert_eq!(ccb_outcome(ABORTED_BY_HOST, failed), CcbOutcome::Unserved);
        assert_eq!(ccb_outcome(0x04 << 1, failed), CcbOutcome::NvmeError);
        assert_eq!(ccb_outcome(0, failed), CcbOutcome::DataError);
        assert_eq!(ccb_outcome(1, OK), CcbOutcome::Complete);
    }

    #[test]
    fn success_without_the_data_is_an_error() {
        assert_eq!(DataOutcome::judge(4096, 4095, 0), DataOutcome::Short);
        assert_eq!(ccb_outcome(0, DataOutcome::Short), CcbOutcome::DataError);
        assert_eq!(
            bio_outcome(0, DataOutcome::Short, false),
            BioOutcome::IoError
        );
        assert_eq!(DataOutcome::judge(4096, 4096, 0), OK);
        assert_eq!(DataOutcome::judge(0, 0, 0), OK);
    }

    #[test]
    fn bio_data_errno_wins_over_eio() {
        assert_eq!(
            bio_outcome(0x80 << 1, DataOutcome::Failed(97), false),
            BioOutcome::DataError(97)
        );
        assert_eq!(bio_outcome(0x80 << 1, OK, false), BioOutcome::IoError);
        assert_eq!(
            bio_outcome(ABORTED_BY_HOST, DataOutcome::Failed(53), false),
            BioOutcome::Hold
        );
        assert_eq!(
            bio_outcome(ABORTED_BY_HOST, DataOutcome::Failed(53), true),
            BioOutcome::Aborted
        );
    }
}
