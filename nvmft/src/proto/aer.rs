// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Asynchronous events: outstanding requests, and an event that waits for one.
#![forbid(unsafe_code)]

/// Requests that may be outstanding (Identify's AERL plus one).
pub const AER_MAX: usize = 16;

/// The configuration bit and Identify's OAES bit of namespace attribute notices.
pub const NS_ATTRIBUTE: u32 = 1 << 8;
/// The configuration bits that may not be set.
pub const CONFIG_RESERVED: u32 = 0xffff_c000;
/// Completion dword 0 of a namespace attribute notice: type 2, information 0, log page 4.
pub const NS_NOTICE_CDW0: u32 = 0x0004_0002;

/// More requests than [`AER_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitExceeded;

/// A request to complete, by its identifier, with completion dword 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The command identifier of the request.
    pub cid: u16,
    /// Completion queue entry dword 0.
    pub cdw0: u32,
}

/// Where the one kind of event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// Nothing to report.
    Idle,
    /// To be reported with the next request.
    Pending,
    /// Reported; masked until the log page is read.  `again`: something happened since.
    Reported {
        /// A change after the report.
        again: bool,
    },
}

/// The asynchronous events of a controller.
pub struct Aer {
    cids: [u16; AER_MAX],
    count: usize,
    config: u32,
    event: Event,
}

impl Default for Aer {
    fn default() -> Self {
        Self {
            cids: [0; AER_MAX],
            count: 0,
            config: 0,
            event: Event::Idle,
        }
    }
}

impl Aer {
    /// Keeps a request, or says at once what it completes with.
    pub fn request(&mut self, cid: u16) -> Result<Option<Notice>, LimitExceeded> {
        let slot = self.cids.get_mut(self.count).ok_or(LimitExceeded)?;
        *slot = cid;
        self.count += 1;
        Ok(self.deliver())
    }

    /// The event configuration (feature 0Bh).
    pub fn config(&self) -> u32 {
        self.config
    }

    /// Sets the event configuration; an event that is no longer wanted is forgotten.
    pub fn set_config(&mut self, config: u32) {
        self.config = config;
        if config & NS_ATTRIBUTE == 0 && self.event == Event::Pending {
            self.event = Event::Idle;
        }
    }

    /// A namespace was added, removed or changed.  `None` also when the host does not want to know.
    pub fn namespace_changed(&mut self) -> Option<Notice> {
        if self.config & NS_ATTRIBUTE == 0 {
            return None;
        }
        self.event = match self.event {
            Event::Idle | Event::Pending => Event::Pending,
            Event::Reported { .. } => Event::Reported { again: true },
        };
        self.deliver()
    }

    /// The host read the Changed Namespace List without Retain Asynchronous Event.  `cleared`: it got all of it.
    pub fn log_read(&mut self, cleared: bool) -> Option<Notice> {
        self.event = match self.event {
            Event::Reported { again: true } | Event::Pending if !cleared => Event::Pending,
            _ => Event::Idle,
        };
        self.deliver()
    }

    /// Forgets a request that is to be aborted: true when it was outstanding.
    pub fn abort(&mut self, cid: u16) -> bool {
        let Some(at) = self.outstanding().iter().position(|c| *c == cid) else {
            return false;
        };
        self.cids.copy_within(at + 1..self.count, at);
        self.count -= 1;
        true
    }

    /// The identifiers of the outstanding requests.
    pub fn outstanding(&self) -> &[u16] {
        self.cids.get(..self.count).unwrap_or(&[])
    }

    /// A controller reset: requests, configuration and events are gone.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    fn deliver(&mut self) -> Option<Notice> {
        if self.event != Event::Pending {
            return None;
        }
        let cid = *self.outstanding().first()?;
        self.abort(cid);
        self.event = Event::Reported { again: false };
        Some(Notice {
            cid,
            cdw0: NS_NOTICE_CDW0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notice(cid: u16) -> Option<Notice> {
        Some(Notice {
            cid,
            cdw0: NS_NOTICE_CDW0,
        })
    }

    fn enabled() -> Aer {
        let mut a = Aer::default();
        a.set_config(NS_ATTRIBUTE);
        a
    }

    #[test]
    fn sixteen_requests() {
        let mut a = Aer::default();
        for cid in 0..16 {
            assert_eq!(a.request(cid), Ok(None));
        }
        assert_eq!(a.request(99), Err(LimitExceeded));
        assert!(a.abort(3) && !a.abort(3));
        assert_eq!(a.request(99), Ok(None));
        assert_eq!(a.outstanding().len(), 16);
    }

    #[test]
    fn event_waits_for_a_request() {
        let mut a = enabled();
        assert_eq!(a.namespace_changed(), None);
        assert_eq!(a.request(9), Ok(notice(9)));
        assert!(a.outstanding().is_empty());
    }

    #[test]
    fn masked_until_read() {
        let mut a = enabled();
        a.request(1).unwrap();
        a.request(2).unwrap();
        assert_eq!(a.namespace_changed(), notice(1));
        assert_eq!(a.namespace_changed(), None);
        // A full read has shown the second change as well.
        assert_eq!(a.log_read(true), None);
        assert_eq!(a.namespace_changed(), notice(2));
        assert_eq!(a.namespace_changed(), None);
        // A partial read has not.
        assert_eq!(a.log_read(false), None);
        assert_eq!(a.request(3), Ok(notice(3)));
    }

    #[test]
    fn not_wanted() {
        let mut a = Aer::default();
        a.request(1).unwrap();
        assert_eq!(a.namespace_changed(), None);
        a.set_config(NS_ATTRIBUTE);
        assert_eq!(a.request(2), Ok(None));
        a.reset();
        a.set_config(NS_ATTRIBUTE);
        assert_eq!(a.namespace_changed(), None);
        a.set_config(0);
        a.set_config(NS_ATTRIBUTE);
        assert_eq!(a.request(1), Ok(None));
    }

    #[test]
    fn reset_forgets() {
        let mut a = enabled();
        a.request(1).unwrap();
        a.reset();
        assert!(a.outstanding().is_empty());
        assert_eq!(a.config(), 0);
        assert_eq!(a.namespace_changed(), None);
        assert_eq!(a.request(1), Ok(None));
    }
}
