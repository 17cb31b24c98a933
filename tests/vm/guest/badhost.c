/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Invalid requests to /dev/nvmf, /dev/nvmeX and /dev/nvmeXnY, one per case,
 * each with the errno that it must get.
 *
 *   badhost [-x name]... [-l] [-d nvmeX] [name ...]
 *
 * Without -d the cases are those of /dev/nvmf (no association may exist);
 * with it those of an existing controller and its first namespace.
 */

#include <sys/types.h>
#include <sys/disk.h>
#include <sys/ioctl.h>
#include <sys/nv.h>
#include <sys/socket.h>
#include <dev/nvme/nvme.h>
#include <dev/nvmf/nvmf.h>
#include <netinet/in.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handoff.h"
#include "pdu.h"

/* Results other than an errno. */
#define	ANY_ERROR	(-1)

/* What the queues' descriptors are. */
enum sockets {
	NO_SOCKETS,		/* validation must fail before they matter */
	PAIRED,			/* connected, the peer says nothing */
	PEER_CLOSED,
	BAD_FD,
	NOT_A_SOCKET,
	UDP,
	UNIX,
	UNCONNECTED,
	LISTENING,
	SAME_FD,
};

struct handoff_case {
	const char	*name;
	int		want;
	enum sockets	sockets;
	struct change	changes[MAX_CHANGES];
};

#define	MISSING(w, key, n)						\
	{ n "-missing", EINVAL, NO_SOCKETS, { { w, DROP, key, 0 } } },	\
	{ n "-type", EINVAL, NO_SOCKETS, { { w, STRING, key, 0 } } },	\
	{ n "-null", EINVAL, NO_SOCKETS, { { w, NUL, key, 0 } } }

#define	QPAIR(w, n, max)						\
	MISSING(w, "admin", n "-admin"),				\
	MISSING(w, "sq_flow_control", n "-sqfc"),			\
	MISSING(w, "qsize", n "-qsize"),				\
	MISSING(w, "sqhd", n "-sqhd"),					\
	MISSING(w, "sqtail", n "-sqtail"),				\
	{ n "-qsize-0", EINVAL, NO_SOCKETS, { { w, NUMBER, "qsize", 0 } } }, \
	{ n "-qsize-1", EINVAL, NO_SOCKETS, { { w, NUMBER, "qsize", 1 } } }, \
	{ n "-qsize-past", EINVAL, NO_SOCKETS,				\
	    { { w, NUMBER, "qsize", max + 1 } } },			\
	{ n "-qsize-wrap", EINVAL, NO_SOCKETS,				\
	    { { w, NUMBER, "qsize", (1ULL << 32) + 16 } } },		\
	{ n "-sqhd-past", EINVAL, NO_SOCKETS,				\
	    { { w, NUMBER, "sqhd", 32 } } },				\
	{ n "-sqhd-wrap", EINVAL, NO_SOCKETS,				\
	    { { w, NUMBER, "sqhd", 1ULL << 32 } } },			\
	{ n "-sqtail-past", EINVAL, NO_SOCKETS,				\
	    { { w, NUMBER, "sqtail", 32 } } }

/* Keys that the TCP transport checks: it declines the queue pair. */
#define	TCP_KEY(key)							\
	{ "tcp-" key "-missing", ENXIO, PAIRED, { { ADMIN, DROP, key, 0 } } }, \
	{ "tcp-" key "-type", ENXIO, PAIRED, { { ADMIN, STRING, key, 0 } } }

#define	TCP_VALUE(name, key, value)					\
	{ "tcp-" name, ENXIO, PAIRED, { { ADMIN, NUMBER, key, value } } }

