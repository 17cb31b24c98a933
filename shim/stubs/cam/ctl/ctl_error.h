/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for cam/ctl/ctl_error.h, used when no source tree is at hand: how a
 * front end fails an NVMe request.
 */

#ifndef _NVRS_STUB_CTL_ERROR_H_
#define	_NVRS_STUB_CTL_ERROR_H_

void	ctl_nvme_set_error(struct ctl_nvmeio *ctnio, uint8_t sc_type,
	    uint8_t sc_status);
void	ctl_nvme_set_generic_error(struct ctl_nvmeio *ctnio,
	    uint8_t sc_status);
void	ctl_nvme_set_invalid_opcode(struct ctl_nvmeio *ctnio);
void	ctl_nvme_set_invalid_field(struct ctl_nvmeio *ctnio);
void	ctl_nvme_set_data_transfer_error(struct ctl_nvmeio *ctnio);
void	ctl_nvme_set_internal_error(struct ctl_nvmeio *ctnio);
void	ctl_nvme_set_invalid_namespace(struct ctl_nvmeio *ctnio);
void	ctl_nvme_set_command_aborted(struct ctl_nvmeio *ctnio);
void	ctl_nvme_set_success(struct ctl_nvmeio *ctnio);

#endif /* !_NVRS_STUB_CTL_ERROR_H_ */
