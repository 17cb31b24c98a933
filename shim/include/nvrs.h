/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * The whole C interface that Rust sees; bindgen reads this file.
 */
#ifndef _NVRS_H_
#define	_NVRS_H_

#include "nvrs_base.h"
#include "nvrs_nv.h"
#include "nvrs_mbuf.h"
#include "nvrs_sock.h"
#include "nvrs_xport.h"
#include "nvrs_host.h"
#include "nvrs_ctl.h"

#endif /* !_NVRS_H_ */
