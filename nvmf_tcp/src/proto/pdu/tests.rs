// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Header validation: conformance cases 21 to 37 and 73, 74, 77, each for both roles and every digest setting.
#![forbid(unsafe_code)]

extern crate std;

use std::vec;
use std::vec::Vec;

use sys::wire::tcp::Fes;

use super::*;
use crate::proto::params::RawParams;
use crate::proto::testing::{Rng, all_params, crc32c, one_in, params, raw_params, rounds};

/// Types with their header length and whether they carry data, that `role` receives.
fn kinds(role: Role) -> &'static [(PduType, u8, bool)] {
    match role {
        Role::Controller => &[
            (PduType::CapsuleCmd, 72, true),
            (PduType::H2cData, 24, true),
        ],
        Role::Host => &[
            (PduType::CapsuleResp, 24, false),
            (PduType::C2hData, 24, true),
            (PduType::R2t, 24, false),
        ],
    }
}

/// A good PDU with `data` bytes of data and no padding; the digest, if any, follows the header.
fn good(p: &Params, kind: PduType, hlen: u8, data: u32) -> Vec<u8> {
    let header = u32::from(hlen) + if p.hdgst { 4 } else { 0 };
    let ddgst = p.ddgst && data != 0;
    let plen = header + data + if ddgst { 4 } else { 0 };
    let mut b = vec![0x11; plen as usize];
    b[0] = kind as u8;
    b[1] = u8::from(p.hdgst) | u8::from(ddgst) << 1;
    b[2] = hlen;
    b[3] = if data == 0 { 0 } else { header as u8 };
    b[4..8].copy_from_slice(&plen.to_le_bytes());
    sign(p, &mut b, hlen);
    b
}

/// Makes the header digest right.
fn sign(p: &Params, b: &mut [u8], hlen: u8) {
    if p.hdgst {
        let n = usize::from(hlen);
        let d = crc32c(&b[..n]).to_le_bytes();
        b[n..n + 4].copy_from_slice(&d);
    }
}

fn check(p: &Params, b: &[u8]) -> Result<Check, Fault> {
    Rules::new(p).check(b, crc32c)
}

/// The FEI of a header field fault, or a description of what came instead.
fn fei_of(r: Result<Check, Fault>) -> Result<u32, Result<Check, Fault>> {
    match r {
        Err(Fault::Fatal(e)) if e.fes == Fes::InvalidHeaderField => Ok(e.fei),
        other => Err(other),
    }
}

/// Every good PDU there is, with and without data.
fn each_good(mut f: impl FnMut(&Params, PduType, u8, u32, Vec<u8>)) {
    for p in all_params() {
        for &(kind, hlen, carries) in kinds(p.role) {
            for data in [0, 1, 4, 8192] {
                if data == 0 || carries {
                    f(&p, kind, hlen, data, good(&p, kind, hlen, data));
                }
            }
        }
    }
}

#[test]
fn good_headers_pass_and_any_split_gives_the_same() {
    each_good(|p, kind, _, data, b| {
        let full = check(p, &b);
        let Ok(Check::Valid(shape, _)) = full else {
            panic!("{kind:?} {data}: {full:?}")
        };
        assert_eq!((shape.kind, shape.data, shape.pad), (kind, data, 0));
        assert_eq!(shape.ddgst, p.ddgst && data != 0);
        splits(p, &b);
    });
}

/// Case 34: short prefixes ask for more, never for more than there is, and what is enough gives the same as all.
fn splits(p: &Params, b: &[u8]) {
    let full = check(p, b);
    let mut enough = false;
    for n in one_in(17, 0..=b.len().min(HEADER_MAX + 8)) {
        match check(p, &b[..n]) {
            Ok(Check::Need(need)) => {
                assert!(
                    !enough && need > n && need <= HEADER_MAX,
                    "{n} of {:?}",
                    &b[..n]
                );
            }
            r => {
                enough = true;
                assert_eq!(r, full);
            }
        }
    }
}

