# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# One mix of our modules and the base system's: connect, write, read back,
# disconnect, unload.  NVMF_RUST names the modules that are ours.

. $T/lib.sh

steps() {
	load_all || return 1
	kldstat
	lun 0 ramdisk 32m 512 || return 1
	lun 1 block 32m 4096 || return 1
	start_nvmfd -g -G || return 1
	for opts in "" "-F" "-g -G" "-i 2 -g -G -F"; do
		echo "== connect $opts"
		connect $opts || return 1
		until_true have_disks 2 || return 1
		for d in $(disks); do
			bounded 120 $T/loadgen -f /dev/$d -s 11 -t 8 -b 4m \
			    -M 256k || return 1
		done
		bounded 120 $T/loadgen -f /dev/nvme0n1 -s 12 -t 4 -b 2m \
		    -M 64k || return 1
		bounded 60 nvmecontrol identify nvme0 | head -n 6
		nvmecontrol disconnect nvme0 || return 1
		until_true both_gone || return 1
	done
	stop_nvmfd || return 1
	remove_lun ramdisk 0 && remove_lun block 1
}

ended() {
	unload_all || return 1
	kldstat
}

check connect-io-disconnect steps || cleanup
check unload ended
