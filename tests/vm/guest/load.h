/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef LOAD_H
#define	LOAD_H

/*
 * What the parts of the load generator share: the options, a worker, and what
 * each part does for the others.
 */

#include <sys/types.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define	MAX_REPORTS	8
#define	HIST_SUB_BITS	6
#define	HIST_SUB	(1 << HIST_SUB_BITS)
#define	HIST_SIZE	(64 * HIST_SUB)

enum mode { MODE_MIX, MODE_WRITE, MODE_VERIFY, MODE_READ, MODE_OVER };

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

/* What the whole machine has done since it started. */
struct machine {
	double		cpu;		/* seconds that were not idle */
	uint64_t	switches;
};

/* Options (loadgen.c). */
extern const char *path;
extern enum mode mode;
extern uint64_t seed;
extern uint32_t sector;
extern uint64_t total_bytes;		/* bytes to write or to move */
extern uint64_t min_size, max_size;
extern unsigned int write_pct;
extern unsigned int seconds;		/* 0: bounded by bytes only */
extern bool sequential;

extern _Atomic unsigned int failures;
extern _Atomic bool stop;

/* What a sector holds (load_pattern.c). */
uint64_t mix64(uint64_t x);
void	fill_sector(uint8_t *p, uint64_t lba, uint32_t gen);
void	compare(struct worker *w, uint64_t lba, uint64_t sectors);

/* Reading and writing (load_worker.c). */
void	*worker_main(void *arg);

/* Latencies (load_hist.c). */
unsigned int hist_slot(uint64_t v);
uint64_t percentile(const uint64_t *hist, uint64_t ios, double p);

/* Clocks, counters and disks of this system (load_system.c). */
uint64_t now_ns(void);
struct machine machine_now(void);
int	open_disk(int flags);
uint64_t media_size(int fd);

#endif /* !LOAD_H */
