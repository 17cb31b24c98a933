/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Reads and writes, with the faults of the I/O queues.
 */

#include <sys/types.h>
#include <sys/socket.h>

#include <err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "rawtarget.h"

#define	TTAG		0x1234

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

void
do_read(struct conn *c, const uint8_t *sqe)
{
	static uint8_t data[1 << 20];
	uint16_t cid;
	uint32_t len;

	cid = get16(sqe + 2);
	len = get32(sqe + 32);
	if (len > sizeof(data))
		errx(2, "a read of %u bytes", len);
	if (fired || len < FAULTY_READ || fault < F_CID_PAST ||
	    fault > F_SILENT_IO) {
		send_data(c, sqe, data, len);
		return;
	}
	fire(c);
	switch (fault) {
	case F_CID_PAST:
		respond_raw(c, c->qsize - 1, 0, 0);
		break;
	case F_CID_MAX:
		respond_raw(c, 0xffff, 0, 0);
		break;
	case F_CID_INACTIVE:
		/* Far from those that a handful of reads use. */
		respond_raw(c, (cid + c->qsize / 2) % (c->qsize - 1), 0, 0);
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

void
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
	fire(c);
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

void
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
