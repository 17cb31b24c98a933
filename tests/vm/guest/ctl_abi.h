/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

#ifndef CTL_ABI_H
#define	CTL_ABI_H

/*
 * The two requests of /dev/cam/ctl that concern NVMe over Fabrics, for a
 * machine without CTL's headers.  The sizes are part of the ioctl numbers and
 * asserted below.
 */

#include <sys/types.h>
#include <sys/ioccom.h>
#include <dev/nvmf/nvmf.h>

#include <stddef.h>
#include <stdint.h>

#define	CTL_ABI_ERROR_LEN	160

enum {
	CTL_ABI_NVMF_HANDOFF,
	CTL_ABI_NVMF_LIST,
	CTL_ABI_NVMF_TERMINATE,
};

enum {
	CTL_ABI_NVMF_OK,
	CTL_ABI_NVMF_ERROR,
	CTL_ABI_NVMF_MORE_SPACE,
	CTL_ABI_NVMF_NOT_FOUND,
};

enum { CTL_ABI_REQ_CREATE, CTL_ABI_REQ_REMOVE, CTL_ABI_REQ_MODIFY };
enum { CTL_ABI_LUN_NOP, CTL_ABI_LUN_OK, CTL_ABI_LUN_ERROR };

struct ctl_abi_nvmf {
	int		type;
	union {
		struct nvmf_ioc_nv	handoff;
		struct {
			uint32_t	alloc_len;
			char		*conn_xml;
			uint32_t	fill_len;
			int		spare[4];
		} list;
		struct {
			int		cntlid;
			char		hostnqn[256];
			int		all;
			int		spare[4];
		} terminate;
	} data;
	int		status;
	char		error_str[CTL_ABI_ERROR_LEN];
};

struct ctl_abi_req {
	char		driver[32];
	int		reqtype;
	void		*args;
	void		*args_nvl;
	size_t		args_len;
	void		*result;
	void		*result_nvl;
	size_t		result_len;
	int		status;
	char		error_str[CTL_ABI_ERROR_LEN];
};

_Static_assert(sizeof(struct ctl_abi_nvmf) == 456, "struct ctl_nvmf");
_Static_assert(offsetof(struct ctl_abi_nvmf, status) == 288, "status");
_Static_assert(sizeof(struct ctl_abi_req) == 256, "struct ctl_req");
_Static_assert(offsetof(struct ctl_abi_req, error_str) == 92, "error_str");

#define	CTL_ABI_PORT_REQ	_IOWR(225, 0x26, struct ctl_abi_req)
#define	CTL_ABI_NVMF		_IOWR(225, 0x2b, struct ctl_abi_nvmf)

_Static_assert(CTL_ABI_PORT_REQ == 0xc100e126, "CTL_PORT_REQ");
_Static_assert(CTL_ABI_NVMF == 0xc1c8e12b, "CTL_NVMF");

#endif /* !CTL_ABI_H */
