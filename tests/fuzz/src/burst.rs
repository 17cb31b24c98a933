// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! When queued PDUs are sent: whatever is queued has somebody who will send it, the receive thread at work or an alarm
//! that is set.
#![forbid(unsafe_code)]

use nvmf_tcp::proto::Role;
use nvmf_tcp::proto::burst::{Burst, Verdict};

use crate::input::Input;

/// What happens next, in an input.
pub mod op {
    /// The receive thread has something to work on.
    pub const BEGIN: u8 = 0;
    /// It has worked through what arrived: 1 byte of commands.
    pub const END: u8 = 1;
    /// A PDU that is or ends a command: 2 bytes of length.
    pub const TURN: u8 = 2;
    /// Any other PDU: 2 bytes of length.
    pub const OTHER: u8 = 3;
    /// The alarm goes off, if it is set.
    pub const ALARM: u8 = 4;
}

struct Queue {
    burst: Burst,
    /// PDUs that wait, and their bytes.
    pdus: u32,
    bytes: u32,
    /// The receive thread is at work.
    working: bool,
    /// The alarm is set.
    alarm: bool,
    /// Microseconds.
    clock: u64,
}

impl Queue {
    fn act(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Wait => {}
            Verdict::WaitWithAlarm => {
                assert!(!self.alarm, "the alarm is set twice");
                self.alarm = true;
            }
            Verdict::Send if self.pdus == 0 => {}
            Verdict::Send => {
                (self.pdus, self.bytes) = (0, 0);
                assert_eq!(self.burst.flushed(), self.alarm);
                self.alarm = false;
            }
        }
        assert!(
            self.pdus == 0 || self.working || self.alarm,
            "{} PDUs wait for nobody: {:?}",
            self.pdus,
            self.burst
        );
    }
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let queue = input.byte();
    let role = if queue & 1 == 0 {
        Role::Controller
    } else {
        Role::Host
    };
    let mut q = Queue {
        burst: Burst::new(role, queue & 2 != 0),
        pdus: 0,
        bytes: 0,
        working: false,
        alarm: false,
        clock: 0,
    };
    while !input.is_empty() {
        let op = input.byte() % 5;
        let verdict = match op {
            op::BEGIN if !q.working => {
                q.working = true;
                q.burst.begin();
                continue;
            }
            op::END if q.working => {
                q.working = false;
                q.clock += 3_000;
                let clock = q.clock;
                q.burst.end(u32::from(input.byte() % 16), q.pdus, || clock)
            }
            op::TURN | op::OTHER => {
                q.pdus += 1;
                q.bytes += u32::from(input.u16()) + 24;
                q.burst.sent(op == op::TURN, q.pdus, q.bytes)
            }
            // The receive thread sees it when it has nothing to work on.
            op::ALARM if q.alarm && !q.working => {
                q.burst.expired();
                q.alarm = false;
                Verdict::Send
            }
            _ => continue,
        };
        q.act(verdict);
    }
}
