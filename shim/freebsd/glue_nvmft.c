/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* nvmft.ko: the module and its front end of ctl(4). */

#include "kpi_private.h"

#include <sys/bio.h>
#include <sys/condvar.h>
#include <sys/conf.h>
#include <sys/jail.h>
#include <sys/module.h>
#include <sys/nv.h>
#include <sys/proc.h>
#include <sys/queue.h>

#include <cam/ctl/ctl_io.h>
#include <cam/ctl/ctl.h>
#include <cam/ctl/ctl_ioctl.h>
#include <cam/ctl/ctl_frontend.h>

#include "nvrs_ctl.h"

/* A longer list of associations is cut to this size, which answers "more". */
#define	NVMFT_LIST_MAX	(16u << 20)

static MALLOC_DEFINE(M_NVMFT, "nvmft", "NVMe over Fabrics controller");
struct malloc_type *const nvrs_malloc_type = M_NVMFT;

static int	nvmft_ioctl(struct cdev *dev, u_long cmd, caddr_t data, int flag,
		    struct thread *td);

struct ctl_frontend nvmft_frontend = {
	.name = "nvmf",
	.init = nvmft_rs_load,
	.ioctl = nvmft_ioctl,
	.shutdown = nvmft_rs_unload,
};

static void
nvmft_port_req(struct ctl_req *req, struct thread *td)
{
	u_long hostid;
	int32_t number;
	bool ok;

	switch (req->reqtype) {
	case CTL_REQ_CREATE:
		getcredhostid(td->td_ucred, &hostid);
		ok = nvmft_rs_port_create(req->args_nvl, hostid, &number,
		    req->error_str, sizeof(req->error_str));
		if (ok) {
			req->result_nvl = nvlist_create(0);
			if (req->result_nvl != NULL)
				nvlist_add_number(req->result_nvl, "port_id",
				    number);
		}
		break;
	case CTL_REQ_REMOVE:
		ok = nvmft_rs_port_remove(req->args_nvl, req->error_str,
		    sizeof(req->error_str));
		break;
	default:
		ok = false;
		snprintf(req->error_str, sizeof(req->error_str),
		    "Unsupported request type %d", req->reqtype);
		break;
	}
	req->status = ok ? CTL_LUN_OK : CTL_LUN_ERROR;
}

static void
nvmft_list(struct ctl_nvmf *cn)
{
	struct ctl_nvmf_list_params *lp = &cn->data.list;
	uint32_t alloc_len, len;
	char *buf;
	int error;

	alloc_len = lp->alloc_len;
	if (alloc_len > NVMFT_LIST_MAX)
		alloc_len = NVMFT_LIST_MAX;
	buf = nvrs_malloc(alloc_len == 0 ? 1 : alloc_len, 8,
	    NVRS_WAITOK | NVRS_ZERO);
	if (buf == NULL) {
		cn->status = CTL_NVMF_ERROR;
		snprintf(cn->error_str, sizeof(cn->error_str),
		    "Failed to allocate NVMeoF session list");
		return;
	}
	len = nvmft_rs_list(buf, alloc_len);
	if (len == 0) {
		cn->status = CTL_NVMF_LIST_NEED_MORE_SPACE;
		snprintf(cn->error_str, sizeof(cn->error_str),
		    "Out of space, %d bytes is too small", lp->alloc_len);
	} else if ((error = copyout(buf, lp->conn_xml, len)) != 0) {
		cn->status = CTL_NVMF_ERROR;
		snprintf(cn->error_str, sizeof(cn->error_str),
		    "Failed to copyout session list: %d", error);
	} else {
		lp->fill_len = len;
		cn->status = CTL_NVMF_OK;
	}
	nvrs_free(buf);
}

static void
nvmft_handoff(struct ctl_nvmf *cn)
{
	struct nvlist *nvl;

	if (nvmf_unpack_ioc_nvlist(&cn->data.handoff, &nvl) != 0) {
		cn->status = CTL_NVMF_ERROR;
		snprintf(cn->error_str, sizeof(cn->error_str),
		    "Failed to copyin and unpack handoff arguments");
		return;
	}
	cn->status = nvmft_rs_handoff(nvl, cn->error_str,
	    sizeof(cn->error_str)) ? CTL_NVMF_OK : CTL_NVMF_ERROR;
	nvlist_destroy(nvl);
}

static void
nvmft_terminate(struct ctl_nvmf *cn)
{
	struct ctl_nvmf_terminate_params *tp = &cn->data.terminate;

	if (nvmft_rs_terminate(tp->all != 0, tp->cntlid, tp->hostnqn,
	    sizeof(tp->hostnqn)) != 0) {
		cn->status = CTL_NVMF_OK;
		return;
	}
	cn->status = CTL_NVMF_ASSOCIATION_NOT_FOUND;
	snprintf(cn->error_str, sizeof(cn->error_str),
	    "No matching associations found");
}

static int
nvmft_ioctl(struct cdev *dev __unused, u_long cmd, caddr_t data,
    int flag __unused, struct thread *td)
{
	struct ctl_nvmf *cn;

	switch (cmd) {
	case CTL_PORT_REQ:
		nvmft_port_req((struct ctl_req *)data, td);
		return (0);
	case CTL_NVMF:
		break;
	default:
		return (ENOTTY);
	}

	cn = (struct ctl_nvmf *)data;
	switch (cn->type) {
	case CTL_NVMF_HANDOFF:
		nvmft_handoff(cn);
		break;
	case CTL_NVMF_LIST:
		nvmft_list(cn);
		break;
	case CTL_NVMF_TERMINATE:
		nvmft_terminate(cn);
		break;
	default:
		cn->status = CTL_NVMF_ERROR;
		snprintf(cn->error_str, sizeof(cn->error_str),
		    "Invalid NVMeoF request type %d", cn->type);
		break;
	}
	return (0);
}

/*
 * Not CTL_FRONTEND_DECLARE: after a load that failed the kernel asks for an
 * unload, and CTL cannot deregister what it does not have.
 */
static int
nvmft_modevent(module_t mod __unused, int what, void *arg)
{
	static bool registered;
	int error;

	switch (what) {
	case MOD_LOAD:
		error = ctl_frontend_register(arg);
		if (error < 0)
			error = EEXIST;
		registered = error == 0;
		return (error);
	case MOD_UNLOAD:
		if (!registered)
			return (0);
		error = ctl_frontend_deregister(arg);
		if (error == 0)
			registered = false;
		return (error);
	default:
		return (EOPNOTSUPP);
	}
}

static moduledata_t nvmft_mod = {
	"nvmft",
	nvmft_modevent,
	&nvmft_frontend
};

DECLARE_MODULE(nvmft, nvmft_mod, SI_SUB_CONFIGURE, SI_ORDER_FOURTH);
MODULE_DEPEND(nvmft, ctl, 1, 1, 1);
MODULE_DEPEND(nvmft, cam, 1, 1, 1);
MODULE_DEPEND(nvmft, nvmf_transport, 1, 1, 1);
