/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Invalid requests to CTL that concern the "nvmf" front end, one per case,
 * each with the status and the message that it must get.
 *
 *   badctl [-x name]... [-l] [name ...]
 */

#include <sys/types.h>
#include <sys/ioctl.h>
#include <sys/nv.h>
#include <sys/socket.h>

#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl_abi.h"
#include "handoff.h"
#include "pdu.h"

#define	PORT_NQN	"nqn.2014-08.org.nvmexpress:badctl"
#define	NQN_223		"nqn.2014-08.org.nvmexpress:"			\
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"		\
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"		\
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"		\
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

_Static_assert(sizeof(NQN_223) - 1 == 223, "longest NQN");

static int ctl_fd;
static int bad;
static char **only, *skip[64];
static int nonly, nskip;
static bool list;
static char last_error[CTL_ABI_ERROR_LEN + 1];
static uint64_t last_port;

static bool
selected(const char *name)
{
	int i;

	for (i = 0; i < nskip; i++)
		if (strcmp(skip[i], name) == 0)
			return (false);
	for (i = 0; i < nonly; i++)
		if (strcmp(only[i], name) == 0)
			break;
	if (nonly != 0 && i == nonly)
		return (false);
	if (list)
		printf("%s\n", name);
	return (!list);
}

static void
verdict(const char *name, int status, int want, const char *message)
{
	if (status == want && (message == NULL ||
	    strcmp(last_error, message) == 0)) {
		printf("ok %s\n", name);
		return;
	}
	bad = 1;
	printf("FAIL %s: got status %d \"%s\", want %d \"%s\"\n", name, status,
	    last_error, want, message != NULL ? message : "");
}

struct arg {
	const char	*key;
	const char	*value;		/* NULL: a number instead of a string */
};

#define	MAX_ARGS	5

/* The status, or minus the errno of the ioctl itself. */
static int
port_request(int type, const struct arg *args)
{
	static uint8_t result[1024];
	struct ctl_abi_req req;
	nvlist_t *nvl;
	int error;

	memset(&req, 0, sizeof(req));
	strlcpy(req.driver, "nvmf", sizeof(req.driver));
	req.reqtype = type;
	nvl = nvlist_create(0);
	for (; args->key != NULL; args++) {
		if (args->value == NULL)
			nvlist_add_number(nvl, args->key, 5);
		else
			nvlist_add_string(nvl, args->key, args->value);
	}
	req.args = nvlist_pack(nvl, &req.args_len);
	nvlist_destroy(nvl);
	req.result = result;
	req.result_len = sizeof(result);
	error = ioctl(ctl_fd, CTL_ABI_PORT_REQ, &req) == 0 ? 0 : errno;
	free(req.args);
	strlcpy(last_error, error != 0 ? strerror(error) : req.error_str,
	    sizeof(last_error));
	if (error != 0)
		return (-error);
	if (type == CTL_ABI_REQ_CREATE && req.status == CTL_ABI_LUN_OK) {
		nvl = nvlist_unpack(result, req.result_len, 0);
		if (nvl == NULL || !nvlist_exists_number(nvl, "port_id"))
			return (-EPROTO);
		last_port = nvlist_get_number(nvl, "port_id");
		nvlist_destroy(nvl);
	}
	return (req.status);
}

struct port_case {
	const char	*name;
	int		type;
	const char	*message;
	struct arg	args[MAX_ARGS];
};

#define	CREATE(name, message, ...)					\
	{ "create-" name, CTL_ABI_REQ_CREATE, message,			\
	    { { "subnqn", PORT_NQN "2" }, { "portid", "1" }, __VA_ARGS__ } }

