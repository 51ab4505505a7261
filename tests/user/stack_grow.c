/* The stack is as large as RLIMIT_STACK says up to a few MiB, zeroed, and private to a child; it grows no further than the limit of now. */
#include "check.h"

#include <sys/resource.h>

static uint64_t descend(unsigned depth)
{
	volatile uint64_t frame[512];

	for (unsigned i = 0; i < 512; i += 64)
		frame[i] = depth + i;
	if (depth == 0)
		return frame[64];
	return descend(depth - 1) + frame[64] - frame[0] - 64;
}

static void deep(void *arg)
{
	(void)arg;
	CHECK_EQ(descend(1000), 64);
}

static void too_deep(void *arg)
{
	struct rlimit limit = { .rlim_cur = 1 * MIB, .rlim_max = 8 * MIB };

	(void)arg;
	CHECK(setrlimit(RLIMIT_STACK, &limit) == 0);
	descend(2000);
}

int main(void)
{
	volatile char large[3 * MIB];
	struct rlimit limit;

	CHECK(getrlimit(RLIMIT_STACK, &limit) == 0);
	CHECK(limit.rlim_cur >= 8 * MIB);
	for (size_t i = 0; i < sizeof(large); i += PAGE)
		large[i] = (char)(i / PAGE);
	child_run(deep, NULL);
	child_dies(too_deep, NULL, SIGSEGV);
	for (size_t i = 0; i < sizeof(large); i += PAGE)
		CHECK_EQ(large[i], (char)(i / PAGE));
	deep(NULL);
	return pass();
}
