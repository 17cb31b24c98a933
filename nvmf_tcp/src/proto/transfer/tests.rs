// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Host transfers: conformance cases 41, 42, 61 to 69.
#![forbid(unsafe_code)]

use super::*;
use crate::proto::testing::{Rng, rounds};

fn data(datao: u32, datal: u32, last: bool) -> DataPdu {
    DataPdu {
        cccid: 5,
        ttag: 0,
        datao,
        datal,
        payload: datal,
        last,
        success: false,
    }
}

fn r2t(r2to: u32, r2tl: u32) -> R2tPdu {
    R2tPdu {
        cccid: 5,
        ttag: 9,
        r2to,
        r2tl,
    }
}

fn fault(r: Result<(), PduError>) -> (Fes, u32) {
    let e = r.unwrap_err();
    (e.fes, e.fei)
}

#[test]
fn a_read_in_pieces() {
    let mut t = Transfer::read(10);
    assert_eq!(t.c2h_data(&data(0, 4, false)), Ok(()));
    assert_eq!(t.c2h_end(&data(0, 4, false), true), C2hEnd::More);
    let d = data(4, 6, true);
    assert_eq!(t.c2h_data(&d), Ok(()));
    assert_eq!(
        t.c2h_end(&d, true),
        C2hEnd::Complete {
            poisoned: false,
            response: None
        }
    );
    assert_eq!(
        fault(t.c2h_data(&d)),
        (Fes::SequenceError, 0),
        "all of it came"
    );
    assert_eq!(t.response(true), Outcome::Settled);
    assert_eq!(
        t.response(true),
        Outcome::Unknown,
        "case 69: completed twice"
    );
}

#[test]
fn case_61_r2t_for_a_command_without_a_buffer() {
    for mut t in [
        Transfer::Idle,
        Transfer::settled(),
        Transfer::read(8),
        Transfer::read(0),
        Transfer::write(0),
    ] {
        assert_eq!(fault(t.r2t(&r2t(0, 8), 1)), (Fes::InvalidHeaderField, 8));
    }
    let mut t = Transfer::write(8);
    t.response(true);
    assert_eq!(
        fault(t.r2t(&r2t(0, 8), 1)),
        (Fes::InvalidHeaderField, 8),
        "a completed command"
    );
}

#[test]
fn case_62_r2t_out_of_order() {
    let mut t = Transfer::write(4096);
    assert_eq!(t.r2t(&r2t(0, 512), 8), Ok(()));
    for bad in [0, 511, 513, 4096, u32::MAX] {
        assert_eq!(fault(t.r2t(&r2t(bad, 8), 8)), (Fes::SequenceError, 0));
    }
    assert_eq!(t.r2t(&r2t(512, 3584), 8), Ok(()));
    assert_eq!(fault(t.r2t(&r2t(4096, 1), 8)), (Fes::OutOfRange, 0));
}

#[test]
fn case_63_r2t_out_of_range_and_the_wrap_of_f2() {
    let mut t = Transfer::write(1024);
    assert_eq!(fault(t.r2t(&r2t(0, 1025), 8)), (Fes::OutOfRange, 0));
    assert_eq!(t.r2t(&r2t(0, 512), 8), Ok(()));
    assert_eq!(
        fault(t.r2t(&r2t(512, 0xffff_fe00), 8)),
        (Fes::OutOfRange, 0),
        "wraps to 0 in 32 bits"
    );
    assert_eq!(
        fault(t.r2t(&r2t(512, 0xffff_ffff), 8)),
        (Fes::OutOfRange, 0)
    );
    assert_eq!(t.r2t(&r2t(512, 512), 8), Ok(()));
    let mut t = Transfer::write(u32::MAX);
    assert_eq!(t.r2t(&r2t(0, u32::MAX), 8), Ok(()));
    assert_eq!(fault(t.r2t(&r2t(u32::MAX, 1), 8)), (Fes::OutOfRange, 0));
}

#[test]
fn r2t_of_nothing_and_too_many() {
    let mut t = Transfer::write(1024);
    assert_eq!(fault(t.r2t(&r2t(0, 0), 1)), (Fes::InvalidHeaderField, 16));
    assert_eq!(t.r2t(&r2t(0, 8), 2), Ok(()));
    assert_eq!(t.r2t(&r2t(8, 8), 2), Ok(()));
    assert_eq!(fault(t.r2t(&r2t(16, 8), 2)), (Fes::LimitExceeded, 0));
    t.r2t_done();
    assert_eq!(t.r2t(&r2t(16, 8), 2), Ok(()));
}