static const struct port_case port_cases[] = {
	{ "create-no-args", CTL_ABI_REQ_CREATE, "Missing required argument",
	    { } },
	{ "create-no-portid", CTL_ABI_REQ_CREATE, "Missing required argument",
	    { { "subnqn", PORT_NQN "2" } } },
	{ "create-no-subnqn", CTL_ABI_REQ_CREATE, "Missing required argument",
	    { { "portid", "1" } } },
	{ "create-subnqn-number", CTL_ABI_REQ_CREATE,
	    "Missing required argument",
	    { { "subnqn", NULL }, { "portid", "1" } } },
	{ "create-subnqn-empty", CTL_ABI_REQ_CREATE, "Invalid SubNQN",
	    { { "subnqn", "" }, { "portid", "1" } } },
	{ "create-subnqn-224", CTL_ABI_REQ_CREATE, "Invalid SubNQN",
	    { { "subnqn", NQN_223 "a" }, { "portid", "1" } } },
	{ "create-portid-number", CTL_ABI_REQ_CREATE,
	    "Missing required argument",
	    { { "subnqn", PORT_NQN "2" }, { "portid", NULL } } },
	{ "create-portid-empty", CTL_ABI_REQ_CREATE, "Invalid port ID",
	    { { "subnqn", PORT_NQN "2" }, { "portid", "" } } },
	{ "create-portid-text", CTL_ABI_REQ_CREATE, "Invalid port ID",
	    { { "subnqn", PORT_NQN "2" }, { "portid", "1x" } } },
	{ "create-portid-65536", CTL_ABI_REQ_CREATE, "Invalid port ID",
	    { { "subnqn", PORT_NQN "2" }, { "portid", "65536" } } },
	{ "create-portid-negative", CTL_ABI_REQ_CREATE, "Invalid port ID",
	    { { "subnqn", PORT_NQN "2" }, { "portid", "-1" } } },
	{ "create-exists", CTL_ABI_REQ_CREATE,
	    "SubNQN \"" PORT_NQN "\" already exists",
	    { { "subnqn", PORT_NQN }, { "portid", "1" } } },
	CREATE("qsize-1", "Invalid maximum I/O queue size",
	    { "max_io_qsize", "1" }),
	CREATE("qsize-65537", "Invalid maximum I/O queue size",
	    { "max_io_qsize", "65537" }),
	CREATE("qsize-empty", "Invalid maximum I/O queue size",
	    { "max_io_qsize", "" }),
	CREATE("qsize-wrap", "Invalid maximum I/O queue size",
	    { "max_io_qsize", "0x100000010" }),
	CREATE("timeout-1", "Invalid enable timeout", { "enable_timeout", "1" }),
	CREATE("timeout-128000", "Invalid enable timeout",
	    { "enable_timeout", "128000" }),
	CREATE("timeout-text", "Invalid enable timeout",
	    { "enable_timeout", "soon" }),
	CREATE("ioccsz-48", "Invalid Command Capsule size", { "ioccsz", "48" }),
	CREATE("ioccsz-65", "Invalid Command Capsule size", { "ioccsz", "65" }),
	CREATE("ioccsz-text", "Invalid Command Capsule size", { "ioccsz", "k" }),
	CREATE("iorcsz-0", "Invalid Response Capsule size", { "iorcsz", "0" }),
	CREATE("iorcsz-17", "Invalid Response Capsule size",
	    { "iorcsz", "17" }),
	CREATE("nn-0", "Invalid number of namespaces", { "nn", "0" }),
	CREATE("nn-4g", "Invalid number of namespaces", { "nn", "4294967296" }),
	CREATE("nn-text", "Invalid number of namespaces", { "nn", "many" }),
	CREATE("order", "Invalid maximum I/O queue size", { "nn", "0" },
	    { "max_io_qsize", "1" }),
	{ "remove-no-args", CTL_ABI_REQ_REMOVE, "Missing required argument",
	    { } },
	{ "remove-both", CTL_ABI_REQ_REMOVE, "Ambiguous port removal request",
	    { { "subnqn", PORT_NQN }, { "port_id", "0" } } },
	{ "remove-id-text", CTL_ABI_REQ_REMOVE, "Invalid CTL port ID",
	    { { "port_id", "x" } } },
	{ "remove-id-empty", CTL_ABI_REQ_REMOVE, "Invalid CTL port ID",
	    { { "port_id", "" } } },
	{ "remove-id-unknown", CTL_ABI_REQ_REMOVE,
	    "CTL port 900 is not a NVMF port", { { "port_id", "900" } } },
	{ "remove-id-other-frontend", CTL_ABI_REQ_REMOVE,
	    "CTL port 0 is not a NVMF port", { { "port_id", "0" } } },
	{ "remove-unknown", CTL_ABI_REQ_REMOVE,
	    "SubNQN \"" PORT_NQN "2\" does not exist",
	    { { "subnqn", PORT_NQN "2" } } },
	{ "remove-empty", CTL_ABI_REQ_REMOVE, NULL, { { "subnqn", "" } } },
	{ "request-modify", CTL_ABI_REQ_MODIFY, "Unsupported request type 2",
	    { } },
	{ "request-99", 99, "Unsupported request type 99", { } },
};

