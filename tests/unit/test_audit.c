/* The audit sees: each thing that must never be is put in place once, said by its number, and is no more when it is taken back. */
#include "tests/unit/unit.h"

#include "mm/mapping.h"
#include "mm/object_core.h"
#include "mm/slab.h"
#include "mm/view.h"
#include "mm/walk.h"
#include "tests/unit/store.h"

#define ANON_AT	  UINT64_C(0x10000000)
#define SHARED_AT UINT64_C(0x20000000)
#define STORE_AT  UINT64_C(0x30000000)
#define RW	  (PERM_R | PERM_W)

static const struct fake_config machine = { .harts = 2, .asid_bits = 16, .calm = true };
static struct space *space;
static struct object *object;
static struct store store;
static char lines[64][160];
static unsigned said;

static void note(const char *line)
{
	if (said < ARRAY_LEN(lines))
		snprintf(lines[said++], sizeof(lines[0]), "%s", line);
}

/* There is a violation whose text has both in it. */
static void expect(const char *number, const char *text)
{
	bool found = false;
	unsigned wrong;

	said = 0;
	wrong = mm_audit(note);
	for (unsigned i = 0; i < said; i++)
		found |= strncmp(lines[i], number, strlen(number)) == 0 && strstr(lines[i], text) != NULL;
	if (!found)
		fake_fail("the audit says %u things, but not \"%s...%s\"", wrong, number, text);
}

static pfn_t leaf_at(uint64_t va)
{
	pfn_t upper = pte_pfn(pte_load(pt_slot(space->root, pt_index(VADDR(va), PT_ROOT))));

	return pte_pfn(pte_load(pt_slot(upper, pt_index(VADDR(va), 1))));
}

static _Atomic uint64_t *slot_at(uint64_t va)
{
	return pt_slot(leaf_at(va), pt_index(VADDR(va), 0));
}

static struct mapping *mapping_at(uint64_t va)
{
	return table_mapping(frame_of(leaf_at(va)), pt_index(VADDR(va), 0));
}

/* Three pages of each kind are there, of eight: read, and from the second on written; of the store's only the first one. */
static void begin(void)
{
	space = unit_begin(&machine);
	assert_int_equal(object_create(PAGES(8), NULL, 0, &object), 0);
	store_start(&store, 8);
	(void)unit_map(space, ANON_AT, 8, RW);
	(void)unit_map_object(space, SHARED_AT, 8, RW, object, 0, true);
	(void)unit_map_object(space, STORE_AT, 8, RW, store.object, 0, true);
	for (uint64_t i = 0; i < 3; i++) {
		struct fake_op read = { .access = ACCESS_READ }, write = { .access = ACCESS_WRITE, .value = i };

		(void)unit_load(VADDR(ANON_AT + PAGES(i)));
		assert_int_equal(store_user(&store, VADDR(STORE_AT + PAGES(i)), i == 0 ? &read : &write), FAULT_OK);
		unit_store(VADDR(SHARED_AT + PAGES(i)), i);
		if (i != 0)
			unit_store(VADDR(ANON_AT + PAGES(i)), i);
	}
	unit_audit();
}

static void end(void)
{
	object_put(object);
	object_put(store.object);
	unit_end(space);
}

static void entries(void **state)
{
	_Atomic uint64_t *slot;
	pte_t pte;

	(void)state;
	begin();
	slot = slot_at(ANON_AT + PAGES(1));
	pte = pte_load(slot);
	pte_store(slot, pte_leaf(PFN((FAKE_RAM_BASE >> PAGE_SHIFT) + (UINT64_C(1) << 30)), PTE_R));
	expect("4", "not RAM");
	pte_store(slot, PTE(pte.v & ~PTE_MAYWRITE));
	expect("3", "by right");
	pte_store(slot, PTE(pte.v & ~PTE_U)); /* a leaf that is not user's */
	expect("5", "means nothing");
	pte_store(slot, PTE(0));
	expect("5", "entries counts");
	expect("1", "of kind");
	pte_store(slot, pte);
	unit_audit();
	slot = slot_at(ANON_AT); /* the zero frame */
	pte = pte_load(slot);
	pte_store(slot, PTE(pte.v | PTE_W | PTE_MAYWRITE));
	expect("3", "is writable, kind");
	pte_store(slot, pte);
	slot = slot_at(STORE_AT); /* clean */
	pte = pte_load(slot);
	assert_int_equal(pte.v & PTE_W, 0);
	pte_store(slot, PTE(pte.v | PTE_W | PTE_MAYWRITE));
	expect("7", "is writable, and its page clean");
	pte_store(slot, pte);
	slot = pt_slot(space->root, 100);
	pte_store(slot, pte_leaf(PFN(1), PTE_R));
	expect("5", "means nothing");
	pte_store(slot, PTE(0));
	unit_audit();
	end();
}

static void frames(void **state)
{
	struct frame *frame;
	pfn_t pfn;

	(void)state;
	begin();
	frame = frame_of(pte_pfn(pte_load(slot_at(ANON_AT + PAGES(1)))));
	frame->kind = FRAME_KERNEL;
	expect("4", "a frame of kind 2");
	frame->kind = FRAME_ANON;
	atomic_fetch_add(&frame->count, 1);
	expect("3", "count 2");
	expect("1", "has count 2, 1 name it");
	atomic_store(&frame->count, 0);
	frame->kind = FRAME_FREE;
	expect("2", "is free with count 0, 1 name it");
	expect("2", "frames are free, the allocator has");
	frame->kind = FRAME_ANON;
	atomic_store(&frame->count, 1);
	unit_audit();
	frame = frame_of(pte_pfn(pte_load(slot_at(SHARED_AT + PAGES(1)))));
	frame->kind = FRAME_ANON;
	expect("1", "an object's page 1 is of kind 3");
	frame->kind = FRAME_OBJECT;
	assert_int_equal(frame_alloc(FRAME_KERNEL, &pfn), 0);
	frame_put(pfn);
	atomic_store(&frame_of(pfn)->count, 1);
	expect("2", "is free with count 1");
	atomic_store(&frame_of(pfn)->count, 0);
	unit_audit();
	end();
}

