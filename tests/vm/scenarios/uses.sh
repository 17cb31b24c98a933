# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# The six uses that the FreeBSD notes on NVMe over Fabrics describe, with the
# unmodified tools.  What they and the kernel print is compared, line by line,
# with what it was when all four modules were the base system's
# (tests/vm/golden, recorded with RECORD=yes).

. $T/lib.sh

RELEASE=$(uname -r | sed 's/-.*//')

# The last lines of a new disk, of a new association and of its end.
DISK_FOUND='^nda0: .* sectors'
ASSOCIATED='^nvmft[0-9]*: associated'
TERMINATED='^nvmft[0-9]*: association terminated'

# Numbers that depend on the moment or on the machine and not on the modules.
normalise() {
	sed -E \
	    -e 's/scbus[0-9]+/scbusN/g' \
	    -e 's/targ_port [0-9]+/targ_port N/g' \
	    -e "s/$RELEASE/RELEASE/g" \
	    -e 's/disconnected for [0-9]+ seconds?/disconnected for N seconds/' \
	    -e 's/pass[0-9]+/passN/g' \
	    -e 's/[[:space:]]+$//' \
	    -e '/^[[:space:]]*$/d'
}

# run COMMAND...: show a command, its output and its status.
run() {
	echo "\$ $*"
	# In the foreground, or timeout(1) would wait for a daemon that it starts.
	timeout --foreground -k 5 60 "$@" 2>&1
	echo "status $?"
}

# The order of the nodes is that of their creation.
sysctl_names() {
	sysctl -N "$1" | sort
}

# The base system's controller sometimes closes the queues before it has sent
# the answer to the shutdown that its host asked for.
by_chance() {
	if is_rust target; then
		cat
	else
		grep -vE 'PROPERTY_SET failed|Failed to set CC to trigger shutdown'
	fi
}

# Each end by itself: which of the two is first is a matter of chance.
messages() {
	echo "kernel:"
	# An event that the controller sends while the host leaves is dropped.
	kernel_messages | grep -v 'received completion for CID' |
	    by_chance > $W/messages
	grep -E '^(nvme[0-9]|nda)' $W/messages
	grep -E '^(nvmft|NVMF|NVMe)' $W/messages
}

# use NAME FUNCTION: record a transcript and compare it.
use() {
	kernel_messages > /dev/null
	$2 > $W/$1.raw 2>&1
	normalise < $W/$1.raw > $OUT/$1.golden
	cp $W/$1.raw $OUT/
	if [ -n "$RECORD" ]; then
		ok $1
		return
	fi
	if [ ! -f /tmp/t/golden/$1.golden ]; then
		fail $1 "nothing recorded to compare with"
		return
	fi
	diff -U 2 /tmp/t/golden/$1.golden $OUT/$1.golden > $OUT/$1.log
	if grep '^[-+]' $OUT/$1.log | grep -v '^---\|^+++' |
	    grep -vxF -f /tmp/t/golden/deviations > $W/$1.diff; then
		fail $1 "$(grep -c . $W/$1.diff) lines differ: $(
		    head -n 1 $W/$1.diff)"
	else
		ok $1
	fi
}

use_discover() {
	run nvmecontrol discover 127.0.0.1:$DISCOVERY
	run nvmecontrol discover -v 127.0.0.1:$DISCOVERY
	run nvmecontrol discover 127.0.0.1
}

use_connect() {
	run nvmecontrol connect 127.0.0.1:$PORT $NQN
	until_true have_disks 1
	until_true said "$DISK_FOUND" "$ASSOCIATED"
	messages
	ls /dev | grep '^nvme'
	run nvmecontrol devlist
	run camcontrol devlist
	run diskinfo nda0
	run camcontrol identify nda0
	sysctl_names dev.nvme.0
	run dd if=/dev/nda0 of=/dev/null bs=64k count=64 status=none
	run dd if=/dev/nvme0n1 of=/dev/null bs=64k count=4 status=none
	messages
}

use_identify() {
	run nvmecontrol identify nvme0
	run nvmecontrol identify nvme0ns1
	run nvmecontrol identify -n 1 nvme0
	run nvmecontrol logpage -p 3 nvme0
	run nvmecontrol reset nvme0
	messages
}

