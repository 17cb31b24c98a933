/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#include <sys/types.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pdu.h"

#define	MAX_PDU		(4 << 20)

static void
loopback(struct sockaddr_in *sin, int port)
{
	memset(sin, 0, sizeof(*sin));
#ifdef __FreeBSD__
	sin->sin_len = sizeof(*sin);
#endif
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/*
 * Connect to a port of this machine.  A small send buffer (sndbuf != 0) keeps
 * what this process itself holds out of a measurement of the peer's memory.
 */
int
tcp_connect(int port, int sndbuf)
{
	struct sockaddr_in sin;
	int fd, one;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		err(2, "socket");
	if (sndbuf != 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf,
	    sizeof(sndbuf)) != 0)
		err(2, "SO_SNDBUF");
	loopback(&sin, port);
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		err(2, "connect to port %d", port);
	one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return (fd);
}

int
tcp_listen(int port)
{
	struct sockaddr_in sin;
	int fd, one;

	fd = socket(AF_INET, SOCK_STREAM, 0);
	if (fd < 0)
		err(2, "socket");
	one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	loopback(&sin, port);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) != 0)
		err(2, "bind to port %d", port);
	if (listen(fd, 16) != 0)
		err(2, "listen");
	return (fd);
}

bool
send_all(int fd, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	ssize_t n;

	while (len != 0) {
		n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (false);
		p += n;
		len -= n;
	}
	return (true);
}

static enum recv_result
recv_exact(int fd, uint8_t *p, size_t len, int timeout_ms)
{
	struct pollfd pfd;
	ssize_t n;

	while (len != 0) {
		pfd.fd = fd;
		pfd.events = POLLIN;
		if (poll(&pfd, 1, timeout_ms) == 0)
			return (RECV_TIMEOUT);
		n = recv(fd, p, len, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (RECV_CLOSED);
		p += n;
		len -= n;
	}
	return (RECV_PDU);
}

/* One byte that has been sent, if it arrives: loopback has a queue too. */
bool
recv_byte(int fd, char *byte)
{
	return (recv_exact(fd, (uint8_t *)byte, 1, 30000) == RECV_PDU);
}

enum recv_result
recv_pdu(int fd, struct pdu *pdu, int timeout_ms)
{
	enum recv_result result;
	size_t plen;

	if (pdu->buf == NULL) {
		pdu->size = MAX_PDU;
		pdu->buf = calloc(1, pdu->size);
		if (pdu->buf == NULL)
			err(2, "calloc");
	}
	pdu->len = 0;
	result = recv_exact(fd, pdu->buf, PDU_CH_LEN, timeout_ms);
	if (result != RECV_PDU)
		return (result);
	plen = get32(pdu->buf + 4);
	if (plen < PDU_CH_LEN || plen > pdu->size)
		errx(2, "peer sent a PDU of type %#x with length %zu",
		    pdu->buf[0], plen);
	pdu->len = plen;
	return (recv_exact(fd, pdu->buf + PDU_CH_LEN, plen - PDU_CH_LEN,
	    timeout_ms));
}

void
pdu_header(uint8_t *p, enum pdu_type type, uint8_t flags, uint8_t hlen,
    uint8_t pdo, uint32_t plen)
{
	p[0] = type;
	p[1] = flags;
	p[2] = hlen;
	p[3] = pdo;
	put32(p + 4, plen);
}

uint16_t
cqe_status(const uint8_t *cqe)
{
	return ((get16(cqe + 14) >> 1) & 0x7ff);
}

/* One word, or a few, that a scenario can compare with what it expects. */
const char *
result_string(enum recv_result result, const struct pdu *pdu)
{
	static char line[96];

	switch (result) {
	case RECV_CLOSED:
		return ("closed");
	case RECV_TIMEOUT:
		return ("timeout");
	case RECV_PDU:
		break;
	}
	switch (pdu->buf[0]) {
	case PDU_H2C_TERM:
	case PDU_C2H_TERM:
		snprintf(line, sizeof(line), "termreq fes=%#x fei=%#x",
		    get16(pdu->buf + 8), get32(pdu->buf + 10));
		break;
	case PDU_RESP:
		snprintf(line, sizeof(line), "status=%#x", cqe_status(pdu->buf +
		    PDU_CH_LEN));
		break;
	default:
		snprintf(line, sizeof(line), "pdu=%#x", pdu->buf[0]);
		break;
	}
	return (line);
}
