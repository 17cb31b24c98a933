/*
 * SPDX-License-Identifier: BSD-2-Clause
 *
 * Copyright (c) 2026 The nvmf-rs authors
 */

/*
 * A QEMU plugin that counts how often each block of guest code runs.
 *
 *   qemu-system-x86_64 ... -plugin count.so,out=DIR
 *
 * The guest says what to count: between two marker instructions, which are
 * no-ops with an operand that no compiler makes, everything that any of its
 * processors executes.  The second marker writes the window to DIR/window-N
 * (N from 0), one line for each block: its address, its instructions, how
 * often each processor ran it, and whether it is an iteration of a string
 * instruction.  The emulator runs "rep movsb" as a loop of such blocks; real
 * processors retire it as one instruction.
 */

#include <sys/mman.h>

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin_abi.h"

#define	MAX_VCPUS	16
#define	MAX_BLOCKS	(1u << 21)
#define	HASH_SIZE	(MAX_BLOCKS * 2)

/* nopl MARK(%rax,%rax,1), as loadgen.c has it */
#define	MARK_LENGTH	8
static const uint8_t mark_opcode[] = { 0x0f, 0x1f, 0x84, 0x00 };
#define	MARK_START	0x4e560001u
#define	MARK_STOP	0x4e560002u

PLUGIN_VISIBLE int qemu_plugin_version = PLUGIN_API;

struct block {
	uint64_t	vaddr;
	uint32_t	insns;
	bool		string;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;		/* [0] is not used */
static uint32_t *hash;			/* open addressing; index of a block */
static uint32_t nblocks = 1;
static uint64_t *counts[MAX_VCPUS];	/* each processor writes its own */
static int vcpus;
static atomic_bool counting;
static unsigned int window;
static char *directory;

static void *
reserve(size_t size)
{
	void *p;

	p = mmap(NULL, size, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return (p == MAP_FAILED ? NULL : p);
}

static void
block_runs(unsigned int vcpu, void *arg)
{
	if (atomic_load_explicit(&counting, memory_order_relaxed) &&
	    vcpu < MAX_VCPUS)
		counts[vcpu][(uintptr_t)arg]++;
}

/* The index of a block; the same code translated again keeps its own. */
static uint32_t
find_block(uint64_t vaddr, uint32_t insns, bool string)
{
	uint64_t key;
	uint32_t i, slot;

	key = (vaddr ^ ((uint64_t)insns << 48)) * 0x9e3779b97f4a7c15ULL;
	for (slot = key >> 40;; slot++) {
		slot %= HASH_SIZE;
		i = hash[slot];
		if (i == 0)
			break;
		if (blocks[i].vaddr == vaddr && blocks[i].insns == insns &&
		    blocks[i].string == string)
			return (i);
	}
	if (nblocks == MAX_BLOCKS)
		return (0);
	hash[slot] = i = nblocks++;
	blocks[i] = (struct block){ vaddr, insns, string };
	return (i);
}

static bool
is_string_iteration(const uint8_t *code, size_t size)
{
	size_t i;

	if (size < 2 || (code[0] != 0xf2 && code[0] != 0xf3))
		return (false);
	i = (code[1] & 0xf0) == 0x40 ? 2 : 1;	/* REX */
	if (i >= size)
		return (false);
	return ((code[i] >= 0xa4 && code[i] <= 0xa7) ||
	    (code[i] >= 0xaa && code[i] <= 0xaf));
}

static void
write_window(void)
{
	char path[4096];
	FILE *out;
	uint32_t i, n;
	int cpu;
	uint64_t sum;

	snprintf(path, sizeof(path), "%s/window-%u", directory, window++);
	out = fopen(path, "w");
	if (out == NULL) {
		qemu_plugin_outs("count: cannot write a window\n");
		return;
	}
	pthread_mutex_lock(&lock);
	n = nblocks;
	pthread_mutex_unlock(&lock);
	for (i = 0; i < n; i++) {
		for (cpu = 0, sum = 0; cpu < vcpus; cpu++)
			sum += counts[cpu][i];
		if (sum == 0)
			continue;
		fprintf(out, "%" PRIx64 " %u %c", blocks[i].vaddr,
		    blocks[i].insns, blocks[i].string ? 's' : '-');
		for (cpu = 0; cpu < vcpus; cpu++)
			fprintf(out, " %" PRIu64, counts[cpu][i]);
		putc('\n', out);
	}
	fclose(out);
}

static void
on_start(unsigned int vcpu, void *arg)
{
	int cpu;

	(void)vcpu;
	(void)arg;
	pthread_mutex_lock(&lock);
	for (cpu = 0; cpu < vcpus; cpu++)
		memset(counts[cpu], 0, nblocks * sizeof(*counts[cpu]));
	pthread_mutex_unlock(&lock);
	atomic_store(&counting, true);
}

static void
on_stop(unsigned int vcpu, void *arg)
{
	(void)vcpu;
	(void)arg;
	if (atomic_exchange(&counting, false))
		write_window();
}

static void
look_for_mark(struct qemu_plugin_insn *insn)
{
	const uint8_t *code;
	uint32_t mark;

	if (qemu_plugin_insn_size(insn) != MARK_LENGTH)
		return;
	code = qemu_plugin_insn_data(insn);
	if (memcmp(code, mark_opcode, sizeof(mark_opcode)) != 0)
		return;
	memcpy(&mark, code + sizeof(mark_opcode), sizeof(mark));
	if (mark == MARK_START)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_start,
		    QEMU_PLUGIN_CB_NO_REGS, NULL);
	else if (mark == MARK_STOP)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, on_stop,
		    QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void
block_translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	struct qemu_plugin_insn *first;
	size_t i, n;
	uint32_t index;
	bool string;

	(void)id;
	n = qemu_plugin_tb_n_insns(tb);
	first = qemu_plugin_tb_get_insn(tb, 0);
	string = n == 1 && is_string_iteration(qemu_plugin_insn_data(first),
	    qemu_plugin_insn_size(first));
	pthread_mutex_lock(&lock);
	index = find_block(qemu_plugin_tb_vaddr(tb), n, string);
	pthread_mutex_unlock(&lock);
	qemu_plugin_register_vcpu_tb_exec_cb(tb, block_runs,
	    QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)index);
	for (i = 0; i < n; i++)
		look_for_mark(qemu_plugin_tb_get_insn(tb, i));
}

PLUGIN_VISIBLE int
qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
    char **argv)
{
	int i;

	for (i = 0; i < argc; i++)
		if (strncmp(argv[i], "out=", 4) == 0)
			directory = strdup(argv[i] + 4);
	vcpus = info->system.max_vcpus;
	if (directory == NULL || !info->system_emulation ||
	    vcpus > MAX_VCPUS) {
		qemu_plugin_outs("count: needs out=DIR, a whole system and at "
		    "most 16 processors\n");
		return (-1);
	}
	blocks = reserve(MAX_BLOCKS * sizeof(*blocks));
	hash = reserve(HASH_SIZE * sizeof(*hash));
	for (i = 0; i < vcpus; i++)
		if ((counts[i] = reserve(MAX_BLOCKS * sizeof(*counts[i]))) ==
		    NULL)
			return (-1);
	if (blocks == NULL || hash == NULL)
		return (-1);
	qemu_plugin_register_vcpu_tb_trans_cb(id, block_translated);
	return (0);
}
