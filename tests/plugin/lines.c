/*
 * A QEMU plugin that counts the cache lines that harts share while they work: qemu-system-riscv64 -plugin lines.so,out=FILE.
 *
 * tests/plugin/work.c marks what it does (marks.h). Between BEGIN and END of a hart each of its loads and stores is looked at, in
 * user mode and in the kernel, by physical line of 64 bytes. Of a line, in one round:
 * - touches: how many operations of any hart wrote it, or read it after another hart had written it. To read again what
 *   nobody has written since costs a hart nothing, so that is not counted;
 * - transfers: how often a hart read what another wrote last and it had not yet read, or wrote what another held. Caches
 *   without end, that is; the first access of a round is none.
 * A line is write-shared in a round where a hart wrote it and another touched it; only then the round's figures count. A page
 * that is accessed at a user address in a case is the program's (u), one at its physical address the firmware's (f), the others
 * are the kernel's (k).
 *
 * Counted besides, while any hart works, of all harts and of the firmware too: interrupts, which are stores to another hart's register of
 * the machine's software interrupts, and sfence.vma instructions.
 *
 * Each case adds to FILE a line "case NUMBER STEPS IPIS FENCES", then "line ADDRESS PHYSICAL u|f|k ROUNDS TOUCHES TRANSFERS READERS WRITERS", and
 * below each of those "site PC r|w HARTS COUNT": the instructions that accessed it.
 *
 * Not seen: what the page-table walker reads and writes, and devices.
 *
 * Harts run at the same time: a bucket's lock guards its lines. A hart's own state is its thread's alone; rounds and cases change
 * only while no hart works.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/plugin/marks.h"
#include "tests/plugin/qemu.h"

#define HARTS 8
/* QEMU's virt: a register of four bytes a hart; only the firmware accesses them, at their physical addresses. */
#define INTERRUPTS	 UINT64_C(0x2000000)
#define INTERRUPTS_BYTES (HARTS * UINT64_C(4))
#define LINE_SHIFT	 6
#define PAGE_SHIFT	 12
#define BUCKETS		 (1u << 18)
#define LOCKS		 1024
#define SITES		 8
#define PAGES		 (UINT64_C(1) << 23) /* physical pages that are told apart: 32 GiB */

struct site {
	uint64_t pc;
	uint64_t count;
	uint8_t harts;
	bool store;
};

struct line {
	struct line *next;
	uint64_t number; /* physical address >> LINE_SHIFT */
	uint64_t vaddr;	 /* of the first access */
	/* This round's. */
	uint64_t round;
	uint64_t step[HARTS]; /* of the last touch, + 1 */
	uint64_t touches, transfers;
	uint8_t readers, writers, holders;
	int8_t writer; /* who wrote last, or -1 */
	/* Sums of the rounds in which it was write-shared. */
	uint64_t shared_rounds, shared_touches, shared_transfers;
	uint8_t all_readers, all_writers;
	struct site site[SITES];
};

struct hart {
	bool working;
	uint64_t step;	/* counts over all cases, so that no two operations have one number */
	uint64_t steps; /* of this case */
} __attribute__((aligned(64)));

static struct {
	qemu_plugin_id_t id;
	FILE *out;
	bool armed;
	unsigned working;      /* harts; as ipis and fences written by all of them, relaxed: read when no hart works */
	uint64_t ipis, fences; /* of this case */
	uint64_t round;
	unsigned cases;
	struct hart hart[HARTS];
	struct line *bucket[BUCKETS];
	pthread_mutex_t lock[LOCKS];
	uint8_t user_page[PAGES / 8];
} lines;

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_VERSION;
PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv);

static bool is_kernel(uint64_t vaddr)
{
	return vaddr >> 63;
}

static bool is_shared(const struct line *line)
{
	uint8_t both = line->readers | line->writers;

	return line->writers && (both & (both - 1));
}

static void fold(struct line *line)
{
	if (is_shared(line)) {
		line->shared_rounds++;
		line->shared_touches += line->touches;
		line->shared_transfers += line->transfers;
		line->all_readers |= line->readers;
		line->all_writers |= line->writers;
	}
	line->touches = line->transfers = 0;
	line->readers = line->writers = line->holders = 0;
	line->writer = -1;
}

