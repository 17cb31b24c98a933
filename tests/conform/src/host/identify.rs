// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identify data that cannot be right: what the host reads and writes is
//! checked against the namespace as it is.

use super::{PLAIN, cases, is_icd_write, is_io};
use crate::bench::Act;
use crate::case::{Outcome, fail};
use crate::honest::{BLOCK, BLOCKS, Edit, Honest};
use crate::link::{Cmd, Link};
use crate::sqe::nvm;

cases! {
    "identify.lbads", "115", "NVM 4.1.5.1 (LBADS), class: unvalidated shift from Identify (F4)", "no command for a namespace whose block size cannot be", PLAIN =>
        ("0", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[130] = 0 }))),
        ("8", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[130] = 8 }))),
        ("31", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[130] = 31 }))),
        ("32", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[130] = 32 }))),
        ("63", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[130] = 63 }))),
        ("255", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[130] = 255 })));
    "identify.flbas", "115", "NVM 4.1.5.1 (FLBAS, NLBAF)", "no command for a namespace whose format is not there", PLAIN =>
        ("FLBAS 15", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[26] = 0x0f }))),
        ("FLBAS 6Fh", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[26] = 0x6f })));
    "identify.nsze", "115", "NVM 4.1.5.1 (NSZE)", "no command beyond the namespace, no overflow: NSZE 2^64 - 1", PLAIN =>
        ("2^64 - 1", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 0 { p[..8].fill(255) })));
    "identify.metadata", "115", "NVM 4.1.5.1 (MS)", "no command without metadata for a namespace that has some in its blocks", PLAIN =>
        ("8 bytes", Act::Watch(|h, l, c| lie(h, l, c, |cns, p| if cns == 0 { p[128] = 8; p[26] = 0x10 })));
    "identify.mdts", "115", "Base 5.17.2.1 (MDTS), class: unvalidated shift from Identify", "the host lives: MDTS 255 and 31", PLAIN =>
        ("255", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[77] = 255 }))),
        ("31", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[77] = 31 })));
    "identify.nn", "115", "Base 5.17.2.1 (NN)", "the host lives: NN 0, 2^32 - 1", PLAIN =>
        ("0", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[516..520].fill(0) }))),
        ("2^32 - 1", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[516..520].fill(255) })));
    "identify.ioccsz", "115", "Base 5.17.2.1 (IOCCSZ)", "the host lives, no in-capsule data beyond it: IOCCSZ 0, 3, 2^32 - 1", PLAIN =>
        ("0", Act::Watch(|h, l, c| capsules(h, l, c, |cns, p| if cns == 1 { p[1792..1796].fill(0) }, 0))),
        ("3", Act::Watch(|h, l, c| capsules(h, l, c, |cns, p| if cns == 1 { p[1792..1796].copy_from_slice(&[3, 0, 0, 0]) }, 0))),
        ("5", Act::Watch(|h, l, c| capsules(h, l, c, |cns, p| if cns == 1 { p[1792..1796].copy_from_slice(&[5, 0, 0, 0]) }, 16))),
        ("2^32 - 1", Act::Watch(|h, l, c| capsules(h, l, c, |cns, p| if cns == 1 { p[1792..1796].fill(255) }, u32::MAX)));
    "identify.list", "115", "Base 5.17.2.2 (F3), class: count vs index", "the host lives: a namespace list that is unsorted, repeated, beyond NN, without end", PLAIN =>
        ("repeated", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { ids(p, &[1, 1]) }))),
        ("unsorted", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { ids(p, &[2, 1]) }))),
        ("beyond NN", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { ids(p, &[1, 0xffff_fff0]) }))),
        ("FFFFFFFFh", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { p.fill(255) })));
    "identify.nlbaf", "115", "NVM 4.1.5.1 (NLBAF)", "the host lives, and uses the format that FLBAS names or none: NLBAF 64, 255", PLAIN =>
        ("64", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 0 { p[25] = 64 }))),
        ("255", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 0 { p[25] = 255 })));
    "identify.changed", "114", "NVM 4.1.5.1 (NSZE, LBADS), Base 5.17.2.3 (NGUID)", "no command beyond what is there now, or of another block size: a namespace that came back smaller, with other blocks, as another", PLAIN =>
        ("8192 blocks", Act::Watch(|h, l, c| changed(h, l, c, |cns, p| if cns == 0 { p[..24].fill(0); for at in [1, 9, 17] { p[at] = 0x20; } }, 512, 8192))),
        ("blocks of 4096 bytes", Act::Watch(|h, l, c| changed(h, l, c, |cns, p| if cns == 0 { p[130] = 12 }, 4096, BLOCKS))),
        ("another NGUID", Act::Watch(|h, l, c| changed(h, l, c, |cns, p| match cns { 0 => p[104..120].fill(0xd1), 3 => p[4..20].fill(0xd1), _ => {} }, 512, BLOCKS)));
    "identify.noise", "115", "Base 5.17", "the host lives: Identify data of ones", PLAIN =>
        ("controller", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p.fill(255) }))),
        ("namespace", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 0 { p.fill(255) })));
}

