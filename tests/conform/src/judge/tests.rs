// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

use super::*;
use rawpeer::pdu::{self, Format};

fn parse(bytes: &[u8]) -> Raw {
    Raw::parse(bytes).expect("a PDU").expect("whole").0
}

fn term(fes: u16, fei: u32) -> Seen {
    Seen::Pdu(parse(&pdu::term_req(kind::C2H_TERM, fes, fei, &[6; 24])))
}

fn status(s: u16) -> Seen {
    Seen::Pdu(parse(
        &pdu::response(Format::default(), &pdu::cqe(1, s)).bytes(),
    ))
}

/// Everything that a peer may do, right or wrong.
fn all() -> Vec<Seen> {
    let f = Format::default();
    vec![
        term(1, 2),
        term(1, 3),
        term(2, 0),
        status(0),
        status(2),
        status(0x182),
        Seen::Pdu(parse(&pdu::r2t(f, 1, 2, 0, 4).bytes())),
        Seen::Pdu(parse(&pdu::c2h_data(f, 4, 1, 0, &[1; 4]).bytes())),
        Seen::End(End::Closed),
        Seen::End(End::Reset),
        Seen::End(End::Timeout),
        Seen::End(End::Garbage),
    ]
}

#[test]
fn each_judgement_takes_what_is_right_and_nothing_else() {
    let cases: [(Want<'_>, &[usize]); 9] = [
        (Want::Term(&[(1, Some(2))]), &[0]),
        (Want::Term(&[(1, None)]), &[0, 1]),
        (Want::Term(&[(1, Some(3)), (2, None)]), &[1, 2]),
        (Want::TermOrEnd, &[0, 1, 2, 8, 9]),
        (Want::Silent, &[8, 9]),
        (Want::Status(&[0]), &[3]),
        (Want::Status(&[2, 0x182]), &[4, 5]),
        (Want::Error, &[4, 5]),
        (Want::Refusal, &[0, 1, 2, 4, 5, 8, 9]),
    ];
    for (want, right) in cases {
        for (i, seen) in all().iter().enumerate() {
            let r = judge(want, seen);
            assert_eq!(r.is_ok(), right.contains(&i), "{want}: {seen}: {r:?}");
        }
    }
}

#[test]
fn a_terminate_request_of_the_wrong_form_is_refused() {
    let header = [6, 0, 24, 0];
    let good = pdu::term_req(kind::C2H_TERM, 1, 2, &header);
    assert_eq!(term_form(&parse(&good), &header), Ok(()));
    assert_eq!(term_form(&parse(&good), &[]), Ok(()));
    type Twist = fn(&mut Vec<u8>);
    let twists: [(&str, Twist); 6] = [
        ("flags", |b| b[1] = 1),
        ("PDO", |b| b[3] = 24),
        ("reserved", |b| b[20] = 1),
        ("HLEN", |b| b[2] = 28),
        ("the header at fault", |b| b[24] = 7),
        ("PLEN", |b| {
            b.resize(160, 0);
            b[4] = 160;
        }),
    ];
    for (name, twist) in twists {
        let mut b = good.clone();
        twist(&mut b);
        let r = term_form(&parse(&b), &header);
        assert!(r.as_ref().is_err_and(|e| e.contains(name)), "{name}: {r:?}");
    }
    let bare = pdu::term_req(kind::C2H_TERM, 1, 2, &[]);
    assert!(term_form(&parse(&bare), &header).is_err());
}
