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
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef nitems
#define	nitems(x)	(sizeof(x) / sizeof((x)[0]))
#endif
#define	MAX_REPORTS	8
#define	HIST_SUB_BITS	6
#define	HIST_SUB	(1 << HIST_SUB_BITS)
#define	HIST_SIZE	(64 * HIST_SUB)

enum mode { MODE_MIX, MODE_WRITE, MODE_VERIFY, MODE_READ, MODE_OVER };

static const char *const mode_names[] = {
	[MODE_MIX] = "mix",
	[MODE_WRITE] = "write",
	[MODE_VERIFY] = "verify",
	[MODE_READ] = "read",
	[MODE_OVER] = "over",
};

struct worker {
	pthread_t	thread;
	int		fd;
	int		index;
	uint64_t	rng;
	uint64_t	first;		/* region, in sectors */
	uint64_t	count;
	uint32_t	*gen;		/* one generation per sector */
	uint8_t		*buf;
	uint8_t		*want;
	uint64_t	ios;
	uint64_t	rbytes;
	uint64_t	wbytes;
	uint64_t	hist[HIST_SIZE];
};

static const char *path;
static enum mode mode = MODE_MIX;
static uint64_t seed = 1;
static uint32_t sector;
static uint64_t total_bytes = 64 << 20;	/* bytes to write or to move */
static uint64_t min_size, max_size = 128 * 1024;
static unsigned int write_pct = 60;
static unsigned int seconds;		/* 0: bounded by bytes only */
static bool sequential;

static _Atomic uint64_t moved;
static _Atomic unsigned int failures;
static _Atomic bool stop;

static uint64_t
mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return (x ^ (x >> 31));
}

static uint64_t
next_random(struct worker *w)
{
	w->rng = mix64(w->rng);
	return (w->rng);
}

static uint64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ((uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec);
}

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

/* What the whole machine has done since it started. */
struct machine {
	double		cpu;		/* seconds that were not idle */
	uint64_t	switches;
};

#ifdef __FreeBSD__
static struct machine
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
static struct machine
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

/* Log-linear histogram: 64 steps for each power of two. */
static unsigned int
hist_slot(uint64_t v)
{
	unsigned int msb;

	if (v < HIST_SUB)
		return (v);
	msb = 63 - __builtin_clzll(v);
	return ((msb - HIST_SUB_BITS + 1) * HIST_SUB +
	    ((v >> (msb - HIST_SUB_BITS)) & (HIST_SUB - 1)));
}

static uint64_t
hist_value(unsigned int slot)
{
	unsigned int exp, sub;

	if (slot < HIST_SUB)
		return (slot);
	exp = slot / HIST_SUB - 1;
	sub = slot % HIST_SUB;
	return (((uint64_t)HIST_SUB + sub) << exp);
}

static void
fill_sector(uint8_t *p, uint64_t lba, uint32_t gen)
{
	uint64_t base, word;
	uint32_t i;

	base = mix64(seed ^ mix64(lba) ^ ((uint64_t)gen << 40));
	for (i = 0; i < sector / 8; i++) {
		word = base + i * 0x9e3779b97f4a7c15ULL;
		memcpy(p + i * 8, &word, 8);
	}
	/* The first words say what the sector is, for a useful diagnosis. */
	memcpy(p, &lba, 8);
	memcpy(p + 8, &gen, 4);
}

static void
report(struct worker *w, const char *what, uint64_t lba, uint64_t len, int error)
{
	if (atomic_fetch_add(&failures, 1) < MAX_REPORTS)
		warnx("%s: worker %d: %s sector %ju length %ju: %s", path,
		    w->index, what, (uintmax_t)lba, (uintmax_t)len,
		    error != 0 ? strerror(error) : "short transfer");
}

static bool
transfer(struct worker *w, bool write, uint64_t lba, uint64_t sectors)
{
	ssize_t done;
	size_t len;
	uint64_t start;

	len = sectors * sector;
	start = now_ns();
	if (write)
		done = pwrite(w->fd, w->buf, len, (off_t)(lba * sector));
	else
		done = pread(w->fd, w->buf, len, (off_t)(lba * sector));
	w->hist[hist_slot((now_ns() - start) / 1000)]++;
	w->ios++;
	if (done < 0 || (size_t)done != len) {
		report(w, write ? "write" : "read", lba, sectors,
		    done < 0 ? errno : 0);
		return (false);
	}
	if (write)
		w->wbytes += len;
	else
		w->rbytes += len;
	atomic_fetch_add(&moved, len);
	return (true);
}

