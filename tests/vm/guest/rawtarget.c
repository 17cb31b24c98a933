/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * A controller that misbehaves: accepts one association from the host on this
 * machine, answers as an honest controller would until the moment that the
 * chosen case is about, does the wrong thing once, and prints what the host
 * did then.
 *
 *   rawtarget -p port -n subnqn [-T ms] case
 *   rawtarget -l
 *
 * "listening" is printed when a host can connect.  The last line is
 * "result: ...": "termreq fes=F fei=I" (the host sent H2CTermReq), "closed",
 * "leak N" (the host sent N bytes beyond its buffer), "alive" (the host went
 * on) or "idle" (nothing of interest came).
 */

#include <sys/param.h>
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "rawtarget.h"

#define	MAX_CONNS	8

static const struct {
	const char	*name;
	enum fault	fault;
} cases[] = {
	{ "none", F_NONE },
	{ "r2t-past", F_R2T_PAST },
	{ "r2t-wrap", F_R2T_WRAP },
	{ "r2t-order", F_R2T_ORDER },
	{ "r2t-unknown-cid", F_R2T_UNKNOWN_CID },
	{ "r2t-zero", F_R2T_ZERO },
	{ "cid-past", F_CID_PAST },
	{ "cid-max", F_CID_MAX },
	{ "cid-inactive", F_CID_INACTIVE },
	{ "c2h-past", F_C2H_PAST },
	{ "c2h-wrap", F_C2H_WRAP },
	{ "c2h-order", F_C2H_ORDER },
	{ "c2h-unknown-cid", F_C2H_UNKNOWN_CID },
	{ "c2h-datal", F_C2H_DATAL },
	{ "c2h-early-last", F_C2H_EARLY_LAST },
	{ "c2h-success-no-last", F_C2H_SUCCESS_NO_LAST },
	{ "early-success", F_EARLY_SUCCESS },
	{ "huge-pdu", F_HUGE_PDU },
	{ "bad-type", F_BAD_TYPE },
	{ "bad-hlen", F_BAD_HLEN },
	{ "bad-pdo", F_BAD_PDO },
	{ "termreq-short", F_TERM_SHORT },
	{ "termreq", F_TERM },
	{ "close-io", F_CLOSE_IO },
	{ "rst-io", F_RST_IO },
	{ "silent-io", F_SILENT_IO },
	{ "nn-huge", F_NN_HUGE },
	{ "nsid-past", F_NSID_PAST },
	{ "nsid-dup", F_NSID_DUP },
	{ "nslist-unsorted", F_NSLIST_UNSORTED },
	{ "lbads-0", F_LBADS_0 },
	{ "lbads-63", F_LBADS_63 },
	{ "lbads-8", F_LBADS_8 },
	{ "nsze-0", F_NSZE_0 },
	{ "nsze-max", F_NSZE_MAX },
	{ "mdts-max", F_MDTS_MAX },
	{ "close-cap", F_CLOSE_CAP },
	{ "close-vs", F_CLOSE_VS },
	{ "close-aer-config", F_CLOSE_AER_CONFIG },
	{ "close-nslist", F_CLOSE_NSLIST },
	{ "close-identify-ns", F_CLOSE_IDENTIFY_NS },
	{ "fail-nslist", F_FAIL_NSLIST },
	{ "fail-aer-config", F_FAIL_AER_CONFIG },
	{ "silent-nslist", F_SILENT_NSLIST },
	{ "aer-storm", F_AER_STORM },
};

#define	NCASES	(sizeof(cases) / sizeof(cases[0]))

const char *subnqn;
enum fault fault;
static int timeout_ms = 10000;
static struct conn conns[MAX_CONNS];
static int nconns;
bool fired;
static const struct conn *faulty;	/* where */
static bool told;			/* the host has said what is wrong */
uint64_t leaked;
struct pdu pdu;
static char result[96] = "idle";

/* The wrong thing is done now, on this connection. */
void
fire(struct conn *c)
{
	fired = true;
	faulty = c;
}

void
finish(const char *text)
{
	snprintf(result, sizeof(result), "%s", text);
}

void
drop(struct conn *c, bool reset)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd < 0)
		return;
	if (reset)
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger,
		    sizeof(linger));
	close(c->fd);
	c->fd = -1;
}

void
respond_raw(struct conn *c, uint16_t cid, uint16_t status, uint64_t value)
{
	uint8_t p[PDU_RESP_LEN] = { 0 };

	pdu_header(p, PDU_RESP, 0, PDU_RESP_LEN, 0, PDU_RESP_LEN);
	put64(p + 8, value);
	c->sqhd = (c->sqhd + 1) % c->qsize;
	put16(p + 16, c->sqhd);
	put16(p + 20, cid);
	put16(p + 22, status << 1);
	send_all(c->fd, p, sizeof(p));
}

void
respond(struct conn *c, const uint8_t *sqe, uint16_t status, uint64_t value)
{
	respond_raw(c, get16(sqe + 2), status, value);
}

void
send_c2h(struct conn *c, uint16_t cid, uint8_t flags, uint32_t datao,
    uint32_t datal, const void *data, uint32_t len)
{
	uint8_t p[PDU_DATA_LEN] = { 0 };

	pdu_header(p, PDU_C2H_DATA, flags, PDU_DATA_LEN, PDU_DATA_LEN,
	    PDU_DATA_LEN + len);
	put16(p + 8, cid);
	put32(p + 12, datao);
	put32(p + 16, datal);
	send_all(c->fd, p, sizeof(p));
	send_all(c->fd, data, len);
}