static const struct handoff_case handoffs[] = {
	MISSING(TOP, "trtype", "trtype"),
	MISSING(TOP, "admin", "admin"),
	MISSING(TOP, "io", "io"),
	MISSING(TOP, "cdata", "cdata"),
	MISSING(TOP, "rparams", "rparams"),
	MISSING(RPARAMS, "dle", "dle"),
	{ "hostnqn-missing", EINVAL, NO_SOCKETS,
	    { { RPARAMS, DROP, "hostnqn", 0 } } },
	{ "hostnqn-type", EINVAL, NO_SOCKETS,
	    { { RPARAMS, NUMBER, "hostnqn", 1 } } },
	MISSING(RPARAMS, "num_io_queues", "num-io"),
	MISSING(RPARAMS, "io_qsize", "io-qsize"),
	QPAIR(ADMIN, "admin", 4096),
	QPAIR(IO0, "io0", 65536),
	{ "admin-is-io", EINVAL, NO_SOCKETS, { { ADMIN, BOOL, "admin", 0 } } },
	{ "num-io-0", EINVAL, NO_SOCKETS,
	    { { RPARAMS, NUMBER, "num_io_queues", 0 } } },
	{ "num-io-mismatch", EINVAL, NO_SOCKETS,
	    { { RPARAMS, NUMBER, "num_io_queues", 2 } } },
	{ "num-io-wrap", EINVAL, NO_SOCKETS,
	    { { RPARAMS, NUMBER, "num_io_queues", (1ULL << 32) + 1 } } },
	{ "io-qsize-mismatch", EINVAL, NO_SOCKETS,
	    { { RPARAMS, NUMBER, "io_qsize", 17 } } },
	{ "cdata-short", EINVAL, NO_SOCKETS,
	    { { TOP, BINARY, "cdata", 4095 } } },
	{ "cdata-long", EINVAL, NO_SOCKETS,
	    { { TOP, BINARY, "cdata", 4097 } } },
	{ "dle-short", EINVAL, NO_SOCKETS,
	    { { RPARAMS, BINARY, "dle", 1023 } } },
	{ "dle-long", EINVAL, NO_SOCKETS,
	    { { RPARAMS, BINARY, "dle", 1025 } } },
	{ "subnqn-mismatch", EINVAL, NO_SOCKETS,
	    { { TOP, BYTE, "cdata", 768 + 4 } } },
	{ "subnqn-tail-mismatch", EINVAL, NO_SOCKETS,
	    { { TOP, BYTE, "cdata", 768 + 255 } } },
	{ "trtype-0", ENXIO, PAIRED, { { TOP, NUMBER, "trtype", 0 } } },
	{ "trtype-rdma", ENXIO, PAIRED, { { TOP, NUMBER, "trtype", 1 } } },
	{ "trtype-4", ENXIO, PAIRED, { { TOP, NUMBER, "trtype", 4 } } },
	{ "trtype-wrap", ENXIO, PAIRED,
	    { { TOP, NUMBER, "trtype", (1ULL << 32) + 3 } } },
	{ "trtype-max", ENXIO, PAIRED,
	    { { TOP, NUMBER, "trtype", UINT64_MAX } } },
	TCP_KEY("fd"),
	TCP_KEY("rxpda"),
	TCP_KEY("txpda"),
	TCP_KEY("header_digests"),
	TCP_KEY("data_digests"),
	TCP_KEY("maxr2t"),
	TCP_KEY("maxh2cdata"),
	TCP_KEY("max_icd"),
	TCP_VALUE("rxpda-0", "rxpda", 0),
	TCP_VALUE("rxpda-256", "rxpda", 256),
	TCP_VALUE("txpda-0", "txpda", 0),
	TCP_VALUE("txpda-256", "txpda", 256),
	TCP_VALUE("fd-wrap", "fd", (1ULL << 32)),
	TCP_VALUE("fd-max", "fd", UINT64_MAX),
	{ "fd-bad", ENXIO, BAD_FD, { } },
	{ "fd-file", ENXIO, NOT_A_SOCKET, { } },
	{ "fd-udp", ENXIO, UDP, { } },
	{ "fd-unix", ENXIO, UNIX, { } },
	{ "fd-unconnected", ENXIO, UNCONNECTED, { } },
	{ "fd-listening", ENXIO, LISTENING, { } },
	{ "fd-twice", ENXIO, SAME_FD, { } },
	{ "fd-peer-closed", ENXIO, PEER_CLOSED, { } },
};

static const char *device;
static int nvmf_fd = -1;
static int bad;

static const char *
error_name(int error)
{
	static char name[16];

	if (error == 0)
		return ("success");
	snprintf(name, sizeof(name), "errno %d", error);
	return (name);
}

static void
verdict(const char *name, int got, int want, const char *extra)
{
	if (extra == NULL &&
	    (got == want || (want == ANY_ERROR && got != 0))) {
		printf("ok %s\n", name);
		return;
	}
	bad = 1;
	if (extra != NULL)
		printf("FAIL %s: %s\n", name, extra);
	else
		printf("FAIL %s: got errno %d (%s), want %s\n", name, got,
		    got == 0 ? "success" : strerror(got),
		    want == ANY_ERROR ? "any error" : error_name(want));
}

static int
controllers(void)
{
	glob_t g;
	int n;

	if (glob("/dev/nvme[0-9]*", 0, NULL, &g) != 0)
		return (0);
	n = g.gl_pathc;
	globfree(&g);
	return (n);
}

