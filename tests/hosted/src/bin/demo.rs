// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The modules at work in one process: a controller with a LUN in memory and
//! one in a file, a host that discovers it, connects, writes and verifies.

use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hosted::blockdev::SparseFile;
use hosted::cam::Disk;
use hosted::ctl::{self, Lun, Style};
use hosted::system::{self, Port};
use hosted::userland::{self, Association, DISCOVERY_NQN, Daemon, Options};
use hosted::{Kernel, cdev, newbus};

const USAGE: &str = "\
usage: demo [options]                both ends, over loopback
       demo --target [options]       the controller alone, until interrupted
       demo --host ADDR [options]    the host alone

  --listen ADDR   where the controller listens (127.0.0.1:0; alone 127.0.0.1:4420)
  --advertise IP  what the discovery service calls that address, if hosts see another
  --nqn NQN       the subsystem's name (a host asks the discovery service)
  --seconds N     how long to write and read, each (3)
  --size MIB      size of each LUN (64)
  --file PATH     where the second LUN is, and stays (a file that is removed)
  --block KIB     size of a transfer (64)
  --threads N     threads that keep one transfer each under way (8)
  --queues N      I/O queues (2)
  --hdgst         header digests
  --ddgst         data digests

A controller alone takes SIGUSR1: LUN 2 comes, or goes again.
";

struct Args {
    target: bool,
    host: Option<String>,
    listen: Option<String>,
    advertise: Option<String>,
    file: Option<PathBuf>,
    nqn: Option<String>,
    seconds: u64,
    size: usize,
    block: usize,
    threads: u64,
    options: Options,
}

