/* Shorthand over mm/space.h for the tests. See unit.h. */
#include "mm/mapping.h"
#include "mm/object.h"
#include "mm/slab.h"
#include "tests/unit/unit.h"

uint64_t unit_free_before;

static void print_line(const char *line)
{
	printf("audit: %s\n", line);
}

void unit_audit(void)
{
	unsigned wrong = mm_audit(print_line);

	if (wrong != 0)
		fake_fail("the audit found %u violations", wrong);
}

unsigned unit_fail_each(int (*op)(void *ctx), void *ctx)
{
	unsigned failures = 0;
	bool hit = true;

	for (uint64_t n = 1; hit; n++) {
		fake_fail_at(n, false);
		int err = op(ctx);
		hit = fake_fail_hit();
		fake_fail_at(0, false);
		unit_audit();
		if (err != 0 && (err != -ENOMEM || !hit))
			fake_fail("allocation %llu of an operation failed, which says %d", (unsigned long long)n, err);
		failures += err != 0;
	}
	return failures;
}

void unit_created(struct space *space)
{
	if (unit_views)
		space_threads(space);
}

struct space *unit_space(void)
{
	struct space *space;

	assert_int_equal(space_create(&space), 0);
	space_switch(space);
	unit_created(space);
	return space;
}

struct space *unit_begin(const struct fake_config *config)
{
	fake_start(config);
	slab_drain();
	unit_free_before = frames_free();
	return unit_space();
}

void unit_end(struct space *space)
{
	unit_audit();
	unit_drop(space);
	unit_audit();
	slab_drain();
	assert_int_equal(frames_free(), unit_free_before);
}

vaddr_t unit_map(struct space *space, uint64_t at, uint64_t pages, uint64_t perm)
{
	vaddr_t va = VADDR(at);

	assert_int_equal(space_map(space, at == 0 ? PLACE_HINT : PLACE_FIXED, &va, PAGES(pages), perm,
				   mapping_anon(MAPPING_FORK_COPY)),
			 0);
	return va;
}

vaddr_t unit_map_object(struct space *space, uint64_t at, uint64_t pages, uint64_t perm, struct object *object,
			uint64_t page, bool shared)
{
	vaddr_t va = VADDR(at);

	assert_int_equal(space_map_object(space, at == 0 ? PLACE_HINT : PLACE_FIXED, &va, PAGES(pages), perm, PERM_RWX,
					  object, PAGES(page), shared),
			 0);
	return va;
}

void unit_store(vaddr_t va, uint64_t value)
{
	assert_int_equal(fake_store(va, value), FAULT_OK);
}

uint64_t unit_load(vaddr_t va)
{
	uint64_t value;

	assert_int_equal(fake_load(va, &value), FAULT_OK);
	return value;
}

void unit_store_in(struct space *space, uint64_t va, uint64_t value)
{
	space_switch(space);
	unit_store(VADDR(va), value);
}

uint64_t unit_load_in(struct space *space, uint64_t va)
{
	space_switch(space);
	return unit_load(VADDR(va));
}

void unit_expect_fault(vaddr_t va, enum access access, enum fault fault)
{
	struct fake_op op = { .access = access };

	assert_int_equal(fake_user(va, &op), fault);
}

void unit_drop(struct space *space)
{
	unsigned here = hw_hart();

	for (unsigned i = 0; i < hw_harts(); i++) {
		fake_hart_enter(i);
		if (space_current() == space)
			space_switch(NULL);
	}
	fake_hart_enter(here);
	space_put(space);
}

pte_t unit_entry(struct space *space, vaddr_t va, unsigned *level)
{
	pfn_t table = space->root;

	for (unsigned at = PT_ROOT;; at--) {
		pte_t pte = pte_load(pt_slot(table, pt_index(va, at)));

		if (at == 0 || !pte_is_table(pte)) {
			if (level != NULL)
				*level = at;
			return pte;
		}
		table = pte_pfn(pte);
	}
}

pfn_t unit_frame_at(struct space *space, uint64_t va)
{
	return pte_pfn(unit_entry(space, VADDR(va), NULL));
}

uint64_t unit_word(struct object *object, uint64_t page)
{
	uint64_t word;

	assert_int_equal(object_read(object, PAGES(page), &word, 8), 8);
	return word;
}

void unit_set_word(struct object *object, uint64_t page, uint64_t word)
{
	assert_int_equal(object_write(object, PAGES(page), &word, 8), 8);
}

int unit_watched;

static void comes(struct mapping_watch *of)
{
	assert_ptr_equal(of, &unit_watch);
	unit_watched++;
}

static void goes(struct mapping_watch *of)
{
	assert_ptr_equal(of, &unit_watch);
	unit_watched--;
}

struct mapping_watch unit_watch = { comes, goes };
