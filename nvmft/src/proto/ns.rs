// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Namespace IDs: the sorted set of those that are active and the list of those that changed.
#![forbid(unsafe_code)]

use core::ops::DerefMut;

/// Entries of a namespace list page.
pub const LIST_ENTRIES: usize = 1024;
/// Bytes of a namespace list page.
pub const LIST_BYTES: usize = 4096;
/// The first value that is not a namespace ID.
pub const NSID_LIMIT: u32 = 0xffff_fffe;

/// The storage is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Namespace IDs in ascending order, in storage that the owner provides.
pub struct NsSet<S> {
    slots: S,
    len: usize,
}

impl<S: DerefMut<Target = [u32]>> NsSet<S> {
    /// An empty set that can hold as many IDs as `slots` has entries.
    pub fn new(slots: S) -> Self {
        Self { slots, len: 0 }
    }

    /// The IDs, ascending.
    pub fn as_slice(&self) -> &[u32] {
        self.slots.get(..self.len).unwrap_or(&[])
    }

    /// Whether `nsid` is in the set.
    pub fn contains(&self, nsid: u32) -> bool {
        self.as_slice().binary_search(&nsid).is_ok()
    }

    /// Whether another ID needs larger storage.
    pub fn is_full(&self) -> bool {
        self.len == self.slots.len()
    }

    /// Adds `nsid`: false when it was there already.
    pub fn insert(&mut self, nsid: u32) -> Result<bool, Full> {
        let Err(at) = self.as_slice().binary_search(&nsid) else {
            return Ok(false);
        };
        if self.is_full() {
            return Err(Full);
        }
        self.slots.copy_within(at..self.len, at + 1);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = nsid;
        }
        self.len += 1;
        Ok(true)
    }

    /// Removes `nsid`: false when it was not there.
    pub fn remove(&mut self, nsid: u32) -> bool {
        let Ok(at) = self.as_slice().binary_search(&nsid) else {
            return false;
        };
        self.slots.copy_within(at + 1..self.len, at);
        self.len -= 1;
        true
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.len = 0;
    }

    /// Moves the IDs to larger storage and returns the old one.
    pub fn replace_storage(&mut self, mut slots: S) -> S {
        let kept = self.as_slice().len().min(slots.len());
        for (to, from) in slots.iter_mut().zip(self.as_slice()) {
            *to = *from;
        }
        self.len = kept;
        core::mem::replace(&mut self.slots, slots)
    }

    /// How many IDs the storage can hold.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Fills a list page with the IDs greater than `after`.
    pub fn fill_list(&self, after: u32, page: &mut [u8]) {
        page.fill(0);
        let first = self.as_slice().partition_point(|nsid| *nsid <= after);
        let rest = self.as_slice().get(first..).unwrap_or(&[]);
        for (to, nsid) in page.chunks_exact_mut(4).zip(rest) {
            to.copy_from_slice(&nsid.to_le_bytes());
        }
    }
}

/// The namespaces that changed since the host last read the log.
pub struct ChangedList<S> {
    set: NsSet<S>,
    overflow: bool,
}

impl<S: DerefMut<Target = [u32]>> ChangedList<S> {
    /// An empty list in storage of at most [`LIST_ENTRIES`] entries.
    pub fn new(slots: S) -> Self {
        Self {
            set: NsSet::new(slots),
            overflow: false,
        }
    }

    /// Remembers a change.
    pub fn add(&mut self, nsid: u32) {
        if !self.overflow && self.set.insert(nsid).is_err() {
            self.overflow = true;
            self.set.clear();
        }
    }

    /// Forgets all changes.
    pub fn clear(&mut self) {
        self.overflow = false;
        self.set.clear();
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        !self.overflow && self.set.as_slice().is_empty()
    }

    /// Fills the Changed Namespace List log page.
    pub fn fill(&self, page: &mut [u8]) {
        self.set.fill_list(0, page);
        if self.overflow
            && let Some(first) = page.first_chunk_mut::<4>()
        {
            *first = u32::MAX.to_le_bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;
    use std::vec::Vec;

    fn page_ids(page: &[u8]) -> Vec<u32> {
        page.chunks_exact(4)
            .map(|c| u32::from_le_bytes(c.try_into().unwrap()))
            .take_while(|v| *v != 0)
            .collect()
    }

    #[test]
    fn sorted_set() {
        let mut s = NsSet::new(vec![0u32; 3]);
        assert_eq!(s.insert(5), Ok(true));
        assert_eq!(s.insert(1), Ok(true));
        assert_eq!(s.insert(5), Ok(false));
        assert_eq!(s.insert(3), Ok(true));
        assert_eq!(s.as_slice(), [1, 3, 5]);
        assert_eq!(s.insert(2), Err(Full));
        assert_eq!(s.insert(1), Ok(false));
        assert!(s.remove(3) && !s.remove(3));
        assert_eq!(s.as_slice(), [1, 5]);
        let old = s.replace_storage(vec![0; 8]);
        assert_eq!(old.len(), 3);
        assert_eq!(s.insert(9), Ok(true));
        assert_eq!(s.as_slice(), [1, 5, 9]);
        let mut page = vec![0xaa; LIST_BYTES];
        s.fill_list(1, &mut page);
        assert_eq!(page_ids(&page), [5, 9]);
        s.fill_list(9, &mut page);
        assert_eq!(page_ids(&page), [0u32; 0]);
        s.fill_list(0, &mut page);
        assert_eq!(page_ids(&page), [1, 5, 9]);
    }

    #[test]
    fn changed_list_overflow() {
        let mut c = ChangedList::new(vec![0u32; LIST_ENTRIES]);
        let mut page = vec![0; LIST_BYTES];
        for nsid in (1..=1024).rev() {
            c.add(nsid);
        }
        c.fill(&mut page);
        assert_eq!(page_ids(&page).len(), 1024);
        c.add(7);
        c.fill(&mut page);
        assert_eq!(page_ids(&page).len(), 1024);
        c.add(2000);
        c.add(1);
        c.fill(&mut page);
        assert_eq!(page_ids(&page), [u32::MAX]);
        assert!(!c.is_empty());
        c.clear();
        assert!(c.is_empty());
        c.fill(&mut page);
        assert_eq!(page_ids(&page), [0u32; 0]);
    }
}
