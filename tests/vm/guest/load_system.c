/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * What FreeBSD and Linux have each in a way of its own.
 */

#ifdef __linux__
#define	_GNU_SOURCE
#endif
#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#ifdef __FreeBSD__
#include <sys/disk.h>
#include <sys/sysctl.h>
#include <sys/time.h>
#endif
#ifdef __linux__
#include <linux/fs.h>
#endif

#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

#ifdef __FreeBSD__
struct machine
machine_now(void)
{
	struct machine m = { 0 };
	struct clockinfo clock;
	long time[5];		/* user, nice, system, interrupt, idle */
	size_t len;

	len = sizeof(time);
	if (sysctlbyname("kern.cp_time", time, &len, NULL, 0) != 0)
		err(1, "kern.cp_time");
	len = sizeof(clock);
	if (sysctlbyname("kern.clockrate", &clock, &len, NULL, 0) != 0)
		err(1, "kern.clockrate");
	m.cpu = (double)(time[0] + time[1] + time[2] + time[3]) / clock.stathz;
	len = sizeof(m.switches);
	if (sysctlbyname("vm.stats.sys.v_swtch", &m.switches, &len, NULL,
	    0) != 0)
		err(1, "vm.stats.sys.v_swtch");
	return (m);
}
#else
struct machine
machine_now(void)
{
	struct machine m = { 0 };
	uintmax_t time[7], switches;
	char line[4096];	/* user, nice, system, idle, wait, interrupts */
	FILE *in;

	in = fopen("/proc/stat", "r");
	if (in == NULL)
		return (m);
	while (fgets(line, sizeof(line), in) != NULL) {
		if (sscanf(line, "cpu  %ju %ju %ju %ju %ju %ju %ju", &time[0],
		    &time[1], &time[2], &time[3], &time[4], &time[5],
		    &time[6]) == 7)
			m.cpu = (double)(time[0] + time[1] + time[2] + time[5] +
			    time[6]) / sysconf(_SC_CLK_TCK);
		else if (sscanf(line, "ctxt %ju", &switches) == 1)
			m.switches = switches;
	}
	fclose(in);
	return (m);
}
#endif

/* FreeBSD's disks have no cache; Linux's have one, which is to be left out. */
int
open_disk(int flags)
{
	int fd;
#ifdef O_DIRECT
	struct stat sb;

	if (stat(path, &sb) == 0 && S_ISBLK(sb.st_mode))
		flags |= O_DIRECT;
#endif
	fd = open(path, flags);
	if (fd < 0)
		err(1, "%s", path);
	return (fd);
}

uint64_t
media_size(int fd)
{
	struct stat sb;
#ifdef __linux__
	uint64_t size;
#endif

	if (fstat(fd, &sb) != 0)
		err(1, "%s", path);
	if (S_ISREG(sb.st_mode)) {
		if (sector == 0)
			sector = 512;
		return (sb.st_size);
	}
#ifdef __FreeBSD__
	{
		off_t size;
		u_int secsize;

		if (ioctl(fd, DIOCGMEDIASIZE, &size) != 0 ||
		    ioctl(fd, DIOCGSECTORSIZE, &secsize) != 0)
			err(1, "%s", path);
		if (sector == 0)
			sector = secsize;
		return (size);
	}
#elif defined(__linux__)
	{
		int secsize;

		if (ioctl(fd, BLKGETSIZE64, &size) != 0 ||
		    ioctl(fd, BLKSSZGET, &secsize) != 0)
			err(1, "%s", path);
		if (sector == 0)
			sector = secsize;
		return (size);
	}
#else
	errx(1, "%s: not a regular file", path);
#endif
}
