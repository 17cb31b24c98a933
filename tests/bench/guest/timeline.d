/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* What threads do while loadgen reads: "nanoseconds CPU thread event". */

#pragma D option quiet
#pragma D option bufsize=4m
#pragma D option switchrate=20hz

sched:::on-cpu
/pid != $pid/
{
	printf("%d %d %d on-cpu\n", timestamp, cpu, tid);
}

syscall::pread:entry
/execname == "loadgen"/
{
	printf("%d %d %d pread\n", timestamp, cpu, tid);
}

tcp:::send
{
	printf("%d %d %d send\n", timestamp, cpu, tid);
}

io:::done
{
	printf("%d %d %d done\n", timestamp, cpu, tid);
}

tick-600ms
{
	exit(0);
}