static void
compare(struct worker *w, uint64_t lba, uint64_t sectors)
{
	const uint8_t *got;
	uint64_t i, at, got_lba;
	uint32_t g, got_gen;

	for (i = 0; i < sectors; i++) {
		at = lba + i;
		g = w->gen != NULL ? w->gen[at - w->first] : 1;
		if (g == 0)
			continue;
		got = w->buf + i * sector;
		fill_sector(w->want, at, g);
		if (memcmp(got, w->want, sector) == 0)
			continue;
		if (atomic_fetch_add(&failures, 1) >= MAX_REPORTS)
			continue;
		memcpy(&got_lba, got, 8);
		memcpy(&got_gen, got + 8, 4);
		warnx("%s: worker %d: miscompare at sector %ju of an extent "
		    "%ju+%ju: want generation %u, got sector %ju generation %u",
		    path, w->index, (uintmax_t)at, (uintmax_t)lba,
		    (uintmax_t)sectors, g, (uintmax_t)got_lba, got_gen);
	}
}

static void
do_write(struct worker *w, uint64_t lba, uint64_t sectors)
{
	uint64_t i;
	uint32_t g;

	for (i = 0; i < sectors; i++) {
		g = 1;
		if (w->gen != NULL)
			g = ++w->gen[lba + i - w->first];
		fill_sector(w->buf + i * sector, lba + i, g);
	}
	transfer(w, true, lba, sectors);
}

static void
do_read(struct worker *w, uint64_t lba, uint64_t sectors, bool check)
{
	if (transfer(w, false, lba, sectors) && check)
		compare(w, lba, sectors);
}

static bool
finished(struct worker *w, uint64_t share, uint64_t deadline)
{
	if (atomic_load(&stop) || atomic_load(&failures) >= MAX_REPORTS)
		return (true);
	if (deadline != 0)
		return (now_ns() >= deadline);
	if (mode == MODE_MIX)
		return (w->wbytes >= share);
	return (w->rbytes + w->wbytes >= share);
}

static void
pick(struct worker *w, uint64_t *lba, uint64_t *sectors)
{
	uint64_t lo, hi, n;

	lo = min_size / sector;
	hi = max_size / sector;
	if (hi > w->count)
		hi = w->count;
	if (lo > hi)
		lo = hi;
	/* Half of the extents come from the small end of the range. */
	n = lo + next_random(w) % (hi - lo + 1);
	if (hi > lo && (next_random(w) & 1) != 0)
		n = lo + next_random(w) % ((hi - lo) / 16 + 1);
	if (n == 0)
		n = 1;
	*sectors = n;
	if (lo == hi)
		/* Fixed size: aligned to it, as a benchmark expects. */
		*lba = w->first + next_random(w) % (w->count / n) * n;
	else
		*lba = w->first + next_random(w) % (w->count - n + 1);
}

static void
run_random(struct worker *w, uint64_t share, uint64_t deadline)
{
	uint64_t lba, next, n;
	bool write;

	next = 0;
	while (!finished(w, share, deadline)) {
		pick(w, &lba, &n);
		if (sequential) {
			if (next + n > w->count)
				next = 0;
			lba = w->first + next;
			next += n;
		}
		switch (mode) {
		case MODE_MIX:
			write = next_random(w) % 100 < write_pct;
			if (write)
				do_write(w, lba, n);
			else
				do_read(w, lba, n, true);
			break;
		case MODE_OVER:
			transfer(w, true, lba, n);
			break;
		default:
			do_read(w, lba, n, false);
			break;
		}
	}
}

