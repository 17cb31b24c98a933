/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Memory, locks, deferred work, time and console.
 *
 * Contexts: "S" may sleep, so never under a mutex, in a callout, in a socket
 * upcall, in an mbuf free routine or in CAM's or CTL's data callbacks.
 * "N" never sleeps.
 */
#ifndef _NVRS_BASE_H_
#define	_NVRS_BASE_H_

#ifdef _KERNEL
#include <sys/types.h>
#include <sys/stdint.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#endif

/* Allocation. */
#define	NVRS_NOWAIT	0x1	/* N: may return NULL */
#define	NVRS_WAITOK	0x2	/* S: returns NULL for an absurd size only */
#define	NVRS_ZERO	0x4
#define	NVRS_MALLOC_MAX	(64u << 20)	/* larger requests are refused */

void	*nvrs_malloc(size_t size, size_t align, int flags);
void	nvrs_free(void *p);					/* N */

/* Mutexes: N to take, never held across a sleep. */
struct nvrs_mtx;

struct nvrs_mtx *nvrs_mtx_alloc(const char *name, int flags);
void	nvrs_mtx_free(struct nvrs_mtx *m);			/* N, unlocked */
void	nvrs_mtx_lock(struct nvrs_mtx *m);			/* N */
bool	nvrs_mtx_trylock(struct nvrs_mtx *m);			/* N */
void	nvrs_mtx_unlock(struct nvrs_mtx *m);			/* N */

/* Shared/exclusive locks: may be held across a sleep. */
struct nvrs_sx;

struct nvrs_sx *nvrs_sx_alloc(const char *name, int flags);
void	nvrs_sx_free(struct nvrs_sx *sx);
void	nvrs_sx_slock(struct nvrs_sx *sx);			/* S */
void	nvrs_sx_sunlock(struct nvrs_sx *sx);
void	nvrs_sx_xlock(struct nvrs_sx *sx);			/* S */
void	nvrs_sx_xunlock(struct nvrs_sx *sx);

/* Condition variables, used with an nvrs_mtx. */
struct nvrs_cv;

struct nvrs_cv *nvrs_cv_alloc(const char *name, int flags);
void	nvrs_cv_free(struct nvrs_cv *cv);
void	nvrs_cv_wait(struct nvrs_cv *cv, struct nvrs_mtx *m);	/* S */
/* S: true when the time ran out. */
bool	nvrs_cv_timedwait(struct nvrs_cv *cv, struct nvrs_mtx *m, uint32_t ms);
void	nvrs_cv_signal(struct nvrs_cv *cv);			/* N */
void	nvrs_cv_broadcast(struct nvrs_cv *cv);			/* N */

/* Task queues with their own threads. */
struct nvrs_taskqueue;
struct nvrs_task;

struct nvrs_taskqueue *nvrs_taskqueue_create(const char *name, int threads); /* S */
void	nvrs_taskqueue_free(struct nvrs_taskqueue *tq);		/* S: runs what is queued */
void	nvrs_taskqueue_drain_all(struct nvrs_taskqueue *tq);	/* S */

struct nvrs_task *nvrs_task_alloc(void (*fn)(void *), int flags);
void	nvrs_task_free(struct nvrs_task *t);	/* not queued; allowed in its own handler */
/*
 * N: queue fn(arg).  False when the task was already queued and has not
 * started: then arg was not taken.
 */
bool	nvrs_task_enqueue(struct nvrs_taskqueue *tq, struct nvrs_task *t,
	    void *arg);
void	nvrs_task_drain(struct nvrs_taskqueue *tq, struct nvrs_task *t);	/* S */

/*
 * One-shot timers.  arm and stop return the argument of the run that they
 * prevented, or NULL; the caller owns it again.
 */
struct nvrs_callout;

struct nvrs_callout *nvrs_callout_alloc(void (*fn)(void *), int flags);
void	nvrs_callout_free(struct nvrs_callout *co);	/* not armed; allowed in its own handler */
void	*nvrs_callout_arm(struct nvrs_callout *co, uint32_t ms, void *arg); /* N */
void	*nvrs_callout_stop(struct nvrs_callout *co);		/* N */
void	*nvrs_callout_drain(struct nvrs_callout *co);		/* S: handler has returned */

/* Kernel threads. */
struct nvrs_thread;

struct nvrs_thread *nvrs_thread_spawn(const char *name, void (*fn)(void *),
	    void *arg, int *error);				/* S */
/* S: waits until fn returned and the thread left the module's text; frees t. */
void	nvrs_thread_join(struct nvrs_thread *t);

/* Time. */
uint64_t nvrs_uptime_us(void);	/* N: as of the last tick */
uint64_t nvrs_uptime_exact_us(void);				/* N */
void	nvrs_realtime(uint64_t *sec, uint32_t *nsec);		/* N */
void	nvrs_pause_ms(uint32_t ms);				/* S */

/* Processors and stack. */
uint32_t nvrs_curcpu(void);					/* N */
uint32_t nvrs_maxcpus(void);	/* highest processor number + 1 */
/* N: at least half of the kernel stack is unused and no spin lock is held. */
bool	nvrs_stack_ok(void);

/* Console: one line, not NUL terminated. */
void	nvrs_print(const char *s, size_t len);			/* N */
void	nvrs_panic(const char *s, size_t len) __attribute__((__noreturn__));

/* User memory. */
int	nvrs_copyin(const void *uaddr, void *kaddr, size_t len);	/* S */
int	nvrs_copyout(const void *kaddr, void *uaddr, size_t len);	/* S */
int	nvrs_copyinstr(const void *uaddr, void *kaddr, size_t len, size_t *done); /* S */

/* CRC32C, raw: start with all ones, complement at the end. */
typedef uint32_t nvrs_crc32c_t(uint32_t crc, const void *buf, uint32_t len);
nvrs_crc32c_t nvrs_crc32c;						/* N */
/* What nvrs_crc32c() is from now on; before its first use. */
void	nvrs_crc32c_use(nvrs_crc32c_t *crc32c);				/* N */

#endif /* !_NVRS_BASE_H_ */
