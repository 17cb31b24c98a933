/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* A TCP connection taken over from userland: see nvrs_sock.h. */

#include "kpi_private.h"

#include <sys/capsicum.h>
#include <sys/condvar.h>
#include <sys/file.h>
#include <sys/mbuf.h>
#include <sys/proc.h>
#include <sys/protosw.h>
#include <sys/sched.h>
#include <sys/socket.h>
#include <sys/socketvar.h>
#include <sys/sockopt.h>
#include <sys/uio.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

/*
 * The fields of each direction are protected by that direction's socket
 * buffer lock, which the upcalls hold.
 */
struct nvrs_conn {
	struct socket	*so;

	struct cv	rx_cv;
	uint32_t	rx_lowat;
	bool		rx_waiting;
	bool		rx_kicked;
	bool		rx_alarmed;
	struct callout	rx_alarm;
	uint32_t	rx_untold;	/* taken since TCP was told */
	u_int		rx_cpu;		/* where data arrived last */
	bool		rx_bound;	/* the receiver, to a CPU */
	int		rx_votes;	/* for moving the receiver there */

	struct cv	tx_cv;
	uint32_t	tx_space;
	bool		tx_waiting;
	bool		tx_kicked;
};

/* Wakeups until a receiver moves, busy rounds until it is let go. */
#define	NVRS_RX_VOTES	16
#define	NVRS_RX_BUSY	64

static bool
nvrs_rx_ready(struct nvrs_conn *c)
{
	struct socket *so = c->so;

	return (sbavail(&so->so_rcv) >= c->rx_lowat || c->rx_kicked ||
	    c->rx_alarmed || so->so_error != 0 || so->so_rerror != 0 ||
	    (so->so_rcv.sb_state & SBS_CANTRCVMORE) != 0);
}

/* Empty counts as room: a buffer may be smaller than what is asked for. */
static bool
nvrs_tx_ready(struct nvrs_conn *c)
{
	struct socket *so = c->so;
	long space = sbspace(&so->so_snd);

	return ((space > 0 && (unsigned long)space >= c->tx_space) ||
	    sbused(&so->so_snd) == 0 || c->tx_kicked || so->so_error != 0 ||
	    (so->so_snd.sb_state & SBS_CANTSENDMORE) != 0);
}

static int
nvrs_rx_upcall(struct socket *so __unused, void *arg, int flags __unused)
{
	struct nvrs_conn *c = arg;

	if (c->rx_waiting && nvrs_rx_ready(c)) {
		c->rx_waiting = false;
		c->rx_cpu = curcpu;
		cv_signal(&c->rx_cv);
	}
	return (SU_OK);
}

static int
nvrs_tx_upcall(struct socket *so __unused, void *arg, int flags __unused)
{
	struct nvrs_conn *c = arg;

	if (c->tx_waiting && nvrs_tx_ready(c)) {
		c->tx_waiting = false;
		cv_signal(&c->tx_cv);
	}
	return (SU_OK);
}

int
nvrs_conn_steal(int fd, struct nvrs_conn **connp)
{
	struct nvrs_conn *c;
	struct file *fp;
	struct socket *so;
	cap_rights_t rights;
	int error;

	c = nvrs_malloc(sizeof(*c), 8, NVRS_WAITOK | NVRS_ZERO);
	error = fget(curthread, fd,
	    cap_rights_init_one(&rights, CAP_SOCK_CLIENT), &fp);
	if (error != 0) {
		nvrs_free(c);
		return (error);
	}
	so = fp->f_data;
	if (fp->f_type != DTYPE_SOCKET || so == NULL)
		error = ENOTSOCK;
	else if (so->so_type != SOCK_STREAM ||
	    so->so_proto->pr_protocol != IPPROTO_TCP || SOLISTENING(so))
		error = EINVAL;
	else if ((so->so_state & SS_ISCONNECTED) == 0)
		error = ENOTCONN;
	if (error != 0) {
		fdrop(fp, curthread);
		nvrs_free(c);
		return (error);
	}

	/* With f_type cleared, socket calls on the file answer ENOTSOCK. */
	fp->f_type = DTYPE_NONE;
	fp->f_ops = &badfileops;
	fp->f_data = NULL;
	fdrop(fp, curthread);

	c->so = so;
	callout_init(&c->rx_alarm, 1);
	cv_init(&c->rx_cv, "nvtcprx");
	cv_init(&c->tx_cv, "nvtcptx");
	SOCK_RECVBUF_LOCK(so);
	soupcall_set(so, SO_RCV, nvrs_rx_upcall, c);
	SOCK_RECVBUF_UNLOCK(so);
	SOCK_SENDBUF_LOCK(so);
	soupcall_set(so, SO_SND, nvrs_tx_upcall, c);
	SOCK_SENDBUF_UNLOCK(so);
	*connp = c;
	return (0);
}

static void
nvrs_conn_setopt(struct nvrs_conn *c, int level, int name, int val)
{
	(void)so_setsockopt(c->so, level, name, &val, sizeof(val));
}

