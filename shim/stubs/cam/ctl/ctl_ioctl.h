/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for cam/ctl/ctl_ioctl.h, used when no source tree is at hand: the
 * two ioctls that CTL hands on to an NVMe front end.
 */

#ifndef _NVRS_STUB_CTL_IOCTL_H_
#define	_NVRS_STUB_CTL_IOCTL_H_

#include <sys/ioccom.h>
#include <sys/nv.h>
#include <dev/nvmf/nvmf.h>
#include <dev/nvmf/nvmf_proto.h>

#define	CTL_MAX_INIT_PER_PORT	2048
#define	CTL_MINOR		225
#define	CTL_ERROR_STR_LEN	160
#define	CTL_MAX_ARGS_LEN	(1024 * 1024)

/* CTL's statistics of a port or LUN; a front end does not look inside. */
struct ctl_io_stats {
	uint64_t	nvrs_counters[22];
};

typedef enum {
	CTL_LUN_NOSTATUS,
	CTL_LUN_OK,
	CTL_LUN_ERROR,
	CTL_LUN_WARNING,
} ctl_lun_status;

typedef enum {
	CTL_REQ_CREATE,
	CTL_REQ_REMOVE,
	CTL_REQ_MODIFY,
} ctl_req_type;

struct ctl_req {
	char		driver[CTL_DRIVER_NAME_LEN];
	ctl_req_type	reqtype;
	void		*args;
	nvlist_t	*args_nvl;
	size_t		args_len;
	void		*result;
	nvlist_t	*result_nvl;
	size_t		result_len;
	ctl_lun_status	status;
	char		error_str[CTL_ERROR_STR_LEN];
};

typedef enum {
	CTL_NVMF_OK,
	CTL_NVMF_ERROR,
	CTL_NVMF_LIST_NEED_MORE_SPACE,
	CTL_NVMF_ASSOCIATION_NOT_FOUND,
} ctl_nvmf_status;

typedef enum {
	CTL_NVMF_HANDOFF,
	CTL_NVMF_LIST,
	CTL_NVMF_TERMINATE,
} ctl_nvmf_type;

struct ctl_nvmf_list_params {
	uint32_t	alloc_len;
	char		*conn_xml;
	uint32_t	fill_len;
	int		spare[4];
};

struct ctl_nvmf_terminate_params {
	int		cntlid;
	char		hostnqn[NVME_NQN_FIELD_SIZE];
	int		all;
	int		spare[4];
};

union ctl_nvmf_data {
	struct nvmf_ioc_nv handoff;
	struct ctl_nvmf_list_params list;
	struct ctl_nvmf_terminate_params terminate;
};

struct ctl_nvmf {
	ctl_nvmf_type	type;
	union ctl_nvmf_data data;
	ctl_nvmf_status	status;
	char		error_str[CTL_ERROR_STR_LEN];
};

#define	CTL_PORT_REQ	_IOWR(CTL_MINOR, 0x26, struct ctl_req)
#define	CTL_NVMF	_IOWR(CTL_MINOR, 0x2b, struct ctl_nvmf)

#endif /* !_NVRS_STUB_CTL_IOCTL_H_ */
