# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# Invalid ioctls, nvlists and port options, and hostile peers on both sides.
# Each has its errno, message or NVMe status in a table; none may harm the
# kernel or keep memory.  PARTS selects some of the parts; SKIP names cases to
# leave out (the base system's modules do not survive all of them).

. $T/lib.sh

: ${PARTS:=host device ctl peer-host peer-target memory}
HOSTILE_PORT=4421
HOSTILE_NQN=nqn.2014-08.org.nvmexpress:hostile
LIMIT_KB=64

skips() {
	for _s in $SKIP; do
		echo "-x $_s"
	done
}

skipped() {
	case " $SKIP " in
	*" $1 "*)	return 0 ;;
	esac
	[ -z "$ONLY" ] && return 1
	case " $ONLY " in
	*" $1 "*)	return 1 ;;
	esac
	return 0
}

# table PREFIX PROGRAM...: a program that prints "ok NAME" or "FAIL NAME: why".
table() {
	_prefix=$1
	shift
	"$@" > $OUT/$_prefix.log 2>&1
	_status=$?
	while read -r _verdict _name _why; do
		case $_verdict in
		ok)	ok $_prefix-$_name ;;
		FAIL)	fail $_prefix-${_name%:} "$_why" ;;
		esac
	done < $OUT/$_prefix.log
	if [ $_status -gt 1 ]; then
		fail $_prefix "$(tail -n 1 $OUT/$_prefix.log)"
	fi
	grep -q '^ok\|^FAIL' $OUT/$_prefix.log ||
	    fail $_prefix "no case: $(tail -n 1 $OUT/$_prefix.log)"
}

part_host() {
	table nvmf $T/badhost $(skips) $ONLY
}

part_device() {
	lun 0 ramdisk 16m 512 > /dev/null || return 1
	start_nvmfd || return 1
	connect || return 1
	until_true have_disks 1 || return 1
	table dev $T/badhost -d nvme0 $(skips) $ONLY
	bounded 60 $T/loadgen -f /dev/nda0 -b 1m || return 1
	nvmecontrol disconnect nvme0 || return 1
	stop_nvmfd || return 1
	remove_lun ramdisk 0
}

part_ctl() {
	lun 0 ramdisk 16m 512 > /dev/null || return 1
	table ctl $T/badctl $(skips) $ONLY
	remove_lun ramdisk 0
}

part_peer_host() {
	lun 0 ramdisk 16m 512 > /dev/null || return 1
	start_nvmfd || return 1
	table target $T/rawhost -p $PORT -n $NQN -x huge-pdu $(skips) $ONLY
	until_true no_association || return 1
	if ! skipped huge-pdu; then
		_before=$(network_kb)
		: > $W/huge
		$T/rawhost -p $PORT -n $NQN -H 60 huge-pdu > $W/huge 2>&1 &
		_pid=$!
		until_true grep -q holding $W/huge
		# The connection stays open until this is over.
		held $_before target-huge-pdu-memory
		kill -USR1 $_pid
		wait $_pid || echo "exit status $?" >> $W/huge
		check target-huge-pdu grep '^ok' $W/huge
		cp $W/huge $OUT/target-huge-pdu.log
	fi
	until_true no_association
	stop_nvmfd
	remove_lun ramdisk 0
}

not_held() {
	_kb=$(($(network_kb) - $1))
	[ $_kb -le $LIMIT_KB ]
}

# held BEFORE CASE: what the network holds more than BEFORE is given back soon.
# What was sent last may still be on its way through the queues.
held() {
	if WAIT=10 until_true not_held $1; then
		ok $2
	else
		fail $2 "$_kb KiB held"
	fi
}

# hostile CASE CONNECT IO RESULT: CONNECT is what nvmecontrol connect does, ok,
# fail or any; IO is the request that triggers the fault: none, read or write,
# followed by ! if it must fail; RESULT is a pattern for what the host did.
hostile() {
	skipped $1 && return
	_case=$1 _connect=$2 _io=$3 _want=$4
	_log=$OUT/host-$1.log
	: > $_log
	# A host that does nothing is only waited for where it may.
	case $_want in
	*alive*|".*")	_patience=6000 ;;
	*)		_patience=30000 ;;
	esac
	# The shell that starts it truncates this at a time of its own.
	: > $W/rawtarget
	$T/rawtarget -p $HOSTILE_PORT -n $HOSTILE_NQN -T $_patience $1 \
	    > $W/rawtarget 2>&1 &
	_server=$!
	until_true grep -q listening $W/rawtarget
	bounded 60 nvmecontrol connect -r 0 -l 0 -k 4 \
	    127.0.0.1:$HOSTILE_PORT $HOSTILE_NQN >> $_log 2>&1
	_status=$?
	_why=
	case $_connect$_status in
	ok0|fail[1-9]|fail[1-9][0-9]|any*)	;;
	*)	_why="connect: status $_status, want $_connect" ;;
	esac
	[ $_status -ge 124 ] && _why="connect did not end within a minute"
	_dd=
	if [ $_status -eq 0 ]; then
		case $_io in
		read*)	until_true test -c /dev/nvme0n1 >> $_log
			dd if=/dev/nvme0n1 of=/dev/null bs=64k count=1 \
			    > $W/dd 2>&1 &
			_dd=$! ;;
		write*)	until_true test -c /dev/nvme0n1 >> $_log
			dd if=/dev/zero of=/dev/nvme0n1 bs=64k count=1 \
			    > $W/dd 2>&1 &
			_dd=$! ;;
		esac
	elif ! no_controller; then
		_why="a device stayed although connect failed"
	fi
	if [ "$_io" = none ]; then
		sleep 2
		bounded 30 nvmecontrol disconnect-all >> $_log 2>&1
	fi
	until_true process_gone $_server >> $_log ||
	    kill $_server 2>/dev/null
	wait $_server 2>/dev/null
	cat $W/rawtarget >> $_log
	if ! no_controller; then
		# What is pending ends with the controller, and soon.
		bounded 30 nvmecontrol disconnect-all >> $_log 2>&1
		[ $? -ge 124 ] && _why="disconnect did not end within 30 s"
	fi
	if [ -n "$_dd" ]; then
		wait $_dd
		_ddstatus=$?
		cat $W/dd >> $_log
		case $_io in
		*!)	[ $_ddstatus -eq 0 ] && _why="the I/O succeeded" ;;
		esac
	fi
	until_true no_controller >> $_log || _why="the device stayed"
	_got=$(sed -n 's/^result: //p' $W/rawtarget)
	echo "$_got" | grep -qE "^($_want)\$" ||
	    _why=${_why:-"got \"$_got\", want \"$_want\""}
	if [ -n "$_why" ]; then
		fail host-$1 "$_why"
	else
		ok host-$1
	fi
}

