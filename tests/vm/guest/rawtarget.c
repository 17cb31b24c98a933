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

#include "pdu.h"

#define	MAX_CONNS	8
#define	SECTORS		65536		/* 32 MiB of 512-byte sectors */
#define	TTAG		0x1234

/* What to do wrong, and when. */
enum fault {
	F_NONE,
	/* on the first write that asks for an R2T */
	F_R2T_PAST,
	F_R2T_WRAP,
	F_R2T_ORDER,
	F_R2T_UNKNOWN_CID,
	F_R2T_ZERO,
	/* on the first read of at least two sectors on an I/O queue */
	F_CID_PAST,
	F_CID_MAX,
	F_CID_INACTIVE,
	F_C2H_PAST,
	F_C2H_WRAP,
	F_C2H_ORDER,
	F_C2H_UNKNOWN_CID,
	F_C2H_DATAL,
	F_C2H_EARLY_LAST,
	F_C2H_SUCCESS_NO_LAST,
	F_EARLY_SUCCESS,
	F_HUGE_PDU,
	F_BAD_TYPE,
	F_BAD_HLEN,
	F_BAD_PDO,
	F_TERM_SHORT,
	F_TERM,
	F_CLOSE_IO,
	F_RST_IO,
	F_SILENT_IO,
	/* in identify data and during set-up */
	F_NN_HUGE,
	F_NSID_PAST,
	F_NSID_DUP,
	F_NSLIST_UNSORTED,
	F_LBADS_0,
	F_LBADS_63,
	F_LBADS_8,
	F_NSZE_0,
	F_NSZE_MAX,
	F_MDTS_MAX,
	F_CLOSE_CAP,
	F_CLOSE_VS,
	F_CLOSE_AER_CONFIG,
	F_CLOSE_NSLIST,
	F_CLOSE_IDENTIFY_NS,
	F_FAIL_NSLIST,
	F_FAIL_AER_CONFIG,
	F_SILENT_NSLIST,
	F_AER_STORM,
};

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

struct conn {
	int		fd;
	bool		ready;		/* IC done */
	bool		io;
	uint16_t	qsize;
	bool		no_sqfc;
	uint16_t	sqhd;
	struct {
		bool		active;
		uint16_t	cid;
		uint32_t	len;
		uint32_t	got;
	} write;
};

static const char *subnqn;
static enum fault fault;
static int timeout_ms = 10000;
static struct conn conns[MAX_CONNS];
static int nconns;
static uint32_t cc;
static int cap_reads;
static bool fired;			/* the wrong thing has been done */
static uint64_t leaked;
static struct pdu pdu;
static char result[96] = "idle";

static void
finish(const char *text)
{
	snprintf(result, sizeof(result), "%s", text);
}

static void
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

static void
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

static void
respond(struct conn *c, const uint8_t *sqe, uint16_t status, uint64_t value)
{
	respond_raw(c, get16(sqe + 2), status, value);
}

static void
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

static void
send_data(struct conn *c, const uint8_t *sqe, const void *data, uint32_t len)
{
	send_c2h(c, get16(sqe + 2), PDU_F_LAST, 0, len, data, len);
	respond(c, sqe, 0, 0);
}

static void
send_r2t(struct conn *c, uint16_t cid, uint32_t offset, uint32_t len)
{
	uint8_t p[PDU_R2T_LEN] = { 0 };

	pdu_header(p, PDU_R2T, 0, PDU_R2T_LEN, 0, PDU_R2T_LEN);
	put16(p + 8, cid);
	put16(p + 10, TTAG);
	put32(p + 12, offset);
	put32(p + 16, len);
	send_all(c->fd, p, sizeof(p));
}