/* Its bucket is locked. */
static struct line *find(uint64_t number, uint64_t vaddr)
{
	struct line **head = &lines.bucket[number % BUCKETS];
	struct line *line = *head;

	while (line && line->number != number)
		line = line->next;
	if (line)
		return line;
	line = calloc(1, sizeof(*line));
	if (!line)
		abort();
	line->number = number;
	line->vaddr = vaddr;
	line->writer = -1;
	line->next = *head;
	return *head = line;
}

static void note_site(struct line *line, unsigned hart, uint64_t pc, bool store)
{
	unsigned i;

	for (i = 0; i < SITES; i++) {
		struct site *site = &line->site[i];

		if (site->count && (site->pc != pc || site->store != store))
			continue;
		site->pc = pc;
		site->store = store;
		site->harts |= (uint8_t)(1u << hart);
		site->count++;
		return;
	}
}

static void account(struct line *line, unsigned hart, bool store)
{
	uint8_t me = (uint8_t)(1u << hart);
	uint64_t step = lines.hart[hart].step + 1;
	bool transfer;

	if (line->round != lines.round) {
		fold(line);
		line->round = lines.round;
	}
	if (store) {
		transfer = (line->holders & ~me) != 0;
		line->writers |= me;
		line->holders = me;
		line->writer = (int8_t)hart;
	} else {
		transfer = !(line->holders & me) && line->writer >= 0 && line->writer != (int8_t)hart;
		line->readers |= me;
		line->holders |= me;
	}
	line->transfers += transfer;
	if ((store || transfer) && line->step[hart] != step) {
		line->step[hart] = step;
		line->touches++;
	}
}

static bool is_working(void)
{
	return __atomic_load_n(&lines.working, __ATOMIC_RELAXED) != 0;
}

static void fenced(unsigned hart, void *data)
{
	(void)hart, (void)data;
	if (is_working())
		__atomic_fetch_add(&lines.fences, 1, __ATOMIC_RELAXED);
}

static void stored_to_device(unsigned hart, uint64_t vaddr)
{
	if (vaddr - INTERRUPTS < INTERRUPTS_BYTES && (vaddr - INTERRUPTS) / 4 != hart && is_working())
		__atomic_fetch_add(&lines.ipis, 1, __ATOMIC_RELAXED);
}

static void accessed(unsigned hart, qemu_plugin_meminfo_t info, uint64_t vaddr, void *pc)
{
	struct qemu_plugin_hwaddr *hwaddr;
	pthread_mutex_t *lock;
	struct line *line;
	uint64_t physical;
	bool store;

	if (hart >= HARTS || (!lines.hart[hart].working && vaddr - INTERRUPTS >= INTERRUPTS_BYTES))
		return;
	hwaddr = qemu_plugin_get_hwaddr(info, vaddr);
	if (hwaddr && qemu_plugin_hwaddr_is_io(hwaddr) && qemu_plugin_mem_is_store(info))
		stored_to_device(hart, vaddr);
	if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr) || !lines.hart[hart].working)
		return;
	physical = qemu_plugin_hwaddr_phys_addr(hwaddr);
	store = qemu_plugin_mem_is_store(info);
	if (!is_kernel(vaddr) && vaddr != physical && physical >> PAGE_SHIFT < PAGES) {
		/* Relaxed: read when no hart works; the round's end orders it. */
		__atomic_fetch_or(&lines.user_page[physical >> PAGE_SHIFT >> 3],
				  (uint8_t)(1u << (physical >> PAGE_SHIFT & 7)), __ATOMIC_RELAXED);
	}
	lock = &lines.lock[(physical >> LINE_SHIFT) % LOCKS];
	pthread_mutex_lock(lock);
	line = find(physical >> LINE_SHIFT, vaddr);
	account(line, hart, store);
	note_site(line, hart, (uint64_t)(uintptr_t)pc, store);
	pthread_mutex_unlock(lock);
}

static bool is_user(const struct line *line)
{
	uint64_t page = line->number >> (PAGE_SHIFT - LINE_SHIFT);

	return page < PAGES && (lines.user_page[page >> 3] >> (page & 7) & 1);
}

