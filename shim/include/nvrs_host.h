/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * What the host needs besides the base: new-bus, CAM, character devices, bios.
 * "S" and "N" as in nvrs_base.h.
 */
#ifndef _NVRS_HOST_H_
#define	_NVRS_HOST_H_

/*
 * new-bus.  The softc is a C structure that holds one pointer of the host's;
 * a match function recognises a device by that pointer.
 */
struct nvrs_dev;

uint32_t nvrs_dev_unit(struct nvrs_dev *dev);
const char *nvrs_dev_nameunit(struct nvrs_dev *dev);
void	*nvrs_dev_ivars(struct nvrs_dev *dev);
void	nvrs_dev_set_desc(struct nvrs_dev *dev, const char *s, size_t len);	/* S */
/*
 * S: add a child of the root bus and let it probe and attach with ivars, under
 * the topology lock.  On failure the child is gone again.
 */
int	nvrs_dev_add(void *ivars);
/*
 * S: delete every device of this driver whose softc pointer the function
 * accepts.  Stops at the first failure; *count is how many are gone.
 */
int	nvrs_dev_delete(bool (*match)(void *arg, const void *softc), void *arg,
	    uint32_t *count);
/* N: tell devd that a controller wants to be reconnected. */
void	nvrs_dev_notify_reconnect(const char *nameunit);

/* S: sysctl nodes of a queue; index < 0 is the admin queue. */
struct nvrs_qsysctl;
struct nvrs_qcounters {
	uint32_t	num_entries;
	uint16_t	sq_head;
	uint16_t	sq_tail;
	uint64_t	num_cmds;
};

void	nvrs_dev_sysctl_init(struct nvrs_dev *dev);
struct nvrs_qsysctl *nvrs_qsysctl_add(struct nvrs_dev *dev, int index,
	    struct nvrs_qcounters *counters);
void	nvrs_qsysctl_free(struct nvrs_qsysctl *s);		/* S */

/* Shutdown events, unless the system does without a sync. */
struct nvrs_shutdown;

struct nvrs_shutdown *nvrs_shutdown_register(void (*pre_sync)(void *),
	    void (*post_sync)(void *), void *arg);		/* S */
void	nvrs_shutdown_deregister(struct nvrs_shutdown *sh);	/* S */

bool	nvrs_fail_on_disconnection(void);
uint32_t nvrs_maxphys(void);

/* CAM. */
struct nvrs_sim;
struct nvrs_ccb;

#define	NVRS_SIM_NOMEM_Q	1	/* nvrs_sim_create: which step failed */
#define	NVRS_SIM_NOMEM_SIM	2
#define	NVRS_SIM_NO_BUS		3
#define	NVRS_SIM_NO_PATH	4

struct nvrs_sim_params {
	struct nvrs_dev	*dev;
	const char	*name;		/* of the controller; copied */
	void		(*io)(void *arg, struct nvrs_ccb *ccb, bool admin); /* N */
	void		*arg;
	uint32_t	 max_trans;
	uint32_t	 version;	/* VS */
	uint32_t	 nn;
	uint32_t	 maxio;
	uint8_t		 trtype;
};

int	nvrs_sim_create(const struct nvrs_sim_params *params,
	    struct nvrs_sim **simp);				/* S */
/* N: what a new association may do. */
void	nvrs_sim_update(struct nvrs_sim *sim, uint32_t nn, uint32_t maxio);
void	nvrs_sim_lost(struct nvrs_sim *sim);			/* S: all disks */
void	nvrs_sim_lost_disk(struct nvrs_sim *sim, uint32_t nsid); /* N */
void	nvrs_sim_destroy(struct nvrs_sim *sim);	/* S: waits for CAM's references */
void	nvrs_sim_freeze(struct nvrs_sim *sim);			/* N */
void	nvrs_sim_release(struct nvrs_sim *sim);	/* N: may call io() */
#define	NVRS_RESCAN_NO_CCB	1
#define	NVRS_RESCAN_NO_PATH	2
int	nvrs_sim_rescan(struct nvrs_sim *sim, uint32_t nsid);	/* N */

void	nvrs_ccb_sqe(const struct nvrs_ccb *ccb, uint8_t sqe[64]);
/* The namespace whose disk CAM means, whatever the entry says. */
uint32_t nvrs_ccb_nsid(const struct nvrs_ccb *ccb);
uint32_t nvrs_ccb_timeout(const struct nvrs_ccb *ccb);	/* milliseconds */
/* The data of a CCB; returns its length, 0 when there is none. */
uint32_t nvrs_ccb_data(struct nvrs_ccb *ccb, struct nvrs_memdesc *md,
	    bool *write);
