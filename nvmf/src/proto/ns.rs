// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identify Namespace data, as far as the host relies on it.
#![forbid(unsafe_code)]

use core::fmt;

/// Length of the Identify Namespace data structure.
pub const IDENTIFY_LEN: usize = 4096;

/// Length of NGUID and EUI-64, which follow one another.
const ID_LEN: usize = 24;
const ID: usize = 104;
const NLBAF: usize = 25;
const FLBAS: usize = 26;
const DPS: usize = 29;
const LBAF: usize = 128;
const MAX_FORMATS: u8 = 64;
const MIN_LBADS: u8 = 9;
/// 64 KiB: far above any LBA size in use, and small enough for any arithmetic done with it.
const MAX_LBADS: u8 = 16;

/// Size and format of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Number of logical blocks.
    pub blocks: u64,
    /// Logical block size as a power of two.
    pub lba_shift: u8,
    /// NGUID and EUI-64: another namespace under the same NSID has others. Zeroes if it has none.
    pub id: [u8; ID_LEN],
}

/// Why a namespace cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// Protection information is enabled.
    Protection,
    /// The format index or the block size makes no sense.
    Format,
    /// Logical blocks carry metadata.
    Metadata,
    /// The size in bytes does not fit an `off_t`.
    Size,
    /// The data structure is too short.
    Truncated,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protection => "End-to-end data protection not supported",
            Self::Format | Self::Truncated => "Invalid LBA format index",
            Self::Metadata => "Namespaces with metadata are not supported",
            Self::Size => "Invalid namespace size",
        })
    }
}

impl Geometry {
    /// The size in bytes; [`parse`] made sure that it fits.
    pub fn bytes(self) -> u64 {
        self.blocks << self.lba_shift
    }

    /// Whether this is another namespace than `old` was, not the same one with another size.
    pub fn replaces(&self, old: &Self) -> bool {
        self.id != old.id
    }

    /// The logical block size in bytes.
    pub fn lba_size(self) -> u32 {
        1 << self.lba_shift
    }
}

/// What Identify Namespace says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// NSZE is zero: there is none.
    Absent,
    /// A namespace that gets a node and a disk.
    Usable(Geometry),
    /// A namespace that the host cannot use.
    Unusable(Unsupported),
}

fn byte(data: &[u8], at: usize) -> Option<u8> {
    data.get(at).copied()
}

fn parse_geometry(data: &[u8], blocks: u64) -> Result<Geometry, Unsupported> {
    let short = Unsupported::Truncated;
    if byte(data, DPS).ok_or(short)? & 0x7 != 0 {
        return Err(Unsupported::Protection);
    }
    let nlbaf = byte(data, NLBAF).ok_or(short)?;
    let flbas = byte(data, FLBAS).ok_or(short)?;
    let index = if nlbaf >= 16 {
        (flbas & 0xf) | ((flbas >> 1) & 0x30)
    } else {
        flbas & 0xf
    };
    if nlbaf >= MAX_FORMATS || index > nlbaf {
        return Err(Unsupported::Format);
    }
    let at = LBAF + usize::from(index) * 4;
    let format = data
        .get(at..)
        .and_then(|d| d.first_chunk::<4>())
        .ok_or(short)?;
    let [ms0, ms1, lbads, _] = *format;
    if !(MIN_LBADS..=MAX_LBADS).contains(&lbads) {
        return Err(Unsupported::Format);
    }
    if ms0 | ms1 != 0 {
        return Err(Unsupported::Metadata);
    }
    if blocks > (i64::MAX as u64) >> lbads {
        return Err(Unsupported::Size);
    }
    let id = data.get(ID..).and_then(|d| d.first_chunk()).ok_or(short)?;
    Ok(Geometry {
        blocks,
        lba_shift: lbads,
        id: *id,
    })
}