static void
identify_controller(struct conn *c, const uint8_t *sqe)
{
	static uint8_t d[4096];

	memset(d, 0, sizeof(d));
	memset(d + 4, ' ', 68);
	memcpy(d + 4, "HOSTILE", 7);
	memcpy(d + 24, "scripted", 8);
	memcpy(d + 64, "1", 1);
	d[77] = fault == F_MDTS_MAX ? 255 : 0;
	put16(d + 78, 1);
	put32(d + 80, 0x00010400);
	put32(d + 92, 0x100);
	d[111] = 1;
	d[259] = fault == F_AER_STORM ? 15 : 3;
	put16(d + 320, 10);
	d[512] = 0x66;
	d[513] = 0x44;
	put32(d + 516, fault == F_NN_HUGE ? 0xffffffff : 16);
	put32(d + 536, 0x00300001);
	strlcpy((char *)d + 768, subnqn, 256);
	put32(d + 1792, 1028);
	put32(d + 1796, 1);
	d[1803] = 1;
	send_data(c, sqe, d, sizeof(d));
}

static void
identify_namespace(struct conn *c, const uint8_t *sqe)
{
	static uint8_t d[4096];
	uint64_t sectors;
	uint8_t lbads;

	memset(d, 0, sizeof(d));
	sectors = fault == F_NSZE_0 ? 0 : fault == F_NSZE_MAX ? ~0ull :
	    SECTORS;
	lbads = fault == F_LBADS_0 ? 0 : fault == F_LBADS_63 ? 63 :
	    fault == F_LBADS_8 ? 8 : 9;
	put64(d, sectors);
	put64(d + 8, sectors);
	put64(d + 16, sectors);
	d[128 + 2] = lbads;
	send_data(c, sqe, d, sizeof(d));
}

static void
identify_ns_list(struct conn *c, const uint8_t *sqe)
{
	static uint8_t d[4096];
	uint32_t from;

	memset(d, 0, sizeof(d));
	from = get32(sqe + 4);
	if (from < 1)
		put32(d, 1);
	switch (fault) {
	case F_NSID_PAST:
		put32(d, 1);
		put32(d + 4, 0xdeadbeef);
		break;
	case F_NSID_DUP:
		put32(d, 1);
		put32(d + 4, 1);
		break;
	case F_NSLIST_UNSORTED:
		put32(d, 5);
		put32(d + 4, 2);
		break;
	default:
		break;
	}
	send_data(c, sqe, d, sizeof(d));
}

static bool
setup_fault(struct conn *c, const uint8_t *sqe, enum fault close_f,
    enum fault fail_f, enum fault silent_f)
{
	if (fault == F_NONE || fired)
		return (false);
	if (fault == close_f) {
		fired = true;
		drop(c, false);
		return (true);
	}
	if (fault == fail_f) {
		fired = true;
		respond(c, sqe, STATUS(0, 6), 0);
		return (true);
	}
	if (fault == silent_f) {
		fired = true;
		return (true);
	}
	return (false);
}

/* The host's kernel reads CAP again; userland read it once before. */
static void
property_get(struct conn *c, const uint8_t *sqe)
{
	uint64_t value;

	switch (get32(sqe + 44)) {
	case REG_CAP:
		if (++cap_reads > 1 && setup_fault(c, sqe, F_CLOSE_CAP, F_NONE,
		    F_NONE))
			return;
		value = 0x000000200f01003fULL;
		break;
	case REG_VS:
		if (cap_reads > 1 && setup_fault(c, sqe, F_CLOSE_VS, F_NONE,
		    F_NONE))
			return;
		value = 0x00010400;
		break;
	case REG_CC:
		value = cc;
		break;
	case REG_CSTS:
		value = cc & 1;
		break;
	default:
		respond(c, sqe, STATUS(0, 2), 0);
		return;
	}
	respond(c, sqe, 0, value);
}

static void
fabrics(struct conn *c, const uint8_t *sqe)
{
	switch (sqe[4]) {
	case FC_CONNECT:
		c->io = get16(sqe + 42) != 0;
		c->qsize = get16(sqe + 44) + 1;
		c->no_sqfc = (sqe[46] & 0x04) != 0;
		respond(c, sqe, 0, 1);
		break;
	case FC_PROP_GET:
		property_get(c, sqe);
		break;
	case FC_PROP_SET:
		if (get32(sqe + 44) == REG_CC)
			cc = get32(sqe + 48);
		respond(c, sqe, 0, 0);
		break;
	default:
		respond(c, sqe, STATUS(0, 1), 0);
		break;
	}
}