use_disconnect() {
	run nvmecontrol disconnect nvme0
	until_true both_gone
	until_true said "$TERMINATED"
	messages
	run nvmecontrol disconnect nvme0
	run nvmecontrol disconnect-all
	run nvmecontrol connect 127.0.0.1:$PORT $NQN
	until_true have_disks 1
	run nvmecontrol disconnect $NQN
	until_true both_gone
	run nvmecontrol connect -i 2 -F 127.0.0.1:$PORT $NQN
	until_true have_disks 1
	sysctl_names dev.nvme.0
	run nvmecontrol disconnect-all
	until_true both_gone
	run nvmecontrol connect 127.0.0.1:$PORT $NQN-unknown
	run nvmecontrol connect 127.0.0.1:4 $NQN
	ls /dev | grep '^n[vd][ma]'
}

use_connect_all() {
	run nvmecontrol connect-all 127.0.0.1:$DISCOVERY
	until_true have_disks 1
	until_true said "$DISK_FOUND" "$ASSOCIATED"
	messages
	run nvmecontrol devlist
	run nvmecontrol disconnect-all
	until_true both_gone
}

# The connection goes; device, disk and I/O stay; reconnect lets it go on.  The
# load has no end of its own: it is told to when I/O flows again, and then reads
# back all that it wrote.
cut() {
	$T/loadgen -f /dev/nda0 -s 7 -t 1 -b 64g -M 64k -z 32m \
	    > $W/load.txt 2>&1 &
	_load=$!
	until_true io_flows
	"$@" > $W/cut.txt 2>&1
	until_true sh -c 'nvmecontrol devlist | grep -q disconnected'
	until_true no_association
	sleep 2
	kill -0 $_load && echo "I/O is pending"
	ls /dev | grep -E '^(nvme0|nvme0n1|nda0)$'
	run nvmecontrol devlist
	run nvmecontrol reconnect nvme0 127.0.0.1:$PORT
	until_true io_flows
	kill $_load
	wait $_load
	echo "load status $?"
	grep -o 'errors=.*' $W/load.txt
	grep -v errors=0 $W/load.txt
	run nvmecontrol devlist
}

# The I/O queue's count of commands moves.
io_flows() {
	_before=$(sysctl -n dev.nvme.0.ioq.0.num_cmds)
	sleep 0.5
	[ $(sysctl -n dev.nvme.0.ioq.0.num_cmds) -gt $_before ]
}

drop_tcp() {
	tcpdrop -l -a | grep " $PORT\$\| $PORT " | sh
}

use_reconnect() {
	run nvmecontrol connect 127.0.0.1:$PORT $NQN
	until_true have_disks 1
	cut ctladm nvterminate -a
	cut drop_tcp
	messages | grep -E 'nvme0: established|associated|administrative|nda0: (removed|Serial)'
	run nvmecontrol reconnect nvme0 127.0.0.1:$PORT
	run nvmecontrol disconnect nvme0
	until_true both_gone
}

disconnected() {
	nvmecontrol devlist | grep -q disconnected && no_association
}

# holds DISK: what was written there.
holds() {
	dd if=/dev/$1 iseek=128 bs=64k count=16 status=none | cmp - $W/written
}

node_fails() {
	dd if=/dev/nvme0n1 of=/dev/null count=1 2>&1 |
	    grep 'Software caused connection abort'
}

# fill DISK...
fill() {
	dd if=/dev/random of=$W/written bs=64k count=16 status=none
	for _disk in "$@"; do
		dd if=$W/written of=/dev/$_disk oseek=128 bs=64k status=none ||
		    return 1
	done
}

# The operator wants I/O to fail while there is no association.  A disk that had
# some is lost and found again; nothing happens to one that had none.  The I/O
# to it at the end is more than nda(4) survives, if there are INVARIANTS, that
# was told again of a disk which it had not lost.
fail_io() {
	lun 1 ramdisk 16m 512 && connect && until_true have_disks 2 || return 1
	_busy=$(disk_of 1)
	_idle=$(disk_of 2)
	fill $_busy $_idle || return 1
	sysctl kern.nvmf.fail_on_disconnection=1
	$T/loadgen -f /dev/$_busy -s 8 -t 2 -b 64g -M 64k -z 8m \
	    > $W/busy.txt 2>&1 &
	_load=$!
	until_true io_flows || return 1
	ctladm nvterminate -a
	until_true disconnected && until_true process_gone $_load || return 1
	cat $W/busy.txt
	grep -q 'loadgen: .*: Device not configured' $W/busy.txt &&
	    node_fails &&
	    until_true test ! -c /dev/$_busy &&
	    test -c /dev/$_idle &&
	    nvmecontrol reconnect nvme0 127.0.0.1:$PORT &&
	    until_true have_disks 2 &&
	    test "$(disk_of 2)" = $_idle &&
	    holds $(disk_of 1) &&
	    holds $_idle
}

