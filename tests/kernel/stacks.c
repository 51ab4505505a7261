/*
 * Kernel stacks: each has its guard page, those that are taken come back. With the whole name of a test as the boot argument test= alone, three
 * of them overrun theirs, and the machine ends: test_kernel.py looks at the line.
 */
#include "firmware/stacks.h"

#include <string.h>

#include "firmware/boot.h"
#include "firmware/hart.h"
#include "firmware/memory.h"
#include "kernel/thread.h"
#include "tests/kernel/ktest.h"

#define EMERGENCY_STACK 8192

static bool wanted(const char *name)
{
	const char *given = boot_arg("test");

	return given != NULL && strcmp(given, name) == 0;
}

/* The page below is not mapped; the stack is, to its lowest word. */
static void check_guard(uint64_t top, uint64_t bytes)
{
	uint64_t low = top - bytes;

	KT_CHECK(kmap_is_guard(low - 8) && kmap_is_guard(low - PAGE_SIZE));
	KT_CHECK(!kmap_readable(low - 8) && !kmap_readable(low - PAGE_SIZE));
	for (uint64_t at = low; at < top; at += PAGE_SIZE)
		KT_CHECK(kmap_readable(at) && !kmap_is_guard(at));
}

static void of_this_thread(unsigned index)
{
	(void)index;
	check_guard(current_thread()->stack_top, THREAD_STACK_BYTES);
}

static void guards(void)
{
	for (unsigned i = 0; i < hw_harts(); i++) {
		check_guard(hart_get(i)->kernel_sp, KERNEL_STACK_BYTES);
		check_guard(hart_get(i)->emergency_sp, EMERGENCY_STACK);
	}
	ktest_on_all(of_this_thread);
}

static void take_and_give(unsigned index)
{
	uint64_t mine[8] = { 0 };

	(void)index;
	for (uint64_t step = 0; ktest_more(step, 20000); step++) {
		for (unsigned i = 0; i < ARRAY_LEN(mine) && (mine[i] = stack_take()) != 0; i++)
			*(uint64_t *)(mine[i] - KERNEL_STACK_BYTES) = mine[i] + hw_hart();
		for (unsigned i = 0; i < ARRAY_LEN(mine) && mine[i] != 0; i++) {
			KT_CHECK(*(uint64_t *)(mine[i] - KERNEL_STACK_BYTES) == mine[i] + hw_hart());
			KT_CHECK(stack_give(mine[i]));
		}
	}
}

static void nothing(void *arg)
{
	(void)arg;
}

static void come_back(void)
{
	unsigned left = stacks_left();
	uint64_t first = 0, top;

	while ((top = stack_take()) != 0) {
		check_guard(top, KERNEL_STACK_BYTES);
		*(uint64_t *)(top - KERNEL_STACK_BYTES) = first;
		first = top;
	}
	KT_CHECK(stacks_left() == 0 && left != 0);
	/* Threads have other stacks then. */
	ktest_start(nothing, NULL, UINT64_MAX);
	ktest_wait();
	for (; first != 0; first = top) {
		top = *(uint64_t *)(first - KERNEL_STACK_BYTES);
		KT_CHECK(stack_give(first));
	}
	KT_CHECK(stacks_left() >= left && !stack_give((uint64_t)&left));
	ktest_on_all(take_and_give);
}

/* ---- Those that end the machine. */

static __attribute__((noinline)) uint64_t deeper(uint64_t depth)
{
	volatile uint64_t here[16];

	here[depth % 16] = depth;
	return depth == 0 ? 0 : deeper(depth - 1) + here[depth % 16];
}

static void overrun(void *arg)
{
	(void)arg;
	KT_CHECK(deeper(1U << 20) == 1);
}

static void overrun_of_main(void)
{
	if (wanted("stacks.overrun_of_main"))
		overrun(NULL);
}

static void overrun_of_a_thread(void)
{
	if (!wanted("stacks.overrun_of_a_thread"))
		return;
	ktest_start(overrun, NULL, UINT64_MAX);
	ktest_wait();
}

static __attribute__((noinline)) void write_too_much(size_t bytes)
{
	char room[16];
	char *volatile to = room;

	memset(to, 'x', bytes);
}

static void overwrite(void)
{
	if (wanted("stacks.overwrite"))
		write_too_much(32);
}

static const struct ktest tests[] = {
	{ "guards", guards },
	{ "come_back", come_back },
	{ "overrun_of_main", overrun_of_main },
	{ "overrun_of_a_thread", overrun_of_a_thread },
	{ "overwrite", overwrite },
};

KTEST_SUITE(ktest_stacks, tests);
