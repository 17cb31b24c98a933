/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for cam/ctl/ctl.h, used when no source tree is at hand: the part
 * that an NVMe front end of ctl(4) needs.  layout_check.c is compiled against
 * this file and against the real one, so the two cannot disagree.
 */

#ifndef _NVRS_STUB_CTL_H_
#define	_NVRS_STUB_CTL_H_

typedef enum {
	CTL_PORT_NONE = 0x00,
	CTL_PORT_NVMF = 0x80,
	CTL_PORT_ALL = 0xff,
	CTL_PORT_ISC = 0x100,
} ctl_port_type;

#define	CTL_DRIVER_NAME_LEN	32

#ifdef MALLOC_DECLARE
MALLOC_DECLARE(M_CTL);
#endif

#ifdef SYSCTL_DECL
SYSCTL_DECL(_kern_cam_ctl);
#endif

struct cdev;
struct ctl_port;
struct ctl_softc;
struct sbuf;
struct thread;
union ctl_io;

int	ctl_sbuf_printf_esc(struct sbuf *sb, char *str, int size);
void	ctl_datamove_done(union ctl_io *io, bool samethr);
void	ctl_done(union ctl_io *io);

#endif /* !_NVRS_STUB_CTL_H_ */
