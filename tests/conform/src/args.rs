// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The command line.

use std::time::Duration;

/// What `--help` and mistakes show.
pub const USAGE: &str = "\
usage: nvme-tcp-conform controller ADDR:PORT [options]   play a host against a controller
       nvme-tcp-conform host ADDR:PORT [options]         listen, and play a controller against a host
       nvme-tcp-conform controller|host --list           the cases

  --case GLOB            only cases whose names match, as 'header.*'
  --junit FILE           write JUnit XML
  --quiet                show only cases that do not pass
  --patience MS          how long to wait for what must come (3000)
  --linger MS            how long a connection may last after a fatal error (35000)
  --hostnqn NQN          the host's name, or the only host that is served
  --subnqn NQN           the subsystem (controller: the first that discovery tells)

 controller:
  --discovery-nqn NQN    the discovery subsystem (the well-known one)
  --denied-hostnqn NQN   a host that must be refused, if there is one
  --storm N              connections of the cases that open many (1000)
  --read-only            no case writes; else the first namespace is OVERWRITTEN

 host:
  --run COMMAND          make the host connect once: run by sh for every association, with
                         ADDR, PORT and NQN in its environment; without it the host must
                         connect again by itself whenever its connection ended
  --wait MS              how long to wait for a connection (20000)

Exit status: 0 if no case failed, 1 if one did, 2 if nothing could be tried.
";

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Args {
    /// Play a controller.
    pub host: bool,
    /// The address, unless only a list is wanted.
    pub addr: Option<String>,
    /// Show the cases.
    pub list: bool,
    /// Which cases.
    pub case: String,
    /// Where JUnit XML goes.
    pub junit: Option<String>,
    /// Show only what does not pass.
    pub quiet: bool,
    /// How long to wait for what must come.
    pub patience: Duration,
    /// How long a connection may last after a fatal error.
    pub linger: Duration,
    /// The host's name.
    pub hostnqn: Option<String>,
    /// The subsystem.
    pub subnqn: Option<String>,
    /// The discovery subsystem.
    pub discovery: String,
    /// A host that must be refused.
    pub denied: Option<String>,
    /// Connections of the cases that open many.
    pub storm: usize,
    /// No case writes.
    pub read_only: bool,
    /// Makes the host connect.
    pub run: Option<String>,
    /// How long to wait for a connection.
    pub wait: Duration,
}

impl Args {
    /// Reads the command line; an empty error asks for help.
    pub fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut words = words.peekable();
        let host = match words.next().as_deref() {
            Some("controller") => false,
            Some("host") => true,
            None | Some("--help" | "-h") => return Err(String::new()),
            Some(w) => return Err(format!("{w:?} is neither \"controller\" nor \"host\"")),
        };
        let mut a = Args {
            host,
            addr: words.next_if(|w| !w.starts_with('-')),
            list: false,
            case: "*".into(),
            junit: None,
            quiet: false,
            patience: Duration::from_secs(3),
            linger: Duration::from_secs(35),
            hostnqn: None,
            subnqn: None,
            discovery: "nqn.2014-08.org.nvmexpress.discovery".into(),
            denied: None,
            storm: 1000,
            read_only: false,
            run: None,
            wait: Duration::from_secs(20),
        };
        while let Some(w) = words.next() {
            let mut value = || words.next().ok_or(format!("{w} needs a value"));
            let number = |v: String, max: u64| match v.parse::<u64>() {
                Ok(n) if (1..=max).contains(&n) => Ok(n),
                _ => Err(format!("{w}: {v:?} is not a number from 1 to {max}")),
            };
            let nqn = |v: String| match v.len() {
                1..=223 => Ok(v),
                n => Err(format!("{w}: {n} bytes are no NQN")),
            };
            match (w.as_str(), host) {
                ("--list", _) => a.list = true,
                ("--quiet", _) => a.quiet = true,
                ("--case", _) => a.case = value()?,
                ("--junit", _) => a.junit = Some(value()?),
                ("--patience", _) => a.patience = Duration::from_millis(number(value()?, 600_000)?),
                ("--linger", _) => a.linger = Duration::from_millis(number(value()?, 600_000)?),
                ("--hostnqn", _) => a.hostnqn = Some(nqn(value()?)?),
                ("--subnqn", _) => a.subnqn = Some(nqn(value()?)?),
                ("--discovery-nqn", false) => a.discovery = nqn(value()?)?,
                ("--denied-hostnqn", false) => a.denied = Some(nqn(value()?)?),
                ("--storm", false) => a.storm = number(value()?, 1_000_000)? as usize,
                ("--read-only", false) => a.read_only = true,
                ("--run", true) => a.run = Some(value()?),
                ("--wait", true) => a.wait = Duration::from_millis(number(value()?, 3_600_000)?),
                ("--help" | "-h", _) => return Err(String::new()),
                _ => return Err(format!("{w:?} is not an option here")),
            }
        }
        if a.addr.is_none() && !a.list {
            return Err("an address is missing".into());
        }
        Ok(a)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, String> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn mistakes_are_told() {
        for (line, part) in [
            ("target 1:2", "neither"),
            ("controller", "missing"),
            ("controller 1:2 --case", "needs a value"),
            ("controller 1:2 --patience 0", "not a number"),
            ("controller 1:2 --storm many", "not a number"),
            ("controller 1:2 --run x", "not an option"),
            ("host 1:2 --read-only", "not an option"),
            ("host 1:2 extra", "not an option"),
        ] {
            let e = parse(line).expect_err(line);
            assert!(e.contains(part), "{line}: {e}");
        }
        assert_eq!(parse("").expect_err("help"), "");
        assert_eq!(parse("host --help").expect_err("help"), "");
    }

    #[test]
    fn options_are_read() {
        let a =
            parse("controller [::1]:4420 --case header.* --storm 7 --read-only").expect("right");
        assert_eq!(a.addr.as_deref(), Some("[::1]:4420"));
        assert_eq!(
            (a.case.as_str(), a.storm, a.read_only),
            ("header.*", 7, true)
        );
        let a = parse("host --list").expect("right");
        assert!(a.host && a.list && a.addr.is_none());
    }
}
