// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Keep-alive: two timers and the traffic seen between their expiries.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

/// CTRATT bit 6: any traffic counts as keep-alive.
const CTRATT_TBKAS: u32 = 1 << 6;

/// What the receive timer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RxExpiry {
    /// Something arrived since the last expiry: wait for another period.
    Rearm,
    /// Nothing arrived: the association is dead.
    Dead,
}

/// What the transmit timer asks for; it is re-armed in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TxExpiry {
    /// Send a Keep Alive command.
    Send,
    /// Other commands went out since the last expiry.
    Skip,
}

/// Keep-alive state of one association.
///
/// The flags are written on the I/O path by every processor, so they are read first and stored to only on change.
#[derive(Debug)]
pub struct KeepAlive {
    period_ms: u32,
    traffic_based: bool,
    received: AtomicBool,
    transmitted: AtomicBool,
}

fn note(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

impl KeepAlive {
    /// `kato` is the timeout in milliseconds, 0 for none; `ctratt` is the Identify field of this association.
    pub fn new(kato: u32, ctratt: u32) -> Self {
        Self {
            period_ms: kato,
            traffic_based: kato != 0 && ctratt & CTRATT_TBKAS != 0,
            received: AtomicBool::new(false),
            transmitted: AtomicBool::new(false),
        }
    }

    /// Period of the receive timer, or `None` when keep-alive is off.
    pub fn rx_period(&self) -> Option<u32> {
        (self.period_ms != 0).then_some(self.period_ms)
    }

    /// Period of the transmit timer, or `None` when keep-alive is off.
    pub fn tx_period(&self) -> Option<u32> {
        (self.period_ms != 0).then_some((self.period_ms / 2).max(1))
    }

    /// A command was transmitted.
    #[inline]
    pub fn on_transmit(&self) {
        if self.traffic_based {
            note(&self.transmitted);
        }
    }

    /// A response was received.
    #[inline]
    pub fn on_receive(&self) {
        if self.traffic_based {
            note(&self.received);
        }
    }

    /// A Keep Alive command completed, with any status.
    pub fn on_keep_alive(&self) {
        note(&self.received);
    }

    /// The receive timer expired.
    pub fn rx_expired(&self) -> RxExpiry {
        if self.received.swap(false, Ordering::Relaxed) {
            RxExpiry::Rearm
        } else {
            RxExpiry::Dead
        }
    }

    /// The transmit timer expired.
    pub fn tx_expired(&self) -> TxExpiry {
        if self.transmitted.swap(false, Ordering::Relaxed) {
            TxExpiry::Skip
        } else {
            TxExpiry::Send
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_kato_is_off() {
        let ka = KeepAlive::new(0, u32::MAX);
        assert_eq!((ka.rx_period(), ka.tx_period()), (None, None));
    }

    #[test]
    fn without_tbkas_only_keep_alive_counts() {
        let ka = KeepAlive::new(120_000, !CTRATT_TBKAS);
        assert_eq!(
            (ka.rx_period(), ka.tx_period()),
            (Some(120_000), Some(60_000))
        );
        ka.on_transmit();
        ka.on_receive();
        assert_eq!(ka.tx_expired(), TxExpiry::Send);
        assert_eq!(ka.rx_expired(), RxExpiry::Dead);
        ka.on_keep_alive();
        assert_eq!(ka.rx_expired(), RxExpiry::Rearm);
        assert_eq!(ka.rx_expired(), RxExpiry::Dead);
    }

    #[test]
    fn with_tbkas_traffic_counts_once() {
        let ka = KeepAlive::new(1, CTRATT_TBKAS);
        assert_eq!(ka.tx_period(), Some(1));
        ka.on_transmit();
        ka.on_receive();
        assert_eq!(ka.tx_expired(), TxExpiry::Skip);
        assert_eq!(ka.tx_expired(), TxExpiry::Send);
        assert_eq!(ka.rx_expired(), RxExpiry::Rearm);
        assert_eq!(ka.rx_expired(), RxExpiry::Dead);
    }
}
