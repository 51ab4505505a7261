/*
 * The index of a memory object. Contract: index.h.
 *
 * Invariants: a node with one reference belongs to one index, and changes only under its object's lock; one with more is the
 * same for all that name it, and everything below is shared too, whatever the references there say. Whoever wants to
 * change it copies it: nodes below get a reference more, frames a count, and their slots SLOT_SHARED, in both. So clones
 * of clones are no chain: there is one tree for each, with parts in common.
 * Memory order: slots are stored with release and loaded with acquire, so that what they point to is seen filled.
 * `references` goes down with release and is looked at with acquire: whoever finds itself alone sees what the others
 * noted in the node (SLOT_SHARED) before they let go of it.
 * Does not: wait for walks. A node or frame that was taken out may be in use by whoever found it before; see index.h.
 */
#include "mm/index.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/slab.h"

static void store(_Atomic(uintptr_t) *slot, uintptr_t value)
{
	/* release: pairs with the acquire in slot_load */
	atomic_store_explicit(slot, value, memory_order_release);
}

static bool node_is_shared(const struct index_node *node)
{
	/* acquire: pairs with the release in index_node_put */
	return atomic_load_explicit(&node->references, memory_order_acquire) != 1;
}

static struct index_node *node_new(unsigned shift)
{
	struct index_node *node = kalloc(sizeof(*node));

	if (node != NULL) {
		node->shift = (uint8_t)shift;
		atomic_init(&node->references, 1);
	}
	return node;
}

uintptr_t index_find_own(const struct index *index, uint64_t i)
{
	const struct index_node *node = (const struct index_node *)slot_load(&index->root);
	uintptr_t shared = 0;

	if (!node_reaches(node, i))
		return 0;
	for (;;) {
		uintptr_t slot;

		if (node_is_shared(node))
			shared = SLOT_SHARED;
		slot = slot_load(&node->slot[node_slot(node, i)]);
		if (slot == 0)
			return 0;
		if (node->shift == 0)
			return slot | shared;
		node = (const struct index_node *)slot;
	}
}

bool index_is_shared(const struct index *index, uint64_t i)
{
	const struct index_node *node = (const struct index_node *)slot_load(&index->root);

	if (!node_reaches(node, i))
		return false; /* the nodes above it, and on the way from there, will be new */
	while (node != NULL) {
		if (node_is_shared(node))
			return true;
		if (node->shift == 0)
			break;
		node = (const struct index_node *)slot_load(&node->slot[node_slot(node, i)]);
	}
	return false;
}

/* ---- Sharing. */

static void node_free(struct index_node *node)
{
	for (unsigned i = 0; i < INDEX_SLOTS; i++) {
		uintptr_t slot = atomic_load_explicit(&node->slot[i], memory_order_relaxed);

		if (slot == 0)
			continue;
		if (node->shift != 0)
			index_node_put((struct index_node *)slot);
		else if (slot_has_frame(slot))
			frame_put(slot_pfn(slot));
	}
	kfree(node);
}

void index_node_put(struct index_node *node)
{
	/* acq_rel: what others did below is done before the last one frees it; pairs also with node_is_shared */
	uint32_t old = atomic_fetch_sub_explicit(&node->references, 1, memory_order_acq_rel);

	CHECK(old != 0);
	if (old == 1)
		node_free(node);
}

/* One more index names what is in this slot. False: it has as many as can be. */
static bool slot_share(const struct index_node *node, _Atomic(uintptr_t) *at)
{
	uintptr_t slot = slot_load(at);

	if (slot == 0)
		return true;
	if (node->shift != 0) {
		struct index_node *below = (struct index_node *)slot;

		/* relaxed: the node above, which we hold, keeps it */
		if (atomic_fetch_add_explicit(&below->references, 1, memory_order_relaxed) < UINT32_MAX / 2)
			return true;
		/* relaxed: it was ours alone, and nobody came by it. */
		atomic_fetch_sub_explicit(&below->references, 1, memory_order_relaxed);
		return false;
	}
	if (!slot_has_frame(slot))
		return true;
	if (!frame_get(slot_pfn(slot)))
		return false;
	/* release: pairs with slot_load; what others read here is at worst that it is shared when it is no more */
	atomic_fetch_or_explicit(at, SLOT_SHARED, memory_order_release);
	return true;
}

bool index_share(struct index *index, uint64_t i, uintptr_t *out)
{
	struct index_node *node = (struct index_node *)slot_load(&index->root);

	*out = 0;
	if (!node_reaches(node, i))
		return true;
	while (node != NULL && node->shift != 0)
		node = (struct index_node *)slot_load(&node->slot[node_slot(node, i)]);
	if (node == NULL)
		return true;
	*out = slot_load(&node->slot[node_slot(node, i)]);
	return slot_share(node, &node->slot[node_slot(node, i)]);
}

