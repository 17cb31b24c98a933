/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* ctl(4) for an NVMe front end: see nvrs_ctl.h. */

#include "kpi_private.h"

#include <sys/bio.h>
#include <sys/condvar.h>
#include <sys/conf.h>
#include <sys/mbuf.h>
#include <sys/memdesc.h>
#include <sys/module.h>
#include <sys/nv.h>
#include <sys/proc.h>
#include <sys/queue.h>
#include <sys/sbuf.h>
#include <sys/sysctl.h>

#include <machine/bus.h>
#include <sys/bus_dma.h>

#include <cam/ctl/ctl_io.h>
#include <cam/ctl/ctl.h>
#include <cam/ctl/ctl_ioctl.h>
#include <cam/ctl/ctl_frontend.h>
#include <cam/ctl/ctl_error.h>

#include "nvrs_ctl.h"

/* A data move's scatter/gather list is used as a segment list in place. */
_Static_assert(sizeof(struct ctl_sg_entry) == sizeof(struct nvrs_segment),
    "struct ctl_sg_entry changed");
_Static_assert(offsetof(struct ctl_sg_entry, len) ==
    offsetof(struct nvrs_segment, len), "struct ctl_sg_entry changed");
_Static_assert(sizeof(struct nvrs_memdesc) == sizeof(struct memdesc),
    "struct memdesc changed");

struct nvrs_ctl_port {
	struct ctl_port	port;
};

/* A thread that waits for a task management request. */
struct nvrs_ctl_waiter {
	bool		done;
	bool		failed;
};

extern struct ctl_frontend nvmft_frontend;

static int
nvrs_lun_enable(void *arg, int lun)
{
	return (nvmft_rs_lun_enable(arg, lun));
}

static int
nvrs_lun_disable(void *arg, int lun)
{
	return (nvmft_rs_lun_disable(arg, lun));
}

static void
nvrs_fe_done(union ctl_io *io)
{
	struct nvrs_ctl_waiter *w;
	struct mtx *mtx;

	if (io->io_hdr.io_type != CTL_IO_TASK) {
		nvmft_rs_done(io);
		return;
	}
	w = io->io_hdr.ctl_private[CTL_PRIV_FRONTEND].ptr;
	mtx = mtx_pool_find(mtxpool_sleep, w);
	mtx_lock(mtx);
	w->failed = (io->io_hdr.status & CTL_STATUS_MASK) != CTL_SUCCESS;
	w->done = true;
	wakeup(w);
	mtx_unlock(mtx);
}

struct nvrs_ctl_port *
nvrs_ctl_port_create(uint32_t num_io, uint16_t portid,
    const struct nvlist *options, void *arg, int *error)
{
	struct nvrs_ctl_port *p;
	struct ctl_port *port;

	p = nvrs_malloc(sizeof(*p), 8, NVRS_WAITOK | NVRS_ZERO);
	port = &p->port;
	port->frontend = &nvmft_frontend;
	port->port_type = CTL_PORT_NVMF;
	port->num_requested_ctl_io = num_io;
	port->port_name = __DECONST(char *, "nvmf");
	port->physical_port = portid;
	port->virtual_port = 0;
	port->port_online = nvmft_rs_port_online;
	port->port_offline = nvmft_rs_port_offline;
	port->port_info = nvmft_rs_port_info;
	port->onoff_arg = arg;
	port->lun_enable = nvrs_lun_enable;
	port->lun_disable = nvrs_lun_disable;
	port->targ_lun_arg = arg;
	port->fe_datamove = nvmft_rs_datamove;
	port->fe_done = nvrs_fe_done;
	port->targ_port = -1;
	port->options = nvlist_clone(options);
	if (port->options == NULL)
		*error = ENOMEM;
	else
		*error = ctl_port_register(port);
	if (*error != 0) {
		nvlist_destroy(port->options);
		nvrs_free(p);
		return (NULL);
	}
	return (p);
}

int32_t
nvrs_ctl_port_number(const struct nvrs_ctl_port *p)
{
	return (p->port.targ_port);
}

void
nvrs_ctl_port_offline(struct nvrs_ctl_port *p)
{
	if ((p->port.status & CTL_PORT_STATUS_ONLINE) != 0)
		ctl_port_offline(&p->port);
}

void
nvrs_ctl_port_destroy(struct nvrs_ctl_port *p)
{
	ctl_port_deregister(&p->port);
	nvrs_free(p);
}

