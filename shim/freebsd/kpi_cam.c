/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* The CAM SIM: see nvrs_host.h. */

#include "kpi_private.h"

#include <sys/bus.h>
#include <sys/memdesc.h>

#include <cam/cam.h>
#include <cam/cam_ccb.h>
#include <cam/cam_sim.h>
#include <cam/cam_xpt.h>
#include <cam/cam_xpt_sim.h>
#include <cam/cam_debug.h>

CTASSERT(sizeof(((struct ccb_nvmeio *)NULL)->cmd) == 64);
CTASSERT(sizeof(((struct ccb_nvmeio *)NULL)->cpl) == 16);

struct nvrs_sim {
	struct cam_sim	*sim;
	struct cam_path	*path;
	struct nvrs_sim_params params;
	char		name[16];
};

static union ccb *
nvrs_ccb(struct nvrs_ccb *ccb)
{
	return ((union ccb *)ccb);
}

static void
nvrs_sim_path_inq(struct nvrs_sim *s, struct ccb_pathinq *cpi)
{
	const struct nvrs_sim_params *p;

	p = &s->params;
	cpi->version_num = 1;
	cpi->hba_inquiry = 0;
	cpi->target_sprt = 0;
	cpi->hba_misc = PIM_UNMAPPED | PIM_NOSCAN;
	cpi->hba_eng_cnt = 0;
	cpi->max_target = 0;
	cpi->max_lun = p->nn;
	cpi->async_flags = 0;
	cpi->hpath_id = 0;
	cpi->initiator_id = 0;
	strlcpy(cpi->sim_vid, "FreeBSD", sizeof(cpi->sim_vid));
	strlcpy(cpi->hba_vid, "NVMeoF", sizeof(cpi->hba_vid));
	strlcpy(cpi->dev_name, cam_sim_name(s->sim), sizeof(cpi->dev_name));
	cpi->unit_number = cam_sim_unit(s->sim);
	cpi->bus_id = 0;
	cpi->base_transfer_speed = 150000;
	cpi->protocol = PROTO_NVME;
	cpi->protocol_version = p->version;
	cpi->transport = XPORT_NVMF;
	cpi->transport_version = p->version;
	memset(&cpi->xport_specific, 0, sizeof(cpi->xport_specific));
	cpi->xport_specific.nvmf.nsid = xpt_path_lun_id(cpi->ccb_h.path);
	cpi->xport_specific.nvmf.trtype = p->trtype;
	strlcpy(cpi->xport_specific.nvmf.dev_name, s->name,
	    sizeof(cpi->xport_specific.nvmf.dev_name));
	/*
	 * nda's NVME_GET_NSID reads the layout of PCIe.  A controller's name
	 * leaves room for a second copy there.
	 */
	if (offsetof(struct ccb_pathinq_settings_nvmf, dev_name) +
	    strlen(s->name) <
	    offsetof(struct ccb_pathinq_settings_nvme, dev_name))
		strlcpy(cpi->xport_specific.nvme.dev_name, s->name,
		    sizeof(cpi->xport_specific.nvme.dev_name));
	cpi->maxio = p->maxio;
	cpi->hba_vendor = 0;
	cpi->hba_device = 0;
	cpi->hba_subvendor = 0;
	cpi->hba_subdevice = 0;
	cpi->ccb_h.status = CAM_REQ_CMP;
}

static void
nvrs_sim_get_tran(struct nvrs_sim *s, struct ccb_trans_settings *cts)
{
	const struct nvrs_sim_params *p;

	p = &s->params;
	cts->protocol = PROTO_NVME;
	cts->protocol_version = p->version;
	cts->transport = XPORT_NVMF;
	cts->transport_version = p->version;
	cts->proto_specific.nvme.valid = CTS_NVME_VALID_SPEC;
	cts->proto_specific.nvme.spec = p->version;
	cts->xport_specific.nvmf.valid = CTS_NVMF_VALID_TRTYPE;
	cts->xport_specific.nvmf.trtype = p->trtype;
	cts->ccb_h.status = CAM_REQ_CMP;
}