static void
admin(struct conn *c, const uint8_t *sqe)
{
	static uint8_t zero[4096];
	uint32_t i, len;

	switch (sqe[0]) {
	case OPC_FABRICS:
		fabrics(c, sqe);
		break;
	case OPC_IDENTIFY:
		switch (get32(sqe + 40) & 0xff) {
		case 0:
			if (!setup_fault(c, sqe, F_CLOSE_IDENTIFY_NS, F_NONE,
			    F_NONE))
				identify_namespace(c, sqe);
			break;
		case 1:
			identify_controller(c, sqe);
			break;
		case 2:
			if (!setup_fault(c, sqe, F_CLOSE_NSLIST, F_FAIL_NSLIST,
			    F_SILENT_NSLIST))
				identify_ns_list(c, sqe);
			break;
		default:
			respond(c, sqe, STATUS(0, 2), 0);
			break;
		}
		break;
	case OPC_SET_FEAT:
		if ((get32(sqe + 40) & 0xff) == 0x0b &&
		    setup_fault(c, sqe, F_CLOSE_AER_CONFIG, F_FAIL_AER_CONFIG,
		    F_NONE))
			break;
		respond(c, sqe, 0, get32(sqe + 44));
		break;
	case OPC_GET_LOG:
		len = get32(sqe + 32);
		for (i = 0; i < len; i += sizeof(zero))
			send_c2h(c, get16(sqe + 2), i + sizeof(zero) >= len ?
			    PDU_F_LAST : 0, i, MIN(len - i, sizeof(zero)), zero,
			    MIN(len - i, sizeof(zero)));
		respond(c, sqe, 0, 0);
		break;
	case OPC_AER:
		/* Namespace list changed, at once and for ever. */
		if (fault == F_AER_STORM)
			respond(c, sqe, 0, 0x00040002);
		break;
	case OPC_KEEP_ALIVE:
		respond(c, sqe, 0, 0);
		break;
	default:
		respond(c, sqe, STATUS(0, 1), 0);
		break;
	}
}

static void
bad_header(struct conn *c, uint8_t type, uint8_t hlen, uint8_t pdo,
    uint32_t plen)
{
	uint8_t p[256] = { 0 };

	pdu_header(p, type, 0, hlen, pdo, plen);
	send_all(c->fd, p, plen);
}

/* Three GiB are claimed and up to 64 MiB follow, if the host takes them. */
static void
huge_pdu(struct conn *c, uint16_t cid)
{
	static uint8_t chunk[65536];
	struct pollfd pfd;
	size_t sent;
	ssize_t n;

	pdu_header(chunk, PDU_C2H_DATA, PDU_F_LAST, PDU_DATA_LEN, PDU_DATA_LEN,
	    3u << 30);
	put16(chunk + 8, cid);
	put32(chunk + 16, (3u << 30) - PDU_DATA_LEN);
	for (sent = 0; sent < 64 << 20; sent += n) {
		pfd.fd = c->fd;
		pfd.events = POLLOUT;
		if (poll(&pfd, 1, 1000) == 0)
			break;
		n = send(c->fd, chunk, sizeof(chunk), MSG_NOSIGNAL |
		    MSG_DONTWAIT);
		if (n < 0)
			break;
		memset(chunk, 0, PDU_DATA_LEN);
	}
	fprintf(stderr, "rawtarget: huge-pdu: the host took %zu KiB\n",
	    sent >> 10);
	if (sent >= 8 << 20)
		finish("buffered");
}

