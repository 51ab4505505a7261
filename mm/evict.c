/*
 * Giving clean pages of backed objects back: which, and how. Contract: object.h.
 *
 * A clean frame that only the index names has its count taken from 1 to 0, so that no look-up gets it any more, and is taken out under
 * the same lock. A page that is being written to has a count (transfer.c, dirty.c). What was taken out is freed after look_wait: a
 * reader may be copying from it.
 *
 * A clock, whose hand goes through the object a node at a time. A page that was used since the hand came by stays, and the hand
 * takes note. Used by call: looked up again after it was looked up first (index_marks.c), so that reading a long file once
 * makes nothing in it worth keeping; what was read ahead and is yet to be looked at is kept once, too. Used through a mapping: its
 * entries' A bits, which the hand clears, with a shootdown, as a translation that is held on to sets none.
 * Locks: the object's, while its index changes; a walk through its mappings, if mapped pages are wanted.
 */
#include "lib/check.h"
#include "mm/object_core.h"
#include "mm/reverse.h"
#include "mm/walk.h"

/* One node: its pages, a bit each. */
struct victims {
	uint64_t base;
	uint64_t idle;	 /* clean, not mapped, to go */
	uint64_t mapped; /* clean, mapped: to be asked about */
	uint64_t young;	 /* of the latter, those that were used by call */
};

static bool choose_locked(const struct object *object, uint64_t at, uint64_t first, uint64_t last, unsigned which,
			  struct victims *out)
{
	struct index_node *leaf = index_leaf(&object->index, at, &out->base);
	uint64_t used = 0;

	if (leaf == NULL || out->base >= last)
		return false;
	out->idle = out->mapped = 0;
	for (unsigned i = 0; i < INDEX_SLOTS; i++) {
		uintptr_t slot = atomic_load_explicit(&leaf->slot[i], memory_order_relaxed);

		if (!slot_has_frame(slot) || (leaf->dirty >> i & 1) != 0 || out->base + i < first ||
		    out->base + i >= last)
			continue;
		*(frame_is_sole(slot_pfn(slot)) ? &out->idle : &out->mapped) |= UINT64_C(1) << i;
	}
	if ((which & EVICT_MAPPED) == 0)
		out->mapped = 0;
	if ((which & EVICT_USED) == 0)
		used = index_forget_use(leaf, out->idle | out->mapped);
	out->idle &= ~used;
	out->young = out->mapped & used;
	return true;
}

/* Takes those that are mapped and not in use out of the mappings. Which. */
static uint64_t unmap_old(struct object *object, const struct victims *victims, unsigned which)
{
	uint64_t young = victims->young;

	if (victims->mapped == 0)
		return 0;
	reverse_enter(object);
	if ((which & EVICT_USED) == 0)
		young |= reverse_age(object, victims->base, victims->base + INDEX_SLOTS);
	reverse_unmap_some(object, victims->base, victims->mapped & ~young);
	reverse_exit(object);
	return victims->mapped & ~young;
}

/* Those of `pages` that are clean still, and that only the index names, are taken out of the node. How many. */
static unsigned freeze_locked(struct index_node *leaf, uint64_t pages, pfn_t *out)
{
	unsigned n = 0;

	for (uint64_t left = pages & ~leaf->dirty; left != 0; left &= left - 1) {
		_Atomic(uintptr_t) *at = &leaf->slot[__builtin_ctzll(left)];
		uintptr_t slot = atomic_load_explicit(at, memory_order_relaxed);

		if (!slot_has_frame(slot) || !frame_freeze(slot_pfn(slot)))
			continue;
		/* release: as all stores of slots */
		atomic_store_explicit(at, 0, memory_order_release);
		out[n++] = slot_pfn(slot);
	}
	return n;
}

/* One node from page *at on, which moves behind it. False: there is none below `last`. */
static bool evict_node(struct object *object, uint64_t *at, uint64_t first, uint64_t last, unsigned which,
		       uint64_t *done)
{
	struct index_dead dead = { .n = 0 };
	struct index_node *leaf;
	struct victims victims;
	pfn_t frames[INDEX_SLOTS];
	uint64_t base, pages;
	unsigned n = 0;
	bool any;

	spin_lock(&object->lock, RANK_OBJECT);
	any = choose_locked(object, *at, first, last, which, &victims);
	spin_unlock(&object->lock, RANK_OBJECT);
	if (!any)
		return false;
	pages = victims.idle | unmap_old(object, &victims, which);
	spin_lock(&object->lock, RANK_OBJECT);
	leaf = index_leaf(&object->index, victims.base, &base);
	if (leaf != NULL && base == victims.base) { /* or it is gone */
		n = freeze_locked(leaf, pages, frames);
		index_prune(&object->index, base, &dead);
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	*at = victims.base + INDEX_SLOTS;
	object_uncount(object, n, 0);
	if (n != 0 || dead.n != 0)
		look_wait();
	index_bury(&dead);
	for (unsigned i = 0; i < n; i++)
		frame_free_frozen(frames[i]);
	*done += n;
	return true;
}

uint64_t object_evict(struct object *object, uint64_t first, uint64_t last, uint64_t want, unsigned which)
{
	uint64_t done = 0, at, began;
	bool wrapped = false;

	ASSERT(object->store != NULL);
	spin_lock(&object->lock, RANK_OBJECT);
	at = began = object->evict_next > first && object->evict_next < last ? object->evict_next : first;
	spin_unlock(&object->lock, RANK_OBJECT);
	while (done < want && !(wrapped && at >= began)) {
		if (evict_node(object, &at, first, last, which, &done))
			continue;
		if (wrapped || began == first)
			break;
		at = first;
		wrapped = true;
	}
	spin_lock(&object->lock, RANK_OBJECT);
	object->evict_next = at;
	spin_unlock(&object->lock, RANK_OBJECT);
	return done;
}
