// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The host alone, again and again: it connects, writes, reads, flushes and
//! disconnects, whatever comes of it. For tools that judge a host by what it
//! does on the wire. At the end nothing may be left behind.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hosted::cam::{self, Disk};
use hosted::userland::{Error, Options};
use hosted::{Kernel, newbus, system};

const USAGE: &str = "\
usage: rounds ADDR:PORT [--nqn NQN]

Connects with and without digests and SQ flow control by turns, until it is
interrupted or nobody has listened for three seconds.
";

/// How long nobody may listen.
const DESERTED: Duration = Duration::from_secs(3);

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

/// Some I/O of every kind: by R2T, by C2HData, in the capsule. What fails is
/// what a hostile controller is for; the next command shows what it left.
fn work(disk: &Disk) {
    for i in 0..3u8 {
        let _ = disk.write(0, vec![i; 20_480]);
        let _ = disk.read(0, 20_480);
        let _ = disk.write(64, vec![i; 512]);
        let _ = disk.read(64, 2048);
        let _ = disk.flush();
    }
}

fn run(addr: SocketAddr, mut o: Options) {
    let mut heard = Instant::now();
    let mut round = 0u64;
    while !INTERRUPTED.load(Ordering::Relaxed) && heard.elapsed() < DESERTED {
        o.flow_control = round % 2 == 1;
        (o.hdgst, o.ddgst) = (round % 4 != 3, round % 4 != 3);
        round += 1;
        match system::connect(addr, &o) {
            Ok(dev) => {
                heard = Instant::now();
                if let Some(disk) = cam::wait_disk(&dev, 1, Duration::from_millis(300)) {
                    work(&disk);
                }
            }
            Err(Error::Io(_)) => std::thread::sleep(Duration::from_millis(10)),
            Err(_) => heard = Instant::now(),
        }
        let _ = system::disconnect_all();
    }
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
    run(addr, o);
    newbus::set_fail_on_disconnection(false);
    kernel.shutdown();
    ExitCode::SUCCESS
}
