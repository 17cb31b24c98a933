#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
#
# Brings what a Debian 12 machine needs to build the modules and lacks: clang,
# lld and LLVM's binary tools, libclang for bindgen, a Rust compiler with the
# source of its `core`, and FreeBSD's public headers.  Does nothing when all of
# it is there.  usage: deps.sh [headers-directory]
#
# With --tests it brings what the tests and the demonstration need beside
# rustup's toolchain: a C compiler (which also links), libclang and Python.  On
# a system without apt-get it does nothing: cargo says what it misses.
set -eu

install() {
	sudo=
	[ "$(id -u)" = 0 ] || sudo=sudo
	echo "deps: apt-get install $*"
	$sudo apt-get update -qq
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y \
	    --no-install-recommends "$@"
}

# A libclang that has its own headers beside it.
have_libclang() {
	[ -z "${LIBCLANG_PATH:-}" ] || return 0
	for f in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so*; do
		[ ! -e "$f" ] || ! ls "${f%/*}"/clang/*/include/stddef.h >/dev/null 2>&1 || return 0
	done
	return 1
}

if [ "${1:-}" = --tests ]; then
	command -v apt-get >/dev/null || exit 0
	missing=
	command -v cc >/dev/null || missing="$missing gcc libc6-dev"
	have_libclang || missing="$missing libclang1-19 libclang-common-19-dev"
	command -v python3 >/dev/null || missing="$missing python3"
	# shellcheck disable=SC2086
	[ -z "$missing" ] || install $missing
	exit 0
fi

here=$(dirname "$0")
headers=${1:-${XDG_CACHE_HOME:-$HOME/.cache}/nvmf-rs/freebsd-headers}

packages="clang-19 lld-19 llvm-19 libclang-19-dev libclang-common-19-dev
    rustc-web rust-web-src python3-pip"
missing=
for p in $packages; do
	case $(dpkg-query -W -f '${Status}' "$p" 2>/dev/null || :) in
	"install ok installed") ;;
	*) [ "$p" = python3-pip ] && python3 -m pip --version >/dev/null 2>&1 ||
		missing="$missing $p" ;;
	esac
done
# shellcheck disable=SC2086
[ -z "$missing" ] || install $missing

# The stamp holds the pinned version, so a new pin replaces the headers.
stamp=$headers/.requirements
if ! cmp -s "$here/requirements.txt" "$stamp" 2>/dev/null; then
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	python3 -m pip download -q --disable-pip-version-check --no-deps \
	    --only-binary :all: --platform manylinux_2_12_x86_64 \
	    --require-hashes -d "$tmp" -r "$here/requirements.txt"
	rm -rf "$headers"
	mkdir -p "$headers"
	python3 - "$tmp"/*.whl "$headers" <<'PY'
import os, sys, zipfile
wheel, out = sys.argv[1:]
roots = ("ziglang/lib/libc/include/x86_64-freebsd-none/",
         "ziglang/lib/libc/include/generic-freebsd/")
with zipfile.ZipFile(wheel) as z:
    names = [n for n in z.namelist() if n.startswith(roots) and not n.endswith("/")]
    if len(names) < 1000:
        sys.exit("the wheel has no FreeBSD headers")
    for n in names:
        path = os.path.join(out, n.removeprefix("ziglang/lib/libc/include/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(z.read(n))
PY
	cp "$here/requirements.txt" "$stamp"
fi
