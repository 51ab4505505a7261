/*
 * The marks of pages in an index: dirty, and for backed objects which have been looked up lately. Contract: index.h.
 *
 * The dirty marks change under the object's lock. The others are guesses: they are changed by look-ups, which take no lock and so as
 * to write the node's line only where a mark is not as it should be, and by whoever evicts. All of them relaxed.
 */
#include "mm/index.h"

#include "lib/check.h"

static bool has(const _Atomic uint64_t *marks, uint64_t bit)
{
	return (atomic_load_explicit(marks, memory_order_relaxed) & bit) != 0;
}

static void set(_Atomic uint64_t *marks, uint64_t bit)
{
	atomic_fetch_or_explicit(marks, bit, memory_order_relaxed);
}

static bool clear(_Atomic uint64_t *marks, uint64_t bit)
{
	return (atomic_fetch_and_explicit(marks, ~bit, memory_order_relaxed) & bit) != 0;
}

void index_note_new(struct index_node *leaf, uint64_t i, bool ahead)
{
	uint64_t bit = UINT64_C(1) << node_slot(leaf, i);

	set(&leaf->used, bit);
	(void)clear(&leaf->seen, bit);
	if (ahead)
		set(&leaf->ahead, bit);
	else
		(void)clear(&leaf->ahead, bit);
}

bool index_note_use(struct index_node *leaf, uint64_t i, bool again)
{
	uint64_t bit = UINT64_C(1) << node_slot(leaf, i);

	if (!has(&leaf->seen, bit)) {
		set(&leaf->seen, bit);
		(void)clear(&leaf->used, bit);
	} else if (again && !has(&leaf->used, bit)) {
		set(&leaf->used, bit);
	}
	return UNLIKELY(has(&leaf->ahead, bit)) && clear(&leaf->ahead, bit);
}

uint64_t index_forget_use(struct index_node *leaf, uint64_t pages)
{
	return (atomic_load_explicit(&leaf->used, memory_order_relaxed) & pages) == 0
		       ? 0
		       : atomic_fetch_and_explicit(&leaf->used, ~pages, memory_order_relaxed) & pages;
}

/* ---- Dirty marks. */

/* The nodes from the root to page i's, which are all there. How many. */
static unsigned path_to(const struct index *index, uint64_t i, struct index_node **path)
{
	struct index_node *node = (struct index_node *)slot_load(&index->root);
	unsigned n = 0;

	while (node != NULL) {
		path[n++] = node;
		node = node->shift == 0 ? NULL : (struct index_node *)slot_load(&node->slot[node_slot(node, i)]);
	}
	return n;
}

bool index_mark(struct index *index, uint64_t i)
{
	struct index_node *path[INDEX_DEPTH];
	unsigned n = path_to(index, i, path);

	CHECK(n != 0);

	bool new = (path[n - 1]->dirty >> node_slot(path[n - 1], i) & 1) == 0;

	while (n-- != 0)
		path[n]->dirty |= UINT64_C(1) << node_slot(path[n], i);
	return new;
}

bool index_unmark(struct index *index, uint64_t i)
{
	struct index_node *path[INDEX_DEPTH];
	unsigned n = path_to(index, i, path);

	CHECK(n != 0);

	bool was = (path[n - 1]->dirty >> node_slot(path[n - 1], i) & 1) != 0;

	while (n-- != 0) {
		path[n]->dirty &= ~(UINT64_C(1) << node_slot(path[n], i));
		if (path[n]->dirty != 0)
			break;
	}
	return was;
}

static uint64_t dirty_below(const struct index_node *node, uint64_t at, uint64_t i)
{
	unsigned s = i <= at ? 0 : node_slot(node, i);
	uint64_t marks = node->dirty & (UINT64_MAX << s);

	for (; marks != 0; marks &= marks - 1) {
		uint64_t base = at + (uint64_t)__builtin_ctzll(marks) * node_span(node);
		uint64_t found = base;

		if (node->shift != 0)
			found = dirty_below((const struct index_node *)slot_load(&node->slot[node_slot(node, base)]),
					    base, i);
		if (found != UINT64_MAX)
			return found;
	}
	return UINT64_MAX;
}

uint64_t index_next_dirty(const struct index *index, uint64_t i)
{
	const struct index_node *root = (const struct index_node *)slot_load(&index->root);

	return node_reaches(root, i) ? dirty_below(root, 0, i) : UINT64_MAX;
}
