/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * The few entry points of QEMU's plugin interface that the counter calls, as
 * its documentation describes version 1 of them.  Distributions ship the
 * interface in the program but not always its header.
 */

#ifndef QEMU_PLUGIN_ABI_H
#define	QEMU_PLUGIN_ABI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define	PLUGIN_API	1
#define	PLUGIN_VISIBLE	__attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;

struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum qemu_plugin_cb_flags {
	QEMU_PLUGIN_CB_NO_REGS,
	QEMU_PLUGIN_CB_R_REGS,
	QEMU_PLUGIN_CB_RW_REGS,
};

typedef struct {
	const char	*target_name;
	struct {
		int	min;
		int	cur;
	} version;
	bool		system_emulation;
	struct {
		int	smp_vcpus;
		int	max_vcpus;
	} system;
} qemu_info_t;

typedef void qemu_plugin_tb_trans_cb(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void qemu_plugin_exec_cb(unsigned int vcpu, void *arg);

void	qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t,
	    qemu_plugin_tb_trans_cb *);
void	qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *,
	    qemu_plugin_exec_cb *, enum qemu_plugin_cb_flags, void *arg);
void	qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *,
	    qemu_plugin_exec_cb *, enum qemu_plugin_cb_flags, void *arg);
size_t	qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *,
	    size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
size_t	qemu_plugin_insn_size(const struct qemu_plugin_insn *);
void	qemu_plugin_outs(const char *);

#endif /* !QEMU_PLUGIN_ABI_H */