/// Reads Identify Namespace data.
pub fn parse(data: &[u8]) -> Namespace {
    let Some(nsze) = data.first_chunk::<8>() else {
        return Namespace::Unusable(Unsupported::Truncated);
    };
    match u64::from_le_bytes(*nsze) {
        0 => Namespace::Absent,
        blocks => match parse_geometry(data, blocks) {
            Ok(geometry) => Namespace::Usable(geometry),
            Err(why) => Namespace::Unusable(why),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identify(nsze: u64, nlbaf: u8, flbas: u8, lbads: u8) -> [u8; IDENTIFY_LEN] {
        let mut d = [0; IDENTIFY_LEN];
        d[..8].copy_from_slice(&nsze.to_le_bytes());
        d[NLBAF] = nlbaf;
        d[FLBAS] = flbas;
        for i in 0..=usize::from(nlbaf.min(63)) {
            d[LBAF + 4 * i + 2] = lbads;
        }
        d
    }

    #[test]
    fn usable() {
        for lbads in 9..=16 {
            let ns = parse(&identify(1000, 0, 0, lbads));
            let g = Geometry {
                blocks: 1000,
                lba_shift: lbads,
                id: [0; ID_LEN],
            };
            assert_eq!(ns, Namespace::Usable(g));
            assert_eq!(g.bytes(), 1000 << lbads);
            assert_eq!(g.lba_size(), 1 << lbads);
        }
        assert_eq!(parse(&identify(0, 0, 0, 255)), Namespace::Absent);
    }

    #[test]
    fn hostile_block_sizes() {
        for lbads in [0, 1, 8, 17, 31, 32, 63, 64, 255] {
            assert_eq!(
                parse(&identify(1, 0, 0, lbads)),
                Namespace::Unusable(Unsupported::Format)
            );
        }
    }

    #[test]
    fn hostile_format_index() {
        assert_eq!(
            parse(&identify(1, 0, 1, 9)),
            Namespace::Unusable(Unsupported::Format)
        );
        assert_eq!(
            parse(&identify(1, 64, 0, 9)),
            Namespace::Unusable(Unsupported::Format)
        );
        assert_eq!(
            parse(&identify(1, 255, 0xff, 9)),
            Namespace::Unusable(Unsupported::Format)
        );
        assert!(matches!(
            parse(&identify(1, 63, 0x6f, 9)),
            Namespace::Usable(_)
        ));
        // With 16 formats or fewer bits 6:5 are not part of the index.
        assert!(matches!(
            parse(&identify(1, 15, 0x6f, 9)),
            Namespace::Usable(_)
        ));
    }

    #[test]
    fn protection_and_metadata() {
        let mut d = identify(1, 0, 0, 9);
        d[DPS] = 1;
        assert_eq!(parse(&d), Namespace::Unusable(Unsupported::Protection));
        d[DPS] = 8;
        d[LBAF] = 8;
        assert_eq!(parse(&d), Namespace::Unusable(Unsupported::Metadata));
        d[LBAF] = 0;
        d[LBAF + 1] = 1;
        assert_eq!(parse(&d), Namespace::Unusable(Unsupported::Metadata));
    }

    #[test]
    fn another_namespace_has_another_identity() {
        let mut d = identify(1, 0, 0, 9);
        let usable = |d: &[u8]| match parse(d) {
            Namespace::Usable(g) => g,
            other => panic!("{other:?}"),
        };
        let old = usable(&d);
        d[0] = 2;
        assert!(!usable(&d).replaces(&old));
        for at in [104, 119, 120, 127] {
            d[at] = 1;
            assert!(usable(&d).replaces(&old));
            d[at] = 0;
        }
    }

    #[test]
    fn size_fits_an_off_t() {
        assert_eq!(
            parse(&identify(u64::MAX, 0, 0, 9)),
            Namespace::Unusable(Unsupported::Size)
        );
        assert_eq!(
            parse(&identify(1 << 54, 0, 0, 9)),
            Namespace::Unusable(Unsupported::Size)
        );
        assert!(matches!(
            parse(&identify((1 << 54) - 1, 0, 0, 9)),
            Namespace::Usable(_)
        ));
    }

    #[test]
    fn truncated() {
        let d = identify(1, 0, 0, 9);
        for len in 0..132 {
            assert!(matches!(parse(&d[..len]), Namespace::Unusable(_)));
        }
        assert!(matches!(parse(&d[..132]), Namespace::Usable(_)));
    }
}
