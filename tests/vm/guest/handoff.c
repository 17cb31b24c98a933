/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#include <sys/types.h>
#include <sys/nv.h>
#include <sys/socket.h>
#include <netinet/in.h>

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handoff.h"
#include "pdu.h"

#define	IO_QSIZE	16

static uint8_t cdata[4096];
static uint8_t dle[1024];
static uint8_t sqe[64];
static uint8_t connect_data[1024];

static void
apply(nvlist_t *nvl, enum where where, const struct change *changes)
{
	static uint8_t zero[8192];
	const struct change *c;
	uint8_t *copy;
	const void *old;
	size_t len;

	for (c = changes; c != NULL && c->what != KEEP; c++) {
		if (c->where != where)
			continue;
		copy = NULL;
		len = 0;
		if (c->what == BYTE) {
			old = nvlist_get_binary(nvl, c->key, &len);
			copy = malloc(len);
			if (copy == NULL)
				err(2, "malloc");
			memcpy(copy, old, len);
			copy[c->value] ^= 0x20;
		}
		if (nvlist_exists(nvl, c->key))
			nvlist_free(nvl, c->key);
		switch (c->what) {
		case KEEP:
		case DROP:
			break;
		case NUMBER:
			nvlist_add_number(nvl, c->key, c->value);
			break;
		case BOOL:
			nvlist_add_bool(nvl, c->key, c->value != 0);
			break;
		case STRING:
			nvlist_add_string(nvl, c->key, "string");
			break;
		case BINARY:
			nvlist_add_binary(nvl, c->key, zero, c->value);
			break;
		case NUL:
			nvlist_add_null(nvl, c->key);
			break;
		case BYTE:
			nvlist_add_binary(nvl, c->key, copy, len);
			free(copy);
			break;
		}
	}
	if (nvlist_error(nvl) != 0)
		errc(2, nvlist_error(nvl), "nvlist");
}

static nvlist_t *
qpair(bool admin, bool controller, int fd, enum where where,
    const struct change *changes)
{
	nvlist_t *nvl;

	nvl = nvlist_create(0);
	nvlist_add_bool(nvl, "admin", admin);
	nvlist_add_bool(nvl, "sq_flow_control", false);
	nvlist_add_number(nvl, "qsize", admin ? 32 : IO_QSIZE);
	nvlist_add_number(nvl, "sqhd", 0);
	if (!controller)
		nvlist_add_number(nvl, "sqtail", 0);
	nvlist_add_number(nvl, "fd", fd);
	nvlist_add_number(nvl, "rxpda", 4);
	nvlist_add_number(nvl, "txpda", 4);
	nvlist_add_bool(nvl, "header_digests", false);
	nvlist_add_bool(nvl, "data_digests", false);
	nvlist_add_number(nvl, "maxr2t", 1);
	nvlist_add_number(nvl, "maxh2cdata", 262144);
	nvlist_add_number(nvl, "max_icd", controller ? 0 : 8192);
	apply(nvl, where, changes);
	return (nvl);
}

static void
add_list(nvlist_t *nvl, const char *key, nvlist_t *child)
{
	nvlist_add_nvlist(nvl, key, child);
	nvlist_destroy(child);
}

nvlist_t *
host_handoff(const struct fds *fds, unsigned int io_count,
    const struct change *changes)
{
	nvlist_t *nvl, *rparams, *io;
	unsigned int i;

	memset(cdata, 0, sizeof(cdata));
	put32(cdata + 80, 0x00010400);
	put32(cdata + 516, 16);
	strlcpy((char *)cdata + 768, TEST_SUBNQN, 256);
	memset(dle, 0, sizeof(dle));
	dle[0] = 3;
	dle[1] = 1;
	strlcpy((char *)dle + 256, TEST_SUBNQN, 256);

	rparams = nvlist_create(0);
	nvlist_add_binary(rparams, "dle", dle, sizeof(dle));
	nvlist_add_string(rparams, "hostnqn", TEST_HOSTNQN);
	nvlist_add_number(rparams, "num_io_queues", io_count);
	nvlist_add_number(rparams, "kato", 0);
	nvlist_add_number(rparams, "io_qsize", IO_QSIZE);
	nvlist_add_bool(rparams, "sq_flow_control", false);
	nvlist_add_bool(rparams, "header_digests", false);
	nvlist_add_bool(rparams, "data_digests", false);
	apply(rparams, RPARAMS, changes);

	nvl = nvlist_create(0);
	nvlist_add_number(nvl, "trtype", 3);
	nvlist_add_number(nvl, "kato", 0);
	nvlist_add_number(nvl, "reconnect_delay", 0);
	nvlist_add_number(nvl, "controller_loss_timeout", 0);
	add_list(nvl, "rparams", rparams);
	add_list(nvl, "admin", qpair(true, false, fds->admin, ADMIN, changes));
	for (i = 0; i < io_count; i++) {
		io = qpair(false, false, fds->io[i], i == 0 ? IO0 : IO1,
		    changes);
		nvlist_append_nvlist_array(nvl, "io", io);
		nvlist_destroy(io);
	}
	nvlist_add_binary(nvl, "cdata", cdata, sizeof(cdata));
	apply(nvl, TOP, changes);
	return (nvl);
}

nvlist_t *
controller_handoff(int fd, const char *subnqn, uint16_t qid, uint16_t cntlid,
    const struct change *changes)
{
	nvlist_t *nvl;

	memset(sqe, 0, sizeof(sqe));
	sqe[0] = OPC_FABRICS;
	sqe[1] = 0x40;
	sqe[4] = FC_CONNECT;
	put32(sqe + 32, 1024);
	sqe[39] = SGL_ICD;
	put16(sqe + 42, qid);
	put16(sqe + 44, qid == 0 ? 31 : IO_QSIZE - 1);
	sqe[46] = 4;
	memset(connect_data, 0, sizeof(connect_data));
	memset(connect_data, 0x5a, 16);
	put16(connect_data + 16, cntlid);
	memset(connect_data + 256, 0, 512);
	memcpy(connect_data + 256, subnqn, strnlen(subnqn, 256));
	strlcpy((char *)connect_data + 512, TEST_HOSTNQN, 256);

	nvl = nvlist_create(0);
	nvlist_add_number(nvl, "trtype", 3);
	add_list(nvl, "params", qpair(qid == 0, true, fd, ADMIN, changes));
	nvlist_add_binary(nvl, "cmd", sqe, sizeof(sqe));
	nvlist_add_binary(nvl, "data", connect_data, sizeof(connect_data));
	apply(nvl, TOP, changes);
	return (nvl);
}

void
tcp_pair(int pair[2])
{
	struct sockaddr_in sin;
	socklen_t len;
	int listener;

	listener = tcp_listen(0);
	len = sizeof(sin);
	if (getsockname(listener, (struct sockaddr *)&sin, &len) != 0)
		err(2, "getsockname");
	pair[0] = tcp_connect(ntohs(sin.sin_port), 0);
	pair[1] = accept(listener, NULL, NULL);
	if (pair[1] < 0)
		err(2, "accept");
	close(listener);
}