static void
nvrs_sim_action(struct cam_sim *sim, union ccb *ccb)
{
	struct nvrs_sim *s;

	s = cam_sim_softc(sim);
	switch (ccb->ccb_h.func_code) {
	case XPT_PATH_INQ:
		nvrs_sim_path_inq(s, &ccb->cpi);
		break;
	case XPT_GET_TRAN_SETTINGS:
		nvrs_sim_get_tran(s, &ccb->cts);
		break;
	case XPT_SET_TRAN_SETTINGS:
		ccb->ccb_h.status = CAM_REQ_CMP;
		break;
	case XPT_NVME_IO:
	case XPT_NVME_ADMIN:
		s->params.io(s->params.arg, (struct nvrs_ccb *)ccb,
		    ccb->ccb_h.func_code == XPT_NVME_ADMIN);
		return;
	default:
		printf("%s: unhandled sim function %#x\n", s->name,
		    ccb->ccb_h.func_code);
		ccb->ccb_h.status = CAM_REQ_INVALID;
		break;
	}
	xpt_done(ccb);
}

int
nvrs_sim_create(const struct nvrs_sim_params *params, struct nvrs_sim **simp)
{
	struct cam_devq *devq;
	struct nvrs_sim *s;
	device_t dev;
	int max, what;

	dev = (device_t)params->dev;
	max = (int)params->max_trans;
	devq = cam_simq_alloc(max);
	if (devq == NULL)
		return (NVRS_SIM_NOMEM_Q);
	s = malloc(sizeof(*s), nvrs_malloc_type, M_WAITOK | M_ZERO);
	s->params = *params;
	strlcpy(s->name, params->name, sizeof(s->name));
	s->sim = cam_sim_alloc(nvrs_sim_action, NULL, "nvme", s,
	    device_get_unit(dev), NULL, max, max, devq);
	if (s->sim == NULL) {
		cam_simq_free(devq);
		free(s, nvrs_malloc_type);
		return (NVRS_SIM_NOMEM_SIM);
	}
	what = NVRS_SIM_NO_BUS;
	if (xpt_bus_register(s->sim, dev, 0) != CAM_SUCCESS)
		goto free_sim;
	what = NVRS_SIM_NO_PATH;
	if (xpt_create_path(&s->path, NULL, cam_sim_path(s->sim),
	    CAM_TARGET_WILDCARD, CAM_LUN_WILDCARD) != CAM_REQ_CMP) {
		xpt_bus_deregister(cam_sim_path(s->sim));
		goto free_sim;
	}
	*simp = s;
	return (0);

free_sim:
	cam_sim_free(s->sim, TRUE);
	free(s, nvrs_malloc_type);
	return (what);
}

void
nvrs_sim_update(struct nvrs_sim *s, uint32_t nn, uint32_t maxio)
{
	s->params.nn = nn;
	s->params.maxio = maxio;
}

void
nvrs_sim_lost(struct nvrs_sim *s)
{
	xpt_async(AC_LOST_DEVICE, s->path, NULL);
}

void
nvrs_sim_lost_disk(struct nvrs_sim *s, uint32_t nsid)
{
	struct cam_path *path;

	if (xpt_create_path(&path, NULL, cam_sim_path(s->sim), 0, nsid) !=
	    CAM_REQ_CMP)
		return;
	xpt_async(AC_LOST_DEVICE, path, NULL);
	xpt_free_path(path);
}

void
nvrs_sim_destroy(struct nvrs_sim *s)
{
	xpt_free_path(s->path);
	xpt_bus_deregister(cam_sim_path(s->sim));
	cam_sim_free(s->sim, TRUE);
	free(s, nvrs_malloc_type);
}

void
nvrs_sim_freeze(struct nvrs_sim *s)
{
	xpt_freeze_simq(s->sim, 1);
}

void
nvrs_sim_release(struct nvrs_sim *s)
{
	xpt_release_simq(s->sim, TRUE);
}