static char owner(const struct line *line)
{
	if (is_user(line))
		return 'u';
	return line->vaddr >> LINE_SHIFT == line->number ? 'f' : 'k';
}

static void write_line(const struct line *line)
{
	unsigned i;

	fprintf(lines.out, "line %#lx %#lx %c %lu %lu %lu %#x %#x\n", line->vaddr, line->number << LINE_SHIFT,
		owner(line), line->shared_rounds, line->shared_touches, line->shared_transfers, line->all_readers,
		line->all_writers);
	for (i = 0; i < SITES && line->site[i].count; i++) {
		fprintf(lines.out, "site %#lx %c %#x %lu\n", line->site[i].pc, line->site[i].store ? 'w' : 'r',
			line->site[i].harts, line->site[i].count);
	}
}

/* No hart works. */
static void forget(void)
{
	unsigned i;

	for (i = 0; i < BUCKETS; i++) {
		while (lines.bucket[i]) {
			struct line *line = lines.bucket[i];

			lines.bucket[i] = line->next;
			free(line);
		}
	}
	memset(lines.user_page, 0, sizeof(lines.user_page));
	for (i = 0; i < HARTS; i++)
		lines.hart[i].steps = 0;
	lines.ipis = lines.fences = 0;
}

static void write_case(void)
{
	uint64_t steps = 0;
	unsigned i;

	for (i = 0; i < HARTS; i++)
		steps += lines.hart[i].steps;
	fprintf(lines.out, "case %u %lu %lu %lu\n", lines.cases, steps, lines.ipis, lines.fences);
	for (i = 0; i < BUCKETS; i++) {
		struct line *line;

		for (line = lines.bucket[i]; line; line = line->next) {
			fold(line);
			if (line->shared_rounds)
				write_line(line);
		}
	}
	fflush(lines.out);
	lines.cases++;
	forget();
}

static bool is_fence(const struct qemu_plugin_insn *insn)
{
	uint32_t word;

	if (qemu_plugin_insn_size(insn) != 4)
		return false;
	memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
	return (word & 0xfe007fff) == 0x12000073; /* sfence.vma of any registers */
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);

static void armed(qemu_plugin_id_t id)
{
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
}

/* What was translated before must be translated again: a reset drops all code. */
static void arm(void)
{
	if (lines.armed)
		return;
	lines.armed = true;
	qemu_plugin_reset(lines.id, armed);
}

static void marked(unsigned hart, void *data)
{
	struct hart *own = &lines.hart[hart % HARTS];

	switch ((enum mark)(uintptr_t)data) {
	case MARK_ARM:
		arm();
		break;
	case MARK_CASE:
		forget();
		break;
	case MARK_ROUND:
		lines.round++;
		break;
	case MARK_BEGIN:
		own->step++;
		own->working = true;
		__atomic_fetch_add(&lines.working, 1, __ATOMIC_RELAXED);
		break;
	case MARK_STEP:
		own->step++;
		own->steps++;
		break;
	case MARK_END:
		own->working = false;
		__atomic_fetch_sub(&lines.working, 1, __ATOMIC_RELAXED);
		break;
	case MARK_DONE:
		write_case();
		break;
	}
}

/* The mark that an instruction is, or 0. */
static unsigned mark_of(const struct qemu_plugin_insn *insn)
{
	uint32_t word;
	unsigned mark;

	if (is_kernel(qemu_plugin_insn_vaddr(insn)) || qemu_plugin_insn_size(insn) != 4)
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
		if (lines.armed && is_fence(insn))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, fenced, QEMU_PLUGIN_CB_NO_REGS, NULL);
		if (lines.armed)
			qemu_plugin_register_vcpu_mem_cb(insn, accessed, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_RW,
							 (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn));
	}
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv)
{
	unsigned i;

	(void)info;
	if (argc != 1 || strncmp(argv[0], "out=", 4) != 0)
		return -1;
	lines.out = fopen(argv[0] + 4, "w");
	if (!lines.out)
		return -1;
	for (i = 0; i < LOCKS; i++)
		pthread_mutex_init(&lines.lock[i], NULL);
	lines.id = id;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
