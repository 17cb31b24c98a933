// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The life of a host controller's association.
//!
//! One thread at a time owns a transition that takes long (attaching, tearing down, reconnecting); others only leave
//! a note of what happened meanwhile, and [`Association::handle`] tells the owner what to do about it.
#![forbid(unsafe_code)]

use sys::record::Machine;

/// What happened to associations.
pub static MET: Machine<6, 7> = Machine::new(
    "host association",
    [
        "Attaching",
        "Connected",
        "Disconnecting",
        "Disconnected",
        "Reconnecting",
        "Detaching",
    ],
    [
        "Failure",
        "SetupDone",
        "SetupFailed",
        "TornDown",
        "Reconnect",
        "LossTimer",
        "Detach",
    ],
);

/// Where the association stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The first set-up is under way.
    Attaching,
    /// Queues are up.
    Connected,
    /// Queues are being taken down after a failure.
    Disconnecting,
    /// No queues; requests are held until a reconnect.
    Disconnected,
    /// A new set-up is under way.
    Reconnecting,
    /// The device is going away, for good.
    Detaching,
}

/// Tells the losses of an association apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss(u32);

/// What happens to an association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A queue failed, the keep-alive timer ran out, or the controller broke the protocol.
    Failure,
    /// The set-up's owner has finished it.
    SetupDone,
    /// The set-up's owner gives up and has taken its queues down.
    SetupFailed,
    /// The owner of the teardown has finished it.
    TornDown,
    /// Userland brings new queues.
    Reconnect,
    /// The controller-loss timer expired that was started after this loss. Whoever reports it may come late.
    LossTimer(Loss),
    /// The device is to be detached.
    Detach,
}

impl Event {
    /// Its number in [`MET`].
    const fn number(self) -> usize {
        match self {
            Self::Failure => 0,
            Self::SetupDone => 1,
            Self::SetupFailed => 2,
            Self::TornDown => 3,
            Self::Reconnect => 4,
            Self::LossTimer(_) => 5,
            Self::Detach => 6,
        }
    }
}

/// What whoever reported the event does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing.
    None,
    /// Go on: the caller now owns the transition it asked for, or its set-up stands.
    Proceed,
    /// Refused, with EBUSY.
    Busy,
    /// Take the queues down; the caller owns the teardown.
    TearDown,
    /// Fail what the set-up or the detach waits for.
    Unstick,
    /// The set-up failed behind its owner's back: take its queues down.
    Unwind,
    /// Start the notification and loss timers.
    ArmTimers,
    /// Delete the device.
    Delete,
}

/// An association's state machine.
#[derive(Debug)]
pub struct Association {
    state: State,
    /// A thread is inside a set-up or a teardown.
    owned: bool,
    /// The set-up failed while its owner was at work.
    failed: bool,
    /// The controller-loss timer expired.
    lost: bool,
    /// Associations that were taken down.
    losses: u32,
}

impl Default for Association {
    fn default() -> Self {
        Self::new()
    }
}

impl Association {
    /// A new association, owned by the thread that attaches.
    pub const fn new() -> Self {
        Self {
            state: State::Attaching,
            owned: true,
            failed: false,
            lost: false,
            losses: 0,
        }
    }

    /// The current state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Whether a thread is inside a set-up or a teardown: a detach waits until it is not.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// Whether the set-up that is under way has failed behind its owner's back.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// The last loss.
    pub fn loss(&self) -> Loss {
        Loss(self.losses)
    }

    /// Whether a RECONNECT notification makes sense.
    pub fn wants_reconnect(&self) -> bool {
        !self.lost && matches!(self.state, State::Disconnected | State::Reconnecting)
    }