unsigned index_height(const struct index *index)
{
	const struct index_node *root = (const struct index_node *)slot_load(&index->root);

	return root == NULL ? 0 : root->shift;
}

bool index_share_node(struct index *index, uint64_t i, unsigned shift, struct index_node **out)
{
	struct index_node *node = (struct index_node *)slot_load(&index->root);

	*out = NULL;
	if (!node_reaches(node, i))
		return true;
	while (node != NULL && node->shift != shift)
		node = (struct index_node *)slot_load(&node->slot[node_slot(node, i)]);
	if (node == NULL)
		return true;
	if (!slot_share(node, &node->slot[node_slot(node, i)]))
		return false;
	*out = (struct index_node *)slot_load(&node->slot[node_slot(node, i)]);
	return true;
}

static struct index_node *node_copy(struct index_node *old)
{
	struct index_node *node = node_new(old->shift);

	for (unsigned i = 0; node != NULL && i < INDEX_SLOTS; i++) {
		if (!slot_share(old, &old->slot[i])) {
			index_node_put(node);
			return NULL;
		}
		atomic_store_explicit(&node->slot[i], slot_load(&old->slot[i]), memory_order_relaxed);
	}
	return node;
}

/* Makes the tree tall enough for page i, and a node of `shift`. */
static int grow(struct index *index, uint64_t i, unsigned shift)
{
	struct index_node *root = (struct index_node *)slot_load(&index->root);
	unsigned least = shift;

	/* Where there is nothing yet: as tall as it has to be. */
	while (root == NULL && (i >> shift) >= INDEX_SLOTS)
		shift += INDEX_BITS;
	while (!node_reaches(root, i) || root->shift < least) {
		struct index_node *above = node_new(root == NULL ? shift : root->shift + (unsigned)INDEX_BITS);

		if (above == NULL)
			return -ENOMEM;
		if (root != NULL)
			atomic_store_explicit(&above->slot[0], (uintptr_t)root, memory_order_relaxed);
		above->dirty = root != NULL && root->dirty != 0;
		store(&index->root, (uintptr_t)above);
		root = above;
	}
	return 0;
}

/* The node that *link names, this index's alone from now on. NULL: no memory. */
static struct index_node *own_node(_Atomic(uintptr_t) *link, struct index_dead *dead)
{
	struct index_node *node = (struct index_node *)slot_load(link);
	struct index_node *copy;

	if (!node_is_shared(node))
		return node;
	copy = node_copy(node);
	if (copy != NULL) {
		store(link, (uintptr_t)copy);
		dead->node[dead->n++] = node;
	}
	return copy;
}

int index_own_node(struct index *index, uint64_t i, unsigned shift, bool create, struct index_dead *dead,
		   _Atomic(uintptr_t) **out)
{
	_Atomic(uintptr_t) *link = &index->root;
	int err = 0;

	*out = NULL;
	/* All that is there may lie below one slot of a node that is not there yet: to take it out, too, there has to be that slot. */
	if (create || node_reaches((struct index_node *)slot_load(link), i))
		err = grow(index, i, shift);
	if (err != 0 || !node_reaches((struct index_node *)slot_load(link), i))
		return err;
	for (;;) {
		struct index_node *node = own_node(link, dead);

		if (node == NULL)
			return -ENOMEM;
		link = &node->slot[node_slot(node, i)];
		if (node->shift == shift)
			break;
		if (slot_load(link) == 0) {
			uintptr_t below = create ? (uintptr_t)node_new(node->shift - INDEX_BITS) : 0;

			if (below == 0)
				return create ? -ENOMEM : 0;
			store(link, below);
		}
	}
	*out = link;
	return 0;
}

int index_own(struct index *index, uint64_t i, bool create, struct index_dead *dead, _Atomic(uintptr_t) **out)
{
	return index_own_node(index, i, 0, create, dead, out);
}

void index_bury(struct index_dead *dead)
{
	while (dead->n != 0)
		index_node_put(dead->node[--dead->n]);
}

/* ---- Taking out. */

static void take_slot(struct index_taken *taken, const struct index_node *node, uint64_t at, uintptr_t slot)
{
	if (taken->n == 0) {
		taken->nodes = node->shift != 0;
		taken->first = at;
	}
	taken->slot[taken->n++] = slot;
	taken->last = at + node_span(node);
}

