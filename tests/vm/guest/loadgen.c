/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Multithreaded load generator and verifier for a disk, a namespace node or
 * a file.
 *
 * Every sector carries a pattern derived from (seed, sector number,
 * generation), so a sector that is stale, misplaced or torn differs from what
 * is expected.  Each worker owns a contiguous region, which makes its
 * generation counters private: no write of one worker races with the
 * verification of another.
 *
 * modes (-o):
 *   mix     random extents, -w percent writes, the rest verified reads; then
 *           everything that was written is read back and compared
 *   write   one sequential pass that writes generation 1
 *   verify  one sequential pass that expects generation 1
 *   read    random reads, nothing compared (benchmarks)
 *   over    random writes, nothing compared (benchmarks)
 *
 * One line of result is printed on standard output; its cpu and switches are
 * what the whole machine spent during the run.  The exit status is 0 if
 * there was neither an I/O error nor a miscompare.
 */

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

#ifndef nitems
#define	nitems(x)	(sizeof(x) / sizeof((x)[0]))
#endif

static const char *const mode_names[] = {
	[MODE_MIX] = "mix",
	[MODE_WRITE] = "write",
	[MODE_VERIFY] = "verify",
	[MODE_READ] = "read",
	[MODE_OVER] = "over",
};

const char *path;
enum mode mode = MODE_MIX;
uint64_t seed = 1;
uint32_t sector;
uint64_t total_bytes = 64 << 20;
uint64_t min_size, max_size = 128 * 1024;
unsigned int write_pct = 60;
unsigned int seconds;
bool sequential;
static unsigned int threads = 1;
static uint64_t limit;			/* of the disk, in bytes; 0: all of it */

_Atomic unsigned int failures;
_Atomic bool stop;

/*
 * No-ops that tell a counting emulator (tests/bench/plugin) where a run begins
 * and ends.
 */
#ifdef __amd64__
#define	MARK_START()	__asm__ volatile("nopl 0x4e560001(%%rax,%%rax,1)" ::: "memory")
#define	MARK_STOP()	__asm__ volatile("nopl 0x4e560002(%%rax,%%rax,1)" ::: "memory")
#else
#define	MARK_START()
#define	MARK_STOP()
#endif

static uint64_t
parse_size(const char *s)
{
	uint64_t v;
	char *end;

	errno = 0;
	v = strtoull(s, &end, 0);
	switch (*end) {
	case 'g': case 'G':
		v <<= 10;
		/* FALLTHROUGH */
	case 'm': case 'M':
		v <<= 10;
		/* FALLTHROUGH */
	case 'k': case 'K':
		v <<= 10;
		end++;
		break;
	}
	if (errno != 0 || *end != '\0' || end == s)
		errx(2, "invalid size \"%s\"", s);
	return (v);
}

static void
on_signal(int sig)
{
	(void)sig;
	atomic_store(&stop, true);
}

static void
usage(void)
{
	fprintf(stderr, "usage: loadgen -f path [-o mode] [-s seed] "
	    "[-t threads] [-b bytes]\n"
	    "    [-m min] [-M max] [-w write%%] [-d seconds] [-z size] [-S]\n");
	exit(2);
}

static void
options(int argc, char **argv)
{
	unsigned int i;
	int ch;

	while ((ch = getopt(argc, argv, "b:d:f:M:m:o:Ss:t:w:z:")) != -1) {
		switch (ch) {
		case 'b':
			total_bytes = parse_size(optarg);
			break;
		case 'd':
			seconds = parse_size(optarg);
			break;
		case 'f':
			path = optarg;
			break;
		case 'M':
			max_size = parse_size(optarg);
			break;
		case 'm':
			min_size = parse_size(optarg);
			break;
		case 'o':
			for (i = 0; i < nitems(mode_names); i++)
				if (strcmp(optarg, mode_names[i]) == 0)
					break;
			if (i == nitems(mode_names))
				usage();
			mode = i;
			break;
		case 'S':
			sequential = true;
			break;
		case 's':
			seed = parse_size(optarg);
			break;
		case 't':
			threads = parse_size(optarg);
			break;
		case 'w':
			write_pct = parse_size(optarg);
			break;
		case 'z':
			limit = parse_size(optarg);
			break;
		default:
			usage();
		}
	}
	if (path == NULL || optind != argc || threads == 0 || threads > 256 ||
	    write_pct > 100 || (mode == MODE_MIX && write_pct == 0))
		usage();
}

