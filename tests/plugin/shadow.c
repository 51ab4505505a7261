/*
 * A shadow TLB, as a QEMU plugin: qemu-system-riscv64 -plugin shadow.so,out=FILE,ram=MiB[,ignore=WHAT]. docs/reliability.md says what it
 * models. This file is QEMU's side: it looks at each access of user mode, at each store of the kernel, at each fence and at each
 * return to user mode, and hears what a debug kernel notes (lib/shadow.h). The model is in shadow_model.c and shadow_withdrawn.c.
 *
 * The interface tells addresses, not values, so values are read from the machine's memory, which is mapped in this process:
 * qemu_plugin_insn_haddr says where the kernel's text is, and RAM is one piece.
 *
 * FILE gets a line for each report, and at the end "seen" with what there was to look at. ignore= makes it blind for fences of one kind, as
 * if the kernel had left them out (page, asid, hart1): so it is tried whether they are missed.
 *
 * Harts run at the same time. What is a hart's own is its thread's; the model has one lock. A store's callback runs on the hart that stored,
 * right behind it, and so before whatever that hart does to tell others of it.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "lib/shadow.h"
#include "tests/plugin/qemu.h"
#include "tests/plugin/shadow.h"

#define KERNEL_OFFSET UINT64_C(0xffffffc000000000)
#define FIRMWARE_END  UINT64_C(0x80200000)
#define SRET	      0x10200073u
#define RECENT	      4096

struct hart {
	enum shadow_event note; /* of which stores are awaited, or 0 */
	unsigned words;
	uint64_t word[SHADOW_WORDS];
	uint64_t fence_va; /* what the next fence is of */
	uint16_t fence_asid;
	bool remote; /* a request to the firmware that may be under way; guarded by the lock */
	uint64_t remote_harts, remote_start, remote_bytes;
	uint16_t remote_asid;
	uint64_t epoch;		 /* grows with each fence and satp */
	uint64_t recent[RECENT]; /* pages that were looked at since */
} __attribute__((aligned(64)));

static struct {
	pthread_mutex_t lock;
	const char *ignore;
	struct hart hart[SHADOW_HARTS];
} side = { .lock = PTHREAD_MUTEX_INITIALIZER, .ignore = "" };

PLUGIN_EXPORT int qemu_plugin_version = PLUGIN_VERSION;
PLUGIN_EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv);

static bool is_kernel(uint64_t vaddr)
{
	return vaddr >> 63;
}

static bool is_firmware(uint64_t vaddr)
{
	return vaddr >= SHADOW_RAM && vaddr < FIRMWARE_END;
}

/* ---- User mode. */

static void use(unsigned hart, uint64_t va)
{
	struct hart *own = &side.hart[hart];
	uint64_t key = va >> 12 | own->epoch << 28;

	if (own->recent[va >> 12 & (RECENT - 1)] == key)
		return;
	own->recent[va >> 12 & (RECENT - 1)] = key;
	pthread_mutex_lock(&side.lock);
	shadow_walk(hart, va);
	pthread_mutex_unlock(&side.lock);
}

static void user_accessed(unsigned hart, qemu_plugin_meminfo_t info, uint64_t vaddr, void *data)
{
	(void)info;
	(void)data;
	if (hart < SHADOW_HARTS && vaddr >> 38 == 0)
		use(hart, vaddr);
}

static void user_fetched(unsigned hart, void *vaddr)
{
	if (hart < SHADOW_HARTS)
		use(hart, (uint64_t)(uintptr_t)vaddr);
}

/* ---- Notes. */

/* The lock is held. */
static void take_note(unsigned hart, struct hart *own)
{
	own->remote = false;
	switch (own->note) {
	case SHADOW_ROOT:
		shadow.count[COUNT_ROOTS]++;
		shadow.hart[hart].root = own->word[1] ? own->word[0] : 0;
		shadow.hart[hart].asid = (uint16_t)own->word[1];
		own->epoch++;
		break;
	case SHADOW_FENCE:
		own->fence_va = own->word[0];
		own->fence_asid = (uint16_t)own->word[1];
		break;
	case SHADOW_REMOTE:
		own->remote_harts = own->word[0];
		own->remote_start = own->word[1];
		own->remote_bytes = own->word[2];
		own->remote_asid = (uint16_t)own->word[3];
		own->remote = true;
		break;
	case SHADOW_FREE:
		shadow_freed(hart, own->word[0], own->word[1]);
		break;
	}
}

