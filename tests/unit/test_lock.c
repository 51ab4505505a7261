/* The rank checker of debug builds: the order is enforced, equal ranks only where they nest. */
#include "tests/unit/unit.h"

static const struct fake_config machine = { .harts = 2, .coremap_only = true };
static struct spinlock one, two;

struct pair {
	enum lock_rank first, second;
};

static void take_both(void *arg)
{
	const struct pair *pair = arg;

	spin_lock(&one, pair->first);
	spin_lock(&two, pair->second);
	spin_unlock(&two, pair->second);
	spin_unlock(&one, pair->first);
}

static bool nests(enum lock_rank rank)
{
	return rank == RANK_FUTEX || rank == RANK_TABLE;
}

static void drop_ranks(void)
{
	for (unsigned r = 0; r < RANK_COUNT; r++)
		while (lock_rank_held((enum lock_rank)r) != 0)
			lock_rank_drop((enum lock_rank)r);
	spin_init(&one);
	spin_init(&two);
}

static void every_pair(void **state)
{
	(void)state;
	fake_start(&machine);
	for (unsigned a = 0; a < RANK_COUNT; a++) {
		for (unsigned b = 0; b < RANK_COUNT; b++) {
			struct pair pair = { (enum lock_rank)a, (enum lock_rank)b };
			const char *text = fake_panic_of(take_both, &pair);
			bool good = a < b || (a == b && nests((enum lock_rank)a));

			if (good != (text == NULL))
				fail_msg("ranks %u then %u: %s", a, b, text == NULL ? "no complaint" : text);
			if (text != NULL)
				assert_non_null(strstr(text, "lock order"));
			drop_ranks();
		}
	}
}

static void drop_unheld(void *arg)
{
	(void)arg;
	lock_rank_drop(RANK_TABLE);
}

static void releasing_what_is_not_held(void **state)
{
	(void)state;
	fake_start(&machine);
	assert_non_null(fake_panic_of(drop_unheld, NULL));
}

static void each_hart_has_its_own(void **state)
{
	(void)state;
	fake_start(&machine);
	spin_lock(&one, RANK_BUDDY);
	fake_hart_enter(1);
	assert_int_equal(lock_rank_held(RANK_BUDDY), 0);
	spin_lock(&two, RANK_TABLE);
	assert_true(spin_is_held(&two));
	assert_false(spin_trylock(&one, RANK_BUDDY));
	assert_int_equal(lock_rank_held(RANK_BUDDY), 0);
	spin_unlock(&two, RANK_TABLE);
	assert_false(spin_is_held(&two));
	assert_true(spin_trylock(&two, RANK_BUDDY));
	assert_int_equal(lock_rank_held(RANK_BUDDY), 1);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(every_pair),
	UNIT_TEST(releasing_what_is_not_held),
	UNIT_TEST(each_hart_has_its_own),
};

UNIT_MAIN("lock", tests)
