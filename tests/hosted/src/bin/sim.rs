// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Simulations: one here, or many in processes of their own.

use std::process::ExitCode;
use std::sync::atomic::Ordering;
use std::time::Instant;

use hosted::sim::alloc::{self, Failing};
use hosted::sim::campaign::{Campaign, Outcome, total};
use hosted::sim::net::{self, Harm, Strike};
use hosted::sim::plan::{Plan, Trouble};
use hosted::sim::{self, sched, tables, workload};

const USAGE: &str = "\
usage: sim --seeds FIRST..END [--jobs N]   one simulation per seed
       sim --seed N                        one, in this process
       sim --kind KIND N                   N of one kind of trouble: Guided, NoMemory, ...
       sim --sites                         each allocation that may fail, does
       sim --segments [STEP]               each end restarts at every STEPth segment
       sim --bytes [STEP]                  connections break at every STEPth byte
With --stop in front none is started after the first that fails.
Environment: SIM_TRACE shows the schedule, HOSTED_VERBOSE the console,
SIM_TABLES names a file for the states and events that met.";

/// What one simulation differs in from the plan of its seed.
#[derive(Default)]
struct Special {
    site: Option<(usize, u64)>,
    restart: Option<(u64, bool)>,
    strike: Option<Strike>,
    small: bool,
    trouble: Option<Trouble>,
}

fn harm(name: &str) -> Option<Harm> {
    Some(match name {
        "flip" => Harm::Flip,
        "reset" => Harm::Reset,
        "truncate" => Harm::Truncate,
        "silence" => Harm::Silence,
        _ => return None,
    })
}

fn special(args: &[&str]) -> Option<Special> {
    let mut s = Special::default();
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        let mut number = || args.next()?.parse::<u64>().ok();
        match arg {
            "--small" => s.small = true,
            "--kind" => s.trouble = Some(Trouble::named(args.next()?)?),
            "--fail-site" => s.site = Some((number()? as usize, number()?)),
            "--restart" => s.restart = Some((number()?, number()? != 0)),
            "--strike" => {
                let (link, down, at) = (number()? as usize, number()? != 0, number()?);
                let harm = harm(args.next()?)?;
                s.strike = Some(Strike {
                    link,
                    down,
                    at,
                    harm,
                });
            }
            _ => return None,
        }
    }
    Some(s)
}

/// Runs one seed in this process; a failure ends it.
fn one(seed: u64, special: &Special) {
    sim::set_seed(seed);
    std::panic::set_hook(Box::new(|info| {
        eprintln!("{info}\n{}", sim::short_backtrace());
        sim::say_how_to_repeat();
        std::process::abort();
    }));
    // A simulation that does not end is stuck in one step.
    // SAFETY: no preconditions.
    unsafe { libc::alarm(120) };
    let mut plan = if special.small {
        Plan::small(seed)
    } else if let Some(trouble) = special.trouble {
        Plan::with(seed, trouble)
    } else {
        Plan::of(seed)
    };
    if let Some((number, times)) = special.site {
        plan.failing = Failing::Site { number, times };
    }
    if let Some((segment, host)) = special.restart {
        plan.restart_once(segment, host);
    }
    net::set_strikes(special.strike.into_iter().collect());
    if std::env::var_os("HOSTED_VERBOSE").is_some() {
        eprintln!("{plan:#?}");
    }
    let config = plan.sched;
    let (tally, trace) = sched::simulate(config, || workload::run(plan));
    let (links, segments, harmed) = net::counts();
    let (sites, refused) = alloc::counts();
    let get = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
    let mut numbers: Vec<(String, u64)> = [
        ("hash", trace.hash),
        ("steps", trace.steps),
        ("threads", trace.threads as u64),
        ("jumps", trace.jumps),
        ("microseconds", trace.time_us),
        ("good", get(&tally.good)),
        ("bad", get(&tally.bad)),
        ("connects", get(&tally.connects)),
        ("connections", links as u64),
        ("segments", segments),
        ("harmed", harmed),
        ("sites", sites as u64),
        ("refused", refused),
    ]
    .map(|(k, v)| (k.to_owned(), v))
    .into();
    numbers.extend(tables::numbers());
    if special.small {
        for (link, down, sent) in net::traffic() {
            numbers.push((format!("sent:{link}:{}", u8::from(down)), sent));
        }
    }
    let text: Vec<String> = numbers.iter().map(|(k, v)| format!("{k} {v}")).collect();
    println!("ok {}", text.join(" "));
}

fn strings(args: &[&str]) -> Vec<String> {
    args.iter().map(|s| s.to_string()).collect()
}

