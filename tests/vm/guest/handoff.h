/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef HANDOFF_H
#define	HANDOFF_H

/*
 * Handoff nvlists that are right except for the changes that a test case asks
 * for.
 */

#include <sys/types.h>
#include <sys/nv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Which of the nested lists a change applies to. */
enum where {
	TOP,
	ADMIN,		/* host: admin queue pair; controller: "params" */
	IO0,
	IO1,
	RPARAMS,
};

enum what {
	KEEP = 0,	/* no change: ends a list of changes */
	DROP,
	NUMBER,
	BOOL,
	STRING,
	BINARY,		/* value is the size */
	NUL,
	BYTE,		/* change one byte of a binary: offset = value */
};

struct change {
	enum where	where;
	enum what	what;
	const char	*key;
	uint64_t	value;
};

#define	MAX_CHANGES	4

/* Sockets for the queues of a handoff; a fd < 0 is sent as it is. */
struct fds {
	int		admin;
	int		io[2];
};

#define	TEST_SUBNQN	"nqn.2014-08.org.nvmexpress:badinput"
#define	TEST_HOSTNQN	"nqn.2014-08.org.nvmexpress:uuid:" \
			"3f6c1b10-6d6e-4b8f-9a40-0a0b0c0d0e0f"

nvlist_t *host_handoff(const struct fds *fds, unsigned int io_count,
    const struct change *changes);
nvlist_t *controller_handoff(int fd, const char *subnqn, uint16_t qid,
    uint16_t cntlid, const struct change *changes);

/* A connected pair of TCP sockets over the loopback interface. */
void	tcp_pair(int pair[2]);

#endif /* !HANDOFF_H */
