/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef PDU_H
#define	PDU_H

/*
 * NVMe/TCP PDUs and NVMe commands as byte buffers, for the scripted hostile
 * peers.  Offsets are those of the published protocol; nothing here validates
 * anything, since the point is to be able to send what no honest peer would.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pdu_type {
	PDU_ICREQ = 0x00,
	PDU_ICRESP = 0x01,
	PDU_H2C_TERM = 0x02,
	PDU_C2H_TERM = 0x03,
	PDU_CMD = 0x04,
	PDU_RESP = 0x05,
	PDU_H2C_DATA = 0x06,
	PDU_C2H_DATA = 0x07,
	PDU_R2T = 0x09,
};

#define	PDU_F_HDGST	0x01
#define	PDU_F_DDGST	0x02
#define	PDU_F_LAST	0x04
#define	PDU_F_SUCCESS	0x08

#define	PDU_CH_LEN	8
#define	PDU_IC_LEN	128
#define	PDU_CMD_LEN	72
#define	PDU_RESP_LEN	24
#define	PDU_DATA_LEN	24
#define	PDU_R2T_LEN	24
#define	PDU_TERM_LEN	24

#define	OPC_FABRICS	0x7f
#define	FC_PROP_SET	0x00
#define	FC_CONNECT	0x01
#define	FC_PROP_GET	0x04

#define	OPC_GET_LOG	0x02
#define	OPC_IDENTIFY	0x06
#define	OPC_SET_FEAT	0x09
#define	OPC_AER		0x0c
#define	OPC_KEEP_ALIVE	0x18
#define	OPC_FLUSH	0x00
#define	OPC_WRITE	0x01
#define	OPC_READ	0x02

#define	REG_CAP		0x00
#define	REG_VS		0x08
#define	REG_CC		0x14
#define	REG_CSTS	0x1c

#define	SGL_ICD		0x01
#define	SGL_TRANSPORT	0x5a

/* Status as (SCT << 8 | SC), without phase, DNR and the other flags. */
#define	STATUS(sct, sc)	((sct) << 8 | (sc))

/* A received PDU: header and payload in one buffer that is reused. */
struct pdu {
	uint8_t		*buf;
	size_t		len;		/* bytes received */
	size_t		size;		/* bytes allocated */
};

static inline uint16_t
get16(const uint8_t *p)
{
	return (p[0] | p[1] << 8);
}

static inline uint32_t
get32(const uint8_t *p)
{
	return (get16(p) | (uint32_t)get16(p + 2) << 16);
}

static inline uint64_t
get64(const uint8_t *p)
{
	return (get32(p) | (uint64_t)get32(p + 4) << 32);
}

static inline void
put16(uint8_t *p, uint16_t v)
{
	p[0] = v;
	p[1] = v >> 8;
}

static inline void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v);
	put16(p + 2, v >> 16);
}

static inline void
put64(uint8_t *p, uint64_t v)
{
	put32(p, v);
	put32(p + 4, v >> 32);
}

/* Outcome of waiting for a PDU. */
enum recv_result {
	RECV_PDU,
	RECV_CLOSED,
	RECV_TIMEOUT,
};

int	tcp_connect(int port, int sndbuf);
int	tcp_listen(int port);
bool	send_all(int fd, const void *buf, size_t len);
bool	recv_byte(int fd, char *byte);
enum recv_result recv_pdu(int fd, struct pdu *pdu, int timeout_ms);

void	pdu_header(uint8_t *p, enum pdu_type type, uint8_t flags,
	    uint8_t hlen, uint8_t pdo, uint32_t plen);
uint16_t cqe_status(const uint8_t *cqe);
const char *result_string(enum recv_result result, const struct pdu *pdu);

#endif /* !PDU_H */
