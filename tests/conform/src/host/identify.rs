// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Identify data that cannot be right: what the host reads and writes is
//! checked against the namespace as it is.

use super::{PLAIN, cases, is_io};
use crate::bench::Act;
use crate::case::{Outcome, fail};
use crate::honest::{Edit, Honest};
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
        ("0", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[1792..1796].fill(0) }))),
        ("3", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[1792..1796].copy_from_slice(&[3, 0, 0, 0]) }))),
        ("2^32 - 1", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 1 { p[1792..1796].fill(255) })));
    "identify.list", "115", "Base 5.17.2.2 (F3), class: count vs index", "the host lives: a namespace list that is unsorted, repeated, beyond NN, without end", PLAIN =>
        ("repeated", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { ids(p, &[1, 1]) }))),
        ("unsorted", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { ids(p, &[2, 1]) }))),
        ("beyond NN", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { ids(p, &[1, 0xffff_fff0]) }))),
        ("FFFFFFFFh", Act::Watch(|h, l, c| live(h, l, c, |cns, p| if cns == 2 { p.fill(255) })));
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
