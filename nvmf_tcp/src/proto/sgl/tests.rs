// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! SGL descriptors of command capsules: conformance cases 43, 45 to 51.
#![forbid(unsafe_code)]

use super::*;

fn status(id: u8, length: u32, address: u64, icd: u32, read: bool) -> Option<Status> {
    let mut sqe = if read {
        Sqe::read(1, 0, 1)
    } else {
        Sqe::write(1, 0, 1)
    };
    (sqe.sgl1.id, sqe.sgl1.length, sqe.sgl1.address) = (id, length.into(), address.into());
    validate(&sqe, icd, true).err().map(|e| e.status)
}

#[test]
fn case_45_in_capsule_data_has_the_length_of_the_sgl() {
    for n in [0, 1, 511, 8192, 16384] {
        assert_eq!(status(0x01, n, 0, n, false), None);
        assert_eq!(
            status(0x01, n + 1, 0, n, false),
            Some(Status::DATA_SGL_LENGTH_INVALID)
        );
    }
    assert_eq!(
        status(0x01, 512, 0, 513, false),
        Some(Status::DATA_SGL_LENGTH_INVALID)
    );
    assert_eq!(
        status(0x01, u32::MAX, 0, 512, false),
        Some(Status::DATA_SGL_LENGTH_INVALID),
        "case 51"
    );
}

#[test]
fn case_47_in_capsule_data_where_there_can_be_none() {
    assert_eq!(status(0x01, 512, 0, 512, true), Some(Status::INVALID_FIELD));
    assert_eq!(
        status(0x01, 512, 4, 512, false),
        Some(Status::SGL_OFFSET_INVALID)
    );
    assert_eq!(
        status(0x01, 512, 4, 512, true),
        Some(Status::SGL_OFFSET_INVALID),
        "the offset is wrong whatever the command does with its data"
    );
    assert_eq!(
        status(0x5a, 512, 0, 512, false),
        Some(Status::INVALID_FIELD)
    );
    assert_eq!(
        status(0x5a, 512, 1, 0, false),
        Some(Status::SGL_OFFSET_INVALID)
    );
    assert_eq!(status(0x5a, 512, 0, 0, true), None);
    assert_eq!(
        status(0x5a, u32::MAX, 0, 0, true),
        None,
        "the length is for the command to judge"
    );
}

#[test]
fn case_49_other_descriptors() {
    for id in 0..=255 {
        if id != 0x01 && id != 0x5a {
            assert_eq!(status(id, 512, 0, 0, false), Some(Status::SGL_TYPE_INVALID));
        }
    }
}

#[test]
fn case_43_damaged_in_capsule_data_fails_the_command() {
    let mut sqe = Sqe::write(1, 0, 1);
    sqe.sgl1 = Sgl::in_capsule(512);
    assert_eq!(
        validate(&sqe, 512, false).unwrap_err().status,
        Status::TRANSIENT_TRANSPORT_ERROR
    );
    assert!(validate(&sqe, 512, true).is_ok());
}

#[test]
fn commands_of_ours_pass_our_own_rules() {
    for (out, len, max, icd) in [
        (true, 512, 8192, 512),
        (true, 8192, 8192, 8192),
        (true, 8193, 8192, 0),
        (true, 512, 0, 0),
        (true, 0, 8192, 0),
        (false, 512, 8192, 0),
    ] {
        let mut sqe = if out {
            Sqe::write(1, 0, 1)
        } else {
            Sqe::read(1, 0, 1)
        };
        let (sgl, n) = describe(out, len, max);
        sqe.sgl1 = sgl;
        assert_eq!((n, sgl.length.get()), (icd, len));
        assert_eq!(is_in_capsule(&sqe), icd != 0);
        assert!(validate(&sqe, n, true).is_ok());
    }
}
