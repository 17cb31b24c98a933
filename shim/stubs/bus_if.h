/*-
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 *
 * Stand-in for the header that a kernel build makes of kern/bus_if.m: our
 * driver implements no bus method and calls none.
 */