static void
do_read(struct conn *c, const uint8_t *sqe)
{
	static uint8_t data[1 << 20];
	uint16_t cid;
	uint32_t len;

	cid = get16(sqe + 2);
	len = get32(sqe + 32);
	if (len > sizeof(data))
		errx(2, "a read of %u bytes", len);
	if (fired || len < 1024 || fault < F_CID_PAST || fault > F_SILENT_IO) {
		send_data(c, sqe, data, len);
		return;
	}
	fired = true;
	switch (fault) {
	case F_CID_PAST:
		respond_raw(c, c->qsize - 1, 0, 0);
		break;
	case F_CID_MAX:
		respond_raw(c, 0xffff, 0, 0);
		break;
	case F_CID_INACTIVE:
		respond_raw(c, cid == 0 ? c->qsize - 2 : cid - 1, 0, 0);
		break;
	case F_C2H_PAST:
		send_c2h(c, cid, PDU_F_LAST, 0, len + 512, data, len + 512);
		break;
	case F_C2H_WRAP:
		send_c2h(c, cid, 0, 0, 512, data, 512);
		send_c2h(c, cid, PDU_F_LAST, 0xfffffe00, 1024, data, 1024);
		break;
	case F_C2H_ORDER:
		send_c2h(c, cid, PDU_F_LAST, 512, len - 512, data, len - 512);
		break;
	case F_C2H_UNKNOWN_CID:
		send_c2h(c, cid ^ 0x4000, PDU_F_LAST, 0, len, data, len);
		break;
	case F_C2H_DATAL:
		send_c2h(c, cid, PDU_F_LAST, 0, len - 4, data, len);
		break;
	case F_C2H_EARLY_LAST:
		send_c2h(c, cid, PDU_F_LAST, 0, 512, data, 512);
		break;
	case F_C2H_SUCCESS_NO_LAST:
		send_c2h(c, cid, PDU_F_SUCCESS, 0, len, data, len);
		break;
	case F_EARLY_SUCCESS:
		send_c2h(c, cid, 0, 0, 512, data, 512);
		respond(c, sqe, 0, 0);
		break;
	case F_HUGE_PDU:
		huge_pdu(c, cid);
		break;
	case F_BAD_TYPE:
		bad_header(c, PDU_H2C_DATA, 24, 0, 24);
		break;
	case F_BAD_HLEN:
		bad_header(c, PDU_RESP, 25, 0, 25);
		break;
	case F_BAD_PDO:
		bad_header(c, PDU_C2H_DATA, 24, 20, 64);
		break;
	case F_TERM_SHORT:
		bad_header(c, PDU_C2H_TERM, 24, 0, 23);
		break;
	case F_TERM:
		bad_header(c, PDU_C2H_TERM, 24, 0, 24);
		break;
	case F_CLOSE_IO:
		drop(c, false);
		finish("closed");
		break;
	case F_RST_IO:
		drop(c, true);
		finish("closed");
		break;
	case F_SILENT_IO:
		break;
	default:
		errx(2, "not a fault of a read");
	}
}

static void
do_write(struct conn *c, const uint8_t *sqe)
{
	uint16_t cid;
	uint32_t len;

	cid = get16(sqe + 2);
	len = get32(sqe + 32);
	if (sqe[39] == SGL_ICD) {
		respond(c, sqe, 0, 0);
		return;
	}
	c->write.active = true;
	c->write.cid = cid;
	c->write.len = len;
	c->write.got = 0;
	if (fired || fault < F_R2T_PAST || fault > F_R2T_ZERO) {
		send_r2t(c, cid, 0, len);
		return;
	}
	fired = true;
	switch (fault) {
	case F_R2T_PAST:
		send_r2t(c, cid, 0, len + 65536);
		break;
	case F_R2T_WRAP:
		send_r2t(c, cid, 0, 4096);
		send_r2t(c, cid, 4096, 0xfffff000u + 512);
		break;
	case F_R2T_ORDER:
		send_r2t(c, cid, 4096, len - 4096);
		break;
	case F_R2T_UNKNOWN_CID:
		send_r2t(c, cid ^ 0x4000, 0, len);
		break;
	case F_R2T_ZERO:
		send_r2t(c, cid, 0, 0);
		break;
	default:
		errx(2, "not a fault of a write");
	}
}

static void
h2c_data(struct conn *c)
{
	uint32_t len;

	len = pdu.len - pdu.buf[3];
	c->write.got += len;
	if (c->write.got > c->write.len)
		leaked += c->write.got - c->write.len;
	if (c->write.active && c->write.got == c->write.len &&
	    (!fired || fault < F_R2T_PAST || fault > F_R2T_ZERO)) {
		c->write.active = false;
		respond_raw(c, c->write.cid, 0, 0);
	}
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
			if (!serve(&conns[i]))
				over = fired;
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
