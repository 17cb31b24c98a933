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

# Where each file of the kernel is, "FILE NAME ADDRESS", and the modules.
bench_files() {
	mkdir -p $OUT/files
	kldstat -v | while read _id _refs _address _size _name _path; do
		case $_path in
		"(/"*)	echo "FILE $_name $_address" ;;
		*)	continue ;;
		esac
		_path=${_path#?}
		[ $_name = kernel ] || cp ${_path%?} $OUT/files/
	done
	bench_deliver
}

# bench_load ARGUMENTS: one run of the load generator.
bench_load() {
	bounded 300 $T/loadgen -f /dev/$DISK "$@"
}

# snap NAME: what is allocated, how often anything was, and what TCP did.
bench_snap() {
	mkdir -p $OUT/snap && vmstat --libxo json -m > $OUT/snap/$1.malloc &&
	    vmstat --libxo json -z > $OUT/snap/$1.zone &&
	    netstat -s --libxo json -p tcp > $OUT/snap/$1.tcp
}

# bench_cell NAME ARGUMENTS: one run between two snapshots.
bench_cell() {
	_name=$1
	shift
	bench_snap $_name.before && echo BEGIN && bench_load "$@" &&
	    bench_snap $_name.after
}

# Context switches a second when nothing is asked for.
bench_idle() {
	_before=$(sysctl -n vm.stats.sys.v_swtch)
	sleep 2
	echo "IDLE $((($(sysctl -n vm.stats.sys.v_swtch) - _before) / 2))"
}

# Wait for disks without starting a process; sets COUNT to how many there are.
bench_disks_there() {
	_end=$(($(date +%s) + 120))
	_turns=0
	while :; do
		set -- /dev/nda[0-9]*
		COUNT=$#
		[ -e $1 ] && [ $COUNT -ge $WANT ] && return 0
		_turns=$((_turns + 1))
		[ $((_turns % 1000)) -eq 0 ] && [ $(date +%s) -ge $_end ] &&
		    return 1
	done
}

# bench_scan DISKS ARGUMENTS: seconds from the command to the last disk.  The
# kernel's lines about each would take longer on a serial port than the scan.
bench_scan() {
	WANT=$1
	shift
	sysctl -q kern.consmute=1 > /dev/null
	_from=$(date +%s.%N)
	bounded 240 nvmecontrol connect "$@" 127.0.0.1:$PORT $NQN &&
	    bench_disks_there
	_status=$?
	_to=$(date +%s.%N)
	[ $_status -eq 0 ] && DISK=nda0 && echo "SCAN $_from $_to"
}

# The end of what bench_scan began.
bench_scan_end() {
	bounded 240 nvmecontrol disconnect-all
	_status=$?
	until_true no_association && until_true have_disks 0 || _status=1
	sysctl -q kern.consmute=0 > /dev/null
	return $_status
}

# Namespaces up to a number; they share one page, nothing is written to them.
bench_namespaces() {
	_lun=1
	while [ $_lun -lt $1 ]; do
		ctladm create -b ramdisk -s 1048576 -B 512 -l $_lun \
		    > /dev/null || return 1
		_lun=$((_lun + 1))
	done
}

# All that was written down goes to the results disk.
bench_deliver() {
	tar -cf /dev/vtbd2 --format ustar -C $OUT . 2>/dev/null
}
