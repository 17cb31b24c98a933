// SPDX-License-Identifier: BSD-2-Clause
// Copyright (c) 2026 The nvmf-rs authors

//! Generates the Rust view of the C shim from `shim/include`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

fn main() {
    let include = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("set by cargo"))
        .join("../shim/include");
    let header = include.join("nvrs.h");
    println!("cargo:rerun-if-changed={}", include.display());

    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo")).join("shim.rs");
    bindgen::builder()
        .header(header.to_str().expect("a printable path"))
        // The interface is plain LP64 C: any such target gives the same text.
        .clang_arg("--target=x86_64-unknown-linux-gnu")
        .use_core()
        .ctypes_prefix("core::ffi")
        .allowlist_function("nvrs_.*|nvmf_.*")
        .allowlist_type("nvrs_.*|nvmf_.*")
        .allowlist_var("NVRS_.*")
        .generate_cstr(true)
        .derive_copy(true)
        .layout_tests(true)
        .generate()
        .expect("shim/include/nvrs.h does not parse")
        .write_to_file(&out)
        .expect("OUT_DIR is writable");

    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        host_stubs(&out);
    }
}

/// Defines the shim's functions for unit tests on a host, which link the kernel
/// halves but never call them: each ends the test that does, by name.
fn host_stubs(bindings: &Path) {
    let text = fs::read_to_string(bindings).expect("just written");
    let mut c = String::from(
        "#include <stdio.h>\n#include <stdlib.h>\n\
         static void stub(const char *name)\n\
         { fprintf(stderr, \"%s: not on a host\\n\", name); abort(); }\n",
    );
    let declared = text.split("pub fn ").skip(1);
    for name in declared.filter_map(|s| s.split('(').next()) {
        if name.starts_with("nvrs_") || name.starts_with("nvmf_") {
            // Weak: a module's own crate defines some of them.
            let line = format!("__attribute__((weak)) void {name}(void) {{ stub(\"{name}\"); }}\n");
            c.push_str(&line);
        }
    }
    let file = bindings.with_file_name("host_stubs.c");
    fs::write(&file, c).expect("OUT_DIR is writable");
    cc::Build::new().file(&file).compile("nvrs_host_stubs");
}
