/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * Plays QEMU for the counting plugin: translates and runs what standard input
 * says.
 *
 *   t NAME ADDRESS HEX...	a block, with the code of each instruction
 *   x CPU NAME [TIMES]		a processor runs it
 */

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../plugin/qemu_plugin_abi.h"

#define	MAX_INSNS	8
#define	MAX_CBS		16

struct qemu_plugin_insn {
	uint8_t	code[16];
	size_t	size;
};

struct qemu_plugin_tb {
	char	name[16];
	uint64_t vaddr;
	size_t	n;
	struct qemu_plugin_insn insns[MAX_INSNS];
	struct {
		qemu_plugin_exec_cb *cb;
		void	*arg;
	} cbs[MAX_CBS];
	size_t	ncbs;
};

int	qemu_plugin_install(qemu_plugin_id_t, const qemu_info_t *, int, char **);
extern int qemu_plugin_version;

static struct qemu_plugin_tb tbs[64];
static size_t ntbs;
static struct qemu_plugin_tb *current;
static qemu_plugin_tb_trans_cb *translated;

static void
add(qemu_plugin_exec_cb *cb, void *arg)
{
	assert(current->ncbs < MAX_CBS);
	current->cbs[current->ncbs].cb = cb;
	current->cbs[current->ncbs++].arg = arg;
}

void
qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
    qemu_plugin_tb_trans_cb *cb)
{
	(void)id;
	translated = cb;
}

void
qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
    qemu_plugin_exec_cb *cb, enum qemu_plugin_cb_flags flags, void *arg)
{
	(void)flags;
	assert(tb == current);
	add(cb, arg);
}

void
qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
    qemu_plugin_exec_cb *cb, enum qemu_plugin_cb_flags flags, void *arg)
{
	(void)flags;
	assert(insn >= current->insns && insn < current->insns + current->n);
	add(cb, arg);
}

size_t
qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb)
{
	return (tb->n);
}

uint64_t
qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb)
{
	return (tb->vaddr);
}

struct qemu_plugin_insn *
qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t i)
{
	assert(i < tb->n);
	return (&current->insns[i]);
}

const void *
qemu_plugin_insn_data(const struct qemu_plugin_insn *insn)
{
	return (insn->code);
}

size_t
qemu_plugin_insn_size(const struct qemu_plugin_insn *insn)
{
	return (insn->size);
}

void
qemu_plugin_outs(const char *text)
{
	fputs(text, stderr);
}

static void
translate(void)
{
	struct qemu_plugin_insn *insn;
	char *word;
	unsigned int byte;

	assert(ntbs < sizeof(tbs) / sizeof(tbs[0]));
	current = &tbs[ntbs++];
	snprintf(current->name, sizeof(current->name), "%s", strtok(NULL, " \n"));
	current->vaddr = strtoull(strtok(NULL, " \n"), NULL, 16);
	while ((word = strtok(NULL, " \n")) != NULL) {
		insn = &current->insns[current->n++];
		for (; sscanf(word, "%2x", &byte) == 1; word += 2)
			insn->code[insn->size++] = byte;
	}
	translated(1, current);
}

static void
execute(void)
{
	unsigned int cpu, times;
	const char *name, *word;
	size_t i, j;

	cpu = strtoul(strtok(NULL, " \n"), NULL, 10);
	name = strtok(NULL, " \n");
	word = strtok(NULL, " \n");
	times = word != NULL ? strtoul(word, NULL, 10) : 1;
	/* The latest translation of that name. */
	for (i = ntbs; i > 0 && strcmp(tbs[i - 1].name, name) != 0; i--)
		;
	assert(i > 0);
	while (times-- > 0)
		for (j = 0; j < tbs[i - 1].ncbs; j++)
			tbs[i - 1].cbs[j].cb(cpu, tbs[i - 1].cbs[j].arg);
}

int
main(int argc, char **argv)
{
	qemu_info_t info = { 0 };
	char line[256];
	const char *verb;

	info.target_name = "x86_64";
	info.version.min = info.version.cur = qemu_plugin_version;
	info.system_emulation = true;
	info.system.smp_vcpus = info.system.max_vcpus = 2;
	if (qemu_plugin_install(1, &info, argc - 1, argv + 1) != 0)
		return (1);
	while (fgets(line, sizeof(line), stdin) != NULL) {
		verb = strtok(line, " \n");
		if (verb == NULL)
			continue;
		if (verb[0] == 't')
			translate();
		else
			execute();
	}
	return (0);
}
