/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for cam/ctl/ctl_io.h, used when no source tree is at hand: the
 * request that CTL and a front end pass to each other, as far as an NVMe front
 * end looks into it.  What it leaves alone is padding of the right size.
 */

#ifndef _NVRS_STUB_CTL_IO_H_
#define	_NVRS_STUB_CTL_IO_H_

#include <sys/queue.h>
#include <cam/scsi/scsi_all.h>
#include <dev/nvme/nvme.h>

typedef enum {
	CTL_STATUS_NONE = 0,
	CTL_SUCCESS = 1,
	CTL_ERROR = 4,
	CTL_SCSI_ERROR = 5,
	CTL_NVME_ERROR = 6,
	CTL_CMD_ABORTED = 7,
	CTL_STATUS_MASK = 0xfff,
} ctl_io_status;

typedef enum {
	CTL_FLAG_NONE = 0x00000000,
	CTL_FLAG_DATA_IN = 0x00000001,
	CTL_FLAG_DATA_OUT = 0x00000002,
	CTL_FLAG_DATA_NONE = 0x00000003,
	CTL_FLAG_DATA_MASK = 0x00000003,
	CTL_FLAG_USER_TAG = 0x00000020,
	CTL_FLAG_ABORT_STATUS = 0x00000400,
	CTL_FLAG_ABORT = 0x00000800,
	CTL_FLAG_STATUS_SENT = 0x10000000,
} ctl_io_flags;

union ctl_priv {
	uint8_t		bytes[16];
	uint64_t	integer;
	uint64_t	integers[2];
	void		*ptr;
	void		*ptrs[2];
};

#define	CTL_NUM_PRIV		6
#define	CTL_PRIV_FRONTEND	4
#define	CTL_PRIV_FRONTEND2	5

struct ctl_sg_entry {
	void	*addr;
	size_t	len;
};

typedef enum {
	CTL_IO_NONE,
	CTL_IO_SCSI,
	CTL_IO_TASK,
	CTL_IO_NVME,
	CTL_IO_NVME_ADMIN,
} ctl_io_type;

struct ctl_nexus {
	uint32_t	initid;
	uint32_t	targ_port;
	uint32_t	targ_lun;
	uint32_t	targ_mapped_lun;
};

struct ctl_io_hdr {
	uint32_t	 version;
	ctl_io_type	 io_type;
	uint32_t	 msg_type;
	struct ctl_nexus nexus;
	uint32_t	 iid_indx;
	uint32_t	 flags;
	uint32_t	 status;
	uint32_t	 port_status;
	uint32_t	 timeout;
	uint32_t	 retries;
	uint64_t	 nvrs_times[7];		/* CTL's own time stamps */
	uint32_t	 num_dmas;
	union ctl_io	*remote_io;
	union ctl_io	*blocker;
	void		*pool;
	union ctl_priv	 ctl_private[CTL_NUM_PRIV];
	void		*nvrs_blocked_queue[2];
	STAILQ_ENTRY(ctl_io_hdr) links;
	void		*nvrs_queues[4];	/* CTL's own queues */
};

typedef enum {
	CTL_TAG_UNTAGGED,
	CTL_TAG_SIMPLE,
} ctl_tag_type;

typedef enum {
	CTL_TASK_ABORT_TASK = 0,
	CTL_TASK_ABORT_TASK_SET = 1,
	CTL_TASK_I_T_NEXUS_RESET = 4,
} ctl_task_type;

struct ctl_taskio {
	struct ctl_io_hdr io_hdr;
	ctl_task_type	 task_action;
	uint64_t	 tag_num;
	ctl_tag_type	 tag_type;
	uint8_t		 task_status;
	uint8_t		 task_resp[3];
};

typedef void (*ctl_ref)(void *arg, int diff);
typedef int (*ctl_be_move_done_t)(union ctl_io *io, bool samethr);
typedef int (*ctl_io_cont)(union ctl_io *io);

struct ctl_nvmeio {
	struct ctl_io_hdr io_hdr;

	/* Scratch of the front end. */
	uint32_t	 ext_sg_entries;
	uint8_t		*ext_data_ptr;
	uint32_t	 ext_data_len;
	uint32_t	 ext_data_filled;

	/* The data move that CTL asks for. */
	uint32_t	 kern_sg_entries;
	uint8_t		*kern_data_ptr;
	uint32_t	 kern_data_len;
	uint32_t	 kern_total_len;
	uint32_t	 kern_data_resid;
	uint32_t	 kern_rel_offset;

	struct nvme_command cmd;
	struct nvme_completion cpl;
	bool		 success_sent;
	ctl_be_move_done_t be_move_done;
	ctl_io_cont	 io_cont;
	ctl_ref		 kern_data_ref;
	void		*kern_data_arg;
};

union ctl_io {
	struct ctl_io_hdr io_hdr;
	struct ctl_taskio taskio;
	struct ctl_nvmeio nvmeio;
	uint8_t		 nvrs_largest[688];	/* SCSI requests are larger */
};

static __inline uint32_t
ctl_kern_sg_entries(union ctl_io *io)
{
	return (io->nvmeio.kern_sg_entries);
}

static __inline uint8_t *
ctl_kern_data_ptr(union ctl_io *io)
{
	return (io->nvmeio.kern_data_ptr);
}

static __inline uint32_t
ctl_kern_data_len(union ctl_io *io)
{
	return (io->nvmeio.kern_data_len);
}

static __inline uint32_t
ctl_kern_total_len(union ctl_io *io)
{
	return (io->nvmeio.kern_total_len);
}

static __inline uint32_t
ctl_kern_data_resid(union ctl_io *io)
{
	return (io->nvmeio.kern_data_resid);
}

static __inline uint32_t
ctl_kern_rel_offset(union ctl_io *io)
{
	return (io->nvmeio.kern_rel_offset);
}

static __inline void
ctl_set_kern_data_resid(union ctl_io *io, uint32_t resid)
{
	io->nvmeio.kern_data_resid = resid;
}

static __inline void
ctl_set_be_move_done(union ctl_io *io, ctl_be_move_done_t be_move_done)
{
	io->nvmeio.be_move_done = be_move_done;
}

union ctl_io *ctl_alloc_io(void *pool_ref);
union ctl_io *ctl_alloc_io_nowait(void *pool_ref);
void	ctl_free_io(union ctl_io *io);
void	ctl_zero_io(union ctl_io *io);

#endif /* !_NVRS_STUB_CTL_IO_H_ */
