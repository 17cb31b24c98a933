// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A controller that reads nothing while the host has more and more for it:
//! the sender gives the connection up, and the receiver, who waits for bytes
//! that never come, must hear of that.

use std::time::Duration;

use hosted::Kernel;
use hosted::initiator::{Data, Initiator, Params, Sent};
use hosted::pdu;
use hosted::peer::pair_with_buffer;
use hosted::responder::opcode;
use sys::Errno;

/// Of 8 KiB each: more than all socket buffers hold.
const WRITES: u16 = 1024;
/// More commands than are held for a peer that does not read.
const COMMANDS: u16 = 20_000;

#[test]
fn a_sender_that_gives_up_tells_the_receiver() {
    let k = Kernel::boot();
    let (peer, ours) = pair_with_buffer(Some(4096));
    let p = Params {
        qsize: COMMANDS.into(),
        ..Params::default()
    };
    let host = Initiator::new(&p, ours);
    let command = |cid| {
        let (op, data) = if cid < WRITES {
            (opcode::WRITE, Data::Write(vec![0; 8192]))
        } else {
            (opcode::FLUSH, Data::None)
        };
        host.send(&pdu::sqe(op, cid, 0, false), data)
    };
    let sent: Vec<Sent> = (0..COMMANDS).map(command).collect();
    assert_eq!(host.wait_error(), Some(Errno::ENOBUFS));
    assert!(host.free(sent) < Duration::from_secs(2));
    drop(peer);
    k.shutdown();
}
