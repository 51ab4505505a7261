/*
 * The floor: what the machine itself asks for. The bare trap is a system call whose number no kernel has: entry, one
 * comparison, exit, and no call that could be more or less clever. The copy and the clear of a page are written out
 * here, 32 words a turn, because a fault has to do the same and no library stands between. null_syscall is getppid, by
 * the instruction and not by the library: the cheapest call that does something.
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "user/bench/bench.h"
#include "user/bench/region.h"

/* Beyond every kernel's table, and positive: Linux treats -1 in a way of its own. */
#define NO_SYSTEM_CALL 0x7fff

static struct {
	struct region region; /* two pages: a source and a target */
	uint64_t salt;
} floor_state;

#ifdef __riscv
static inline long trap(long number)
{
	register long a7 __asm__("a7") = number;
	register long a0 __asm__("a0");

	__asm__ volatile("ecall" : "=r"(a0) : "r"(a7) : "memory");
	return a0;
}
#else
static inline long trap(long number)
{
	long value = syscall(number);

	return value < 0 ? -errno : value;
}
#endif

#define WORDS_4(OP, i)	OP(i) OP((i) + 1) OP((i) + 2) OP((i) + 3)
#define WORDS_16(OP, i) WORDS_4(OP, i) WORDS_4(OP, (i) + 4) WORDS_4(OP, (i) + 8) WORDS_4(OP, (i) + 12)
#define WORDS_32(OP)	WORDS_16(OP, 0) WORDS_16(OP, 16)
#define COPY_WORD(i)	to[i] = from[i];
#define CLEAR_WORD(i)	to[i] = 0;

static __attribute__((noinline)) void page_copy(volatile uint64_t *to, const volatile uint64_t *from)
{
	const volatile uint64_t *end = from + REGION_WORDS;

	for (; from != end; from += 32, to += 32) {
		WORDS_32(COPY_WORD)
	}
}

static __attribute__((noinline)) void page_clear(volatile uint64_t *to)
{
	const volatile uint64_t *end = to + REGION_WORDS;

	for (; to != end; to += 32) {
		WORDS_32(CLEAR_WORD)
	}
}

static enum bench_status floor_setup(struct bench_run *run)
{
	errno = -region_map(&floor_state.region, 2 * REGION_PAGE);
	if (errno)
		return bench_errno(run, "mmap");
	return BENCH_OK;
}

static enum bench_status floor_teardown(struct bench_run *run)
{
	errno = -region_unmap(&floor_state.region);
	return errno ? bench_errno(run, "munmap") : BENCH_OK;
}

static uint64_t *page(unsigned index)
{
	return (uint64_t *)(floor_state.region.base + index * REGION_PAGE);
}

static enum bench_status null_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left;
	long value = 0;

	bench_timer_start(&timer);
	for (left = run->batch; left; left--)
		value = trap(SYS_getppid);
	bench_timer_stop(&timer, sample, run->batch);
	if (value != (long)getppid())
		return bench_fail(run, "getppid said %ld, it is %ld", value, (long)getppid());
	return BENCH_OK;
}

static enum bench_status trap_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left;
	long value = -ENOSYS;

	bench_timer_start(&timer);
	for (left = run->batch; left; left--)
		value = trap(NO_SYSTEM_CALL);
	bench_timer_stop(&timer, sample, run->batch);
	if (value != -ENOSYS)
		return bench_fail(run, "a call that does not exist returned %ld", value);
	return BENCH_OK;
}

/* Page 0 gets a new pattern, page 1 the opposite of it: a copy that does nothing is seen. */
static void pages_prepare(void)
{
	size_t i;

	region_fill(&floor_state.region, ++floor_state.salt);
	for (i = 0; i < REGION_WORDS; i++)
		page(1)[i] = ~page(0)[i];
}

static enum bench_status pages_check(struct bench_run *run, const uint64_t *expected)
{
	if (memcmp(page(1), expected, REGION_PAGE) != 0)
		return bench_fail(run, "wrong data: the page is not what was stored to it");
	return BENCH_OK;
}

static enum bench_status copy_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left;

	pages_prepare();
	bench_timer_start(&timer);
	for (left = run->batch; left; left--)
		page_copy(page(1), page(0));
	bench_timer_stop(&timer, sample, run->batch);
	return pages_check(run, page(0));
}

static enum bench_status clear_round(struct bench_run *run, struct bench_sample *sample)
{
	static const uint64_t zero[REGION_WORDS];
	struct bench_timer timer;
	uint64_t left;

	pages_prepare();
	bench_timer_start(&timer);
	for (left = run->batch; left; left--)
		page_clear(page(1));
	bench_timer_stop(&timer, sample, run->batch);
	return pages_check(run, zero);
}

static enum bench_status floor_round(struct bench_run *run, struct bench_sample *sample)
{
	struct bench_timer timer;
	uint64_t left;

	pages_prepare();
	bench_timer_start(&timer);
	for (left = run->batch; left; left--) {
		trap(NO_SYSTEM_CALL);
		page_copy(page(1), page(0));
	}
	bench_timer_stop(&timer, sample, run->batch);
	return pages_check(run, page(0));
}

const struct bench_family null_syscall = {
	.name = "null_syscall",
	.unit = "call",
	.scales = true,
	.round = null_round,
};
const struct bench_family floor_all = {
	.name = "floor",
	.unit = "page",
	.scales = true,
	.setup = floor_setup,
	.round = floor_round,
	.teardown = floor_teardown,
};
const struct bench_family floor_trap = {
	.name = "floor/trap",
	.unit = "call",
	.scales = true,
	.round = trap_round,
};
const struct bench_family floor_copy = {
	.name = "floor/copy",
	.unit = "page",
	.scales = true,
	.setup = floor_setup,
	.round = copy_round,
	.teardown = floor_teardown,
};
const struct bench_family floor_clear = {
	.name = "floor/clear",
	.unit = "page",
	.scales = true,
	.setup = floor_setup,
	.round = clear_round,
	.teardown = floor_teardown,
};
