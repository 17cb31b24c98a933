/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* The host module as the kernel sees it: metadata, driver and sysctl. */

#include "kpi_private.h"

#include <sys/bus.h>
#include <sys/module.h>
#include <sys/sysctl.h>

#include "kpi_newbus.h"

static MALLOC_DEFINE(M_NVRS, "nvmf", "NVMe over Fabrics host");

struct malloc_type *const nvrs_malloc_type = M_NVRS;

SYSCTL_DECL(_kern_nvmf);

static bool nvrs_fail_io;
SYSCTL_BOOL(_kern_nvmf, OID_AUTO, fail_on_disconnection, CTLFLAG_RWTUN,
    &nvrs_fail_io, 0,
    "Fail I/O requests on connection failure");

bool
nvrs_fail_on_disconnection(void)
{
	return (nvrs_fail_io);
}

static int
nvrs_probe(device_t dev)
{
	int error;

	if (device_get_ivars(dev) == NULL)
		return (ENXIO);
	error = nvrs_nvmf_probe((struct nvrs_dev *)dev);
	return (error != 0 ? error : BUS_PROBE_DEFAULT);
}

static int
nvrs_attach(device_t dev)
{
	struct nvrs_softc *sc;

	if (device_get_ivars(dev) == NULL)
		return (ENXIO);
	sc = device_get_softc(dev);
	return (nvrs_nvmf_attach((struct nvrs_dev *)dev, &sc->host));
}

static int
nvrs_detach(device_t dev)
{
	struct nvrs_softc *sc;
	int error;

	sc = device_get_softc(dev);
	error = nvrs_nvmf_detach(sc->host);
	if (error == 0)
		sc->host = NULL;
	return (error);
}

static int
nvrs_modevent(module_t mod, int what, void *arg)
{
	switch (what) {
	case MOD_LOAD:
		return (nvrs_nvmf_load());
	case MOD_QUIESCE:
		return (0);
	case MOD_UNLOAD:
		nvrs_nvmf_unload();
		return (0);
	default:
		return (EOPNOTSUPP);
	}
}

static device_method_t nvrs_methods[] = {
	DEVMETHOD(device_probe, nvrs_probe),
	DEVMETHOD(device_attach, nvrs_attach),
	DEVMETHOD(device_detach, nvrs_detach),
	DEVMETHOD_END
};

driver_t nvrs_nvmf_driver = {
	.name = "nvme",
	.methods = nvrs_methods,
	.size = sizeof(struct nvrs_softc),
};

DRIVER_MODULE(nvme, root, nvrs_nvmf_driver, nvrs_modevent, NULL);
MODULE_DEPEND(nvmf, nvmf_transport, 1, 1, 1);
