// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the amd64 kernel linker and we demand of a module's file.

use crate::elf::{self, Elf};
use std::collections::BTreeSet;

/// What is expected of one module.
#[derive(Default)]
pub struct Expect<'a> {
    /// Names that may stay undefined.
    pub allow: BTreeSet<&'a str>,
    /// Names that must be global, and the only ones that are.
    pub export: BTreeSet<&'a str>,
    /// Linker sets that the module must have.
    pub sets: Vec<&'a str>,
}

/// Relocation types of the kernel's elf_machdep.c that compilers produce.
const RELOCATIONS: [(u32, &str); 5] = [
    (0, "NONE"),
    (1, "64"),
    (2, "PC32"),
    (4, "PLT32"),
    (11, "32S"),
];

/// The kernel linker sizes its mapping as if every section were aligned to a
/// page at most.
const MAX_ALIGN: u64 = 4096;
const PAGE: u64 = 4096;

const NO_ALLOC: [&str; 9] = [
    ".eh_frame",
    ".gcc_except_table",
    ".init_array",
    ".fini_array",
    ".preinit_array",
    ".ctors",
    ".dtors",
    ".tdata",
    ".tbss",
];

/// Helpers of compiler_builtins that only floating point needs.
const FLOAT_HELPERS: [&str; 12] = [
    "__addsf3",
    "__adddf3",
    "__subsf3",
    "__subdf3",
    "__mulsf3",
    "__muldf3",
    "__divsf3",
    "__divdf3",
    "__floatsidf",
    "__floatdidf",
    "__floatundidf",
    "__fixdfdi",
];

/// All rules that look at the file alone.
pub fn check(elf: &Elf<'_>, expect: &Expect<'_>) -> Vec<String> {
    let mut found = header(elf);
    found.extend(relocations(elf));
    found.extend(undefined(elf, &expect.allow));
    found.extend(sets(elf, &expect.sets));
    found.extend(common(elf));
    found.extend(sections(elf));
    found.extend(protections(elf));
    found.extend(exports(elf, &expect.export));
    found.extend(floats(elf));
    found
}

fn header(elf: &Elf<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if elf.kind != elf::ET_REL || elf.machine != elf::EM_X86_64 {
        found.push("not a relocatable file for amd64".into());
    }
    let tables = elf
        .sections
        .iter()
        .filter(|s| s.kind == elf::SHT_SYMTAB)
        .count();
    if tables != 1 {
        found.push(format!("{tables} symbol tables instead of one"));
    }
    if elf.sections.len() >= usize::from(elf::SHN_LORESERVE) {
        found.push("too many sections".into());
    }
    found
}

fn relocations(elf: &Elf<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for section in &elf.sections {
        let target = match elf.sections.get(section.info) {
            Some(t) if t.is_alloc() => t,
            _ => continue,
        };
        if section.kind == elf::SHT_REL {
            found.push(format!("{}: relocations without addends", section.name));
        }
        if section.kind != elf::SHT_RELA {
            continue;
        }
        match elf.relocations(section) {
            Err(e) => found.push(format!("{}: {e}", section.name)),
            Ok(list) => {
                for r in list {
                    if !RELOCATIONS.iter().any(|&(kind, _)| kind == r.kind) {
                        let name = elf.symbols.get(r.symbol).map_or("?", |s| s.name);
                        found.push(format!(
                            "{}+{:#x}: relocation type {} to {name} is not one the kernel takes",
                            target.name, r.offset, r.kind
                        ));
                    }
                }
            }
        }
    }
    found
}

/// The names that the file leaves to others.
pub fn undefined_names<'a>(elf: &Elf<'a>) -> BTreeSet<&'a str> {
    elf.symbols
        .iter()
        .skip(1)
        .filter(|s| s.shndx == elf::SHN_UNDEF)
        .map(|s| s.name)
        .collect()
}

/// The loader itself resolves the ends of a linker set that the file has.
fn is_set_end(elf: &Elf<'_>, name: &str) -> bool {
    name.strip_prefix("__start_")
        .or(name.strip_prefix("__stop_"))
        .is_some_and(|set| elf.sections.iter().any(|s| s.name == set))
}

