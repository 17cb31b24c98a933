// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

use super::*;
use crate::elf::{SHT_PROGBITS, STT_FUNC, STT_SECTION};
use crate::rules::tests::Builder;

const CLEAN: &str = "
x.ko:\tfile format elf64-x86-64

Disassembly of section .text:

0000000000000000 <good>:
       0:\tpushq\t%rbp
       1:\tmovq\t%rsp, %rbp
       4:\tleaq\t-0x20(%rsp), %rsp
       9:\tmovq\t%rax, -0x8(%rbp)
       d:\tmovq\t%rax, 0x8(%rsp)
      12:\tmovq\t%gs:0x0, %rax
      1b:\tcallq\t0x20 <_RNv4core5fixed>
      20:\tmovzbl\t(%rsp), %eax
      24:\tretq
";

fn refused(instruction: &str, reason: &str) {
    let text = format!("{CLEAN}0000000000000030 <bad>:\n      30:\t{instruction}\n");
    let found = instructions(&text);
    assert!(
        found.len() == 1 && found[0].starts_with(&format!("bad: {reason}")),
        "{instruction}: {found:?}"
    );
}

#[test]
fn clean_code_passes() {
    assert_eq!(instructions(CLEAN), [""; 0]);
}

#[test]
fn vector_and_float_instructions_are_refused() {
    refused("movups\t(%rsi), %xmm0", "SSE or AVX");
    refused("vmovdqu\t%ymm0, (%rdi)", "SSE or AVX");
    refused("vpxorq\t%zmm1, %zmm1, %zmm1", "SSE or AVX");
    refused("fldt\t0x10(%rbp)", "x87");
    refused("fadd\t%st(1), %st", "x87");
    refused("movq\t%mm0, %rax", "MMX");
    refused("emms", "MMX");
    refused("ldmxcsr\t(%rax)", "MMX or SSE state");
}

#[test]
fn red_zone_is_refused() {
    refused("movq\t%rdi, -0x8(%rsp)", "red zone");
    refused("addl\t-0x10(%rsp,%rax,4), %ecx", "red zone");
    refused("jmpq\t*-0x18(%rsp)", "red zone");
}

#[test]
fn bytes_that_are_no_instruction_are_refused() {
    refused("<unknown>", "not an instruction");
}

#[test]
fn empty_disassembly_is_refused() {
    assert_eq!(instructions("").len(), 1);
}

/// Two functions with frames of 24 and 1032 bytes, one named by its own
/// symbol and one through the section's.
fn with_frames() -> Vec<u8> {
    let mut b = Builder::new();
    let text = b.section(".text", SHT_PROGBITS, 6, 16, &[0x90; 4096]);
    let mut sizes = vec![0; 8];
    sizes.push(24);
    sizes.extend([0; 8]);
    sizes.extend([0x88, 0x08]);
    let stack = b.section(".stack_sizes", SHT_PROGBITS, 0, 1, &sizes);
    let small = b.symbol("small", 0, STT_FUNC, text, 0);
    b.symbol("large", 0, STT_FUNC, text, 64);
    let section = b.symbol("", 0, STT_SECTION, text, 0);
    b.relocation(stack, 0, 1, small, 0);
    b.relocation(stack, 9, 1, section, 64);
    b.build()
}

#[test]
fn frames_are_read_largest_first() {
    let file = with_frames();
    let frames = frames(&Elf::parse(&file).unwrap()).unwrap();
    let seen: Vec<_> = frames
        .iter()
        .map(|f| (f.size, f.function.as_str()))
        .collect();
    assert_eq!(seen, [(1032, "large"), (24, "small")]);
}

#[test]
fn large_frame_is_refused() {
    let file = with_frames();
    let frames = frames(&Elf::parse(&file).unwrap()).unwrap();
    assert_eq!(
        large_frames(&frames, 1024),
        ["large: a frame of 1032 bytes"]
    );
    assert_eq!(large_frames(&frames, 1032), [""; 0]);
}

#[test]
fn lack_of_stack_sizes_is_refused() {
    assert_eq!(large_frames(&[], 1024).len(), 1);
}

#[test]
fn short_stack_sizes_are_an_error() {
    let mut b = Builder::new();
    b.section(".stack_sizes", SHT_PROGBITS, 0, 1, &[0; 8]);
    let file = b.build();
    assert!(frames(&Elf::parse(&file).unwrap()).is_err());
}
