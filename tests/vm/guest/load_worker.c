/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * What a worker does: single transfers, and the order in which each mode has
 * them.
 */

#include <err.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "load.h"

static uint64_t
next_random(struct worker *w)
{
	w->rng = mix64(w->rng);
	return (w->rng);
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
	return (true);
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

void *
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
