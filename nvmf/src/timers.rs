// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Timers of a controller: keep-alive, overdue commands, reconnect notifications, and controller loss.
#![forbid(unsafe_code)]

use crate::abort::Found;
use crate::controller::{
    Conn, Controller, TASK_RESUME, TIMER_LOSS, TIMER_RECONNECT, TIMER_RX, TIMER_TX, TIMER_WATCH,
};
use crate::link::Link;
use crate::node::Namespace;
use crate::proto::assoc::{Action, Event};
use crate::proto::handoff::Handoff;
use crate::proto::keepalive::{KeepAlive, RxExpiry, TxExpiry};
use crate::proto::losses::Reconnect;
use crate::proto::slots::{Class, Cqe, cqe_status};
use crate::proto::status::{is_host_abort, is_success};
use crate::proto::timeout::{ABORT_WATCH_MS, WATCH_MS};
use crate::qpair::{HostQpair, Refused, Request, admin_command};
use sys::CanSleep;
use sys::log::RateLimit;
use sys::mem::KArc;
use sys::newbus::notify_reconnect;
use sys::task::{CalloutHandler, TaskHandler};
use sys::time::uptime_ms;
use sys::wire::Sqe;

static NOISE: RateLimit = RateLimit::new(4);

/// Seconds as milliseconds of a timer.
fn seconds(s: u32) -> u32 {
    s.saturating_mul(1000).min(i32::MAX as u32)
}

/// How a lost association is to come back.
struct Recovery {
    reconnect: Reconnect,
    handoff: Handoff,
}

impl Recovery {
    /// Asks userland for a reconnect, if it is not to wait.
    fn tell(self, ctrl: &Controller) {
        let delay = self.handoff.reconnect_delay;
        if delay == 0 {
            return;
        }
        match self.reconnect {
            Reconnect::Later(short) if self.handoff.survives_delay() => {
                if NOISE.allow() {
                    ctrl.say(format_args!(
                        "{short} associations in a row were short, reconnecting in {delay} seconds"
                    ));
                }
            }
            Reconnect::Now | Reconnect::Later(_) => notify_reconnect(ctrl.name().as_cstr()),
        }
    }
}

impl Controller {
    /// Starts the timers of an association.
    pub fn start_timers(this: &KArc<Self>, link: &Link) {
        if let Some(ms) = link.keep_alive().rx_period() {
            this.rx_timer.arm_ms(ms, this.clone());
        }
        if let Some(ms) = link.keep_alive().tx_period() {
            this.tx_timer.arm_ms(ms, this.clone());
        }
        this.watch_timer.arm_ms(WATCH_MS, this.clone());
    }

    /// Stops the timers of an association.
    pub fn stop_timers(&self, sleep: CanSleep<'_>) {
        self.rx_timer.drain(sleep);
        self.tx_timer.drain(sleep);
        self.watch_timer.drain(sleep);
        // What a handler armed while it was waited for.
        self.rx_timer.stop();
        self.tx_timer.stop();
        self.watch_timer.stop();
    }

    /// The owner of a teardown has finished it.
    pub fn torn_down(this: &KArc<Self>) {
        // A reconnect stops the timers, so it must not come before they are armed: one that was armed too late would
        // be taken for that of the next loss.
        let recovery = this.transition_and(Event::TornDown, |conn, action| {
            (action == Action::ArmTimers).then(|| Self::arm_recovery(this, conn))
        });
        if let Some(recovery) = recovery {
            recovery.tell(this);
        }
    }

    /// Starts what leads to a reconnect, or to the end, after an association that was lost before it was complete.
    pub fn start_recovery(this: &KArc<Self>) {
        let recovery = this.with_conn(|conn| Self::arm_recovery(this, conn));
        recovery.tell(this);
    }

    fn arm_recovery(this: &KArc<Self>, conn: &mut Conn) -> Recovery {
        let handoff = conn.identity.handoff;
        if handoff.reconnect_delay != 0 {
            this.reconnect_timer
                .arm_ms(seconds(handoff.reconnect_delay), this.clone());
        }
        if handoff.loss_timeout != 0 {
            this.loss_timer
                .arm_ms(seconds(handoff.loss_timeout), this.clone());
        }
        Recovery {
            reconnect: conn.losses.lost(uptime_ms()),
            handoff,
        }
    }

