/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * One function per fault, and the table of what each must be answered with.
 */

#include <sys/types.h>
#include <sys/socket.h>

#include <err.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "assoc.h"
#include "rawhost.h"

#define	WRITE_LEN	16384

static const char *
answer(enum recv_result result, struct pdu *pdu)
{
	return (result_string(result, pdu));
}

/* A header fault on an enabled admin queue. */
static const char *
bad_header(uint8_t type, uint8_t flags, uint8_t hlen, uint8_t pdo,
    uint32_t plen)
{
	static uint8_t p[256];
	struct assoc a;
	const char *r;

	open_admin(&a, true);
	memset(p, 0, sizeof(p));
	command(p, OPC_KEEP_ALIVE, 7, 0, 0);
	pdu_header(p, type, flags, hlen, pdo, plen);
	r = answer(exchange(a.admin, p, plen < PDU_CH_LEN ? PDU_CH_LEN :
	    plen > sizeof(p) ? sizeof(p) : plen, &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *case_odd_type(void) { return (bad_header(PDU_R2T, 0, 24, 0, 24)); }
static const char *case_unknown_type(void) { return (bad_header(0x0a, 0, 72, 0, 72)); }
static const char *case_second_ic(void) { return (bad_header(PDU_ICREQ, 0, 128, 0, 128)); }
static const char *case_flags(void) { return (bad_header(PDU_CMD, 0x80, 72, 0, 72)); }
static const char *case_digest_flag(void) { return (bad_header(PDU_CMD, PDU_F_HDGST, 72, 0, 76)); }
static const char *case_hlen(void) { return (bad_header(PDU_CMD, 0, 71, 0, 72)); }
static const char *case_pdo_low(void) { return (bad_header(PDU_CMD, 0, 72, 70, 128)); }
static const char *case_pdo_past(void) { return (bad_header(PDU_CMD, 0, 72, 132, 128)); }
static const char *case_plen_low(void) { return (bad_header(PDU_CMD, 0, 72, 0, 40)); }
static const char *case_plen_zero(void) { return (bad_header(PDU_CMD, 0, 72, 0, 0)); }
static const char *case_two_faults(void) { return (bad_header(PDU_CMD, 0x80, 71, 4, 128)); }
static const char *case_term_short(void) { return (bad_header(PDU_H2C_TERM, 0, 24, 0, 23)); }
static const char *case_term(void) { return (bad_header(PDU_H2C_TERM, 0, 24, 0, 24)); }

static const char *
h2c_no_r2t(int fd, struct assoc *a, uint16_t cid, uint16_t ttag)
{
	uint8_t p[PDU_DATA_LEN + 512];

	memset(p, 0, sizeof(p));
	pdu_header(p, PDU_H2C_DATA, PDU_F_LAST, PDU_DATA_LEN, PDU_DATA_LEN,
	    sizeof(p));
	put16(p + 8, cid);
	put16(p + 10, ttag);
	put32(p + 16, 512);
	return (answer(exchange(fd, p, sizeof(p), &a->pdu), &a->pdu));
}

static const char *
case_h2c_no_command(void)
{
	struct assoc a;
	const char *r;

	open_admin(&a, true);
	r = h2c_no_r2t(a.admin, &a, 0, 0);
	close_assoc(&a);
	return (r);
}

static const char *
case_h2c_ttag_max(void)
{
	struct assoc a;
	const char *r;

	open_io(&a, 1);
	r = h2c_no_r2t(a.io, &a, 0, 0xffff);
	close_assoc(&a);
	return (r);
}

/*
 * Start a write that needs an R2T, then answer it with one H2CData PDU that is
 * wrong in one way.
 */
struct h2c_fault {
	uint16_t	cid_delta;
	uint16_t	ttag_delta;
	uint32_t	datao;
	uint32_t	datal_delta;
	uint8_t		flags;
	uint32_t	len;
};

static const char *
h2c_fault(const struct h2c_fault *f)
{
	static uint8_t p[PDU_DATA_LEN + 2 * WRITE_LEN];
	uint8_t cmd[PDU_CMD_LEN];
	enum recv_result result;
	struct assoc a;
	uint16_t ttag;
	const char *r;

	open_io(&a, 1);
	command(cmd, OPC_WRITE, 3, 1, WRITE_LEN);
	put32(cmd + PDU_CH_LEN + 48, WRITE_LEN / 512 - 1);
	result = exchange(a.io, cmd, sizeof(cmd), &a.pdu);
	if (result != RECV_PDU || a.pdu.buf[0] != PDU_R2T)
		errx(3, "no R2T: %s", result_string(result, &a.pdu));
	ttag = get16(a.pdu.buf + 10);
	memset(p, 0, sizeof(p));
	pdu_header(p, PDU_H2C_DATA, f->flags, PDU_DATA_LEN, PDU_DATA_LEN,
	    PDU_DATA_LEN + f->len);
	put16(p + 8, 3 + f->cid_delta);
	put16(p + 10, ttag + f->ttag_delta);
	put32(p + 12, f->datao);
	put32(p + 16, f->len + f->datal_delta);
	r = answer(submit(a.io, p, PDU_DATA_LEN + f->len, &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

#define	H2C(name, ...)						\
static const char *						\
name(void)							\
{								\
	static const struct h2c_fault f = { __VA_ARGS__ };	\
								\
	return (h2c_fault(&f));					\
}

H2C(case_h2c_good, .flags = PDU_F_LAST, .len = WRITE_LEN)
H2C(case_h2c_cid, .cid_delta = 1, .flags = PDU_F_LAST, .len = WRITE_LEN)
H2C(case_h2c_ttag, .ttag_delta = 1, .flags = PDU_F_LAST, .len = WRITE_LEN)
H2C(case_h2c_order, .datao = 4096, .flags = PDU_F_LAST, .len = 4096)
H2C(case_h2c_datal, .datal_delta = 4, .flags = PDU_F_LAST, .len = WRITE_LEN)
H2C(case_h2c_past, .flags = PDU_F_LAST, .len = 2 * WRITE_LEN)
H2C(case_h2c_early_last, .flags = PDU_F_LAST, .len = 4096)
H2C(case_h2c_no_last, .flags = 0, .len = WRITE_LEN)

/* One admin command with its SGL or PSDT spoilt. */
static const char *
bad_sgl(uint8_t psdt, uint8_t type, uint64_t address, uint32_t len,
    size_t payload)
{
	uint8_t p[PDU_CMD_LEN + 64];
	struct assoc a;
	const char *r;

	open_admin(&a, true);
	memset(p, 0, sizeof(p));
	command(p, OPC_IDENTIFY, 9, 0, len);
	put32(p + PDU_CH_LEN + 40, 1);
	p[PDU_CH_LEN + 1] = psdt;
	put64(p + PDU_CH_LEN + 24, address);
	p[PDU_CH_LEN + 39] = type;
	pdu_header(p, PDU_CMD, 0, PDU_CMD_LEN, payload != 0 ? PDU_CMD_LEN : 0,
	    PDU_CMD_LEN + payload);
	r = answer(submit(a.admin, p, PDU_CMD_LEN + payload, &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *case_psdt(void) { return (bad_sgl(0, SGL_TRANSPORT, 0, 4096, 0)); }
static const char *case_sgl_type(void) { return (bad_sgl(0x40, 0x30, 0, 4096, 0)); }
static const char *case_sgl_offset(void) { return (bad_sgl(0x40, SGL_ICD, 8, 64, 64)); }
static const char *case_icd_length(void) { return (bad_sgl(0x40, SGL_ICD, 0, 32, 64)); }
static const char *case_icd_unwanted(void) { return (bad_sgl(0x40, SGL_TRANSPORT, 0, 4096, 64)); }

static const char *
admin_command(bool enable, uint8_t opcode, uint32_t nsid, uint32_t cdw10,
    uint32_t cdw11, uint32_t cdw12, uint32_t len)
{
	uint8_t p[PDU_CMD_LEN];
	struct assoc a;
	const char *r;

	open_admin(&a, enable);
	command(p, opcode, 11, nsid, len);
	put32(p + PDU_CH_LEN + 40, cdw10);
	put32(p + PDU_CH_LEN + 44, cdw11);
	put32(p + PDU_CH_LEN + 48, cdw12);
	r = answer(submit(a.admin, p, sizeof(p), &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *case_disabled(void) { return (admin_command(false, OPC_IDENTIFY, 0, 1, 0, 0, 4096)); }
static const char *case_admin_opcode(void) { return (admin_command(true, 0xee, 0, 0, 0, 0, 0)); }
static const char *case_log_numd(void) { return (admin_command(true, OPC_GET_LOG, 0xffffffff, 0xffff0002, 0xffff, 0, 4)); }
static const char *case_log_numd_large(void) { return (admin_command(true, OPC_GET_LOG, 0xffffffff, 0xfffe0002, 0xffff, 0, 0xfffffffc)); }
static const char *case_log_short_sgl(void) { return (admin_command(true, OPC_GET_LOG, 0xffffffff, 127 << 16 | 2, 0, 0, 64)); }
static const char *case_log_offset_odd(void) { return (admin_command(true, OPC_GET_LOG, 0xffffffff, 15 << 16 | 2, 0, 3, 64)); }
static const char *case_log_offset(void) { return (admin_command(true, OPC_GET_LOG, 0xffffffff, 15 << 16 | 2, 0, 4, 64)); }
static const char *case_identify_cns(void) { return (admin_command(true, OPC_IDENTIFY, 0, 0x77, 0, 0, 4096)); }
static const char *case_identify_ns_past(void) { return (admin_command(true, OPC_IDENTIFY, 1025, 0, 0, 0, 4096)); }
static const char *case_cns3_inactive(void) { return (admin_command(true, OPC_IDENTIFY, 900, 3, 0, 0, 4096)); }
static const char *case_feature_unknown(void) { return (admin_command(true, OPC_SET_FEAT, 0, 0x7f, 0, 0, 0)); }
static const char *case_queues_invalid(void) { return (admin_command(true, OPC_SET_FEAT, 0, 7, 0xffffffff, 0, 0)); }

static const char *
case_cid_conflict(void)
{
	uint8_t p[PDU_CMD_LEN];
	struct assoc a;
	const char *r;

	open_admin(&a, true);
	command(p, OPC_AER, 5, 0, 0);
	send_all(a.admin, p, sizeof(p));
	command(p, OPC_KEEP_ALIVE, 5, 0, 0);
	r = answer(exchange(a.admin, p, sizeof(p), &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *
case_aer_limit(void)
{
	uint8_t p[PDU_CMD_LEN];
	struct assoc a;
	const char *r;
	int i;

	open_admin(&a, true);
	for (i = 0; i < 16; i++) {
		command(p, OPC_AER, 100 + i, 0, 0);
		send_all(a.admin, p, sizeof(p));
	}
	command(p, OPC_AER, 200, 0, 0);
	r = answer(exchange(a.admin, p, sizeof(p), &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *
property_case(uint8_t type, uint8_t size, uint32_t reg, uint64_t value)
{
	struct assoc a;
	const char *r;

	open_admin(&a, true);
	r = answer(property(a.admin, &a.pdu, type, size, reg, value), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *case_prop_size(void) { return (property_case(FC_PROP_GET, 0, REG_CAP, 0)); }
static const char *case_prop_offset(void) { return (property_case(FC_PROP_GET, 0, 0x7000, 0)); }
static const char *case_prop_readonly(void) { return (property_case(FC_PROP_SET, 0, REG_CSTS, 1)); }
static const char *case_cc_shn(void) { return (property_case(FC_PROP_SET, 0, REG_CC, CC_ENABLE | 0xc000)); }
static const char *case_cc_css(void) { return (property_case(FC_PROP_SET, 0, REG_CC, CC_ENABLE | 0x60)); }

/* An I/O queue's Connect with a stale or foreign identity. */
static const char *
io_connect(bool queues, uint16_t qid, uint16_t cntlid_xor, uint8_t hostid)
{
	struct assoc a;
	const char *r;
	int fd;

	open_admin(&a, true);
	if (queues)
		must(set_queues(a.admin, &a.pdu, 2), &a.pdu, "set queues");
	fd = ic_open(&a.pdu, 0);
	r = answer(fabrics_connect(fd, &a.pdu, qid, a.cntlid ^ cntlid_xor,
	    subnqn, hostid), &a.pdu);
	close(fd);
	close_assoc(&a);
	return (r);
}

static const char *case_connect_unknown_cntlid(void) { return (io_connect(true, 1, 0x700, 0x5a)); }
static const char *case_connect_hostid(void) { return (io_connect(true, 1, 0, 0x5b)); }
static const char *case_connect_qid(void) { return (io_connect(true, 3, 0, 0x5a)); }
static const char *case_connect_no_queues(void) { return (io_connect(false, 1, 0, 0x5a)); }

static const char *
case_connect_duplicate(void)
{
	struct assoc a;
	const char *r;
	int fd;

	open_io(&a, 2);
	fd = ic_open(&a.pdu, 0);
	r = answer(fabrics_connect(fd, &a.pdu, 1, a.cntlid, subnqn, 0x5a),
	    &a.pdu);
	close(fd);
	close_assoc(&a);
	return (r);
}

static const char *
case_connect_twice(void)
{
	struct assoc a;
	const char *r;

	open_admin(&a, true);
	r = answer(fabrics_connect(a.admin, &a.pdu, 0, DYNAMIC, subnqn, 0x5a),
	    &a.pdu);
	close_assoc(&a);
	return (r);
}

/* Connect, then close before the response can be used; many times over. */
static const char *
case_connect_close(void)
{
	struct pdu pdu = { 0 };
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };
	uint8_t p[CONNECT_LEN];
	int fd, i;

	connect_capsule(p, 0, DYNAMIC, subnqn, 0x5a);
	for (i = 0; i < 50; i++) {
		fd = ic_open(&pdu, 0);
		send_all(fd, p, sizeof(p));
		if ((i & 1) != 0)
			setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger,
			    sizeof(linger));
		close(fd);
	}
	free(pdu.buf);
	return ("done");
}

static const char *
io_command(uint8_t opcode, uint32_t nsid, uint64_t lba, uint16_t blocks,
    uint32_t len)
{
	uint8_t p[PDU_CMD_LEN];
	struct assoc a;
	const char *r;

	open_io(&a, 1);
	command(p, opcode, 13, nsid, len);
	put64(p + PDU_CH_LEN + 40, lba);
	put32(p + PDU_CH_LEN + 48, blocks - 1);
	r = answer(submit(a.io, p, sizeof(p), &a.pdu), &a.pdu);
	close_assoc(&a);
	return (r);
}

static const char *case_io_read(void) { return (io_command(OPC_READ, 1, 0, 8, 4096)); }
static const char *case_io_opcode(void) { return (io_command(0xee, 1, 0, 1, 0)); }
static const char *case_io_nsid0(void) { return (io_command(OPC_READ, 0, 0, 8, 4096)); }
static const char *case_io_nsid_past(void) { return (io_command(OPC_READ, 1025, 0, 8, 4096)); }
static const char *case_io_lba_past(void) { return (io_command(OPC_READ, 1, 1ULL << 50, 8, 4096)); }

/*
 * A command capsule that claims 3 GiB.  The payload follows for as long as
 * the peer takes it, at most 64 MiB; then the connection is held open, so that
 * the caller can look at the memory in use.
 */
static const char *
case_huge_pdu(void)
{
	static uint8_t chunk[65536];
	static char line[128];
	struct assoc a;
	struct pollfd pfd;
	const char *r;
	size_t sent;
	ssize_t n;

	memset(&a, 0, sizeof(a));
	a.io = -1;
	a.admin = ic_open(&a.pdu, 8192);
	must(fabrics_connect(a.admin, &a.pdu, 0, DYNAMIC, subnqn, 0x5a),
	    &a.pdu, "admin connect");
	command(chunk, OPC_KEEP_ALIVE, 7, 0, 0);
	pdu_header(chunk, PDU_CMD, 0, PDU_CMD_LEN, PDU_CMD_LEN, 3u << 30);
	fcntl(a.admin, F_SETFL, O_NONBLOCK);
	for (sent = 0; sent < 64 << 20;) {
		pfd.fd = a.admin;
		pfd.events = POLLOUT;
		if (poll(&pfd, 1, 1000) == 0)
			break;
		n = send(a.admin, chunk, sizeof(chunk), MSG_NOSIGNAL);
		if (n < 0)
			break;
		sent += n;
	}
	fcntl(a.admin, F_SETFL, 0);
	r = answer(recv_pdu(a.admin, &a.pdu, timeout_ms), &a.pdu);
	fprintf(stderr, "rawhost: huge-pdu: the peer took %zu KiB\n",
	    sent >> 10);
	hold();
	snprintf(line, sizeof(line), "%s", sent < 8 << 20 ? r : "buffered");
	close_assoc(&a);
	return (line);
}

const struct test tests[] = {
	{ "io-read", case_io_read, "status=0" },
	{ "type-odd", case_odd_type, "termreq fes=0x1 fei=0" },
	{ "type-unknown", case_unknown_type, "termreq fes=0x1 fei=0" },
	{ "second-icreq", case_second_ic, "termreq fes=0x1 fei=0" },
	{ "flags-reserved", case_flags, "termreq fes=0x1 fei=0x1" },
	{ "flags-digest", case_digest_flag, "termreq fes=0x1 fei=0x1" },
	{ "hlen", case_hlen, "termreq fes=0x1 fei=0x2" },
	{ "pdo-low", case_pdo_low, "termreq fes=0x1 fei=0x3" },
	{ "pdo-past", case_pdo_past, "termreq fes=0x1 fei=0x3" },
	{ "plen-low", case_plen_low, "termreq fes=0x1 fei=0x4" },
	{ "plen-zero", case_plen_zero, "termreq fes=0x1 fei=0x4" },
	{ "two-faults", case_two_faults, "termreq fes=0x1 fei=0x1" },
	{ "termreq-short", case_term_short, "closed" },
	{ "termreq", case_term, "closed" },
	{ "h2c-no-command", case_h2c_no_command, "termreq fes=0x1 fei=0xa" },
	{ "h2c-ttag-max", case_h2c_ttag_max, "termreq fes=0x1 fei=0xa" },
	{ "h2c-good", case_h2c_good, "status=0" },
	{ "h2c-cid", case_h2c_cid, "termreq fes=0x1 fei=0x8" },
	{ "h2c-ttag", case_h2c_ttag, "termreq fes=0x1 fei=0xa" },
	{ "h2c-order", case_h2c_order, "termreq fes=0x2 fei=0" },
	{ "h2c-datal", case_h2c_datal, "termreq fes=0x1 fei=0x10" },
	{ "h2c-past", case_h2c_past, "termreq fes=0x4 fei=0" },
	{ "h2c-early-last", case_h2c_early_last, "termreq fes=0x2 fei=0" },
	{ "h2c-no-last", case_h2c_no_last, "termreq fes=0x2 fei=0" },
	{ "psdt", case_psdt, "status=0x2" },
	{ "sgl-type", case_sgl_type, "status=0x11" },
	{ "sgl-offset", case_sgl_offset, "status=0x16" },
	{ "icd-length", case_icd_length, "status=0xf" },
	{ "icd-unwanted", case_icd_unwanted, "status=0x2" },
	{ "disabled", case_disabled, "status=0xc" },
	{ "admin-opcode", case_admin_opcode, "status=0x1" },
	{ "log-numd-wrap", case_log_numd, "status=0x2|status=0xf" },
	{ "log-numd-4g", case_log_numd_large, "status=0x2|status=0xf" },
	{ "log-short-sgl", case_log_short_sgl, "status=0x2|status=0xf" },
	{ "log-offset-odd", case_log_offset_odd, "status=0x2" },
	{ "log-offset-4", case_log_offset, "status=0" },
	{ "identify-cns", case_identify_cns, "status=0x2" },
	{ "identify-ns-past", case_identify_ns_past, "status=0|status=0xb" },
	{ "identify-cns3-inactive", case_cns3_inactive, "status=0|status=0x2|status=0xb" },
	{ "feature-unknown", case_feature_unknown, "status=0x2" },
	{ "queues-invalid", case_queues_invalid, "status=0x2" },
	{ "cid-conflict", case_cid_conflict, "status=0x3" },
	{ "aer-limit", case_aer_limit, "status=0x105" },
	{ "property-size", case_prop_size, "status=0x2" },
	{ "property-offset", case_prop_offset, "status=0x2" },
	{ "property-readonly", case_prop_readonly, "status=0x2" },
	{ "cc-shn", case_cc_shn, "status=0x2" },
	{ "cc-css", case_cc_css, "status=0x2" },
	{ "connect-unknown-cntlid", case_connect_unknown_cntlid, "status=0x182" },
	{ "connect-hostid", case_connect_hostid, "status=0x182" },
	{ "connect-qid", case_connect_qid, "status=0x182" },
	{ "connect-no-queues", case_connect_no_queues, "status=0xc" },
	{ "connect-duplicate", case_connect_duplicate, "status=0xc" },
	{ "connect-twice", case_connect_twice, "status=0xc" },
	{ "connect-close", case_connect_close, "done" },
	{ "io-opcode", case_io_opcode, "status=0x1" },
	{ "io-nsid-0", case_io_nsid0, "status=0xb" },
	{ "io-nsid-past", case_io_nsid_past, "status=0xb" },
	{ "io-lba-past", case_io_lba_past, "status=0x80" },
	{ "huge-pdu", case_huge_pdu, "termreq fes=0x1 fei=0x4|closed" },
};

const size_t ntests = sizeof(tests) / sizeof(tests[0]);