static void noted(unsigned hart, void *event)
{
	if (hart >= SHADOW_HARTS)
		return;
	side.hart[hart].note = (enum shadow_event)(uintptr_t)event;
	side.hart[hart].words = 0;
}

static void kernel_stored(unsigned hart, qemu_plugin_meminfo_t info, uint64_t vaddr, void *pc)
{
	struct hart *own = &side.hart[hart % SHADOW_HARTS];
	struct qemu_plugin_hwaddr *hwaddr;
	uint64_t pa;

	if (hart >= SHADOW_HARTS || !shadow.ram)
		return;
	if (vaddr - KERNEL_OFFSET < SHADOW_RAM + (shadow.frames << 12)) {
		pa = vaddr - KERNEL_OFFSET;
	} else {
		hwaddr = qemu_plugin_get_hwaddr(info, vaddr);
		if (!hwaddr || qemu_plugin_hwaddr_is_io(hwaddr))
			return;
		pa = qemu_plugin_hwaddr_phys_addr(hwaddr);
	}
	pa &= ~UINT64_C(7);
	if (!frame_is_ram(pa >> 12))
		return;
	if (own->note) {
		own->word[own->words++] = *at_physical(pa);
		if (own->words < SHADOW_WORDS)
			return;
		pthread_mutex_lock(&side.lock);
		take_note(hart, own);
		pthread_mutex_unlock(&side.lock);
		own->note = 0;
		return;
	}
	/* Most stores are to no table. Who makes it one meanwhile has walked it before this store, or sees it. */
	if (!__atomic_load_n(&shadow.table[(pa - SHADOW_RAM) >> 12], __ATOMIC_ACQUIRE))
		return;
	pthread_mutex_lock(&side.lock);
	shadow_stored(hart, pa, (uint64_t)(uintptr_t)pc);
	pthread_mutex_unlock(&side.lock);
}

/* ---- Fences, and the way back to user mode. */

static bool is_ignored(const char *kind)
{
	return strcmp(side.ignore, kind) == 0;
}

enum fence_form { FENCE_ALL, FENCE_ASID, FENCE_PAGE, FENCE_PAGE_OF_ALL };

static void fence(unsigned hart, enum fence_form form, uint64_t va, uint16_t asid)
{
	side.hart[hart].epoch++;
	if (hart == 1 && is_ignored("hart1"))
		return;
	if (form == FENCE_ALL)
		shadow_fence_all(hart);
	else if (form == FENCE_ASID && !is_ignored("asid"))
		shadow_fence_asid(hart, asid);
	else if (form >= FENCE_PAGE && !is_ignored("page"))
		shadow_fence_page(hart, va, form == FENCE_PAGE_OF_ALL, asid);
}

static void fenced(unsigned hart, void *form)
{
	struct hart *own = &side.hart[hart % SHADOW_HARTS];

	if (hart >= SHADOW_HARTS)
		return;
	pthread_mutex_lock(&side.lock);
	fence(hart, (enum fence_form)(uintptr_t)form, own->fence_va, own->fence_asid);
	pthread_mutex_unlock(&side.lock);
}

/* By the firmware, for others: all that they may have asked this hart for. */
static void fenced_for_others(unsigned hart, void *form)
{
	unsigned i;

	if (hart >= SHADOW_HARTS)
		return;
	pthread_mutex_lock(&side.lock);
	shadow.count[COUNT_FIRMWARE_FENCES]++;
	if ((enum fence_form)(uintptr_t)form == FENCE_ALL)
		fence(hart, FENCE_ALL, 0, 0);
	for (i = 0; i < SHADOW_HARTS; i++) {
		const struct hart *by = &side.hart[i];
		uint64_t at;

		if (!by->remote || !(by->remote_harts >> hart & 1))
			continue;
		if (by->remote_bytes == 0 || by->remote_bytes > 4096)
			fence(hart, FENCE_ASID, 0, by->remote_asid);
		for (at = 0; at < by->remote_bytes && by->remote_bytes <= 4096; at += 4096)
			fence(hart, FENCE_PAGE, by->remote_start + at, by->remote_asid);
	}
	pthread_mutex_unlock(&side.lock);
}