fn parse() -> Result<Args, String> {
    let mut a = Args {
        target: false,
        host: None,
        listen: None,
        advertise: None,
        file: None,
        nqn: None,
        seconds: 3,
        size: 64,
        block: 64,
        threads: 8,
        options: Options::default(),
    };
    let mut words = std::env::args().skip(1);
    while let Some(w) = words.next() {
        let mut value = || words.next().ok_or(format!("{w} needs a value"));
        let number = |v: String, max: u64| match v.parse::<u64>() {
            Ok(n) if (1..=max).contains(&n) => Ok(n),
            _ => Err(format!("{w}: {v:?} is not a number from 1 to {max}")),
        };
        match w.as_str() {
            "--target" => a.target = true,
            "--host" => a.host = Some(value()?),
            "--listen" => a.listen = Some(value()?),
            "--advertise" => a.advertise = Some(value()?),
            "--file" => a.file = Some(value()?.into()),
            "--nqn" => a.nqn = Some(value()?),
            "--seconds" => a.seconds = number(value()?, 86_400)?,
            "--size" => a.size = number(value()?, 65_536)? as usize,
            "--block" => a.block = number(value()?, 1024)? as usize,
            "--threads" => a.threads = number(value()?, 256)?,
            "--queues" => a.options.queues = number(value()?, 64)? as u16,
            "--hdgst" => a.options.hdgst = true,
            "--ddgst" => a.options.ddgst = true,
            "--help" | "-h" => return Err(String::new()),
            _ => return Err(format!("{w:?} is not an option")),
        }
    }
    if a.target && a.host.is_some() {
        return Err("--target and --host exclude each other".into());
    }
    if (a.size << 10) / a.block < a.threads as usize {
        return Err("--size is too small for that many threads".into());
    }
    Ok(a)
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn interrupt(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// LUN 2 is to come, or to go.
static SPARE: AtomicBool = AtomicBool::new(false);

extern "C" fn toggle(_: libc::c_int) {
    SPARE.store(true, Ordering::Relaxed);
}

struct Target {
    port: Port,
    daemon: Daemon,
    /// A file that goes with it.
    temporary: Option<PathBuf>,
}

impl Target {
    fn start(a: &Args) -> Result<Self, String> {
        let nqn = a.nqn.clone().unwrap_or(a.options.subnqn.clone());
        let bytes = a.size << 20;
        let file = a.file.clone().unwrap_or_else(|| {
            std::env::temp_dir().join(format!("nvmf-rs-demo-{}.img", std::process::id()))
        });
        let disk =
            SparseFile::open(&file, bytes).map_err(|e| format!("{}: {e}", file.display()))?;
        ctl::add_lun(0, Lun::new(bytes, Style::default()));
        ctl::add_lun(1, Lun::over(Arc::new(disk), Style::default()));
        let port = Port::create(&nqn, &[("serial", "HOSTED")])?;
        let alone = if a.target {
            "127.0.0.1:4420"
        } else {
            "127.0.0.1:0"
        };
        let listen = a.listen.as_deref().unwrap_or(alone);
        let daemon = Daemon::start_as(listen, a.advertise.as_deref(), 3, &nqn)
            .map_err(|e| format!("{listen}: {e}"))?;
        println!("controller  {nqn} on {}", daemon.addr);
        println!("            LUN 0: {} MiB of memory", a.size);
        println!("            LUN 1: {} MiB in {}", a.size, file.display());
        let temporary = a.file.is_none().then_some(file);
        Ok(Target {
            port,
            daemon,
            temporary,
        })
    }

    fn stop(self) -> Result<(), String> {
        self.port.remove()?;
        drop(self.daemon);
        ctl::remove_lun(0);
        ctl::remove_lun(1);
        if let Some(file) = &self.temporary {
            let _ = std::fs::remove_file(file);
        }
        Ok(())
    }
}

fn text(field: &[u8]) -> String {
    String::from_utf8_lossy(field)
        .trim_matches(['\0', ' '])
        .to_owned()
}

fn pattern(seed: u64, out: &mut [u8]) {
    let mut x = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for w in out.chunks_mut(8) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        w.copy_from_slice(&x.to_le_bytes()[..w.len()]);
    }
}

fn percentile(sorted: &[u32], p: f64) -> u32 {
    let at = (sorted.len().saturating_sub(1)) as f64 * p / 100.0;
    sorted.get(at.round() as usize).copied().unwrap_or(0)
}

/// Writes all blocks of a disk again and again, or reads and compares them.
fn phase(a: &Args, disk: &Disk, write: bool, seconds: u64) -> Result<(), String> {
    let len = (a.block << 10).min(disk.max_io());
    let blocks = disk.blocks * u64::from(disk.block) / len as u64;
    let (bytes, ops) = (AtomicU64::new(0), AtomicU64::new(0));
    let latencies = Mutex::new(Vec::new());
    let failure: Mutex<Option<String>> = Mutex::new(None);
    let start = Instant::now();
    let end = start + Duration::from_secs(seconds);
    let name = if write { "write" } else { "verify" };
    let running = AtomicU64::new(a.threads);
    std::thread::scope(|s| {
        for t in 0..a.threads {
            let (bytes, ops, latencies, failure) = (&bytes, &ops, &latencies, &failure);
            let running = &running;
            s.spawn(move || {
                let mut mine = Vec::new();
                let mut expected = vec![0; len];
                let mut at = t;
                let mut passes = 0;
                // The first pass covers everything, however long it takes.
                while (Instant::now() < end || passes == 0) && !INTERRUPTED.load(Ordering::Relaxed)
                {
                    pattern(at, &mut expected);
                    let lba = at * len as u64 / u64::from(disk.block);
                    let begin = Instant::now();
                    let result = if write {
                        disk.write(lba, expected.clone()).map(|()| true)
                    } else {
                        disk.read(lba, len).map(|data| data == expected)
                    };
                    mine.push(begin.elapsed().as_micros() as u32);
                    let problem = match result {
                        Ok(true) => None,
                        Ok(false) => Some(format!("block {lba} is not what was written")),
                        Err(e) => Some(format!("block {lba}: {e:?}")),
                    };
                    if let (Some(p), Ok(mut f)) = (problem, failure.lock()) {
                        f.get_or_insert(p);
                        break;
                    }
                    bytes.fetch_add(len as u64, Ordering::Relaxed);
                    ops.fetch_add(1, Ordering::Relaxed);
                    at += a.threads;
                    if at >= blocks {
                        at = t;
                        passes += 1;
                    }
                }
                if let Ok(mut all) = latencies.lock() {
                    all.extend(mine);
                }
                running.fetch_sub(1, Ordering::Relaxed);
            });
        }
        let live = std::io::stdout().is_terminal();
        while running.load(Ordering::Relaxed) != 0 {
            std::thread::sleep(Duration::from_millis(100));
            let elapsed = start.elapsed().as_secs_f64();
            if live {
                let rate = bytes.load(Ordering::Relaxed) as f64 / elapsed / 1048576.0;
                print!("\r{name:>10}  {elapsed:5.1} s  {rate:8.1} MiB/s ");
                let _ = std::io::stdout().flush();
            }
        }
        if live {
            print!("\r");
        }
    });
    if let Ok(Some(p)) = failure.into_inner() {
        return Err(format!("{name} failed: {p}"));
    }
    let elapsed = start.elapsed().as_secs_f64();
    let mut all = latencies.into_inner().unwrap_or_default();
    all.sort_unstable();
    println!(
        "{name:>10}  {:8.1} MiB/s  {:8.0} IOPS  latency \u{b5}s: median {}, 99 % {}, 99.9 % {}, worst {}",
        bytes.into_inner() as f64 / elapsed / 1048576.0,
        ops.into_inner() as f64 / elapsed,
        percentile(&all, 50.0),
        percentile(&all, 99.0),
        percentile(&all, 99.9),
        all.last().copied().unwrap_or(0),
    );
    Ok(())
}

fn host(a: &Args, addr: SocketAddr) -> Result<(), String> {
    let mut o = a.options.clone();
    o.subnqn = match &a.nqn {
        Some(nqn) => nqn.clone(),
        None => {
            let found = userland::discover(addr, &o).map_err(|e| format!("discovery: {e}"))?;
            println!("discovery   {DISCOVERY_NQN}: {} entries", found.len());
            for e in &found {
                println!("            {} at {}:{}", e.subnqn, e.traddr, e.trsvcid);
            }
            let first = found.into_iter().next();
            first
                .ok_or("the discovery service knows no subsystem")?
                .subnqn
        }
    };
    let before = newbus::devices();
    let assoc = Association::connect(addr, &o).map_err(|e| format!("connect: {e}"))?;
    let id = assoc.cdata.clone();
    let ioc = sys::ffi::NVRS_IOC_HANDOFF_HOST.into();
    cdev::ioctl_list("nvmf", ioc, &assoc.packed())
        .map_err(|e| format!("handoff: errno {}", e.code()))?;
    drop(assoc);
    let new = newbus::devices().into_iter().find(|d| !before.contains(d));
    let (dev, description) = new.ok_or("no device appeared")?;
    println!("host        {dev}: <{description}>");
    println!(
        "            model {:?}, serial {:?}, firmware {:?}",
        text(&id[24..64]),
        text(&id[4..24]),
        text(&id[64..72])
    );
    let on = |b| if b { "on" } else { "off" };
    println!(
        "            header digests {}, data digests {}",
        on(o.hdgst),
        on(o.ddgst)
    );
    let mut found = 0;
    let mut result = Ok(());
    for nsid in 1..=2 {
        let wait = Duration::from_secs(if nsid == 1 { 10 } else { 1 });
        let Some(disk) = hosted::cam::wait_disk(&dev, nsid, wait) else {
            continue;
        };
        found += 1;
        println!(
            "disk        namespace {nsid}: {} MiB, blocks of {} bytes",
            (disk.blocks * u64::from(disk.block)) >> 20,
            disk.block
        );
        result = phase(a, &disk, true, a.seconds)
            .and_then(|()| disk.flush().map_err(|e| format!("flush: {e:?}")))
            .and_then(|()| phase(a, &disk, false, a.seconds));
        if result.is_err() || INTERRUPTED.load(Ordering::Relaxed) {
            break;
        }
    }
    system::disconnect_all().map_err(|e| format!("disconnect: errno {}", e.code()))?;
    result?;
    if found == 0 {
        return Err("the controller has no namespace".into());
    }
    if INTERRUPTED.load(Ordering::Relaxed) {
        println!("interrupted");
    } else {
        println!("done        everything was read as it was written");
    }
    Ok(())
}

fn run(a: &Args) -> Result<(), String> {
    if let Some(addr) = &a.host {
        let mut all = addr.to_socket_addrs().map_err(|e| format!("{addr}: {e}"))?;
        let addr = all.next().ok_or(format!("{addr}: no address"))?;
        return host(a, addr);
    }
    let target = Target::start(a)?;
    let result = if a.target {
        println!("            until interrupted");
        let mut spare = false;
        while !INTERRUPTED.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
            if SPARE.swap(false, Ordering::Relaxed) {
                spare = !spare;
                if spare {
                    ctl::add_lun(2, Lun::new(a.size << 20, Style::default()));
                } else {
                    ctl::remove_lun(2);
                }
            }
        }
        if spare {
            ctl::remove_lun(2);
        }
        Ok(())
    } else {
        host(a, target.daemon.addr)
    };
    target.stop()?;
    result
}

fn main() -> ExitCode {
    let a = match parse() {
        Ok(a) => a,
        Err(e) => {
            if !e.is_empty() {
                eprintln!("demo: {e}");
            }
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let handlers: [(_, extern "C" fn(libc::c_int)); 3] = [
        (libc::SIGINT, interrupt),
        (libc::SIGTERM, interrupt),
        (libc::SIGUSR1, toggle),
    ];
    for (signal, handler) in handlers {
        // SAFETY: the handlers only set a flag.
        unsafe { libc::signal(signal, handler as libc::sighandler_t) };
    }
    let kernel = Kernel::boot_all();
    let result = run(&a);
    match result {
        Ok(()) => {
            // Nothing may be left behind.
            kernel.shutdown();
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("demo: {e}");
            // What is left does not matter any more.
            std::mem::forget(kernel);
            ExitCode::FAILURE
        }
    }
}