void
nvrs_conn_tune(struct nvrs_conn *c, uint32_t sndbuf, uint32_t rcvbuf)
{
	uint32_t snd, rcv;

	nvrs_conn_setopt(c, IPPROTO_TCP, TCP_NODELAY, 1);
	nvrs_conn_setopt(c, SOL_SOCKET, SO_KEEPALIVE, 1);

	/* Never shrink; the limit is kern.ipc.maxsockbuf. */
	snd = MAX(sndbuf, c->so->so_snd.sb_hiwat);
	rcv = MAX(rcvbuf, c->so->so_rcv.sb_hiwat);
	while (soreserve(c->so, snd, rcv) != 0 && snd > 65536 && rcv > 65536) {
		snd /= 2;
		rcv /= 2;
	}
}

void
nvrs_conn_close(struct nvrs_conn *c, bool abort)
{
	struct socket *so = c->so;
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	/* Nothing runs in an upcall once it is cleared under its lock. */
	SOCK_RECVBUF_LOCK(so);
	soupcall_clear(so, SO_RCV);
	SOCK_RECVBUF_UNLOCK(so);
	SOCK_SENDBUF_LOCK(so);
	soupcall_clear(so, SO_SND);
	SOCK_SENDBUF_UNLOCK(so);
	if (abort)
		(void)so_setsockopt(so, SOL_SOCKET, SO_LINGER, &linger,
		    sizeof(linger));
	callout_drain(&c->rx_alarm);
	(void)soclose(so);
	cv_destroy(&c->rx_cv);
	cv_destroy(&c->tx_cv);
	nvrs_free(c);
}

/*
 * A receiver that mostly sleeps follows the CPU that its segments arrive on:
 * waking it costs no interrupt to another CPU, and the data are in the cache.
 * One that is always busy is left to the scheduler.
 */
static void
nvrs_rx_follow(struct nvrs_conn *c, bool slept)
{
	struct thread *td = curthread;

	if (!slept) {
		if (c->rx_votes > -NVRS_RX_BUSY)
			c->rx_votes--;
		else if (c->rx_bound) {
			c->rx_bound = false;
			thread_lock(td);
			sched_unbind(td);
			thread_unlock(td);
		}
		return;
	}
	if (c->rx_votes < 0)
		c->rx_votes = 0;
	if (c->rx_bound && curcpu == c->rx_cpu) {
		c->rx_votes = 0;
		return;
	}
	if (++c->rx_votes < NVRS_RX_VOTES)
		return;
	c->rx_votes = 0;
	c->rx_bound = true;
	thread_lock(td);
	sched_bind(td, c->rx_cpu);
	thread_unlock(td);
}

void
nvrs_conn_rx_wait(struct nvrs_conn *c, uint32_t lowat, uint32_t ms,
    struct nvrs_rxstate *st)
{
	struct socket *so = c->so;
	bool slept = false;

	memset(st, 0, sizeof(*st));
	SOCK_RECVBUF_LOCK(so);
	/* More than the buffer takes would never come. */
	c->rx_lowat = MIN(lowat, MAX(so->so_rcv.sb_hiwat / 2, 1));
	while (!nvrs_rx_ready(c)) {
		c->rx_waiting = true;
		slept = true;
		if (ms == 0)
			cv_wait(&c->rx_cv, SOCK_RECVBUF_MTX(so));
		else if (cv_timedwait_sbt(&c->rx_cv, SOCK_RECVBUF_MTX(so),
		    SBT_1MS * ms, SBT_1MS, 0) == EWOULDBLOCK) {
			st->timedout = true;
			break;
		}
	}
	c->rx_waiting = false;
	st->avail = sbavail(&so->so_rcv);
	st->error = so->so_error != 0 ? so->so_error : so->so_rerror;
	st->eof = (so->so_rcv.sb_state & SBS_CANTRCVMORE) != 0;
	st->kicked = c->rx_kicked;
	c->rx_kicked = false;
	st->timedout |= c->rx_alarmed;
	c->rx_alarmed = false;
	SOCK_RECVBUF_UNLOCK(so);
	nvrs_rx_follow(c, slept);
}

static void
nvrs_rx_alarm(void *arg)
{
	struct nvrs_conn *c = arg;

	SOCK_RECVBUF_LOCK(c->so);
	c->rx_alarmed = true;
	cv_signal(&c->rx_cv);
	SOCK_RECVBUF_UNLOCK(c->so);
}

void
nvrs_conn_rx_alarm(struct nvrs_conn *c, uint32_t us)
{
	if (us >= 1000)
		callout_reset_sbt(&c->rx_alarm, SBT_1US * us, 0, nvrs_rx_alarm,
		    c, C_HARDCLOCK);
	else if (us != 0)
		callout_reset_sbt(&c->rx_alarm, SBT_1US * us, SBT_1US * us / 2,
		    nvrs_rx_alarm, c, 0);
	else
		callout_stop(&c->rx_alarm);
}

