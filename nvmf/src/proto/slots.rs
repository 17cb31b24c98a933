// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Command slots of a queue pair: command identifiers, what each command still waits for, and the submission queue's
//! head and tail.
//!
//! A command is finished, and its identifier free, only when three things have happened in any order: the thread that
//! submitted it is done with it, its completion queue entry arrived (or the host gave it up), and its data buffer, if
//! it has one, is no longer used by the transport; and when an Abort for it, if there was one, has ended. So a late
//! event, or a late Abort, can never hit the identifier's next user.
#![forbid(unsafe_code)]

use super::status::{ABORTED_BY_HOST, DataOutcome};
use super::timeout::{Patience, Verdict};
use core::marker::PhantomData;
use core::ops::DerefMut;

/// The most commands outstanding on one queue, however large the queue is.
pub const MAX_SLOTS: u32 = 1024;

/// A completion queue entry.
pub type Cqe = [u8; 16];

/// The completion queue entry of a command that the host gave up.
pub fn aborted_cqe(cid: u16) -> Cqe {
    let mut cqe = [0; 16];
    let [c0, c1] = cid.to_le_bytes();
    let [s0, s1] = ABORTED_BY_HOST.to_le_bytes();
    cqe[12] = c0;
    cqe[13] = c1;
    cqe[14] = s0;
    cqe[15] = s1;
    cqe
}

/// Command identifier of a completion queue entry.
pub fn cqe_cid(cqe: &Cqe) -> u16 {
    u16::from_le_bytes([cqe[12], cqe[13]])
}

/// Status field of a completion queue entry.
pub fn cqe_status(cqe: &Cqe) -> u16 {
    u16::from_le_bytes([cqe[14], cqe[15]])
}

/// Dword 0 of a completion queue entry.
pub fn cqe_dw0(cqe: &Cqe) -> u32 {
    u32::from_le_bytes([cqe[0], cqe[1], cqe[2], cqe[3]])
}

fn cqe_sqhd(cqe: &Cqe) -> u32 {
    u32::from(u16::from_le_bytes([cqe[8], cqe[9]]))
}

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// An ordinary command.
    Normal,
    /// An Asynchronous Event Request: these have slots of their own, so neither kind can starve the other.
    Event,
}

/// What becomes of a command's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Data {
    /// The transport has it.
    Awaited,
    /// As [`DataOutcome`].
    Complete,
    Short,
    Failed,
}

/// Who, beside the transport, is still busy with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    /// The thread that submits it.
    Submitter,
    /// An Abort that names it.
    Abort,
    Nobody,
}

#[derive(Debug)]
enum State<T> {
    Free { next: Option<u16> },
    Active(Active<T>),
}

/// A command. A queue keeps many of these, so they are no larger than they must be.
#[derive(Debug)]
struct Active<T> {
    class: Class,
    holder: Holder,
    /// Neither has the response arrived, nor has the host given the command up.
    response: bool,
    data: Data,
    /// Bytes that must arrive, while data is awaited; then the errno, if it failed.
    number: u32,
    /// The patience with it, while the response is awaited; then the completion queue entry.
    answer: [u64; 2],
    payload: T,
}

impl<T> Active<T> {
    fn is_done(&self) -> bool {
        self.holder == Holder::Nobody && !self.response && self.data != Data::Awaited
    }

    /// What is to be done about it.
    fn look(&mut self, now: u64, may_abort: bool) -> Verdict {
        if !self.response {
            return Verdict::Wait;
        }
        let may_abort = may_abort && self.holder == Holder::Nobody;
        let (patience, verdict) = Patience::from_raw(self.answer).look(now, may_abort);
        self.answer = patience.to_raw();
        if verdict == Verdict::Abort {
            self.holder = Holder::Abort;
        }
        verdict
    }

    fn respond(&mut self, cqe: Cqe) {
        self.response = false;
        self.answer = zerocopy::transmute!(cqe);
    }

    fn finish(self) -> Finished<T> {
        Finished {
            payload: self.payload,
            cqe: zerocopy::transmute!(self.answer),
            data: match self.data {
                Data::Awaited | Data::Complete => DataOutcome::Complete,
                Data::Short => DataOutcome::Short,
                Data::Failed => DataOutcome::Failed(self.number as i32),
            },
        }
    }
}

