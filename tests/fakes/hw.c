/*
 * The fake machine: RAM, harts, interrupts, panics. See fake.h.
 *
 * Whoever runs a hart holds its `owner` mutex. A hart that waits (hw_relax) takes pending interrupts on behalf of harts
 * that nobody runs. That is all the synchronisation there is between harts, so that a race in mm/ stays one for TSan.
 */
#define _GNU_SOURCE
#include "tests/fakes/fake.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define NO_HART UINT32_MAX

_Thread_local unsigned fake_hart_index;
void *fake_local[HW_MAX_HARTS];
uint64_t fake_ticks;
uintptr_t fake_direct_offset;
struct frame *fake_coremap_array;
bool fake_calm;
_Thread_local unsigned fake_direct_countdown;

static struct fake_hart {
	pthread_mutex_t owner;
	_Atomic bool pending; /* sip.SSIP */
	struct fake_counts counts;
} CACHE_ALIGNED harts[HW_MAX_HARTS];

void (*fake_window)(void);
void (*fake_waiting)(void);
static struct fake_config machine;
static _Thread_local unsigned entered = NO_HART;
static _Thread_local bool serving;
static _Thread_local uint64_t random_state = 1;
static _Thread_local jmp_buf *panic_exit;
static _Thread_local char panic_text[512];

/* ---- Random numbers: xorshift64*. */

void fake_seed(uint64_t seed)
{
	random_state = seed * 2 + 1;
	for (int i = 0; i < 8; i++)
		(void)fake_random();
}

uint64_t fake_random(void)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * UINT64_C(0x2545F4914F6CDD1D)) >> 8;
}

uint64_t fake_below(uint64_t limit)
{
	return fake_random() % limit;
}

/* ---- Panics. */

void fake_fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "FAIL (hart %u): ", fake_hart_index);
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	va_end(args);
	fflush(NULL);
	abort();
}

void hw_panic(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(panic_text, sizeof(panic_text), fmt, args);
	va_end(args);
	if (panic_exit != NULL)
		longjmp(*panic_exit, 1);
	fake_fail("panic: %s", panic_text);
}

const char *fake_panic_of(void (*fn)(void *), void *arg)
{
	jmp_buf here;
	jmp_buf *volatile before = panic_exit;
	const char *volatile text = NULL;

	if (setjmp(here) == 0) {
		panic_exit = &here;
		fn(arg);
	} else {
		text = panic_text;
	}
	panic_exit = before;
	return text;
}

/* ---- Memory. */

static void *arena_map(uint64_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		fake_fail("no address space for %llu bytes", (unsigned long long)bytes);
	return at;
}

static void memory_init(const struct fake_config *config)
{
	uint64_t first = FAKE_RAM_BASE >> PAGE_SHIFT;
	uint64_t frames = config->bytes >> PAGE_SHIFT;
	char *ram = arena_map(config->bytes);
	struct frame *coremap = arena_map(ALIGN_UP(frames * sizeof(struct frame), PAGE_SIZE));

	fake_direct_offset = (uintptr_t)ram - FAKE_RAM_BASE;
	fake_coremap_array = (struct frame *)((uintptr_t)coremap - first * sizeof(struct frame));
	if (config->hole_bytes != 0)
		mprotect(ram + config->hole_start, config->hole_bytes, PROT_NONE);
	fake_alloc_init(frames, first);
}

static void coremap_start(const struct fake_config *config)
{
	uint64_t base = FAKE_RAM_BASE, end = base + config->bytes;
	uint64_t hole = base + config->hole_start;
	static struct phys_range ram[2], reserved[2]; /* mm keeps them */
	size_t nram = 1, nreserved = 1;

	ram[0] = (struct phys_range){ PADDR(base), PADDR(end) };
	reserved[0] = (struct phys_range){ PADDR(base), PADDR(base + config->reserved) };
	if (config->hole_bytes != 0) {
		ram[0].end = PADDR(hole);
		ram[1] = (struct phys_range){ PADDR(hole + config->hole_bytes), PADDR(end) };
		nram = 2;
	}
	if (config->reserved_bytes != 0) {
		uint64_t at = base + config->reserved_at;

		reserved[1] = (struct phys_range){ PADDR(at), PADDR(at + config->reserved_bytes) };
		nreserved = 2;
	}
	coremap_init(ram, nram, reserved, nreserved);
}

void fake_start(const struct fake_config *config)
{
	machine = *config;
	if (machine.harts == 0)
		machine.harts = 1;
	if (machine.bytes == 0)
		machine.bytes = UINT64_C(32) << 20;
	if (machine.reserved == 0)
		machine.reserved = UINT64_C(1) << 20;
	fake_calm = machine.calm;
	for (unsigned i = 0; i < HW_MAX_HARTS; i++)
		pthread_mutex_init(&harts[i].owner, NULL);
	memory_init(&machine);
	fake_tlb_init(&machine);
	fake_hart_enter(0);
	coremap_start(&machine);
	if (!machine.coremap_only)
		mm_init(!machine.rfence);
}

