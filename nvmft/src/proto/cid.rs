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

/// Words that a [`CidTable`] needs: a bit for each identifier.
pub const CID_WORDS: usize = 65536 / 32;

/// A bitmap of identifiers, and how many are set.
pub struct CidTable<S> {
    words: S,
    used: u32,
    limit: u32,
}

/// Where an identifier's bit is.
const fn place(cid: u16) -> (usize, u32) {
    ((cid >> 5) as usize, 1 << (cid & 31))
}

impl<S: DerefMut<Target = [u32]>> CidTable<S> {
    /// A table for `qsize` commands in [`CID_WORDS`] words.
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

    /// Takes `cid` into use.
    pub fn insert(&mut self, cid: u16) -> Result<(), CidError> {
        let (word, bit) = place(cid);
        let full = self.used >= self.limit;
        match self.words.get_mut(word) {
            Some(w) if *w & bit != 0 => Err(CidError::Conflict),
            Some(w) if !full => {
                *w |= bit;
                self.used += 1;
                Ok(())
            }
            _ => Err(CidError::QueueFull),
        }
    }

    /// Releases `cid`: false when it was not in use.
    pub fn remove(&mut self, cid: u16) -> bool {
        let (word, bit) = place(cid);
        match self.words.get_mut(word) {
            Some(w) if *w & bit != 0 => {
                *w &= !bit;
                self.used = self.used.saturating_sub(1);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::vec;

    #[test]
    fn conflict_and_limit() {
        let mut t = CidTable::new(vec![7; CID_WORDS], 2);
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
    fn agrees_with_a_set() {
        let mut seed = 1u32;
        let mut random = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            seed >> 8
        };
        for qsize in [2, 3, 32, 1000] {
            let mut t = CidTable::new(vec![0; CID_WORDS], qsize);
            let mut model = HashSet::new();
            for _ in 0..50_000 {
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