part_peer_target() {
	kernel_messages > /dev/null
	hostile none ok none "idle"
	hostile r2t-past ok write! "termreq fes=0x4 fei=.*"
	hostile r2t-wrap ok write! "termreq fes=0x[24] fei=.*"
	hostile r2t-order ok write! "termreq fes=0x2 fei=.*"
	hostile r2t-unknown-cid ok write! "termreq fes=0x1 fei=0x8"
	hostile r2t-zero ok write "termreq .*|alive|closed"
	hostile cid-past ok read "closed"
	hostile cid-max ok read "closed"
	hostile cid-inactive ok read "closed"
	hostile c2h-past ok read "termreq fes=0x4 fei=.*"
	hostile c2h-wrap ok read "termreq fes=0x[24] fei=.*"
	hostile c2h-order ok read "termreq fes=0x2 fei=.*"
	hostile c2h-unknown-cid ok read "termreq fes=0x1 fei=0x8"
	hostile c2h-datal ok read "termreq fes=0x1 fei=0x10"
	hostile c2h-early-last ok read "termreq fes=0x2 fei=.*"
	hostile c2h-success-no-last ok read "termreq fes=0x1 fei=0x1"
	hostile bad-type ok read "termreq fes=0x1 fei=0"
	hostile bad-hlen ok read "termreq fes=0x1 fei=0x2"
	hostile bad-pdo ok read "termreq fes=0x1 fei=0x3"
	hostile termreq-short ok read "closed"
	hostile termreq ok read "closed"
	hostile close-io ok read "closed"
	hostile rst-io ok read "closed"
	hostile silent-io ok read "alive|closed"
	hostile close-cap fail none ".*"
	hostile close-vs fail none ".*"
	hostile close-aer-config fail none ".*"
	hostile close-nslist fail none ".*"
	hostile close-identify-ns any none ".*"
	hostile fail-aer-config fail none ".*"
	hostile fail-nslist fail none ".*"
	hostile silent-nslist fail none ".*"
	hostile early-success ok read "alive|closed|termreq .*"
	hostile lbads-0 any none ".*"
	hostile lbads-8 any none ".*"
	hostile lbads-63 any none ".*"
	hostile nsze-0 any none ".*"
	hostile nsze-max any none ".*"
	hostile mdts-max ok none ".*"
	hostile nn-huge any none ".*"
	hostile nsid-past any none ".*"
	hostile nsid-dup fail none ".*"
	hostile nslist-unsorted any none ".*"
	kernel_messages > $OUT/peer-target.dmesg
	_began=$(date +%s)
	hostile aer-storm any none ".*"
	_lines=$(kernel_messages | tee $OUT/aer-storm.dmesg | wc -l)
	_most=$((50 + 5 * ($(date +%s) - _began)))
	if [ $_lines -le $_most ]; then
		ok host-console-quiet
	else
		fail host-console-quiet "$_lines lines, want at most $_most"
	fi
	if ! skipped huge-pdu; then
		_before=$(network_kb)
		hostile huge-pdu ok read "termreq .*|closed" &
		_pid=$!
		_peak=0
		while kill -0 $_pid 2>/dev/null; do
			_now=$(network_kb)
			[ $_now -gt $_peak ] && _peak=$_now
			sleep 0.5
		done
		wait $_pid
		note "huge C2HData PDU: at most $((_peak - _before)) KiB"
	fi
}

# Nothing may be left: not even what one case in a hundred leaks.
part_memory() {
	unload target host tcp transport || {
		fail unload "a module is busy"
		return
	}
	ok unload
	load_all
	malloc_use > $W/malloc.after
	check malloc diff $W/malloc.before $W/malloc.after
	dmesg | grep -i leaked > $W/leaks
	check leaks test ! -s $W/leaks
	held $network_before network-memory
	unload_all
}

# The first load settles what is allocated once.
check load load_all || exit 0
malloc_use > $W/malloc.before
network_before=$(network_kb)
for part in $PARTS; do
	part_$(echo $part | tr - _) ||
	    fail $part "the part ended early"
done
cleanup
