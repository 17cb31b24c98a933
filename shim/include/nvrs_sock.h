/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * A TCP connection taken over from userland: a socket with upcalls, one
 * thread that waits to receive and one that waits to send.
 */
#ifndef _NVRS_SOCK_H_
#define	_NVRS_SOCK_H_

struct mbuf;
struct nvrs_conn;

/*
 * S: take the socket behind a descriptor of the calling thread away from its
 * file.  EBADF, ENOTSOCK, EINVAL (not a stream TCP socket, or listening) or
 * ENOTCONN leave the descriptor as it was.  Afterwards every descriptor of
 * that file is dead and the connection belongs to the caller.
 */
int	nvrs_conn_steal(int fd, struct nvrs_conn **connp);
/* S: TCP_NODELAY, keep-alive probes, buffer sizes in bytes (best effort). */
void	nvrs_conn_tune(struct nvrs_conn *c, uint32_t sndbuf, uint32_t rcvbuf);
/*
 * S: close; with abort the peer gets a reset and unsent data is dropped.
 * No thread may be in a call on c.
 */
void	nvrs_conn_close(struct nvrs_conn *c, bool abort);

/*
 * S: wait until lowat bytes can be received, the peer closed, the socket
 * failed (then *error is set) or nvrs_conn_kick_rx() was called; also returns
 * after ms milliseconds unless that is zero, and when the alarm goes off.
 */
struct nvrs_rxstate {
	uint32_t	avail;	/* bytes that can be received */
	int32_t		error;	/* the socket's error, or zero */
	bool		eof;	/* nothing will follow avail */
	bool		kicked;
	bool		timedout;	/* or the alarm went off */
};
void	nvrs_conn_rx_wait(struct nvrs_conn *c, uint32_t lowat, uint32_t ms,
	    struct nvrs_rxstate *st);
/*
 * N: set the alarm to us microseconds from now, or with zero stop it.  From a
 * millisecond on it is as coarse as the clock's ticks.
 */
void	nvrs_conn_rx_alarm(struct nvrs_conn *c, uint32_t us);
void	nvrs_conn_kick_rx(struct nvrs_conn *c);			/* N, sticky until seen */
/* Receiving thread: up to max bytes, without waiting.  *mp NULL: none. */
int	nvrs_conn_receive(struct nvrs_conn *c, uint32_t max, struct mbuf **mp,
	    uint32_t *len);

/* N: bytes that a send takes at once; all ones when the buffer is empty. */
uint32_t nvrs_conn_tx_space(struct nvrs_conn *c, bool *empty);
/*
 * N, one caller at a time: queue a chain of at most tx_space bytes.  The
 * chain is consumed also on failure.
 */
int	nvrs_conn_send(struct nvrs_conn *c, struct mbuf *m, bool more);
/*
 * S: wait for space bytes of room (or an empty buffer, if that is less), a
 * failed socket, a kick, or ms milliseconds.  False when time ran out.
 */
bool	nvrs_conn_tx_wait(struct nvrs_conn *c, uint32_t space, uint32_t ms);
/* S: wait until all that was sent is acknowledged.  False: it is not. */
bool	nvrs_conn_tx_flush(struct nvrs_conn *c, uint32_t ms);
void	nvrs_conn_kick_tx(struct nvrs_conn *c);			/* N, sticky until seen */
/* S: no more data will be sent (FIN) or received. */
void	nvrs_conn_shutdown(struct nvrs_conn *c);
/* Address family and text of the peer's address, for messages. */
int	nvrs_conn_peer(struct nvrs_conn *c, char *buf, size_t len);	/* S */

#endif /* !_NVRS_SOCK_H_ */
