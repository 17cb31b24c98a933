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
mod tests;
