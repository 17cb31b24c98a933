/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/* nvlist(9) that cannot panic: see nvrs_nv.h. */

#include "kpi_private.h"

#include <sys/nv.h>

struct nvlist *
nvrs_nv_create(void)
{
	return (nvlist_create(0));
}

void
nvrs_nv_destroy(struct nvlist *nvl)
{
	nvlist_destroy(nvl);
}

struct nvlist *
nvrs_nv_clone(const struct nvlist *nvl)
{
	return (nvlist_clone(nvl));
}

int
nvrs_nv_error(const struct nvlist *nvl)
{
	return (nvlist_error(nvl));
}

/* Getters on a list in error are assertion failures. */
static bool
nvrs_nv_usable(const struct nvlist *nvl)
{
	return (nvl != NULL && nvlist_error(nvl) == 0);
}

bool
nvrs_nv_bool(const struct nvlist *nvl, const char *name, bool *out)
{
	if (!nvrs_nv_usable(nvl) || !nvlist_exists_bool(nvl, name))
		return (false);
	*out = nvlist_get_bool(nvl, name);
	return (true);
}

bool
nvrs_nv_number(const struct nvlist *nvl, const char *name, uint64_t *out)
{
	if (!nvrs_nv_usable(nvl) || !nvlist_exists_number(nvl, name))
		return (false);
	*out = nvlist_get_number(nvl, name);
	return (true);
}

bool
nvrs_nv_string(const struct nvlist *nvl, const char *name, const char **out,
    size_t *len)
{
	if (!nvrs_nv_usable(nvl) || !nvlist_exists_string(nvl, name))
		return (false);
	*out = nvlist_get_string(nvl, name);
	*len = strlen(*out);
	return (true);
}

bool
nvrs_nv_binary(const struct nvlist *nvl, const char *name, const void **out,
    size_t *len)
{
	if (!nvrs_nv_usable(nvl) || !nvlist_exists_binary(nvl, name))
		return (false);
	*out = nvlist_get_binary(nvl, name, len);
	return (true);
}

bool
nvrs_nv_nvlist(const struct nvlist *nvl, const char *name,
    const struct nvlist **out)
{
	if (!nvrs_nv_usable(nvl) || !nvlist_exists_nvlist(nvl, name))
		return (false);
	*out = nvlist_get_nvlist(nvl, name);
	return (true);
}

bool
nvrs_nv_array(const struct nvlist *nvl, const char *name,
    const struct nvlist *const **out, size_t *len)
{
	if (!nvrs_nv_usable(nvl) || !nvlist_exists_nvlist_array(nvl, name))
		return (false);
	*out = nvlist_get_nvlist_array(nvl, name, len);
	return (true);
}

void
nvrs_nv_add_bool(struct nvlist *nvl, const char *name, bool v)
{
	nvlist_add_bool(nvl, name, v);
}

void
nvrs_nv_add_number(struct nvlist *nvl, const char *name, uint64_t v)
{
	nvlist_add_number(nvl, name, v);
}

void
nvrs_nv_add_string(struct nvlist *nvl, const char *name, const char *v)
{
	nvlist_add_string(nvl, name, v);
}

void
nvrs_nv_add_binary(struct nvlist *nvl, const char *name, const void *v,
    size_t len)
{
	nvlist_add_binary(nvl, name, v, len);
}

void
nvrs_nv_add_nvlist(struct nvlist *nvl, const char *name,
    const struct nvlist *v)
{
	nvlist_add_nvlist(nvl, name, v);
}

void
nvrs_nv_remove(struct nvlist *nvl, const char *name)
{
	if (nvrs_nv_usable(nvl) && nvlist_exists(nvl, name))
		nvlist_free(nvl, name);
}

void *
nvrs_nv_pack(const struct nvlist *nvl, size_t *len)
{
	return (nvlist_pack(nvl, len));
}

void
nvrs_nv_free_packed(void *p)
{
	free(p, M_NVLIST);
}

size_t
nvrs_nv_size(const struct nvlist *nvl)
{
	return (nvlist_size(nvl));
}

struct nvlist *
nvrs_nv_unpack(const void *buf, size_t len)
{
	return (nvlist_unpack(buf, len, 0));
}
