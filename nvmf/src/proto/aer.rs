// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Asynchronous events: how many requests are kept outstanding, what is asked for, and what an event leads to.
#![forbid(unsafe_code)]

/// The most Asynchronous Event Requests the host keeps outstanding.
pub const MAX_SLOTS: u32 = 8;
/// Length of a log page buffer.
pub const LOG_PAGE_LEN: u32 = 4096;

const LID_ERROR: u8 = 0x01;
const LID_CHANGED_NAMESPACES: u8 = 0x04;
const ERROR_ENTRY_LEN: u32 = 64;

/// Spare, reliability, read-only and volatile-backup warnings; not temperature.
const CRITICAL_WARNINGS: u32 = 0x1d;
const OAES_NAMESPACE_ATTRIBUTES: u32 = 1 << 8;
const VERSION_1_2: u32 = 0x0001_0200;

/// Number of requests for a controller with this AERL (zero based).
pub fn slots(aerl: u8) -> u32 {
    (u32::from(aerl) + 1).min(MAX_SLOTS)
}

/// Dword 11 of Set Features, Asynchronous Event Configuration.
pub fn configuration(oaes: u32, ver: u32) -> u32 {
    if ver >= VERSION_1_2 && oaes & OAES_NAMESPACE_ATTRIBUTES != 0 {
        CRITICAL_WARNINGS | OAES_NAMESPACE_ATTRIBUTES
    } else {
        CRITICAL_WARNINGS
    }
}

/// An event, from dword 0 of its completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Event type.
    pub kind: u8,
    /// Event information.
    pub info: u8,
    /// Log page to read.
    pub page: u8,
}

/// The log page that an event leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// Log page identifier.
    pub lid: u8,
    /// Bytes to read.
    pub len: u32,
}

impl Event {
    /// Takes dword 0 apart.
    pub fn parse(dw0: u32) -> Self {
        Self {
            kind: (dw0 & 0x7) as u8,
            info: (dw0 >> 8) as u8,
            page: (dw0 >> 16) as u8,
        }
    }

    /// The log page to read, if there is one the host reads; ELPE is from Identify Controller (zero based).
    pub fn log_page(self, elpe: u8) -> Option<LogPage> {
        match self.page {
            LID_ERROR => {
                let len = ((u32::from(elpe) + 1) * ERROR_ENTRY_LEN).min(LOG_PAGE_LEN);
                Some(LogPage {
                    lid: LID_ERROR,
                    len,
                })
            }
            LID_CHANGED_NAMESPACES => Some(LogPage {
                lid: LID_CHANGED_NAMESPACES,
                len: LOG_PAGE_LEN,
            }),
            _ => None,
        }
    }
}

impl LogPage {
    /// Whether the page lists changed namespaces.
    pub fn lists_namespaces(self) -> bool {
        self.lid == LID_CHANGED_NAMESPACES
    }
}

/// What a changed namespace list asks for.
#[derive(Debug)]
pub enum Changed<'a> {
    /// Too many changes to list.
    All,
    /// These, up to the first zero.
    Some(ChangedIter<'a>),
}

/// The namespaces of a changed namespace list.
#[derive(Debug)]
pub struct ChangedIter<'a>(&'a [u8]);

impl Iterator for ChangedIter<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        match u32::from_le_bytes(*first) {
            0 => {
                self.0 = &[];
                None
            }
            nsid => Some(nsid),
        }
    }
}

/// Reads a changed namespace list.
pub fn changed(list: &[u8]) -> Changed<'_> {
    match list.first_chunk::<4>() {
        Some(first) if u32::from_le_bytes(*first) == u32::MAX => Changed::All,
        _ => Changed::Some(ChangedIter(list)),
    }
}

/// State of one request of the association.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Not submitted: before set-up, or refused by the controller.
    Idle,
    /// The controller holds the request.
    Armed,
    /// An event (dword 0) waits to be handled.
    Reported(u32),
    /// The event is being handled; the request is submitted again afterwards, whatever came of it.
    Handling,
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotEvent {
    /// It was submitted.
    Submitted,
    /// It completed with this dword 0.
    Completed(u32),
    /// It completed with an error, or could not be submitted.
    Refused,
    /// The task took the event.
    Taken,
}

impl Slot {
    /// The state after an event; an event that makes no sense changes nothing.
    pub fn next(self, event: SlotEvent) -> Self {
        match (self, event) {
            (Self::Idle | Self::Handling, SlotEvent::Submitted) => Self::Armed,
            (Self::Armed, SlotEvent::Completed(dw0)) => Self::Reported(dw0),
            (Self::Armed | Self::Handling | Self::Idle, SlotEvent::Refused) => Self::Idle,
            (Self::Reported(_), SlotEvent::Taken) => Self::Handling,
            (state, _) => state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_aerl() {
        assert_eq!(
            [slots(0), slots(3), slots(7), slots(8), slots(255)],
            [1, 4, 8, 8, 8]
        );
    }

    #[test]
    fn namespace_notices_need_oaes_and_version() {
        assert_eq!(configuration(0x100, 0x0001_0200), 0x11d);
        assert_eq!(configuration(0x100, 0x0001_0100), 0x1d);
        assert_eq!(configuration(0, 0x0002_0000), 0x1d);
    }

    #[test]
    fn events_and_their_pages() {
        let e = Event::parse(0x0004_0002);
        assert_eq!(
            e,
            Event {
                kind: 2,
                info: 0,
                page: 4
            }
        );
        assert_eq!(e.log_page(0), Some(LogPage { lid: 4, len: 4096 }));
        assert_eq!(
            Event::parse(0x0001_0300).log_page(0),
            Some(LogPage { lid: 1, len: 64 })
        );
        assert_eq!(
            Event::parse(0x0001_0300).log_page(255),
            Some(LogPage { lid: 1, len: 4096 })
        );
        assert_eq!(Event::parse(0x0002_0001).log_page(1), None);
        assert_eq!(Event::parse(0xffff_ffff).log_page(1), None);
    }

    #[test]
    fn changed_lists() {
        assert!(matches!(changed(&[0xff; 4096]), Changed::All));
        let mut page = [0u8; 4096];
        page[0] = 7;
        page[5] = 1;
        page[12] = 9;
        let Changed::Some(iter) = changed(&page) else {
            panic!("not all")
        };
        assert!(iter.eq([7, 256]));
        let full = [1u8; 4096];
        let Changed::Some(iter) = changed(&full) else {
            panic!("not all")
        };
        assert_eq!(iter.count(), 1024);
        let Changed::Some(iter) = changed(&[1, 2, 3]) else {
            panic!("not all")
        };
        assert_eq!(iter.count(), 0);
    }

    #[test]
    fn a_handled_event_is_armed_again() {
        let s = Slot::Idle.next(SlotEvent::Submitted);
        let s = s.next(SlotEvent::Completed(0x40002));
        assert_eq!(s, Slot::Reported(0x40002));
        assert_eq!(s.next(SlotEvent::Completed(1)), s);
        let s = s.next(SlotEvent::Taken).next(SlotEvent::Submitted);
        assert_eq!(s, Slot::Armed);
        assert_eq!(s.next(SlotEvent::Refused), Slot::Idle);
        assert_eq!(s.next(SlotEvent::Taken), s);
    }
}
