/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef RAWTARGET_H
#define	RAWTARGET_H

/*
 * What the parts of the misbehaving controller share.
 */

#include <sys/types.h>

#include <stdbool.h>
#include <stdint.h>

#include "pdu.h"

/* What to do wrong, and when. */
enum fault {
	F_NONE,
	/* on the first write that asks for an R2T */
	F_R2T_PAST,
	F_R2T_WRAP,
	F_R2T_ORDER,
	F_R2T_UNKNOWN_CID,
	F_R2T_ZERO,
	/* on the first read of at least FAULTY_READ bytes */
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

extern const char *subnqn;
extern enum fault fault;
/*
 * More than geom(4) reads when it tastes a disk: what the wrong answer does to
 * nvmecontrol, which may still be connecting then, would depend on the moment.
 */
#define	FAULTY_READ	65536

extern bool fired;			/* the wrong thing has been done */
extern uint64_t leaked;
extern struct pdu pdu;

/* Answers (rawtarget.c). */
void	fire(struct conn *c);
void	finish(const char *text);
void	drop(struct conn *c, bool reset);
void	respond_raw(struct conn *c, uint16_t cid, uint16_t status,
	    uint64_t value);
void	respond(struct conn *c, const uint8_t *sqe, uint16_t status,
	    uint64_t value);
void	send_c2h(struct conn *c, uint16_t cid, uint8_t flags, uint32_t datao,
	    uint32_t datal, const void *data, uint32_t len);
void	send_data(struct conn *c, const uint8_t *sqe, const void *data,
	    uint32_t len);

/* The admin queue (target_admin.c) and the I/O queues (target_io.c). */
void	admin(struct conn *c, const uint8_t *sqe);
void	fabrics(struct conn *c, const uint8_t *sqe);
void	do_read(struct conn *c, const uint8_t *sqe);
void	do_write(struct conn *c, const uint8_t *sqe);
void	h2c_data(struct conn *c);

#endif /* !RAWTARGET_H */
