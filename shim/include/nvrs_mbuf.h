/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * mbuf(9) chains and memdesc(9) values.  Ranges are checked by the caller:
 * the kernel only asserts them.
 */
#ifndef _NVRS_MBUF_H_
#define	_NVRS_MBUF_H_

struct mbuf;

/* One mbuf with len contiguous writable bytes, len <= NVRS_M_MAXCONTIG. */
#define	NVRS_M_MAXCONTIG	2048
struct mbuf *nvrs_m_get(uint32_t len, int flags);
/* A chain that holds len writable bytes. */
struct mbuf *nvrs_m_getchain(uint32_t len, int flags);
void	nvrs_m_freem(struct mbuf *m);				/* N */
uint8_t	*nvrs_m_data(struct mbuf *m);	/* NULL when not mapped */
uint32_t nvrs_m_len(const struct mbuf *m);	/* of this mbuf */
uint32_t nvrs_m_length(struct mbuf *m, struct mbuf **last);	/* of the chain */
void	nvrs_m_append(struct mbuf *last, struct mbuf *m);	/* last->m_next = m */
/* Cut after len bytes; NULL on failure, or when nothing is left. */
struct mbuf *nvrs_m_split(struct mbuf *m, uint32_t len, int flags);
/* Drop len bytes from the front; returns what is left. */
struct mbuf *nvrs_m_advance(struct mbuf *m, uint32_t len);
void	nvrs_m_copydata(const struct mbuf *m, uint32_t off, uint32_t len,
	    void *dst);
void	nvrs_m_copyback(struct mbuf *m, uint32_t off, uint32_t len,
	    const void *src);
uint32_t nvrs_m_crc32c(const struct mbuf *m, uint32_t off, uint32_t len,
	    uint32_t crc);

/*
 * One mbuf over memory of the caller's, read only.  release(arg) runs once, in
 * any context, when the last reference is gone.
 */
struct mbuf *nvrs_m_ext(const void *buf, uint32_t len,
	    void (*release)(void *), void *arg, int flags);

/* A value of memdesc(9): kernel virtual memory, segments, a bio's, a CCB's. */
struct nvrs_memdesc {
	uint64_t	md[3];
};
struct nvrs_segment {
	uint64_t	addr;	/* kernel virtual */
	uint64_t	len;
};

void	nvrs_memdesc_vaddr(struct nvrs_memdesc *md, void *p, size_t len);
/* segs must outlive every use of md. */
void	nvrs_memdesc_vlist(struct nvrs_memdesc *md, struct nvrs_segment *segs,
	    uint32_t nseg);
void	nvrs_memdesc_copyback(struct nvrs_memdesc *md, uint32_t off,
	    uint32_t len, const void *src);
void	nvrs_memdesc_copydata(struct nvrs_memdesc *md, uint32_t off,
	    uint32_t len, void *dst);
/* Copy len bytes at moff of a chain to off of md; crc as in nvrs_crc32c(). */
void	nvrs_memdesc_from_mbuf(struct nvrs_memdesc *md, uint32_t off,
	    const struct mbuf *m, uint32_t moff, uint32_t len, uint32_t *crc);
/*
 * A chain that refers to [off, off + len) of md without copying.  Every mbuf
 * holds a count in *refs, which the network stack changes too.  release(arg),
 * arg being even, runs when the last of them is gone, in any context: that
 * is the end of *refs' life, and it may still read one.  release(arg | 1)
 * means that one count is given back: the callee decrements.  With truncate,
 * less than len may be described.  NULL when out of memory.
 */
struct mbuf *nvrs_memdesc_mbufs(struct nvrs_memdesc *md, uint32_t off,
	    uint32_t len, bool truncate, uint32_t *refs,
	    void (*release)(void *), void *arg, int flags, uint32_t *actual);

#endif /* !_NVRS_MBUF_H_ */