void
nvrs_conn_kick_rx(struct nvrs_conn *c)
{
	SOCK_RECVBUF_LOCK(c->so);
	c->rx_kicked = true;
	cv_signal(&c->rx_cv);
	SOCK_RECVBUF_UNLOCK(c->so);
}

int
nvrs_conn_receive(struct nvrs_conn *c, uint32_t max, struct mbuf **mp,
    uint32_t *len)
{
	struct uio uio;
	int error, flags;

	memset(&uio, 0, sizeof(uio));
	uio.uio_resid = max;
	/*
	 * What we send tells the peer how far the window has opened, so TCP
	 * need not look for a window update of its own each time.
	 */
	flags = MSG_DONTWAIT;
	if (c->rx_untold < c->so->so_rcv.sb_hiwat / 8)
		flags |= MSG_SOCALLBCK;
	else
		c->rx_untold = 0;
	*mp = NULL;
	error = soreceive(c->so, NULL, &uio, mp, NULL, &flags);
	*len = max - uio.uio_resid;
	c->rx_untold += *len;
	if (error != 0 && *mp != NULL) {
		m_freem(*mp);
		*mp = NULL;
	}
	return (error == EWOULDBLOCK ? 0 : error);
}

uint32_t
nvrs_conn_tx_space(struct nvrs_conn *c, bool *empty)
{
	long space;

	SOCK_SENDBUF_LOCK(c->so);
	space = sbspace(&c->so->so_snd);
	*empty = sbused(&c->so->so_snd) == 0;
	SOCK_SENDBUF_UNLOCK(c->so);
	return (space > 0 ? space : 0);
}

int
nvrs_conn_send(struct nvrs_conn *c, struct mbuf *m, bool more)
{
	return (sosend(c->so, NULL, NULL, m, NULL,
	    MSG_DONTWAIT | (more ? MSG_MORETOCOME : 0), NULL));
}

bool
nvrs_conn_tx_wait(struct nvrs_conn *c, uint32_t space, uint32_t ms)
{
	struct socket *so = c->so;
	bool ready;

	SOCK_SENDBUF_LOCK(so);
	c->tx_space = space;
	while (!(ready = nvrs_tx_ready(c))) {
		c->tx_waiting = true;
		if (cv_timedwait_sbt(&c->tx_cv, SOCK_SENDBUF_MTX(so),
		    SBT_1MS * ms, SBT_1MS, 0) == EWOULDBLOCK)
			break;
	}
	c->tx_waiting = false;
	c->tx_kicked = false;
	SOCK_SENDBUF_UNLOCK(so);
	return (ready);
}

bool
nvrs_conn_tx_flush(struct nvrs_conn *c, uint32_t ms)
{
	struct socket *so = c->so;
	sbintime_t end;
	bool empty;

	/* Every acknowledgement runs the upcall; a spurious wakeup is fine. */
	end = sbinuptime() + SBT_1MS * ms;
	SOCK_SENDBUF_LOCK(so);
	for (;;) {
		empty = sbused(&so->so_snd) == 0;
		if (empty || so->so_error != 0 ||
		    (so->so_snd.sb_state & SBS_CANTSENDMORE) != 0 ||
		    sbinuptime() >= end)
			break;
		c->tx_space = 1;
		c->tx_waiting = true;
		(void)cv_timedwait_sbt(&c->tx_cv, SOCK_SENDBUF_MTX(so),
		    SBT_1MS * 10, SBT_1MS, 0);
	}
	c->tx_waiting = false;
	SOCK_SENDBUF_UNLOCK(so);
	return (empty);
}

void
nvrs_conn_kick_tx(struct nvrs_conn *c)
{
	SOCK_SENDBUF_LOCK(c->so);
	c->tx_kicked = true;
	cv_signal(&c->tx_cv);
	SOCK_SENDBUF_UNLOCK(c->so);
}

void
nvrs_conn_shutdown(struct nvrs_conn *c)
{
	(void)soshutdown(c->so, SHUT_RDWR);
}

int
nvrs_conn_peer(struct nvrs_conn *c, char *buf, size_t len)
{
	struct sockaddr_storage ss = { .ss_len = sizeof(ss) };
	struct sockaddr_in *sin;
	struct sockaddr_in6 *sin6;
	char text[INET6_ADDRSTRLEN];

	buf[0] = '\0';
	/* sopeeraddr() wants a current vnet, which this needs no more than TCP. */
	if (c->so->so_proto->pr_peeraddr(c->so, (struct sockaddr *)&ss) != 0)
		return (AF_UNSPEC);
	switch (ss.ss_family) {
	case AF_INET:
		sin = (struct sockaddr_in *)&ss;
		inet_ntoa_r(sin->sin_addr, text);
		snprintf(buf, len, "%s:%u", text, ntohs(sin->sin_port));
		break;
	case AF_INET6:
		sin6 = (struct sockaddr_in6 *)&ss;
		ip6_sprintf(text, &sin6->sin6_addr);
		snprintf(buf, len, "[%s]:%u", text, ntohs(sin6->sin6_port));
		break;
	}
	return (ss.ss_family);
}
