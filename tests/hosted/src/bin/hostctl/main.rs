// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The host as a tool steers it: one command per line on the standard input,
//! one line of answer each, that begins with `ok` or `error`.

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hosted::userland::{self, Options};
use hosted::{Kernel, cam, cdev, console, newbus, system};

mod workload;

const USAGE: &str = "\
usage: hostctl < commands

  discover ADDR [hdgst] [ddgst]         NQNs of the subsystems
  connect ADDR NQN [hdgst] [ddgst] [flow] [queues N] [kato MS] [delay S] [loss S]
                                        the device; reconnects when it must
  disks [COUNT]                         NSID:BLOCKSxBYTES of each; waits for so many
  run NSID random|sequential BLOCK DEPTH BYTES
                                        writes, reads and compares
  pass NODE OPCODE NSID CDW10 CDW11 CDW12 none | read BYTES | write HEX
                                        status and data, in hexadecimal
  reconnects                            how often a connection was made again
  messages                              what the kernel printed since
  disconnect                            lets go of all controllers
";

/// What was connected, for those who connect again.
type Known = Arc<Mutex<Option<(SocketAddr, Options)>>>;

struct Host {
    known: Known,
    device: String,
    reconnects: Arc<AtomicU32>,
}

fn number(s: &str) -> Result<u64, String> {
    let parsed = match s.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => s.parse(),
    };
    parsed.map_err(|_| format!("{s:?} is no number"))
}

fn narrow<T: TryFrom<u64>>(s: &str) -> Result<T, String> {
    T::try_from(number(s)?).map_err(|_| format!("{s} is too large"))
}

fn address(s: &str) -> Result<SocketAddr, String> {
    s.parse().map_err(|_| format!("{s:?} is no address"))
}

fn hex(data: &[u8]) -> String {
    data.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(s: &str) -> Result<Vec<u8>, String> {
    let byte = |at: usize| {
        s.get(at..at + 2)
            .and_then(|p| u8::from_str_radix(p, 16).ok())
    };
    let bytes: Option<Vec<u8>> = (0..s.len()).step_by(2).map(byte).collect();
    bytes.ok_or("no hexadecimal bytes".into())
}

fn options<'a>(words: &mut impl Iterator<Item = &'a str>) -> Result<Options, String> {
    let mut o = Options::default();
    while let Some(w) = words.next() {
        let mut value = || words.next().ok_or(format!("{w} needs a value"));
        match w {
            "hdgst" => o.hdgst = true,
            "ddgst" => o.ddgst = true,
            "flow" => o.flow_control = true,
            "queues" => o.queues = narrow(value()?)?,
            "kato" => o.kato = narrow(value()?)?,
            "delay" => o.reconnect_delay = number(value()?)?,
            "loss" => o.loss_timeout = number(value()?)?,
            _ => return Err(format!("{w:?} is no option")),
        }
    }
    Ok(o)
}

