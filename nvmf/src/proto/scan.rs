// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Walking the active namespace list of a controller that may lie.
#![forbid(unsafe_code)]

/// Length of one page of the list.
pub const PAGE_LEN: usize = 4096;
/// The last NSID that a list may continue after.
const LAST_START: u32 = 0xffff_fffe;
/// The most namespaces the host serves on one controller.
pub const MAX_NAMESPACES: u32 = 4096;

/// What is wrong with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanError {
    /// An NSID appears twice in a row.
    Duplicate(u32),
    /// An NSID is above NN, or out of order.
    Invalid(u32),
    /// More namespaces than the host serves.
    TooMany,
}

/// One step of the walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This namespace is active; none is between the last one and it.
    Active(u32),
    /// The page is used up: fetch the one that starts after [`Walk::last`].
    NextPage,
    /// The list is complete.
    Done,
}

/// A walk over the pages of an active namespace list.
#[derive(Debug)]
pub struct Walk {
    nn: u32,
    last: u32,
    entry: usize,
    count: u32,
}

impl Walk {
    /// Starts a walk; `nn` is the controller's number of namespaces.
    pub fn new(nn: u32) -> Self {
        Self {
            nn,
            last: 0,
            entry: 0,
            count: 0,
        }
    }

    /// The NSID to ask the next page with.
    pub fn last(&self) -> u32 {
        self.last
    }

    /// The next step on the current page. After [`Step::NextPage`], call it with the new page.
    pub fn step(&mut self, page: &[u8]) -> Result<Step, ScanError> {
        let entry = self
            .entry
            .checked_mul(4)
            .and_then(|at| page.get(at..))
            .and_then(|rest| rest.first_chunk::<4>());
        let Some(entry) = entry else {
            // A page whose every entry was used: more may follow.
            self.entry = 0;
            return Ok(if self.last >= LAST_START || self.last >= self.nn {
                Step::Done
            } else {
                Step::NextPage
            });
        };
        let nsid = u32::from_le_bytes(*entry);
        if nsid == 0 {
            return Ok(Step::Done);
        }
        if nsid == self.last {
            return Err(ScanError::Duplicate(nsid));
        }
        if nsid < self.last || nsid > self.nn || nsid == u32::MAX {
            return Err(ScanError::Invalid(nsid));
        }
        if self.count >= MAX_NAMESPACES {
            return Err(ScanError::TooMany);
        }
        self.count += 1;
        self.last = nsid;
        self.entry += 1;
        Ok(Step::Active(nsid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: impl IntoIterator<Item = u32>) -> [u8; PAGE_LEN] {
        let mut p = [0; PAGE_LEN];
        for (slot, id) in p.chunks_exact_mut(4).zip(ids) {
            slot.copy_from_slice(&id.to_le_bytes());
        }
        p
    }

    fn walk_one(nn: u32, ids: &[u32]) -> Result<u32, ScanError> {
        let p = page(ids.iter().copied());
        let mut w = Walk::new(nn);
        let mut n = 0;
        loop {
            match w.step(&p)? {
                Step::Active(_) => n += 1,
                Step::Done => return Ok(n),
                Step::NextPage => panic!("one page"),
            }
        }
    }

    #[test]
    fn ends_at_zero() {
        assert_eq!(walk_one(10, &[]), Ok(0));
        assert_eq!(walk_one(10, &[1, 2, 9, 0, 10]), Ok(3));
    }

    #[test]
    fn bad_lists() {
        assert_eq!(walk_one(10, &[1, 1]), Err(ScanError::Duplicate(1)));
        assert_eq!(walk_one(10, &[2, 1]), Err(ScanError::Invalid(1)));
        assert_eq!(walk_one(10, &[11]), Err(ScanError::Invalid(11)));
        assert_eq!(
            walk_one(u32::MAX, &[u32::MAX]),
            Err(ScanError::Invalid(u32::MAX))
        );
        assert_eq!(walk_one(0, &[1]), Err(ScanError::Invalid(1)));
    }

    #[test]
    fn full_pages_continue_after_the_last() {
        let mut w = Walk::new(5000);
        let first = page(1..=1024);
        for id in 1..=1024 {
            assert_eq!(w.step(&first), Ok(Step::Active(id)));
        }
        assert_eq!(w.step(&first), Ok(Step::NextPage));
        assert_eq!(w.last(), 1024);
        let second = page([2000]);
        assert_eq!(w.step(&second), Ok(Step::Active(2000)));
        assert_eq!(w.step(&second), Ok(Step::Done));
    }

    #[test]
    fn the_same_full_page_for_ever_is_refused() {
        let mut w = Walk::new(5000);
        let first = page(1..=1024);
        while w.step(&first) != Ok(Step::NextPage) {}
        assert_eq!(w.step(&first), Err(ScanError::Invalid(1)));
    }

    #[test]
    fn bounded() {
        let mut w = Walk::new(u32::MAX);
        let mut base = 0;
        let error = loop {
            let p = page(base + 1..=base + 1024);
            let stop = loop {
                match w.step(&p) {
                    Ok(Step::Active(_)) => (),
                    Ok(Step::NextPage) => break None,
                    other => break Some(other),
                }
            };
            match stop {
                Some(result) => break result,
                None => base += 1024,
            }
        };
        assert_eq!(error, Err(ScanError::TooMany));
    }

    #[test]
    fn ends_at_the_highest_nsid() {
        let mut w = Walk::new(1024);
        let p = page(1..=1024);
        for _ in 0..1024 {
            assert!(matches!(w.step(&p), Ok(Step::Active(_))));
        }
        assert_eq!(w.step(&p), Ok(Step::Done));
    }
}
