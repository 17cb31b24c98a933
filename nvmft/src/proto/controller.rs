// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The controller state machine: CC and CSTS, reset, shutdown, failure and the end of the association.
//!
//! The kernel half feeds [`Event`]s in under the controller's lock and carries out the [`Actions`] after it
//! dropped the lock.  A teardown (I/O queues closed, CTL commands aborted and waited for) is started by one
//! transition and reported back with [`Event::TornDown`]; there is never more than one.
#![forbid(unsafe_code)]

use bitflags::bitflags;
use sys::record::Machine;

/// What happened to controllers. The last four events are writes to CC.
pub static MET: Machine<7, 8> = Machine::new(
    "controller",
    [
        "Disabled",
        "Enabled",
        "Resetting",
        "ShuttingDown",
        "ShutDown",
        "Failed",
        "Terminated",
    ],
    [
        "Fatal",
        "AdminClosed",
        "TornDown",
        "GraceExpired",
        "CC.SHN",
        "CC.EN=1",
        "CC.EN=0",
        "CC same",
    ],
);

/// How long a controller that is not enabled keeps its association.
pub const GRACE_MS: u32 = 120_000;

/// Controller Configuration fields.
pub mod cc {
    /// Enable.
    pub const EN: u32 = 1;
    /// I/O Command Set Selected.
    pub const CSS: u32 = 7 << 4;
    /// Memory Page Size.
    pub const MPS: u32 = 15 << 7;
    /// Arbitration Mechanism Selected.
    pub const AMS: u32 = 7 << 11;
    /// Shutdown Notification.
    pub const SHN: u32 = 3 << 14;
    /// I/O Submission Queue Entry Size.
    pub const IOSQES: u32 = 15 << 16;
    /// I/O Completion Queue Entry Size.
    pub const IOCQES: u32 = 15 << 20;
}

/// Controller Status fields.
pub mod csts {
    /// Ready.
    pub const RDY: u32 = 1;
    /// Controller Fatal Status.
    pub const CFS: u32 = 1 << 1;
    /// Shutdown processing occurring.
    pub const SHST_OCCURRING: u32 = 1 << 2;
    /// Shutdown processing complete.
    pub const SHST_COMPLETE: u32 = 2 << 2;
}

/// Where the controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Associated, never enabled or reset; waits to be enabled.
    Disabled,
    /// Ready.
    Enabled,
    /// CC.EN was cleared; being torn down.
    Resetting,
    /// The host asked for a shutdown; being torn down.
    ShuttingDown,
    /// Shutdown complete; waits to be enabled again.
    ShutDown,
    /// Fatal error or forced disconnect; being torn down, then the association ends.
    Failed,
    /// The association has ended.
    Terminated,
}

/// What happens to a controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A transport error, keep-alive expiry, a port that goes offline or an administrator's request.
    Fatal,
    /// The host closed the admin connection.
    AdminClosed,
    /// The teardown is complete.
    TornDown,
    /// The time to be enabled has passed.
    GraceExpired,
}

bitflags! {
    /// What the kernel half has to do after a transition.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Actions: u16 {
        /// Close the I/O queues, abort and wait for CTL commands, then report [`Event::TornDown`].
        const TEAR_DOWN = 1 << 0;
        /// Destroy the admin queue and the controller.
        const TERMINATE = 1 << 1;
        /// Start the timer that ends an association which is not enabled.
        const ARM_GRACE = 1 << 2;
        /// Stop that timer.
        const STOP_GRACE = 1 << 3;
        /// Start the keep-alive timer.
        const START_KEEP_ALIVE = 1 << 4;
        /// Stop the keep-alive timer.
        const STOP_KEEP_ALIVE = 1 << 5;
        /// Forget events, features and queue counts of the time before.
        const CLEAR = 1 << 6;
        /// Say that a shutdown was requested.
        const SAY_SHUTDOWN = 1 << 7;
        /// Say that a reset was requested.
        const SAY_RESET = 1 << 8;
    }
}

/// Why a value for CC is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CcError {
    /// A field has a value that is not supported, or may not change now.
    InvalidField,
    /// The teardown that came before is not complete.
    Sequence,
}

/// What never changes while the controller lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The only supported value of CC.MPS.
    pub mps: u32,
}

/// A controller's registers and state.
pub struct Controller {
    limits: Limits,
    state: State,
    cc: u32,
    /// CSTS.RDY stays set until a teardown that found it set is complete.
    ready: bool,
    /// The admin connection is closed; the association ends with the teardown.
    admin_closed: bool,
}

