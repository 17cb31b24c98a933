// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! One file that passes, and for each rule one that breaks it alone.

use super::*;
use crate::elf::*;

/// A section to be written.
struct Part {
    name: String,
    kind: u32,
    flags: u64,
    align: u64,
    link: u32,
    info: u32,
    data: Vec<u8>,
}

/// Builds relocatable files.
pub struct Builder {
    kind: u16,
    sections: Vec<Part>,
    symbols: Vec<(String, u8, u16, u64)>,
}

const WEAK: u8 = 2;

impl Builder {
    pub fn new() -> Self {
        Self {
            kind: ET_REL,
            sections: Vec::new(),
            symbols: vec![(String::new(), 0, 0, 0)],
        }
    }

    fn push(&mut self, name: &str, kind: u32, align: u64, data: &[u8]) -> &mut Part {
        self.sections.push(Part {
            name: name.into(),
            kind,
            flags: 0,
            align,
            link: 0,
            info: 0,
            data: data.into(),
        });
        self.sections.last_mut().unwrap()
    }

    /// Adds a section and returns its index.
    pub fn section(&mut self, name: &str, kind: u32, flags: u64, align: u64, data: &[u8]) -> u16 {
        self.push(name, kind, align, data).flags = flags;
        self.sections.len() as u16
    }

    pub fn relocation(&mut self, target: u16, offset: u64, kind: u32, symbol: u64, addend: u64) {
        let mut data = Vec::new();
        for v in [offset, symbol << 32 | u64::from(kind), addend] {
            data.extend(v.to_le_bytes());
        }
        self.push(".rela", SHT_RELA, 8, &data).info = u32::from(target);
    }

    /// Adds a symbol and returns its index.
    pub fn symbol(&mut self, name: &str, binding: u8, kind: u8, shndx: u16, value: u64) -> u64 {
        self.symbols
            .push((name.into(), binding << 4 | kind, shndx, value));
        self.symbols.len() as u64 - 1
    }

    pub fn build(mut self) -> Vec<u8> {
        let mut strings = vec![0];
        let mut table = Vec::new();
        for (name, info, shndx, value) in &self.symbols {
            table.extend((strings.len() as u32).to_le_bytes());
            strings.extend(name.bytes().chain([0]));
            table.extend([*info, 0]);
            table.extend(shndx.to_le_bytes());
            table.extend(value.to_le_bytes());
            table.extend(0u64.to_le_bytes());
        }
        let link = self.sections.len() as u32 + 2;
        self.push(".symtab", SHT_SYMTAB, 8, &table).link = link;
        self.push(".strtab", 3, 1, &strings);
        self.push(".shstrtab", 3, 1, &[]);
        let names = self.sections.iter().flat_map(|s| s.name.bytes().chain([0]));
        let names: Vec<u8> = names.collect();
        self.sections.last_mut().unwrap().data = names;

        let mut body = vec![0u8; 64];
        let mut headers = vec![0u8; 64];
        let mut name = 0u32;
        for s in &self.sections {
            for v in [name, s.kind] {
                headers.extend(v.to_le_bytes());
            }
            for v in [s.flags, 0, body.len() as u64, s.data.len() as u64] {
                headers.extend(v.to_le_bytes());
            }
            for v in [s.link, s.info] {
                headers.extend(v.to_le_bytes());
            }
            for v in [s.align, 0] {
                headers.extend(v.to_le_bytes());
            }
            if s.kind != SHT_NOBITS {
                body.extend(&s.data);
            }
            name += s.name.len() as u32 + 1;
        }
        let shoff = body.len() as u64;
        let count = self.sections.len() as u16 + 1;
        body.extend(headers);
        body[..6].copy_from_slice(b"\x7fELF\x02\x01");
        body[16..18].copy_from_slice(&self.kind.to_le_bytes());
        body[18..20].copy_from_slice(&EM_X86_64.to_le_bytes());
        body[40..48].copy_from_slice(&shoff.to_le_bytes());
        body[60..62].copy_from_slice(&count.to_le_bytes());
        body[62..64].copy_from_slice(&(count - 1).to_le_bytes());
        body
    }
}