/* Creation at the limits of each option succeeds. */
static const struct port_case good_ports[] = {
	{ "limits-low", CTL_ABI_REQ_CREATE, NULL,
	    { { "subnqn", "x" }, { "portid", "0" }, { "max_io_qsize", "2" },
	      { "ioccsz", "64" } } },
	{ "limits-high", CTL_ABI_REQ_CREATE, NULL,
	    { { "subnqn", NQN_223 }, { "portid", "0xffff" },
	      { "max_io_qsize", "65536" }, { "nn", "4294967295" } } },
	{ "limits-timeout", CTL_ABI_REQ_CREATE, NULL,
	    { { "subnqn", PORT_NQN "3" }, { "portid", "3" },
	      { "enable_timeout", "127500" }, { "unknown", "kept" } } },
};

static void
remove_port(const char *subnqn)
{
	struct arg args[] = { { "subnqn", subnqn }, { NULL, NULL } };

	if (port_request(CTL_ABI_REQ_REMOVE, args) != CTL_ABI_LUN_OK)
		errx(2, "cannot remove port %s: %s", subnqn, last_error);
}

static int
nvmf_request(struct ctl_abi_nvmf *req)
{
	if (ioctl(ctl_fd, CTL_ABI_NVMF, req) != 0) {
		strlcpy(last_error, strerror(errno), sizeof(last_error));
		return (-errno);
	}
	if (req->status == CTL_ABI_NVMF_OK)
		last_error[0] = '\0';
	else
		strlcpy(last_error, req->error_str, sizeof(last_error));
	return (req->status);
}

static int
raw_handoff(void *data, size_t size)
{
	struct ctl_abi_nvmf req;

	memset(&req, 0, sizeof(req));
	req.type = CTL_ABI_NVMF_HANDOFF;
	req.data.handoff.data = data;
	req.data.handoff.size = size;
	return (nvmf_request(&req));
}

struct handoff_case {
	const char	*name;
	const char	*message;
	const char	*subnqn;
	uint16_t	qid;
	bool		taken;		/* the socket goes to the kernel */
	struct change	changes[MAX_CHANGES];
};

#define	MISSING(w, key, n)						\
	{ n "-missing", "Handoff arguments missing required value",	\
	    PORT_NQN, 0, false, { { w, DROP, key, 0 } } },		\
	{ n "-type", "Handoff arguments missing required value",	\
	    PORT_NQN, 0, false, { { w, STRING, key, 0 } } }

#define	PARAMS_MSG	"Invalid queue pair parameters"
#define	PARAM(n, what, key, value)					\
	{ n, PARAMS_MSG, PORT_NQN, 0, false,				\
	    { { ADMIN, what, key, value } } }

#define	DECLINED	"Failed to handoff admin queue: 6"

static const struct handoff_case offline_cases[] = {
	MISSING(TOP, "trtype", "trtype"),
	MISSING(TOP, "params", "params"),
	MISSING(TOP, "cmd", "cmd"),
	MISSING(TOP, "data", "data"),
	PARAM("params-admin-missing", DROP, "admin", 0),
	PARAM("params-admin-type", NUMBER, "admin", 1),
	PARAM("params-sqfc-missing", DROP, "sq_flow_control", 0),
	PARAM("params-qsize-missing", DROP, "qsize", 0),
	PARAM("params-qsize-type", STRING, "qsize", 0),
	PARAM("params-qsize-1", NUMBER, "qsize", 1),
	PARAM("params-qsize-4097", NUMBER, "qsize", 4097),
	PARAM("params-sqhd-missing", DROP, "sqhd", 0),
	PARAM("params-sqhd-past", NUMBER, "sqhd", 32),
	{ "cmd-short", "Wrong size for CONNECT SQE", PORT_NQN, 0, false,
	    { { TOP, BINARY, "cmd", 63 } } },
	{ "cmd-long", "Wrong size for CONNECT SQE", PORT_NQN, 0, false,
	    { { TOP, BINARY, "cmd", 65 } } },
	{ "data-short", "Wrong size for CONNECT data", PORT_NQN, 0, false,
	    { { TOP, BINARY, "data", 1023 } } },
	{ "data-long", "Wrong size for CONNECT data", PORT_NQN, 0, false,
	    { { TOP, BINARY, "data", 1025 } } },
	{ "subnqn-empty", "Invalid SubNQN", "", 0, false, { } },
	{ "subnqn-224", "Invalid SubNQN", NQN_223 "a", 0, false, { } },
	{ "subnqn-unterminated", "Invalid SubNQN", NQN_223
	    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0, false, { } },
	{ "subnqn-unknown", "Unknown SubNQN", PORT_NQN "2", 0, false, { } },
	{ "subnqn-case", "Unknown SubNQN",
	    "NQN.2014-08.org.nvmexpress:badctl", 0, false, { } },
	{ "port-offline", "CTL port offline", PORT_NQN, 0, false, { } },
};

