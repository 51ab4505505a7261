/* The entry encodings of mm/pte.h: what each kind is, and that no kind is taken for another. */
#include "tests/unit/unit.h"

static const struct fake_config machine = { .harts = 1, .coremap_only = true };

static void kinds_are_apart(pte_t pte, bool valid, bool table, bool page, bool reservation)
{
	assert_int_equal(pte_is_valid(pte), valid);
	assert_int_equal(pte_is_table(pte), table);
	if (!table)
		assert_int_equal(pte_is_page(pte), page);
	assert_int_equal(pte_is_reservation(pte), reservation);
}

static void leaves(void **state)
{
	(void)state;
	fake_start(&machine);
	for (uint64_t bits = 0; bits < 32; bits++) {
		uint64_t rwx = (bits & 7) << 1, rsw = (bits >> 3) << 8;
		pte_t pte;

		if ((rwx & PTE_RWX) == 0 || (rwx & (PTE_R | PTE_W)) == PTE_W)
			continue;
		pte = pte_leaf(PFN(0x80123), rwx | rsw);
		kinds_are_apart(pte, true, false, true, false);
		assert_int_equal(pte_pfn(pte).v, 0x80123);
		assert_int_equal(pte.v & PTE_RWX, rwx);
		assert_int_equal(pte.v & (UINT64_C(3) << 8), rsw);
		assert_true((pte.v & PTE_A) != 0);
		assert_int_equal((pte.v & PTE_D) != 0, (rwx & PTE_W) != 0);
		assert_int_equal(pte.v & PTE_G, 0);
	}
}

static void tables_and_none(void **state)
{
	(void)state;
	fake_start(&machine);
	kinds_are_apart(PTE(0), false, false, false, false);
	assert_true(pte_is_none(PTE(0)));
	kinds_are_apart(pte_table(PFN(0xfffffffffff)), true, true, false, false);
	assert_int_equal(pte_pfn(pte_table(PFN(0xfffffffffff))).v, 0xfffffffffff);
	assert_int_equal(pte_table(PFN(1)).v & (PTE_U | PTE_A | PTE_D | PTE_G | PTE_MAYWRITE), 0);
	assert_int_equal(pte_table(PFN(0xfffffffffff)).v >> 54, 0);
}

static void reservations(void **state)
{
	struct mapping *descriptor;
	pfn_t pfn;

	(void)state;
	fake_start(&machine);
	assert_int_equal(frame_alloc_zeroed(FRAME_KERNEL, &pfn), 0);
	for (uint64_t i = 0; i < PAGE_SIZE / sizeof(struct mapping); i++) {
		descriptor = (struct mapping *)frame_data(pfn) + i;
		for (uint64_t perm = 0; perm <= PERM_RWX; perm += PTE_R) {
			pte_t pte = pte_reservation(descriptor, perm);

			kinds_are_apart(pte, false, false, false, true);
			assert_ptr_equal(pte_mapping(pte), descriptor);
			assert_int_equal(pte.v & PTE_RWX, perm);
			assert_int_equal(pte.v >> 54, 0);
		}
	}
}

static void spans(void **state)
{
	vaddr_t va = VADDR(UINT64_C(0x2aaaaaa123));

	(void)state;
	assert_int_equal(pt_span(0), 4096);
	assert_int_equal(pt_span(1), 2 << 20);
	assert_int_equal(pt_span(2), 1 << 30);
	assert_int_equal(pt_index(va, 2), va.v >> 30);
	assert_int_equal(pt_index(va, 1), (va.v >> 21) & 511);
	assert_int_equal(pt_index(va, 0), (va.v >> 12) & 511);
	assert_int_equal(pt_index(VADDR(USER_END - 1), 2), 255);
}

static void changes_keep_what_hardware_sets(void **state)
{
	_Atomic uint64_t slot;

	(void)state;
	atomic_init(&slot, pte_leaf(PFN(7), PTE_R | PTE_MAYWRITE).v);
	assert_int_equal(pte_set(&slot, PTE_D).v & PTE_D, 0);
	assert_true((pte_clear(&slot, PTE_MAYWRITE).v & PTE_MAYWRITE) != 0);
	assert_int_equal(pte_load(&slot).v, pte_leaf(PFN(7), PTE_R).v | PTE_D);
	assert_int_equal(pte_swap(&slot, PTE(0)).v, pte_leaf(PFN(7), PTE_R).v | PTE_D);
	assert_true(pte_is_none(pte_load(&slot)));
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(leaves),
	UNIT_TEST(tables_and_none),
	UNIT_TEST(reservations),
	UNIT_TEST(spans),
	UNIT_TEST(changes_keep_what_hardware_sets),
};

UNIT_MAIN("pte", tests)