void
send_data(struct conn *c, const uint8_t *sqe, const void *data, uint32_t len)
{
	send_c2h(c, get16(sqe + 2), PDU_F_LAST, 0, len, data, len);
	respond(c, sqe, 0, 0);
}

static void
ic(struct conn *c)
{
	uint8_t p[PDU_IC_LEN] = { 0 };

	pdu_header(p, PDU_ICRESP, 0, PDU_IC_LEN, 0, PDU_IC_LEN);
	put32(p + 12, 1 << 18);
	send_all(c->fd, p, sizeof(p));
	c->ready = true;
	c->qsize = 1;
}

/* Handle one PDU; false when the association is over. */
static bool
serve(struct conn *c)
{
	enum recv_result r;
	const uint8_t *sqe;

	r = recv_pdu(c->fd, &pdu, timeout_ms);
	if (r != RECV_PDU) {
		if (fired && strcmp(result, "idle") == 0)
			finish("closed");
		drop(c, false);
		return (false);
	}
	switch (pdu.buf[0]) {
	case PDU_ICREQ:
		ic(c);
		break;
	case PDU_CMD:
		sqe = pdu.buf + PDU_CH_LEN;
		if (!c->io)
			admin(c, sqe);
		else if (sqe[0] == OPC_READ)
			do_read(c, sqe);
		else if (sqe[0] == OPC_WRITE)
			do_write(c, sqe);
		else if (sqe[0] == OPC_FABRICS)
			fabrics(c, sqe);
		else
			respond(c, sqe, 0, 0);
		break;
	case PDU_H2C_DATA:
		h2c_data(c);
		break;
	case PDU_H2C_TERM:
		finish(result_string(RECV_PDU, &pdu));
		told = true;
		return (false);
	default:
		errx(2, "host sent a PDU of type %#x", pdu.buf[0]);
	}
	return (true);
}

static void
run(int listener)
{
	struct pollfd pfd[MAX_CONNS + 1];
	struct timespec ts;
	time_t deadline;
	int i, n;
	bool over;

	deadline = 0;
	for (over = false; !over;) {
		pfd[0].fd = listener;
		pfd[0].events = POLLIN;
		for (i = 0; i < nconns; i++) {
			pfd[i + 1].fd = conns[i].fd;
			pfd[i + 1].events = POLLIN;
			pfd[i + 1].revents = 0;
		}
		n = poll(pfd, nconns + 1, 500);
		clock_gettime(CLOCK_MONOTONIC, &ts);
		if (fired && deadline == 0)
			deadline = ts.tv_sec + timeout_ms / 1000;
		if (deadline != 0 && ts.tv_sec > deadline) {
			if (strcmp(result, "idle") == 0)
				finish("alive");
			return;
		}
		if (n <= 0)
			continue;
		if ((pfd[0].revents & POLLIN) != 0 && nconns < MAX_CONNS) {
			memset(&conns[nconns], 0, sizeof(conns[0]));
			conns[nconns].fd = accept(listener, NULL, NULL);
			if (conns[nconns].fd >= 0)
				nconns++;
			continue;
		}
		for (i = 0; i < nconns; i++) {
			if (conns[i].fd < 0 || pfd[i + 1].revents == 0)
				continue;
			/*
			 * The host closes its queues in an order of its own;
			 * what it says is on the one with the fault.
			 */
			if (!serve(&conns[i]) && fired)
				over = told || faulty->fd < 0;
		}
		/* Without a fault: until the host has closed everything. */
		for (i = 0; i < nconns && conns[i].fd < 0; i++)
			;
		if (nconns != 0 && i == nconns)
			over = true;
	}
}

int
main(int argc, char **argv)
{
	size_t i;
	int ch, listener, port;

	port = 4421;
	while ((ch = getopt(argc, argv, "ln:p:T:")) != -1) {
		switch (ch) {
		case 'l':
			for (i = 0; i < NCASES; i++)
				printf("%s\n", cases[i].name);
			return (0);
		case 'n':
			subnqn = optarg;
			break;
		case 'p':
			port = atoi(optarg);
			break;
		case 'T':
			timeout_ms = atoi(optarg);
			break;
		default:
			goto usage;
		}
	}
	if (optind + 1 != argc || subnqn == NULL)
		goto usage;
	for (i = 0; i < NCASES; i++)
		if (strcmp(cases[i].name, argv[optind]) == 0)
			break;
	if (i == NCASES)
		errx(2, "no case \"%s\"", argv[optind]);
	fault = cases[i].fault;
	setvbuf(stdout, NULL, _IOLBF, 0);
	listener = tcp_listen(port);
	printf("listening\n");
	run(listener);
	if (leaked != 0)
		printf("result: leak %ju\n", (uintmax_t)leaked);
	else
		printf("result: %s\n", result);
	/* Leave the host's other queues to it: it must close them itself. */
	for (i = 0; i < (size_t)nconns; i++)
		drop(&conns[i], false);
	return (0);
usage:
	errx(2, "usage: rawtarget -p port -n subnqn [-T ms] case | -l");
}