fn lock<T>(m: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    m.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Host {
    fn connect(&mut self, addr: SocketAddr, o: Options) -> Result<String, String> {
        if lock(&self.known).is_some() {
            return Err("connected already".into());
        }
        self.device = system::connect(addr, &o).map_err(|e| e.to_string())?;
        *lock(&self.known) = Some((addr, o));
        Ok(self.device.clone())
    }

    fn disks(&self, expected: u32) -> String {
        let mut all = Vec::new();
        for nsid in 1..=16 {
            let wait = Duration::from_millis(if nsid <= expected { 5000 } else { 20 });
            if let Some(d) = cam::wait_disk(&self.device, nsid, wait) {
                all.push(format!("{nsid}:{}x{}", d.blocks, d.block));
            }
        }
        all.join(" ")
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        let [nsid, order, block, depth, bytes] = words else {
            return Err("run NSID random|sequential BLOCK DEPTH BYTES".into());
        };
        let disk = system::disk(&self.device, narrow(nsid)?).ok_or("no such disk")?;
        let job = workload::Job {
            random: match *order {
                "random" => true,
                "sequential" => false,
                _ => return Err(format!("{order:?} is no order")),
            },
            block: narrow(block)?,
            depth: narrow(depth)?,
            bytes: narrow(bytes)?,
        };
        job.run(&disk)
    }

    fn disconnect(&mut self) -> Result<String, String> {
        // From here on nobody connects again.
        *lock(&self.known) = None;
        match system::disconnect_all() {
            Ok(()) => Ok(String::new()),
            Err(e) => Err(format!("errno {}", e.code())),
        }
    }

    fn answer(&mut self, line: &str) -> Result<String, String> {
        let mut words = line.split_whitespace();
        let command = words.next().unwrap_or("");
        let mut word = || words.next().ok_or(format!("{command}: too few words"));
        match command {
            "discover" => {
                let addr = address(word()?)?;
                let o = options(&mut words)?;
                let found = userland::discover(addr, &o).map_err(|e| e.to_string())?;
                let names: Vec<String> = found.into_iter().map(|e| e.subnqn).collect();
                Ok(names.join(" "))
            }
            "connect" => {
                let (addr, subnqn) = (address(word()?)?, word()?.into());
                let o = options(&mut words)?;
                self.connect(addr, Options { subnqn, ..o })
            }
            "disks" => Ok(self.disks(words.next().map_or(Ok(1), narrow)?)),
            "run" => self.run(&words.collect::<Vec<_>>()),
            "pass" => pass(&words.collect::<Vec<_>>()),
            "reconnects" => Ok(self.reconnects.load(Ordering::Relaxed).to_string()),
            "messages" => Ok(console::take().join(" | ")),
            "disconnect" => self.disconnect(),
            _ => Err(format!("{command:?} is no command")),
        }
    }
}

/// NVME_PASSTHROUGH_CMD.
fn pass(words: &[&str]) -> Result<String, String> {
    let [
        node,
        opcode,
        nsid,
        cdw10,
        cdw11,
        cdw12,
        direction,
        rest @ ..,
    ] = words
    else {
        return Err("pass NODE OPCODE NSID CDW10 CDW11 CDW12 none|read|write".into());
    };
    let (mut buf, read) = match (*direction, rest) {
        ("none", []) => (Vec::new(), false),
        ("read", [len]) => (vec![0; narrow::<u16>(len)?.into()], true),
        ("write", [data]) => (unhex(data)?, false),
        _ => return Err("none, read BYTES or write HEX".into()),
    };
    let mut arg = [0u8; 104];
    arg[0] = narrow(opcode)?;
    arg[4..8].copy_from_slice(&narrow::<u32>(nsid)?.to_ne_bytes());
    for (at, v) in [(40, cdw10), (44, cdw11), (48, cdw12)] {
        arg[at..at + 4].copy_from_slice(&narrow::<u32>(v)?.to_ne_bytes());
    }
    let at = buf.as_mut_ptr().expose_provenance();
    arg[80..88].copy_from_slice(&at.to_ne_bytes());
    arg[88..92].copy_from_slice(&(buf.len() as u32).to_ne_bytes());
    arg[92..96].copy_from_slice(&u32::from(read).to_ne_bytes());
    cdev::ioctl(node, sys::ffi::NVRS_IOC_PASSTHROUGH.into(), &mut arg)
        .map_err(|e| format!("errno {}", e.code()))?;
    let status = u16::from_le_bytes([arg[78], arg[79]]) >> 1 & 0x7ff;
    let data = if read { hex(&buf) } else { String::new() };
    Ok(format!("{status:x} {data}").trim_end().into())
}

/// What devd(8) and `nvmecontrol reconnect` do.
fn reconnect_until(stop: &AtomicBool, known: &Known, count: &AtomicU32) {
    while !stop.load(Ordering::Acquire) {
        std::thread::sleep(Duration::from_millis(20));
        for device in newbus::take_reconnects() {
            let Some((addr, o)) = lock(known).clone() else {
                continue;
            };
            match system::reconnect(&device, addr, &o) {
                Ok(()) => {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Err(e) => eprintln!("hostctl: {device}: {e}"),
            }
        }
    }
}

fn main() -> ExitCode {
    if std::env::args().len() > 1 {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    }
    let kernel = Kernel::boot_all();
    let mut host = Host {
        known: Known::default(),
        device: String::new(),
        reconnects: Arc::default(),
    };
    let stop = AtomicBool::new(false);
    std::thread::scope(|s| {
        let (known, count) = (host.known.clone(), host.reconnects.clone());
        s.spawn(|| {
            let (known, count) = (known, count);
            reconnect_until(&stop, &known, &count);
        });
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match host.answer(&line) {
                Ok(text) => println!("{}", format!("ok {text}").trim_end()),
                Err(text) => println!("error {text}"),
            }
            let _ = std::io::stdout().flush();
        }
        let _ = host.disconnect();
        stop.store(true, Ordering::Release);
    });
    // Nothing may be left behind.
    kernel.shutdown();
    ExitCode::SUCCESS
}
