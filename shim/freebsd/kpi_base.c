/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* Memory, locks, deferred work, time and console: see nvrs_base.h. */

#include "kpi_private.h"

#include <sys/callout.h>
#include <sys/condvar.h>
#include <sys/gsb_crc32.h>
#include <sys/kthread.h>
#include <sys/priority.h>
#include <sys/proc.h>
#include <sys/sched.h>
#include <sys/smp.h>
#include <sys/sx.h>
#include <sys/taskqueue.h>
#include <sys/time.h>

#include <machine/stack.h>

struct nvrs_mtx {
	struct mtx	mtx;
};

struct nvrs_sx {
	struct sx	sx;
};

struct nvrs_cv {
	struct cv	cv;
};

struct nvrs_taskqueue {
	struct taskqueue *tq;
};

struct nvrs_task {
	struct task	task;
	void		(*fn)(void *);
	void		*arg;
	volatile u_int	queued;
};

struct nvrs_callout {
	struct mtx	mtx;
	struct callout	callout;
	void		(*fn)(void *);
	void		*arg;
};

struct nvrs_thread {
	struct mtx	mtx;
	struct thread	*td;
	void		(*fn)(void *);
	void		*arg;
	bool		stop;
};

void *
nvrs_malloc(size_t size, size_t align, int flags)
{
	if (size > NVRS_MALLOC_MAX)
		return (NULL);
	if (align > 8)
		return (malloc_aligned(size, align, nvrs_malloc_type,
		    nvrs_mflags(flags)));
	return (malloc(size, nvrs_malloc_type, nvrs_mflags(flags)));
}

void
nvrs_free(void *p)
{
	free(p, nvrs_malloc_type);
}

struct nvrs_mtx *
nvrs_mtx_alloc(const char *name, int flags)
{
	struct nvrs_mtx *m;

	m = nvrs_malloc(sizeof(*m), 8, flags | NVRS_ZERO);
	if (m != NULL)
		mtx_init(&m->mtx, name, NULL, MTX_DEF);
	return (m);
}

void
nvrs_mtx_free(struct nvrs_mtx *m)
{
	mtx_destroy(&m->mtx);
	nvrs_free(m);
}

void
nvrs_mtx_lock(struct nvrs_mtx *m)
{
	mtx_lock(&m->mtx);
}

bool
nvrs_mtx_trylock(struct nvrs_mtx *m)
{
	return (mtx_trylock(&m->mtx) != 0);
}

void
nvrs_mtx_unlock(struct nvrs_mtx *m)
{
	mtx_unlock(&m->mtx);
}

struct nvrs_sx *
nvrs_sx_alloc(const char *name, int flags)
{
	struct nvrs_sx *sx;

	sx = nvrs_malloc(sizeof(*sx), 8, flags | NVRS_ZERO);
	if (sx != NULL)
		sx_init(&sx->sx, name);
	return (sx);
}

void
nvrs_sx_free(struct nvrs_sx *sx)
{
	sx_destroy(&sx->sx);
	nvrs_free(sx);
}

void
nvrs_sx_slock(struct nvrs_sx *sx)
{
	sx_slock(&sx->sx);
}

void
nvrs_sx_sunlock(struct nvrs_sx *sx)
{
	sx_sunlock(&sx->sx);
}

void
nvrs_sx_xlock(struct nvrs_sx *sx)
{
	sx_xlock(&sx->sx);
}

void
nvrs_sx_xunlock(struct nvrs_sx *sx)
{
	sx_xunlock(&sx->sx);
}

struct nvrs_cv *
nvrs_cv_alloc(const char *name, int flags)
{
	struct nvrs_cv *cv;

	cv = nvrs_malloc(sizeof(*cv), 8, flags | NVRS_ZERO);
	if (cv != NULL)
		cv_init(&cv->cv, name);
	return (cv);
}

void
nvrs_cv_free(struct nvrs_cv *cv)
{
	cv_destroy(&cv->cv);
	nvrs_free(cv);
}

void
nvrs_cv_wait(struct nvrs_cv *cv, struct nvrs_mtx *m)
{
	cv_wait(&cv->cv, &m->mtx);
}

bool
nvrs_cv_timedwait(struct nvrs_cv *cv, struct nvrs_mtx *m, uint32_t ms)
{
	return (cv_timedwait_sbt(&cv->cv, &m->mtx, SBT_1MS * ms, SBT_1MS,
	    0) == EWOULDBLOCK);
}

