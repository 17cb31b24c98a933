// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! `nvme-tcp-conform`: see the library.

use std::cell::OnceCell;
use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;

use conform::args::{Args, USAGE};
use conform::bench::Bench;
use conform::case::{Problem, matches};
use conform::dial::Target;
use conform::honest::Honest;
use conform::report::{self, Record, Totals};
use conform::{controller, host};

const HOSTNQN: &str = "nqn.2014-08.org.nvmexpress:uuid:5b5b5b5b-5b5b-4b5b-9b5b-5b5b5b5b5b5b";

fn resolve(addr: &str) -> Result<SocketAddr, String> {
    let mut all = addr.to_socket_addrs().map_err(|e| format!("{addr}: {e}"))?;
    all.next().ok_or(format!("{addr}: no address"))
}

fn why(p: Problem) -> String {
    match p {
        Problem::Fail(e) | Problem::Skip(e) => e,
    }
}

fn show(quiet: bool, r: &Record) {
    if !quiet || r.outcome.is_err() {
        println!("{}", report::text(r));
        let _ = std::io::stdout().flush();
    }
}

fn against_controller(a: &Args, addr: SocketAddr) -> Result<Vec<Record>, String> {
    let mut t = Target {
        addr,
        subnqn: a.subnqn.clone().unwrap_or_default(),
        discovery: a.discovery.clone(),
        hostnqn: a.hostnqn.clone().unwrap_or(HOSTNQN.into()),
        denied: a.denied.clone(),
        patience: a.patience,
        linger: a.linger,
        read_only: a.read_only,
        storm: a.storm,
        survey: OnceCell::new(),
    };
    if a.subnqn.is_none() {
        t.subnqn = controller::first_subsystem(&t)
            .map_err(|e| format!("no subsystem is known, give --subnqn: {}", why(e)))?;
    }
    let s = t.explore().map_err(|e| format!("{addr}: {}", why(e)))?;
    let text = |from: usize, to: usize| {
        let s = String::from_utf8_lossy(&s.id[from..to]).into_owned();
        s.trim_matches(['\0', ' ']).to_owned()
    };
    println!(
        "controller  {} at {addr}: model {:?}, firmware {:?}",
        t.subnqn,
        text(24, 64),
        text(64, 72)
    );
    match s.disk {
        Some(d) => println!(
            "            namespace {}, {} blocks of {} bytes",
            d.nsid, d.blocks, d.block
        ),
        None => println!("            no active namespace"),
    }
    let _ = t.survey.set(s);
    Ok(controller::run(&t, &a.case, |r| show(a.quiet, r)))
}

const SUBNQN: &str = "nqn.2026-11.org.example:hosted";

fn against_host(a: &Args, addr: SocketAddr) -> Result<Vec<Record>, String> {
    let subnqn = a.subnqn.clone().unwrap_or(SUBNQN.into());
    let honest = Honest::new(subnqn.clone(), a.hostnqn.clone());
    let times = [a.wait, a.patience, a.linger];
    let b = Bench::new(addr, honest, a.run.clone(), times).map_err(|e| format!("{addr}: {e}"))?;
    println!("controller  {subnqn} on {}", b.addr);
    let _ = std::io::stdout().flush();
    match b.survives() {
        Ok(s) => println!("host        {s} before the first case"),
        Err(e) => return Err(format!("without any fault: {}", why(e))),
    }
    Ok(host::run(&b, &a.case, |r| show(a.quiet, r)))
}

fn run(a: &Args) -> Result<ExitCode, String> {
    let abouts: Vec<_> = if a.host {
        host::all().map(|c| c.about).collect()
    } else {
        controller::all().map(|c| c.about).collect()
    };
    if !abouts.iter().any(|c| matches(&a.case, c.name)) {
        return Err(format!("no case matches {:?}", a.case));
    }
    if a.list {
        for c in abouts.iter().filter(|c| matches(&a.case, c.name)) {
            println!("{}", report::listed(c));
        }
        return Ok(ExitCode::SUCCESS);
    }
    let addr = resolve(a.addr.as_deref().unwrap_or_default())?;
    let records = if a.host {
        against_host(a, addr)?
    } else {
        against_controller(a, addr)?
    };
    let suite = if a.host { "host" } else { "controller" };
    if let Some(file) = &a.junit {
        std::fs::write(file, report::junit(suite, &records)).map_err(|e| format!("{file}: {e}"))?;
    }
    let totals = Totals::of(&records);
    println!("{totals}");
    Ok(if totals.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn main() -> ExitCode {
    let a = match Args::parse(std::env::args().skip(1)) {
        Ok(a) => a,
        Err(e) => {
            if !e.is_empty() {
                eprintln!("nvme-tcp-conform: {e}");
            }
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    run(&a).unwrap_or_else(|e| {
        eprintln!("nvme-tcp-conform: {e}");
        ExitCode::from(2)
    })
}
