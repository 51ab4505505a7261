/*
 * mremap: a region's pages move from one range to another of the same space.
 *
 * Both ranges are under one lock (range.h), that of the lowest table that covers both. All that can fail comes first: the
 * destination is reserved, and gets a leaf table, and a place for its descriptor, wherever a page will come. Then the
 * source is parked and shot down, the entries are carried over, and the source is reserved anew or unmapped. No frame's
 * count changes, and no page can be reached through both ranges, nor through neither once the call returns.
 */
#include "lib/check.h"
#include "lib/errno.h"
#include "mm/locked.h"
#include "mm/mapping.h"
#include "mm/place.h"
#include "mm/range.h"
#include "mm/reverse.h"
#include "mm/walk.h"

struct move {
	uint64_t from, bytes, to, new_bytes;
	uint64_t perm;
	struct mapping *mapping;     /* the source's */
	struct mapping *new_mapping; /* the destination's: the object's byte 0 lies elsewhere there */
	pfn_t leaf;		     /* the destination's leaf table that was last asked for */
	uint64_t leaf_at;	     /* the first address of it, or 1 */
};

static void narrow(struct range *range, uint64_t start, uint64_t bytes)
{
	range->start = start;
	range->end = start + bytes;
}

/* All of the source is of one permission and one descriptor: they are left in *ctx. */
static int one_region(struct range *range, const struct run *run, void *ctx)
{
	struct move *move = ctx;
	struct frame *frame = frame_of(run->table);

	(void)range;
	for (unsigned i = run->first; i < run->last; i++) {
		pte_t pte = pte_load(pt_slot(run->table, i));
		bool page = pte_is_page(pte);
		struct mapping *mapping;
		uint64_t perm;

		if (pte_is_none(pte))
			return -EFAULT;
		mapping = page ? table_mapping(frame, i) : pte_mapping(pte);
		if (UNLIKELY(mapping->sealed))
			return -EPERM;
		perm = page ? page_perm(pte) : pte.v & PERM_RWX;
		if (move->mapping == NULL) {
			move->mapping = mapping;
			move->perm = perm;
		} else if (move->mapping != mapping || move->perm != perm) {
			return -EFAULT;
		}
	}
	return 0;
}

/* The destination's leaf table for va, made if need be, locked like all of the range. 0 or -ENOMEM. */
static int leaf_for(struct range *range, struct move *move, uint64_t va)
{
	pfn_t table = range->top;

	if (ALIGN_DOWN(va, pt_span(1)) == move->leaf_at)
		return 0;
	for (unsigned level = range->level; level > 0; level--) {
		unsigned index = pt_index(VADDR(va), level);

		if (!pte_is_table(pte_load(pt_slot(table, index)))) {
			int err = table_split(table, level, index, true);

			if (err != 0)
				return err;
		}
		table = pte_pfn(pte_load(pt_slot(table, index)));
	}
	move->leaf = table;
	move->leaf_at = ALIGN_DOWN(va, pt_span(1));
	return 0;
}

static int prepare_run(struct range *range, const struct run *run, void *ctx)
{
	struct move *move = ctx;
	int err = 0;

	for (unsigned i = run->first; run->level == 0 && err == 0 && i < run->last; i++) {
		uint64_t to = run->va + (i - run->first) * PAGE_SIZE - move->from + move->to;

		if (!pte_is_page(pte_load(pt_slot(run->table, i))))
			continue;
		err = leaf_for(range, move, to);
		if (err == 0)
			err = table_set_mapping(move->leaf, pt_index(VADDR(to), 0), move->new_mapping);
	}
	return err;
}

/* The page is parked and out of every TLB; what was present becomes present there. */
static int carry_run(struct range *range, const struct run *run, void *ctx)
{
	struct move *move = ctx;
	int err = 0;

	for (unsigned i = run->first; run->level == 0 && err == 0 && i < run->last; i++) {
		uint64_t to = run->va + (i - run->first) * PAGE_SIZE - move->from + move->to;
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);

		if (!pte_is_page(pte))
			continue;
		err = leaf_for(range, move, to); /* prepared: cannot fail */
		pte_store(pt_slot(move->leaf, pt_index(VADDR(to), 0)), PTE(pte.v | (move->perm != 0 ? PTE_V : 0)));
		pte_store(slot, pte_reservation(move->mapping, move->perm));
	}
	return err;
}

