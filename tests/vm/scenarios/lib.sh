# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# Functions that the scenarios share.  A scenario's standard output goes to a
# log; only cases and notes go to the console, because a serial port is slow.

NVMF_RUST=${NVMF_RUST-}
NQN=nqn.2014-08.org.nvmexpress:vmtest
PORT=4420
DISCOVERY=8009
: ${WAIT:=60}

say() {
	echo "$*"
	echo "$*" > /dev/console
}

note() {
	say "NOTE $*"
}

ok() {
	echo "CASE $1 ok" >> $OUT/cases.txt
	say "CASE $1 ok"
}

fail() {
	_name=$1
	shift
	echo "CASE $_name FAIL $*" >> $OUT/cases.txt
	say "CASE $_name FAIL $*"
}

# check NAME COMMAND...: ok if the command succeeds; its output is the log.
check() {
	_case=$1
	shift
	if "$@" > $OUT/$_case.log 2>&1; then
		ok $_case
	else
		fail $_case "$(tail -n 1 $OUT/$_case.log)"
		return 1
	fi
}

# Poll until a command succeeds, for at most $WAIT seconds.
until_true() {
	_end=$(($(date +%s) + WAIT))
	until "$@" > /dev/null 2>&1; do
		if [ $(date +%s) -ge $_end ]; then
			echo "not within $WAIT s: $*"
			return 1
		fi
		sleep 0.1
	done
}

process_gone() {
	! kill -0 $1 2>/dev/null
}

# bounded SECONDS COMMAND...: a command that must not take longer.
bounded() {
	_limit=$1
	shift
	timeout -k 5 $_limit "$@"
}

#
# Modules.
#
module_file() {
	case $1 in
	transport)	echo nvmf_transport ;;
	tcp)		echo nvmf_tcp ;;
	host)		echo nvmf ;;
	target)		echo nvmft ;;
	esac
}

is_rust() {
	case " $NVMF_RUST " in
	*" $1 "*)	return 0 ;;
	esac
	return 1
}

module_path() {
	if is_rust $1; then
		echo /tmp/t/rust/$(module_file $1).ko
	else
		echo /boot/kernel/$(module_file $1).ko
	fi
}

loaded() {
	kldstat -q -n $(module_file $1).ko
}

# Load the named modules from where NVMF_RUST says; the transport comes first
# so that no dependency is resolved from the module path.
load() {
	for _m in "$@"; do
		if [ $_m = target ]; then
			kldload -n ctl || return 1
		fi
		loaded $_m && continue
		kldload $(module_path $_m) || return 1
	done
}

unload() {
	for _m in "$@"; do
		loaded $_m || continue
		# The base system's transport cannot be unloaded.
		[ $_m = transport ] && ! is_rust transport && continue
		kldunload $(module_file $_m) || return 1
	done
}

load_all() {
	load transport tcp host target
}

unload_all() {
	unload target host tcp transport
}

#
# The controller side: CTL LUNs and nvmfd(8) in kernel mode.
#
# lun ID BACKEND SIZE BLOCKSIZE: file-backed for "block", else a RAM disk.
lun() {
	if [ $2 = block ]; then
		[ -f $W/lun$1 ] || truncate -s $3 $W/lun$1 || return 1
		ctladm create -b block -o file=$W/lun$1 -B $4 -l $1 \
		    -S SERIAL$1 -d DEVICE$1
	else
		ctladm create -b ramdisk -s $3 -o capacity=$3 -B $4 -l $1 \
		    -S SERIAL$1 -d DEVICE$1
	fi
}

remove_lun() {
	ctladm remove -b $1 -l $2
}

listening() {
	netstat -an -p tcp | grep -q "[.]$1 .*LISTEN"
}

both_listening() {
	listening $PORT && listening $DISCOVERY
}

# Extra arguments allow digests and so on.
start_nvmfd() {
	nvmfd -d -K -F -p $PORT -P $DISCOVERY -n $NQN "$@" \
	    > $OUT/nvmfd.log 2>&1 &
	NVMFD=$!
	until_true both_listening
}

stop_nvmfd() {
	[ -n "$NVMFD" ] || return 0
	kill $NVMFD
	until_true process_gone $NVMFD || return 1
	NVMFD=
	until_true port_gone
}

port_gone() {
	! ctladm portlist -f nvmf 2>/dev/null | grep -q nvmf
}

#
# The host side.
#
# The disk of a namespace: CAM probes namespaces side by side, so that a disk's
# number does not say which one it is.
disk_of() {
	camcontrol devlist | sed -nE "s/.* lun $1 \\(.*(nda[0-9]+).*/\\1/p"
}

disks() {
	ls /dev | grep '^nda[0-9]*$' | sort
}

have_disks() {
	[ $(disks | wc -l) -eq $1 ]
}

no_controller() {
	! ls /dev/nvme[0-9]* > /dev/null 2>&1
}

connect() {
	bounded 60 nvmecontrol connect "$@" 127.0.0.1:$PORT $NQN
}

disconnect_all() {
	bounded 60 nvmecontrol disconnect-all
}

no_association() {
	! ctladm nvlist | grep -q '^ *[0-9]'
}

# Nodes, disks and the controller's side end one after the other.  What comes
# next would meet what is left: a disk that is going, or another controller ID.
host_gone() {
	no_controller && have_disks 0
}

both_gone() {
	host_gone && no_association
}

#
# What must come back to where it was.
#
kernel_messages() {
	dmesg -c
}

# said PATTERN...: the kernel has printed a line of each, since kernel_messages.
said() {
	for _line in "$@"; do
		dmesg | grep -q "$_line" || return 1
	done
}

# Allocations of our malloc types: "type inuse memuse" per line.
malloc_use() {
	vmstat -m | awk '{
		for (i = 1; i <= NF; i++)
			if ($i ~ /^(nvmf|nvmft|nvmf_tcp|nvmf_xport|nvmf_transport)$/)
				print $i, $(i + 1), $(i + 2)
	}'
}

# mbufs, packets and clusters that someone holds: "zone used" per line.  A
# packet that is cached free keeps its cluster, which the cluster zone counts as
# used.
mbuf_use() {
	vmstat -z | awk -F'[:,]' '$1 ~ /^mbuf/ {
		gsub(/ /, "", $4); gsub(/ /, "", $5)
		used[$1] = $4
		if ($1 == "mbuf_packet")
			cached = $5
	}
	END {
		for (z in used)
			print z, used[z] - (z == "mbuf_cluster" ? cached : 0)
	}' | sort
}

# KiB that the network holds now.
network_kb() {
	netstat -m | awk '/bytes allocated to network/ {
		split($1, f, "/"); sub(/K/, "", f[1]); print f[1]
	}'
}

# Whatever a failed scenario left behind, so that the next one can start.
cleanup() {
	no_controller || disconnect_all
	until_true host_gone
	stop_nvmfd
	for _l in $(ctladm devlist 2>/dev/null | awk '$1 ~ /^[0-9]+$/ { print $2 ":" $1 }'); do
		ctladm remove -b ${_l%%:*} -l ${_l##*:}
	done
}
