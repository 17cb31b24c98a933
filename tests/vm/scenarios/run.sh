#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Copyright (c) 2026 The nvmf-rs authors
#
# run.sh SCENARIO: run one scenario and put its logs on the results disk.

PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export PATH
T=/tmp/t/t
OUT=/tmp/out
W=/tmp/w
SCENARIO=$1
export T OUT W SCENARIO

rm -rf $OUT $W
mkdir -p $OUT $W
cd $W || exit 1
echo "$SCENARIO" > $OUT/scenario.txt
: > $OUT/cases.txt
sh $T/$SCENARIO.sh > $OUT/output.log 2>&1
status=$?
if [ $status -ne 0 ]; then
	echo "CASE exit FAIL status $status" | tee -a $OUT/cases.txt
	tail -n 15 $OUT/output.log
fi
tar -cf /dev/vtbd2 --format ustar -C $OUT . 2>/dev/null
exit 0
