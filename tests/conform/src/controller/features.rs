// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Get Features and Set Features.

use super::cases;
use crate::case::{Outcome, Problem, Tally, check};
use crate::conn::{Conn, Reply};
use crate::dial::{Ask, Target};
use crate::judge::sc;
use crate::sqe::{Place, admin};

cases! {
    "feature.mandatory", "105", "Base 3.1.2.1.3 (Figure: feature support)", "success: Get Features of Arbitration, Power Management, Temperature Threshold, Number of Queues, Event Configuration, Keep Alive Timer"
        => mandatory;
    "feature.unknown", "105", "Base 5.15, 5.27", "status 002h: a FID that does not exist"
        => unknown;
    "feature.save", "105", "Base 5.27", "status 10dh: Save of a feature that cannot be saved"
        => save;
    "feature.queues-ffff", "105", "Base 5.27.1.5", "status 002h: 65536 queues"
        => |t| queues(t, &[0xffff_ffff, 0x0000_ffff, 0xffff_0000]);
    "feature.queues-late", "105", "Base 5.27.1.5", "status 00ch: Number of Queues after an I/O queue was connected"
        => late;
    "feature.queues-get", "105", "Base 5.15, 5.27.1.5", "Get Features tells what Set Features granted"
        => queues_get;
    "feature.keep-alive", "105", "Base 5.27.1.12", "a Keep Alive Timeout that is set is read back, rounded up at most"
        => keep_alive;
    "feature.host-id", "105", "Base 5.27.1.25", "Get Features gives the Host Identifier of the Connect"
        => host_id;
}

fn feature(c: &mut Conn, opcode: u8, cdw10: u32, cdw11: u32, len: u32) -> Result<Reply, Problem> {
    let s = c
        .sqe(opcode, 0, len, Place::Buffer)
        .cdw10(cdw10)
        .cdw11(cdw11);
    c.run(s, &[])
}

fn mandatory(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = t.admin(&Ask::default())?;
    c.ask_queues(1)?;
    for (name, fid) in [
        ("Arbitration", 0x01),
        ("Power Management", 0x02),
        ("Temperature Threshold", 0x04),
        ("Number of Queues", 0x07),
        ("Event Configuration", 0x0b),
        ("Keep Alive Timer", 0x0f),
    ] {
        let r = feature(&mut c, admin::GET_FEATURES, fid, 0, 0)?;
        tally.add(name, r.must_be(&[0]))?;
    }
    tally.outcome()
}

fn unknown(t: &Target) -> Outcome {
    let mut tally = Tally::default();
    let mut c = t.admin(&Ask::default())?;
    for fid in [0x00, 0x77, 0xbf, 0xff] {
        for (name, opcode) in [("Get", admin::GET_FEATURES), ("Set", admin::SET_FEATURES)] {
            let r = feature(&mut c, opcode, fid, 0, 0)?;
            tally.add(format!("{name} {fid:#x}"), r.must_be(&[sc::INVALID_FIELD]))?;
        }
    }
    tally.outcome()
}

fn save(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    let r = feature(&mut c, admin::SET_FEATURES, 1 << 31 | 0x0b, 0, 0)?;
    r.must_be(&[sc::NOT_SAVEABLE])
}

fn queues(t: &Target, values: &[u32]) -> Outcome {
    let mut tally = Tally::default();
    let mut c = t.admin(&Ask::default())?;
    for v in values {
        let r = feature(&mut c, admin::SET_FEATURES, 7, *v, 0)?;
        tally.add(format!("{v:#x}"), r.must_be(&[sc::INVALID_FIELD]))?;
    }
    tally.outcome()
}

fn late(t: &Target) -> Outcome {
    let (mut a, _io) = t.pair(&Ask::default())?;
    feature(&mut a, admin::SET_FEATURES, 7, 0x0001_0001, 0)?.must_be(&[sc::SEQUENCE_ERROR])
}

fn queues_get(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    let set = feature(&mut c, admin::SET_FEATURES, 7, 0x0001_0001, 0)?;
    set.must_be(&[0])?;
    let get = feature(&mut c, admin::GET_FEATURES, 7, 0, 0)?;
    get.must_be(&[0])?;
    check(get.dword() == set.dword(), || {
        format!("{:#x} was granted, {:#x} is told", set.dword(), get.dword())
    })?;
    Ok(format!("{:#x}", get.dword()))
}

fn keep_alive(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    feature(&mut c, admin::SET_FEATURES, 0x0f, 15_000, 0)?.must_be(&[0])?;
    let v = feature(&mut c, admin::GET_FEATURES, 0x0f, 0, 0)?.dword();
    let step = u32::from(t.survey()?.u16(320)).max(1) * 100;
    check((15_000..=15_000 + step).contains(&v), || {
        format!("{v} ms after 15000 ms were set")
    })?;
    Ok(format!("{v} ms"))
}

fn host_id(t: &Target) -> Outcome {
    let mut c = t.admin(&Ask::default())?;
    // EXHID: all 128 bits.
    let r = feature(&mut c, admin::GET_FEATURES, 0x81, 1, 16)?;
    r.must_be(&[0])?;
    check(r.data == [0x5b; 16], || format!("{:02x?}", r.data))?;
    Ok("as in Connect".into())
}
