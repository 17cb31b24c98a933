# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# Seeded random data through every combination of digests and flow control,
# over RAM-disk and file LUNs with 512 and 4096-byte blocks, read back and
# compared; then a file system.  SIZE is full (256 MiB written in each
# configuration), all (the same with one and with four I/O queues) or small.

. $T/lib.sh

case ${SIZE:-full} in
small)	BYTES=32 SPAN=8m ;;
*)	BYTES=256 SPAN=64m ;;
esac
RAM=64
FILE=128

# The LUNs: namespaces 1 to 4.
setup() {
	load_all || return 1
	lun 0 ramdisk ${RAM}m 512 || return 1
	lun 1 ramdisk ${RAM}m 4096 || return 1
	lun 2 block ${FILE}m 512 || return 1
	lun 3 block ${FILE}m 4096 || return 1
	start_nvmfd -g -G
}

# load DISK BYTES THREADS MAX SEED
load_disk() {
	bounded 1800 $T/loadgen -f /dev/$1 -b $2 -t $3 -M $4 -s $5 -w 70 \
	    -z $SPAN
}

# One configuration: the bytes are spread over the namespaces and depths, and
# all four namespaces are busy at once.
configuration() {
	connect "$@" || return 1
	until_true have_disks 4 || return 1
	share=$((BYTES * 1024 * 1024 / 4))
	seed=$(echo "$*" | cksum | cut -d' ' -f1)
	pids=
	depth=1
	for d in $(disks); do
		case $depth in
		1)	max=1m ;;
		8)	max=256k ;;
		32)	max=512k ;;
		64)	max=128k ;;
		esac
		load_disk $d $share $depth $max $((seed + depth)) &
		pids="$pids $!"
		case $depth in
		1)	depth=8 ;;
		8)	depth=32 ;;
		*)	depth=64 ;;
		esac
	done
	status=0
	for p in $pids; do
		wait $p || status=1
	done
	# The namespace nodes are another way to the same blocks.
	bounded 600 $T/loadgen -f /dev/nvme0n1 -b 2m -t 4 -M 64k -s 3 || status=1
	bounded 600 $T/loadgen -f /dev/nvme0n4 -b 2m -t 16 -M 1m -s 4 || status=1
	nvmecontrol disconnect nvme0 || status=1
	until_true host_gone || status=1
	return $status
}

filesystem() {
	connect -g -G -i 2 || return 1
	until_true have_disks 4 || return 1
	disk=$(disk_of 3)
	newfs -U /dev/$disk || return 1
	mkdir -p $W/mnt
	mount /dev/$disk $W/mnt || return 1
	tar -cf - -C / bin sbin etc | tar -xf - -C $W/mnt || return 1
	(cd $W/mnt && find . -type f | sort | xargs sha256) > $W/before
	rm -rf $W/mnt/etc
	umount $W/mnt || return 1
	fsck_ffs -n /dev/$disk || return 1
	nvmecontrol disconnect nvme0 || return 1
	until_true host_gone || return 1
	connect || return 1
	until_true have_disks 4 || return 1
	disk=$(disk_of 3)
	fsck_ffs -n /dev/$disk | tee $W/fsck
	grep -qE 'FIXED|UNREF|BAD|INCORRECT|INCONSISTEN' $W/fsck && return 1
	mount -r /dev/$disk $W/mnt || return 1
	(cd $W/mnt && find . -type f | sort | xargs sha256) > $W/after
	umount $W/mnt || return 1
	nvmecontrol disconnect nvme0 || return 1
	grep -v '(./etc/' $W/before | diff - $W/after
}

check setup setup || { cleanup; exit 0; }
run() {
	name=io-q$1$(echo "$2$3" | tr -d ' ')
	check $name configuration -i $1 $2 $3
	say "NOTE $name $(grep -h '^loadgen' $OUT/$name.log |
	    sed -E 's/.*MBps=([^ ]*).*/\1/' | tr '\n' ' ')MB/s"
}

if [ "$SIZE" = small ]; then
	run 2 "" ""
	run 4 "-g -G" "-F"
else
	for digest in "" "-g" "-G" "-g -G"; do
		run 1 "$digest" ""
		run 4 "$digest" "-F"
		[ "$SIZE" = all ] || continue
		run 4 "$digest" ""
		run 1 "$digest" "-F"
	done
fi
check filesystem filesystem
stop_nvmfd
cleanup
check unload unload_all
