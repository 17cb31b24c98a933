/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#include <sys/types.h>

#include <err.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assoc.h"

#define	IO_QSIZE	16

static const char *const hostnqn =
    "nqn.2014-08.org.nvmexpress:uuid:3f6c1b10-6d6e-4b8f-9a40-0a0b0c0d0e0f";

int
ic_open(struct pdu *pdu, int sndbuf)
{
	uint8_t ic[PDU_IC_LEN] = { 0 };
	int fd;

	fd = tcp_connect(port, sndbuf);
	pdu_header(ic, PDU_ICREQ, 0, PDU_IC_LEN, 0, PDU_IC_LEN);
	put32(ic + 12, 1);
	if (!send_all(fd, ic, sizeof(ic)) ||
	    recv_pdu(fd, pdu, timeout_ms) != RECV_PDU ||
	    pdu->buf[0] != PDU_ICRESP)
		errx(2, "no ICResp");
	return (fd);
}

/* A command capsule without data: SGL of the transport type, length len. */
void
command(uint8_t *p, uint8_t opcode, uint16_t cid, uint32_t nsid, uint32_t len)
{
	memset(p, 0, PDU_CMD_LEN);
	pdu_header(p, PDU_CMD, 0, PDU_CMD_LEN, 0, PDU_CMD_LEN);
	p += PDU_CH_LEN;
	p[0] = opcode;
	p[1] = 0x40;
	put16(p + 2, cid);
	put32(p + 4, nsid);
	put32(p + 32, len);
	p[39] = SGL_TRANSPORT;
}

/*
 * A peer that finds a fault in the first bytes may have answered and closed
 * before the last ones are sent: what it said counts.
 */
enum recv_result
exchange(int fd, const void *p, size_t len, struct pdu *pdu)
{
	send_all(fd, p, len);
	return (recv_pdu(fd, pdu, timeout_ms));
}

/* Like exchange, but returns the response and skips data sent before it. */
enum recv_result
submit(int fd, const uint8_t *p, size_t len, struct pdu *pdu)
{
	enum recv_result result;

	result = exchange(fd, p, len, pdu);
	while (result == RECV_PDU && pdu->buf[0] == PDU_C2H_DATA) {
		if ((pdu->buf[1] & PDU_F_SUCCESS) != 0) {
			memset(pdu->buf, 0, PDU_RESP_LEN);
			pdu->buf[0] = PDU_RESP;
			break;
		}
		result = recv_pdu(fd, pdu, timeout_ms);
	}
	return (result);
}

void
connect_capsule(uint8_t *p, uint16_t qid, uint16_t cntlid, const char *nqn,
    uint8_t hostid)
{
	uint8_t *sqe = p + PDU_CH_LEN, *data = p + PDU_CMD_LEN;

	memset(p, 0, CONNECT_LEN);
	command(p, OPC_FABRICS, 0, 0, 1024);
	pdu_header(p, PDU_CMD, 0, PDU_CMD_LEN, PDU_CMD_LEN, CONNECT_LEN);
	sqe[4] = FC_CONNECT;
	sqe[39] = SGL_ICD;
	put16(sqe + 42, qid);
	put16(sqe + 44, (qid == 0 ? 32 : IO_QSIZE) - 1);
	sqe[46] = 0x04;				/* no SQ flow control */
	put32(sqe + 48, qid == 0 ? 120000 : 0);
	memset(data, hostid, 16);
	put16(data + 16, cntlid);
	strlcpy((char *)data + 256, nqn, 256);
	strlcpy((char *)data + 512, hostnqn, 256);
}

enum recv_result
fabrics_connect(int fd, struct pdu *pdu, uint16_t qid, uint16_t cntlid,
    const char *nqn, uint8_t hostid)
{
	uint8_t p[CONNECT_LEN];

	connect_capsule(p, qid, cntlid, nqn, hostid);
	return (exchange(fd, p, sizeof(p), pdu));
}

enum recv_result
property(int fd, struct pdu *pdu, uint8_t type, uint8_t size, uint32_t reg,
    uint64_t value)
{
	uint8_t p[PDU_CMD_LEN];

	command(p, OPC_FABRICS, 1, 0, 0);
	p[PDU_CH_LEN + 4] = type;
	p[PDU_CH_LEN + 40] = size;
	put32(p + PDU_CH_LEN + 44, reg);
	put64(p + PDU_CH_LEN + 48, value);
	return (exchange(fd, p, sizeof(p), pdu));
}

enum recv_result
set_queues(int fd, struct pdu *pdu, uint16_t n)
{
	uint8_t p[PDU_CMD_LEN];

	command(p, OPC_SET_FEAT, 2, 0, 0);
	put32(p + PDU_CH_LEN + 40, 0x07);
	put32(p + PDU_CH_LEN + 44, (n - 1) | (uint32_t)(n - 1) << 16);
	return (exchange(fd, p, sizeof(p), pdu));
}

void
must(enum recv_result result, struct pdu *pdu, const char *what)
{
	if (result != RECV_PDU || pdu->buf[0] != PDU_RESP ||
	    cqe_status(pdu->buf + PDU_CH_LEN) != 0)
		errx(3, "%s: %s", what, result_string(result, pdu));
}

void
open_admin(struct assoc *a, bool enable)
{
	memset(a, 0, sizeof(*a));
	a->io = -1;
	a->admin = ic_open(&a->pdu, 0);
	must(fabrics_connect(a->admin, &a->pdu, 0, DYNAMIC, subnqn, 0x5a),
	    &a->pdu, "admin connect");
	a->cntlid = get16(a->pdu.buf + PDU_CH_LEN);
	if (enable)
		must(property(a->admin, &a->pdu, FC_PROP_SET, 0, REG_CC,
		    CC_ENABLE), &a->pdu, "enable");
}

void
open_io(struct assoc *a, uint16_t queues)
{
	open_admin(a, true);
	must(set_queues(a->admin, &a->pdu, queues), &a->pdu, "set queues");
	a->io = ic_open(&a->pdu, 0);
	must(fabrics_connect(a->io, &a->pdu, 1, a->cntlid, subnqn, 0x5a),
	    &a->pdu, "I/O connect");
}

void
close_assoc(struct assoc *a)
{
	if (a->io >= 0)
		close(a->io);
	close(a->admin);
	free(a->pdu.buf);
	a->pdu.buf = NULL;
}
