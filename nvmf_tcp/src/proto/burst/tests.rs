// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What waits, for whom, and that nothing waits for ever.
#![forbid(unsafe_code)]

use super::Verdict::{Send, Wait, WaitWithAlarm};
use super::*;

/// A host with `n` commands at its controller, none of which waited.
fn host(n: u32) -> Burst {
    let mut b = Burst::new(Role::Host, false);
    for _ in 0..n {
        b.skip = 1;
        assert_eq!(b.sent(true, 1, 72), Send);
        b.flushed();
    }
    b.skip = 0;
    b
}

#[test]
fn a_lone_command_is_sent_at_once() {
    for open in 0..SHARE {
        let mut b = host(open);
        assert_eq!(b.sent(true, 1, 72), Send, "{open} at the controller");
    }
}

#[test]
fn a_busy_controller_lets_a_host_collect_a_third() {
    let mut b = host(31);
    assert_eq!(b.sent(true, 1, 72), WaitWithAlarm);
    for n in 2..10 {
        assert_eq!(b.sent(true, n, 72 * n), Wait, "{n}");
    }
    assert_eq!(b.sent(true, 10, 720), Send);
    assert!(b.flushed());
    assert!(!b.flushed(), "stopped once");
}

#[test]
fn an_admin_queue_waits_for_no_event() {
    let mut b = Burst::new(Role::Host, true);
    for n in 0..64 {
        assert_eq!(b.sent(true, 1, 72), Send, "after {n} event requests");
    }
    let mut b = Burst::new(Role::Controller, true);
    b.begin();
    assert_eq!(b.end(4), Send);
    assert_eq!(b.sent(true, 1, 24), Send);
}

#[test]
fn never_more_than_the_cap_is_collected() {
    let mut b = host(500);
    for n in 1..COLLECT_MAX {
        assert_ne!(b.sent(true, n, 72 * n), Send, "{n}");
    }
    assert_eq!(b.sent(true, COLLECT_MAX, 72 * COLLECT_MAX), Send);
}

#[test]
fn an_answer_sends_what_was_collected() {
    let mut b = host(9);
    assert_eq!(b.sent(true, 1, 72), WaitWithAlarm);
    b.begin();
    assert_eq!(b.sent(true, 2, 144), Wait);
    assert_eq!(b.end(2), Send);
}

#[test]
fn all_wait_for_a_thread_at_work() {
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, false);
        b.begin();
        assert_eq!(b.sent(true, 1, 24), Wait);
        assert_eq!(b.sent(false, 2, 48), Wait);
        assert_eq!(b.end(1), Send);
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
    assert_eq!(b.end(4), WaitWithAlarm);
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
    assert_eq!(b.end(4), WaitWithAlarm);
    assert_eq!(b.sent(true, 1, HOLD_BYTES), Send);
    assert!(b.flushed());
    assert_eq!(b.sent(true, 1, 24), WaitWithAlarm);
    assert_eq!(b.sent(true, 2, 48), Wait);
}

#[test]
fn a_single_command_is_answered_at_once() {
    let mut b = Burst::new(Role::Controller, false);
    b.begin();
    assert_eq!(b.end(1), Send);
    assert_eq!(b.sent(true, 1, 24), Send);
}

#[test]
fn waiting_in_vain_is_tried_less_often() {
    let mut b = Burst::new(Role::Controller, false);
    let mut waits = 0;
    for _ in 0..4096 {
        b.begin();
        if b.end(3) == WaitWithAlarm {
            waits += 1;
            b.expired();
            assert_eq!(b.sent(true, 1, 24), Send, "after the alarm nothing waits");
            b.flushed();
        }
    }
    assert!((2..16).contains(&waits), "{waits}");
}

#[test]
fn success_restores_confidence() {
    let mut b = host(31);
    assert_eq!(b.sent(true, 1, 72), WaitWithAlarm);
    b.expired();
    assert_eq!(b.sent(true, 1, 72), Send);
    for _ in 0..2 {
        b.begin();
        b.end(0);
    }
    assert_eq!(b.sent(true, 1, 72), WaitWithAlarm);
    for n in 2..11 {
        b.sent(true, n, 72 * n);
    }
    assert!(b.flushed());
    assert_eq!(b.misses, 0);
}

/// Whatever happens, what waits has somebody to send it: the thread at work, or the alarm.
#[test]
fn nothing_waits_without_a_waker() {
    let mut rng = crate::proto::testing::Rng::new(7);
    for role in [Role::Host, Role::Controller] {
        let mut b = Burst::new(role, false);
        let (mut queued, mut working, mut alarm) = (0, false, false);
        for _ in 0..100_000 {
            let verdict = match rng.below(8) {
                0 | 1 if !working => {
                    b.begin();
                    working = true;
                    continue;
                }
                2 | 3 if working => {
                    working = false;
                    b.end(rng.below(5) as u32)
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