/* A worker and its part of the disk. */
static void
prepare(struct worker *w, int fd, unsigned int index, uint64_t sectors)
{
	void *mem;

	w->fd = fd;
	w->index = index;
	w->rng = mix64(seed + index * 0x100000001b3ULL);
	w->first = sectors / threads * index;
	w->count = sectors / threads;
	if (mode == MODE_WRITE || mode == MODE_VERIFY)
		w->count += index == threads - 1 ? sectors % threads : 0;
	if (mode == MODE_MIX) {
		w->gen = calloc(w->count, sizeof(*w->gen));
		if (w->gen == NULL)
			err(1, "calloc");
	}
	if (posix_memalign(&mem, 4096, max_size) != 0)
		err(1, "posix_memalign");
	w->buf = mem;
	memset(w->buf, 0xa5, max_size);
	w->want = malloc(sector);
	if (w->want == NULL)
		err(1, "malloc");
}

/* Runs all workers; their sums are in the first one then. */
static uint64_t
run(struct worker *workers)
{
	struct worker *sum, *w;
	uint64_t start;
	int i;

	start = now_ns();
	for (w = workers; w < workers + threads; w++) {
		errno = pthread_create(&w->thread, NULL, worker_main, w);
		if (errno != 0)
			err(1, "pthread_create");
	}
	for (sum = w = workers; w < workers + threads; w++) {
		pthread_join(w->thread, NULL);
		if (w == sum)
			continue;
		sum->ios += w->ios;
		sum->rbytes += w->rbytes;
		sum->wbytes += w->wbytes;
		for (i = 0; i < HIST_SIZE; i++)
			sum->hist[i] += w->hist[i];
	}
	return (now_ns() - start);
}

static void
print(const struct worker *sum, uint64_t elapsed, const struct machine *before,
    const struct machine *after)
{
	if (elapsed == 0)
		elapsed = 1;
	printf("loadgen %s mode=%s threads=%u ios=%ju written=%ju read=%ju "
	    "seconds=%.2f iops=%.0f MBps=%.1f p50us=%ju p99us=%ju "
	    "p999us=%ju cpu=%.3f switches=%ju errors=%u\n", path,
	    mode_names[mode], threads, (uintmax_t)sum->ios,
	    (uintmax_t)sum->wbytes, (uintmax_t)sum->rbytes, elapsed / 1e9,
	    sum->ios * 1e9 / elapsed,
	    (sum->rbytes + sum->wbytes) * 1e3 / elapsed,
	    (uintmax_t)percentile(sum->hist, sum->ios, 0.5),
	    (uintmax_t)percentile(sum->hist, sum->ios, 0.99),
	    (uintmax_t)percentile(sum->hist, sum->ios, 0.999),
	    after->cpu - before->cpu,
	    (uintmax_t)(after->switches - before->switches),
	    atomic_load(&failures));
}

int
main(int argc, char **argv)
{
	struct worker *workers;
	struct machine before, after;
	uint64_t elapsed, size;
	unsigned int i;
	int fd;

	options(argc, argv);
	fd = open_disk(mode == MODE_READ || mode == MODE_VERIFY ? O_RDONLY :
	    O_RDWR);
	size = media_size(fd);
	if (limit != 0 && limit < size)
		size = limit;
	if (min_size < sector)
		min_size = sector;
	if (max_size < min_size)
		max_size = min_size;
	if (size / sector < threads)
		errx(1, "%s: too small for %u workers", path, threads);

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	workers = calloc(threads, sizeof(*workers));
	if (workers == NULL)
		err(1, "calloc");
	for (i = 0; i < threads; i++)
		prepare(&workers[i], fd, i, size / sector);
	total_bytes /= threads;
	if (total_bytes == 0)
		total_bytes = 1;

	before = machine_now();
	MARK_START();
	elapsed = run(workers);
	MARK_STOP();
	after = machine_now();
	if (close(fd) != 0 && errno != EINTR) {
		warn("close %s", path);
		atomic_fetch_add(&failures, 1);
	}
	print(workers, elapsed, &before, &after);
	return (atomic_load(&failures) != 0 ? 1 : 0);
}
