/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * A host that misbehaves: speaks NVMe/TCP to a controller on this machine and
 * checks the answer to one fault per case.
 *
 *   rawhost -p port -n subnqn [-x name]... [-l] [-H seconds] [name ...]
 *
 * Without names every case runs except those given with -x.  A case prints
 * "ok NAME" or "FAIL NAME: got ..., want ..."; after each one a fresh
 * association must still work.
 */

#include <sys/types.h>

#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assoc.h"
#include "rawhost.h"

int port = 4420;
const char *subnqn;
int timeout_ms = 30000;
static unsigned int hold_seconds;

static bool
wanted(const char *want, const char *got)
{
	size_t len;

	for (;;) {
		len = strcspn(want, "|");
		if (strlen(got) == len && strncmp(want, got, len) == 0)
			return (true);
		if (want[len] == '\0')
			return (false);
		want += len + 1;
	}
}

/*
 * Holds a connection open for hold_seconds or until SIGUSR1, which is blocked
 * until then so that it cannot come too early.
 */
void
hold(void)
{
	struct timespec limit;
	sigset_t set;

	if (hold_seconds == 0)
		return;
	printf("holding\n");
	limit.tv_sec = hold_seconds;
	limit.tv_nsec = 0;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	while (sigtimedwait(&set, NULL, &limit) == -1 && errno == EINTR)
		;
}

static void
block_wakeup(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	if (sigprocmask(SIG_BLOCK, &set, NULL) == -1)
		err(2, "sigprocmask");
}

static bool
listed(const char *name, char **names, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(name, names[i]) == 0)
			return (true);
	return (false);
}

/* The controller still takes a new host and answers it. */
static void
check_alive(const char *after)
{
	struct assoc a;
	uint8_t p[PDU_CMD_LEN];

	open_admin(&a, true);
	command(p, OPC_IDENTIFY, 1, 0, 4096);
	put32(p + PDU_CH_LEN + 40, 1);
	must(submit(a.admin, p, sizeof(p), &a.pdu), &a.pdu, after);
	close_assoc(&a);
}

int
main(int argc, char **argv)
{
	char *skip[32];
	const struct test *t;
	const char *got;
	int bad, ch, nskip;
	bool list;

	list = false;
	bad = nskip = 0;
	while ((ch = getopt(argc, argv, "H:ln:p:T:x:")) != -1) {
		switch (ch) {
		case 'H':
			hold_seconds = atoi(optarg);
			block_wakeup();
			break;
		case 'l':
			list = true;
			break;
		case 'n':
			subnqn = optarg;
			break;
		case 'p':
			port = atoi(optarg);
			break;
		case 'T':
			timeout_ms = atoi(optarg);
			break;
		case 'x':
			if (nskip < (int)(sizeof(skip) / sizeof(skip[0])))
				skip[nskip++] = optarg;
			break;
		default:
			errx(2, "usage: rawhost -p port -n subnqn [-l] "
			    "[-H seconds] [-T ms] [-x name]... [name ...]");
		}
	}
	argc -= optind;
	argv += optind;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (t = tests; t < tests + ntests; t++) {
		if (argc != 0 ? !listed(t->name, argv, argc) :
		    listed(t->name, skip, nskip))
			continue;
		if (list) {
			printf("%s\n", t->name);
			continue;
		}
		got = t->run();
		if (wanted(t->want, got)) {
			printf("ok %s\n", t->name);
		} else {
			printf("FAIL %s: got %s, want %s\n", t->name, got,
			    t->want);
			bad = 1;
		}
		check_alive(t->name);
	}
	return (bad);
}