static const struct handoff_case online_cases[] = {
	{ "admin-qid-1", "Failed to handoff admin queue: 22", PORT_NQN, 1,
	    false, { { ADMIN, BOOL, "admin", 1 } } },
	{ "io-qid-0", "Failed to handoff I/O queue: 22", PORT_NQN, 0, false,
	    { { ADMIN, BOOL, "admin", 0 } } },
	{ "trtype-4", DECLINED, PORT_NQN, 0, false,
	    { { TOP, NUMBER, "trtype", 4 } } },
	{ "trtype-rdma", DECLINED, PORT_NQN, 0, false,
	    { { TOP, NUMBER, "trtype", 1 } } },
	{ "tcp-fd-missing", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, DROP, "fd", 0 } } },
	{ "tcp-fd-bad", DECLINED, PORT_NQN, 0, true,
	    { { ADMIN, NUMBER, "fd", 4000 } } },
	{ "tcp-rxpda-missing", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, DROP, "rxpda", 0 } } },
	{ "tcp-txpda-type", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, STRING, "txpda", 0 } } },
	{ "tcp-maxr2t-missing", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, DROP, "maxr2t", 0 } } },
	{ "tcp-maxh2cdata-missing", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, DROP, "maxh2cdata", 0 } } },
	{ "tcp-max-icd-missing", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, DROP, "max_icd", 0 } } },
	{ "tcp-digests-missing", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, DROP, "header_digests", 0 } } },
	{ "tcp-rxpda-0", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, NUMBER, "rxpda", 0 } } },
	{ "tcp-txpda-0", DECLINED, PORT_NQN, 0, false,
	    { { ADMIN, NUMBER, "txpda", 0 } } },
	{ "unknown-cntlid", "Failed to handoff I/O queue: 2", PORT_NQN, 1,
	    true, { } },
};

static void
run_handoff(const struct handoff_case *c)
{
	char name[64];
	nvlist_t *nvl;
	void *packed;
	size_t size;
	int pair[2], status;
	char byte;

	snprintf(name, sizeof(name), "handoff-%s", c->name);
	if (!selected(name))
		return;
	tcp_pair(pair);
	nvl = controller_handoff(pair[0], c->subnqn, c->qid, 0x700,
	    c->changes);
	packed = nvlist_pack(nvl, &size);
	nvlist_destroy(nvl);
	if (packed == NULL)
		err(2, "nvlist_pack");
	status = raw_handoff(packed, size);
	free(packed);
	if (!c->taken && status == CTL_ABI_NVMF_ERROR &&
	    (send(pair[0], "x", 1, MSG_NOSIGNAL) != 1 ||
	    !recv_byte(pair[1], &byte))) {
		printf("FAIL %s: the socket of a refused handoff was taken\n",
		    name);
		bad = 1;
	} else
		verdict(name, status, CTL_ABI_NVMF_ERROR, c->message);
	close(pair[0]);
	close(pair[1]);
}

static uint8_t garbage[8192];

static void
run_list(const char *name, uint32_t alloc_len, char *buf, int want,
    const char *message)
{
	struct ctl_abi_nvmf req;

	if (!selected(name))
		return;
	memset(&req, 0, sizeof(req));
	req.type = CTL_ABI_NVMF_LIST;
	req.data.list.alloc_len = alloc_len;
	req.data.list.conn_xml = buf;
	verdict(name, nvmf_request(&req), want, message);
}

static void
run_terminate(const char *name, int cntlid, const char *hostnqn, int all)
{
	struct ctl_abi_nvmf req;

	if (!selected(name))
		return;
	memset(&req, 0, sizeof(req));
	req.type = CTL_ABI_NVMF_TERMINATE;
	req.data.terminate.cntlid = cntlid;
	req.data.terminate.all = all;
	strlcpy(req.data.terminate.hostnqn, hostnqn,
	    sizeof(req.data.terminate.hostnqn));
	verdict(name, nvmf_request(&req), CTL_ABI_NVMF_NOT_FOUND,
	    "No matching associations found");
}

