/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef ASSOC_H
#define	ASSOC_H

/*
 * The host's side of an association, in steps that a case can take one by one.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "pdu.h"

#define	CC_ENABLE	0x00460001	/* IOCQES 4, IOSQES 6, EN */
#define	DYNAMIC		0xffff

struct assoc {
	int		admin;
	int		io;		/* -1: none */
	uint16_t	cntlid;
	struct pdu	pdu;
};

extern int port;
extern const char *subnqn;
extern int timeout_ms;

int	ic_open(struct pdu *pdu, int sndbuf);
void	command(uint8_t *p, uint8_t opcode, uint16_t cid, uint32_t nsid,
	    uint32_t len);
void	connect_capsule(uint8_t *p, uint16_t qid, uint16_t cntlid,
	    const char *nqn, uint8_t hostid);
enum recv_result exchange(int fd, const void *p, size_t len, struct pdu *pdu);
enum recv_result submit(int fd, const uint8_t *p, size_t len, struct pdu *pdu);
enum recv_result fabrics_connect(int fd, struct pdu *pdu, uint16_t qid,
	    uint16_t cntlid, const char *nqn, uint8_t hostid);
enum recv_result property(int fd, struct pdu *pdu, uint8_t type, uint8_t size,
	    uint32_t reg, uint64_t value);
enum recv_result set_queues(int fd, struct pdu *pdu, uint16_t n);
void	must(enum recv_result result, struct pdu *pdu, const char *what);
void	open_admin(struct assoc *a, bool enable);
void	open_io(struct assoc *a, uint16_t queues);
void	close_assoc(struct assoc *a);

#define	CONNECT_LEN	(PDU_CMD_LEN + 1024)

#endif /* !ASSOC_H */