impl Controller {
    /// A new association.  Its actions are [`Actions::ARM_GRACE`] and [`Actions::START_KEEP_ALIVE`].
    pub fn new(limits: Limits) -> (Self, Actions) {
        let new = Self {
            limits,
            state: State::Disabled,
            cc: 0,
            ready: false,
            admin_closed: false,
        };
        (new, Actions::ARM_GRACE | Actions::START_KEEP_ALIVE)
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state
    }

    /// Controller Configuration.
    pub fn cc(&self) -> u32 {
        self.cc
    }

    /// Controller Status.
    pub fn csts(&self) -> u32 {
        let rdy = if self.ready { csts::RDY } else { 0 };
        match self.state {
            State::Disabled | State::Enabled | State::Resetting => rdy,
            State::ShuttingDown => rdy | csts::SHST_OCCURRING,
            State::ShutDown => rdy | csts::SHST_COMPLETE,
            State::Failed | State::Terminated => rdy | csts::CFS,
        }
    }

    /// Whether commands other than Fabrics commands, and I/O queues, are allowed.
    pub fn is_enabled(&self) -> bool {
        match self.state {
            State::Enabled => true,
            State::Disabled
            | State::Resetting
            | State::ShuttingDown
            | State::ShutDown
            | State::Failed
            | State::Terminated => false,
        }
    }

    /// The host writes CC.
    pub fn write_cc(&mut self, new: u32) -> Result<Actions, CcError> {
        let (from, old) = (self.state, self.cc);
        let result = self.take_cc(new);
        let kind = match (old ^ new) & cc::EN {
            _ if new & cc::SHN != 0 && old & cc::SHN == 0 => 4,
            0 => 7,
            _ if new & cc::EN != 0 => 5,
            _ => 6,
        };
        MET.met(from as usize, kind, self.state as usize);
        result
    }

    fn take_cc(&mut self, new: u32) -> Result<Actions, CcError> {
        let old = self.cc;
        if self.state == State::ShuttingDown {
            return Err(CcError::InvalidField);
        }
        let field = |mask: u32, value: u32| (value & mask) >> mask.trailing_zeros();
        let fixed = cc::AMS | cc::MPS | cc::CSS;
        if !matches!(field(cc::IOCQES, new), 0 | 4)
            || !matches!(field(cc::IOSQES, new), 0 | 6)
            || field(cc::SHN, new) == 3
            || field(cc::AMS, new) != 0
            || field(cc::MPS, new) != self.limits.mps
            || !matches!(field(cc::CSS, new), 0 | 7)
            || (old & cc::EN != 0 && (old ^ new) & fixed != 0)
        {
            return Err(CcError::InvalidField);
        }
        let enable = new & cc::EN != 0;
        let shutdown = new & cc::SHN != 0 && old & cc::SHN == 0;
        match self.state {
            State::Resetting | State::Failed | State::Terminated if enable || shutdown => {
                Err(CcError::Sequence)
            }
            State::ShuttingDown | State::Resetting | State::Failed | State::Terminated => {
                self.cc = new;
                Ok(Actions::empty())
            }
            State::Enabled | State::Disabled if shutdown => {
                self.cc = new & !cc::EN;
                self.state = State::ShuttingDown;
                Ok(Actions::SAY_SHUTDOWN
                    | Actions::TEAR_DOWN
                    | Actions::STOP_KEEP_ALIVE
                    | Actions::STOP_GRACE)
            }
            State::Disabled | State::ShutDown if enable && new & cc::SHN == 0 => {
                self.cc = new;
                self.state = State::Enabled;
                self.ready = true;
                Ok(Actions::STOP_GRACE | Actions::START_KEEP_ALIVE)
            }
            State::Enabled if !enable => {
                self.cc = new;
                self.state = State::Resetting;
                Ok(Actions::SAY_RESET | Actions::TEAR_DOWN | Actions::STOP_KEEP_ALIVE)
            }
            State::Disabled | State::ShutDown => {
                self.cc = new & !cc::EN;
                Ok(Actions::empty())
            }
            State::Enabled => {
                self.cc = new;
                Ok(Actions::empty())
            }
        }
    }

    /// Anything but a write to CC.
    pub fn event(&mut self, event: Event) -> Actions {
        let from = self.state;
        let actions = self.take(event);
        MET.met(from as usize, event as usize, self.state as usize);
        actions
    }

