/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * ctl(4) as an NVMe front end sees it.  A port is known by the argument that
 * its callbacks get; a request carries two pointers of the front end.
 */
#ifndef _NVRS_CTL_H_
#define	_NVRS_CTL_H_

struct mbuf;
struct nvlist;
struct nvrs_ctl_port;
struct sbuf;
union ctl_io;

/* S: register a port, offline.  NULL with *error set on failure. */
struct nvrs_ctl_port *nvrs_ctl_port_create(uint32_t num_io, uint16_t portid,
	    const struct nvlist *options, void *arg, int *error);
int32_t	nvrs_ctl_port_number(const struct nvrs_ctl_port *p);	/* N */
/* S: take the port offline if it is online. */
void	nvrs_ctl_port_offline(struct nvrs_ctl_port *p);
/* S: the port is offline and has no request outstanding. */
void	nvrs_ctl_port_destroy(struct nvrs_ctl_port *p);

/*
 * S: submit a command (64 bytes).  Unless it fails, nvmft_rs_done() follows,
 * perhaps before this returns.  ENOENT: CTL cannot map such a LUN.
 */
int	nvrs_ctl_submit(struct nvrs_ctl_port *p, bool admin, uint32_t initid,
	    uint32_t lun, const void *sqe, void *priv0, void *priv1);
/* S: abort all that an initiator has outstanding; they complete as usual. */
int	nvrs_ctl_nexus_reset(struct nvrs_ctl_port *p, uint32_t initid);

/* What a request carries. */
void	*nvrs_ctl_io_priv(const union ctl_io *io, int which);	/* N */
const uint8_t *nvrs_ctl_io_sqe(const union ctl_io *io);	/* N */
/* A link for lists while a data move is with us. */
union ctl_io *nvrs_ctl_io_next(const union ctl_io *io);	/* N */
void	nvrs_ctl_io_set_next(union ctl_io *io, union ctl_io *next);	/* N */

/* One data move. */
struct nvrs_ctl_move {
	uint32_t	offset;		/* within the command's data */
	uint32_t	len;
	uint32_t	total;		/* of the whole command */
	bool		to_host;
	bool		admin;
};
void	nvrs_ctl_move_get(const union ctl_io *io, struct nvrs_ctl_move *mv);
/* N if flags say so: the data as a chain, by reference where CTL allows it. */
struct mbuf *nvrs_ctl_move_mbufs(union ctl_io *io, int flags);
/* N: a flat buffer of the move, or NULL if there is none. */
uint8_t	*nvrs_ctl_move_buffer(union ctl_io *io);
void	nvrs_ctl_move_memdesc(union ctl_io *io, struct nvrs_memdesc *md); /* N */
/* N: bytes arrived from the host; not all of them. */
void	nvrs_ctl_move_received(union ctl_io *io, uint32_t len);
/* N: the command fails with a generic status code. */
void	nvrs_ctl_move_fail(union ctl_io *io, uint8_t sc);
void	nvrs_ctl_move_abort(union ctl_io *io);			/* N */
void	nvrs_ctl_move_success_sent(union ctl_io *io);		/* N */
/* The move is over.  N if samethr is false, else S. */
void	nvrs_ctl_move_done(union ctl_io *io, bool samethr);

/* A completed request: its CQE (16 bytes).  False: the host has it already. */
bool	nvrs_ctl_done_result(const union ctl_io *io, void *cqe);	/* N */
void	nvrs_ctl_io_free(union ctl_io *io);			/* N */

/* N: this thread is one that may sleep. */
bool	nvrs_can_sleep(void);
/* N: false when it did not fit. */
bool	nvrs_sbuf_cat(struct sbuf *sb, const char *s, size_t len);
/* N: the operating system's name and release. */
void	nvrs_os_names(const char **type, const char **release);
uint32_t nvrs_page_size(void);					/* N */

/*
 * What the front end provides.  The text of an error goes to err, which has
 * room for errlen bytes with the NUL.
 */
int	nvmft_rs_load(void);					/* S */
int	nvmft_rs_unload(void);					/* S: EBUSY with ports */
bool	nvmft_rs_port_create(const struct nvlist *args, uint64_t hostid,
	    int32_t *number, char *err, size_t errlen);		/* S */
bool	nvmft_rs_port_remove(const struct nvlist *args, char *err,
	    size_t errlen);					/* S */
bool	nvmft_rs_handoff(const struct nvlist *args, char *err, size_t errlen); /* S */
/* S: the length with the NUL, or zero if that does not fit. */
uint32_t nvmft_rs_list(char *buf, uint32_t len);
/* S: how many associations end; all, else by id unless negative, else by name. */
uint32_t nvmft_rs_terminate(bool all, int cntlid, const char *hostnqn,
	    size_t len);
void	nvmft_rs_port_online(void *arg);			/* S */
void	nvmft_rs_port_offline(void *arg);			/* S */
int	nvmft_rs_port_info(void *arg, struct sbuf *sb);		/* N */
int	nvmft_rs_lun_enable(void *arg, uint32_t lun);		/* S */
int	nvmft_rs_lun_disable(void *arg, uint32_t lun);		/* S */
void	nvmft_rs_datamove(union ctl_io *io);			/* N */
void	nvmft_rs_done(union ctl_io *io);			/* S */

#endif /* !_NVRS_CTL_H_ */