#[test]
fn case_21_wrong_direction_and_unknown_types() {
    for p in all_params() {
        for t in one_in(7, 0..=255u8) {
            if kinds(p.role).iter().any(|k| k.0 as u8 == t) {
                continue;
            }
            let hlen = PduType::try_from(t).map_or(24, |t| t.hlen().min(72));
            let mut b = good(&p, PduType::R2t, hlen, 0);
            b[0] = t;
            b[1] = 0;
            sign(&p, &mut b, hlen);
            let r = check(&p, &b);
            match t {
                // A malformed request to terminate is never answered; one for this direction is fine here.
                2 | 3 => {
                    let ours = (t == 2) == (p.role == Role::Controller);
                    assert!(
                        if ours {
                            r.is_ok()
                        } else {
                            r == Err(Fault::Silent)
                        },
                        "{t}: {r:?}"
                    );
                }
                _ => assert_eq!(fei_of(r), Ok(0), "{t}"),
            }
        }
    }
}

#[test]
fn initialize_connection_comes_only_once() {
    for p in all_params() {
        for t in [0u8, 1] {
            let mut b = vec![0; 128];
            (b[0], b[2], b[4]) = (t, 128, 128);
            let Err(Fault::Fatal(e)) = check(&p, &b) else {
                panic!()
            };
            assert_eq!((e.fes, e.fei), (Fes::InvalidHeaderField, 0));
            assert_eq!(e.kind, Kind::InitializeConnection);
        }
    }
}

#[test]
fn cases_22_and_23_flags() {
    each_good(|p, kind, hlen, data, good| {
        for flags in one_in(19, 0..=255u8) {
            let mut b = good.clone();
            b[1] = flags;
            sign(p, &mut b, hlen);
            let digests = u8::from(p.hdgst) | u8::from(p.ddgst && data != 0) << 1;
            let rest = match kind {
                PduType::H2cData => matches!(flags & !3, 0 | 4),
                PduType::C2hData => matches!(flags & !3, 0 | 4 | 12),
                _ => flags & !3 == 0,
            };
            let r = check(p, &b);
            if flags & 3 == digests && rest {
                assert!(r.is_ok(), "{kind:?} {flags:#x} {r:?}");
            } else {
                assert_eq!(fei_of(r), Ok(1), "{kind:?} {flags:#x}");
            }
        }
    });
}

#[test]
fn success_needs_flow_control_off() {
    let raw = RawParams {
        sq_flow_control: true,
        ..raw_params()
    };
    let p = Params::parse(Role::Host, &raw).unwrap();
    let mut b = good(&p, PduType::C2hData, 24, 16);
    b[1] = 4;
    assert!(check(&p, &b).is_ok());
    b[1] = 12;
    assert_eq!(fei_of(check(&p, &b)), Ok(1));
}

#[test]
fn case_25_header_length() {
    each_good(|p, kind, hlen, data, good| {
        for bad in one_in(51, 0..=255u8) {
            if bad == hlen {
                continue;
            }
            let mut b = good.clone();
            b[2] = bad;
            sign(p, &mut b, hlen);
            let r = check(p, &b);
            // A header length that exists moves the digest; the real one is still found if it can be.
            assert_eq!(fei_of(r), Ok(2), "{kind:?} data {data} HLEN {bad}");
            splits(p, &b);
        }
    });
}

#[test]
fn cases_26_and_27_data_offset() {
    for pda in [4u8, 8, 64, 128] {
        for base in all_params() {
            let p = Params { rxpda: pda, ..base };
            for &(kind, hlen, carries) in kinds(p.role) {
                let header = u32::from(hlen) + if p.hdgst { 4 } else { 0 };
                let digest = if p.ddgst && carries { 4 } else { 0 };
                let plen = if carries { 152 + 16 + digest } else { header };
                for pdo in one_in(36, 0..=255u8) {
                    let mut b = good(
                        &p,
                        kind,
                        hlen,
                        if carries { plen - header - digest } else { 0 },
                    );
                    assert_eq!(b.len(), plen as usize);
                    b[3] = pdo;
                    sign(&p, &mut b, hlen);
                    let o = u32::from(pdo);
                    let ok = if carries {
                        o >= header && o <= plen && o % u32::from(pda) == 0
                    } else {
                        o == 0
                    };
                    let r = check(&p, &b);
                    match r {
                        Ok(Check::Valid(s, _)) => {
                            assert!(ok);
                            if carries {
                                assert_eq!(u32::from(s.header) + u32::from(s.pad), o);
                                assert_eq!(s.data, plen - o - digest);
                            }
                        }
                        // In range, but no data before the digest.
                        _ if ok => assert_eq!((fei_of(r), o + digest >= plen), (Ok(4), true)),
                        _ => assert_eq!(fei_of(r), Ok(3), "{kind:?} PDO {pdo} PLEN {plen}"),
                    }
                }
            }
        }
    }
}

