/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* Character devices and their bios: see nvrs_host.h. */

#include "kpi_private.h"

#include <sys/bio.h>
#include <sys/conf.h>
#include <sys/disk.h>
#include <sys/fcntl.h>
#include <sys/memdesc.h>
#include <sys/proc.h>

#include <dev/nvme/nvme.h>
#include <dev/nvmf/nvmf.h>

CTASSERT(NVRS_IOC_HANDOFF_HOST == NVMF_HANDOFF_HOST);
CTASSERT(NVRS_IOC_DISCONNECT_HOST == NVMF_DISCONNECT_HOST);
CTASSERT(NVRS_IOC_DISCONNECT_ALL == NVMF_DISCONNECT_ALL);
CTASSERT(NVRS_IOC_RECONNECT_PARAMS == NVMF_RECONNECT_PARAMS);
CTASSERT(NVRS_IOC_RECONNECT_HOST == NVMF_RECONNECT_HOST);
CTASSERT(NVRS_IOC_CONNECTION_STATUS == NVMF_CONNECTION_STATUS);
CTASSERT(NVRS_IOC_PASSTHROUGH == NVME_PASSTHROUGH_CMD);
CTASSERT(NVRS_IOC_GET_NSID == NVME_GET_NSID);
CTASSERT(NVRS_IOC_GET_MAX_XFER_SIZE == NVME_GET_MAX_XFER_SIZE);
CTASSERT(NVRS_IOC_GET_CONTROLLER_DATA == NVME_GET_CONTROLLER_DATA);
CTASSERT(NVRS_IOC_MEDIASIZE == DIOCGMEDIASIZE);
CTASSERT(NVRS_IOC_SECTORSIZE == DIOCGSECTORSIZE);
CTASSERT(sizeof(struct nvme_pt_command) == NVRS_PT_SIZE);
CTASSERT(offsetof(struct nvme_pt_command, cpl) == NVRS_PT_CPL);
CTASSERT(offsetof(struct nvme_pt_command, buf) == NVRS_PT_BUF);
CTASSERT(offsetof(struct nvme_pt_command, len) == NVRS_PT_LEN);
CTASSERT(offsetof(struct nvme_pt_command, is_read) == NVRS_PT_IS_READ);
CTASSERT(sizeof(struct nvme_get_nsid) == NVRS_NSID_SIZE);
CTASSERT(offsetof(struct nvme_get_nsid, nsid) == NVRS_NSID_NSID);
CTASSERT(sizeof(struct memdesc) == sizeof(struct nvrs_memdesc));

struct nvrs_cdev {
	struct cdev	*dev;
	struct nvrs_cdev_params params;
};

static d_open_t nvrs_disk_open;
static d_ioctl_t nvrs_cdev_ioctl;
static d_strategy_t nvrs_disk_strategy;

static struct cdevsw nvrs_cdevsw = {
	.d_version = D_VERSION,
	.d_name = "nvmf",
	.d_ioctl = nvrs_cdev_ioctl,
};

static struct cdevsw nvrs_disk_cdevsw = {
	.d_version = D_VERSION,
	.d_flags = D_DISK,
	.d_name = "nvmf_ns",
	.d_open = nvrs_disk_open,
	.d_read = physread,
	.d_write = physwrite,
	.d_strategy = nvrs_disk_strategy,
	.d_ioctl = nvrs_cdev_ioctl,
};

static int
nvrs_disk_open(struct cdev *dev, int oflags, int devtype, struct thread *td)
{
	if ((oflags & FWRITE) != 0 && securelevel_gt(td->td_ucred, 0) != 0)
		return (EPERM);
	return (0);
}

static int
nvrs_cdev_ioctl(struct cdev *dev, u_long cmd, caddr_t data, int fflag,
    struct thread *td)
{
	struct nvrs_cdev *c;

	c = dev->si_drv1;
	return (c->params.ioctl(c->params.arg, cmd, (uint8_t *)data,
	    IOCPARM_LEN(cmd)));
}