static int
send_nvlist(int fd, unsigned long cmd, const nvlist_t *nvl)
{
	struct nvmf_ioc_nv nv;
	void *packed;
	int error;

	memset(&nv, 0, sizeof(nv));
	packed = nvlist_pack(nvl, &nv.size);
	if (packed == NULL)
		err(2, "nvlist_pack");
	nv.data = packed;
	error = ioctl(fd, cmd, &nv) == 0 ? 0 : errno;
	free(packed);
	return (error);
}

static int
plain_socket(int domain, int type)
{
	int fd;

	fd = socket(domain, type, 0);
	if (fd < 0)
		err(2, "socket");
	return (fd);
}

/* Fill in fds and, where there is one, the other ends in peers. */
static void
open_sockets(enum sockets kind, struct fds *fds, int peers[2])
{
	int pair[2];

	peers[0] = peers[1] = -1;
	fds->admin = fds->io[0] = fds->io[1] = 4000;
	switch (kind) {
	case NO_SOCKETS:
	case PAIRED:
	case PEER_CLOSED:
	case SAME_FD:
		tcp_pair(pair);
		fds->admin = pair[0];
		peers[0] = pair[1];
		if (kind == SAME_FD) {
			fds->io[0] = fds->admin;
			break;
		}
		tcp_pair(pair);
		fds->io[0] = pair[0];
		peers[1] = pair[1];
		if (kind == PEER_CLOSED) {
			close(peers[0]);
			close(peers[1]);
			peers[0] = peers[1] = -1;
		}
		break;
	case BAD_FD:
		break;
	case NOT_A_SOCKET:
		fds->admin = open("/dev/null", O_RDWR);
		break;
	case UDP:
		fds->admin = plain_socket(AF_INET, SOCK_DGRAM);
		break;
	case UNIX:
		fds->admin = plain_socket(AF_UNIX, SOCK_STREAM);
		break;
	case UNCONNECTED:
		fds->admin = plain_socket(AF_INET, SOCK_STREAM);
		break;
	case LISTENING:
		fds->admin = tcp_listen(0);
		break;
	}
}

static void
close_fd(int fd)
{
	if (fd >= 0 && fd < 4000)
		close(fd);
}

/* A refused list must leave the sockets usable by their owner. */
static const char *
still_ours(const struct fds *fds, int peer)
{
	char c;

	if (send(fds->admin, "x", 1, MSG_NOSIGNAL) != 1)
		return ("the socket of a refused handoff was taken");
	if (!recv_byte(peer, &c))
		return ("the socket of a refused handoff lost data");
	return (NULL);
}

static void
run_handoff(const struct handoff_case *c)
{
	const char *extra;
	struct fds fds;
	nvlist_t *nvl;
	int before, error, peers[2];

	open_sockets(c->sockets, &fds, peers);
	/*
	 * A peer that never answers would make the kernel wait: half-close it
	 * so that whatever is sent after a wrong acceptance fails at once.
	 */
	if (c->sockets == PAIRED || c->sockets == SAME_FD) {
		shutdown(peers[0], SHUT_WR);
		if (peers[1] >= 0)
			shutdown(peers[1], SHUT_WR);
	}
	before = controllers();
	nvl = host_handoff(&fds, 1, c->changes);
	error = send_nvlist(nvmf_fd, NVMF_HANDOFF_HOST, nvl);
	nvlist_destroy(nvl);
	extra = NULL;
	if (c->sockets == NO_SOCKETS && error == EINVAL)
		extra = still_ours(&fds, peers[0]);
	if (extra == NULL && controllers() != before)
		extra = "a controller device was left behind";
	verdict(c->name, error, c->want, extra);
	close_fd(fds.admin);
	if (fds.io[0] != fds.admin)
		close_fd(fds.io[0]);
	close_fd(peers[0]);
	close_fd(peers[1]);
}

static int
raw_nv(int fd, unsigned long cmd, void *data, size_t size)
{
	struct nvmf_ioc_nv nv = { .data = data, .len = 0, .size = size };

	return (ioctl(fd, cmd, &nv) == 0 ? 0 : errno);
}

static int
disconnect(const char *name)
{
	return (ioctl(nvmf_fd, NVMF_DISCONNECT_HOST, &name) == 0 ? 0 : errno);
}

static uint8_t garbage[8192];

