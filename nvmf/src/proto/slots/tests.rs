// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identifiers: who has which, and until when.
#![forbid(unsafe_code)]

extern crate std;
use super::super::timeout::{Deadline, GRACE_MS};
use super::*;
use std::vec::Vec;

type Tab = Table<u32, Vec<Entry<u32>>>;

impl<T> Storage<T> for Vec<Entry<T>> {
    fn grow(&mut self, len: usize) -> bool {
        self.resize_with(len, Entry::default);
        true
    }
}

fn shape(entries: u32, events: u32) -> Shape {
    Shape {
        entries,
        events,
        sqhd: 0,
        sqtail: 0,
        flow_control: true,
    }
}

fn table(s: Shape) -> Tab {
    let mut v = Vec::new();
    v.resize_with(s.slots() as usize, Entry::default);
    Table::new(v, &s)
}

fn cqe(cid: u16, sqhd: u16) -> Cqe {
    let mut c = [0; 16];
    c[8..10].copy_from_slice(&sqhd.to_le_bytes());
    c[12..14].copy_from_slice(&cid.to_le_bytes());
    c
}

fn put(t: &mut Tab, data: bool, payload: u32) -> u16 {
    let data = data.then_some(Transfer::Read(4096));
    t.allocate(Class::Normal, data, Patience::ENDLESS, payload)
        .unwrap()
}

fn finished(p: Progress<'_, u32>) -> Finished<u32> {
    match p {
        Progress::Finished(f) => f,
        other => panic!("{other:?}"),
    }
}

fn waiting(p: Progress<'_, u32>) -> bool {
    matches!(p, Progress::Waiting { .. })
}

#[test]
fn three_events_in_any_order() {
    for order in [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ] {
        let mut t = table(shape(4, 0));
        let cid = put(&mut t, true, 42);
        for (n, what) in order.into_iter().enumerate() {
            let p = match what {
                0 => t.submitted(cid),
                1 => t.response(&cqe(cid, 1), true).unwrap(),
                _ => t.data(cid, 4095, 0),
            };
            if n < 2 {
                assert!(waiting(p));
            } else {
                let f = finished(p);
                assert_eq!(
                    (f.payload, f.data, cqe_cid(&f.cqe)),
                    (42, DataOutcome::Short, cid)
                );
            }
        }
        assert!(t.is_idle());
    }
}

#[test]
fn identifiers_rest_as_long_as_possible() {
    let mut t = table(shape(5, 0));
    let ids: Vec<u16> = (0..4).map(|i| put(&mut t, false, i)).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    assert!(!t.has_room());
    assert_eq!(
        t.allocate(Class::Normal, None, Patience::ENDLESS, 9),
        Err(9)
    );
    for cid in [2, 0] {
        assert!(waiting(t.submitted(cid)));
        finished(t.response(&cqe(cid, 0), true).unwrap());
    }
    assert_eq!([put(&mut t, false, 0), put(&mut t, false, 0)], [2, 0]);
    assert!(!t.has_room());

    let mut t = table(shape(4, 0));
    for cid in [0, 1, 2, 0, 1] {
        assert_eq!(put(&mut t, false, 0), cid);
        t.submitted(cid);
        finished(t.response(&cqe(cid, 0), true).unwrap());
    }
}

#[test]
fn bad_identifiers() {
    let mut t = table(shape(32, 8));
    assert_eq!(t.count(), 39);
    assert_eq!(
        t.response(&cqe(39, 0), true).unwrap_err(),
        CidError::Invalid
    );
    assert_eq!(
        t.response(&cqe(0xffff, 0), true).unwrap_err(),
        CidError::Invalid
    );
    assert_eq!(
        t.response(&cqe(38, 0), true).unwrap_err(),
        CidError::Inactive
    );
    let cid = put(&mut t, true, 1);
    assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
    assert_eq!(
        t.response(&cqe(cid, 0), true).unwrap_err(),
        CidError::Inactive
    );
    assert!(matches!(t.data(7, 4096, 0), Progress::Unexpected));
    assert!(matches!(t.submitted(7), Progress::Unexpected));
    assert!(matches!(t.abort(cid), Progress::Unexpected));
}

#[test]
fn events_do_not_starve_commands_nor_the_other_way_round() {
    let mut t = table(shape(3, 2));
    put(&mut t, false, 0);
    put(&mut t, false, 1);
    assert!(
        t.allocate(Class::Normal, None, Patience::ENDLESS, 2)
            .is_err()
    );
    assert!(t.allocate(Class::Event, None, Patience::ENDLESS, 3).is_ok());
    assert!(t.allocate(Class::Event, None, Patience::ENDLESS, 4).is_ok());
    assert!(
        t.allocate(Class::Event, None, Patience::ENDLESS, 5)
            .is_err()
    );
}

