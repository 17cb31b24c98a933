#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Copyright (c) 2026 The nvmf-rs authors
#
# run.sh BINDIR [OUTDIR]: every case against our controller and our host, each
# in a process of its own, over loopback.  Reports go to OUTDIR.
set -eu
bin=$1
out=${2:-.}
nqn=nqn.2026-11.org.example:hosted
mkdir -p "$out"
pid=
trap 'test -z "$pid" || kill "$pid" 2>/dev/null || :' EXIT

# The address that a program listening on port 0 prints.
address() {
	for _ in $(seq 100); do
		at=$(sed -n 's/^controller .* on \(127[0-9.:]*\).*/\1/p' "$1")
		test -z "$at" || { echo "$at"; return; }
		sleep 0.1
	done
	cat "$1" >&2
	return 1
}

# What ended must have left nothing behind: it says so by its status.
finish() {
	wait "$pid" || { echo "$1 ended with status $?" >&2; status=1; }
	pid=
}

status=0
"$bin/demo" --target --listen 127.0.0.1:0 --nqn $nqn --size 16 >"$out/controller.log" 2>&1 &
pid=$!
at=$(address "$out/controller.log")
"$bin/nvme-tcp-conform" controller "$at" --subnqn $nqn --quiet --linger 5000 \
	--junit "$out/conform-controller.xml" || status=1
kill -INT "$pid"
finish "the controller"

"$bin/nvme-tcp-conform" host 127.0.0.1:0 --subnqn $nqn --quiet --patience 2000 \
	--junit "$out/conform-host.xml" >"$out/host.log" 2>&1 &
tool=$!
at=$(address "$out/host.log")
"$bin/rounds" "$at" --nqn $nqn &
pid=$!
wait $tool || status=1
cat "$out/host.log"
kill -INT "$pid" 2>/dev/null || :
finish "the host"
exit $status
