// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Which I/O queue a processor's commands take.
//!
//! Each processor has one of its own, as far as they go. But a queue that carries few commands pays for each what many
//! would share: a segment, an interrupt, a wake-up at either end; and it keeps more than the submitting processor busy,
//! since network stack and receive thread run elsewhere. So two neighbours, which mostly share a core or a cache,
//! take the queue of the first until that has [`ENOUGH`] commands, or is half full.
#![forbid(unsafe_code)]

/// Commands under way that make groups as large as they get: transports send no more of them together.
pub const ENOUGH: u32 = 32;

/// The I/O queue of a processor.
pub fn queue_of_cpu(cpu: u32, cpus: u32, queues: u32) -> u32 {
    if cpus == 0 || queues == 0 {
        return 0;
    }
    let index = u64::from(cpu) * u64::from(queues) / u64::from(cpus);
    u32::try_from(index).unwrap_or(0).min(queues - 1)
}

/// The processor whose queue this one takes while that has room for a neighbour's commands.
pub fn neighbour(cpu: u32) -> u32 {
    cpu & !1
}

/// Whether a queue of `entries`, with `open` commands under way, takes a neighbour's too.
#[inline]
pub fn takes_more(open: u32, entries: u32) -> bool {
    open < ENOUGH.min(entries / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_has_a_queue() {
        for cpus in 1..=9 {
            for queues in 1..=12 {
                let mut last = 0;
                for cpu in 0..cpus {
                    let q = queue_of_cpu(cpu, cpus, queues);
                    assert!(q < queues && q >= last);
                    last = q;
                }
            }
        }
        assert_eq!(queue_of_cpu(7, 4, 2), 1);
        assert_eq!(queue_of_cpu(3, 0, 2), 0);
        assert_eq!(queue_of_cpu(3, 4, 0), 0);
    }

    #[test]
    fn neighbours_are_pairs() {
        assert_eq!([0, 1, 2, 3, 6, 7].map(neighbour), [0, 0, 2, 2, 6, 6]);
        assert_eq!(neighbour(u32::MAX), u32::MAX - 1);
    }

    #[test]
    fn a_busy_queue_is_left_alone() {
        assert!(takes_more(0, 128) && takes_more(ENOUGH - 1, 128));
        assert!(!takes_more(ENOUGH, 128) && !takes_more(u32::MAX, u32::MAX));
    }

    #[test]
    fn a_small_queue_keeps_room_for_its_own_processor() {
        assert!(takes_more(3, 8) && !takes_more(4, 8));
        assert!(takes_more(0, 2) && !takes_more(1, 2));
        assert!(!takes_more(0, 0));
    }
}