static void
run_type(const char *name, int type, const char *message)
{
	struct ctl_abi_nvmf req;

	if (!selected(name))
		return;
	memset(&req, 0, sizeof(req));
	req.type = type;
	verdict(name, nvmf_request(&req), CTL_ABI_NVMF_ERROR, message);
}

static void
run_raw(const char *name, void *data, size_t size)
{
	if (selected(name))
		verdict(name, raw_handoff(data, size), CTL_ABI_NVMF_ERROR,
		    "Failed to copyin and unpack handoff arguments");
}

#define	NITEMS(a)	(sizeof(a) / sizeof((a)[0]))

int
main(int argc, char **argv)
{
	static char xml[4096];
	struct arg args[] = {
		{ "subnqn", PORT_NQN }, { "portid", "7" }, { NULL, NULL }
	};
	char command[64];
	const struct port_case *p;
	size_t i;
	int ch, status;

	while ((ch = getopt(argc, argv, "lx:")) != -1) {
		switch (ch) {
		case 'l':
			list = true;
			break;
		case 'x':
			if (nskip < (int)NITEMS(skip))
				skip[nskip++] = optarg;
			break;
		default:
			errx(2, "usage: badctl [-l] [-x name]... [name ...]");
		}
	}
	only = argv + optind;
	nonly = argc - optind;
	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(garbage, 0x6e, sizeof(garbage));
	ctl_fd = open("/dev/cam/ctl", O_RDWR);
	if (ctl_fd < 0 && !list)
		err(2, "/dev/cam/ctl");
	if (!list && port_request(CTL_ABI_REQ_CREATE, args) != CTL_ABI_LUN_OK)
		errx(2, "cannot create a port: %s", last_error);
	snprintf(command, sizeof(command),
	    "ctladm port -o on -p %ju >/dev/null", (uintmax_t)last_port);

	for (p = port_cases; p < port_cases + NITEMS(port_cases); p++)
		if (selected(p->name))
			verdict(p->name, port_request(p->type, p->args),
			    CTL_ABI_LUN_ERROR, p->message);
	for (p = good_ports; p < good_ports + NITEMS(good_ports); p++) {
		if (!selected(p->name))
			continue;
		status = port_request(p->type, p->args);
		verdict(p->name, status, CTL_ABI_LUN_OK, NULL);
		if (status == CTL_ABI_LUN_OK)
			remove_port(p->args[0].value);
	}

	run_type("type-3", 3, "Invalid NVMeoF request type 3");
	run_type("type-negative", -1, "Invalid NVMeoF request type -1");
	run_list("list-0", 0, xml, CTL_ABI_NVMF_MORE_SPACE,
	    "Out of space, 0 bytes is too small");
	run_list("list-1", 1, xml, CTL_ABI_NVMF_MORE_SPACE,
	    "Out of space, 1 bytes is too small");
	run_list("list-16", 16, xml, CTL_ABI_NVMF_MORE_SPACE,
	    "Out of space, 16 bytes is too small");
	run_list("list-efault", 4096, (char *)8, CTL_ABI_NVMF_ERROR,
	    "Failed to copyout session list: 14");
	run_list("list-ok", sizeof(xml), xml, CTL_ABI_NVMF_OK, NULL);
	run_list("list-4g", 0xffffffff, xml, CTL_ABI_NVMF_OK, NULL);
	run_terminate("terminate-all-none", -1, "", 1);
	run_terminate("terminate-unknown-id", 1999, "", 0);
	run_terminate("terminate-unknown-nqn", -1, "nqn.x", 0);
	run_terminate("terminate-nothing", -1, "", 0);
	run_raw("handoff-efault", (void *)8, 100);
	run_raw("handoff-empty", garbage, 0);
	run_raw("handoff-garbage", garbage, sizeof(garbage));
	run_raw("handoff-size-16g", garbage, 16ULL << 30);
	for (i = 0; i < NITEMS(offline_cases); i++)
		run_handoff(&offline_cases[i]);
	if (!list && system(command) != 0)
		errx(2, "cannot enable the port");
	for (i = 0; i < NITEMS(online_cases); i++)
		run_handoff(&online_cases[i]);
	if (!list)
		remove_port(PORT_NQN);
	return (bad);
}