#[test]
fn tail_and_head_wrap_at_the_queue_size() {
    let mut t = table(Shape {
        entries: 3,
        events: 4,
        sqhd: 2,
        sqtail: 2,
        flow_control: true,
    });
    let cid = put(&mut t, false, 0);
    assert_eq!((t.sq_tail(), t.sq_head()), (0, 2));
    t.submitted(cid);
    finished(t.response(&cqe(cid, 1), true).unwrap());
    assert_eq!(t.sq_head(), 1);
    // A head outside the queue, and one that the transport made up, are ignored.
    for (sqhd, valid) in [(3, true), (0xffff, true), (0, false)] {
        let cid = put(&mut t, false, 0);
        t.submitted(cid);
        finished(t.response(&cqe(cid, sqhd), valid).unwrap());
        assert_eq!(t.sq_head(), 1);
    }
    assert_eq!(t.commands(), 4);
}

#[test]
fn without_flow_control_the_head_counts_responses() {
    let mut t = table(Shape {
        flow_control: false,
        ..shape(2, 0)
    });
    for expect in [1, 0, 1] {
        let cid = put(&mut t, false, 0);
        t.submitted(cid);
        finished(t.response(&cqe(cid, 0xffff), true).unwrap());
        assert_eq!(t.sq_head(), expect);
    }
}

#[test]
fn abort_waits_for_the_data() {
    let mut t = table(shape(4, 0));
    let with = put(&mut t, true, 1);
    let without = put(&mut t, false, 2);
    t.submitted(with);
    t.submitted(without);
    assert!(waiting(t.abort(with)));
    let f = finished(t.abort(without));
    assert_eq!(cqe_status(&f.cqe), ABORTED_BY_HOST);
    assert_eq!(cqe_cid(&f.cqe), without);
    let f = finished(t.data(with, 4096, 53));
    assert_eq!(
        (cqe_status(&f.cqe), f.data),
        (ABORTED_BY_HOST, DataOutcome::Failed(53))
    );
    assert!(t.is_idle());
}

#[test]
fn a_command_that_was_not_sent_is_taken_back() {
    let mut t = table(shape(4, 0));
    let cid = put(&mut t, true, 7);
    // A controller that answers before it was asked changes nothing.
    assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
    assert_eq!(t.cancel(cid), Some(7));
    assert_eq!((t.sq_tail(), t.commands()), (0, 0));
    assert!(t.is_idle());
    assert_eq!(t.cancel(cid), None);
    let cid = put(&mut t, true, 8);
    t.submitted(cid);
    assert_eq!(t.cancel(cid), None);
    assert_eq!(t.payload(cid), Some(&mut 8));
}

fn timed(t: &mut Tab, ms: u32, payload: u32) -> u16 {
    let patience = Patience::Until(Deadline::after(0, ms));
    let cid = t.allocate(Class::Normal, None, patience, payload).unwrap();
    t.submitted(cid);
    cid
}

#[test]
fn an_overdue_command_is_aborted_once_and_then_given_up() {
    let mut t = table(shape(4, 0));
    put(&mut t, false, 0);
    let cid = timed(&mut t, 10, 1);
    assert_eq!(t.look(10, true), None);
    assert_eq!(t.look(11, false), None);
    assert_eq!(t.look(11, true), Some((cid, Verdict::Abort)));
    assert_eq!(t.look(11, true), None);
    let end = 12 + u64::from(GRACE_MS);
    assert_eq!(t.look(end, true), Some((cid, Verdict::GiveUp)));
    // It was answered, and is only waiting for its Abort.
    assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
    assert_eq!(t.look(end, true), None);
    assert_eq!(finished(t.abort_ended(cid)).payload, 1);
}

