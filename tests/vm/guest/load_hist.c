/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#include "load.h"

/* Log-linear histogram: 64 steps for each power of two. */
unsigned int
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

uint64_t
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