/// One slot.
#[derive(Debug)]
pub struct Entry<T>(State<T>);

impl<T> Default for Entry<T> {
    fn default() -> Self {
        Self(State::Free { next: None })
    }
}

/// Where a table keeps its slots.
pub trait Storage<T>: DerefMut<Target = [Entry<T>]> {
    /// Adds slots, so that there are `len`; false if there is no memory for them.
    fn grow(&mut self, len: usize) -> bool;
}

/// Data that goes with a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// To the controller.
    Write,
    /// From the controller, that many bytes.
    Read(u32),
}

/// A finished command.
#[derive(Debug)]
pub struct Finished<T> {
    /// What the submitter attached.
    pub payload: T,
    /// The completion queue entry, made up if the host gave the command up.
    pub cqe: Cqe,
    /// How its data fared.
    pub data: DataOutcome,
}

/// Outcome of an event for a command.
#[derive(Debug)]
pub enum Progress<'a, T> {
    /// It waits for something else; the flag says that this is not (or no longer) the response.
    Waiting {
        /// What the submitter attached.
        payload: &'a mut T,
        /// The response arrived, or the host gave the command up.
        answered: bool,
    },
    /// It is finished and its identifier free.
    Finished(Finished<T>),
    /// There is no such command, or it does not wait for this event.
    Unexpected,
}

/// Why a response is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidError {
    /// No command can have this identifier.
    Invalid,
    /// No command with this identifier waits for a response.
    Inactive,
}

/// Shape of a queue.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Entries of the submission queue.
    pub entries: u32,
    /// Slots for Asynchronous Event Requests.
    pub events: u32,
    /// Head at handoff.
    pub sqhd: u32,
    /// Tail at handoff.
    pub sqtail: u32,
    /// Whether the controller reports the head.
    pub flow_control: bool,
}

impl Shape {
    /// Slots for ordinary commands: one entry stays empty.
    pub fn normal_slots(&self) -> u32 {
        self.entries.saturating_sub(1).clamp(1, MAX_SLOTS)
    }

    /// All slots.
    pub fn slots(&self) -> u32 {
        self.normal_slots() + self.events
    }
}

/// The slots of a queue.
///
/// A queue that is little used has few slots. When more than half of them are in use, their number doubles, up to what
/// the queue's size allows.
#[derive(Debug)]
pub struct Table<T, S: Storage<T>> {
    slots: S,
    /// The free slots as a list in the order in which they became free. A controller may still be busy with its own
    /// records of a command when we hear of its end: the longer an identifier rests, the less it conflicts.
    free: Option<u16>,
    last_free: Option<u16>,
    free_normal: u32,
    free_events: u32,
    /// There was no memory for more slots when the last one was needed: a command has to end first.
    starved: bool,
    limit: u32,
    entries: u32,
    flow_control: bool,
    sq_head: u32,
    sq_tail: u32,
    commands: u64,
    _payload: PhantomData<T>,
}

impl<T, S: Storage<T>> Table<T, S> {
    /// A table over `slots`, some or all of [`Shape::slots`].
    pub fn new(slots: S, shape: &Shape) -> Self {
        let mut table = Self {
            slots,
            free: None,
            last_free: None,
            free_normal: shape.normal_slots(),
            free_events: shape.events,
            starved: false,
            limit: shape.slots(),
            entries: shape.entries.max(1),
            flow_control: shape.flow_control,
            sq_head: shape.sqhd,
            sq_tail: shape.sqtail,
            commands: 0,
            _payload: PhantomData,
        };
        for cid in 0..table.count() {
            table.append(cid);
        }
        table
    }

    /// Slots at present.
    pub fn count(&self) -> u16 {
        u16::try_from(self.slots.len()).unwrap_or(u16::MAX)
    }

    /// Whether no command is outstanding.
    pub fn is_idle(&self) -> bool {
        self.slots.iter().all(|e| matches!(e.0, State::Free { .. }))
    }

    /// Whether an ordinary command would find a slot.
    pub fn has_room(&self) -> bool {
        self.free_normal != 0 && !self.starved
    }

    /// Submission queue head.
    pub fn sq_head(&self) -> u32 {
        self.sq_head
    }

    /// Submission queue tail.
    pub fn sq_tail(&self) -> u32 {
        self.sq_tail
    }