void hw_page_copy(void *dst, const void *src)
{
	const _Atomic uint64_t *from = src;
	uint64_t *to = dst;

	ASSERT(((uintptr_t)dst & PAGE_MASK) == 0 && ((uintptr_t)src & PAGE_MASK) == 0);
	/* relaxed: programs may be writing the source (a private copy of a shared page); the copy must be private */
	for (size_t i = 0; i < PAGE_SIZE / 8; i++)
		to[i] = atomic_load_explicit(&from[i], memory_order_relaxed);
	fake_jitter();
}

void hw_page_clear(void *page)
{
	ASSERT(((uintptr_t)page & PAGE_MASK) == 0);
	memset(page, 0, PAGE_SIZE);
}

/* ---- Harts. */

unsigned hw_harts(void)
{
	return machine.harts;
}

unsigned hw_asid_bits(void)
{
	return machine.asid_bits;
}

struct fake_counts *fake_counts(unsigned hart)
{
	return &harts[hart].counts;
}

void fake_counts_reset(void)
{
	for (unsigned i = 0; i < HW_MAX_HARTS; i++)
		harts[i].counts = (struct fake_counts){ 0 };
}

/* Takes what is pending on the hart that the calling thread is, for now. Never nested: SSIP is masked meanwhile. */
static void serve(void)
{
	struct fake_hart *self = &harts[fake_hart_index];

	/* acq_rel: pairs with hw_send_ipi: what was written before it is seen by the handler */
	if (serving || machine.coremap_only || !atomic_exchange_explicit(&self->pending, false, memory_order_acq_rel))
		return;
	serving = true;
	tlb_serve();
	serving = false;
}

void fake_interrupts(void)
{
	serve();
}

void fake_hart_leave(void)
{
	if (entered == NO_HART)
		return;
	pthread_mutex_unlock(&harts[entered].owner);
	entered = NO_HART;
}

void fake_hart_enter(unsigned hart)
{
	if (hart >= machine.harts)
		fake_fail("no hart %u", hart);
	if (entered != hart) {
		fake_hart_leave();
		pthread_mutex_lock(&harts[hart].owner);
		entered = hart;
		fake_hart_index = hart;
	}
	serve();
}

bool fake_access_on(unsigned hart, vaddr_t va, struct fake_op *op)
{
	unsigned self = fake_hart_index;
	bool done;

	fake_hart_index = hart;
	done = fake_access(va, op);
	fake_hart_index = self;
	return done;
}

static void serve_others(void)
{
	unsigned self = fake_hart_index;

	for (unsigned i = 0; i < machine.harts; i++) {
		if (i == self || !atomic_load_explicit(&harts[i].pending, memory_order_relaxed) ||
		    pthread_mutex_trylock(&harts[i].owner) != 0)
			continue;
		fake_hart_index = i;
		serve();
		fake_hart_index = self;
		pthread_mutex_unlock(&harts[i].owner);
	}
}

void hw_relax(void)
{
	if (fake_waiting != NULL)
		fake_waiting();
	serve();
	if (!serving)
		serve_others();
	fake_jitter();
	sched_yield();
}

void hw_send_ipi(uint64_t set)
{
	if (fake_window != NULL)
		fake_window();
	fake_jitter();
	harts[fake_hart_index].counts.ipi_calls++;
	for (unsigned i = 0; i < HW_MAX_HARTS; i++) {
		if ((set >> i & 1) == 0)
			continue;
		if (i >= machine.harts)
			fake_fail("IPI to hart %u, which does not exist", i);
		__atomic_fetch_add(&harts[i].counts.ipis, 1, __ATOMIC_RELAXED);
		/* release: pairs with serve() */
		atomic_store_explicit(&harts[i].pending, true, memory_order_release);
	}
	fake_jitter();
}

void hw_fence_i(void)
{
	harts[fake_hart_index].counts.fence_i++;
}

void hw_remote_fence_i(uint64_t set)
{
	for (unsigned i = 0; i < machine.harts; i++)
		if ((set >> i & 1) != 0)
			__atomic_fetch_add(&harts[i].counts.fence_i, 1, __ATOMIC_RELAXED);
}

/* ---- Roots. */

void hw_set_root(pfn_t root, uint16_t asid)
{
	if (machine.asid_bits < 16 && asid >> machine.asid_bits != 0)
		fake_fail("ASID %u does not fit %u bits", asid, machine.asid_bits);
	fake_tlb_root(fake_hart_index, root, asid);
}

void hw_set_kernel_root(void)
{
	fake_tlb_root(fake_hart_index, PFN(0), 0);
}

/* A recognisable kernel half: it must stay as it is, and count nowhere. */
void hw_init_root(pfn_t root)
{
	for (unsigned i = PT_ENTRIES / 2; i < PT_ENTRIES; i++)
		pte_store(pt_slot(root, i), PTE(((uint64_t)i << 28) | PTE_V | PTE_R | PTE_W | PTE_G | PTE_A | PTE_D));
}

void fake_direct_pause(void)
{
	fake_direct_countdown = 1 + (unsigned)fake_below(100);
	sched_yield();
}

void fake_nervous(void)
{
	fake_direct_countdown = 1;
}

void fake_jitter(void)
{
	if (fake_calm)
		return;
	if (fake_below(16) == 0)
		fake_speculate(fake_hart_index);
	if (fake_below(fake_direct_countdown != 0 ? 4 : 64) == 0)
		sched_yield();
}

void hw_set_local(unsigned hart, void *local)
{
	fake_local[hart] = local;
}
