/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef RAWHOST_H
#define	RAWHOST_H

#include <stddef.h>

struct test {
	const char	*name;
	const char	*(*run)(void);
	const char	*want;		/* alternatives separated by '|' */
};

extern const struct test tests[];
extern const size_t ntests;

void	hold(void);

#endif /* !RAWHOST_H */
