// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The registered transports, in the order in which they are asked.
#![forbid(unsafe_code)]

/// Transport types are 0 to 3: see the discovery log entry's TRTYPE.
pub const TRTYPES: u32 = 4;

/// At most this many transports are registered at once.
pub const MAX_TRANSPORTS: usize = 16;

/// Why a transport was not registered or not removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistryError {
    /// The transport type is not one that NVMe over Fabrics has.
    Unsupported,
    /// The registry is full.
    Full,
    /// The transport still has queue pairs.
    Busy,
    /// The transport is not registered.
    Unknown,
}

/// Names a registered transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// A nonzero number that stands for the slot.
    pub fn number(self) -> usize {
        self.0 + 1
    }

    /// The slot that a number stands for.
    pub fn from_number(n: usize) -> Option<Slot> {
        n.checked_sub(1).filter(|&i| i < MAX_TRANSPORTS).map(Slot)
    }
}

#[derive(Clone, Copy)]
struct Record<T> {
    trtype: u32,
    priority: i32,
    age: u64,
    active: usize,
    ops: T,
}

impl<T> Record<T> {
    /// Higher priorities first, then those that came first.
    fn rank(&self) -> (i64, u64) {
        (-i64::from(self.priority), self.age)
    }
}

/// The transports, each with its number of queue pairs.
pub struct Registry<T> {
    records: [Option<Record<T>>; MAX_TRANSPORTS],
    next_age: u64,
}

impl<T: Copy + PartialEq> Registry<T> {
    /// No transports.
    pub const fn new() -> Self {
        Registry {
            records: [None; MAX_TRANSPORTS],
            next_age: 0,
        }
    }

    /// Adds a transport.
    pub fn register(&mut self, trtype: u32, priority: i32, ops: T) -> Result<Slot, RegistryError> {
        if trtype >= TRTYPES {
            return Err(RegistryError::Unsupported);
        }
        let free = self.records.iter().position(Option::is_none);
        let index = free.ok_or(RegistryError::Full)?;
        if let Some(record) = self.records.get_mut(index) {
            *record = Some(Record {
                trtype,
                priority,
                age: self.next_age,
                active: 0,
                ops,
            });
        }
        self.next_age += 1;
        Ok(Slot(index))
    }

    fn position(&self, ops: T) -> Option<usize> {
        self.records
            .iter()
            .position(|r| r.as_ref().is_some_and(|r| r.ops == ops))
    }

    /// Removes a transport that has no queue pairs.
    pub fn unregister(&mut self, ops: T) -> Result<(), RegistryError> {
        let index = self.position(ops).ok_or(RegistryError::Unknown)?;
        match self.records.get_mut(index) {
            Some(Some(r)) if r.active != 0 => Err(RegistryError::Busy),
            Some(record) => {
                *record = None;
                Ok(())
            }
            None => Err(RegistryError::Unknown),
        }
    }

    /// How many queue pairs a transport has; `None` if it is not registered.
    pub fn active(&self, ops: T) -> Option<usize> {
        self.records
            .iter()
            .flatten()
            .find(|r| r.ops == ops)
            .map(|r| r.active)
    }

    /// Whether no transport is registered.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(Option::is_none)
    }

    /// The transport of `trtype` to ask after `previous` (or first), counted
    /// as having one more queue pair until [`Registry::release`].
    pub fn retain_next(&mut self, trtype: u32, previous: Option<Slot>) -> Option<(Slot, T)> {
        let after = previous
            .and_then(|s| self.records.get(s.0)?.as_ref())
            .map(Record::rank);
        let (index, record) = self
            .records
            .iter_mut()
            .enumerate()
            .filter_map(|(i, r)| r.as_mut().map(|r| (i, r)))
            .filter(|(_, r)| r.trtype == trtype && after.is_none_or(|a| r.rank() > a))
            .min_by_key(|(_, r)| r.rank())?;
        record.active += 1;
        Some((Slot(index), record.ops))
    }

    /// One queue pair less.
    pub fn release(&mut self, slot: Slot) {
        if let Some(Some(r)) = self.records.get_mut(slot.0) {
            r.active = r.active.saturating_sub(1);
        }
    }
}

impl<T: Copy + PartialEq> Default for Registry<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(r: &mut Registry<u8>, trtype: u32) -> [Option<u8>; 4] {
        let mut out = [None; 4];
        let mut previous = None;
        for o in &mut out {
            let Some((slot, ops)) = r.retain_next(trtype, previous) else {
                break;
            };
            if let Some(p) = previous {
                r.release(p);
            }
            *o = Some(ops);
            previous = Some(slot);
        }
        if let Some(p) = previous {
            r.release(p);
        }
        out
    }

    #[test]
    fn higher_priority_is_asked_first_and_ties_keep_their_order() {
        let mut r = Registry::new();
        r.register(3, 0, 1u8).unwrap();
        r.register(3, 0, 2).unwrap();
        r.register(3, 5, 3).unwrap();
        r.register(2, 9, 4).unwrap();
        assert_eq!(order(&mut r, 3), [Some(3), Some(1), Some(2), None]);
        assert_eq!(order(&mut r, 2), [Some(4), None, None, None]);
        assert_eq!(order(&mut r, 0), [None; 4]);
    }

    #[test]
    fn a_late_transport_of_low_priority_stays_behind_in_a_reused_slot() {
        let mut r = Registry::new();
        r.register(3, 0, 1u8).unwrap();
        r.register(3, 0, 2).unwrap();
        r.unregister(1).unwrap();
        r.register(3, -1, 5).unwrap();
        assert_eq!(order(&mut r, 3), [Some(2), Some(5), None, None]);
    }

    #[test]
    fn a_transport_with_queue_pairs_stays() {
        let mut r = Registry::new();
        r.register(3, 0, 1u8).unwrap();
        let (slot, _) = r.retain_next(3, None).unwrap();
        assert_eq!(r.active(1), Some(1));
        assert_eq!(r.unregister(1), Err(RegistryError::Busy));
        r.release(slot);
        assert_eq!(r.unregister(1), Ok(()));
        assert!(r.is_empty());
        assert_eq!(r.unregister(1), Err(RegistryError::Unknown));
    }

    #[test]
    fn bad_types_and_a_full_registry_are_refused() {
        let mut r = Registry::new();
        assert_eq!(r.register(4, 0, 0), Err(RegistryError::Unsupported));
        for i in 0..MAX_TRANSPORTS {
            r.register(3, 0, i as u8).unwrap();
        }
        assert_eq!(r.register(3, 0, 99), Err(RegistryError::Full));
    }

    #[test]
    fn slots_survive_their_number() {
        assert_eq!(Slot::from_number(Slot(3).number()), Some(Slot(3)));
        assert_eq!(Slot::from_number(0), None);
        assert_eq!(Slot::from_number(MAX_TRANSPORTS + 1), None);
    }
}