    fn take(&mut self, event: Event) -> Actions {
        match (self.state, event) {
            (State::Terminated, _) => Actions::empty(),

            (State::Failed, Event::TornDown) => {
                self.state = State::Terminated;
                Actions::TERMINATE | Actions::CLEAR
            }
            (State::Failed, Event::Fatal | Event::AdminClosed | Event::GraceExpired) => {
                Actions::empty()
            }

            (State::Resetting | State::ShuttingDown, Event::TornDown) if self.admin_closed => {
                self.ready = false;
                self.state = State::Terminated;
                Actions::TERMINATE | Actions::CLEAR
            }
            (State::Resetting, Event::TornDown) => {
                self.ready = false;
                self.state = State::Disabled;
                Actions::CLEAR | Actions::ARM_GRACE
            }
            (State::ShuttingDown, Event::TornDown) => {
                self.ready = false;
                self.state = State::ShutDown;
                Actions::CLEAR | Actions::ARM_GRACE
            }
            (State::Resetting | State::ShuttingDown, Event::AdminClosed) => {
                self.admin_closed = true;
                Actions::empty()
            }
            // The teardown under way ends the association as well.
            (State::Resetting | State::ShuttingDown, Event::Fatal) => {
                self.fail();
                Actions::empty()
            }

            (
                State::Disabled | State::Enabled | State::ShutDown,
                Event::Fatal | Event::AdminClosed,
            )
            | (State::Disabled | State::ShutDown, Event::GraceExpired) => {
                self.fail();
                Actions::TEAR_DOWN | Actions::STOP_KEEP_ALIVE | Actions::STOP_GRACE
            }

            // A timer that was stopped too late.
            (State::Enabled | State::Resetting | State::ShuttingDown, Event::GraceExpired) => {
                Actions::empty()
            }
            // No teardown was started.
            (State::Disabled | State::Enabled | State::ShutDown, Event::TornDown) => {
                Actions::empty()
            }
        }
    }

