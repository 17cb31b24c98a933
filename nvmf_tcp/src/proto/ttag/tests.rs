// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Transfer tags: conformance cases 39, 54 to 59, and a model of a host that answers R2Ts as it likes.
#![forbid(unsafe_code)]

extern crate std;

use std::collections::{HashMap, VecDeque};
use std::vec::Vec;

use super::*;
use crate::proto::params::Role;
use crate::proto::testing::{Rng, params, rounds};

type Table = Ttags<u32, Vec<Slot<u32>>>;

fn table(slots: usize, max_r2t: u32) -> Table {
    let p = Params {
        max_r2t,
        maxh2cdata: 4096,
        ..params(Role::Controller, false, false)
    };
    Table::new((0..slots).map(|_| Slot::new()).collect(), &p)
}

fn data(out: &R2tOut, at: u32, len: u32) -> DataPdu {
    DataPdu {
        cccid: out.cid,
        ttag: out.ttag,
        datao: out.offset + at,
        datal: len,
        payload: len,
        last: at + len == out.len,
        success: false,
    }
}

fn fault(r: Result<u32, PduError>) -> (Fes, u32) {
    let e = r.unwrap_err();
    (e.fes, e.fei)
}

#[test]
fn a_request_is_answered_in_pieces() {
    let mut t = table(4, 1);
    let out = t.request(7, 8192, 100, 55).unwrap().unwrap();
    assert_eq!((out.cid, out.offset, out.len), (7, 8192, 100));
    let d = data(&out, 0, 60);
    assert_eq!(t.h2c_data(&d), Ok(0));
    assert_eq!(t.payload_mut(out.ttag), Some(&mut 55));
    assert_eq!(t.h2c_end(&d, true), H2cEnd::More);
    let d = data(&out, 60, 40);
    assert_eq!(t.h2c_data(&d), Ok(60));
    let end = H2cEnd::Complete {
        payload: 55,
        len: 100,
        poisoned: false,
        next: None,
    };
    assert_eq!(t.h2c_end(&d, true), end);
    assert_eq!(
        fault(t.h2c_data(&d)),
        (Fes::InvalidHeaderField, 10),
        "case 54: a tag that is finished"
    );
}

#[test]
fn case_54_tags_that_are_not_ours() {
    let mut t = table(4, 1);
    for ttag in [0, 1, 3, 4, 5, 0xfffe, 0xffff] {
        let d = DataPdu {
            cccid: 1,
            ttag,
            datao: 0,
            datal: 8,
            payload: 8,
            last: true,
            success: false,
        };
        assert_eq!(fault(t.h2c_data(&d)), (Fes::InvalidHeaderField, 10));
        assert_eq!(t.payload_mut(ttag), None);
    }
    let out = t.request(1, 0, 8, 0).unwrap().unwrap();
    assert!(t.request(1, 8, 8, 0).unwrap().is_none(), "waits");
    let waiting = DataPdu {
        ttag: out.ttag + 1,
        ..data(&out, 0, 8)
    };
    assert_eq!(
        fault(t.h2c_data(&waiting)),
        (Fes::InvalidHeaderField, 10),
        "its R2T was not sent"
    );
}

#[test]
fn case_55_a_tag_of_another_command() {
    let mut t = table(4, 1);
    let out = t.request(1, 0, 8, 0).unwrap().unwrap();
    t.request(2, 0, 8, 0).unwrap().unwrap();
    let d = DataPdu {
        cccid: 2,
        ..data(&out, 0, 8)
    };
    assert_eq!(fault(t.h2c_data(&d)), (Fes::InvalidHeaderField, 8));
}

#[test]
fn cases_57_and_58_lengths_offsets_and_last() {
    let mut t = table(4, 1);
    let out = t.request(1, 1000, 8192, 0).unwrap().unwrap();
    let good = data(&out, 0, 4096);
    assert_eq!(
        fault(t.h2c_data(&data(&out, 0, 4097))),
        (Fes::LimitExceeded, 0)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu {
            datal: u32::MAX,
            ..good
        })),
        (Fes::LimitExceeded, 0)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu {
            payload: 4095,
            ..good
        })),
        (Fes::InvalidHeaderField, 16)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu {
            payload: 0xc000_0000,
            ..good
        })),
        (Fes::InvalidHeaderField, 16)
    );
    assert_eq!(
        fault(t.h2c_data(&data(&out, 0, 0))),
        (Fes::InvalidHeaderField, 16)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu { datao: 999, ..good })),
        (Fes::OutOfRange, 0)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu {
            datao: 9192,
            ..good
        })),
        (Fes::OutOfRange, 0)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu {
            datao: u32::MAX,
            ..good
        })),
        (Fes::OutOfRange, 0)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu {
            datao: 1004,
            ..good
        })),
        (Fes::SequenceError, 0)
    );
    assert_eq!(
        fault(t.h2c_data(&DataPdu { last: true, ..good })),
        (Fes::SequenceError, 0)
    );
    assert_eq!(t.h2c_data(&good), Ok(0), "faults change nothing");
    t.h2c_end(&good, true);
    assert_eq!(
        fault(t.h2c_data(&good)),
        (Fes::SequenceError, 0),
        "the same again"
    );
    let end = data(&out, 4096, 4096);
    assert_eq!(
        fault(t.h2c_data(&DataPdu { last: false, ..end })),
        (Fes::SequenceError, 0)
    );
    assert_eq!(t.h2c_data(&end), Ok(4096));
}