/* The first bytes of a CCB's data, when it is a plain buffer of that size. */
bool	nvrs_ccb_peek(const struct nvrs_ccb *ccb, void *buf, uint32_t len);
void	nvrs_ccb_queued(struct nvrs_ccb *ccb);			/* N: accepted */
#define	NVRS_CCB_CMP		0
#define	NVRS_CCB_NVME_ERROR	1
#define	NVRS_CCB_DATA_ERROR	2
#define	NVRS_CCB_REQUEUE	3
#define	NVRS_CCB_GONE		4
#define	NVRS_CCB_NO_RESOURCE	5
#define	NVRS_CCB_INVALID	6
void	nvrs_ccb_done(struct nvrs_ccb *ccb, int outcome,
	    const uint8_t *cqe, bool direct);	/* N; direct: no locks */
struct nvrs_ccb *nvrs_ccb_next(const struct nvrs_ccb *ccb);
void	nvrs_ccb_set_next(struct nvrs_ccb *ccb, struct nvrs_ccb *next);

/* bios of a namespace node. */
struct nvrs_bio;

#define	NVRS_BIO_READ	0
#define	NVRS_BIO_WRITE	1
#define	NVRS_BIO_FLUSH	2
#define	NVRS_BIO_DELETE	3
#define	NVRS_BIO_OTHER	4

int	nvrs_bio_cmd(const struct nvrs_bio *bp);
uint64_t nvrs_bio_offset(const struct nvrs_bio *bp);
uint64_t nvrs_bio_length(const struct nvrs_bio *bp);
void	nvrs_bio_memdesc(struct nvrs_bio *bp, struct nvrs_memdesc *md);
void	nvrs_bio_done(struct nvrs_bio *bp, int error);		/* N */
struct nvrs_bio *nvrs_bio_next(const struct nvrs_bio *bp);
void	nvrs_bio_set_next(struct nvrs_bio *bp, struct nvrs_bio *next);

/*
 * Character devices.  The ioctl function gets the argument as the kernel
 * copied it in; what it leaves there is copied out if it returns zero.
 */
struct nvrs_cdev;

struct nvrs_cdev_params {
	const char	*name;
	const char	*alias;		/* or NULL */
	int		(*ioctl)(void *arg, unsigned long cmd, uint8_t *data,
			    size_t len);			/* S */
	void		(*strategy)(void *arg, struct nvrs_bio *bp); /* N; or NULL */
	void		*arg;
	uint32_t	 iosize_max;
};

int	nvrs_cdev_create(const struct nvrs_cdev_params *params,
	    struct nvrs_cdev **cdevp);				/* S */
/* S: waits until no thread is in its functions; not from one of them. */
void	nvrs_cdev_destroy(struct nvrs_cdev *cdev);
/* S: at unload, after the last nvrs_cdev_destroy(). */
void	nvrs_cdev_drain(void);

/* ioctl commands, checked against the system's headers by kpi_cdev.c. */
#define	NVRS_IOC_HANDOFF_HOST		0x80186ec8ul
#define	NVRS_IOC_DISCONNECT_HOST	0x80086ec9ul
#define	NVRS_IOC_DISCONNECT_ALL		0x20006ecaul
#define	NVRS_IOC_RECONNECT_PARAMS	0xc0186ecbul
#define	NVRS_IOC_RECONNECT_HOST		0x80186eccul
#define	NVRS_IOC_CONNECTION_STATUS	0xc0186ecdul
#define	NVRS_IOC_PASSTHROUGH		0xc0686e00ul
#define	NVRS_IOC_GET_NSID		0x41046e02ul
#define	NVRS_IOC_GET_MAX_XFER_SIZE	0x40086e03ul
#define	NVRS_IOC_GET_CONTROLLER_DATA	0x50006e04ul
#define	NVRS_IOC_MEDIASIZE		0x40086481ul
#define	NVRS_IOC_SECTORSIZE		0x40046480ul

/* struct nvme_pt_command, checked likewise. */
#define	NVRS_PT_SIZE	104
#define	NVRS_PT_CPL	64
#define	NVRS_PT_BUF	80
#define	NVRS_PT_LEN	88
#define	NVRS_PT_IS_READ	92
/* struct nvme_get_nsid. */
#define	NVRS_NSID_SIZE	260
#define	NVRS_NSID_NSID	256

/* Module-wide functions of the host, called by glue_nvmf.c. */
int	nvrs_nvmf_load(void);
void	nvrs_nvmf_unload(void);
int	nvrs_nvmf_probe(struct nvrs_dev *dev);
int	nvrs_nvmf_attach(struct nvrs_dev *dev, void **softc);
int	nvrs_nvmf_detach(void *softc);

#endif /* !_NVRS_HOST_H_ */
