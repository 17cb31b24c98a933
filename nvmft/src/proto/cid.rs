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

/// Words that a [`CidTable`] for `qsize` commands needs: a power of two that leaves at least half of them free.
pub const fn cid_words(qsize: u32) -> usize {
    let qsize = if qsize > 1 << 16 { 1 << 16 } else { qsize };
    (qsize as usize * 2).next_power_of_two()
}

/// A set of identifiers: a hash table with open addressing, where a word holds an identifier plus one, or zero. A host
/// that chooses identifiers which collide makes its own queue look at more words, never at more than it has commands.
pub struct CidTable<S> {
    words: S,
    used: u32,
    limit: u32,
}

impl<S: DerefMut<Target = [u32]>> CidTable<S> {
    /// A table for `qsize` commands in [`cid_words`] words.
    pub fn new(mut words: S, qsize: u32) -> Self {
        words.fill(0);
        Self {
            words,
            used: 0,
            limit: qsize,
        }
    }

    /// Identifiers in use.
    pub fn used(&self) -> u32 {
        self.used
    }

    fn mask(&self) -> usize {
        self.words.len().saturating_sub(1)
    }

    /// Where the search for a word's identifier begins.
    fn home(&self, word: u32) -> usize {
        (word.wrapping_mul(0x9e37_79b1) >> 15) as usize & self.mask()
    }

    fn word(&self, at: usize) -> u32 {
        self.words.get(at).copied().unwrap_or(0)
    }

    fn set(&mut self, at: usize, word: u32) {
        if let Some(w) = self.words.get_mut(at) {
            *w = word;
        }
    }

    /// Where a word is, or the free place where it belongs.
    fn find(&self, word: u32) -> usize {
        let mut at = self.home(word);
        // Half of the places are free, so this ends.
        while !matches!(self.word(at), 0) && self.word(at) != word {
            at = (at + 1) & self.mask();
        }
        at
    }

    /// Takes `cid` into use.
    pub fn insert(&mut self, cid: u16) -> Result<(), CidError> {
        let word = u32::from(cid) + 1;
        let at = self.find(word);
        if self.word(at) == word {
            return Err(CidError::Conflict);
        }
        if self.used >= self.limit {
            return Err(CidError::QueueFull);
        }
        self.set(at, word);
        self.used += 1;
        Ok(())
    }

    /// Releases `cid`: false when it was not in use.
    pub fn remove(&mut self, cid: u16) -> bool {
        let word = u32::from(cid) + 1;
        let mut hole = self.find(word);
        if self.word(hole) != word {
            return false;
        }
        // Words behind the hole that were pushed past it move up.
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let next = self.word(at);
            if next == 0 {
                break;
            }
            let distance = at.wrapping_sub(self.home(next)) & self.mask();
            if distance >= (at.wrapping_sub(hole) & self.mask()) {
                self.set(hole, next);
                hole = at;
            }
        }
        self.set(hole, 0);
        self.used = self.used.saturating_sub(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::vec;

    #[test]
    fn conflict_and_limit() {
        let mut t = CidTable::new(vec![7; cid_words(2)], 2);
        assert_eq!(t.insert(0xffff), Ok(()));
        assert_eq!(t.insert(0xffff), Err(CidError::Conflict));
        assert_eq!(t.insert(0), Ok(()));
        assert_eq!(t.insert(2), Err(CidError::QueueFull));
        assert_eq!(t.insert(0), Err(CidError::Conflict));
        assert!(t.remove(0xffff) && !t.remove(0xffff));
        assert_eq!(t.insert(2), Ok(()));
        assert_eq!(t.used(), 2);
    }

    #[test]
    fn identifiers_that_collide_are_kept_apart() {
        for qsize in [1, 2, 7, 64] {
            let mut t = CidTable::new(vec![0; cid_words(qsize)], qsize);
            let home = t.home(1);
            let cids = (0..=u16::MAX).filter(|&c| t.home(u32::from(c) + 1) == home);
            let cids: vec::Vec<u16> = cids.take(qsize as usize).collect();
            for (i, &cid) in cids.iter().enumerate() {
                assert_eq!(t.insert(cid), Ok(()));
                assert_eq!(t.used() as usize, i + 1);
            }
            // Out of order, so that holes open in the middle.
            for &cid in cids.iter().step_by(2).chain(cids.iter().skip(1).step_by(2)) {
                assert_eq!(t.insert(cid), Err(CidError::Conflict));
                assert!(t.remove(cid) && !t.remove(cid));
            }
            assert_eq!(t.used(), 0);
            assert!(t.words.iter().all(|w| *w == 0));
        }
    }

    #[test]
    fn the_largest_queue_fits() {
        let mut t = CidTable::new(vec![0; cid_words(1 << 16)], 1 << 16);
        // Miri takes one in 301.
        let cids = || (0..=u16::MAX).step_by(if cfg!(miri) { 301 } else { 1 });
        for cid in cids() {
            assert_eq!(t.insert(cid), Ok(()));
        }
        for cid in cids() {
            assert!(t.remove(cid));
        }
    }

    #[test]
    fn agrees_with_a_set() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for qsize in [2, 3, 32, 1000] {
            let mut t = CidTable::new(vec![0; cid_words(qsize)], qsize);
            let mut model = HashSet::new();
            for _ in 0..if cfg!(miri) { 200 } else { 50_000 } {
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
}
