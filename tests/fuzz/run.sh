#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
#
# Builds the fuzz targets with coverage instrumentation and runs each from its
# seeds and from what earlier runs found interesting.
#
#   FUZZ_RUNS       executions per target; 0 for no limit       (200000)
#   FUZZ_SECONDS    seconds per target; 0 for no limit               (0)
#   FUZZ_TARGETS    some targets only                              (all)
#   FUZZ_SEED       0 for another series of inputs each time         (1)
#   FUZZ_SANITIZER  such as address
#   FUZZ_OUT        corpora, logs and crashes               (build/fuzz)
#   CARGO           cargo
set -eu

here=$(cd "$(dirname "$0")" && pwd)
runs=${FUZZ_RUNS:-200000}
seconds=${FUZZ_SECONDS:-0}
out=${FUZZ_OUT:-$here/../../build/fuzz}
cargo=${CARGO:-cargo}
triple=$(rustc -vV | sed -n 's/^host: //p')

skip() {
	echo "fuzz: skipped, $*"
	exit 0
}

command -v c++ >/dev/null || skip 'libFuzzer is C++ and there is no C++ compiler'

# Flags of a stable compiler, but for the sanitizer.
flags='--cfg fuzzing -Cpasses=sancov-module'
for f in level=4 inline-8bit-counters pc-table trace-compares; do
	flags="$flags -Cllvm-args=-sanitizer-coverage-$f"
done
if [ -n "${FUZZ_SANITIZER:-}" ]; then
	flags="$flags -Zsanitizer=$FUZZ_SANITIZER"
	export RUSTC_BOOTSTRAP=1
fi

mkdir -p "$out"
out=$(cd "$out" && pwd)
CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$here/../../target}/fuzz
export CARGO_TARGET_DIR

printf 'fn main() {}\n' >"$out/probe.rs"
# shellcheck disable=SC2086
rustc --edition 2024 $flags --emit=obj -o "$out/probe.o" "$out/probe.rs" 2>"$out/probe.log" ||
	skip "this compiler has no coverage instrumentation: $out/probe.log"

RUSTFLAGS=$flags "$cargo" build -q --release --target "$triple" \
    --manifest-path "$here/libfuzzer/Cargo.toml"
fuzzer=$CARGO_TARGET_DIR/$triple/release/libfuzzer
all=$(FUZZ_SEEDS=$out/seeds "$fuzzer" 2>/dev/null)

printf '%-16s %12s %10s %8s %8s  %s\n' target executions per-second edges inputs result
failed=0
for target in ${FUZZ_TARGETS:-$all}; do
	dir=$out/$target
	mkdir -p "$dir/corpus" "$dir/crashes"
	log=$dir/log
	result=clean
	start=$(date +%s%3N)
	FUZZ_TARGET=$target "$fuzzer" -runs="$([ "$runs" = 0 ] && echo -1 || echo "$runs")" \
	    -max_total_time="$seconds" -seed="${FUZZ_SEED:-1}" -max_len=4096 -timeout=10 \
	    -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$dir/crashes/" \
	    "$dir/corpus" "$out/seeds/$target" >"$log" 2>&1 || { result=FAILED; failed=1; }
	ms=$(($(date +%s%3N) - start))
	last=$(grep 'cov:' "$log" | tail -n 1)
	field() { printf '%s\n' "$last" | sed -n "s/.* $1: \([0-9]*\).*/\1/p"; }
	stat() { sed -n "s/^stat::$1: *//p" "$log"; }
	done=$(stat number_of_executed_units)
	printf '%-16s %12s %10s %8s %8s  %s\n' "$target" "$done" \
	    "$((${done:-0} * 1000 / (ms + 1)))" "$(field cov)" "$(field corp)" "$result"
	[ "$result" = clean ] || sed -n '/panicked at/,/stack backtrace/p; /Test unit written/p' "$log"
done
exit $failed
