/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* nvmf_tcp.ko: the module, its table of functions and its sysctl(9) nodes. */

#include "kpi_private.h"

#include <sys/module.h>
#include <sys/sysctl.h>

extern struct nvmf_transport_ops nvrs_tcp_ops;
extern uint32_t nvrs_tcp_max_transmit_data;

int	nvrs_tcp_busy(void);
void	nvrs_tcp_prepare(void);

static MALLOC_DEFINE(M_NVMF_TCP, "nvmf_tcp", "NVMe over TCP");
struct malloc_type *const nvrs_malloc_type = M_NVMF_TCP;

SYSCTL_DECL(_kern_nvmf);

static SYSCTL_NODE(_kern_nvmf, OID_AUTO, tcp, CTLFLAG_RD | CTLFLAG_MPSAFE, 0,
    "TCP transport");
SYSCTL_UINT(_kern_nvmf_tcp, OID_AUTO, max_transmit_data, CTLFLAG_RWTUN,
    &nvrs_tcp_max_transmit_data, 0,
    "Maximum size of data payload in a transmitted PDU");

/*
 * Unloading waits for what the generic layer does not know of: mbufs that
 * still refer to a queue pair that was freed.
 */
static int
nvmf_tcp_modevent(module_t mod, int what, void *arg)
{
	int error;

	switch (what) {
	case MOD_LOAD:
		nvrs_tcp_prepare();
		break;
	case MOD_UNLOAD:
		error = nvrs_tcp_busy();
		if (error != 0)
			return (error);
		break;
	}
	return (nvmf_transport_module_handler(mod, what, arg));
}

static moduledata_t nvmf_transport_tcp_mod = {
	"nvmf/tcp",
	nvmf_tcp_modevent,
	&nvrs_tcp_ops
};

DECLARE_MODULE(nvmf_transport_tcp, nvmf_transport_tcp_mod, SI_SUB_DRIVERS,
    SI_ORDER_ANY);
MODULE_DEPEND(nvmf_transport_tcp, nvmf_transport, 1, 1, 1);
