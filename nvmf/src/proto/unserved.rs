// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! CAM's commands that no association serves, or that one left behind when it ended.
//!
//! They may come back late: memory that the network holds is let go of when the network likes, over a loopback not
//! before the peer has noticed too, and by then a new association may stand. Who failed such a command as that of a
//! lost device would lose a disk that was found again just before, and that nobody would look for any more. So it is
//! sent again: CAM keeps commands of disks that it gave up meanwhile from being sent.
#![forbid(unsafe_code)]

use crate::proto::assoc::State;

/// What an operator wants of requests while there is no association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// They are held.
    Hold,
    /// They fail.
    Fail,
    /// They fail for good: the device, or the system, is going away.
    End,
}

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// CAM_REQUEUE_REQ: CAM sends it again, when it may.
    Requeue,
    /// CAM_DEV_NOT_THERE: the disk is gone. Somebody has to look for it once there is an association.
    Gone,
}

/// Judges a command by how the association stands now, not by how it stood when the command was given up.
pub fn judge(policy: Policy, state: State) -> Unserved {
    match (policy, state) {
        (Policy::Hold, _) | (Policy::Fail, State::Connected) => Unserved::Requeue,
        (
            Policy::Fail,
            State::Attaching
            | State::Disconnecting
            | State::Disconnected
            | State::Reconnecting
            | State::Detaching,
        )
        | (Policy::End, _) => Unserved::Gone,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 6] = [
        State::Attaching,
        State::Connected,
        State::Disconnecting,
        State::Disconnected,
        State::Reconnecting,
        State::Detaching,
    ];

    #[test]
    fn held_until_the_device_goes() {
        for state in STATES {
            assert_eq!(judge(Policy::Hold, state), Unserved::Requeue);
            assert_eq!(judge(Policy::End, state), Unserved::Gone);
        }
    }

    #[test]
    fn failed_unless_an_association_stands_again() {
        for state in STATES {
            let wanted = match state {
                State::Connected => Unserved::Requeue,
                _ => Unserved::Gone,
            };
            assert_eq!(judge(Policy::Fail, state), wanted, "{state:?}");
        }
    }
}