#[test]
fn case_39_damaged_data_fails_the_request_at_its_end() {
    let mut t = table(4, 1);
    let out = t.request(1, 0, 30, 9).unwrap().unwrap();
    for (at, ok) in [(0, false), (10, true), (20, true)] {
        let d = data(&out, at, 10);
        assert_eq!(t.h2c_data(&d), Ok(at), "the tag lives on (F14)");
        let end = t.h2c_end(&d, ok);
        if at == 20 {
            assert_eq!(
                end,
                H2cEnd::Complete {
                    payload: 9,
                    len: 30,
                    poisoned: true,
                    next: None
                }
            );
        } else {
            assert_eq!(end, H2cEnd::More);
        }
    }
    let out = t.request(2, 0, 10, 9).unwrap().unwrap();
    assert_eq!(
        t.h2c_data(&data(&out, 0, 10)),
        Ok(0),
        "the next command works"
    );
    let end = t.h2c_end(&data(&out, 0, 10), true);
    assert!(matches!(
        end,
        H2cEnd::Complete {
            poisoned: false,
            ..
        }
    ));
}

#[test]
fn case_59_no_more_r2ts_than_maxr2t_and_in_order() {
    let mut t = table(8, 2);
    let a = t.request(1, 0, 10, 0).unwrap().unwrap();
    let b = t.request(1, 10, 10, 1).unwrap().unwrap();
    assert_eq!(t.request(1, 20, 10, 2), Ok(None));
    assert_eq!(t.request(1, 30, 10, 3), Ok(None));
    let other = t.request(65, 0, 10, 4).unwrap();
    assert!(
        other.is_some(),
        "another command, of the same chain, need not wait"
    );
    let next = |t: &mut Table, o: &R2tOut| match t.h2c_end(&data(o, 0, 10), true) {
        H2cEnd::Complete { next, .. } => next,
        H2cEnd::More => panic!(),
    };
    let c = next(&mut t, &b).unwrap();
    assert_eq!((c.cid, c.offset), (1, 20));
    assert_eq!(next(&mut t, &other.unwrap()), None);
    let d = next(&mut t, &a).unwrap();
    assert_eq!((d.cid, d.offset), (1, 30));
}

#[test]
fn a_full_table_gives_the_request_back() {
    let mut t = table(3, 1);
    for cid in 0..3 {
        assert!(t.request(cid, 0, 1, 0).is_ok());
    }
    assert_eq!(t.request(9, 0, 1, 77), Err(77));
}

#[test]
fn tags_in_use_are_bounded() {
    let mut t = table(3000, u32::MAX);
    let sent = (0..3000)
        .filter(|&i| t.request(i as u16, 0, 1, i).unwrap().is_some())
        .count();
    assert_eq!(sent, MAX_TTAGS);
    let mut drained = 0;
    while t.drain().is_some() {
        drained += 1;
    }
    assert_eq!(drained, 3000);
}