static int case_efault(void) { return (raw_nv(nvmf_fd, NVMF_HANDOFF_HOST, (void *)8, 100)); }
static int case_empty(void) { return (raw_nv(nvmf_fd, NVMF_HANDOFF_HOST, garbage, 0)); }
static int case_garbage(void) { return (raw_nv(nvmf_fd, NVMF_HANDOFF_HOST, garbage, sizeof(garbage))); }
static int case_size_16g(void) { return (raw_nv(nvmf_fd, NVMF_HANDOFF_HOST, garbage, 16ULL << 30)); }
static int case_size_max(void) { return (raw_nv(nvmf_fd, NVMF_HANDOFF_HOST, garbage, SIZE_MAX)); }

static int
case_truncated(void)
{
	const struct change none[1] = { { 0 } };
	struct fds fds = { 4000, { 4000, 4000 } };
	nvlist_t *nvl;
	void *packed;
	size_t size;
	int error;

	nvl = host_handoff(&fds, 1, none);
	packed = nvlist_pack(nvl, &size);
	error = raw_nv(nvmf_fd, NVMF_HANDOFF_HOST, packed, size - 1);
	free(packed);
	nvlist_destroy(nvl);
	return (error);
}

static int case_disconnect_null(void) { return (disconnect((const char *)8)); }
static int case_disconnect_unknown(void) { return (disconnect("nvme99")); }
static int case_disconnect_empty(void) { return (disconnect("")); }
static int case_disconnect_prefix(void) { return (disconnect("nvme")); }

static int
case_disconnect_long(void)
{
	char name[1200];

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	return (disconnect(name));
}

static int
case_disconnect_all(void)
{
	return (ioctl(nvmf_fd, NVMF_DISCONNECT_ALL) == 0 ? 0 : errno);
}

static int
case_unknown_ioctl(void)
{
	return (ioctl(nvmf_fd, _IO('n', 250)) == 0 ? 0 : errno);
}

struct plain_case {
	const char	*name;
	int		(*run)(void);
	int		want;
};

static const struct plain_case nvmf_cases[] = {
	{ "efault", case_efault, EFAULT },
	{ "empty", case_empty, EINVAL },
	{ "garbage", case_garbage, EINVAL },
	{ "truncated", case_truncated, EINVAL },
	{ "size-16g", case_size_16g, ANY_ERROR },
	{ "size-max", case_size_max, ANY_ERROR },
	{ "disconnect-efault", case_disconnect_null, EFAULT },
	{ "disconnect-long", case_disconnect_long, ENAMETOOLONG },
	{ "disconnect-unknown", case_disconnect_unknown, ENOENT },
	{ "disconnect-empty", case_disconnect_empty, ENOENT },
	{ "disconnect-prefix", case_disconnect_prefix, ENOENT },
	{ "disconnect-all-none", case_disconnect_all, ENOENT },
	{ "unknown-ioctl", case_unknown_ioctl, ENOTTY },
};

/* The cases of a connected controller. */
static int ctrl_fd = -1, ns_fd = -1;

static int
passthrough(int fd, void *buf, uint32_t len, uint32_t is_read)
{
	struct nvme_pt_command pt;

	memset(&pt, 0, sizeof(pt));
	pt.cmd.opc = OPC_IDENTIFY;
	pt.cmd.cdw10 = htole32(1);
	pt.buf = buf;
	pt.len = len;
	pt.is_read = is_read;
	return (ioctl(fd, NVME_PASSTHROUGH_CMD, &pt) == 0 ? 0 : errno);
}

static int case_reset(void) { return (ioctl(ctrl_fd, NVME_RESET_CONTROLLER) == 0 ? 0 : errno); }
static int case_pt_long(void) { return (passthrough(ctrl_fd, garbage, 0xfffff000, 1)); }
static int case_pt_efault_in(void) { return (passthrough(ctrl_fd, (void *)8, 4096, 1)); }
static int case_pt_efault_out(void) { return (passthrough(ctrl_fd, (void *)8, 4096, 0)); }
static int case_pt_good(void) { return (passthrough(ctrl_fd, garbage, 4096, 1)); }
static int case_ns_unknown(void) { return (ioctl(ns_fd, NVME_GET_CONTROLLER_DATA, garbage) == 0 ? 0 : errno); }
static int case_rp_short(void) { return (raw_nv(ctrl_fd, NVMF_RECONNECT_PARAMS, garbage, 1)); }
static int case_rp_efault(void) { return (raw_nv(ctrl_fd, NVMF_RECONNECT_PARAMS, (void *)8, 65536)); }
static int case_cs_short(void) { return (raw_nv(ctrl_fd, NVMF_CONNECTION_STATUS, garbage, 1)); }
static int case_rh_garbage(void) { return (raw_nv(ctrl_fd, NVMF_RECONNECT_HOST, garbage, 4096)); }
static int case_rh_efault(void) { return (raw_nv(ctrl_fd, NVMF_RECONNECT_HOST, (void *)8, 4096)); }