/// Runs all, says which failed, and adds up.
fn many(c: &Campaign, what: &str, all: &[Vec<String>]) -> bool {
    let start = Instant::now();
    let mut failed = 0;
    let outcomes = c.run(all, |o: &Outcome| {
        if let Err(e) = &o.result {
            failed += 1;
            println!("FAILED: sim {}", o.args.join(" "));
            let lines = e
                .lines()
                .filter(|l| !l.trim_start().starts_with("at /rustc"));
            for line in lines.take(40) {
                println!("    {line}");
            }
        }
    });
    let sum = total(&outcomes);
    let get = |k: &str| sum.get(k).copied().unwrap_or(0);
    println!(
        "{what}: {} simulations in {:.1} s, {failed} failed; {} operations ({} with an error), \
         {} connections, {} times harm, {} allocations refused, {} jumps of the clock, \
         {} steps, {:.0} s of virtual time",
        outcomes.len(),
        start.elapsed().as_secs_f64(),
        get("good") + get("bad"),
        get("bad"),
        get("connections"),
        get("harmed"),
        get("refused"),
        get("jumps"),
        get("steps"),
        get("microseconds") as f64 / 1e6,
    );
    if let Some(path) = std::env::var_os("SIM_TABLES")
        && let Err(e) = std::fs::write(&path, tables::report(&sum))
    {
        println!("{}: {e}", path.display());
        return false;
    }
    failed == 0
}

fn of_kind(c: &Campaign, kind: &str, count: usize) -> Option<bool> {
    Trouble::named(kind)?;
    let one = |n: usize| strings(&["--seed", &n.to_string(), "--kind", kind]);
    Some(many(c, kind, &(0..count).map(one).collect::<Vec<_>>()))
}

fn small(more: &[String]) -> Vec<String> {
    let mut args = strings(&["--seed", "1", "--small"]);
    args.extend_from_slice(more);
    args
}

fn base(c: &Campaign, more: &[String]) -> Option<sim::campaign::Numbers> {
    let mut outcomes = c.run(&[small(more)], |_| ());
    match outcomes.pop()?.result {
        Ok(n) => Some(n),
        Err(e) => {
            println!("{e}");
            None
        }
    }
}

fn sites(c: &Campaign) -> Option<bool> {
    let n = base(c, &strings(&["--fail-site", "1000000", "1"]))?;
    let count = n.get("sites").copied()?;
    let mut all = Vec::new();
    for site in 0..count {
        for times in [1, 20] {
            let args = ["--fail-site".into(), site.to_string(), times.to_string()];
            all.push(small(&args));
        }
    }
    Some(many(c, &format!("{count} allocation sites"), &all))
}

fn segments(c: &Campaign, step: usize) -> Option<bool> {
    let n = base(c, &[])?;
    let count = n.get("segments").copied()?;
    let mut all = Vec::new();
    for segment in (1..=count).step_by(step) {
        for host in ["0", "1"] {
            all.push(small(&[
                "--restart".into(),
                segment.to_string(),
                host.into(),
            ]));
        }
    }
    Some(many(c, &format!("{count} segments"), &all))
}

fn bytes(c: &Campaign, step: usize) -> Option<bool> {
    let n = base(c, &[])?;
    let mut all = Vec::new();
    let mut count = 0;
    for (k, sent) in n {
        let Some((link, down)) = k.strip_prefix("sent:").and_then(|k| k.split_once(':')) else {
            continue;
        };
        count += sent;
        for (i, at) in (0..=sent).step_by(step).enumerate() {
            let harm = ["reset", "truncate", "silence"][i % 3];
            let args = ["--strike", link, down, &at.to_string(), harm];
            all.push(small(&strings(&args)));
        }
    }
    Some(many(c, &format!("{count} bytes, each {step}th"), &all))
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let mut args: Vec<&str> = args.iter().map(String::as_str).collect();
    let stop = args.first() == Some(&"--stop");
    if stop {
        args.remove(0);
    }
    let campaign = Campaign {
        program: std::env::current_exe().unwrap_or_default(),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        stop,
    };
    let step = |s: &str| s.parse::<usize>().ok().filter(|n| *n != 0);
    let done = match args[..] {
        ["--seed", n, ref more @ ..] => match (n.parse(), special(more)) {
            (Ok(seed), Some(s)) => {
                one(seed, &s);
                Some(true)
            }
            _ => None,
        },
        ["--seeds", range] => seeds(&campaign, range),
        ["--seeds", range, "--jobs", n] => step(n).and_then(|jobs| {
            let c = Campaign { jobs, ..campaign };
            seeds(&c, range)
        }),
        ["--kind", kind, n] => step(n).and_then(|n| of_kind(&campaign, kind, n)),
        ["--sites"] => sites(&campaign),
        ["--segments"] => segments(&campaign, 1),
        ["--segments", n] => step(n).and_then(|n| segments(&campaign, n)),
        ["--bytes"] => bytes(&campaign, 1),
        ["--bytes", n] => step(n).and_then(|n| bytes(&campaign, n)),
        _ => None,
    };
    match done {
        Some(true) => ExitCode::SUCCESS,
        Some(false) => ExitCode::FAILURE,
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn seeds(c: &Campaign, range: &str) -> Option<bool> {
    let (first, end) = range.split_once("..")?;
    let (first, end) = (first.parse::<u64>().ok()?, end.parse().ok()?);
    let all: Vec<_> = (first..end)
        .map(|n| strings(&["--seed", &n.to_string()]))
        .collect();
    Some(many(c, &format!("seeds {range}"), &all))
}