static union ctl_io *
nvrs_ctl_io_new(struct nvrs_ctl_port *p, ctl_io_type type, uint32_t initid,
    uint32_t lun)
{
	union ctl_io *io;

	io = ctl_alloc_io(p->port.ctl_pool_ref);
	ctl_zero_io(io);
	io->io_hdr.io_type = type;
	io->io_hdr.nexus.initid = initid;
	io->io_hdr.nexus.targ_port = p->port.targ_port;
	io->io_hdr.nexus.targ_lun = lun;
	return (io);
}

/* CTL's own check of a LUN against the map's size lets the size itself pass. */
int
nvrs_ctl_submit(struct nvrs_ctl_port *p, bool admin, uint32_t initid,
    uint32_t lun, const void *sqe, void *priv0, void *priv1)
{
	union ctl_io *io;
	int error;

	if (p->port.lun_map != NULL && lun >= (uint32_t)p->port.lun_map_size)
		return (ENOENT);
	io = nvrs_ctl_io_new(p, admin ? CTL_IO_NVME_ADMIN : CTL_IO_NVME,
	    initid, lun);
	memcpy(&io->nvmeio.cmd, sqe, sizeof(io->nvmeio.cmd));
	io->io_hdr.ctl_private[CTL_PRIV_FRONTEND].ptrs[0] = priv0;
	io->io_hdr.ctl_private[CTL_PRIV_FRONTEND].ptrs[1] = priv1;
	error = ctl_run(io);
	if (error != 0)
		ctl_free_io(io);
	return (error);
}

int
nvrs_ctl_nexus_reset(struct nvrs_ctl_port *p, uint32_t initid)
{
	struct nvrs_ctl_waiter w = { false, false };
	union ctl_io *io;
	struct mtx *mtx;
	int error;

	io = nvrs_ctl_io_new(p, CTL_IO_TASK, initid, 0);
	io->io_hdr.ctl_private[CTL_PRIV_FRONTEND].ptr = &w;
	io->taskio.tag_type = CTL_TAG_SIMPLE;
	io->taskio.task_action = CTL_TASK_I_T_NEXUS_RESET;
	error = ctl_run(io);
	if (error == 0) {
		mtx = mtx_pool_find(mtxpool_sleep, &w);
		mtx_lock(mtx);
		while (!w.done)
			mtx_sleep(&w, mtx, 0, "nvmftsh", 0);
		mtx_unlock(mtx);
		if (w.failed)
			error = EIO;
	}
	ctl_free_io(io);
	return (error);
}

void *
nvrs_ctl_io_priv(const union ctl_io *io, int which)
{
	return (io->io_hdr.ctl_private[CTL_PRIV_FRONTEND].ptrs[which & 1]);
}

const uint8_t *
nvrs_ctl_io_sqe(const union ctl_io *io)
{
	return ((const uint8_t *)&io->nvmeio.cmd);
}

union ctl_io *
nvrs_ctl_io_next(const union ctl_io *io)
{
	return ((union ctl_io *)io->io_hdr.links.stqe_next);
}

void
nvrs_ctl_io_set_next(union ctl_io *io, union ctl_io *next)
{
	io->io_hdr.links.stqe_next = next == NULL ? NULL : &next->io_hdr;
}

void
nvrs_ctl_move_get(const union ctl_io *io, struct nvrs_ctl_move *mv)
{
	mv->offset = io->nvmeio.kern_rel_offset;
	mv->len = io->nvmeio.kern_data_len;
	mv->total = io->nvmeio.kern_total_len;
	mv->to_host = (io->io_hdr.flags & CTL_FLAG_DATA_MASK) ==
	    CTL_FLAG_DATA_IN;
	mv->admin = io->io_hdr.io_type == CTL_IO_NVME_ADMIN;
}

static void
nvrs_ctl_ext_free(struct mbuf *m)
{
	ctl_ref ref = m->m_ext.ext_arg1;

	ref(m->m_ext.ext_arg2, -1);
}

/* Chain by reference: the backend's buffer stays until the last mbuf is gone. */
static struct mbuf *
nvrs_ctl_ref_mbufs(union ctl_io *io, const struct ctl_sg_entry *sg, u_int n,
    int how)
{
	struct mbuf *head, **tailp, *m;
	u_int i;

	head = NULL;
	tailp = &head;
	for (i = 0; i < n; i++) {
		m = m_get(how, MT_DATA);
		if (m == NULL) {
			m_freem(head);
			return (NULL);
		}
		io->nvmeio.kern_data_ref(io->nvmeio.kern_data_arg, 1);
		m_extadd(m, sg[i].addr, sg[i].len, nvrs_ctl_ext_free,
		    io->nvmeio.kern_data_ref, io->nvmeio.kern_data_arg,
		    M_RDONLY, EXT_MOD_TYPE);
		m->m_len = sg[i].len;
		*tailp = m;
		tailp = &m->m_next;
	}
	return (head);
}