void
nvrs_cv_signal(struct nvrs_cv *cv)
{
	cv_signal(&cv->cv);
}

void
nvrs_cv_broadcast(struct nvrs_cv *cv)
{
	cv_broadcast(&cv->cv);
}

/* The queue's context is the address of tq->tq, which stays valid with it. */
struct nvrs_taskqueue *
nvrs_taskqueue_create(const char *name, int threads)
{
	struct nvrs_taskqueue *tq;

	tq = nvrs_malloc(sizeof(*tq), 8, NVRS_WAITOK | NVRS_ZERO);
	tq->tq = taskqueue_create(name, M_WAITOK, taskqueue_thread_enqueue,
	    &tq->tq);
	if (taskqueue_start_threads(&tq->tq, threads, PWAIT, "%s taskq",
	    name) != 0) {
		taskqueue_free(tq->tq);
		nvrs_free(tq);
		return (NULL);
	}
	return (tq);
}

void
nvrs_taskqueue_free(struct nvrs_taskqueue *tq)
{
	taskqueue_free(tq->tq);
	nvrs_free(tq);
}

void
nvrs_taskqueue_drain_all(struct nvrs_taskqueue *tq)
{
	taskqueue_drain_all(tq->tq);
}

/*
 * The swap is a full barrier: whatever was done before an enqueue that found
 * the task queued is seen by the handler that follows.  The handler may free
 * the task.
 */
static void
nvrs_task_run(void *ctx, int pending __unused)
{
	struct nvrs_task *t = ctx;
	void (*fn)(void *) = t->fn;
	void *arg = t->arg;

	atomic_swap_int(&t->queued, 0);
	fn(arg);
}

struct nvrs_task *
nvrs_task_alloc(void (*fn)(void *), int flags)
{
	struct nvrs_task *t;

	t = nvrs_malloc(sizeof(*t), 8, flags | NVRS_ZERO);
	if (t != NULL) {
		TASK_INIT(&t->task, 0, nvrs_task_run, t);
		t->fn = fn;
	}
	return (t);
}

void
nvrs_task_free(struct nvrs_task *t)
{
	nvrs_free(t);
}

bool
nvrs_task_enqueue(struct nvrs_taskqueue *tq, struct nvrs_task *t, void *arg)
{
	if (atomic_swap_int(&t->queued, 1) != 0)
		return (false);
	t->arg = arg;
	taskqueue_enqueue(tq->tq, &t->task);
	return (true);
}

void
nvrs_task_drain(struct nvrs_taskqueue *tq, struct nvrs_task *t)
{
	taskqueue_drain(tq->tq, &t->task);
}

/*
 * Runs with the callout's mutex held and must release it: so a handler that
 * was not stopped owns the argument, and may free the callout.
 */
static void
nvrs_callout_run(void *ctx)
{
	struct nvrs_callout *co = ctx;
	void (*fn)(void *) = co->fn;
	void *arg = co->arg;

	co->arg = NULL;
	mtx_unlock(&co->mtx);
	fn(arg);
}

struct nvrs_callout *
nvrs_callout_alloc(void (*fn)(void *), int flags)
{
	struct nvrs_callout *co;

	co = nvrs_malloc(sizeof(*co), 8, flags | NVRS_ZERO);
	if (co != NULL) {
		mtx_init(&co->mtx, "nvrs callout", NULL, MTX_DEF);
		callout_init_mtx(&co->callout, &co->mtx,
		    CALLOUT_RETURNUNLOCKED);
		co->fn = fn;
	}
	return (co);
}

void
nvrs_callout_free(struct nvrs_callout *co)
{
	mtx_destroy(&co->mtx);
	nvrs_free(co);
}

void *
nvrs_callout_arm(struct nvrs_callout *co, uint32_t ms, void *arg)
{
	void *old;

	mtx_lock(&co->mtx);
	old = co->arg;
	co->arg = arg;
	callout_reset_sbt(&co->callout, SBT_1MS * ms, 0, nvrs_callout_run, co,
	    C_HARDCLOCK);
	mtx_unlock(&co->mtx);
	return (old);
}

void *
nvrs_callout_stop(struct nvrs_callout *co)
{
	void *old;

	mtx_lock(&co->mtx);
	callout_stop(&co->callout);
	old = co->arg;
	co->arg = NULL;
	mtx_unlock(&co->mtx);
	return (old);
}

