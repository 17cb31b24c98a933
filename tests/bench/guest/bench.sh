# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# Functions for measuring, read by the guest's login shell.  The driver calls
# one after the other and reads what they print.

PATH=/sbin:/bin:/usr/sbin:/usr/bin
T=/tmp/t/t
OUT=/tmp/out
W=/tmp/w
. $T/lib.sh

LUN_SIZE=67108864

# Modules, a RAM disk that keeps its data, and a controller that listens.
bench_up() {
	load_all && lun 0 ramdisk $LUN_SIZE 512 && start_nvmfd -g -G
}

# bench_connect ARGUMENTS: the disk is there when this returns.
bench_connect() {
	connect "$@" && until_true have_disks 1 && DISK=$(disks)
}

bench_disconnect() {
	disconnect_all && until_true no_association && until_true have_disks 0
}

# Where each file of the kernel is: "FILE ADDRESS".
bench_files() {
	kldstat | awk 'NR > 1 { print "FILE", $5, $3 }'
}

# bench_load ARGUMENTS: one run of the load generator.
bench_load() {
	bounded 300 $T/loadgen -f /dev/$DISK "$@"
}
