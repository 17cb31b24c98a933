/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* new-bus, per-queue sysctl nodes and shutdown events: see nvrs_host.h. */

#include "kpi_private.h"

#include <sys/bus.h>
#include <sys/devctl.h>
#include <sys/eventhandler.h>
#include <sys/reboot.h>
#include <sys/sysctl.h>

#include "kpi_newbus.h"

static device_t
nvrs_device(struct nvrs_dev *dev)
{
	return ((device_t)dev);
}

uint32_t
nvrs_dev_unit(struct nvrs_dev *dev)
{
	return (device_get_unit(nvrs_device(dev)));
}

const char *
nvrs_dev_nameunit(struct nvrs_dev *dev)
{
	return (device_get_nameunit(nvrs_device(dev)));
}

void *
nvrs_dev_ivars(struct nvrs_dev *dev)
{
	return (device_get_ivars(nvrs_device(dev)));
}

void
nvrs_dev_set_desc(struct nvrs_dev *dev, const char *s, size_t len)
{
	device_set_descf(nvrs_device(dev), "%.*s", (int)len, s);
}

int
nvrs_dev_add(void *ivars)
{
	device_t dev;
	int error;

	bus_topo_lock();
	dev = device_add_child(root_bus, "nvme", DEVICE_UNIT_ANY);
	if (dev == NULL) {
		bus_topo_unlock();
		return (ENXIO);
	}
	device_set_ivars(dev, ivars);
	error = device_probe_and_attach(dev);
	device_set_ivars(dev, NULL);
	if (error != 0)
		device_delete_child(root_bus, dev);
	bus_topo_unlock();
	return (error);
}

int
nvrs_dev_delete(bool (*match)(void *arg, const void *softc), void *arg,
    uint32_t *count)
{
	struct nvrs_softc *sc;
	devclass_t dc;
	device_t dev;
	int error, unit;

	*count = 0;
	error = 0;
	bus_topo_lock();
	dc = devclass_find("nvme");
	if (dc == NULL) {
		bus_topo_unlock();
		return (0);
	}
	/* The topology lock is released while a detach sleeps. */
	for (unit = 0; unit < devclass_get_maxunit(dc); unit++) {
		dev = devclass_get_device(dc, unit);
		if (dev == NULL || device_get_parent(dev) != root_bus ||
		    device_get_driver(dev) != &nvrs_nvmf_driver)
			continue;
		sc = device_get_softc(dev);
		if (sc == NULL || sc->host == NULL || !match(arg, sc->host))
			continue;
		error = device_delete_child(root_bus, dev);
		if (error != 0)
			break;
		(*count)++;
	}
	bus_topo_unlock();
	return (error);
}

void
nvrs_dev_notify_reconnect(const char *nameunit)
{
	char data[32];

	snprintf(data, sizeof(data), "name=\"%s\"", nameunit);
	devctl_notify("nvme", "controller", "RECONNECT", data);
}

struct nvrs_qsysctl {
	struct sysctl_ctx_list ctx;
};

void
nvrs_dev_sysctl_init(struct nvrs_dev *arg)
{
	struct nvrs_softc *sc;
	device_t dev;

	dev = nvrs_device(arg);
	sc = device_get_softc(dev);
	sc->ioq = SYSCTL_ADD_NODE(device_get_sysctl_ctx(dev),
	    SYSCTL_CHILDREN(device_get_sysctl_tree(dev)), OID_AUTO, "ioq",
	    CTLFLAG_RD | CTLFLAG_MPSAFE, NULL, "I/O Queues");
}

struct nvrs_qsysctl *
nvrs_qsysctl_add(struct nvrs_dev *arg, int index,
    struct nvrs_qcounters *counters)
{
	struct nvrs_softc *sc;
	struct nvrs_qsysctl *s;
	struct sysctl_oid *oid;
	struct sysctl_oid_list *list;
	device_t dev;
	char name[16];

