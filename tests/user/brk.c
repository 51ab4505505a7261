/* brk grows zeroed memory, gives it back when shrunk, and says where it is when it cannot do what it is asked. */
#include "check.h"

static uintptr_t set(uintptr_t to)
{
	return (uintptr_t)syscall(SYS_brk, to);
}

static void child(void *arg)
{
	char *start = arg;

	CHECK_EQ(start[0], 'a');
	start[0] = 'c';
	CHECK_EQ(set((uintptr_t)start + 40 * PAGE), (uintptr_t)start + 40 * PAGE);
	memset(start, 'c', 40 * PAGE);
}

int main(void)
{
	uintptr_t base = (set(0) + PAGE - 1) & ~(PAGE - 1);
	char *start = (char *)base;

	probe_init();
	CHECK_EQ(set(base), base);
	CHECK_EQ(probe_write(start, 1), SEGV_MAPERR);
	CHECK_EQ(set(base + 100), base + 100);
	pages_verify_zero(start, PAGE);
	CHECK_EQ(set(base + 600 * PAGE), base + 600 * PAGE);
	pages_verify_zero(start, 600 * PAGE);
	memset(start, 'a', 600 * PAGE);
	CHECK_EQ(set(base + 10 * PAGE + 5), base + 10 * PAGE + 5);
	CHECK_EQ(probe_read(start + 11 * PAGE), SEGV_MAPERR);
	CHECK_EQ(start[10 * PAGE], 'a');
	CHECK_EQ(set(base + 20 * PAGE), base + 20 * PAGE);
	pages_verify_zero(start + 11 * PAGE, 9 * PAGE);
	CHECK_EQ(set(1), base + 20 * PAGE);
	CHECK_EQ(set(~0UL), base + 20 * PAGE);
	CHECK_EQ(set(0xffffffc080000000UL), base + 20 * PAGE);
	child_run(child, start);
	CHECK_EQ(start[0], 'a');
	CHECK_EQ(set(0), base + 20 * PAGE);

	/* It does not run over a mapping that is in its way. */
	CHECK(mmap(start + 30 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      start + 30 * PAGE);
	start[30 * PAGE] = 'm';
	CHECK_EQ(set(base + 40 * PAGE), base + 20 * PAGE);
	CHECK_EQ(start[30 * PAGE], 'm');
	CHECK_EQ(set(base), base);
	CHECK_EQ(probe_read(start), SEGV_MAPERR);
	CHECK_EQ(start[30 * PAGE], 'm');
	return pass();
}
