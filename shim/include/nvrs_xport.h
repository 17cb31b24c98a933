/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * The binary interface of nvmf_transport.ko, shared with transports, hosts and
 * controllers written in C: layouts must not change.
 */
#ifndef _NVRS_XPORT_H_
#define	_NVRS_XPORT_H_

struct mbuf;
struct module;
struct nvlist;
struct nvmf_transport;
struct nvmf_capsule;
struct nvmf_qpair;

typedef void nvrs_qpair_error_t(void *, int);
typedef void nvrs_capsule_receive_t(void *, struct nvmf_capsule *);
typedef void nvrs_io_complete_t(void *, size_t, int);

struct nvmf_io_request {
	struct nvrs_memdesc	 io_mem;
	size_t			 io_len;
	nvrs_io_complete_t	*io_complete;
	void			*io_complete_arg;
};

struct nvmf_capsule {
	struct nvmf_qpair	*nc_qpair;
	uint8_t			 nc_qe[64];
	int			 nc_qe_len;	/* 64: command, 16: response */
	bool			 nc_sqhd_valid;
	bool			 nc_send_data;
	struct nvmf_io_request	 nc_data;	/* io_len 0: none */
};

struct nvmf_transport_ops {
	struct nvmf_qpair *(*allocate_qpair)(bool, const struct nvlist *);
	void	(*free_qpair)(struct nvmf_qpair *);
	struct nvmf_capsule *(*allocate_capsule)(struct nvmf_qpair *, int);
	void	(*free_capsule)(struct nvmf_capsule *);
	int	(*transmit_capsule)(struct nvmf_capsule *);
	uint8_t	(*validate_command_capsule)(struct nvmf_capsule *);
	size_t	(*capsule_data_len)(const struct nvmf_capsule *);
	int	(*receive_controller_data)(struct nvmf_capsule *, uint32_t,
		    struct nvmf_io_request *);
	uint32_t (*send_controller_data)(struct nvmf_capsule *, uint32_t,
		    struct mbuf *, size_t);
	uint32_t trtype;
	int	priority;
};

struct nvmf_qpair {
	struct nvmf_transport	*nq_transport;
	struct nvmf_transport_ops *nq_ops;
	bool			 nq_controller;
	nvrs_capsule_receive_t	*nq_receive;
	void			*nq_receive_arg;
	nvrs_qpair_error_t	*nq_error;
	void			*nq_error_arg;
	bool			 nq_admin;
};

/* Malloc flags of malloc(9) as they cross this interface. */
#define	NVRS_M_NOWAIT	1
#define	NVRS_M_WAITOK	2

/* Results of nvmf_send_controller_data() beside status codes. */
#define	NVRS_SUCCESS_SENT	0x100
#define	NVRS_MORE		0x101

struct nvmf_qpair *nvmf_allocate_qpair(uint32_t trtype, bool controller,
	    const struct nvlist *params, nvrs_qpair_error_t *error_cb,
	    void *error_arg, nvrs_capsule_receive_t *receive_cb,
	    void *receive_arg);
void	nvmf_free_qpair(struct nvmf_qpair *qp);
struct nvmf_capsule *nvmf_allocate_command(struct nvmf_qpair *qp,
	    const void *sqe, int how);
struct nvmf_capsule *nvmf_allocate_response(struct nvmf_qpair *qp,
	    const void *cqe, int how);
void	nvmf_free_capsule(struct nvmf_capsule *nc);
int	nvmf_capsule_append_data(struct nvmf_capsule *nc,
	    struct nvrs_memdesc *mem, size_t len, bool send,
	    nvrs_io_complete_t *complete_cb, void *cb_arg);
int	nvmf_transmit_capsule(struct nvmf_capsule *nc);
void	nvmf_abort_capsule_data(struct nvmf_capsule *nc, int error);
void	*nvmf_capsule_sqe(struct nvmf_capsule *nc);
void	*nvmf_capsule_cqe(struct nvmf_capsule *nc);
bool	nvmf_sqhd_valid(struct nvmf_capsule *nc);
uint8_t	nvmf_validate_command_capsule(struct nvmf_capsule *nc);
size_t	nvmf_capsule_data_len(const struct nvmf_capsule *nc);
int	nvmf_receive_controller_data(struct nvmf_capsule *nc,
	    uint32_t data_offset, struct nvrs_memdesc *mem, size_t len,
	    nvrs_io_complete_t *complete_cb, void *cb_arg);
uint32_t nvmf_send_controller_data(struct nvmf_capsule *nc,
	    uint32_t data_offset, struct mbuf *m, size_t len);

struct nvmf_ioc_nv;
int	nvmf_pack_ioc_nvlist(const struct nvlist *nvl, struct nvmf_ioc_nv *nv);
int	nvmf_unpack_ioc_nvlist(const struct nvmf_ioc_nv *nv,
	    struct nvlist **nvlp);
bool	nvmf_validate_qpair_nvlist(const struct nvlist *nvl, bool controller);
int	nvmf_transport_module_handler(struct module *mod, int what, void *arg);

#endif /* !_NVRS_XPORT_H_ */