	dev = nvrs_device(arg);
	sc = device_get_softc(dev);
	s = malloc(sizeof(*s), nvrs_malloc_type, M_WAITOK | M_ZERO);
	sysctl_ctx_init(&s->ctx);
	if (index < 0) {
		list = SYSCTL_CHILDREN(device_get_sysctl_tree(dev));
		oid = SYSCTL_ADD_NODE(&s->ctx, list, OID_AUTO, "adminq",
		    CTLFLAG_RD | CTLFLAG_MPSAFE, NULL, "Admin Queue");
	} else {
		snprintf(name, sizeof(name), "%d", index);
		list = SYSCTL_CHILDREN(sc->ioq);
		oid = SYSCTL_ADD_NODE(&s->ctx, list, OID_AUTO, name,
		    CTLFLAG_RD | CTLFLAG_MPSAFE, NULL, "I/O Queue");
	}
	if (oid == NULL)
		return (s);
	list = SYSCTL_CHILDREN(oid);
	SYSCTL_ADD_UINT(&s->ctx, list, OID_AUTO, "num_entries", CTLFLAG_RD,
	    NULL, counters->num_entries, "Number of entries in queue");
	SYSCTL_ADD_U16(&s->ctx, list, OID_AUTO, "sq_head", CTLFLAG_RD,
	    &counters->sq_head, 0, "Current head of submission queue");
	SYSCTL_ADD_U16(&s->ctx, list, OID_AUTO, "sq_tail", CTLFLAG_RD,
	    &counters->sq_tail, 0, "Current tail of submission queue");
	SYSCTL_ADD_U64(&s->ctx, list, OID_AUTO, "num_cmds", CTLFLAG_RD,
	    &counters->num_cmds, 0, "Number of commands submitted");
	return (s);
}

void
nvrs_qsysctl_free(struct nvrs_qsysctl *s)
{
	sysctl_ctx_free(&s->ctx);
	free(s, nvrs_malloc_type);
}

struct nvrs_shutdown {
	eventhandler_tag pre;
	eventhandler_tag post;
	void		(*pre_sync)(void *);
	void		(*post_sync)(void *);
	void		*arg;
};

static void
nvrs_shutdown_pre(void *arg, int howto)
{
	struct nvrs_shutdown *sh;

	sh = arg;
	if ((howto & RB_NOSYNC) == 0 && !SCHEDULER_STOPPED())
		sh->pre_sync(sh->arg);
}

static void
nvrs_shutdown_post(void *arg, int howto)
{
	struct nvrs_shutdown *sh;

	sh = arg;
	if ((howto & RB_NOSYNC) == 0 && !SCHEDULER_STOPPED())
		sh->post_sync(sh->arg);
}

struct nvrs_shutdown *
nvrs_shutdown_register(void (*pre_sync)(void *), void (*post_sync)(void *),
    void *arg)
{
	struct nvrs_shutdown *sh;

	sh = malloc(sizeof(*sh), nvrs_malloc_type, M_WAITOK | M_ZERO);
	sh->pre_sync = pre_sync;
	sh->post_sync = post_sync;
	sh->arg = arg;
	sh->pre = EVENTHANDLER_REGISTER(shutdown_pre_sync, nvrs_shutdown_pre,
	    sh, SHUTDOWN_PRI_FIRST);
	sh->post = EVENTHANDLER_REGISTER(shutdown_post_sync,
	    nvrs_shutdown_post, sh, SHUTDOWN_PRI_LAST);
	return (sh);
}

void
nvrs_shutdown_deregister(struct nvrs_shutdown *sh)
{
	EVENTHANDLER_DEREGISTER(shutdown_pre_sync, sh->pre);
	EVENTHANDLER_DEREGISTER(shutdown_post_sync, sh->post);
	free(sh, nvrs_malloc_type);
}

uint32_t
nvrs_maxphys(void)
{
	return ((uint32_t)ulmin(maxphys, 0x40000000ul));
}