#[test]
fn an_identifier_rests_while_an_abort_names_it() {
    let mut t = table(shape(2, 0));
    let cid = timed(&mut t, 10, 1);
    assert!(t.look(11, true).is_some());
    assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
    assert!(!t.has_room());
    assert!(matches!(t.submitted(cid), Progress::Unexpected));
    finished(t.abort_ended(cid));
    assert!(matches!(t.abort_ended(cid), Progress::Unexpected));

    // The Abort may end first, and change nothing.
    let cid = timed(&mut t, 10, 2);
    assert!(t.look(11, true).is_some());
    assert!(waiting(t.abort_ended(cid)));
    finished(t.response(&cqe(cid, 0), true).unwrap());

    // With the association, Aborts end as well, before or after the command.
    let cid = timed(&mut t, 10, 3);
    assert!(t.look(11, true).is_some());
    assert_eq!(cqe_status(&finished(t.abort(cid)).cqe), ABORTED_BY_HOST);
    let cid = timed(&mut t, 10, 4);
    assert!(t.look(11, true).is_some());
    assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
    assert_eq!(cqe_status(&finished(t.abort(cid)).cqe), 0);
    assert!(t.is_idle());
}

#[test]
fn a_command_that_is_being_submitted_is_not_aborted() {
    let mut t = table(shape(2, 0));
    let patience = Patience::Until(Deadline::after(0, 10));
    let cid = t.allocate(Class::Normal, None, patience, 1).unwrap();
    assert_eq!(t.look(11, true), None);
    t.submitted(cid);
    assert_eq!(t.look(11, true), Some((cid, Verdict::Abort)));
}

#[test]
fn a_write_needs_no_bytes_in_return() {
    let mut t = table(shape(4, 0));
    let cid = t
        .allocate(Class::Normal, Some(Transfer::Write), Patience::ENDLESS, 1)
        .unwrap();
    t.submitted(cid);
    assert!(waiting(t.data(cid, 0, 0)));
    let f = finished(t.response(&cqe(cid, 0), true).unwrap());
    assert_eq!(f.data, DataOutcome::Complete);
}

/// Storage with memory for `max` slots.
struct Scarce {
    slots: Vec<Entry<u32>>,
    max: usize,
}

impl core::ops::Deref for Scarce {
    type Target = [Entry<u32>];
    fn deref(&self) -> &Self::Target {
        &self.slots
    }
}

impl DerefMut for Scarce {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.slots
    }
}

impl Storage<u32> for Scarce {
    fn grow(&mut self, len: usize) -> bool {
        len <= self.max && self.slots.grow(len)
    }
}

fn scarce(first: usize, max: usize) -> Table<u32, Scarce> {
    let mut slots = Vec::new();
    slots.resize_with(first, Entry::default);
    Table::new(Scarce { slots, max }, &shape(128, 0))
}

#[test]
fn a_table_grows_when_half_of_it_is_in_use() {
    let mut t = scarce(16, 127);
    let mut counts = Vec::new();
    for n in 0..127 {
        assert!(t.has_room());
        let cid = t
            .allocate(Class::Normal, None, Patience::ENDLESS, n)
            .unwrap();
        assert_eq!(t.payload(cid), Some(&mut n.clone()));
        if counts.last() != Some(&(t.count(), n)) && counts.last().map(|c| c.0) != Some(t.count()) {
            counts.push((t.count(), n));
        }
    }
    assert_eq!(counts, [(16, 0), (32, 8), (64, 16), (127, 32)]);
    assert!(!t.has_room());
    assert_eq!(
        t.allocate(Class::Normal, None, Patience::ENDLESS, 1),
        Err(1)
    );
    // Every command has an identifier of its own.
    for cid in 0..127 {
        t.submitted(cid);
        finished(t.response(&cqe(cid, 0), true).unwrap());
    }
    assert!(t.is_idle() && t.has_room());
}

#[test]
fn without_memory_to_grow_a_command_waits_for_another_ones_end() {
    let mut t = scarce(4, 4);
    for n in 0..4 {
        t.allocate(Class::Normal, None, Patience::ENDLESS, n)
            .unwrap();
    }
    assert_eq!(
        t.allocate(Class::Normal, None, Patience::ENDLESS, 9),
        Err(9)
    );
    assert!(!t.has_room());
    t.submitted(2);
    finished(t.response(&cqe(2, 0), true).unwrap());
    assert!(t.has_room());
    assert_eq!(t.allocate(Class::Normal, None, Patience::ENDLESS, 9), Ok(2));
    // An identifier that the table could have later is no reason to end the connection as for an invalid one.
    assert_eq!(
        t.response(&cqe(126, 0), true).unwrap_err(),
        CidError::Inactive
    );
}

#[test]
fn large_queues_have_bounded_tables() {
    assert_eq!(shape(65536, 8).slots(), MAX_SLOTS + 8);
    assert_eq!(shape(2, 0).slots(), 1);
    assert_eq!(shape(0, 0).slots(), 1);
    assert_eq!(
        cqe_dw0(&[1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        0x0403_0201
    );
}