#[test]
fn cases_29_to_31_pdu_length() {
    each_good(|p, kind, hlen, data, good| {
        let header = u32::from(hlen) + if p.hdgst { 4 } else { 0 };
        for plen in one_in(19, 0..header).chain([0x8000_0000, 0xc000_0000, u32::MAX]) {
            let mut b = good.clone();
            b[4..8].copy_from_slice(&plen.to_le_bytes());
            if plen >= header && data == 0 && matches!(kind, PduType::CapsuleCmd) {
                b[1] |= u8::from(p.ddgst) << 1;
                b[3] = header as u8;
            }
            sign(p, &mut b, hlen);
            splits(p, &b);
            let r = check(p, &b);
            match (kind, plen >= header) {
                // Data is not buffered: its length is judged with DATAL, from the header alone all the same.
                (PduType::H2cData | PduType::C2hData, true) if data != 0 => assert!(r.is_ok()),
                (PduType::H2cData | PduType::C2hData, true) => {
                    assert!(matches!(fei_of(r), Ok(1 | 3)))
                }
                _ => assert_eq!(fei_of(r), Ok(4), "{kind:?} data {data} PLEN {plen}"),
            }
        }
    });
}

#[test]
fn case_30_three_gigabytes_are_refused_from_the_first_bytes() {
    let p = params(Role::Controller, false, false);
    let ch = [4, 0, 72, 72, 0, 0, 0, 0xc0];
    assert_eq!(fei_of(check(&p, &ch)), Ok(4));
    let p = params(Role::Controller, true, true);
    let mut b = good(&p, PduType::CapsuleCmd, 72, 4);
    b[4..8].copy_from_slice(&0xc000_0000u32.to_le_bytes());
    sign(&p, &mut b, 72);
    assert_eq!(fei_of(check(&p, &b[..76])), Ok(4));
}

#[test]
fn case_46_in_capsule_data_is_bounded_exactly() {
    for p in all_params().filter(|p| p.role == Role::Controller) {
        assert_eq!(p.max_icd, 8192);
        assert!(check(&p, &good(&p, PduType::CapsuleCmd, 72, 8192)).is_ok());
        assert_eq!(
            fei_of(check(&p, &good(&p, PduType::CapsuleCmd, 72, 8193))),
            Ok(4)
        );
    }
}

#[test]
fn data_in_pdus_without_data() {
    for p in all_params().filter(|p| p.role == Role::Host) {
        for kind in [PduType::CapsuleResp, PduType::R2t] {
            let mut b = good(&p, kind, 24, 0);
            let plen = b.len() as u32 + 4;
            b[4..8].copy_from_slice(&plen.to_le_bytes());
            b.extend([0; 4]);
            sign(&p, &mut b, 24);
            let r = check(&p, &b);
            // The missing data digest flag is the lower fault where one would be due.
            assert_eq!(fei_of(r), Ok(4));
        }
    }
}

#[test]
fn case_33_the_lowest_fault_is_reported() {
    each_good(|p, kind, hlen, data, good| {
        for faults in 1..16u8 {
            let mut b = good.clone();
            if faults & 1 != 0 {
                b[1] |= 0x80;
            }
            if faults & 2 != 0 {
                b[2] = 255;
            }
            if faults & 4 != 0 {
                b[3] = 1;
            }
            if faults & 8 != 0 {
                b[4..8].copy_from_slice(&3u32.to_le_bytes());
            }
            sign(p, &mut b, hlen);
            let lowest = 1 + faults.trailing_zeros();
            assert_eq!(
                fei_of(check(p, &b)),
                Ok(lowest),
                "{kind:?} data {data} faults {faults:#b}"
            );
            b[0] = 0xff;
            assert_eq!(fei_of(check(p, &b)).unwrap_or(0), 0);
        }
    });
}

