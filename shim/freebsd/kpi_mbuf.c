/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* mbuf(9) chains and memdesc(9) values: see nvrs_mbuf.h. */

#include "kpi_private.h"

#include <machine/bus.h>
#include <sys/bus_dma.h>
#include <sys/mbuf.h>
#include <sys/memdesc.h>

#include <vm/vm.h>
#include <vm/vm_param.h>
#include <vm/pmap.h>
#include <vm/vm_page.h>

#include <machine/vmparam.h>

_Static_assert(sizeof(struct nvrs_memdesc) == sizeof(struct memdesc),
    "struct memdesc changed");
_Static_assert(sizeof(struct nvrs_segment) == sizeof(struct bus_dma_segment),
    "struct bus_dma_segment changed");
_Static_assert(offsetof(struct nvrs_segment, len) ==
    offsetof(struct bus_dma_segment, ds_len),
    "struct bus_dma_segment changed");

#define	MEMDESC(md)	((struct memdesc *)(md))

struct mbuf *
nvrs_m_get(uint32_t len, int flags)
{
	struct mbuf *m;

	if (len > NVRS_M_MAXCONTIG)
		return (NULL);
	m = m_get2(len, nvrs_mflags(flags) & ~M_ZERO, MT_DATA, 0);
	if (m != NULL)
		m->m_len = len;
	return (m);
}

struct mbuf *
nvrs_m_getchain(uint32_t len, int flags)
{
	struct mbuf *m, *n;
	uint32_t space;

	m = m_getm2(NULL, len, nvrs_mflags(flags) & ~M_ZERO, MT_DATA, 0);
	for (n = m; n != NULL; n = n->m_next) {
		space = M_TRAILINGSPACE(n);
		n->m_len = MIN(space, len);
		len -= n->m_len;
	}
	return (m);
}

void
nvrs_m_freem(struct mbuf *m)
{
	m_freem(m);
}

uint8_t *
nvrs_m_data(struct mbuf *m)
{
	return ((m->m_flags & M_EXTPG) != 0 ? NULL : mtod(m, uint8_t *));
}

uint32_t
nvrs_m_len(const struct mbuf *m)
{
	return (m->m_len);
}

uint32_t
nvrs_m_length(struct mbuf *m, struct mbuf **last)
{
	return (m_length(m, last));
}

void
nvrs_m_append(struct mbuf *last, struct mbuf *m)
{
	last->m_next = m;
}

struct mbuf *
nvrs_m_split(struct mbuf *m, uint32_t len, int flags)
{
	return (m_split(m, len, nvrs_mflags(flags) & ~M_ZERO));
}

struct mbuf *
nvrs_m_advance(struct mbuf *m, uint32_t len)
{
	while (m != NULL && len >= (uint32_t)m->m_len) {
		len -= m->m_len;
		m = m_free(m);
	}
	if (m != NULL && len != 0) {
		m->m_data += len;
		m->m_len -= len;
	}
	return (m);
}

void
nvrs_m_copydata(const struct mbuf *m, uint32_t off, uint32_t len, void *dst)
{
	m_copydata(m, off, len, dst);
}

void
nvrs_m_copyback(struct mbuf *m, uint32_t off, uint32_t len, const void *src)
{
	m_copyback(m, off, len, src);
}

static int
nvrs_m_crc_piece(void *arg, void *data, u_int len)
{
	uint32_t *crc = arg;

	*crc = nvrs_crc32c(*crc, data, len);
	return (0);
}

uint32_t
nvrs_m_crc32c(const struct mbuf *m, uint32_t off, uint32_t len, uint32_t crc)
{
	m_apply(__DECONST(struct mbuf *, m), off, len, nvrs_m_crc_piece, &crc);
	return (crc);
}

static void
nvrs_m_ext_free(struct mbuf *m)
{
	void (*release)(void *) = m->m_ext.ext_arg1;

	release(m->m_ext.ext_arg2);
}

struct mbuf *
nvrs_m_ext(const void *buf, uint32_t len, void (*release)(void *), void *arg,
    int flags)
{
	struct mbuf *m;

	m = m_get(nvrs_mflags(flags) & ~M_ZERO, MT_DATA);
	if (m == NULL)
		return (NULL);
	m_extadd(m, __DECONST(char *, buf), len, nvrs_m_ext_free, release, arg,
	    M_RDONLY, EXT_MOD_TYPE);
	m->m_len = len;
	return (m);
}

void
nvrs_memdesc_vaddr(struct nvrs_memdesc *md, void *p, size_t len)
{
	*MEMDESC(md) = memdesc_vaddr(p, len);
}

void
nvrs_memdesc_vlist(struct nvrs_memdesc *md, struct nvrs_segment *segs,
    uint32_t nseg)
{
	*MEMDESC(md) = memdesc_vlist((struct bus_dma_segment *)segs, nseg);
}

static void
nvrs_vlist_copyback(const struct bus_dma_segment *seg, uint32_t off,
    uint32_t len, const char *src)
{
	uint32_t take;

	for (; off >= seg->ds_len; seg++)
		off -= seg->ds_len;
	for (; len != 0; len -= take, src += take, off = 0, seg++) {
		take = MIN(len, seg->ds_len - off);
		memcpy((char *)(uintptr_t)seg->ds_addr + off, src, take);
	}
}

