/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * What the shim takes for granted about the kernel's structures.  Compiled
 * against the stand-in headers and, where there is a source tree, against the
 * real ones: a structure that moved breaks the build and not the data.  No
 * code comes out of this file.
 */

#include <sys/param.h>
#include <sys/systm.h>
#include <sys/kernel.h>
#include <sys/bio.h>
#include <sys/bus.h>
#include <sys/condvar.h>
#include <sys/conf.h>
#include <sys/file.h>
#include <sys/lock.h>
#include <sys/malloc.h>
#include <sys/mbuf.h>
#include <sys/memdesc.h>
#include <sys/module.h>
#include <sys/mutex.h>
#include <sys/protosw.h>
#include <sys/socket.h>
#include <sys/socketvar.h>
#include <sys/sx.h>
#include <sys/sysctl.h>
#include <sys/taskqueue.h>

#include <cam/cam.h>
#include <cam/cam_ccb.h>
#include <cam/cam_sim.h>
#include <cam/ctl/ctl_io.h>
#include <cam/ctl/ctl.h>
#include <cam/ctl/ctl_ioctl.h>
#include <cam/ctl/ctl_frontend.h>
#include <cam/ctl/ctl_error.h>

#define	SIZE(type, size)	_Static_assert(sizeof(type) == (size), #type)
#define	OFFSET(type, field, offset)					\
	_Static_assert(offsetof(type, field) == (offset), #type "." #field)
#define	VALUE(name, value)	_Static_assert((name) == (value), #name)

/* Locks, sleeping, timers: objects of ours are made of these. */
SIZE(struct mtx, 32);
SIZE(struct sx, 32);
SIZE(struct cv, 16);
SIZE(struct callout, 64);
SIZE(struct task, 32);
SIZE(struct timeout_task, 112);

/* Buffers and sockets. */
SIZE(struct mbuf, 256);
OFFSET(struct mbuf, m_pkthdr, 32);
OFFSET(struct mbuf, m_ext, 96);
SIZE(struct memdesc, 24);
SIZE(struct sockbuf, 208);
SIZE(struct socket, 1024);
OFFSET(struct socket, so_rcv, 512);
OFFSET(struct socket, so_snd, 720);
SIZE(struct file, 80);
OFFSET(struct file, f_data, 8);
OFFSET(struct file, f_ops, 16);

/* Devices, CAM and modules. */
OFFSET(struct bio, bio_dev, 8);
OFFSET(struct bio, bio_offset, 24);
OFFSET(struct bio, bio_data, 40);
OFFSET(struct bio, bio_error, 64);
OFFSET(struct bio, bio_resid, 72);
OFFSET(struct bio, bio_driver1, 88);
OFFSET(struct bio, bio_queue, 120);
SIZE(struct cdevsw, 184);
SIZE(struct make_dev_args, 64);
SIZE(struct sysctl_oid, 112);
SIZE(struct malloc_type, 112);
SIZE(driver_t, 48);
SIZE(union ccb, 1248);
SIZE(struct ccb_hdr, 200);
SIZE(struct ccb_nvmeio, 304);
OFFSET(struct ccb_nvmeio, cmd, 208);
OFFSET(struct ccb_nvmeio, cpl, 272);
OFFSET(struct ccb_nvmeio, data_ptr, 288);
OFFSET(struct ccb_nvmeio, dxfer_len, 296);
SIZE(struct ccb_pathinq, 464);
SIZE(struct ccb_trans_settings, 320);
SIZE(moduledata_t, 24);

/* CTL: the request. */
SIZE(union ctl_io, 688);
SIZE(struct ctl_io_hdr, 296);
OFFSET(struct ctl_io_hdr, io_type, 4);
OFFSET(struct ctl_io_hdr, msg_type, 8);
OFFSET(struct ctl_io_hdr, nexus, 12);
SIZE(struct ctl_nexus, 16);
OFFSET(struct ctl_nexus, initid, 0);
OFFSET(struct ctl_nexus, targ_port, 4);
OFFSET(struct ctl_nexus, targ_lun, 8);
OFFSET(struct ctl_nexus, targ_mapped_lun, 12);
OFFSET(struct ctl_io_hdr, iid_indx, 28);
OFFSET(struct ctl_io_hdr, flags, 32);
OFFSET(struct ctl_io_hdr, status, 36);
OFFSET(struct ctl_io_hdr, port_status, 40);
OFFSET(struct ctl_io_hdr, timeout, 44);
OFFSET(struct ctl_io_hdr, retries, 48);
OFFSET(struct ctl_io_hdr, num_dmas, 112);
OFFSET(struct ctl_io_hdr, remote_io, 120);
OFFSET(struct ctl_io_hdr, blocker, 128);
OFFSET(struct ctl_io_hdr, pool, 136);
OFFSET(struct ctl_io_hdr, ctl_private, 144);
SIZE(union ctl_priv, 16);
OFFSET(struct ctl_io_hdr, links, 256);
SIZE(struct ctl_taskio, 320);
OFFSET(struct ctl_taskio, task_action, 296);
OFFSET(struct ctl_taskio, tag_num, 304);
OFFSET(struct ctl_taskio, tag_type, 312);
OFFSET(struct ctl_taskio, task_status, 316);
SIZE(struct ctl_nvmeio, 472);
OFFSET(struct ctl_nvmeio, ext_sg_entries, 296);
OFFSET(struct ctl_nvmeio, ext_data_ptr, 304);
OFFSET(struct ctl_nvmeio, ext_data_len, 312);
OFFSET(struct ctl_nvmeio, ext_data_filled, 316);
OFFSET(struct ctl_nvmeio, kern_sg_entries, 320);
OFFSET(struct ctl_nvmeio, kern_data_ptr, 328);
OFFSET(struct ctl_nvmeio, kern_data_len, 336);
OFFSET(struct ctl_nvmeio, kern_total_len, 340);
OFFSET(struct ctl_nvmeio, kern_data_resid, 344);
OFFSET(struct ctl_nvmeio, kern_rel_offset, 348);
OFFSET(struct ctl_nvmeio, cmd, 352);
OFFSET(struct ctl_nvmeio, cpl, 416);
OFFSET(struct ctl_nvmeio, success_sent, 432);
OFFSET(struct ctl_nvmeio, be_move_done, 440);
OFFSET(struct ctl_nvmeio, io_cont, 448);
OFFSET(struct ctl_nvmeio, kern_data_ref, 456);
OFFSET(struct ctl_nvmeio, kern_data_arg, 464);
SIZE(struct ctl_sg_entry, 16);
OFFSET(struct ctl_sg_entry, len, 8);

/* CTL: the port and the front end. */
SIZE(struct ctl_port, 440);
OFFSET(struct ctl_port, frontend, 8);
OFFSET(struct ctl_port, port_type, 16);
OFFSET(struct ctl_port, num_requested_ctl_io, 20);
OFFSET(struct ctl_port, port_name, 24);
OFFSET(struct ctl_port, physical_port, 32);
OFFSET(struct ctl_port, virtual_port, 36);
OFFSET(struct ctl_port, port_online, 40);
OFFSET(struct ctl_port, port_offline, 48);
OFFSET(struct ctl_port, port_info, 56);
OFFSET(struct ctl_port, onoff_arg, 64);
OFFSET(struct ctl_port, lun_enable, 72);
OFFSET(struct ctl_port, lun_disable, 80);
OFFSET(struct ctl_port, lun_map_size, 88);
OFFSET(struct ctl_port, lun_map, 96);
OFFSET(struct ctl_port, targ_lun_arg, 104);
OFFSET(struct ctl_port, fe_datamove, 112);
OFFSET(struct ctl_port, fe_done, 120);
OFFSET(struct ctl_port, targ_port, 128);
OFFSET(struct ctl_port, ctl_pool_ref, 136);
OFFSET(struct ctl_port, max_initiators, 144);
OFFSET(struct ctl_port, wwnn, 160);
OFFSET(struct ctl_port, wwpn, 168);
OFFSET(struct ctl_port, status, 176);
OFFSET(struct ctl_port, options, 184);
OFFSET(struct ctl_port, port_devid, 192);
OFFSET(struct ctl_port, target_devid, 200);
OFFSET(struct ctl_port, init_devid, 208);
SIZE(struct ctl_io_stats, 176);
OFFSET(struct ctl_port, stats, 216);
OFFSET(struct ctl_port, port_lock, 392);
OFFSET(struct ctl_port, fe_links, 424);
OFFSET(struct ctl_port, links, 432);
SIZE(struct ctl_frontend, 88);
OFFSET(struct ctl_frontend, init, 32);
OFFSET(struct ctl_frontend, ioctl, 40);
OFFSET(struct ctl_frontend, fe_dump, 48);
OFFSET(struct ctl_frontend, shutdown, 56);
OFFSET(struct ctl_frontend, port_list, 64);
OFFSET(struct ctl_frontend, links, 80);

/* CTL: the ioctls. */
SIZE(struct ctl_req, 256);
OFFSET(struct ctl_req, driver, 0);
OFFSET(struct ctl_req, reqtype, 32);
OFFSET(struct ctl_req, args, 40);
OFFSET(struct ctl_req, args_nvl, 48);
OFFSET(struct ctl_req, args_len, 56);
OFFSET(struct ctl_req, result, 64);
OFFSET(struct ctl_req, result_nvl, 72);
OFFSET(struct ctl_req, result_len, 80);
OFFSET(struct ctl_req, status, 88);
OFFSET(struct ctl_req, error_str, 92);
SIZE(struct ctl_nvmf, 456);
OFFSET(struct ctl_nvmf, type, 0);
OFFSET(struct ctl_nvmf, data, 8);
OFFSET(struct ctl_nvmf, status, 288);
OFFSET(struct ctl_nvmf, error_str, 292);
SIZE(struct ctl_nvmf_list_params, 40);
OFFSET(struct ctl_nvmf_list_params, conn_xml, 8);
OFFSET(struct ctl_nvmf_list_params, fill_len, 16);
SIZE(struct ctl_nvmf_terminate_params, 280);
OFFSET(struct ctl_nvmf_terminate_params, hostnqn, 4);
VALUE(CTL_PORT_REQ, 0xc100e126ul);
VALUE(CTL_NVMF, 0xc1c8e12bul);

/* CTL: the constants. */
VALUE(CTL_PORT_NVMF, 0x80);
VALUE(CTL_IO_NONE, 0);
VALUE(CTL_IO_SCSI, 1);
VALUE(CTL_IO_TASK, 2);
VALUE(CTL_IO_NVME, 3);
VALUE(CTL_IO_NVME_ADMIN, 4);
VALUE(CTL_STATUS_NONE, 0);
VALUE(CTL_SUCCESS, 1);
VALUE(CTL_ERROR, 4);
VALUE(CTL_SCSI_ERROR, 5);
VALUE(CTL_NVME_ERROR, 6);
VALUE(CTL_CMD_ABORTED, 7);
VALUE(CTL_STATUS_MASK, 0xfff);
VALUE(CTL_FLAG_NONE, 0);
VALUE(CTL_FLAG_DATA_IN, 1);
VALUE(CTL_FLAG_DATA_OUT, 2);
VALUE(CTL_FLAG_DATA_NONE, 3);
VALUE(CTL_FLAG_DATA_MASK, 3);
VALUE(CTL_FLAG_USER_TAG, 0x20);
VALUE(CTL_FLAG_ABORT_STATUS, 0x400);
VALUE(CTL_FLAG_ABORT, 0x800);
VALUE(CTL_FLAG_STATUS_SENT, 0x10000000);
VALUE(CTL_NUM_PRIV, 6);
VALUE(CTL_PRIV_FRONTEND, 4);
VALUE(CTL_PRIV_FRONTEND2, 5);
VALUE(CTL_TAG_UNTAGGED, 0);
VALUE(CTL_TAG_SIMPLE, 1);
VALUE(CTL_TASK_ABORT_TASK, 0);
VALUE(CTL_TASK_ABORT_TASK_SET, 1);
VALUE(CTL_TASK_I_T_NEXUS_RESET, 4);
VALUE(CTL_MAX_INIT_PER_PORT, 2048);
VALUE(CTL_MAX_ARGS_LEN, 1024 * 1024);
VALUE(CTL_DRIVER_NAME_LEN, 32);
VALUE(CTL_ERROR_STR_LEN, 160);
VALUE(CTL_PORT_STATUS_NONE, 0);
VALUE(CTL_PORT_STATUS_ONLINE, 1);
VALUE(CTL_PORT_STATUS_HA_SHARED, 2);
VALUE(CTL_LUN_NOSTATUS, 0);
VALUE(CTL_LUN_OK, 1);
VALUE(CTL_LUN_ERROR, 2);
VALUE(CTL_LUN_WARNING, 3);
VALUE(CTL_REQ_CREATE, 0);
VALUE(CTL_REQ_REMOVE, 1);
VALUE(CTL_REQ_MODIFY, 2);
VALUE(CTL_NVMF_OK, 0);
VALUE(CTL_NVMF_ERROR, 1);
VALUE(CTL_NVMF_LIST_NEED_MORE_SPACE, 2);
VALUE(CTL_NVMF_ASSOCIATION_NOT_FOUND, 3);
VALUE(CTL_NVMF_HANDOFF, 0);
VALUE(CTL_NVMF_LIST, 1);
VALUE(CTL_NVMF_TERMINATE, 2);

/* Same types of the functions, not just the same names. */
#define	FUNCTION(name, type)						\
	_Static_assert(__builtin_types_compatible_p(__typeof(&name),	\
	    __typeof(type)), #name)
FUNCTION(ctl_sbuf_printf_esc, int (*)(struct sbuf *, char *, int));
FUNCTION(ctl_datamove_done, void (*)(union ctl_io *, bool));
FUNCTION(ctl_done, void (*)(union ctl_io *));
FUNCTION(ctl_alloc_io, union ctl_io *(*)(void *));
FUNCTION(ctl_alloc_io_nowait, union ctl_io *(*)(void *));
FUNCTION(ctl_free_io, void (*)(union ctl_io *));
FUNCTION(ctl_zero_io, void (*)(union ctl_io *));
FUNCTION(ctl_frontend_register, int (*)(struct ctl_frontend *));
FUNCTION(ctl_frontend_deregister, int (*)(struct ctl_frontend *));
FUNCTION(ctl_port_register, int (*)(struct ctl_port *));
FUNCTION(ctl_port_deregister, int (*)(struct ctl_port *));
FUNCTION(ctl_port_online, void (*)(struct ctl_port *));
FUNCTION(ctl_port_offline, void (*)(struct ctl_port *));
FUNCTION(ctl_queue, int (*)(union ctl_io *));
FUNCTION(ctl_run, int (*)(union ctl_io *));
FUNCTION(ctl_add_initiator, int (*)(struct ctl_port *, int, uint64_t, char *));
FUNCTION(ctl_remove_initiator, int (*)(struct ctl_port *, int));
FUNCTION(ctl_nvme_set_error, void (*)(struct ctl_nvmeio *, uint8_t, uint8_t));
FUNCTION(ctl_nvme_set_generic_error, void (*)(struct ctl_nvmeio *, uint8_t));
FUNCTION(ctl_nvme_set_invalid_opcode, void (*)(struct ctl_nvmeio *));
FUNCTION(ctl_nvme_set_invalid_field, void (*)(struct ctl_nvmeio *));
FUNCTION(ctl_nvme_set_data_transfer_error, void (*)(struct ctl_nvmeio *));
FUNCTION(ctl_nvme_set_internal_error, void (*)(struct ctl_nvmeio *));
FUNCTION(ctl_nvme_set_invalid_namespace, void (*)(struct ctl_nvmeio *));
FUNCTION(ctl_nvme_set_command_aborted, void (*)(struct ctl_nvmeio *));
FUNCTION(ctl_nvme_set_success, void (*)(struct ctl_nvmeio *));
