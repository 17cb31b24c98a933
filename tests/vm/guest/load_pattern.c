/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * What each sector holds, and whether it still does.
 */

#include <err.h>
#include <string.h>

#include "load.h"

uint64_t
mix64(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ULL;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return (x ^ (x >> 31));
}

void
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

void
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
