// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Limits that follow from what the controller reports and from what userland connected.
#![forbid(unsafe_code)]

/// Memory page size that MDTS and CAP.MPSMIN count in, as a power of two.
const MIN_PAGE_SHIFT: u32 = 12;

/// The largest transfer of one command: `maxphys`, or what MDTS allows if that is less.
///
/// MDTS comes from the controller and may be any byte; a limit that does not fit a machine word is no limit.
pub fn max_transfer(maxphys: u32, mdts: u8, mpsmin: u8) -> u32 {
    if mdts == 0 {
        return maxphys;
    }
    let shift = u32::from(mdts) + MIN_PAGE_SHIFT + u32::from(mpsmin);
    match 1u32.checked_shl(shift) {
        Some(limit) => maxphys.min(limit),
        None => maxphys,
    }
}

/// CAP.MPSMIN: bits 51:48.
pub fn mpsmin(cap: u64) -> u8 {
    ((cap >> 48) & 0xf) as u8
}

/// How many requests CAM may have outstanding: three quarters of the slots, so that the namespace nodes and
/// passthrough find some too.
pub fn sim_depth(io_qsize: u32, queues: u32) -> u32 {
    let pending = u64::from(io_qsize).saturating_mul(u64::from(queues));
    let depth = pending.saturating_mul(3) / 4;
    u32::try_from(depth)
        .unwrap_or(u32::MAX)
        .clamp(1, i32::MAX as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mdts_bounds_the_transfer() {
        assert_eq!(max_transfer(1 << 20, 0, 0), 1 << 20);
        assert_eq!(max_transfer(1 << 20, 5, 0), 128 << 10);
        assert_eq!(max_transfer(1 << 20, 1, 2), 32 << 10);
        assert_eq!(max_transfer(1 << 20, 9, 0), 1 << 20);
    }

    #[test]
    fn hostile_mdts_is_no_limit() {
        for mdts in [20, 31, 32, 52, 63, 64, 128, 255] {
            for mps in [0, 7, 15] {
                assert_eq!(max_transfer(1 << 20, mdts, mps), 1 << 20);
            }
        }
    }

    #[test]
    fn mpsmin_is_four_bits() {
        assert_eq!(mpsmin(0xffff_ffff_ffff_ffff), 15);
        assert_eq!(mpsmin(3 << 48), 3);
        assert_eq!(mpsmin(0x0f << 52), 0);
    }

    #[test]
    fn depth_is_three_quarters_and_never_zero() {
        assert_eq!(sim_depth(128, 4), 384);
        assert_eq!(sim_depth(2, 1), 1);
        assert_eq!(sim_depth(0, 0), 1);
        assert_eq!(sim_depth(u32::MAX, u32::MAX), i32::MAX as u32);
    }
}
