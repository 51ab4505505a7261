/*
 * Harts as threads in several spaces: forks while others write, siblings that break the same frames, shared objects, ASIDs
 * used again. Each test says what must hold whatever the order.
 */
#include "tests/unit/threads.h"

static struct object *object;

/* ---- The same pages, a word each for each hart, while the space is forked and protected: no write is ever lost. */

static _Atomic uint64_t written[PAGES_SHARED][HARTS];

/* What another hart said that it has written is there, on whatever frame the page is by now. */
static void read_slot(unsigned page, unsigned hart)
{
	uint64_t said = written[page][hart];

	MUST(must_load(slot_va(page, hart)) >= said);
}

static void write_slots(unsigned hart, uint64_t *round)
{
	(*round)++;
	for (unsigned page = 0; page < PAGES_SHARED; page++) {
		MUST(must_load(slot_va(page, hart)) == *round - 1);
		if (fake_below(4) == 0)
			MUST(user_write(common, slot_va(page, hart), round, 8) == 0);
		else
			must_store(slot_va(page, hart), *round);
		written[page][hart] = *round;
		for (unsigned i = 0; i < 4; i++)
			read_slot((unsigned)fake_below(PAGES_SHARED), (unsigned)fake_below(HARTS));
	}
}

/* A child is a snapshot: of each writer, rounds descend from the first page to the last, by one at most; and it stays. */
static void check_child(unsigned hart, uint64_t own_round)
{
	uint64_t first[HARTS], last[HARTS];

	for (unsigned h = 0; h < HARTS; h++) {
		first[h] = last[h] = must_load(slot_va(0, h));
		for (unsigned page = 1; page < PAGES_SHARED; page++) {
			uint64_t value = must_load(slot_va(page, h));

			MUST(value == last[h] || (value + 1 == last[h] && last[h] == first[h]));
			last[h] = value;
		}
	}
	MUST(first[hart] == own_round && last[hart] == own_round);
	for (unsigned page = 0; page < PAGES_SHARED; page++)
		must_store(slot_va(page, hart), UINT64_C(0xc0c0c0c0) + page);
	for (unsigned h = 0; h < HARTS; h++) {
		if (h == hart)
			continue;
		MUST(must_load(slot_va(0, h)) == first[h]);
		MUST(must_load(slot_va(PAGES_SHARED - 1, h)) == last[h]);
	}
}

static void fork_and_write(unsigned hart)
{
	uint64_t round = 0;

	for (unsigned step = 0; step < unit_steps(60); step++) {
		struct space *child;

		write_slots(hart, &round);
		if (fake_below(4) != 0)
			continue;
		MUST(space_fork(common, &child) == 0);
		space_switch(child);
		check_child(hart, round);
		space_switch(common);
		space_put(child);
	}
}

static void forks_lose_no_write(const struct fake_config *config)
{
	start(config);
	(void)unit_map(common, BASE, PAGES_SHARED, RW);
	run(fork_and_write);
	end();
}

static void forks_by_ipi(void **state)
{
	(void)state;
	forks_lose_no_write(&by_ipi);
}

static void forks_by_rfence(void **state)
{
	(void)state;
	forks_lose_no_write(&by_rfence);
}

static void forks_without_asids(void **state)
{
	(void)state;
	forks_lose_no_write(&no_asid);
}

static void forks_with_few_asids(void **state)
{
	(void)state;
	forks_lose_no_write(&few_asids);
}

/* ---- A shared object in a space for each hart: all see the same frames, forks included. */

static void shared_object(unsigned hart)
{
	struct space *own;
	vaddr_t va = VADDR(BASE);

	MUST(space_create(&own) == 0);
	MUST(space_map_object(own, PLACE_FIXED, &va, PAGES(PAGES_SHARED), RW, RW, object, 0, true) == 0);
	space_switch(own);
	for (uint64_t step = 1; step < unit_steps(300); step++) {
		unsigned page = (unsigned)fake_below(PAGES_SHARED);
		uint64_t value;
		struct space *child;

		must_store(slot_va(page, hart), step);
		MUST(object_read(object, PAGES(page) + 64 * hart, &value, 8) == 8);
		MUST(value == step);
		value = step + 1000;
		MUST(object_write(object, PAGES(page) + 64 * hart, &value, 8) == 8);
		MUST(must_load(slot_va(page, hart)) == value);
		if (fake_below(16) != 0)
			continue;
		MUST(space_fork(own, &child) == 0);
		space_switch(child);
		must_store(slot_va(page, hart), step + 7);
		space_switch(own);
		space_put(child);
		MUST(must_load(slot_va(page, hart)) == step + 7);
		if (fake_below(4) == 0)
			MUST(space_discard(own, VADDR(BASE), PAGES(PAGES_SHARED)) == 0);
	}
	space_switch(NULL);
	space_put(own);
}

static void shared_pages_are_shared(void **state)
{
	(void)state;
	start(&few_asids);
	assert_int_equal(object_create(PAGES(PAGES_SHARED), NULL, 0, &object), 0);
	run(shared_object);
	object_put(object);
	end();
}

/* ---- Spaces made and ended on all harts, siblings breaking the same frames. */

static void siblings(unsigned hart)
{
	struct space *mine;

	MUST(space_fork(common, &mine) == 0);
	space_switch(mine);
	for (unsigned step = 0; step < unit_steps(40); step++) {
		struct space *next;

		for (unsigned page = 0; page < PAGES_SHARED; page++) {
			MUST(must_load(slot_va(page, HARTS)) == page);
			must_store(slot_va(page, hart), step);
			MUST(must_load(slot_va(page, (hart + 1) % HARTS)) == 0);
		}
		MUST(space_fork(fake_below(3) == 0 ? mine : common, &next) == 0);
		space_switch(next);
		space_put(mine);
		mine = next;
		for (unsigned page = 0; page < PAGES_SHARED; page++)
			MUST(must_load(slot_va(page, hart)) % unit_steps(40) <= step);
	}
	space_switch(NULL);
	space_put(mine);
}

static void siblings_are_apart(void **state)
{
	(void)state;
	start(&few_asids);
	(void)unit_map(common, BASE, PAGES_SHARED, RW);
	space_switch(common);
	for (unsigned page = 0; page < PAGES_SHARED; page++)
		unit_store(slot_va(page, HARTS), page);
	space_switch(NULL);
	run(siblings);
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(forks_by_ipi),	 UNIT_TEST(forks_by_rfence),	     UNIT_TEST(forks_without_asids),
	UNIT_TEST(forks_with_few_asids), UNIT_TEST(shared_pages_are_shared), UNIT_TEST(siblings_are_apart),
};

UNIT_MAIN_SHARING("siblings", tests)