int
nvrs_sim_rescan(struct nvrs_sim *s, uint32_t nsid)
{
	union ccb *ccb;

	ccb = xpt_alloc_ccb_nowait();
	if (ccb == NULL)
		return (NVRS_RESCAN_NO_CCB);
	if (xpt_create_path(&ccb->ccb_h.path, NULL, cam_sim_path(s->sim), 0,
	    nsid) != CAM_REQ_CMP) {
		xpt_free_ccb(ccb);
		return (NVRS_RESCAN_NO_PATH);
	}
	xpt_rescan(ccb);
	return (0);
}

void
nvrs_ccb_sqe(const struct nvrs_ccb *ccb, uint8_t sqe[64])
{
	memcpy(sqe, &((const union ccb *)ccb)->nvmeio.cmd, 64);
}

uint32_t
nvrs_ccb_nsid(const struct nvrs_ccb *ccb)
{
	return (xpt_path_lun_id(((const union ccb *)ccb)->ccb_h.path));
}

uint32_t
nvrs_ccb_timeout(const struct nvrs_ccb *ccb)
{
	return (((const union ccb *)ccb)->ccb_h.timeout);
}

uint32_t
nvrs_ccb_data(struct nvrs_ccb *arg, struct nvrs_memdesc *md, bool *write)
{
	struct memdesc mem;
	union ccb *ccb;

	ccb = nvrs_ccb(arg);
	if ((ccb->ccb_h.flags & CAM_DIR_MASK) == CAM_DIR_NONE ||
	    ccb->nvmeio.dxfer_len == 0)
		return (0);
	*write = (ccb->ccb_h.flags & CAM_DIR_MASK) == CAM_DIR_OUT;
	mem = memdesc_ccb(ccb);
	memcpy(md, &mem, sizeof(mem));
	return (ccb->nvmeio.dxfer_len);
}

bool
nvrs_ccb_peek(const struct nvrs_ccb *arg, void *buf, uint32_t len)
{
	const union ccb *ccb;

	ccb = (const union ccb *)arg;
	if ((ccb->ccb_h.flags & CAM_DATA_MASK) != CAM_DATA_VADDR ||
	    ccb->nvmeio.dxfer_len < len)
		return (false);
	memcpy(buf, ccb->nvmeio.data_ptr, len);
	return (true);
}

void
nvrs_ccb_queued(struct nvrs_ccb *ccb)
{
	nvrs_ccb(ccb)->ccb_h.status |= CAM_SIM_QUEUED;
}

void
nvrs_ccb_done(struct nvrs_ccb *arg, int outcome, const uint8_t *cqe,
    bool direct)
{
	union ccb *ccb;

	ccb = nvrs_ccb(arg);
	if (cqe != NULL)
		memcpy(&ccb->nvmeio.cpl, cqe, sizeof(ccb->nvmeio.cpl));
	switch (outcome) {
	case NVRS_CCB_CMP:
		ccb->ccb_h.status = CAM_REQ_CMP;
		break;
	case NVRS_CCB_NVME_ERROR:
		ccb->ccb_h.status = CAM_NVME_STATUS_ERROR;
		break;
	case NVRS_CCB_DATA_ERROR:
		ccb->ccb_h.status = CAM_REQ_CMP_ERR;
		break;
	case NVRS_CCB_REQUEUE:
		ccb->ccb_h.status = CAM_REQUEUE_REQ;
		break;
	case NVRS_CCB_GONE:
		ccb->ccb_h.status = CAM_DEV_NOT_THERE;
		break;
	case NVRS_CCB_NO_RESOURCE:
		ccb->ccb_h.status = CAM_RESRC_UNAVAIL;
		break;
	default:
		ccb->ccb_h.status = CAM_REQ_INVALID;
		break;
	}
	if (direct)
		xpt_done_direct(ccb);
	else
		xpt_done(ccb);
}

struct nvrs_ccb *
nvrs_ccb_next(const struct nvrs_ccb *ccb)
{
	return (((const union ccb *)ccb)->ccb_h.sim_priv.entries[0].ptr);
}

void
nvrs_ccb_set_next(struct nvrs_ccb *ccb, struct nvrs_ccb *next)
{
	nvrs_ccb(ccb)->ccb_h.sim_priv.entries[0].ptr = next;
}
