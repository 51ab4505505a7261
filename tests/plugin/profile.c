/*
 * A QEMU plugin that says which instructions ran: qemu-system-riscv64 -plugin profile.so,out=FILE.
 *
 * tests/plugin/work.c marks what it does (marks.h). Between BEGIN and END of a hart each instruction of that hart is counted by its address.
 * Each case adds to FILE a line "case NUMBER STEPS", and then "pc ADDRESS COUNT" for each address.
 *
 * For one hart: with several the counts are those of all. A hart's own thread alone changes anything here; cases change while no hart works.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/plugin/marks.h"
#include "tests/plugin/qemu.h"

#define BUCKETS (1u << 16)

struct place {
	struct place *next;
	uint64_t pc;
	uint64_t count;
};

static struct {
	FILE *out;
	bool working;
	unsigned cases;
	uint64_t steps;
	struct place *bucket[BUCKETS];
} profile;

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_VERSION;
PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv);

static struct place *find(uint64_t pc)
{
	struct place **head = &profile.bucket[(pc >> 1) % BUCKETS];
	struct place *place;

	for (place = *head; place; place = place->next)
		if (place->pc == pc)
			return place;
	place = calloc(1, sizeof(*place));
	if (!place)
		abort();
	place->pc = pc;
	place->next = *head;
	return *head = place;
}

static void executed(unsigned hart, void *data)
{
	struct place *place = data;

	(void)hart;
	if (profile.working)
		place->count++;
}

static void begin_case(void)
{
	struct place *place;
	unsigned i;

	for (i = 0; i < BUCKETS; i++)
		for (place = profile.bucket[i]; place; place = place->next)
			place->count = 0;
	profile.steps = 0;
}

static void write_case(void)
{
	const struct place *place;
	unsigned i;

	fprintf(profile.out, "case %u %lu\n", profile.cases++, profile.steps);
	for (i = 0; i < BUCKETS; i++)
		for (place = profile.bucket[i]; place; place = place->next)
			if (place->count)
				fprintf(profile.out, "pc %#lx %lu\n", place->pc, place->count);
	fflush(profile.out);
}

static void marked(unsigned hart, void *data)
{
	(void)hart;
	switch ((enum mark)(uintptr_t)data) {
	case MARK_CASE:
		begin_case();
		break;
	case MARK_BEGIN:
		profile.working = true;
		break;
	case MARK_STEP:
		profile.steps++;
		break;
	case MARK_END:
		profile.working = false;
		break;
	case MARK_DONE:
		write_case();
		break;
	default:
		break;
	}
}

/* The mark that an instruction of a program is, or 0. */
static unsigned mark_of(const struct qemu_plugin_insn *insn)
{
	uint32_t word;
	unsigned mark;

	if (qemu_plugin_insn_vaddr(insn) >> 63 || qemu_plugin_insn_size(insn) != 4)
		return 0;
	memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
	mark = word >> 20;
	return (word & 0xfffff) == 0x2013 && mark >= MARK_ARM && mark <= MARK_DONE ? mark : 0;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	size_t i, count = qemu_plugin_tb_n_insns(tb);

	(void)id;
	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		unsigned mark = mark_of(insn);

		if (mark)
			qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, QEMU_PLUGIN_CB_NO_REGS,
							       (void *)(uintptr_t)mark);
		else
			qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, QEMU_PLUGIN_CB_NO_REGS,
							       find(qemu_plugin_insn_vaddr(insn)));
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv)
{
	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) != 0)
		return -1;
	profile.out = fopen(argv[0] + 4, "w");
	if (!profile.out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