static void tables(void **state)
{
	struct frame *leaf, *upper;
	uint64_t groups;

	(void)state;
	begin();
	leaf = frame_of(leaf_at(ANON_AT));
	upper = frame_of(pte_pfn(pte_load(pt_slot(space->root, pt_index(VADDR(ANON_AT), PT_ROOT)))));
	if (!unit_views) {
		atomic_fetch_add(&leaf->count, 1);
		expect("5", "a private table has count 2");
		expect("1", "has count 2, 1 name it");
		atomic_fetch_sub(&leaf->count, 1);
	}
	groups = leaf->table.groups;
	leaf->table.groups = 0;
	expect("5", "not in its table's groups");
	leaf->table.groups = groups;
	leaf->level = 1;
	expect("5", "level 1 for 0");
	leaf->level = 0;
	leaf->kind = FRAME_ANON;
	expect("5", "kind 3, level 0 for 0");
	leaf->kind = FRAME_TABLE;
	upper->table.stale = true;
	expect("5", ", stale");
	upper->table.stale = false;
	upper->table.used++;
	expect("5", "entries counts");
	upper->table.used--;
	unit_audit();
	end();
}

static void descriptors(void **state)
{
	struct mapping *mapping;
	struct list attachments;

	(void)state;
	begin();
	mapping = mapping_at(SHARED_AT);
	atomic_fetch_add(&mapping->slots, 1);
	expect("1", "a mapping descriptor counts 9 slots, 8 name it");
	atomic_fetch_sub(&mapping->slots, 1);
	attachments = mapping->attachments;
	list_init(&mapping->attachments);
	expect("8", "not attached");
	mapping->attachments = attachments;
	/* As if a private one had a page of the object to write to. */
	mapping->shared = false;
	expect("3", "is writable, kind 4");
	mapping->shared = true;
	unit_audit();
	end();
}

static _Atomic(uintptr_t) *node_slot_of(struct object *of, uint64_t i)
{
	struct index_node *leaf = index_node_of(&of->index, i);

	return &leaf->slot[node_slot(leaf, i)];
}

static void objects(void **state)
{
	_Atomic(uintptr_t) *slot;

	(void)state;
	begin();
	assert_int_equal(object_dirty_pages(store.object), 2);
	atomic_fetch_add(&store.object->dirty, 1);
	expect("7", "has 2 dirty pages and counts 3");
	atomic_fetch_sub(&store.object->dirty, 1);
	store.object->store = NULL;
	expect("7", "has no store");
	store.object->store = &store;
	object->store = &store; /* and so its pages should be marked */
	expect("7", "is writable, and its page clean");
	object->store = NULL;
	slot = node_slot_of(object, 1);
	atomic_fetch_or(slot, SLOT_SHARED);
	expect("7", "shared with a clone");
	atomic_fetch_and(slot, ~SLOT_SHARED);
	unit_audit();
	end();
}

static void views(void **state)
{
	struct frame *leaf;
	_Atomic uint64_t *slot;
	uint64_t harts;
	pte_t pte;

	(void)state;
	begin();
	space_threads(space);
	(void)unit_load(VADDR(ANON_AT));
	unit_audit();
	leaf = frame_of(leaf_at(ANON_AT));
	harts = leaf->table.harts;
	leaf->table.harts = 0;
	expect("9", "the view of hart 0");
	leaf->table.harts = harts;
	/* The view still leads to what fork has detached. */
	slot = pt_slot(space->root, pt_index(VADDR(ANON_AT), PT_ROOT));
	pte = pte_load(slot);
	pte_store(slot, pte_detached(pte_pfn(pte)));
	expect("9", "the view of hart 0");
	pte_store(slot, pte);
	/* Or to another table than the space has there. */
	slot = pt_slot(pte_pfn(pte), pt_index(VADDR(ANON_AT), 1));
	pte = pte_load(slot);
	pte_store(slot, pte_load(pt_slot(pte_pfn(pte_load(pt_slot(space->root, 0))), pt_index(VADDR(SHARED_AT), 1))));
	expect("9", "the view of hart 0");
	pte_store(slot, pte);
	unit_audit();
	end();
}

/* Of very many it tells the first ones, and the number of all. */
static void few_are_told(void **state)
{
	struct frame *leaf;
	uint64_t groups;
	unsigned wrong;

	(void)state;
	begin();
	for (uint64_t i = 0; i < 100; i++)
		(void)unit_map(space, ANON_AT + PAGES(16 + 2 * i), 1, RW);
	leaf = frame_of(leaf_at(ANON_AT));
	groups = leaf->table.groups;
	leaf->table.groups = 0;
	said = 0;
	wrong = mm_audit(note);
	assert_true(wrong >= 100);
	assert_in_range(said, 1, 60);
	leaf->table.groups = groups;
	unit_audit();
	end();
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(entries), UNIT_TEST(frames), UNIT_TEST(tables),	UNIT_TEST(descriptors),
	UNIT_TEST(objects), UNIT_TEST(views),  UNIT_TEST(few_are_told),
};

UNIT_MAIN("audit", tests)