    /// The transition function.
    pub fn handle(&mut self, event: Event) -> Action {
        let (state, action) = match (self.state, event) {
            (State::Attaching | State::Reconnecting, Event::Failure) => {
                self.failed = true;
                (self.state, Action::Unstick)
            }
            (State::Connected, Event::Failure) => {
                self.owned = true;
                (State::Disconnecting, Action::TearDown)
            }
            (State::Detaching, Event::Failure) => (State::Detaching, Action::Unstick),
            (State::Disconnecting | State::Disconnected, Event::Failure) => {
                (self.state, Action::None)
            }

            (State::Attaching | State::Reconnecting, Event::SetupDone) if self.failed => {
                (self.state, Action::Unwind)
            }
            (State::Attaching | State::Reconnecting, Event::SetupDone) => {
                self.owned = false;
                (State::Connected, Action::Proceed)
            }
            (state, Event::SetupDone) => (state, Action::Unwind),

            (State::Reconnecting, Event::SetupFailed) => {
                self.owned = false;
                (
                    State::Disconnected,
                    if self.lost {
                        Action::Delete
                    } else {
                        Action::None
                    },
                )
            }
            (state, Event::SetupFailed) => {
                self.owned = false;
                (state, Action::None)
            }

            (State::Disconnecting, Event::TornDown) => {
                self.owned = false;
                self.losses = self.losses.wrapping_add(1);
                (State::Disconnected, Action::ArmTimers)
            }
            (state, Event::TornDown) => {
                self.owned = false;
                (state, Action::None)
            }

            (State::Disconnected, Event::Reconnect) if !self.lost => {
                self.owned = true;
                self.failed = false;
                (State::Reconnecting, Action::Proceed)
            }
            (state, Event::Reconnect) => (state, Action::Busy),

            // The association was back before the report came.
            (state, Event::LossTimer(loss)) if loss != self.loss() => (state, Action::None),
            (State::Disconnected, Event::LossTimer(_)) => {
                self.lost = true;
                (State::Disconnected, Action::Delete)
            }
            (State::Reconnecting, Event::LossTimer(_)) => {
                // If this attempt fails too, the device goes.
                self.lost = true;
                (State::Reconnecting, Action::None)
            }
            (state, Event::LossTimer(_)) => (state, Action::None),

            (State::Detaching, Event::Detach) => (State::Detaching, Action::Busy),
            (State::Attaching | State::Disconnecting | State::Reconnecting, Event::Detach) => {
                self.failed = true;
                (State::Detaching, Action::Unstick)
            }
            (State::Connected | State::Disconnected, Event::Detach) => {
                (State::Detaching, Action::Proceed)
            }
        };
        MET.met(self.state as usize, event.number(), state as usize);
        if state == State::Connected {
            self.lost = false;
        }
        self.state = state;
        action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> Association {
        let mut a = Association::new();
        assert_eq!(a.handle(Event::SetupDone), Action::Proceed);
        a
    }

    fn disconnected() -> Association {
        let mut a = connected();
        assert_eq!(a.handle(Event::Failure), Action::TearDown);
        assert_eq!(a.handle(Event::TornDown), Action::ArmTimers);
        a
    }

    /// The timer of the last loss expires.
    fn expire(a: &mut Association) -> Action {
        let loss = a.loss();
        a.handle(Event::LossTimer(loss))
    }

    #[test]
    fn repeated_failures_tear_down_once() {
        let mut a = connected();
        assert_eq!(a.handle(Event::Failure), Action::TearDown);
        assert_eq!(a.handle(Event::Failure), Action::None);
        assert!(a.is_owned());
        assert_eq!(a.handle(Event::TornDown), Action::ArmTimers);
        assert_eq!(a.handle(Event::Failure), Action::None);
        assert_eq!(a.state(), State::Disconnected);
        assert!(!a.is_owned() && a.wants_reconnect());
    }

    #[test]
    fn failure_while_attaching_fails_the_attach() {
        let mut a = Association::new();
        assert!(!a.has_failed());
        assert_eq!(a.handle(Event::Failure), Action::Unstick);
        assert!(a.has_failed());
        assert_eq!(a.handle(Event::SetupDone), Action::Unwind);
        assert_eq!(a.handle(Event::SetupFailed), Action::None);
        assert!(!a.is_owned());
        assert_eq!(a.handle(Event::Reconnect), Action::Busy);
        assert_eq!(a.handle(Event::Detach), Action::Unstick);
        assert!(!a.is_owned());
    }

    #[test]
    fn reconnect_only_from_disconnected() {
        assert_eq!(Association::new().handle(Event::Reconnect), Action::Busy);
        assert_eq!(connected().handle(Event::Reconnect), Action::Busy);
        let mut a = disconnected();
        assert_eq!(a.handle(Event::Reconnect), Action::Proceed);
        assert_eq!(a.handle(Event::Reconnect), Action::Busy);
        assert_eq!(a.handle(Event::SetupDone), Action::Proceed);
        assert_eq!(a.state(), State::Connected);
    }

    #[test]
    fn failed_reconnect_goes_back() {
        let mut a = disconnected();
        a.handle(Event::Reconnect);
        assert_eq!(a.handle(Event::Failure), Action::Unstick);
        assert_eq!(a.handle(Event::SetupDone), Action::Unwind);
        assert_eq!(a.handle(Event::SetupFailed), Action::None);
        assert_eq!(a.state(), State::Disconnected);
        // The failure is not remembered by the next attempt.
        assert_eq!(a.handle(Event::Reconnect), Action::Proceed);
        assert_eq!(a.handle(Event::SetupDone), Action::Proceed);
    }

    #[test]
    fn loss_deletes_and_refuses_reconnects() {
        let mut a = disconnected();
        assert_eq!(expire(&mut a), Action::Delete);
        assert_eq!(a.handle(Event::Reconnect), Action::Busy);
        assert!(!a.wants_reconnect());
        assert_eq!(expire(&mut connected()), Action::None);
    }

    #[test]
    fn a_loss_that_is_reported_late_is_not_that_of_the_next_association() {
        let mut a = disconnected();
        let late = Event::LossTimer(a.loss());
        a.handle(Event::Reconnect);
        a.handle(Event::SetupDone);
        assert_eq!(a.handle(late), Action::None);
        a.handle(Event::Failure);
        assert_eq!(a.handle(late), Action::None);
        a.handle(Event::TornDown);
        assert_eq!(a.handle(late), Action::None);
        assert!(a.wants_reconnect());

        // Nor does a reconnect have to succeed on its account.
        assert_eq!(a.handle(Event::Reconnect), Action::Proceed);
        assert_eq!(a.handle(late), Action::None);
        assert_eq!(a.handle(Event::SetupFailed), Action::None);

        // A failed attempt makes no other loss of it.
        assert_eq!(expire(&mut a), Action::Delete);
    }

    #[test]
    fn loss_during_a_reconnect_waits_for_its_end() {
        let mut a = disconnected();
        a.handle(Event::Reconnect);
        assert_eq!(expire(&mut a), Action::None);
        assert_eq!(a.handle(Event::SetupFailed), Action::Delete);

        let mut a = disconnected();
        a.handle(Event::Reconnect);
        expire(&mut a);
        assert_eq!(a.handle(Event::SetupDone), Action::Proceed);
        // Forgotten: the association is back.
        a.handle(Event::Failure);
        a.handle(Event::TornDown);
        assert_eq!(a.handle(Event::Reconnect), Action::Proceed);
    }

    #[test]
    fn detach_wins_over_every_transition() {
        for prepare in [
            (|_: &mut Association| ()) as fn(&mut Association),
            |a| {
                a.handle(Event::SetupDone);
                a.handle(Event::Failure);
            },
            |a| {
                a.handle(Event::SetupDone);
                a.handle(Event::Failure);
                a.handle(Event::TornDown);
                a.handle(Event::Reconnect);
            },
        ] {
            let mut a = Association::new();
            prepare(&mut a);
            assert!(a.is_owned());
            assert_eq!(a.handle(Event::Detach), Action::Unstick);
            assert!(a.is_owned(), "the detach waits for the owner");
            assert_eq!(a.handle(Event::Detach), Action::Busy);
            assert_eq!(a.handle(Event::SetupDone), Action::Unwind);
            a.handle(Event::SetupFailed);
            assert!(!a.is_owned());
            assert_eq!(a.state(), State::Detaching);
        }
    }

    #[test]
    fn detaching_never_ends() {
        let events = [
            Event::Failure,
            Event::SetupDone,
            Event::SetupFailed,
            Event::TornDown,
            Event::Reconnect,
            Event::LossTimer(Loss(0)),
            Event::LossTimer(Loss(1)),
            Event::Detach,
        ];
        for mut a in [Association::new(), connected(), disconnected()] {
            a.handle(Event::Detach);
            for event in events {
                a.handle(event);
                assert_eq!(a.state(), State::Detaching);
            }
        }
    }
}