    /// Stops what leads to a reconnect, or to the end.
    pub fn stop_recovery(&self, sleep: CanSleep<'_>) {
        self.reconnect_timer.drain(sleep);
        self.loss_timer.drain(sleep);
        self.reconnect_timer.stop();
    }

    /// The timer of the last loss expired: has the controller given up, soon. Any context.
    pub fn expire_loss(this: &KArc<Self>) {
        this.with_conn(|conn| conn.expired = Some(conn.machine.loss()));
        this.loss_task
            .enqueue(this.host().losses_queue(), this.clone());
    }

    /// What to do about the timer that expired last.
    pub fn loss_expired(&self) -> Action {
        self.with_conn(|conn| match conn.expired.take() {
            Some(loss) => conn.machine.handle(Event::LossTimer(loss)),
            None => Action::None,
        })
    }

    /// Sends a Keep Alive, now or when there is a slot.
    pub fn send_keep_alive(qp: &KArc<HostQpair>) {
        let cmd = admin_command(Sqe::keep_alive(), Request::KeepAlive, Class::Normal);
        if let Err(Refused::NoMemory(_)) = HostQpair::submit(qp, cmd) {
            qp.controller()
                .say(format_args!("Failed to allocate KeepAlive command"));
        }
    }

    /// A Keep Alive completed. Any context.
    pub fn keep_alive_completed(&self, state: &KeepAlive, cqe: &Cqe) {
        let status = cqe_status(cqe);
        if is_host_abort(status) {
            return;
        }
        state.on_keep_alive();
        if !is_success(status) {
            self.say(format_args!(
                "KeepAlive response reported status {:#x}",
                status >> 1
            ));
        }
    }
}

impl CalloutHandler<TIMER_RX> for Controller {
    fn fire(this: KArc<Self>) {
        let Some(link) = this.link() else { return };
        match (
            link.keep_alive().rx_expired(),
            link.keep_alive().rx_period(),
        ) {
            (RxExpiry::Rearm, Some(ms)) => {
                let again = this.clone();
                this.rx_timer.arm_ms(ms, again);
            }
            (RxExpiry::Rearm, None) => (),
            (RxExpiry::Dead, _) => {
                this.say(format_args!("disconnecting due to KeepAlive timeout"));
                Self::failure(&this, link.generation());
            }
        }
    }
}

impl CalloutHandler<TIMER_TX> for Controller {
    fn fire(this: KArc<Self>) {
        let Some(link) = this.link() else { return };
        if link.keep_alive().tx_expired() == TxExpiry::Send {
            Self::send_keep_alive(link.admin());
        }
        if let Some(ms) = link.keep_alive().tx_period() {
            let again = this.clone();
            this.tx_timer.arm_ms(ms, again);
        }
    }
}

impl CalloutHandler<TIMER_WATCH> for Controller {
    fn fire(this: KArc<Self>) {
        let Some(link) = this.link() else { return };
        let ms = match link.look_at_deadlines(uptime_ms()) {
            Found::InTime => WATCH_MS,
            Found::Aborting => ABORT_WATCH_MS,
            Found::GivenUp => return,
        };
        let again = this.clone();
        this.watch_timer.arm_ms(ms, again);
    }
}

impl CalloutHandler<TIMER_RECONNECT> for Controller {
    fn fire(this: KArc<Self>) {
        if !this.with_conn(|conn| conn.machine.wants_reconnect()) {
            return;
        }
        notify_reconnect(this.name().as_cstr());
        let delay = this.identity().handoff.reconnect_delay;
        let again = this.clone();
        this.reconnect_timer.arm_ms(seconds(delay.max(1)), again);
    }
}

impl CalloutHandler<TIMER_LOSS> for Controller {
    fn fire(this: KArc<Self>) {
        Self::expire_loss(&this);
    }
}

impl TaskHandler<TASK_RESUME> for Controller {
    fn run(this: KArc<Self>, sleep: CanSleep<'_>) {
        for ns in this.namespace_list(sleep).iter() {
            Namespace::resume(ns, false);
        }
    }
}
