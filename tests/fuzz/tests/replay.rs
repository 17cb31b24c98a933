// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Every target on its seeds, on damaged copies of them, and on inputs that once showed a fault.

use std::fs;

use fuzz::stream::End;
use std::path::Path;

/// Damaged copies of each seed.
const COPIES: u64 = 40;

/// A deterministic generator (xorshift64*).
struct Rng(u64);

impl Rng {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    /// One to four bytes changed, or a piece cut out, doubled or cut off.
    fn damage(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut out = seed.to_vec();
        for _ in 0..=self.below(4) {
            let (at, n) = (self.below(out.len()), self.below(40));
            let end = (at + n).min(out.len());
            match self.below(8) {
                0 => {
                    out.drain(at..end);
                }
                1 => {
                    let piece = out[at..end].to_vec();
                    out.splice(at..at, piece);
                }
                2 => out.truncate(at),
                3 => out[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                _ => out[at] ^= 1 << self.below(8),
            }
            if out.is_empty() {
                out.push(0);
            }
        }
        out
    }
}

fn replay(name: &str) {
    let target = fuzz::TARGETS.iter().find(|t| t.name == name).expect(name);
    let mut rng = Rng(0x9e37_79b9_7f4a_7c15);
    for seed in (target.seeds)() {
        (target.run)(&seed);
        for n in (0..seed.len()).step_by(31) {
            (target.run)(&seed[..n]);
        }
        for _ in 0..COPIES {
            (target.run)(&rng.damage(&seed));
        }
    }
    let found = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("found")
        .join(name);
    for entry in fs::read_dir(found).into_iter().flatten() {
        let path = entry.expect("readable").path();
        (target.run)(&fs::read(&path).expect("readable"));
    }
    (target.run)(&[]);
}

#[test]
fn tcp_controller() {
    replay("tcp_controller");
}

#[test]
fn tcp_host() {
    replay("tcp_host");
}

#[test]
fn handoff() {
    replay("handoff");
}

#[test]
fn admin() {
    replay("admin");
}

#[test]
fn rx_split() {
    replay("rx_split");
}

#[test]
fn host_data() {
    replay("host_data");
}

#[test]
fn burst() {
    replay("burst");
}

#[test]
fn seeds_are_valid_exchanges() {
    for seed in fuzz::seeds::tcp_controller() {
        assert_eq!(fuzz::tcp_controller::outcome(&seed), End::Short(0));
    }
    for seed in fuzz::seeds::tcp_host() {
        assert_eq!(fuzz::tcp_host::outcome(&seed), End::Short(0));
    }
    for seed in fuzz::seeds::rx_split() {
        let end = fuzz::rx_split::outcome(&seed);
        assert!(matches!(end, End::Short(0) | End::Terminated), "{end:?}");
    }
}