use_target() {
	run ctladm devlist
	run ctladm portlist -f nvmf
	run nvmecontrol connect 127.0.0.1:$PORT $NQN
	until_true have_disks 1
	run ctladm nvlist
	run ctladm nvlist -v
	run ctladm nvlist -x
	run ctladm portlist -f nvmf -v
	run ctladm portlist -f nvmf -i
	messages | grep nvmft
	run ctladm nvterminate -c 77
	run ctladm nvterminate -c 0
	until_true no_association
	until_true said "$TERMINATED"
	messages | grep nvmft
	run nvmecontrol disconnect-all
	until_true both_gone
	run ctladm nvlist
	run ctladm nvterminate -a
}

# write_ctl_conf NAMESPACES: 1 or 2 of them.
write_ctl_conf() {
	cat > $W/ctl.conf <<EOF
auth-group ag {
	auth-type none
}
transport-group tg {
	discovery-auth-group no-authentication
	listen discovery-tcp 127.0.0.1:$DISCOVERY
	listen tcp 127.0.0.1:$PORT
	option HDGST true
	option DDGST true
}
lun disk1 {
	path $W/ctld1
	size 16M
	serial "CTLD0001"
	device-id "CTLD 1"
}
lun disk2 {
	path $W/ctld2
	size 8M
	serial "CTLD0002"
	device-id "CTLD 2"
}
controller $NQN {
	auth-group ag
	transport-group tg
	namespace 1 disk1
	$([ $1 -eq 2 ] && echo "namespace 2 disk2")
}
EOF
	chmod 600 $W/ctl.conf
}

use_ctld() {
	truncate -s 16m $W/ctld1
	truncate -s 8m $W/ctld2
	write_ctl_conf 1
	run ctld -t -f $W/ctl.conf
	run ctld -f $W/ctl.conf
	until_true both_listening
	run ctladm portlist -f nvmf
	run nvmecontrol discover 127.0.0.1:$DISCOVERY
	run nvmecontrol connect -g -G 127.0.0.1:$PORT $NQN
	until_true have_disks 1
	until_true said "$DISK_FOUND" "$ASSOCIATED"
	messages
	run nvmecontrol devlist
	run nvmecontrol identify nvme0
	run dd if=/dev/nda0 of=/dev/null bs=64k status=none
	# A namespace more, while connected: an event tells the host.
	write_ctl_conf 2
	kill -HUP $(cat /var/run/ctld.pid)
	until_true have_disks 2
	until_true said '^nda1: .* sectors' '^nvme0: AER'
	messages
	run nvmecontrol devlist
	run nvmecontrol disconnect-all
	until_true both_gone
	kill $(cat /var/run/ctld.pid)
	until_true port_gone
	run ctladm portlist -f nvmf
	messages
}

check load load_all || exit 0
if [ -n "$NVMF_RUST" ]; then
	kldstat -v > $OUT/kldstat.txt
fi
lun 0 block 64m 512 > $OUT/lun.txt
start_nvmfd -g -G || fail nvmfd "$(cat $OUT/nvmfd.log)"

use discover use_discover
use connect use_connect
use identify use_identify
# The base system's host does not tell nda(4) a controller's name in a way that
# NVME_GET_NSID finds; ours does.
is_rust host && check identify-by-disk nvmecontrol identify nda0
use disconnect use_disconnect
use connect-all use_connect_all
use target use_target
use reconnect use_reconnect
if is_rust host; then
	check fail-on-disconnection fail_io
	sysctl -q kern.nvmf.fail_on_disconnection=0
	no_controller || disconnect_all
	until_true both_gone
	remove_lun ramdisk 1 > /dev/null
fi
stop_nvmfd
remove_lun block 0 > /dev/null
use ctld use_ctld
cleanup
check unload unload_all