void *
nvrs_callout_drain(struct nvrs_callout *co)
{
	void *old;

	old = nvrs_callout_stop(co);
	callout_drain(&co->callout);
	return (old);
}

/*
 * A thread leaves only when it is joined, and kthread_exit() wakes the joiner
 * after the thread left this module's text.
 */
static void
nvrs_thread_main(void *ctx)
{
	struct nvrs_thread *t = ctx;

	/*
	 * As CTL's threads: they finish what they are at before we act on the
	 * first of it.
	 */
	thread_lock(curthread);
	sched_prio(curthread, PRI_MAX_KERN);
	thread_unlock(curthread);
	t->fn(t->arg);
	/* It may have bound itself to a CPU. */
	thread_lock(curthread);
	if (sched_is_bound(curthread))
		sched_unbind(curthread);
	thread_unlock(curthread);
	mtx_lock(&t->mtx);
	while (!t->stop)
		mtx_sleep(&t->stop, &t->mtx, 0, "nvrspark", 0);
	mtx_unlock(&t->mtx);
	kthread_exit();
}

struct nvrs_thread *
nvrs_thread_spawn(const char *name, void (*fn)(void *), void *arg, int *error)
{
	struct nvrs_thread *t;

	t = nvrs_malloc(sizeof(*t), 8, NVRS_WAITOK | NVRS_ZERO);
	mtx_init(&t->mtx, "nvrs thread", NULL, MTX_DEF);
	t->fn = fn;
	t->arg = arg;
	*error = kthread_add(nvrs_thread_main, t, NULL, &t->td, 0, 0, "%s",
	    name);
	if (*error != 0) {
		mtx_destroy(&t->mtx);
		nvrs_free(t);
		return (NULL);
	}
	return (t);
}

void
nvrs_thread_join(struct nvrs_thread *t)
{
	mtx_lock(&t->mtx);
	t->stop = true;
	wakeup(&t->stop);
	mtx_sleep(t->td, &t->mtx, PDROP, "nvrsjoin", 0);
	mtx_destroy(&t->mtx);
	nvrs_free(t);
}

uint64_t
nvrs_uptime_us(void)
{
	/* The last tick's time: reading the clock is an access to a device. */
	return (sbttous(getsbinuptime()));
}

uint64_t
nvrs_uptime_exact_us(void)
{

	return (sbttous(sbinuptime()));
}

void
nvrs_realtime(uint64_t *sec, uint32_t *nsec)
{
	struct timespec ts;

	nanotime(&ts);
	*sec = ts.tv_sec;
	*nsec = ts.tv_nsec;
}

void
nvrs_pause_ms(uint32_t ms)
{
	pause_sbt("nvrsnap", SBT_1MS * ms, 0, C_HARDCLOCK);
}

uint32_t
nvrs_curcpu(void)
{
	return (curcpu);
}

uint32_t
nvrs_maxcpus(void)
{
	return (mp_maxid + 1);
}

bool
nvrs_stack_ok(void)
{
	size_t total, used;

	GET_STACK_USAGE(total, used);
	return (used * 2 < total && curthread->td_critnest == 0);
}

void
nvrs_print(const char *s, size_t len)
{
	printf("%.*s\n", (int)len, s);
}

void
nvrs_panic(const char *s, size_t len)
{
	panic("%.*s", (int)len, s);
}

int
nvrs_copyin(const void *uaddr, void *kaddr, size_t len)
{
	return (copyin(uaddr, kaddr, len));
}

int
nvrs_copyout(const void *kaddr, void *uaddr, size_t len)
{
	return (copyout(kaddr, uaddr, len));
}

int
nvrs_copyinstr(const void *uaddr, void *kaddr, size_t len, size_t *done)
{
	return (copyinstr(uaddr, kaddr, len, done));
}

static nvrs_crc32c_t *nvrs_crc32c_own;

void
nvrs_crc32c_use(nvrs_crc32c_t *crc32c)
{
	nvrs_crc32c_own = crc32c;
}

uint32_t
nvrs_crc32c(uint32_t crc, const void *buf, uint32_t len)
{
	if (nvrs_crc32c_own != NULL)
		return (nvrs_crc32c_own(crc, buf, len));
	return (calculate_crc32c(crc, buf, len));
}
