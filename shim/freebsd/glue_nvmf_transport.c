/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* nvmf_transport.ko: the module and the root of its sysctl(9) tree. */

#include "kpi_private.h"

#include <sys/module.h>
#include <sys/sysctl.h>

int	nvrs_transport_load(void);
int	nvrs_transport_unload(bool really);

static MALLOC_DEFINE(M_NVMF_XPORT, "nvmf_xport",
    "NVMe over Fabrics transport");
struct malloc_type *const nvrs_malloc_type = M_NVMF_XPORT;

SYSCTL_NODE(_kern, OID_AUTO, nvmf, CTLFLAG_RD | CTLFLAG_MPSAFE, 0,
    "NVMe over Fabrics");

static int
nvmf_transport_modevent(module_t mod, int what, void *arg)
{
	switch (what) {
	case MOD_LOAD:
		return (nvrs_transport_load());
	case MOD_QUIESCE:
		return (nvrs_transport_unload(false));
	case MOD_UNLOAD:
		return (nvrs_transport_unload(true));
	default:
		return (EOPNOTSUPP);
	}
}

static moduledata_t nvmf_transport_mod = {
	"nvmf_transport",
	nvmf_transport_modevent,
	NULL
};

DECLARE_MODULE(nvmf_transport, nvmf_transport_mod, SI_SUB_DRIVERS,
    SI_ORDER_FIRST);
MODULE_VERSION(nvmf_transport, 1);
