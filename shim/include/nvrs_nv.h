/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * nvlist(9).  Unlike nvlist_get_*(), these getters answer false for an
 * element that is missing or of another type, and never panic.
 */
#ifndef _NVRS_NV_H_
#define	_NVRS_NV_H_

struct nvlist;

struct nvlist *nvrs_nv_create(void);				/* N: NULL on failure */
void	nvrs_nv_destroy(struct nvlist *nvl);			/* N */
struct nvlist *nvrs_nv_clone(const struct nvlist *nvl);	/* N: NULL on failure */
int	nvrs_nv_error(const struct nvlist *nvl);

bool	nvrs_nv_bool(const struct nvlist *nvl, const char *name, bool *out);
bool	nvrs_nv_number(const struct nvlist *nvl, const char *name,
	    uint64_t *out);
bool	nvrs_nv_string(const struct nvlist *nvl, const char *name,
	    const char **out, size_t *len);
bool	nvrs_nv_binary(const struct nvlist *nvl, const char *name,
	    const void **out, size_t *len);
bool	nvrs_nv_nvlist(const struct nvlist *nvl, const char *name,
	    const struct nvlist **out);
bool	nvrs_nv_array(const struct nvlist *nvl, const char *name,
	    const struct nvlist *const **out, size_t *len);

/* A failed addition is remembered by the list: see nvrs_nv_error(). */
void	nvrs_nv_add_bool(struct nvlist *nvl, const char *name, bool v);
void	nvrs_nv_add_number(struct nvlist *nvl, const char *name, uint64_t v);
void	nvrs_nv_add_string(struct nvlist *nvl, const char *name, const char *v);
void	nvrs_nv_add_binary(struct nvlist *nvl, const char *name, const void *v,
	    size_t len);
void	nvrs_nv_add_nvlist(struct nvlist *nvl, const char *name,
	    const struct nvlist *v);
/* Remove an element of any type, if there is one. */
void	nvrs_nv_remove(struct nvlist *nvl, const char *name);

/* The packed form is freed with nvrs_nv_free_packed(). */
void	*nvrs_nv_pack(const struct nvlist *nvl, size_t *len);
void	nvrs_nv_free_packed(void *p);
size_t	nvrs_nv_size(const struct nvlist *nvl);
struct nvlist *nvrs_nv_unpack(const void *buf, size_t len);	/* NULL: malformed */

#endif /* !_NVRS_NV_H_ */