    /// Commands under way.
    pub fn open(&self) -> u32 {
        self.limit
            .saturating_sub(self.free_normal + self.free_events)
    }

    /// Commands submitted so far.
    pub fn commands(&self) -> u64 {
        self.commands
    }

    fn room(&mut self, class: Class) -> &mut u32 {
        match class {
            Class::Normal => &mut self.free_normal,
            Class::Event => &mut self.free_events,
        }
    }

    fn is_tight(&self) -> bool {
        let used = self.open();
        let count = u32::from(self.count());
        used >= count / 2 && count < self.limit
    }

    #[cold]
    fn grow(&mut self) {
        let old = self.count();
        let wanted = (self.slots.len() * 2).min(self.limit as usize);
        if self.slots.grow(wanted) {
            for cid in old..self.count() {
                self.append(cid);
            }
        }
    }

    /// Takes a slot for a command; gives the payload back when there is none.
    pub fn allocate(
        &mut self,
        class: Class,
        data: Option<Transfer>,
        patience: Patience,
        payload: T,
    ) -> Result<u16, T> {
        if *self.room(class) == 0 {
            return Err(payload);
        }
        if self.is_tight() {
            self.grow();
        }
        let Some(cid) = self.free else {
            self.starved = true;
            return Err(payload);
        };
        let Some(entry) = self.slots.get_mut(usize::from(cid)) else {
            return Err(payload);
        };
        let State::Free { next } = entry.0 else {
            return Err(payload);
        };
        entry.0 = State::Active(Active {
            class,
            holder: Holder::Submitter,
            response: true,
            data: data.map_or(Data::Complete, |_| Data::Awaited),
            number: match data {
                Some(Transfer::Read(len)) => len,
                Some(Transfer::Write) | None => 0,
            },
            answer: patience.to_raw(),
            payload,
        });
        self.free = next;
        if next.is_none() {
            self.last_free = None;
        }
        let room = self.room(class);
        *room = room.saturating_sub(1);
        self.sq_tail = (self.sq_tail + 1) % self.entries;
        self.commands = self.commands.wrapping_add(1);
        Ok(cid)
    }

    fn active(&mut self, cid: u16) -> Option<&mut Active<T>> {
        match self.slots.get_mut(usize::from(cid)) {
            Some(Entry(State::Active(active))) => Some(active),
            _ => None,
        }
    }

    /// What the submitter of an outstanding command attached.
    pub fn payload(&mut self, cid: u16) -> Option<&mut T> {
        self.active(cid).map(|a| &mut a.payload)
    }

    /// Puts a slot, emptied already, at the end of the list of free ones.
    fn append(&mut self, cid: u16) {
        let last = self
            .last_free
            .and_then(|last| self.slots.get_mut(usize::from(last)));
        match last {
            Some(Entry(State::Free { next })) => *next = Some(cid),
            _ => self.free = Some(cid),
        }
        self.last_free = Some(cid);
    }

    fn release(&mut self, cid: u16, class: Class) {
        self.append(cid);
        self.starved = false;
        *self.room(class) += 1;
    }

