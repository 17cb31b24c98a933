// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The command identifiers in use on a queue: at most as many as the queue has entries.
#![forbid(unsafe_code)]

use core::ops::DerefMut;

/// Why a command is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CidError {
    /// A command with this identifier is outstanding.
    Conflict,
    /// As many commands are outstanding as the queue can hold.
    QueueFull,
}

/// An empty slot of the table: no identifier has this value.
const EMPTY: u32 = u32::MAX;

/// A hash table with linear probing, at most half full.
pub struct CidTable<S> {
    slots: S,
    used: u32,
    limit: u32,
}

/// The slots that a queue of `qsize` entries needs.
pub const fn slots_for(qsize: u32) -> usize {
    let entries = if qsize > 65536 { 65536 } else { qsize };
    ((entries * 2).next_power_of_two()) as usize
}

impl<S: DerefMut<Target = [u32]>> CidTable<S> {
    /// A table for `qsize` commands in storage of [`slots_for`] entries.
    pub fn new(mut slots: S, qsize: u32) -> Self {
        slots.fill(EMPTY);
        let room = u32::try_from(slots.len() / 2).unwrap_or(u32::MAX);
        Self { slots, used: 0, limit: qsize.min(room) }
    }

    /// Identifiers in use.
    pub fn used(&self) -> u32 {
        self.used
    }

    /// Takes `cid` into use.
    pub fn insert(&mut self, cid: u16) -> Result<(), CidError> {
        let full = self.used >= self.limit;
        let mask = self.mask();
        let mut at = self.home(cid.into());
        for _ in 0..=mask {
            match self.slots.get_mut(at) {
                Some(slot) if *slot == EMPTY => {
                    if full {
                        break;
                    }
                    *slot = cid.into();
                    self.used += 1;
                    return Ok(());
                }
                Some(slot) if *slot == u32::from(cid) => return Err(CidError::Conflict),
                _ => at = at.wrapping_add(1) & mask,
            }
        }
        Err(CidError::QueueFull)
    }

    /// Releases `cid`: false when it was not in use.
    pub fn remove(&mut self, cid: u16) -> bool {
        let mask = self.mask();
        let mut hole = self.home(cid.into());
        loop {
            match self.slots.get(hole) {
                Some(v) if *v == u32::from(cid) => break,
                Some(v) if *v != EMPTY => hole = hole.wrapping_add(1) & mask,
                _ => return false,
            }
        }
        // Close the gap: an entry moves into the hole unless its home lies after it.
        let mut next = hole;
        loop {
            next = next.wrapping_add(1) & mask;
            let value = self.slots.get(next).copied().unwrap_or(EMPTY);
            if value == EMPTY {
                break;
            }
            let home = self.home(value);
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(hole) & mask) {
                if let Some(slot) = self.slots.get_mut(hole) {
                    *slot = value;
                }
                hole = next;
            }
        }
        if let Some(slot) = self.slots.get_mut(hole) {
            *slot = EMPTY;
        }
        self.used = self.used.saturating_sub(1);
        true
    }

    fn mask(&self) -> usize {
        self.slots.len().wrapping_sub(1)
    }

    /// Hosts count identifiers up, so neighbours stay neighbours; the upper bits may be a generation number.
    fn home(&self, cid: u32) -> usize {
        (cid ^ (cid >> 12).wrapping_mul(0x9e5)) as usize & self.mask()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::vec;

    #[test]
    fn conflict_and_limit() {
        let mut t = CidTable::new(vec![0; slots_for(2)], 2);
        assert_eq!(t.insert(0xffff), Ok(()));
        assert_eq!(t.insert(0xffff), Err(CidError::Conflict));
        assert_eq!(t.insert(1), Ok(()));
        assert_eq!(t.insert(2), Err(CidError::QueueFull));
        assert_eq!(t.insert(1), Err(CidError::Conflict));
        assert!(t.remove(0xffff) && !t.remove(0xffff));
        assert_eq!(t.insert(2), Ok(()));
        assert_eq!(t.used(), 2);
    }

    #[test]
    fn agrees_with_a_set() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for qsize in [2, 3, 32, 1000] {
            let mut t = CidTable::new(vec![0; slots_for(qsize)], qsize);
            let mut model = HashSet::new();
            for _ in 0..100_000 {
                let cid = (random() % (qsize * 4)) as u16 | ((random() as u16) & 0x3000);
                if random() % 2 == 0 {
                    let expect = if model.contains(&cid) {
                        Err(CidError::Conflict)
                    } else if model.len() as u32 == qsize {
                        Err(CidError::QueueFull)
                    } else {
                        model.insert(cid);
                        Ok(())
                    };
                    assert_eq!(t.insert(cid), expect);
                } else {
                    assert_eq!(t.remove(cid), model.remove(&cid));
                }
                assert_eq!(t.used() as usize, model.len());
            }
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(slots_for(2), 4);
        assert_eq!(slots_for(65536), 131_072);
        assert_eq!(slots_for(u32::MAX), 131_072);
    }
}
