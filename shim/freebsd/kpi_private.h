/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* What the kernel half of the shim shares between its files. */
#ifndef _KPI_PRIVATE_H_
#define	_KPI_PRIVATE_H_

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mutex.h>

#include "nvrs.h"

/* The module's malloc type: defined by its glue file. */
extern struct malloc_type *const nvrs_malloc_type;

static inline int
nvrs_mflags(int flags)
{
	return (((flags & NVRS_WAITOK) != 0 ? M_WAITOK : M_NOWAIT) |
	    ((flags & NVRS_ZERO) != 0 ? M_ZERO : 0));
}

#endif /* !_KPI_PRIVATE_H_ */
