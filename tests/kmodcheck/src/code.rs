// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! What the instructions and the compilers' stack reports say.

use crate::elf::{self, Elf};

/// Looks through `llvm-objdump -d --no-show-raw-insn` output for instructions
/// that kernel code must not have.
pub fn instructions(disassembly: &str) -> Vec<String> {
    let mut function = "?";
    let mut count = 0;
    let mut found = Vec::new();
    for line in disassembly.lines() {
        if let Some(name) = line.strip_suffix(">:").and_then(|l| l.split_once('<')) {
            function = name.1;
            continue;
        }
        let Some((address, text)) = line.split_once(':') else {
            continue;
        };
        if !address.trim().bytes().all(|b| b.is_ascii_hexdigit()) || address.trim().is_empty() {
            continue;
        }
        let text = text.trim();
        count += 1;
        if let Some(why) = forbidden(text) {
            found.push(format!("{function}: {why}: {}", text.replace('\t', " ")));
        }
    }
    if count == 0 {
        found.push("the disassembly has no instructions".into());
    }
    found
}

fn forbidden(text: &str) -> Option<&'static str> {
    let (mnemonic, operands) = text.split_once([' ', '\t']).unwrap_or((text, ""));
    // objdump's note on the target of an operand is not an operand.
    let operands = operands.split(['<', '#']).next().unwrap_or("");
    if text.contains("<unknown>") {
        return Some("not an instruction");
    }
    if ["%xmm", "%ymm", "%zmm"]
        .iter()
        .any(|r| operands.contains(r))
    {
        return Some("SSE or AVX");
    }
    if mnemonic.starts_with('f') || operands.contains("%st") {
        return Some("x87");
    }
    let mmx = operands
        .split("%mm")
        .skip(1)
        .any(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    if mmx || mnemonic == "emms" || mnemonic.ends_with("mxcsr") {
        return Some("MMX or SSE state");
    }
    // Interrupts run on this stack: nothing may live below its pointer.
    if operands.contains("(%rsp") && !mnemonic.starts_with("lea") && below_stack(operands) {
        return Some("red zone");
    }
    None
}

fn below_stack(operands: &str) -> bool {
    operands.match_indices("(%rsp").any(|(at, _)| {
        let displacement = operands[..at].rsplit([' ', '\t', ',', '*', ':']).next();
        displacement.is_some_and(|d| d.starts_with('-'))
    })
}

/// A function's frame as the compiler reported it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Frame {
    pub size: u64,
    pub function: String,
}

fn uleb128(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut value = 0u64;
    for (i, b) in bytes.iter().enumerate().take(9) {
        value |= u64::from(b & 0x7f) << (7 * i);
        if b & 0x80 == 0 {
            return Some((value, i + 1));
        }
    }
    None
}

/// The frames in the file's `.stack_sizes` sections, largest first.
pub fn frames(elf: &Elf<'_>) -> Result<Vec<Frame>, String> {
    let mut out = Vec::new();
    for (index, section) in elf.sections.iter().enumerate() {
        if section.name != ".stack_sizes" {
            continue;
        }
        let mut relocations = Vec::new();
        for r in elf
            .sections
            .iter()
            .filter(|s| s.kind == elf::SHT_RELA && s.info == index)
        {
            relocations.extend(elf.relocations(r).map_err(|e| e.to_string())?);
        }
        let mut at = 0;
        while at < section.data.len() {
            let rest = section
                .data
                .get(at + 8..)
                .ok_or("a short .stack_sizes entry")?;
            let (size, len) = uleb128(rest).ok_or("a bad .stack_sizes entry")?;
            let function = relocations
                .iter()
                .find(|r| r.offset == at as u64)
                .and_then(|r| name(elf, r))
                .unwrap_or("?")
                .to_string();
            out.push(Frame { size, function });
            at += 8 + len;
        }
    }
    out.sort_by(|a, b| b.cmp(a));
    Ok(out)
}

fn name<'a>(elf: &Elf<'a>, r: &elf::Rela) -> Option<&'a str> {
    let symbol = elf.symbols.get(r.symbol)?;
    if symbol.kind != elf::STT_SECTION {
        return Some(symbol.name);
    }
    elf.symbols
        .iter()
        .find(|s| {
            s.kind == elf::STT_FUNC
                && s.shndx == symbol.shndx
                && s.value == symbol.value.wrapping_add(r.addend)
        })
        .map(|s| s.name)
}

/// The frames over `limit`, or the lack of any report.
pub fn large_frames(frames: &[Frame], limit: u64) -> Vec<String> {
    if frames.is_empty() {
        return vec!["no stack sizes were reported".into()];
    }
    frames
        .iter()
        .filter(|f| f.size > limit)
        .map(|f| format!("{}: a frame of {} bytes", f.function, f.size))
        .collect()
}

#[cfg(test)]
#[path = "code_test.rs"]
mod tests;