static void
nvrs_pages_copyback(vm_page_t *page, uint32_t off, uint32_t len,
    const char *src)
{
	uint32_t take;

	page += off >> PAGE_SHIFT;
	off &= PAGE_MASK;
	for (; len != 0; len -= take, src += take, off = 0, page++) {
		take = MIN(len, PAGE_SIZE - off);
		memcpy((char *)PHYS_TO_DMAP(VM_PAGE_TO_PHYS(*page)) + off, src,
		    take);
	}
}

/*
 * As memdesc_copyback(), with the module's own memcpy() in place of the
 * kernel's, which copies byte by byte and leaves it to the processor to make
 * words of that: not all do.
 */
void
nvrs_memdesc_copyback(struct nvrs_memdesc *md, uint32_t off, uint32_t len,
    const void *src)
{
	struct memdesc *mem = MEMDESC(md);

	switch (mem->md_type) {
	case MEMDESC_VADDR:
		memcpy((char *)mem->u.md_vaddr + off, src, len);
		break;
	case MEMDESC_VLIST:
		nvrs_vlist_copyback(mem->u.md_list, off, len, src);
		break;
	case MEMDESC_VMPAGES:
		if (PMAP_HAS_DMAP) {
			nvrs_pages_copyback(mem->u.md_ma, mem->md_offset + off,
			    len, src);
			break;
		}
		/* FALLTHROUGH */
	default:
		memdesc_copyback(mem, off, len, src);
		break;
	}
}

void
nvrs_memdesc_copydata(struct nvrs_memdesc *md, uint32_t off, uint32_t len,
    void *dst)
{
	memdesc_copydata(MEMDESC(md), off, len, dst);
}

struct nvrs_copy {
	struct nvrs_memdesc *md;
	uint32_t	off;
	uint32_t	*crc;
};

static int
nvrs_copy_piece(void *arg, void *data, u_int len)
{
	struct nvrs_copy *cp = arg;

	nvrs_memdesc_copyback(cp->md, cp->off, len, data);
	if (cp->crc != NULL)
		*cp->crc = nvrs_crc32c(*cp->crc, data, len);
	cp->off += len;
	return (0);
}

void
nvrs_memdesc_from_mbuf(struct nvrs_memdesc *md, uint32_t off,
    const struct mbuf *m, uint32_t moff, uint32_t len, uint32_t *crc)
{
	struct nvrs_copy cp = { md, off, crc };

	m_apply(__DECONST(struct mbuf *, m), moff, len, nvrs_copy_piece, &cp);
}

/* What the mbuf constructors below need to know of their owner. */
struct nvrs_extref {
	uint32_t	*refs;
	void		(*release)(void *);
	void		*arg;
};

/* The last mbuf's count may still read one: see kpi.md, ext_cnt. */
static void
nvrs_ext_free(struct mbuf *m)
{
	void (*release)(void *) = m->m_ext.ext_arg1;

	release(m->m_ext.ext_arg2);
}

static struct mbuf *
nvrs_ext_alloc(void *ctx, int how, void *data, size_t len)
{
	struct nvrs_extref *er = ctx;
	struct mbuf *m;

	m = m_get(how, MT_DATA);
	if (m != NULL) {
		m_extaddref(m, data, len, er->refs, nvrs_ext_free, er->release,
		    er->arg);
		m->m_flags |= M_RDONLY;
		m->m_len = len;
	}
	return (m);
}

/*
 * In a page mbuf the pages lie over ext_arg2, so there is room for one word
 * only.  A module has one release function.
 */
static void (*nvrs_extpg_release)(void *);

static void
nvrs_extpg_free(struct mbuf *m)
{
	nvrs_extpg_release(m->m_ext.ext_arg1);
}

/*
 * An unmapped mbuf counts its own sharers and holds one of the owner's
 * references.  The count's address does not fit into the mbuf beside the
 * callback and its argument, so the owner gives it back: release(arg) is
 * called with the lowest bit of arg set.
 */
static struct mbuf *
nvrs_extpg_alloc(void *ctx, int how)
{
	struct nvrs_extref *er = ctx;
	struct mbuf *m;

	m = mb_alloc_ext_pgs(how, nvrs_extpg_free, M_RDONLY);
	if (m != NULL) {
		atomic_add_int(er->refs, 1);
		nvrs_extpg_release = er->release;
		m->m_ext.ext_arg1 = (void *)((uintptr_t)er->arg | 1);
	}
	return (m);
}

struct mbuf *
nvrs_memdesc_mbufs(struct nvrs_memdesc *md, uint32_t off, uint32_t len,
    bool truncate, uint32_t *refs, void (*release)(void *), void *arg,
    int flags, uint32_t *actual)
{
	struct nvrs_extref er = { refs, release, arg };
	struct mbuf *m;
	size_t done;

	m = memdesc_alloc_ext_mbufs(MEMDESC(md), nvrs_ext_alloc,
	    nvrs_extpg_alloc, &er, nvrs_mflags(flags) & ~M_ZERO, off, len,
	    &done, truncate);
	if (m != NULL)
		*actual = done;
	return (m);
}