/* base: the first page of the node. */
static bool take_below(struct index_node *node, uint64_t base, uint64_t first, uint64_t last, struct index_taken *taken)
{
	unsigned i = first <= base ? 0 : node_slot(node, first);

	for (; i < INDEX_SLOTS && base + i * node_span(node) < last; i++) {
		uint64_t at = base + i * node_span(node);
		uintptr_t slot = slot_load(&node->slot[i]);

		if (slot == 0)
			continue;
		if (at < first || last - at < node_span(node)) {
			struct index_node *below = (struct index_node *)slot;

			if (taken->n != 0)
				break;
			(void)take_below(below, at, first, last, taken);
			if (below->dirty == 0)
				node->dirty &= ~(UINT64_C(1) << i);
			if (taken->n != 0)
				break;
			continue;
		}
		if (node->shift == 0 && !slot_has_frame(slot)) {
			store(&node->slot[i], 0); /* a hole */
			continue;
		}
		take_slot(taken, node, at, slot);
		store(&node->slot[i], 0);
		if (node->shift == 0 && (node->dirty >> i & 1) != 0)
			taken->dirty |= UINT64_C(1) << (taken->n - 1);
		node->dirty &= ~(UINT64_C(1) << i);
	}
	return taken->n != 0;
}

bool index_take(struct index *index, uint64_t first, uint64_t last, struct index_taken *taken)
{
	struct index_node *root = (struct index_node *)slot_load(&index->root);

	taken->n = 0;
	taken->dirty = 0;
	if (!node_reaches(root, first))
		return false;
	/* All of it, which may be shared: as it is. */
	if (first == 0 && last >> root->shift >= INDEX_SLOTS) {
		store(&index->root, 0);
		*taken = (struct index_taken){ .n = 1, .nodes = true, .first = 0, .last = last };
		taken->slot[0] = (uintptr_t)root;
		return true;
	}
	return take_below(root, 0, first, last, taken);
}

static void count_below(const struct index_node *node, uint64_t *pages, uint64_t *dirty)
{
	for (unsigned i = 0; i < INDEX_SLOTS; i++) {
		uintptr_t slot = slot_load(&node->slot[i]);

		if (slot == 0)
			continue;
		if (node->shift != 0)
			count_below((const struct index_node *)slot, pages, dirty);
		else
			*pages += slot_has_frame(slot);
	}
	if (node->shift == 0)
		*dirty += (uint64_t)__builtin_popcountll(node->dirty);
}

uint64_t index_node_pages(const struct index_node *node)
{
	uint64_t pages = 0, dirty = 0;

	count_below(node, &pages, &dirty);
	return pages;
}

void index_taken_count(const struct index_taken *taken, uint64_t *pages, uint64_t *dirty)
{
	*pages = taken->nodes ? 0 : taken->n;
	*dirty = taken->nodes ? 0 : (uint64_t)__builtin_popcountll(taken->dirty);
	for (unsigned i = 0; taken->nodes && i < taken->n; i++)
		count_below((const struct index_node *)taken->slot[i], pages, dirty);
}

void index_taken_put(const struct index_taken *taken)
{
	for (unsigned i = 0; i < taken->n; i++) {
		if (taken->nodes)
			index_node_put((struct index_node *)taken->slot[i]);
		else
			frame_put(slot_pfn(taken->slot[i]));
	}
}

/* Whether the node is empty and this index's alone: then whoever names it lets go of it. */
static bool prune_below(struct index_node *node, uint64_t i, struct index_dead *dead)
{
	_Atomic(uintptr_t) *at = &node->slot[node_slot(node, i)];
	struct index_node *below = node->shift == 0 ? NULL : (struct index_node *)slot_load(at);

	if (node_is_shared(node))
		return false;
	if (below != NULL && prune_below(below, i, dead)) {
		store(at, 0);
		dead->node[dead->n++] = below;
	}
	for (unsigned s = 0; s < INDEX_SLOTS; s++)
		if (slot_load(&node->slot[s]) != 0)
			return false;
	return true;
}

void index_prune(struct index *index, uint64_t i, struct index_dead *dead)
{
	struct index_node *root = (struct index_node *)slot_load(&index->root);

	if (node_reaches(root, i) && prune_below(root, i, dead)) {
		store(&index->root, 0);
		dead->node[dead->n++] = root;
	}
}

/* ---- Going through it. */

static struct index_node *leaf_below(struct index_node *node, uint64_t at, uint64_t i, uint64_t *base)
{
	unsigned s = i <= at ? 0 : node_slot(node, i);

	if (node->shift == 0) {
		*base = at;
		return node;
	}
	for (; s < INDEX_SLOTS; s++) {
		uintptr_t slot = slot_load(&node->slot[s]);
		struct index_node *leaf;

		if (slot == 0)
			continue;
		leaf = leaf_below((struct index_node *)slot, at + s * node_span(node), i, base);
		if (leaf != NULL)
			return leaf;
	}
	return NULL;
}

struct index_node *index_leaf(const struct index *index, uint64_t i, uint64_t *base)
{
	struct index_node *root = (struct index_node *)slot_load(&index->root);

	return node_reaches(root, i) ? leaf_below(root, 0, i, base) : NULL;
}
