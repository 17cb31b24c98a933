/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Identify, properties and the rest of the admin queue, with the faults of
 * set-up.
 */

#include <sys/param.h>

#include <string.h>

#include "rawtarget.h"

#define	SECTORS		65536		/* 32 MiB of 512-byte sectors */

static uint32_t cc;
static int cap_reads;

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
		fire(c);
		drop(c, false);
		return (true);
	}
	if (fault == fail_f) {
		fire(c);
		respond(c, sqe, STATUS(0, 6), 0);
		return (true);
	}
	if (fault == silent_f) {
		fire(c);
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

void
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

void
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
