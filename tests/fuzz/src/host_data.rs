// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What a hostile controller tells a host in data and completions: Identify, namespace lists, logs, events.
#![forbid(unsafe_code)]

use nvmf::proto::aer::{self, Changed, Event};
use nvmf::proto::ns::{self, Namespace};
use nvmf::proto::scan::{MAX_NAMESPACES, Step, Walk};
use nvmf::proto::{limits, spread};
use sys::wire::FromBytes;
use sys::wire::identify::{IdentifyController, IdentifyNamespace, NamespaceIds};

use crate::input::Input;

/// Pages that a walk asks for at most, in an input that never ends it.
const PAGES: u32 = 16;

fn namespace(bytes: &[u8]) {
    let mut page = [0; 4096];
    let n = bytes.len().min(page.len());
    page[..n].copy_from_slice(&bytes[..n]);
    // A structure that is cut must be refused, not read beyond its end.
    for data in [&page[..], bytes] {
        match ns::parse(data) {
            Namespace::Usable(g) => {
                assert!((9..=16).contains(&g.lba_shift) && g.blocks != 0);
                assert!(g.bytes() <= i64::MAX as u64 && g.bytes() >> g.lba_shift == g.blocks);
                assert_eq!(g.lba_size(), 1 << g.lba_shift);
                assert!(!g.replaces(&g));
                let (id, _) = IdentifyNamespace::ref_from_prefix(&page).expect("4096 bytes");
                let format = id.format().expect("usable");
                assert_eq!(format.lbads, g.lba_shift);
            }
            Namespace::Unusable(why) => assert!(!why.to_string().is_empty()),
            Namespace::Absent => {}
        }
    }
    let ids = NamespaceIds::new(bytes);
    let total: usize = ids.map(|(_, id)| 4 + id.len()).sum();
    assert!(total <= bytes.len());
}

fn controller(input: &mut Input<'_>) {
    let maxphys = input.u32();
    let [mdts, mpsmin, aerl, elpe] = input.array();
    let limit = limits::max_transfer(maxphys, mdts, limits::mpsmin(input.u64()) | mpsmin & 15);
    assert!(limit <= maxphys && (limit != 0 || maxphys == 0));
    assert!((1..=aer::MAX_SLOTS).contains(&aer::slots(aerl)));
    let (entries, queues) = (input.u32(), input.u32());
    assert!(limits::sim_depth(entries, queues) >= 1);
    let (cpu, cpus) = (input.u32(), input.u32());
    assert!(spread::queue_of_cpu(cpu, cpus, queues) < queues.max(1));
    while !input.is_empty() {
        if let Some(page) = Event::parse(input.u32()).log_page(elpe) {
            assert!(page.len != 0 && page.len <= aer::LOG_PAGE_LEN);
        }
        assert_ne!(aer::configuration(input.u32(), input.u32()), 0);
    }
}

fn walk(input: &mut Input<'_>) {
    let nn = input.u32();
    let mut walk = Walk::new(nn);
    let mut count = 0;
    for _ in 0..PAGES {
        // Pages of full length, counting up from a number of the input's, and then what the input has.
        let (first, filled) = (input.u32(), usize::from(input.u16() % 1025));
        let mut page = [0; 4096];
        for (i, entry) in page.chunks_exact_mut(4).take(filled).enumerate() {
            entry.copy_from_slice(&first.wrapping_add(i as u32).to_le_bytes());
        }
        let tail = input.take(64);
        let at = (filled * 4).min(page.len() - tail.len());
        page[at..at + tail.len()].copy_from_slice(tail);
        loop {
            let last = walk.last();
            match walk.step(&page) {
                Ok(Step::Active(nsid)) => {
                    assert!(nsid > last && nsid <= nn);
                    count += 1;
                    assert!(count <= MAX_NAMESPACES);
                }
                Ok(Step::NextPage) => break,
                Ok(Step::Done) | Err(_) => return,
            }
        }
    }
}

/// What an input is about, by its first byte.
pub mod kind {
    /// Identify Namespace and its descriptors.
    pub const NAMESPACE: u8 = 0;
    /// Numbers of Identify Controller, and events.
    pub const CONTROLLER: u8 = 1;
    /// An active namespace list.
    pub const LIST: u8 = 2;
    /// A Changed Namespace List.
    pub const CHANGED: u8 = 3;
}

/// Runs the target.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() % 4 {
        kind::NAMESPACE => namespace(input.rest()),
        kind::CONTROLLER => {
            if let Ok((id, _)) = IdentifyController::ref_from_prefix(input.rest()) {
                let _ = (id.max_transfer(15), id.max_in_capsule());
            }
            controller(&mut input);
        }
        kind::LIST => walk(&mut input),
        _ => {
            if let Changed::Some(ids) = aer::changed(input.rest()) {
                assert!(ids.take(1 << 16).all(|nsid| nsid != 0));
            }
        }
    }
}
