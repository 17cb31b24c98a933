/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef _KPI_NEWBUS_H_
#define	_KPI_NEWBUS_H_

/*
 * nvme(4) walks every device of the class "nvme" as if it were its own and
 * reads flags far into the softc when a consumer registers: keep zeroes there.
 */
#define	NVRS_NVME_SOFTC_SIZE	105472

struct sysctl_oid;

struct nvrs_softc {
	char		pad[NVRS_NVME_SOFTC_SIZE];
	void		*host;		/* the controller object */
	struct sysctl_oid *ioq;
};

extern driver_t nvrs_nvmf_driver;

#endif /* !_KPI_NEWBUS_H_ */
