#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
#
# Tests under a sanitizer or under Miri.  usage: sanitize.sh asan|tsan|miri
#
#   asan  AddressSanitizer, with any compiler that ships its runtime: the hosted
#         tests and the fuzz targets' replay.
#   tsan  ThreadSanitizer, the hosted tests.  The standard library must be built
#         with it too, from source: SANITIZE_TOOLCHAIN (nightly) with rust-src.
#   miri  the unit tests of MIRI_CRATES (all that make up the modules), those
#         whose names contain MIRI_TESTS if that is set: SANITIZE_TOOLCHAIN with
#         miri.  Tests that repeat themselves do so less often there.
set -eu

cd "$(dirname "$0")/.."
which=$1
cargo=${CARGO:-cargo}
toolchain=${SANITIZE_TOOLCHAIN:-nightly}
triple=$(rustc -vV | sed -n 's/^host: //p')
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-target}/$which
export CARGO_TARGET_DIR

skip() {
	echo "$which: skipped, $*"
	exit 0
}

# A finding is to have a backtrace, and the harness of the tests unwinds.
unwind='profile.dev.panic="unwind"'

case $which in
asan)
	test -e "$(rustc --print target-libdir)/librustc-stable_rt.asan.a" ||
		ls "$(rustc --print target-libdir)"/librustc*_rt.asan.a >/dev/null 2>&1 ||
		skip 'this compiler has no runtime for it'
	export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address
	# The hosted kernel finds leaks itself; what a test's process keeps to its end is none.
	export ASAN_OPTIONS="detect_leaks=0 ${ASAN_OPTIONS:-}"
	exec "$cargo" --config "$unwind" test -q --target "$triple" -p hosted -p fuzz --tests
	;;
tsan)
	sysroot=$(rustc "+$toolchain" --print sysroot 2>/dev/null) &&
		test -e "$sysroot/lib/rustlib/src/rust/library/std/Cargo.toml" ||
		skip "no toolchain '$toolchain' with rust-src"
	export RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread
	exec "$cargo" "+$toolchain" --config "$unwind" test -q -Zbuild-std --target "$triple" -p hosted --tests
	;;
miri)
	"$cargo" "+$toolchain" miri --version >/dev/null 2>&1 || skip "no toolchain '$toolchain' with miri"
	for crate in ${MIRI_CRATES:-sys nvmf_transport nvmf_tcp nvmf nvmft}; do
		# shellcheck disable=SC2086
		"$cargo" "+$toolchain" miri test -q -p "$crate" --lib -- ${MIRI_TESTS:-}
	done
	;;
*)
	echo "usage: $0 asan|tsan|miri" >&2
	exit 2
	;;
esac
