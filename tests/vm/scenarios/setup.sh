#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# Prepare the guest once after boot.  Prints nothing unless something is wrong.

set -e
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export PATH

ifconfig lo0 127.0.0.1/8 up
sysctl -q kern.hostuuid=3f6c1b10-6d6e-4b8f-9a40-111213141516 >/dev/null
sysctl -q kern.hostid=305419896 >/dev/null
# devd(8) would reconnect by itself; the scenarios do that where it is meant.
service devd onestop > /dev/null 2>&1 || true
for tool in nvmecontrol ctladm kldload kldstat vmstat netstat; do
	command -v $tool >/dev/null || { echo "no $tool in the guest"; exit 1; }
done
mkdir -p /tmp/out /tmp/w
chmod 755 /tmp/t/t/* 2>/dev/null || true
exit 0