#[test]
fn a_tag_rests_before_it_is_used_again() {
    let mut t = table(4, 1);
    let mut tags = Vec::new();
    for i in 0..8 {
        let out = t.request(i, 0, 1, 0).unwrap().unwrap();
        tags.push(out.ttag);
        t.h2c_data(&data(&out, 0, 1)).unwrap();
        t.h2c_end(&data(&out, 0, 1), true);
    }
    assert_eq!(tags, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn drain_tells_what_came() {
    let mut t = table(4, 1);
    let out = t.request(1, 0, 100, 1).unwrap().unwrap();
    t.request(1, 100, 100, 2).unwrap();
    t.h2c_data(&data(&out, 0, 30)).unwrap();
    let mut all: Vec<_> = core::iter::from_fn(|| t.drain()).collect();
    all.sort_unstable();
    assert_eq!(all, [(1, 30), (2, 0)]);
}

/// Random requests, answered in random order and pieces; every byte arrives once, R2Ts of a command are in order and
/// never more than allowed, and everything ends.
#[test]
fn model() {
    let steps = if cfg!(miri) { 150 } else { 1500 };
    for seed in 0..rounds(60) as u64 {
        let mut rng = Rng::new(seed);
        let slots = 1 + rng.below(40) as usize;
        let max_r2t = 1 + rng.below(3) as u32;
        let mut t = table(slots, max_r2t);
        t.max_sent = 1 + rng.below(slots as u64) as usize;
        let mut open: Vec<(R2tOut, u32)> = Vec::new();
        let mut queued: HashMap<u16, VecDeque<u32>> = HashMap::new();
        let mut offsets: HashMap<u16, u32> = HashMap::new();
        let (mut requested, mut completed, mut held) = (0, 0, 0);
        let begin = |out: R2tOut,
                     queued: &mut HashMap<u16, VecDeque<u32>>,
                     open: &mut Vec<(R2tOut, u32)>| {
            assert_eq!(
                queued.get_mut(&out.cid).unwrap().pop_front(),
                Some(out.offset),
                "in order"
            );
            assert!(open.iter().all(|o| o.0.ttag != out.ttag));
            open.push((out, 0));
            let of_cid = open.iter().filter(|o| o.0.cid == out.cid).count();
            assert!(of_cid <= max_r2t as usize);
        };
        for step in 0..steps {
            if step < steps / 3 * 2 && rng.chance(2) {
                // Few commands, some of the same chain.
                let cid = rng.below(4) as u16 * 64 + rng.below(2) as u16;
                let len = 1 + rng.below(50) as u32;
                let off = offsets.entry(cid).or_insert(0);
                match t.request(cid, *off, len, *off) {
                    Ok(out) => {
                        queued.entry(cid).or_default().push_back(*off);
                        *off += len;
                        requested += 1;
                        held += 1;
                        if let Some(out) = out {
                            begin(out, &mut queued, &mut open);
                        }
                    }
                    Err(_) => assert_eq!(held, slots),
                }
            } else if !open.is_empty() {
                let i = rng.below(open.len() as u64) as usize;
                let (out, got) = open[i];
                let len = 1 + rng.below(u64::from(out.len - got)) as u32;
                let d = data(&out, got, len);
                assert_eq!(t.h2c_data(&d), Ok(got));
                open[i].1 += len;
                match t.h2c_end(&d, true) {
                    H2cEnd::More => assert!(got + len < out.len),
                    H2cEnd::Complete {
                        payload,
                        len: l,
                        poisoned,
                        next,
                    } => {
                        assert_eq!((payload, l, poisoned), (out.offset, got + len, false));
                        open.swap_remove(i);
                        completed += 1;
                        held -= 1;
                        if let Some(next) = next {
                            begin(next, &mut queued, &mut open);
                        }
                    }
                }
            }
            // Whoever waits has a reason to.
            for (cid, q) in &queued {
                let of_cid = open.iter().filter(|o| o.0.cid == *cid).count();
                assert!(q.is_empty() || of_cid >= max_r2t as usize || open.len() >= t.max_sent);
            }
        }
        while let Some((out, got)) = open.pop() {
            let d = DataPdu {
                last: true,
                ..data(&out, got, out.len - got)
            };
            assert_eq!(t.h2c_data(&d), Ok(got));
            let H2cEnd::Complete { next, .. } = t.h2c_end(&d, true) else {
                panic!()
            };
            completed += 1;
            if let Some(next) = next {
                begin(next, &mut queued, &mut open);
            }
        }
        assert_eq!(requested, completed);
        assert!(t.drain().is_none());
    }
}

#[test]
fn requests_stay_when_the_table_grows() {
    let mut t = table(2, 1);
    let first = t.request(7, 0, 4096, 70).unwrap().unwrap();
    // Another one of the same command waits, and a third does not fit.
    assert_eq!(t.request(7, 4096, 4096, 71), Ok(None));
    assert_eq!(t.request(8, 0, 4096, 80), Err(80));
    assert_eq!(t.h2c_data(&part(&first, 0, 1024)), Ok(0));

    let unused = t.grow((0..4).map(|_| Slot::new()).collect());
    assert_eq!(unused.len(), 2);
    let unused = t.grow((0..3).map(|_| Slot::new()).collect());
    assert_eq!(unused.len(), 3);
    let other = t.request(8, 0, 4096, 80).unwrap().unwrap();
    let last = t.request(9, 0, 4096, 90).unwrap().unwrap();
    assert_eq!((other.ttag, last.ttag), (2, 3));
    assert_eq!(t.request(10, 0, 4096, 100), Err(100));

    let rest = data(&first, 1024, 3072);
    assert_eq!(t.h2c_data(&rest), Ok(1024));
    let H2cEnd::Complete { payload, next, .. } = t.h2c_end(&rest, true) else {
        panic!("not complete");
    };
    assert_eq!(payload, 70);
    assert_eq!(next.map(|r| (r.cid, r.offset)), Some((7, 4096)));
    let mut left: Vec<u32> = core::iter::from_fn(|| t.drain()).map(|d| d.0).collect();
    left.sort_unstable();
    assert_eq!(left, [71, 80, 90]);
}

fn part(out: &R2tOut, at: u32, len: u32) -> DataPdu {
    DataPdu {
        last: false,
        ..data(out, at, len)
    }
}
