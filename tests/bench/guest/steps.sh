# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# Functions of bench-steps, read after bench.sh.

P_KPROC=4

# The kernel's threads but the idle ones, to processor $1.  Some refuse.
steps_bind_kernel() {
	ps -axH -o lwp= -o flags= -o tdname= |
	    while read _lwp _flags _name; do
		case $_name in
		idle:*)	continue ;;
		esac
		[ $((0x$_flags & P_KPROC)) -eq 0 ] ||
		    cpuset -l $1 -t $_lwp 2>/dev/null
	done
	return 0
}

# steps_load CPUS ARGUMENTS: a run of the load generator on those processors.
steps_load() {
	_cpus=$1
	shift
	bounded 300 cpuset -l $_cpus $T/loadgen -f /dev/$DISK -b 0 "$@"
}

# steps_trace NAME CPUS ARGUMENTS: what happens during such a run.
steps_trace() {
	_name=$1
	shift
	for _m in dtrace sdt systrace profile; do
		kldload -n $_m || return 1
	done
	steps_load "$@" &
	_load=$!
	sleep 1
	bounded 60 dtrace -s $T/timeline.d -o $OUT/$_name.events
	_status=$?
	# A process's only thread has no name but the process's.
	{ ps -axH -o lwp= -o comm=; ps -axH -o lwp= -o tdname=; } \
	    > $OUT/$_name.threads
	wait $_load && return $_status
}
