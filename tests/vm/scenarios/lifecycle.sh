# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# 50 rounds (ROUNDS) of load, create, connect, I/O, disconnect, remove, unload;
# memory, mbufs and the list of modules return to where they were.

. $T/lib.sh

: ${ROUNDS:=50}

round() {
	load_all || return 1
	lun 0 ramdisk 16m 512 > /dev/null || return 1
	start_nvmfd -g -G || return 1
	case $(($1 % 4)) in
	0)	opts="" ;;
	1)	opts="-g -G" ;;
	2)	opts="-i 2 -F" ;;
	3)	opts="-i 2 -G" ;;
	esac
	connect $opts || return 1
	until_true have_disks 1 || return 1
	bounded 60 $T/loadgen -f /dev/nda0 -s $1 -t 4 -b 1m -M 128k || return 1
	if [ $(($1 % 5)) -eq 4 ]; then
		# The controller goes first, under a connected host.
		ctladm nvterminate -a || return 1
		until_true sh -c 'nvmecontrol devlist | grep -q disconnected' ||
		    return 1
	fi
	nvmecontrol disconnect nvme0 || return 1
	until_true both_gone || return 1
	malloc_use > $W/malloc.inside
	stop_nvmfd || return 1
	remove_lun ramdisk 0 > /dev/null || return 1
	unload_all || return 1
	return 0
}

snapshot() {
	malloc_use > $W/malloc.$1
	mbuf_use > $W/mbuf.$1
	kldstat | awk 'NR > 1 { print $5, $2 }' | sort > $W/kld.$1
}

# Socket buffers of closed connections go a little later.
mbufs_back() {
	mbuf_use > $W/mbuf.after
	awk 'NR == FNR { was[$1] = $2; next }
	    $2 > was[$1] + 16 { print $1, was[$1], "->", $2; bad = 1 }
	    END { exit bad }' $W/mbuf.before $W/mbuf.after
}

rounds() {
	n=0
	while [ $n -lt $ROUNDS ]; do
		echo "== round $n"
		if ! round $n; then
			echo "round $n failed: $(tail -n 1 $OUT/rounds.log)"
			return 1
		fi
		# The first round brings in ctl(4), which stays.
		[ $n -eq 0 ] && snapshot before
		n=$((n + 1))
	done
}

check rounds rounds || cleanup
snapshot after
check kldstat diff $W/kld.before $W/kld.after
check malloc diff $W/malloc.before $W/malloc.after
cp $W/malloc.inside $OUT/
mbufs() {
	until_true mbufs_back || { mbufs_back; return 1; }
}
check mbufs mbufs
dmesg | grep -i 'leaked' > $W/leaks
check leaks test ! -s $W/leaks
