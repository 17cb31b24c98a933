// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! A reader for relocatable 64-bit little-endian ELF files.

use std::fmt;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, KnownLayout, Unaligned};

pub const ET_REL: u16 = 1;
pub const EM_X86_64: u16 = 62;

pub const SHT_PROGBITS: u32 = 1;
pub const SHT_SYMTAB: u32 = 2;
pub const SHT_RELA: u32 = 4;
pub const SHT_NOBITS: u32 = 8;
pub const SHT_REL: u32 = 9;

pub const SHF_WRITE: u64 = 1;
pub const SHF_ALLOC: u64 = 2;
pub const SHF_EXECINSTR: u64 = 4;
pub const SHF_TLS: u64 = 0x400;

pub const SHN_UNDEF: u16 = 0;
pub const SHN_LORESERVE: u16 = 0xff00;
pub const SHN_COMMON: u16 = 0xfff2;

pub const STB_LOCAL: u8 = 0;
pub const STT_FUNC: u8 = 2;
pub const STT_SECTION: u8 = 3;

/// The file header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Ehdr {
    ident: [u8; 16],
    kind: U16,
    machine: U16,
    version: U32,
    entry: U64,
    phoff: U64,
    shoff: U64,
    flags: U32,
    ehsize: U16,
    phentsize: U16,
    phnum: U16,
    shentsize: U16,
    shnum: U16,
    shstrndx: U16,
}

/// A section header.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Shdr {
    name: U32,
    kind: U32,
    flags: U64,
    addr: U64,
    offset: U64,
    size: U64,
    link: U32,
    info: U32,
    addralign: U64,
    entsize: U64,
}

/// A symbol table entry.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Sym {
    name: U32,
    info: u8,
    other: u8,
    shndx: U16,
    value: U64,
    size: U64,
}

/// A relocation with addend.
#[derive(FromBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct RawRela {
    offset: U64,
    info: U64,
    addend: U64,
}

/// Why a file could not be read.
#[derive(Debug, PartialEq, Eq)]
pub enum Error {
    /// Not a 64-bit little-endian ELF file.
    NotElf,
    /// Something lies outside of the file; says what.
    Truncated(&'static str),
    /// A name is not a string of its string table.
    BadName,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotElf => write!(f, "not a 64-bit little-endian ELF file"),
            Self::Truncated(what) => write!(f, "{what} lies outside of the file"),
            Self::BadName => write!(f, "a name lies outside of its string table"),
        }
    }
}

impl std::error::Error for Error {}

/// A section of the file.
#[derive(Debug)]
pub struct Section<'a> {
    pub name: &'a str,
    pub kind: u32,
    pub flags: u64,
    pub size: u64,
    pub align: u64,
    pub link: usize,
    pub info: usize,
    /// Empty where the section occupies no space in the file.
    pub data: &'a [u8],
}

impl Section<'_> {
    /// Whether the kernel linker gives the section memory.
    pub fn is_alloc(&self) -> bool {
        self.flags & SHF_ALLOC != 0
    }
}

/// A symbol of the file.
#[derive(Debug)]
pub struct Symbol<'a> {
    pub name: &'a str,
    pub binding: u8,
    pub kind: u8,
    pub shndx: u16,
    pub value: u64,
}

/// A relocation of the file.
#[derive(Debug)]
pub struct Rela {
    pub offset: u64,
    pub kind: u32,
    pub symbol: usize,
    pub addend: u64,
}

/// A relocatable file.
#[derive(Debug)]
pub struct Elf<'a> {
    pub kind: u16,
    pub machine: u16,
    pub sections: Vec<Section<'a>>,
    pub symbols: Vec<Symbol<'a>>,
}

fn string(table: &[u8], at: u32) -> Result<&str, Error> {
    let tail = table.get(at as usize..).ok_or(Error::BadName)?;
    let end = tail.iter().position(|&b| b == 0).ok_or(Error::BadName)?;
    std::str::from_utf8(&tail[..end]).map_err(|_| Error::BadName)
}

fn span<'a>(file: &'a [u8], at: u64, len: u64, what: &'static str) -> Result<&'a [u8], Error> {
    let end = at.checked_add(len).ok_or(Error::Truncated(what))?;
    file.get(at as usize..end as usize)
        .ok_or(Error::Truncated(what))
}

impl<'a> Elf<'a> {
    /// Reads section headers and the symbol table.
    pub fn parse(file: &'a [u8]) -> Result<Self, Error> {
        let (ehdr, _) = Ehdr::ref_from_prefix(file).map_err(|_| Error::NotElf)?;
        // 2: 64-bit; 1: little-endian.
        if !ehdr.ident.starts_with(b"\x7fELF\x02\x01") {
            return Err(Error::NotElf);
        }
        let count = u64::from(ehdr.shnum.get());
        let bytes = span(
            file,
            ehdr.shoff.get(),
            count * size_of::<Shdr>() as u64,
            "the section header table",
        )?;
        let headers = <[Shdr]>::ref_from_bytes(bytes)
            .map_err(|_| Error::Truncated("the section header table"))?;
        let data = |h: &Shdr| match h.kind.get() {
            SHT_NOBITS => Ok(&[][..]),
            _ => span(file, h.offset.get(), h.size.get(), "a section"),
        };
        let names = match headers.get(usize::from(ehdr.shstrndx.get())) {
            Some(h) => data(h)?,
            None => return Err(Error::Truncated("the section name table")),
        };
        let mut sections = Vec::new();
        for h in headers {
            sections.push(Section {
                name: string(names, h.name.get())?,
                kind: h.kind.get(),
                flags: h.flags.get(),
                size: h.size.get(),
                align: h.addralign.get(),
                link: h.link.get() as usize,
                info: h.info.get() as usize,
                data: if h.kind.get() == 0 { &[] } else { data(h)? },
            });
        }
        let mut symbols = Vec::new();
        if let Some(table) = sections.iter().find(|s| s.kind == SHT_SYMTAB) {
            let strings = sections
                .get(table.link)
                .ok_or(Error::Truncated("the string table"))?
                .data;
            let entries = <[Sym]>::ref_from_bytes(table.data)
                .map_err(|_| Error::Truncated("the symbol table"))?;
            for s in entries {
                symbols.push(Symbol {
                    name: string(strings, s.name.get())?,
                    binding: s.info >> 4,
                    kind: s.info & 0xf,
                    shndx: s.shndx.get(),
                    value: s.value.get(),
                });
            }
        }
        Ok(Self {
            kind: ehdr.kind.get(),
            machine: ehdr.machine.get(),
            sections,
            symbols,
        })
    }

    /// The relocations in a SHT_RELA section.
    pub fn relocations(&self, section: &Section<'_>) -> Result<Vec<Rela>, Error> {
        let raw = <[RawRela]>::ref_from_bytes(section.data)
            .map_err(|_| Error::Truncated("a relocation section"))?;
        Ok(raw
            .iter()
            .map(|r| Rela {
                offset: r.offset.get(),
                kind: r.info.get() as u32,
                symbol: (r.info.get() >> 32) as usize,
                addend: r.addend.get(),
            })
            .collect())
    }
}
