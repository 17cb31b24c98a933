// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The data pointer of a command capsule (TCP 3.4).
#![forbid(unsafe_code)]

use sys::wire::sgl::{ID_IN_CAPSULE, ID_TRANSPORT};
use sys::wire::sqe::Direction;
use sys::wire::{Sgl, Sqe, Status};

/// What is wrong with the data of a command: the status to complete it with and the reason, for messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SglError {
    /// The status.
    pub status: Status,
    /// The reason.
    pub why: &'static str,
}

const fn error(status: Status, why: &'static str) -> SglError {
    SglError { status, why }
}

/// Judges the SGL descriptor of a command that came with `icd` bytes of in-capsule data, whose digest may be wrong
/// (D-33).
#[inline]
pub fn validate(sqe: &Sqe, icd: u32, digest_ok: bool) -> Result<(), SglError> {
    let sgl = &sqe.sgl1;
    if !digest_ok {
        return Err(error(
            Status::TRANSIENT_TRANSPORT_ERROR,
            "Data digest mismatch in Command Capsule",
        ));
    }
    match sgl.id {
        ID_IN_CAPSULE => {
            if sgl.length.get() != icd {
                return Err(error(
                    Status::DATA_SGL_LENGTH_INVALID,
                    "Command Capsule with mismatched ICD length",
                ));
            }
        }
        ID_TRANSPORT => {
            if icd != 0 {
                return Err(error(Status::INVALID_FIELD, "Command Buffer SGL with ICD"));
            }
        }
        _ => {
            return Err(error(
                Status::SGL_TYPE_INVALID,
                "Invalid SGL type in Command Capsule",
            ));
        }
    }
    if sgl.address.get() != 0 {
        return Err(error(
            Status::SGL_OFFSET_INVALID,
            "Invalid SGL offset in Command Capsule",
        ));
    }
    if sgl.id == ID_IN_CAPSULE && icd != 0 && sqe.direction() == Direction::ControllerToHost {
        return Err(error(
            Status::INVALID_FIELD,
            "Command Capsule with ICD for a read",
        ));
    }
    Ok(())
}

/// The descriptor for a command of ours with `len` bytes of data, and how many of them travel in its capsule: data to
/// the controller does if it fits.
#[inline]
pub const fn describe(to_controller: bool, len: u32, max_icd: u32) -> (Sgl, u32) {
    if to_controller && len != 0 && len <= max_icd {
        (Sgl::in_capsule(len), len)
    } else {
        (Sgl::transport(len), 0)
    }
}

/// Whether the data of a command is in its capsule.
#[inline]
pub const fn is_in_capsule(sqe: &Sqe) -> bool {
    sqe.sgl1.id == ID_IN_CAPSULE
}

#[cfg(test)]
mod tests;