static struct mbuf *
nvrs_ctl_copy_mbufs(const struct ctl_sg_entry *sg, u_int n, size_t len, int how)
{
	struct mbuf *head, *m;
	const char *src;
	size_t left, take;
	u_int i;

	head = m = m_getm2(NULL, len, how, MT_DATA, 0);
	if (head == NULL)
		return (NULL);
	for (i = 0; i < n; i++) {
		src = sg[i].addr;
		for (left = sg[i].len; left != 0; left -= take) {
			while (M_TRAILINGSPACE(m) == 0)
				m = m->m_next;
			take = MIN(left, (size_t)M_TRAILINGSPACE(m));
			memcpy(mtod(m, char *) + m->m_len, src, take);
			m->m_len += take;
			src += take;
		}
	}
	return (head);
}

struct mbuf *
nvrs_ctl_move_mbufs(union ctl_io *io, int flags)
{
	struct ctl_sg_entry flat;
	const struct ctl_sg_entry *sg;
	size_t len;
	u_int i, n;
	int how;

	how = nvrs_mflags(flags) & ~M_ZERO;
	n = io->nvmeio.kern_sg_entries;
	if (n == 0) {
		flat.addr = io->nvmeio.kern_data_ptr;
		flat.len = io->nvmeio.kern_data_len;
		sg = &flat;
		n = 1;
	} else
		sg = (const struct ctl_sg_entry *)io->nvmeio.kern_data_ptr;
	if (io->nvmeio.kern_data_ref != NULL)
		return (nvrs_ctl_ref_mbufs(io, sg, n, how));
	for (i = 0, len = 0; i < n; i++)
		len += sg[i].len;
	return (nvrs_ctl_copy_mbufs(sg, n, len, how));
}

uint8_t *
nvrs_ctl_move_buffer(union ctl_io *io)
{
	return (io->nvmeio.kern_sg_entries == 0 ? io->nvmeio.kern_data_ptr :
	    NULL);
}

void
nvrs_ctl_move_memdesc(union ctl_io *io, struct nvrs_memdesc *md)
{
	struct memdesc *mem = (struct memdesc *)md;

	if (io->nvmeio.kern_sg_entries == 0)
		*mem = memdesc_vaddr(io->nvmeio.kern_data_ptr,
		    io->nvmeio.kern_data_len);
	else
		*mem = memdesc_vlist(
		    (struct bus_dma_segment *)io->nvmeio.kern_data_ptr,
		    io->nvmeio.kern_sg_entries);
}

void
nvrs_ctl_move_received(union ctl_io *io, uint32_t len)
{
	io->nvmeio.kern_data_resid -= MIN(len, io->nvmeio.kern_data_resid);
}

void
nvrs_ctl_move_fail(union ctl_io *io, uint8_t sc)
{
	ctl_nvme_set_generic_error(&io->nvmeio, sc);
}

void
nvrs_ctl_move_abort(union ctl_io *io)
{
	io->io_hdr.port_status = 1;
	io->io_hdr.flags |= CTL_FLAG_ABORT;
}

void
nvrs_ctl_move_success_sent(union ctl_io *io)
{
	io->nvmeio.success_sent = true;
}

void
nvrs_ctl_move_done(union ctl_io *io, bool samethr)
{
	ctl_datamove_done(io, samethr);
}

/*
 * An abort may change the status after success was sent: the host has it.  A
 * request that ends without a CQE of CTL's has failed.
 */
bool
nvrs_ctl_done_result(const union ctl_io *io, void *cqe)
{
	struct nvme_completion cpl;

	cpl = io->nvmeio.cpl;
	switch (io->io_hdr.status & CTL_STATUS_MASK) {
	case CTL_SUCCESS:
	case CTL_NVME_ERROR:
		break;
	default:
		memset(&cpl, 0, sizeof(cpl));
		cpl.status = htole16(NVMEF(NVME_STATUS_SC,
		    NVME_SC_INTERNAL_DEVICE_ERROR));
		break;
	}
	memcpy(cqe, &cpl, sizeof(cpl));
	return (!io->nvmeio.success_sent);
}

void
nvrs_ctl_io_free(union ctl_io *io)
{
	ctl_free_io(io);
}

bool
nvrs_can_sleep(void)
{
	return (THREAD_CAN_SLEEP() && curthread->td_critnest == 0);
}

bool
nvrs_sbuf_cat(struct sbuf *sb, const char *s, size_t len)
{
	return (sbuf_bcat(sb, s, len) == 0);
}

void
nvrs_os_names(const char **type, const char **release)
{
	*type = ostype;
	*release = osrelease;
}

uint32_t
nvrs_page_size(void)
{
	return (PAGE_SIZE);
}