#[test]
fn case_66_data_that_does_not_fit() {
    let unknown = (Fes::InvalidHeaderField, 8);
    let unexpected = (Fes::SequenceError, 0);
    for (mut t, wanted) in [
        (Transfer::Idle, unknown),
        (Transfer::settled(), unexpected),
        (Transfer::write(8), unexpected),
    ] {
        assert_eq!(fault(t.c2h_data(&data(0, 8, true))), wanted, "{t:?}");
    }
    let mut t = Transfer::read(100);
    assert_eq!(t.c2h_data(&data(0, 10, false)), Ok(()));
    for bad in [0, 9, 11, 50] {
        assert_eq!(
            fault(t.c2h_data(&data(bad, 10, false))),
            (Fes::SequenceError, 0)
        );
    }
    for (datao, datal) in [
        (10, 91),
        (100, 1),
        (95, 10),
        (10, u32::MAX),
        (u32::MAX, u32::MAX),
    ] {
        assert_eq!(
            fault(t.c2h_data(&data(datao, datal, true))),
            (Fes::OutOfRange, 0)
        );
    }
    assert_eq!(
        fault(t.c2h_data(&DataPdu {
            payload: 9,
            ..data(10, 10, false)
        })),
        (Fes::InvalidHeaderField, 16)
    );
    assert_eq!(
        fault(t.c2h_data(&data(10, 0, false))),
        (Fes::InvalidHeaderField, 16),
        "nothing"
    );
    assert_eq!(
        fault(t.c2h_data(&data(10, 10, true))),
        (Fes::SequenceError, 0),
        "LAST too early"
    );
    assert_eq!(
        fault(t.c2h_data(&data(10, 90, false))),
        (Fes::SequenceError, 0),
        "LAST missing"
    );
    assert_eq!(
        t.c2h_data(&data(10, 90, true)),
        Ok(()),
        "faults change nothing"
    );
}

#[test]
fn case_41_damaged_data_with_success_completes_with_an_error() {
    let mut t = Transfer::read(8);
    let d = DataPdu {
        success: true,
        ..data(0, 8, true)
    };
    assert_eq!(t.c2h_data(&d), Ok(()));
    let response = Some(Status::TRANSIENT_TRANSPORT_ERROR);
    assert_eq!(
        t.c2h_end(&d, false),
        C2hEnd::Complete {
            poisoned: true,
            response
        }
    );
    assert!(!t.is_active());
    let mut t = Transfer::read(8);
    assert_eq!(t.c2h_data(&d), Ok(()));
    assert_eq!(
        t.c2h_end(&d, true),
        C2hEnd::Complete {
            poisoned: false,
            response: Some(Status::SUCCESS)
        }
    );
    assert_eq!(
        t.response(true),
        Outcome::Unknown,
        "SUCCESS stood for the response"
    );
}

#[test]
fn case_42_damaged_data_in_the_middle_fails_once_at_the_end() {
    let mut t = Transfer::read(12);
    for (off, last, ok) in [(0, false, true), (4, false, false), (8, true, true)] {
        let d = data(off, 4, last);
        assert_eq!(t.c2h_data(&d), Ok(()));
        let end = t.c2h_end(&d, ok);
        if last {
            assert_eq!(
                end,
                C2hEnd::Complete {
                    poisoned: true,
                    response: None
                }
            );
        } else {
            assert_eq!(end, C2hEnd::More);
        }
    }
    assert_eq!(t.response(true), Outcome::Settled);
}

#[test]
fn a_response_before_all_data_is_a_data_error_only_if_it_claims_success() {
    for (success, failed) in [(true, true), (false, false)] {
        let mut t = Transfer::read(8);
        assert_eq!(t.response(success), Outcome::Ended { moved: 0, failed });
        let mut t = Transfer::read(8);
        assert_eq!(t.c2h_data(&data(0, 4, false)), Ok(()));
        assert_eq!(t.response(success), Outcome::Ended { moved: 4, failed });
        let mut t = Transfer::write(8);
        assert_eq!(t.response(success), Outcome::Ended { moved: 0, failed });
        let mut t = Transfer::write(8);
        assert_eq!(t.r2t(&r2t(0, 8), 1), Ok(()));
        assert_eq!(
            t.response(success),
            Outcome::Ended {
                moved: 8,
                failed: false
            }
        );
    }
    let mut t = Transfer::read(8);
    t.c2h_data(&data(0, 4, false)).unwrap();
    t.c2h_end(&data(0, 4, false), false);
    assert_eq!(
        t.response(false),
        Outcome::Ended {
            moved: 4,
            failed: true
        },
        "damaged"
    );
}

#[test]
fn no_sequence_of_pdus_leaves_the_buffer() {
    let mut rng = Rng::new(63);
    for _ in 0..rounds(2000) {
        let len = 1 + rng.below(300) as u32;
        let (mut read, mut write) = (Transfer::read(len), Transfer::write(len));
        let (mut got, mut granted) = (0u64, 0u64);
        for _ in 0..30 {
            let near = |at: u64, rng: &mut Rng| match rng.below(4) {
                0 => rng.next() as u32,
                1 => (at as u32)
                    .wrapping_add(rng.below(3) as u32)
                    .wrapping_sub(1),
                _ => at as u32,
            };
            let l = if rng.chance(5) {
                rng.next() as u32
            } else {
                rng.below(u64::from(len)) as u32
            };
            let d = data(near(got, &mut rng), l, rng.chance(3));
            if read.c2h_data(&d).is_ok() {
                assert_eq!(u64::from(d.datao), got);
                got += u64::from(l);
                assert!(got <= len.into() && (got == len.into()) == d.last);
                read.c2h_end(&d, true);
            }
            let r = r2t(near(granted, &mut rng), l);
            if write.r2t(&r, u32::MAX).is_ok() {
                assert_eq!(u64::from(r.r2to), granted);
                granted += u64::from(l);
                assert!(granted <= len.into());
            }
        }
    }
}