/*
 * The descriptors of both, with one count of each for us, before anything is locked: the destination's is made, and attached,
 * behind the source's (reverse.c). 0, -EFAULT: nothing is there; -ENOMEM.
 */
static int make_mapping(struct space *space, struct move *move)
{
	struct mapping *old;
	uint64_t perm;
	int err;

	move->mapping = move->new_mapping = old = walk_mapping(space, VADDR(move->from), &perm);
	if (old == NULL)
		return -EFAULT;
	if (old->object == NULL)
		return 0;
	err = mapping_copy(old, old->base - move->from + move->to, &move->new_mapping);
	if (err == 0) {
		err = reverse_attach(move->new_mapping, space);
		if (err != 0)
			mapping_put(move->new_mapping, 1);
	}
	if (err != 0)
		mapping_put(old, 1);
	return err;
}

/* Everything that may fail, and undoing it if it does. */
static int prepare(struct range *range, struct move *move)
{
	int err = range_split(range, false);

	narrow(range, move->to, move->new_bytes);
	if (err == 0)
		err = range_split(range, true);
	if (err != 0)
		return err;
	range_replace(range, pte_reservation(move->new_mapping, move->perm));
	narrow(range, move->from, move->bytes);
	err = range_each(range, prepare_run, move);
	if (err != 0) {
		narrow(range, move->to, move->new_bytes);
		range_replace(range, PTE(0));
	}
	return err;
}

static void carry(struct range *range, struct move *move, bool keep)
{
	int err = range_each(range, range_park, NULL);

	range_shootdown(range);
	move->leaf_at = 1;
	err |= range_each(range, carry_run, move);
	CHECK(err == 0);
	if (!keep)
		range_replace(range, PTE(0));
}

static int move_locked(struct range *range, struct move *move, bool keep)
{
	struct mapping *seen = move->mapping;
	int err;

	move->mapping = NULL;
	move->leaf_at = 1;
	narrow(range, move->to, move->new_bytes);
	err = range_own(range);
	if (err == 0)
		err = range_is_free(range);
	narrow(range, move->from, move->bytes);
	if (err == 0)
		err = range_own(range);
	if (err == 0)
		err = range_each(range, one_region, move);
	if (err == 0 && move->mapping != seen)
		err = -EAGAIN; /* something else was mapped there meanwhile */
	if (err == 0)
		err = prepare(range, move);
	if (err == 0)
		carry(range, move, keep);
	move->mapping = seen;
	return err;
}

static int move_to(struct space *space, struct move *move, bool keep)
{
	uint64_t low = MIN(move->from, move->to);
	uint64_t high = MAX(move->from + move->bytes, move->to + move->new_bytes);
	struct range range;
	int err;

	do {
		err = make_mapping(space, move);
		if (err != 0)
			return err;
		range_lock(&range, space, low, high);
		err = move_locked(&range, move, keep);
		range_unlock(&range);
		mapping_put(move->new_mapping, 1); /* the entries have theirs */
		mapping_put(move->mapping, 1);
	} while (err == -EAGAIN);
	return err;
}

int space_move(struct space *space, vaddr_t from, uint64_t bytes, enum space_place place, vaddr_t *to,
	       uint64_t new_bytes, bool keep)
{
	struct move move = { .from = from.v, .bytes = bytes, .new_bytes = new_bytes };
	bool given = place != PLACE_HINT || to->v != 0;

	if (!range_is_sane(from, bytes) || new_bytes < bytes || (new_bytes & PAGE_MASK) != 0)
		return -EINVAL;
	for (;;) {
		vaddr_t at = *to;
		int err = given ? 0 : place_find(space, new_bytes, &at);

		if (err != 0)
			return err;
		if (!range_is_sane(at, new_bytes) || (at.v < from.v + bytes && from.v < at.v + new_bytes))
			return -EINVAL;
		move.to = at.v;
		err = move_to(space, &move, keep);
		if (err == -EEXIST && place == PLACE_HINT) {
			given = false;
			continue;
		}
		if (err == 0 && !given)
			place_taken(space, at, new_bytes);
		if (err == 0 && !keep)
			place_returned(space, from, bytes);
		if (err == 0)
			locked_move(space, from.v, bytes, at.v, new_bytes);
		*to = at;
		return err;
	}
}