    fn settle(&mut self, cid: u16) -> Progress<'_, T> {
        match self.slots.get_mut(usize::from(cid)) {
            Some(Entry(state @ State::Active(_))) => {
                let done = match state {
                    State::Active(a) => a.is_done(),
                    State::Free { .. } => false,
                };
                if !done {
                    return match self.slots.get_mut(usize::from(cid)) {
                        Some(Entry(State::Active(a))) => Progress::Waiting {
                            payload: &mut a.payload,
                            answered: !a.response,
                        },
                        _ => Progress::Unexpected,
                    };
                }
                match core::mem::replace(state, State::Free { next: None }) {
                    State::Active(a) => {
                        self.release(cid, a.class);
                        Progress::Finished(a.finish())
                    }
                    State::Free { .. } => Progress::Unexpected,
                }
            }
            _ => Progress::Unexpected,
        }
    }

    /// The submitter is done with the command.
    pub fn submitted(&mut self, cid: u16) -> Progress<'_, T> {
        match self.active(cid) {
            Some(a) if a.holder == Holder::Submitter => a.holder = Holder::Nobody,
            _ => return Progress::Unexpected,
        }
        self.settle(cid)
    }

    /// The submitter takes a command back that the transport never saw.
    pub fn cancel(&mut self, cid: u16) -> Option<T> {
        let Entry(state) = self.slots.get_mut(usize::from(cid))?;
        match core::mem::replace(state, State::Free { next: None }) {
            State::Active(a) if a.holder == Holder::Submitter => {
                self.release(cid, a.class);
                self.sq_tail = (self.sq_tail + self.entries - 1) % self.entries;
                self.commands = self.commands.wrapping_sub(1);
                Some(a.payload)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// A response arrived; `sqhd_valid` says whether the transport received one with a head pointer.
    pub fn response(&mut self, cqe: &Cqe, sqhd_valid: bool) -> Result<Progress<'_, T>, CidError> {
        let cid = cqe_cid(cqe);
        if u32::from(cid) >= self.limit {
            return Err(CidError::Invalid);
        }
        let Some(a) = self.active(cid).filter(|a| a.response) else {
            return Err(CidError::Inactive);
        };
        a.respond(*cqe);
        if !self.flow_control {
            self.sq_head = (self.sq_head + 1) % self.entries;
        } else if sqhd_valid && cqe_sqhd(cqe) < self.entries {
            self.sq_head = cqe_sqhd(cqe);
        }
        Ok(self.settle(cid))
    }

    /// The transport is done with the command's data: `transferred` bytes of it, and an errno or zero.
    pub fn data(&mut self, cid: u16, transferred: usize, error: i32) -> Progress<'_, T> {
        match self.active(cid) {
            Some(a) if a.data == Data::Awaited => {
                (a.data, a.number) = match DataOutcome::judge(a.number, transferred, error) {
                    DataOutcome::Complete => (Data::Complete, 0),
                    DataOutcome::Short => (Data::Short, 0),
                    DataOutcome::Failed(error) => (Data::Failed, error as u32),
                };
            }
            _ => return Progress::Unexpected,
        }
        self.settle(cid)
    }

    /// Gives a command up that waits for a response; an Abort for it is not waited for either.
    pub fn abort(&mut self, cid: u16) -> Progress<'_, T> {
        match self.active(cid) {
            Some(a) if a.response || a.holder == Holder::Abort => {
                if a.response {
                    a.respond(aborted_cqe(cid));
                }
                if a.holder == Holder::Abort {
                    a.holder = Holder::Nobody;
                }
            }
            _ => return Progress::Unexpected,
        }
        self.settle(cid)
    }

    /// The first command that something is to be done about, and what.
    pub fn look(&mut self, now: u64, may_abort: bool) -> Option<(u16, Verdict)> {
        self.slots.iter_mut().enumerate().find_map(|(i, e)| {
            let State::Active(a) = &mut e.0 else {
                return None;
            };
            match a.look(now, may_abort) {
                Verdict::Wait => None,
                verdict => Some((u16::try_from(i).ok()?, verdict)),
            }
        })
    }

    /// The Abort for a command has ended, whatever came of it.
    pub fn abort_ended(&mut self, cid: u16) -> Progress<'_, T> {
        match self.active(cid) {
            Some(a) if a.holder == Holder::Abort => a.holder = Holder::Nobody,
            _ => return Progress::Unexpected,
        }
        self.settle(cid)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::super::timeout::{Deadline, GRACE_MS};
    use super::*;
    use std::vec::Vec;

    type Tab = Table<u32, Vec<Entry<u32>>>;

    impl<T> Storage<T> for Vec<Entry<T>> {
        fn grow(&mut self, len: usize) -> bool {
            self.resize_with(len, Entry::default);
            true
        }
    }

    fn shape(entries: u32, events: u32) -> Shape {
        Shape {
            entries,
            events,
            sqhd: 0,
            sqtail: 0,
            flow_control: true,
        }
    }

    fn table(s: Shape) -> Tab {
        let mut v = Vec::new();
        v.resize_with(s.slots() as usize, Entry::default);
        Table::new(v, &s)
    }

    fn cqe(cid: u16, sqhd: u16) -> Cqe {
        let mut c = [0; 16];
        c[8..10].copy_from_slice(&sqhd.to_le_bytes());
        c[12..14].copy_from_slice(&cid.to_le_bytes());
        c
    }

    fn put(t: &mut Tab, data: bool, payload: u32) -> u16 {
        let data = data.then_some(Transfer::Read(4096));
        t.allocate(Class::Normal, data, Patience::ENDLESS, payload)
            .unwrap()
    }

    fn finished(p: Progress<'_, u32>) -> Finished<u32> {
        match p {
            Progress::Finished(f) => f,
            other => panic!("{other:?}"),
        }
    }

    fn waiting(p: Progress<'_, u32>) -> bool {
        matches!(p, Progress::Waiting { .. })
    }

    #[test]
    fn three_events_in_any_order() {
        for order in [
            [0, 1, 2],
            [0, 2, 1],
            [1, 0, 2],
            [1, 2, 0],
            [2, 0, 1],
            [2, 1, 0],
        ] {
            let mut t = table(shape(4, 0));
            let cid = put(&mut t, true, 42);
            for (n, what) in order.into_iter().enumerate() {
                let p = match what {
                    0 => t.submitted(cid),
                    1 => t.response(&cqe(cid, 1), true).unwrap(),
                    _ => t.data(cid, 4095, 0),
                };
                if n < 2 {
                    assert!(waiting(p));
                } else {
                    let f = finished(p);
                    assert_eq!(
                        (f.payload, f.data, cqe_cid(&f.cqe)),
                        (42, DataOutcome::Short, cid)
                    );
                }
            }
            assert!(t.is_idle());
        }
    }

    #[test]
    fn identifiers_rest_as_long_as_possible() {
        let mut t = table(shape(5, 0));
        let ids: Vec<u16> = (0..4).map(|i| put(&mut t, false, i)).collect();
        assert_eq!(ids, [0, 1, 2, 3]);
        assert!(!t.has_room());
        assert_eq!(
            t.allocate(Class::Normal, None, Patience::ENDLESS, 9),
            Err(9)
        );
        for cid in [2, 0] {
            assert!(waiting(t.submitted(cid)));
            finished(t.response(&cqe(cid, 0), true).unwrap());
        }
        assert_eq!([put(&mut t, false, 0), put(&mut t, false, 0)], [2, 0]);
        assert!(!t.has_room());

        let mut t = table(shape(4, 0));
        for cid in [0, 1, 2, 0, 1] {
            assert_eq!(put(&mut t, false, 0), cid);
            t.submitted(cid);
            finished(t.response(&cqe(cid, 0), true).unwrap());
        }
    }

    #[test]
    fn bad_identifiers() {
        let mut t = table(shape(32, 8));
        assert_eq!(t.count(), 39);
        assert_eq!(
            t.response(&cqe(39, 0), true).unwrap_err(),
            CidError::Invalid
        );
        assert_eq!(
            t.response(&cqe(0xffff, 0), true).unwrap_err(),
            CidError::Invalid
        );
        assert_eq!(
            t.response(&cqe(38, 0), true).unwrap_err(),
            CidError::Inactive
        );
        let cid = put(&mut t, true, 1);
        assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
        assert_eq!(
            t.response(&cqe(cid, 0), true).unwrap_err(),
            CidError::Inactive
        );
        assert!(matches!(t.data(7, 4096, 0), Progress::Unexpected));
        assert!(matches!(t.submitted(7), Progress::Unexpected));
        assert!(matches!(t.abort(cid), Progress::Unexpected));
    }

    #[test]
    fn events_do_not_starve_commands_nor_the_other_way_round() {
        let mut t = table(shape(3, 2));
        put(&mut t, false, 0);
        put(&mut t, false, 1);
        assert!(
            t.allocate(Class::Normal, None, Patience::ENDLESS, 2)
                .is_err()
        );
        assert!(t.allocate(Class::Event, None, Patience::ENDLESS, 3).is_ok());
        assert!(t.allocate(Class::Event, None, Patience::ENDLESS, 4).is_ok());
        assert!(
            t.allocate(Class::Event, None, Patience::ENDLESS, 5)
                .is_err()
        );
    }

    #[test]
    fn tail_and_head_wrap_at_the_queue_size() {
        let mut t = table(Shape {
            entries: 3,
            events: 4,
            sqhd: 2,
            sqtail: 2,
            flow_control: true,
        });
        let cid = put(&mut t, false, 0);
        assert_eq!((t.sq_tail(), t.sq_head()), (0, 2));
        t.submitted(cid);
        finished(t.response(&cqe(cid, 1), true).unwrap());
        assert_eq!(t.sq_head(), 1);
        // A head outside the queue, and one that the transport made up, are ignored.
        for (sqhd, valid) in [(3, true), (0xffff, true), (0, false)] {
            let cid = put(&mut t, false, 0);
            t.submitted(cid);
            finished(t.response(&cqe(cid, sqhd), valid).unwrap());
            assert_eq!(t.sq_head(), 1);
        }
        assert_eq!(t.commands(), 4);
    }

    #[test]
    fn without_flow_control_the_head_counts_responses() {
        let mut t = table(Shape {
            flow_control: false,
            ..shape(2, 0)
        });
        for expect in [1, 0, 1] {
            let cid = put(&mut t, false, 0);
            t.submitted(cid);
            finished(t.response(&cqe(cid, 0xffff), true).unwrap());
            assert_eq!(t.sq_head(), expect);
        }
    }

    #[test]
    fn abort_waits_for_the_data() {
        let mut t = table(shape(4, 0));
        let with = put(&mut t, true, 1);
        let without = put(&mut t, false, 2);
        t.submitted(with);
        t.submitted(without);
        assert!(waiting(t.abort(with)));
        let f = finished(t.abort(without));
        assert_eq!(cqe_status(&f.cqe), ABORTED_BY_HOST);
        assert_eq!(cqe_cid(&f.cqe), without);
        let f = finished(t.data(with, 4096, 53));
        assert_eq!(
            (cqe_status(&f.cqe), f.data),
            (ABORTED_BY_HOST, DataOutcome::Failed(53))
        );
        assert!(t.is_idle());
    }

    #[test]
    fn a_command_that_was_not_sent_is_taken_back() {
        let mut t = table(shape(4, 0));
        let cid = put(&mut t, true, 7);
        // A controller that answers before it was asked changes nothing.
        assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
        assert_eq!(t.cancel(cid), Some(7));
        assert_eq!((t.sq_tail(), t.commands()), (0, 0));
        assert!(t.is_idle());
        assert_eq!(t.cancel(cid), None);
        let cid = put(&mut t, true, 8);
        t.submitted(cid);
        assert_eq!(t.cancel(cid), None);
        assert_eq!(t.payload(cid), Some(&mut 8));
    }

    fn timed(t: &mut Tab, ms: u32, payload: u32) -> u16 {
        let patience = Patience::Until(Deadline::after(0, ms));
        let cid = t.allocate(Class::Normal, None, patience, payload).unwrap();
        t.submitted(cid);
        cid
    }

    #[test]
    fn an_overdue_command_is_aborted_once_and_then_given_up() {
        let mut t = table(shape(4, 0));
        put(&mut t, false, 0);
        let cid = timed(&mut t, 10, 1);
        assert_eq!(t.look(10, true), None);
        assert_eq!(t.look(11, false), None);
        assert_eq!(t.look(11, true), Some((cid, Verdict::Abort)));
        assert_eq!(t.look(11, true), None);
        let end = 12 + u64::from(GRACE_MS);
        assert_eq!(t.look(end, true), Some((cid, Verdict::GiveUp)));
        // It was answered, and is only waiting for its Abort.
        assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
        assert_eq!(t.look(end, true), None);
        assert_eq!(finished(t.abort_ended(cid)).payload, 1);
    }

    #[test]
    fn an_identifier_rests_while_an_abort_names_it() {
        let mut t = table(shape(2, 0));
        let cid = timed(&mut t, 10, 1);
        assert!(t.look(11, true).is_some());
        assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
        assert!(!t.has_room());
        assert!(matches!(t.submitted(cid), Progress::Unexpected));
        finished(t.abort_ended(cid));
        assert!(matches!(t.abort_ended(cid), Progress::Unexpected));

        // The Abort may end first, and change nothing.
        let cid = timed(&mut t, 10, 2);
        assert!(t.look(11, true).is_some());
        assert!(waiting(t.abort_ended(cid)));
        finished(t.response(&cqe(cid, 0), true).unwrap());

        // With the association, Aborts end as well, before or after the command.
        let cid = timed(&mut t, 10, 3);
        assert!(t.look(11, true).is_some());
        assert_eq!(cqe_status(&finished(t.abort(cid)).cqe), ABORTED_BY_HOST);
        let cid = timed(&mut t, 10, 4);
        assert!(t.look(11, true).is_some());
        assert!(waiting(t.response(&cqe(cid, 0), true).unwrap()));
        assert_eq!(cqe_status(&finished(t.abort(cid)).cqe), 0);
        assert!(t.is_idle());
    }

    #[test]
    fn a_command_that_is_being_submitted_is_not_aborted() {
        let mut t = table(shape(2, 0));
        let patience = Patience::Until(Deadline::after(0, 10));
        let cid = t.allocate(Class::Normal, None, patience, 1).unwrap();
        assert_eq!(t.look(11, true), None);
        t.submitted(cid);
        assert_eq!(t.look(11, true), Some((cid, Verdict::Abort)));
    }

    #[test]
    fn a_write_needs_no_bytes_in_return() {
        let mut t = table(shape(4, 0));
        let cid = t
            .allocate(Class::Normal, Some(Transfer::Write), Patience::ENDLESS, 1)
            .unwrap();
        t.submitted(cid);
        assert!(waiting(t.data(cid, 0, 0)));
        let f = finished(t.response(&cqe(cid, 0), true).unwrap());
        assert_eq!(f.data, DataOutcome::Complete);
    }

    /// Storage with memory for `max` slots.
    struct Scarce {
        slots: Vec<Entry<u32>>,
        max: usize,
    }

    impl core::ops::Deref for Scarce {
        type Target = [Entry<u32>];
        fn deref(&self) -> &Self::Target {
            &self.slots
        }
    }

    impl DerefMut for Scarce {
        fn deref_mut(&mut self) -> &mut Self::Target {
            &mut self.slots
        }
    }

    impl Storage<u32> for Scarce {
        fn grow(&mut self, len: usize) -> bool {
            len <= self.max && self.slots.grow(len)
        }
    }

    fn scarce(first: usize, max: usize) -> Table<u32, Scarce> {
        let mut slots = Vec::new();
        slots.resize_with(first, Entry::default);
        Table::new(Scarce { slots, max }, &shape(128, 0))
    }

    #[test]
    fn a_table_grows_when_half_of_it_is_in_use() {
        let mut t = scarce(16, 127);
        let mut counts = Vec::new();
        for n in 0..127 {
            assert!(t.has_room());
            let cid = t
                .allocate(Class::Normal, None, Patience::ENDLESS, n)
                .unwrap();
            assert_eq!(t.payload(cid), Some(&mut n.clone()));
            if counts.last() != Some(&(t.count(), n))
                && counts.last().map(|c| c.0) != Some(t.count())
            {
                counts.push((t.count(), n));
            }
        }
        assert_eq!(counts, [(16, 0), (32, 8), (64, 16), (127, 32)]);
        assert!(!t.has_room());
        assert_eq!(
            t.allocate(Class::Normal, None, Patience::ENDLESS, 1),
            Err(1)
        );
        // Every command has an identifier of its own.
        for cid in 0..127 {
            t.submitted(cid);
            finished(t.response(&cqe(cid, 0), true).unwrap());
        }
        assert!(t.is_idle() && t.has_room());
    }

    #[test]
    fn without_memory_to_grow_a_command_waits_for_another_ones_end() {
        let mut t = scarce(4, 4);
        for n in 0..4 {
            t.allocate(Class::Normal, None, Patience::ENDLESS, n)
                .unwrap();
        }
        assert_eq!(
            t.allocate(Class::Normal, None, Patience::ENDLESS, 9),
            Err(9)
        );
        assert!(!t.has_room());
        t.submitted(2);
        finished(t.response(&cqe(2, 0), true).unwrap());
        assert!(t.has_room());
        assert_eq!(t.allocate(Class::Normal, None, Patience::ENDLESS, 9), Ok(2));
        // An identifier that the table could have later is no reason to end the connection as for an invalid one.
        assert_eq!(
            t.response(&cqe(126, 0), true).unwrap_err(),
            CidError::Inactive
        );
    }

    #[test]
    fn large_queues_have_bounded_tables() {
        assert_eq!(shape(65536, 8).slots(), MAX_SLOTS + 8);
        assert_eq!(shape(2, 0).slots(), 1);
        assert_eq!(shape(0, 0).slots(), 1);
        assert_eq!(
            cqe_dw0(&[1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            0x0403_0201
        );
    }
}
