/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for cam/ctl/ctl_frontend.h, used when no source tree is at hand.
 */

#ifndef _NVRS_STUB_CTL_FRONTEND_H_
#define	_NVRS_STUB_CTL_FRONTEND_H_

#include <cam/ctl/ctl_ioctl.h>
#include <sys/nv.h>

typedef enum {
	CTL_PORT_STATUS_NONE = 0x00,
	CTL_PORT_STATUS_ONLINE = 0x01,
	CTL_PORT_STATUS_HA_SHARED = 0x02,
} ctl_port_status;

typedef int (*fe_init_t)(void);
typedef int (*fe_shutdown_t)(void);
typedef void (*port_func_t)(void *onoff_arg);
typedef int (*port_info_func_t)(void *onoff_arg, struct sbuf *sb);
typedef int (*lun_func_t)(void *arg, int lun_id);
typedef int (*fe_ioctl_t)(struct cdev *dev, u_long cmd, caddr_t addr, int flag,
    struct thread *td);

struct ctl_port {
	struct ctl_softc *ctl_softc;
	struct ctl_frontend *frontend;
	ctl_port_type	port_type;
	int		num_requested_ctl_io;
	char		*port_name;
	int		physical_port;
	int		virtual_port;
	port_func_t	port_online;
	port_func_t	port_offline;
	port_info_func_t port_info;
	void		*onoff_arg;
	lun_func_t	lun_enable;
	lun_func_t	lun_disable;
	int		lun_map_size;
	uint32_t	*lun_map;
	void		*targ_lun_arg;
	void		(*fe_datamove)(union ctl_io *io);
	void		(*fe_done)(union ctl_io *io);
	int32_t		targ_port;
	void		*ctl_pool_ref;
	uint32_t	max_initiators;
	void		*nvrs_wwpn_iid;
	uint64_t	wwnn;
	uint64_t	wwpn;
	ctl_port_status	status;
	nvlist_t	*options;
	struct ctl_devid *port_devid;
	struct ctl_devid *target_devid;
	struct ctl_devid *init_devid;
	struct ctl_io_stats stats;
	struct mtx	port_lock;
	STAILQ_ENTRY(ctl_port) fe_links;
	STAILQ_ENTRY(ctl_port) links;
};

struct ctl_frontend {
	char		name[CTL_DRIVER_NAME_LEN];
	fe_init_t	init;
	fe_ioctl_t	ioctl;
	void		(*fe_dump)(void);
	fe_shutdown_t	shutdown;
	STAILQ_HEAD(, ctl_port) port_list;
	STAILQ_ENTRY(ctl_frontend) links;
};

int	ctl_frontend_register(struct ctl_frontend *fe);
int	ctl_frontend_deregister(struct ctl_frontend *fe);
int	ctl_port_register(struct ctl_port *port);
int	ctl_port_deregister(struct ctl_port *port);
void	ctl_port_online(struct ctl_port *port);
void	ctl_port_offline(struct ctl_port *port);
int	ctl_queue(union ctl_io *io);
int	ctl_run(union ctl_io *io);
int	ctl_add_initiator(struct ctl_port *port, int iid, uint64_t wwpn,
	    char *name);
int	ctl_remove_initiator(struct ctl_port *port, int iid);

/* A module whose whole life is that of one front end. */
#define	CTL_FRONTEND_DECLARE(name, driver)				\
static int								\
name ## _modevent(module_t mod __unused, int what, void *data)		\
{									\
	switch (what) {							\
	case MOD_LOAD:							\
		return (ctl_frontend_register(data));			\
	case MOD_UNLOAD:						\
		return (ctl_frontend_deregister(data));			\
	default:							\
		return (EOPNOTSUPP);					\
	}								\
}									\
static moduledata_t name ## _mod = {					\
	#name, name ## _modevent, &driver				\
};									\
DECLARE_MODULE(name, name ## _mod, SI_SUB_CONFIGURE, SI_ORDER_FOURTH);	\
MODULE_DEPEND(name, ctl, 1, 1, 1);					\
MODULE_DEPEND(name, cam, 1, 1, 1)

#endif /* !_NVRS_STUB_CTL_FRONTEND_H_ */