const AX: u64 = SHF_ALLOC | SHF_EXECINSTR;
const AW: u64 = SHF_ALLOC | SHF_WRITE;

/// A module that keeps every rule; the text is section 1, the data section 4.
fn good() -> Builder {
    let mut b = Builder::new();
    b.section(".text", SHT_PROGBITS, AX, 16, &[0x90; 4096]);
    b.section(".rodata", SHT_PROGBITS, SHF_ALLOC, 1, &[0; 4096]);
    b.section("set_sysinit_set", SHT_PROGBITS, AW, 8, &[0; 16]);
    b.section(".data", SHT_PROGBITS, AW, 16, &[0; 8]);
    b.section(".bss", SHT_NOBITS, AW, 4096, &[0; 100]);
    let malloc = b.symbol("malloc", 1, 0, SHN_UNDEF, 0);
    b.symbol("__start_set_sysinit_set", WEAK, 0, SHN_UNDEF, 0);
    b.symbol("nvmf_entry", 1, STT_FUNC, 1, 0);
    b.symbol("local", STB_LOCAL, STT_FUNC, 1, 16);
    for kind in [0, 1, 2, 4, 11] {
        b.relocation(1, 0, kind, malloc, 0);
    }
    b
}

fn verdict(b: Builder) -> Vec<String> {
    let file = b.build();
    let expect = Expect {
        allow: ["malloc", "free"].into(),
        export: ["nvmf_entry"].into(),
        sets: vec!["set_sysinit_set"],
    };
    check(&Elf::parse(&file).unwrap(), &expect)
}

/// The file is refused for one reason, and that is it.
#[track_caller]
fn refused(b: Builder, reason: &str) {
    let found = verdict(b);
    assert!(found.len() == 1 && found[0].contains(reason), "{found:?}");
}

fn without(name: &str) -> Builder {
    let mut b = good();
    let s = b.sections.iter_mut().find(|s| s.name == name).unwrap();
    s.name = ".data.other".into();
    b
}

fn with(name: &str, kind: u32, flags: u64, align: u64, len: usize) -> Builder {
    let mut b = good();
    b.section(name, kind, flags, align, &vec![0; len]);
    b
}

#[test]
fn good_module_passes() {
    assert_eq!(verdict(good()), [""; 0]);
}

#[test]
fn executable_is_refused() {
    let mut b = good();
    b.kind = 2;
    refused(b, "not a relocatable file");
}

#[test]
fn second_symbol_table_is_refused() {
    let found = verdict(with(".symtab2", SHT_SYMTAB, 0, 8, 0));
    assert_eq!(found[0], "2 symbol tables instead of one");
}

#[test]
fn gotpcrel_is_refused() {
    let mut b = good();
    b.relocation(1, 0x40, 9, 1, 0);
    refused(b, ".text+0x40: relocation type 9 to malloc");
}

#[test]
fn relocation_of_a_section_that_is_not_loaded_is_ignored() {
    let mut b = good();
    let debug = b.section(".debug_info", SHT_PROGBITS, 0, 1, &[0; 8]);
    b.relocation(debug, 0, 10, 1, 0);
    assert_eq!(verdict(b), [""; 0]);
}

#[test]
fn relocation_without_addend_is_refused() {
    let mut b = good();
    b.relocation(1, 0, 1, 1, 0);
    b.sections.last_mut().unwrap().kind = SHT_REL;
    refused(b, "without addends");
}

#[test]
fn unknown_undefined_symbol_is_refused() {
    let mut b = good();
    b.symbol("_Unwind_Resume", 1, 0, SHN_UNDEF, 0);
    refused(b, "undefined symbol _Unwind_Resume");
}

#[test]
fn end_of_a_set_that_is_not_there_is_refused() {
    let mut b = good();
    b.symbol("__stop_set_pcpu", WEAK, 0, SHN_UNDEF, 0);
    refused(b, "undefined symbol __stop_set_pcpu");
}

