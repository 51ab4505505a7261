/* lib/runtime.c: what the compiler calls for bits, against its own instructions. */
#include "tests/unit/unit.h"

int __ctzdi2(uint64_t x);
int __clzdi2(uint64_t x);
int __popcountdi2(uint64_t x);
int __ffsdi2(uint64_t x);

static int slow_count(uint64_t x)
{
	int n = 0;

	for (; x != 0; x &= x - 1)
		n++;
	return n;
}

static void check(uint64_t x)
{
	int low = 0, high = 0;

	assert_int_equal(__popcountdi2(x), slow_count(x));
	while (x != 0 && (x >> low & 1) == 0)
		low++;
	while (x != 0 && (x << high >> 63) == 0)
		high++;
	assert_int_equal(__ffsdi2(x), x == 0 ? 0 : low + 1);
	if (x == 0)
		return;
	assert_int_equal(__ctzdi2(x), low);
	assert_int_equal(__clzdi2(x), high);
}

static void bits(void **state)
{
	(void)state;
	(void)unit_seed();
	check(0);
	for (unsigned i = 0; i < 64; i++) {
		check(UINT64_C(1) << i);
		check((UINT64_C(1) << i) - 1);
		check(UINT64_MAX << i);
		for (unsigned n = 0; n < 100; n++)
			check((fake_random() << 8 ^ fake_random()) >> i);
	}
}

static const struct CMUnitTest tests[] = { UNIT_TEST(bits) };

UNIT_MAIN("runtime", tests)