#[test]
fn case_37_a_damaged_header_is_a_digest_error() {
    each_good(|p, kind, hlen, _, good| {
        if !p.hdgst {
            return;
        }
        let n = usize::from(hlen);
        let digest = u32::from_le_bytes(*good[n..].first_chunk().unwrap());
        for bit in one_in(101, 0..(n + 4) * 8) {
            let mut b = good.clone();
            b[bit / 8] ^= 1 << (bit % 8);
            splits(p, &b);
            let received = u32::from_le_bytes(*b[n..].first_chunk().unwrap());
            let plen = u32::from_le_bytes(*b[4..].first_chunk().unwrap());
            match check(p, &b) {
                Err(Fault::Fatal(e)) if e.fes == Fes::HeaderDigest => {
                    assert_eq!((e.fei, e.kind), (received, Kind::HeaderDigest));
                }
                // Damaged into a request to terminate: there is no digest in one, and no answer to one.
                Err(Fault::Silent) => assert!(matches!(b[0], 2 | 3)),
                // No room for the digest: see the module's documentation.
                r => assert!(
                    fei_of(r).is_ok() && (plen as usize) < n + 4,
                    "{kind:?} bit {bit}: {r:?}"
                ),
            }
            let _ = digest;
        }
    });
}

#[test]
fn case_38_the_header_digest_covers_no_padding() {
    let p = Params {
        rxpda: 128,
        ..params(Role::Controller, true, false)
    };
    let mut b = vec![0xee; 128 + 16];
    b[..8].copy_from_slice(&[4, 1, 72, 128, 144, 0, 0, 0]);
    sign(&p, &mut b, 72);
    let Ok(Check::Valid(s, Pdu::Command { icd, .. })) = check(&p, &b) else {
        panic!()
    };
    assert_eq!((s.header, s.pad, s.data, icd), (76, 52, 16, 16));
}

#[test]
fn cases_73_74_77_requests_to_terminate() {
    for p in all_params() {
        let t = if p.role == Role::Host { 3 } else { 2 };
        let pdu = |flags: u8, hlen: u8, pdo: u8, plen: u32, fes: u16| {
            let mut b = vec![0; 24];
            (b[0], b[1], b[2], b[3]) = (t, flags, hlen, pdo);
            b[4..8].copy_from_slice(&plen.to_le_bytes());
            b[8..10].copy_from_slice(&fes.to_le_bytes());
            b[10..14].copy_from_slice(&0x0102_0304u32.to_le_bytes());
            b
        };
        for plen in [24, 25, 100, 152] {
            for fes in [0, 1, 7, 0xffff] {
                let b = pdu(0, 24, 0, plen, fes);
                splits(&p, &b);
                let Ok(Check::Valid(_, got)) = check(&p, &b) else {
                    panic!()
                };
                assert_eq!(
                    got,
                    Pdu::TermReq {
                        fes,
                        fei: 0x0102_0304
                    }
                );
            }
        }
        for plen in [0, 8, 23, 153, u32::MAX] {
            assert_eq!(check(&p, &pdu(0, 24, 0, plen, 1)), Err(Fault::Silent));
        }
        for flags in one_in(23, 1..=255) {
            assert_eq!(check(&p, &pdu(flags, 24, 0, 24, 1)), Err(Fault::Silent));
        }
        for n in one_in(8, 0..=255) {
            assert_eq!(check(&p, &pdu(0, n, 0, 24, 1)).is_err(), n != 24);
            assert_eq!(check(&p, &pdu(0, 24, n, 24, 1)).is_err(), n != 0);
        }
    }
}

#[test]
fn noise_never_panics_and_splits_alike() {
    let mut rng = Rng::new(21);
    for round in 0..rounds(5_000) {
        let p = all_params().nth(round % 8).unwrap();
        let mut b = rng.bytes(160);
        b[0] %= 12;
        if rng.chance(2) {
            b[1] &= 0xf;
            b[2] = [24, 72][rng.below(2) as usize];
            b[5..8].fill(0);
        }
        if rng.chance(2) && p.hdgst {
            let hlen = PduType::try_from(b[0]).map_or(24, |t| t.hlen().min(72));
            sign(&p, &mut b, hlen);
        }
        splits(&p, &b);
    }
}