#[test]
fn missing_set_is_refused() {
    let found = verdict(without("set_sysinit_set"));
    assert!(
        found
            .iter()
            .any(|f| f == "linker set set_sysinit_set is missing"),
        "{found:?}"
    );
}

#[test]
fn empty_set_is_refused() {
    let mut b = good();
    b.sections[2].data.clear();
    refused(b, "is empty");
}

#[test]
fn set_twice_is_refused() {
    refused(
        with("set_sysinit_set", SHT_PROGBITS, AW, 8, 8),
        "is there 2 times",
    );
}

#[test]
fn set_of_half_pointers_is_refused() {
    let mut b = good();
    b.sections[2].data.truncate(12);
    refused(b, "not made of pointers");
}

#[test]
fn read_only_sysinit_set_is_refused() {
    let mut b = good();
    b.sections[2].flags = SHF_ALLOC;
    refused(b, "is read-only");
}

#[test]
fn unexpected_set_is_refused() {
    refused(
        with("set_sdt_probes_set", SHT_PROGBITS, SHF_ALLOC, 8, 8),
        "was not expected",
    );
}

#[test]
fn common_symbol_is_refused() {
    let mut b = good();
    b.symbol("tentative", STB_LOCAL, 1, SHN_COMMON, 8);
    refused(b, "common symbol tentative");
}

#[test]
fn unwind_tables_constructors_and_tls_are_refused() {
    for name in [
        ".eh_frame",
        ".init_array",
        ".init_array.0",
        ".fini_array",
        ".ctors",
        ".tdata",
    ] {
        refused(with(name, SHT_PROGBITS, AW, 8, 8), "must not be loaded");
    }
    refused(
        with(".mine", SHT_NOBITS, AW | SHF_TLS, 8, 8),
        "must not be loaded",
    );
    assert_eq!(verdict(with(".eh_frame", SHT_PROGBITS, 0, 8, 8)), [""; 0]);
}

#[test]
fn section_type_that_is_not_loaded_is_refused() {
    refused(with(".note", 7, SHF_ALLOC, 4, 16), "has type 7");
}

#[test]
fn alignment_over_a_page_is_refused() {
    refused(with(".big", SHT_NOBITS, AW, 8192, 8), "aligned to 8192");
    refused(with(".none", SHT_NOBITS, AW, 0, 8), "aligned to 0");
}

#[test]
fn code_that_is_writable_or_ends_within_a_page_is_refused() {
    refused(
        with(".text.w", SHT_PROGBITS, AX | AW, 16, 4096),
        "writable and executable",
    );
    refused(
        with(".text.s", SHT_PROGBITS, AX, 16, 100),
        "does not end on a page",
    );
    refused(
        with(".rodata", SHT_PROGBITS, AW, 16, 4096),
        ".rodata is writable",
    );
}

#[test]
fn missing_and_surplus_exports_are_refused() {
    let mut b = good();
    b.symbol("nvrs_helper", 1, STT_FUNC, 1, 32);
    refused(b, "nvrs_helper is global");
    let mut b = good();
    b.symbols[3].1 = STT_FUNC;
    refused(b, "nvmf_entry is not exported");
}

#[test]
fn floating_point_is_refused() {
    let mut b = good();
    b.symbol("__muldf3", STB_LOCAL, STT_FUNC, 1, 64);
    refused(b, "floating point");
}

#[test]
fn allowances_that_are_not_used_are_listed() {
    let file = good().build();
    let elf = Elf::parse(&file).unwrap();
    assert_eq!(
        unused_allowances(&elf, &["malloc", "free"].into()),
        ["free"]
    );
}

#[test]
fn damaged_files_are_errors() {
    let file = good().build();
    assert_eq!(Elf::parse(b"#!/bin/sh").unwrap_err(), Error::NotElf);
    assert!(Elf::parse(&file[..file.len() - 1]).is_err());
    let mut bad = file.clone();
    bad[40..48].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(Elf::parse(&bad).is_err());
    // Whatever byte is damaged, the reader must not panic.
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0xff;
        if let Ok(elf) = Elf::parse(&bad) {
            check(&elf, &Expect::default());
        }
    }
}