fn undefined(elf: &Elf<'_>, allow: &BTreeSet<&str>) -> Vec<String> {
    undefined_names(elf)
        .into_iter()
        .filter(|name| !allow.contains(name) && !is_set_end(elf, name))
        .map(|name| format!("undefined symbol {name} is not in the allow-list; if the kernel has it, add it there"))
        .collect()
}

fn sets(elf: &Elf<'_>, expected: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for &set in expected {
        match elf
            .sections
            .iter()
            .filter(|s| s.name == set && s.is_alloc())
            .count()
        {
            1 => {}
            0 => found.push(format!("linker set {set} is missing")),
            n => found.push(format!("linker set {set} is there {n} times")),
        }
    }
    for s in elf.sections.iter().filter(|s| s.name.starts_with("set_")) {
        if !expected.contains(&s.name) {
            found.push(format!("linker set {} was not expected", s.name));
        }
        if s.size == 0 {
            found.push(format!("linker set {} is empty", s.name));
        }
        if s.size % 8 != 0 {
            found.push(format!("linker set {} is not made of pointers", s.name));
        }
        // The kernel sorts these two where they are.
        if matches!(s.name, "set_sysinit_set" | "set_sysuninit_set")
            && s.flags & elf::SHF_WRITE == 0
        {
            found.push(format!("linker set {} is read-only", s.name));
        }
    }
    found
}

fn common(elf: &Elf<'_>) -> Vec<String> {
    elf.symbols
        .iter()
        .filter(|s| s.shndx == elf::SHN_COMMON)
        .map(|s| format!("common symbol {}", s.name))
        .collect()
}

fn sections(elf: &Elf<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for s in elf.sections.iter().filter(|s| s.is_alloc()) {
        let forbidden = NO_ALLOC.iter().any(|n| {
            s.name
                .strip_prefix(n)
                .is_some_and(|t| t.is_empty() || t.starts_with('.'))
        });
        if forbidden || s.flags & elf::SHF_TLS != 0 {
            found.push(format!("section {} must not be loaded", s.name));
        } else if s.kind != elf::SHT_PROGBITS && s.kind != elf::SHT_NOBITS {
            found.push(format!(
                "section {} has type {}, which is not loaded",
                s.name, s.kind
            ));
        }
        if s.align > MAX_ALIGN || !s.align.is_power_of_two() {
            found.push(format!("section {} is aligned to {}", s.name, s.align));
        }
    }
    found
}

fn protections(elf: &Elf<'_>) -> Vec<String> {
    let mut found = Vec::new();
    for s in elf.sections.iter().filter(|s| s.is_alloc()) {
        let exec = s.flags & elf::SHF_EXECINSTR != 0;
        if exec && s.flags & elf::SHF_WRITE != 0 {
            found.push(format!("section {} is writable and executable", s.name));
        }
        // Sections that share a page get the union of their protections.
        if (exec || s.name == ".rodata") && s.size % PAGE != 0 {
            found.push(format!(
                "section {} does not end on a page boundary",
                s.name
            ));
        }
        if s.name == ".rodata" && s.flags & elf::SHF_WRITE != 0 {
            found.push("section .rodata is writable".into());
        }
    }
    found
}

fn exports(elf: &Elf<'_>, expected: &BTreeSet<&str>) -> Vec<String> {
    let global: BTreeSet<&str> = elf
        .symbols
        .iter()
        .filter(|s| s.binding != elf::STB_LOCAL && s.shndx != elf::SHN_UNDEF)
        .map(|s| s.name)
        .collect();
    let missing = expected.difference(&global);
    let surplus = global.difference(expected);
    missing
        .map(|n| format!("{n} is not exported"))
        .chain(surplus.map(|n| format!("{n} is global but not in the export list")))
        .collect()
}

fn floats(elf: &Elf<'_>) -> Vec<String> {
    elf.symbols
        .iter()
        .filter(|s| FLOAT_HELPERS.contains(&s.name))
        .map(|s| format!("floating point: {}", s.name))
        .collect()
}

/// Names in the allow-list that the file does not need.
pub fn unused_allowances<'a>(elf: &Elf<'_>, allow: &BTreeSet<&'a str>) -> Vec<&'a str> {
    let names = undefined_names(elf);
    allow
        .iter()
        .filter(|n| !names.contains(**n))
        .copied()
        .collect()
}

#[cfg(test)]
#[path = "rules_test.rs"]
pub mod tests;