fn ids(p: &mut [u8], list: &[u32]) {
    p.fill(0);
    for (w, id) in p.chunks_mut(4).zip(list) {
        w.copy_from_slice(&id.to_le_bytes());
    }
}

fn plant(h: &Honest, edit: Edit) {
    if let Ok(mut e) = h.edit.lock() {
        *e = Some(edit);
    }
}

/// The namespace cannot be used: no command may come for it until the host
/// leaves or has had its time.
fn lie(h: &Honest, l: &mut Link, c: &Cmd, edit: Edit) -> Option<Outcome> {
    plant(h, edit);
    if is_io(l) && matches!(c.opcode(), nvm::READ | nvm::WRITE) {
        return Some(fail(format!(
            "a command for {} bytes of that namespace",
            c.len()
        )));
    }
    None
}

/// The host may use what it is told or not: what it sends must be right.
fn live(h: &Honest, l: &mut Link, c: &Cmd, edit: Edit) -> Option<Outcome> {
    plant(h, edit);
    if is_io(l) && matches!(c.opcode(), nvm::READ | nvm::WRITE) {
        let inside = h.range(c).map(|r| r.len() == c.len() as usize);
        return Some(match inside {
            Ok(true) => Ok("commands that are right".into()),
            Ok(false) => fail(format!(
                "a command whose SGL of {} bytes is not its blocks",
                c.len()
            )),
            // Beyond the namespace only if that was told to be larger.
            Err(_) => Ok("commands within what was told".into()),
        });
    }
    None
}

/// A namespace that is not what it was in the association before: what comes
/// must be right for what it is now.
fn changed(
    h: &Honest,
    l: &mut Link,
    c: &Cmd,
    edit: Edit,
    block: u32,
    blocks: u64,
) -> Option<Outcome> {
    plant(h, edit);
    if !is_io(l) || !matches!(c.opcode(), nvm::READ | nvm::WRITE) {
        return None;
    }
    let (slba, n) = (c.u64(40), u64::from(c.u16(48)) + 1);
    let inside = slba.checked_add(n).is_some_and(|e| e <= blocks);
    if !inside || n * u64::from(block) != u64::from(c.len()) {
        return Some(fail(format!(
            "{n} blocks at {slba}, SGL of {} bytes, where there are {blocks} of {block} bytes",
            c.len()
        )));
    }
    // What is as it was is served, and the next command looked at.
    (block != BLOCK).then(|| Ok("commands that are right".into()))
}

/// Data in a capsule must fit into what was told.
fn capsules(h: &Honest, l: &mut Link, c: &Cmd, edit: Edit, most: u32) -> Option<Outcome> {
    plant(h, edit);
    if is_icd_write(l, c) && c.len() > most {
        return Some(fail(format!(
            "{} bytes in a capsule, where {most} fit",
            c.len()
        )));
    }
    None
}
