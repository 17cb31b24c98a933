// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What waits, for whom, and that nothing waits for ever.
#![forbid(unsafe_code)]

use super::Verdict::{Send, Wait, WaitWithAlarm};
use super::*;
use crate::proto::testing::{Rng, rounds};

/// A clock that stands still: no share is tried but the first.
fn never() -> u64 {
    0
}

/// A host with `n` commands at its controller, which answers `ends` of them together.
fn host(n: u32, ends: u32) -> Burst {
    let mut b = Burst::new(Role::Host, false);
    for _ in 0..n {
        assert_eq!(b.sent(true, 1, 72), Send, "nothing has ended");
        assert!(!b.flushed());
    }
    b.begin();
    assert_eq!(b.end(ends, 0, never), Wait, "nothing is there to be sent");
    b
}

#[test]
fn a_lone_command_is_sent_at_once() {
    for open in 1..64 {
        let mut b = host(open, 1);
        assert_eq!(b.sent(true, 1, 72), Send, "in place of one of {open}");
    }
}

#[test]
fn a_host_waits_for_commands_in_place_of_those_that_ended() {
    let mut b = host(32, 8);
    assert_eq!(b.sent(true, 1, 72), WaitWithAlarm);
    for n in 2..8 {
        assert_eq!(b.sent(true, n, 72 * n), Wait, "{n}");
    }
    assert_eq!(b.sent(true, 8, 720), Send);
    assert!(b.flushed());
    assert!(!b.flushed(), "stopped once");
    assert_eq!(b.sent(true, 1, 72), Send, "all have come");
}

#[test]
fn what_a_host_waits_for_adds_up() {
    let mut b = host(32, 2);
    assert_eq!(b.sent(true, 1, 72), WaitWithAlarm, "one of two");
    b.begin();
    assert_eq!(b.sent(true, 2, 144), Wait, "two of four, while at work");
    assert_eq!(b.end(2, 2, never), Wait, "the alarm is set");
    assert_eq!(b.sent(true, 3, 216), Wait);
    assert_eq!(b.sent(true, 4, 288), Send);
}

#[test]
fn an_admin_queue_waits_for_no_event() {
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, true);
        for n in 0..64 {
            assert_eq!(b.sent(true, 1, 72), Send, "after {n} event requests");
        }
        b.begin();
        assert_eq!(b.end(4, 0, never), Send);
        assert_eq!(b.sent(true, 1, 24), Send);
    }
}

#[test]
fn all_wait_for_a_thread_at_work() {
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, false);
        b.begin();
        assert_eq!(b.sent(true, 1, 24), Wait);
        assert_eq!(b.sent(false, 2, 48), Wait);
        assert_eq!(b.end(1, 2, never), Send);
    }
}

#[test]
fn enough_bytes_or_pdus_wait_for_nobody() {
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, false);
        b.begin();
        assert_eq!(b.sent(true, 1, HOLD_BYTES - 1), Wait);
        assert_eq!(b.sent(true, 2, HOLD_BYTES), Send);
        assert_eq!(b.sent(true, HOLD_PDUS, 24), Send);
    }
}

#[test]
fn the_last_answer_takes_the_others_along() {
    let mut b = Burst::new(Role::Controller, false);
    b.begin();
    assert_eq!(b.sent(true, 1, 24), Wait, "one while at work");
    assert_eq!(b.end(4, 1, never), WaitWithAlarm);
    assert_eq!(b.sent(true, 2, 48), Wait);
    assert_eq!(b.sent(false, 3, 4096), Wait, "data ends no command");
    assert_eq!(b.sent(true, 4, 4120), Wait);
    assert_eq!(b.sent(true, 5, 4144), Send);
    assert!(b.flushed());
    assert_eq!(b.sent(true, 1, 24), Send, "nothing is owed any more");
}

#[test]
fn much_data_between_answers_does_not_strand_the_next() {
    let mut b = Burst::new(Role::Controller, false);
    b.begin();
    assert_eq!(b.end(4, 0, never), Wait);
    assert_eq!(b.sent(true, 1, HOLD_BYTES), Send);
    assert!(!b.flushed(), "no alarm is set for nothing");
    assert_eq!(b.sent(true, 1, 24), WaitWithAlarm);
    assert_eq!(b.sent(true, 2, 48), Wait);
}

#[test]
fn a_single_command_is_answered_at_once() {
    let mut b = Burst::new(Role::Controller, false);
    b.begin();
    assert_eq!(b.end(1, 0, never), Wait);
    assert_eq!(b.sent(true, 1, 24), Send);
}

#[test]
fn waiting_in_vain_is_tried_less_often() {
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, false);
        let mut waits = 0;
        for _ in 0..4096 {
            b.begin();
            b.end(3, 0, never);
            if b.sent(true, 1, 24) == WaitWithAlarm {
                waits += 1;
                b.expired();
                assert_eq!(b.sent(true, 1, 24), Send, "after the alarm nothing waits");
            }
            b.flushed();
        }
        assert!((2..16).contains(&waits), "{role:?}: {waits}");
    }
}

#[test]
fn success_restores_confidence_step_by_step() {
    let mut b = Burst::new(Role::Controller, false);
    b.misses = 2;
    for left in [1, 0, 0] {
        b.begin();
        b.end(2, 0, never);
        assert_eq!(b.sent(true, 1, 24), WaitWithAlarm);
        assert_eq!(b.sent(true, 2, 48), Send);
        assert!(b.flushed());
        assert_eq!(b.misses, left);
    }
}

/// A share that pays is found: here a clock that runs slower the more waits.
#[test]
fn the_pace_is_set_by_what_ends() {
    let mut b = Burst::new(Role::Controller, false);
    let (mut now, mut held) = (0, 0);
    let all = rounds(100_000) as u32;
    for round in 0..all {
        b.begin();
        b.end(4, 0, || now);
        let waited = b.sent(true, 1, 24) != Send;
        b.flushed();
        for _ in 0..3 {
            b.sent(true, 1, 24);
            b.flushed();
        }
        now += if waited { 400 } else { 100 };
        held += u32::from(waited && round > all / 2);
    }
    // Miri's rounds are too few to find it.
    assert!(
        cfg!(miri) || held < all / 20,
        "waited {held} times of {}",
        all / 2
    );
}

/// Whatever happens, what waits has somebody to send it: the thread at work, or the alarm.
#[test]
fn nothing_waits_without_a_waker() {
    let mut rng = Rng::new(7);
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, false);
        let (mut queued, mut working, mut alarm) = (0, false, false);
        let mut now = 0;
        for _ in 0..rounds(100_000) {
            let verdict = match rng.below(8) {
                0 | 1 if !working => {
                    b.begin();
                    working = true;
                    continue;
                }
                2 | 3 if working => {
                    working = false;
                    now += 4_000;
                    b.end(rng.below(5) as u32, queued, || now)
                }
                4 if alarm && !working => {
                    alarm = false;
                    b.expired();
                    Send
                }
                _ => {
                    queued += 1;
                    let bytes = if rng.chance(8) {
                        HOLD_BYTES
                    } else {
                        72 * queued
                    };
                    b.sent(rng.below(4) != 0, queued, bytes)
                }
            };
            match verdict {
                Send => {
                    queued = 0;
                    if b.flushed() {
                        alarm = false;
                    }
                }
                WaitWithAlarm => alarm = true,
                Wait => {}
            }
            assert!(queued == 0 || working || alarm, "{b:?}");
        }
    }
}