static int
case_rp_size(void)
{
	struct nvmf_ioc_nv nv = { 0 };

	if (ioctl(ctrl_fd, NVMF_RECONNECT_PARAMS, &nv) != 0)
		return (errno);
	return (nv.len > 1024 && nv.len < 65536 ? 0 : ERANGE);
}

/* A list that describes another subsystem, or none. */
static int
reconnect_with(const struct change *changes)
{
	struct fds fds;
	nvlist_t *nvl;
	int error, peers[2];

	open_sockets(PAIRED, &fds, peers);
	nvl = host_handoff(&fds, 1, changes);
	error = send_nvlist(ctrl_fd, NVMF_RECONNECT_HOST, nvl);
	nvlist_destroy(nvl);
	close_fd(fds.admin);
	close_fd(fds.io[0]);
	close_fd(peers[0]);
	close_fd(peers[1]);
	return (error);
}

static int
case_rh_missing(void)
{
	const struct change c[] = { { TOP, DROP, "cdata", 0 }, { 0 } };

	return (reconnect_with(c));
}

static int
case_rh_connected(void)
{
	const struct change c[] = { { 0 } };
	int error;

	/* Busy is reported before or after the subsystem is compared. */
	error = reconnect_with(c);
	return (error == EINVAL ? EBUSY : error);
}

static const struct plain_case device_cases[] = {
	{ "ctrl-reset", case_reset, ENOTTY },
	{ "ctrl-passthru-long", case_pt_long, EINVAL },
	{ "ctrl-passthru-efault-in", case_pt_efault_in, EFAULT },
	{ "ctrl-passthru-efault-out", case_pt_efault_out, EFAULT },
	{ "ctrl-passthru-good", case_pt_good, 0 },
	{ "ns-unknown-ioctl", case_ns_unknown, ENOTTY },
	{ "ctrl-params-short", case_rp_short, EFBIG },
	{ "ctrl-params-efault", case_rp_efault, EFAULT },
	{ "ctrl-params-size", case_rp_size, 0 },
	{ "ctrl-status-short", case_cs_short, EFBIG },
	{ "ctrl-reconnect-garbage", case_rh_garbage, EINVAL },
	{ "ctrl-reconnect-efault", case_rh_efault, EFAULT },
	{ "ctrl-reconnect-missing", case_rh_missing, EINVAL },
	{ "ctrl-reconnect-connected", case_rh_connected, EBUSY },
};

static char **only, *skip[64];
static int nonly, nskip;
static bool list;

static bool
selected(const char *name)
{
	int i;

	for (i = 0; i < nskip; i++)
		if (strcmp(skip[i], name) == 0)
			return (false);
	for (i = 0; i < nonly; i++)
		if (strcmp(only[i], name) == 0)
			break;
	if (nonly != 0 && i == nonly)
		return (false);
	if (list)
		printf("%s\n", name);
	return (!list);
}

static void
run_plain(const struct plain_case *c, size_t n)
{
	for (; n != 0; c++, n--)
		if (selected(c->name))
			verdict(c->name, c->run(), c->want, NULL);
}

static int
open_dev(const char *name)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR);
	if (fd < 0)
		err(2, "%s", path);
	return (fd);
}

int
main(int argc, char **argv)
{
	char name[32];
	size_t i;
	int ch;

	while ((ch = getopt(argc, argv, "d:lx:")) != -1) {
		switch (ch) {
		case 'd':
			device = optarg;
			break;
		case 'l':
			list = true;
			break;
		case 'x':
			if (nskip < (int)(sizeof(skip) / sizeof(skip[0])))
				skip[nskip++] = optarg;
			break;
		default:
			errx(2, "usage: badhost [-l] [-d nvmeX] [-x name]... "
			    "[name ...]");
		}
	}
	only = argv + optind;
	nonly = argc - optind;
	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(garbage, 0x6e, sizeof(garbage));
	if (device != NULL) {
		ctrl_fd = open_dev(device);
		snprintf(name, sizeof(name), "%sn1", device);
		ns_fd = open_dev(name);
		run_plain(device_cases,
		    sizeof(device_cases) / sizeof(device_cases[0]));
		return (bad);
	}
	nvmf_fd = open_dev("nvmf");
	run_plain(nvmf_cases, sizeof(nvmf_cases) / sizeof(nvmf_cases[0]));
	for (i = 0; i < sizeof(handoffs) / sizeof(handoffs[0]); i++)
		if (selected(handoffs[i].name))
			run_handoff(&handoffs[i]);
	return (bad);
}
