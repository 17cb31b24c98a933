/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for the header that a kernel build makes of kern/device_if.m, used
 * when no source tree is at hand: the device methods that our driver has.
 */

#ifndef _NVRS_STUB_DEVICE_IF_H_
#define	_NVRS_STUB_DEVICE_IF_H_

extern struct kobjop_desc device_identify_desc;
extern struct kobjop_desc device_probe_desc;
extern struct kobjop_desc device_attach_desc;
extern struct kobjop_desc device_detach_desc;
extern struct kobjop_desc device_shutdown_desc;
extern struct kobjop_desc device_suspend_desc;
extern struct kobjop_desc device_resume_desc;

typedef void device_identify_t(driver_t *driver, device_t parent);
typedef int device_probe_t(device_t dev);
typedef int device_attach_t(device_t dev);
typedef int device_detach_t(device_t dev);
typedef int device_shutdown_t(device_t dev);
typedef int device_suspend_t(device_t dev);
typedef int device_resume_t(device_t dev);

#endif /* !_NVRS_STUB_DEVICE_IF_H_ */
