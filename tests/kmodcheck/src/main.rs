// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! The link gate: checks that a .ko is one that the FreeBSD amd64 kernel
//! linker takes and that its code keeps the rules of kernel code.

#![forbid(unsafe_code)]

mod code;
mod elf;
mod rules;

use std::collections::BTreeSet;
use std::error::Error;
use std::process::ExitCode;

const USAGE: &str = "usage: kmodcheck [--limit BYTES] [--top N] --sets A,B --allow FILE \
    --export FILE --unstripped FILE --disassembly FILE FILE.ko";

/// The command line.
#[derive(Default)]
struct Options {
    limit: u64,
    top: usize,
    sets: String,
    allow: String,
    export: String,
    unstripped: String,
    disassembly: String,
    file: String,
}

impl Options {
    fn parse(mut args: impl Iterator<Item = String>) -> Option<Self> {
        let mut o = Self {
            limit: 1024,
            top: 8,
            ..Self::default()
        };
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--limit" => o.limit = args.next()?.parse().ok()?,
                "--top" => o.top = args.next()?.parse().ok()?,
                "--sets" => o.sets = args.next()?,
                "--allow" => o.allow = args.next()?,
                "--export" => o.export = args.next()?,
                "--unstripped" => o.unstripped = args.next()?,
                "--disassembly" => o.disassembly = args.next()?,
                _ if arg.starts_with('-') || !o.file.is_empty() => return None,
                _ => o.file = arg,
            }
        }
        let complete = [&o.allow, &o.export, &o.unstripped, &o.disassembly, &o.file];
        complete.iter().all(|s| !s.is_empty()).then_some(o)
    }
}

/// The first word of each line that is not a comment.
fn names(text: &str) -> BTreeSet<&str> {
    text.lines()
        .filter_map(|l| l.split('#').next().unwrap_or("").split_whitespace().next())
        .collect()
}

fn read(path: &str) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|e| format!("{path}: {e}"))
}

fn text(path: &str) -> Result<String, String> {
    String::from_utf8(read(path)?).map_err(|e| format!("{path}: {e}"))
}

fn sizes(elf: &elf::Elf<'_>) -> String {
    let sum = |pick: &dyn Fn(&elf::Section<'_>) -> bool| -> u64 {
        elf.sections
            .iter()
            .filter(|s| s.is_alloc() && pick(s))
            .map(|s| s.size)
            .sum()
    };
    let exec = |s: &elf::Section<'_>| s.flags & elf::SHF_EXECINSTR != 0;
    let write = |s: &elf::Section<'_>| s.flags & elf::SHF_WRITE != 0;
    let bss = |s: &elf::Section<'_>| s.kind == elf::SHT_NOBITS;
    format!(
        "text {} rodata {} data {} bss {}",
        sum(&exec),
        sum(&|s| !exec(s) && !write(s) && !bss(s)),
        sum(&|s| write(s) && !bss(s)),
        sum(&bss)
    )
}

fn run(o: &Options) -> Result<Vec<String>, Box<dyn Error>> {
    let (file, full) = (read(&o.file)?, read(&o.unstripped)?);
    let (allow, export) = (text(&o.allow)?, text(&o.export)?);
    let module = elf::Elf::parse(&file)?;
    let expect = rules::Expect {
        allow: names(&allow),
        export: names(&export),
        sets: o.sets.split(',').filter(|s| !s.is_empty()).collect(),
    };
    let mut found = rules::check(&module, &expect);
    found.extend(code::instructions(&text(&o.disassembly)?));
    let frames = code::frames(&elf::Elf::parse(&full)?)?;
    found.extend(code::large_frames(&frames, o.limit));

    println!("{}: {}", o.file, sizes(&module));
    println!(
        "  {} undefined symbols, {} functions; largest frames:",
        rules::undefined_names(&module).len(),
        frames.len()
    );
    for f in frames.iter().take(o.top) {
        println!("  {:6} {}", f.size, f.function);
    }
    let unused = rules::unused_allowances(&module, &expect.allow);
    if !unused.is_empty() {
        println!("  allowed but not used: {}", unused.join(" "));
    }
    Ok(found)
}

fn main() -> ExitCode {
    let Some(options) = Options::parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(found) if found.is_empty() => {
            println!("  ok");
            ExitCode::SUCCESS
        }
        Ok(found) => {
            for f in &found {
                println!("  FAIL: {f}");
            }
            ExitCode::FAILURE
        }
        Err(e) => {
            println!("{}: {e}", options.file);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_skip_comments_and_reasons() {
        let set = names("# why\nmalloc\n\n  free   # because\n");
        assert_eq!(set.into_iter().collect::<Vec<_>>(), ["free", "malloc"]);
    }

    #[test]
    fn options_need_every_file() {
        let parse = |s: &str| Options::parse(s.split(' ').map(String::from));
        let all = "--allow a --export e --unstripped u --disassembly d x.ko";
        assert!(parse(all).is_some_and(|o| o.limit == 1024 && o.file == "x.ko"));
        assert!(parse("--allow a x.ko").is_none());
        assert!(parse(&format!("{all} --bogus")).is_none());
    }
}
