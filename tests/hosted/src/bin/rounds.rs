// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The host alone, again and again, for tools that judge a host by what it
//! does on the wire. At the end nothing may be left behind.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

use hosted::userland::Options;
use hosted::{Kernel, newbus, rounds};

const USAGE: &str = "\
usage: rounds ADDR:PORT [--nqn NQN]

Connects with and without digests and SQ flow control by turns, until it is
interrupted or nobody has listened for three seconds.
";

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

fn parse() -> Result<(SocketAddr, Options), String> {
    let mut o = Options {
        queues: 1,
        ..Options::default()
    };
    let mut addr = None;
    let mut words = std::env::args().skip(1);
    while let Some(w) = words.next() {
        match w.as_str() {
            "--nqn" => o.subnqn = words.next().ok_or("--nqn needs a value")?,
            "--help" | "-h" => return Err(String::new()),
            _ if w.starts_with('-') || addr.is_some() => {
                return Err(format!("{w:?} is not an option"));
            }
            _ => {
                let mut all = w.to_socket_addrs().map_err(|e| format!("{w}: {e}"))?;
                addr = all.next();
            }
        }
    }
    let addr = addr.ok_or("an address is missing")?;
    Ok((addr, o))
}

fn main() -> ExitCode {
    let (addr, o) = match parse() {
        Ok(a) => a,
        Err(e) => {
            if !e.is_empty() {
                eprintln!("rounds: {e}");
            }
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let handler: extern "C" fn(libc::c_int) = interrupt;
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: the handler only sets a flag.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    let kernel = Kernel::boot_all();
    newbus::set_fail_on_disconnection(true);
    rounds::run(addr, o, &|| INTERRUPTED.load(Ordering::Relaxed));
    newbus::set_fail_on_disconnection(false);
    kernel.shutdown();
    ExitCode::SUCCESS
}