static void
nvrs_disk_strategy(struct bio *bp)
{
	struct nvrs_cdev *c;

	c = bp->bio_dev->si_drv1;
	c->params.strategy(c->params.arg, (struct nvrs_bio *)bp);
}

int
nvrs_cdev_create(const struct nvrs_cdev_params *params,
    struct nvrs_cdev **cdevp)
{
	struct make_dev_args mda;
	struct nvrs_cdev *c;
	struct cdev *alias;
	int error;

	c = malloc(sizeof(*c), nvrs_malloc_type, M_WAITOK | M_ZERO);
	c->params = *params;
	make_dev_args_init(&mda);
	mda.mda_flags = MAKEDEV_WAITOK | MAKEDEV_CHECKNAME;
	mda.mda_devsw = params->strategy != NULL ? &nvrs_disk_cdevsw :
	    &nvrs_cdevsw;
	mda.mda_uid = UID_ROOT;
	mda.mda_gid = GID_WHEEL;
	mda.mda_mode = 0600;
	mda.mda_si_drv1 = c;
	error = make_dev_s(&mda, &c->dev, "%s", params->name);
	if (error != 0) {
		free(c, nvrs_malloc_type);
		return (error);
	}
	if (params->strategy != NULL) {
		c->dev->si_iosize_max = params->iosize_max;
		c->dev->si_flags |= SI_UNMAPPED;
	}
	/* The alias is a convenience: a name that is taken does no harm. */
	if (params->alias != NULL)
		(void)make_dev_alias_p(MAKEDEV_WAITOK | MAKEDEV_CHECKNAME,
		    &alias, c->dev, "%s", params->alias);
	*cdevp = c;
	return (0);
}

void
nvrs_cdev_destroy(struct nvrs_cdev *c)
{
	destroy_dev(c->dev);
	free(c, nvrs_malloc_type);
}

void
nvrs_cdev_drain(void)
{
	destroy_dev_drain(&nvrs_cdevsw);
	destroy_dev_drain(&nvrs_disk_cdevsw);
}

int
nvrs_bio_cmd(const struct nvrs_bio *bp)
{
	switch (((const struct bio *)bp)->bio_cmd) {
	case BIO_READ:
		return (NVRS_BIO_READ);
	case BIO_WRITE:
		return (NVRS_BIO_WRITE);
	case BIO_FLUSH:
		return (NVRS_BIO_FLUSH);
	case BIO_DELETE:
		return (NVRS_BIO_DELETE);
	default:
		return (NVRS_BIO_OTHER);
	}
}

uint64_t
nvrs_bio_offset(const struct nvrs_bio *bp)
{
	return (((const struct bio *)bp)->bio_offset);
}

uint64_t
nvrs_bio_length(const struct nvrs_bio *bp)
{
	return (((const struct bio *)bp)->bio_bcount);
}

void
nvrs_bio_memdesc(struct nvrs_bio *bp, struct nvrs_memdesc *md)
{
	struct memdesc mem;

	mem = memdesc_bio((struct bio *)bp);
	memcpy(md, &mem, sizeof(mem));
}

void
nvrs_bio_done(struct nvrs_bio *arg, int error)
{
	struct bio *bp;

	bp = (struct bio *)arg;
	if (error != 0) {
		bp->bio_error = error;
		bp->bio_flags |= BIO_ERROR;
		bp->bio_resid = bp->bio_bcount;
	} else {
		bp->bio_resid = 0;
		bp->bio_completed = bp->bio_bcount;
	}
	biodone(bp);
}

struct nvrs_bio *
nvrs_bio_next(const struct nvrs_bio *bp)
{
	return (((const struct bio *)bp)->bio_driver1);
}

void
nvrs_bio_set_next(struct nvrs_bio *bp, struct nvrs_bio *next)
{
	((struct bio *)bp)->bio_driver1 = next;
}
