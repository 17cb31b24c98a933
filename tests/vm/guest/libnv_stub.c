/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Names of the guest's libnv.so.1 that the tests use, so that they can be
 * linked on a machine that has no such library.  Never run.
 */

#include <sys/nv_namespace.h>

#define	STUB(name)	void name(void); void name(void) { }

STUB(nvlist_create)
STUB(nvlist_destroy)
STUB(nvlist_pack)
STUB(nvlist_unpack)
STUB(nvlist_error)
STUB(nvlist_exists)
STUB(nvlist_exists_bool)
STUB(nvlist_exists_number)
STUB(nvlist_exists_nvlist)
STUB(nvlist_get_bool)
STUB(nvlist_get_number)
STUB(nvlist_get_string)
STUB(nvlist_get_nvlist)
STUB(nvlist_get_binary)
STUB(nvlist_free)
STUB(nvlist_add_null)
STUB(nvlist_add_bool)
STUB(nvlist_add_number)
STUB(nvlist_add_string)
STUB(nvlist_add_binary)
STUB(nvlist_add_nvlist)
STUB(nvlist_append_nvlist_array)