static void returned(unsigned hart, void *data)
{
	(void)data;
	if (hart >= SHADOW_HARTS)
		return;
	pthread_mutex_lock(&side.lock);
	side.hart[hart].remote = false;
	withdrawn_return(hart);
	pthread_mutex_unlock(&side.lock);
}

/* ---- Translation. */

static enum fence_form form_of(uint32_t word)
{
	bool page = (word >> 15 & 31) != 0, asid = (word >> 20 & 31) != 0;

	return page ? (asid ? FENCE_PAGE : FENCE_PAGE_OF_ALL) : asid ? FENCE_ASID : FENCE_ALL;
}

static void look_at(struct qemu_plugin_insn *insn, bool kernel)
{
	uint64_t vaddr = qemu_plugin_insn_vaddr(insn);
	unsigned event;
	uint32_t word;

	if (kernel)
		qemu_plugin_register_vcpu_mem_cb(insn, kernel_stored, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W,
						 (void *)(uintptr_t)vaddr);
	if (qemu_plugin_insn_size(insn) != 4)
		return;
	memcpy(&word, qemu_plugin_insn_data(insn), sizeof(word));
	event = word >> 20;
	if (kernel && (word & 0xfffff) == 0x2013 && event >= SHADOW_ROOT && event <= SHADOW_FREE)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, noted, QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)event);
	else if ((word & 0xfe007fff) == 0x12000073)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, kernel ? fenced : fenced_for_others,
						       QEMU_PLUGIN_CB_NO_REGS, (void *)(uintptr_t)form_of(word));
	else if (kernel && word == SRET)
		qemu_plugin_register_vcpu_insn_exec_cb(insn, returned, QEMU_PLUGIN_CB_NO_REGS, NULL);
}

static void find_ram(const struct qemu_plugin_insn *insn, uint64_t vaddr)
{
	uint8_t *at = qemu_plugin_insn_haddr(insn);

	if (at)
		shadow.ram = at - (vaddr - KERNEL_OFFSET - SHADOW_RAM);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
	uint64_t vaddr = qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, 0));
	size_t i, count = qemu_plugin_tb_n_insns(tb);
	bool kernel = is_kernel(vaddr), user = !kernel && !is_firmware(vaddr);

	(void)id;
	if (kernel && !shadow.ram)
		find_ram(qemu_plugin_tb_get_insn(tb, 0), vaddr);
	if (user)
		qemu_plugin_register_vcpu_tb_exec_cb(tb, user_fetched, QEMU_PLUGIN_CB_NO_REGS,
						     (void *)(uintptr_t)vaddr);
	for (i = 0; i < count; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);

		if (user)
			qemu_plugin_register_vcpu_mem_cb(insn, user_accessed, QEMU_PLUGIN_CB_NO_REGS,
							 QEMU_PLUGIN_MEM_RW, NULL);
		else
			look_at(insn, kernel);
	}
}

static void ended(qemu_plugin_id_t id, void *data)
{
	static const char *const names[SHADOW_COUNTS] = { "walks",	 "withdrawn",	"page fences",
							  "asid fences", "full fences", "firmware's",
							  "frees",	 "returns",	"roots" };
	unsigned i;

	(void)id;
	(void)data;
	fprintf(shadow.out, "seen");
	for (i = 0; i < SHADOW_COUNTS; i++)
		fprintf(shadow.out, "%s %lu %s", i ? "," : "", shadow.count[i], names[i]);
	fprintf(shadow.out, "\nreports %u\n", shadow.reports);
	fclose(shadow.out);
}

int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_plugin_info *info, int argc, char **argv)
{
	int i;

	(void)info;
	for (i = 0; i < argc; i++) {
		if (strncmp(argv[i], "out=", 4) == 0)
			shadow.out = fopen(argv[i] + 4, "w");
		else if (strncmp(argv[i], "ram=", 4) == 0)
			shadow.frames = strtoul(argv[i] + 4, NULL, 10) << 8;
		else if (strncmp(argv[i], "ignore=", 7) == 0)
			side.ignore = strdup(argv[i] + 7);
	}
	if (!shadow.out || !shadow.frames)
		return -1;
	shadow.table = calloc(shadow.frames, sizeof(*shadow.table));
	shadow.named = calloc(shadow.frames, sizeof(*shadow.named));
	if (!shadow.table || !shadow.named)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