    fn fail(&mut self) {
        self.state = State::Failed;
        self.cc &= !cc::EN;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EN: u32 = cc::EN | 6 << 16 | 4 << 20;

    fn fresh() -> Controller {
        Controller::new(Limits { mps: 0 }).0
    }

    fn enabled() -> Controller {
        let mut c = fresh();
        let a = c.write_cc(EN).unwrap();
        assert_eq!(a, Actions::STOP_GRACE | Actions::START_KEEP_ALIVE);
        c
    }

    #[test]
    fn new_association() {
        let (c, a) = Controller::new(Limits { mps: 0 });
        assert_eq!(a, Actions::ARM_GRACE | Actions::START_KEEP_ALIVE);
        assert_eq!((c.state(), c.cc(), c.csts()), (State::Disabled, 0, 0));
    }

    #[test]
    fn enable_is_immediate() {
        let c = enabled();
        assert_eq!((c.csts(), c.cc()), (csts::RDY, EN));
        assert!(c.is_enabled());
    }

    #[test]
    fn bad_values() {
        for bad in [1 << 4, 6 << 4, 1 << 7, 1 << 11, 3 << 14, 5 << 16, 3 << 20] {
            assert_eq!(
                fresh().write_cc(cc::EN | bad),
                Err(CcError::InvalidField),
                "{bad:#x}"
            );
        }
        assert!(fresh().write_cc(cc::EN | 7 << 4).is_ok());
        assert_eq!(enabled().write_cc(EN | 7 << 4), Err(CcError::InvalidField));
        let mut c = Controller::new(Limits { mps: 2 }).0;
        assert_eq!(c.write_cc(cc::EN), Err(CcError::InvalidField));
        assert!(c.write_cc(cc::EN | 2 << 7).is_ok());
    }

    #[test]
    fn reset_and_reenable() {
        let mut c = enabled();
        assert_eq!(
            c.write_cc(EN & !cc::EN),
            Ok(Actions::SAY_RESET | Actions::TEAR_DOWN | Actions::STOP_KEEP_ALIVE)
        );
        assert_eq!((c.state(), c.csts()), (State::Resetting, csts::RDY));
        assert_eq!(c.write_cc(EN), Err(CcError::Sequence));
        assert_eq!(
            c.event(Event::TornDown),
            Actions::CLEAR | Actions::ARM_GRACE
        );
        assert_eq!((c.state(), c.csts()), (State::Disabled, 0));
        assert_eq!(
            c.write_cc(EN),
            Ok(Actions::STOP_GRACE | Actions::START_KEEP_ALIVE)
        );
        // The grace timer that fires late changes nothing.
        assert_eq!(c.event(Event::GraceExpired), Actions::empty());
        assert_eq!(c.state(), State::Enabled);
    }

    #[test]
    fn shutdown() {
        for shn in [1 << 14, 2 << 14] {
            let mut c = enabled();
            let a = c.write_cc(EN | shn).unwrap();
            assert!(
                a.contains(Actions::TEAR_DOWN | Actions::SAY_SHUTDOWN | Actions::STOP_KEEP_ALIVE)
            );
            assert_eq!(c.csts(), csts::RDY | csts::SHST_OCCURRING);
            assert_eq!(c.cc() & cc::EN, 0);
            assert_eq!(c.write_cc(EN), Err(CcError::InvalidField));
            assert_eq!(
                c.event(Event::TornDown),
                Actions::CLEAR | Actions::ARM_GRACE
            );
            assert_eq!(c.csts(), csts::SHST_COMPLETE);
            assert_eq!(c.write_cc(EN & !cc::EN), Ok(Actions::empty()));
            assert_eq!(
                c.write_cc(EN),
                Ok(Actions::STOP_GRACE | Actions::START_KEEP_ALIVE)
            );
            assert_eq!(c.csts(), csts::RDY);
        }
    }

    #[test]
    fn shutdown_then_close() {
        let mut c = enabled();
        c.write_cc(EN | 1 << 14).unwrap();
        assert_eq!(c.event(Event::AdminClosed), Actions::empty());
        assert_eq!(
            c.event(Event::TornDown),
            Actions::TERMINATE | Actions::CLEAR
        );
        assert_eq!(c.state(), State::Terminated);
        let mut c = enabled();
        c.write_cc(EN | 1 << 14).unwrap();
        c.event(Event::TornDown);
        assert!(c.event(Event::AdminClosed).contains(Actions::TEAR_DOWN));
        assert_eq!(
            c.event(Event::TornDown),
            Actions::TERMINATE | Actions::CLEAR
        );
    }

    #[test]
    fn failure_at_every_step() {
        let mut reset = enabled();
        reset.write_cc(EN & !cc::EN).unwrap();
        let mut shutdown = enabled();
        shutdown.write_cc(EN | 1 << 14).unwrap();
        let mut shut = enabled();
        shut.write_cc(EN | 1 << 14).unwrap();
        shut.event(Event::TornDown);
        for (mut c, starts) in [
            (fresh(), true),
            (enabled(), true),
            (reset, false),
            (shutdown, false),
            (shut, true),
        ] {
            let a = c.event(Event::Fatal);
            assert_eq!(a.contains(Actions::TEAR_DOWN), starts, "{:?}", c.state());
            assert_eq!(c.state(), State::Failed);
            assert_eq!(c.csts() & csts::CFS, csts::CFS);
            assert_eq!(c.cc() & cc::EN, 0);
            for again in [Event::Fatal, Event::AdminClosed, Event::GraceExpired] {
                assert_eq!(c.event(again), Actions::empty());
            }
            assert_eq!(c.write_cc(EN), Err(CcError::Sequence));
            assert_eq!(
                c.event(Event::TornDown),
                Actions::TERMINATE | Actions::CLEAR
            );
            for late in [
                Event::Fatal,
                Event::AdminClosed,
                Event::GraceExpired,
                Event::TornDown,
            ] {
                assert_eq!(c.event(late), Actions::empty());
            }
        }
    }

    /// Whatever the order of events, a teardown is never started while another runs, and the end comes once.
    #[test]
    fn one_teardown_at_a_time() {
        let mut seed = 7u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 16
        };
        for _ in 0..if cfg!(miri) { 20 } else { 2000 } {
            let mut c = fresh();
            let (mut running, mut ended) = (false, 0);
            for _ in 0..30 {
                let a = match random() % 8 {
                    0 => c.write_cc(EN).unwrap_or(Actions::empty()),
                    1 => c.write_cc(EN & !cc::EN).unwrap_or(Actions::empty()),
                    2 => c.write_cc(EN | 1 << 14).unwrap_or(Actions::empty()),
                    3 => c.event(Event::Fatal),
                    4 => c.event(Event::AdminClosed),
                    5 => c.event(Event::GraceExpired),
                    _ if running => {
                        running = false;
                        c.event(Event::TornDown)
                    }
                    _ => Actions::empty(),
                };
                if a.contains(Actions::TEAR_DOWN) {
                    assert!(!running);
                    running = true;
                }
                ended += u32::from(a.contains(Actions::TERMINATE));
                assert!(!running || !a.contains(Actions::TERMINATE));
            }
            assert!(ended <= 1);
        }
    }
}