static void
run_pass(struct worker *w, bool write)
{
	uint64_t at, n;

	for (at = 0; at < w->count; at += n) {
		if (atomic_load(&failures) >= MAX_REPORTS)
			return;
		n = max_size / sector;
		if (mode == MODE_MIX)
			n = 1 + next_random(w) % n;
		if (n > w->count - at)
			n = w->count - at;
		if (write)
			do_write(w, w->first + at, n);
		else
			do_read(w, w->first + at, n, true);
	}
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t share, deadline;

	deadline = seconds == 0 ? 0 :
	    now_ns() + (uint64_t)seconds * 1000000000;
	share = total_bytes;
	switch (mode) {
	case MODE_WRITE:
		run_pass(w, true);
		break;
	case MODE_VERIFY:
		run_pass(w, false);
		break;
	case MODE_MIX:
		run_random(w, share, deadline);
		run_pass(w, false);
		break;
	default:
		run_random(w, share, deadline);
		break;
	}
	return (NULL);
}

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

/* FreeBSD's disks have no cache; Linux's have one, which is to be left out. */
static int
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

static uint64_t
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

static uint64_t
percentile(const uint64_t *hist, uint64_t ios, double p)
{
	uint64_t seen, target;
	unsigned int i;

	target = (uint64_t)(ios * p);
	for (i = 0, seen = 0; i < HIST_SIZE; i++) {
		seen += hist[i];
		if (seen > target)
			return (hist_value(i));
	}
	return (0);
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

int
main(int argc, char **argv)
{
	static uint64_t hist[HIST_SIZE];
	struct worker *workers, *w;
	struct machine before, after;
	uint64_t size, sectors, start, elapsed, ios, rbytes, wbytes, limit;
	unsigned int i, threads;
	int ch, fd, j;
	void *mem;

	threads = 1;
	limit = 0;
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

	fd = open_disk(mode == MODE_READ || mode == MODE_VERIFY ? O_RDONLY :
	    O_RDWR);
	size = media_size(fd);
	if (limit != 0 && limit < size)
		size = limit;
	if (min_size < sector)
		min_size = sector;
	if (max_size < min_size)
		max_size = min_size;
	sectors = size / sector;
	if (sectors < threads)
		errx(1, "%s: too small for %u workers", path, threads);

	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	workers = calloc(threads, sizeof(*workers));
	if (workers == NULL)
		err(1, "calloc");
	for (i = 0; i < threads; i++) {
		w = &workers[i];
		w->fd = fd;
		w->index = i;
		w->rng = mix64(seed + i * 0x100000001b3ULL);
		w->first = sectors / threads * i;
		w->count = sectors / threads;
		if (mode == MODE_WRITE || mode == MODE_VERIFY)
			w->count += i == threads - 1 ? sectors % threads : 0;
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
	total_bytes /= threads;
	if (total_bytes == 0)
		total_bytes = 1;

	before = machine_now();
	MARK_START();
	start = now_ns();
	for (i = 0; i < threads; i++) {
		errno = pthread_create(&workers[i].thread, NULL, worker_main,
		    &workers[i]);
		if (errno != 0)
			err(1, "pthread_create");
	}
	ios = rbytes = wbytes = 0;
	for (i = 0; i < threads; i++) {
		w = &workers[i];
		pthread_join(w->thread, NULL);
		ios += w->ios;
		rbytes += w->rbytes;
		wbytes += w->wbytes;
		for (j = 0; j < HIST_SIZE; j++)
			hist[j] += w->hist[j];
	}
	elapsed = now_ns() - start;
	MARK_STOP();
	after = machine_now();
	if (elapsed == 0)
		elapsed = 1;
	if (close(fd) != 0 && errno != EINTR) {
		warn("close %s", path);
		atomic_fetch_add(&failures, 1);
	}

	printf("loadgen %s mode=%s threads=%u ios=%ju written=%ju read=%ju "
	    "seconds=%.2f iops=%.0f MBps=%.1f p50us=%ju p99us=%ju "
	    "p999us=%ju cpu=%.3f switches=%ju errors=%u\n", path, mode_names[mode], threads,
	    (uintmax_t)ios, (uintmax_t)wbytes, (uintmax_t)rbytes,
	    elapsed / 1e9, ios * 1e9 / elapsed,
	    (rbytes + wbytes) * 1e3 / elapsed,
	    (uintmax_t)percentile(hist, ios, 0.5),
	    (uintmax_t)percentile(hist, ios, 0.99),
	    (uintmax_t)percentile(hist, ios, 0.999), after.cpu - before.cpu,
	    (uintmax_t)(after.switches - before.switches),
	    atomic_load(&failures));
	return (atomic_load(&failures) != 0 ? 1 : 0);
}
