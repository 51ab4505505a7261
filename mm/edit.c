/*
 * What mmap, munmap and madvise do to a range: one short function a kind of entry, under a locked range.
 *
 * Each call validates and allocates first (range_split), then edits. Pages that go are parked, shot down, and only then
 * put: the table itself remembers them meanwhile, so nothing is allocated to free memory.
 * Locks: those of the range (range.h). Everything here runs to its end under them, so no hart ever sees half a change to
 * a table, nor a translation that outlived its call.
 */
#include "lib/check.h"
#include "lib/errno.h"
#include "mm/leaf.h"
#include "mm/locked.h"
#include "mm/object_core.h"
#include "mm/place.h"
#include "mm/range.h"
#include "mm/reverse.h"
#include "mm/rules.h"
#include "mm/seal.h"
#include "mm/tlb.h"
#include "mm/walk.h"

/* Some descriptor here is to be treated by fork as others are not. Before the first entry of it: fork.c. */
static void space_fork_copies(struct space *space)
{
	/* relaxed: walk_enter's fence follows */
	atomic_store_explicit(&space->fork_copies, true, memory_order_relaxed);
}

/* ---- Taking away, and putting reservations in place. */

static int map_range(struct space *space, vaddr_t at, uint64_t bytes, bool replacing, pte_t fill)
{
	struct range range;
	int err;

	range_lock(&range, space, at.v, at.v + bytes);
	/* What is free must be free entry by entry; what is replaced may be shared, unless it may be sealed. */
	err = replacing ? seal_check(&range) : range_own(&range);
	if (err == 0 && !replacing)
		err = range_is_free(&range);
	if (err == 0)
		err = range_split(&range, true);
	if (err == 0 && replacing)
		range_replace(&range, fill);
	else if (err == 0)
		range_fill(&range, fill);
	range_unlock(&range);
	return err;
}

static int map_at(struct space *space, vaddr_t at, uint64_t bytes, bool replacing, pte_t fill)
{
	int err = leaf_map(space, at.v, at.v + bytes, fill);

	if (UNLIKELY(err == -EAGAIN || (err == -EEXIST && replacing)))
		err = map_range(space, at, bytes, replacing, fill);
	if (err == 0 && replacing)
		locked_forget(space, at.v, bytes);
	return err;
}

/* Where this hart found room last there is most often some more. */
static int map_next(struct space *space, vaddr_t *at, uint64_t bytes, pte_t fill)
{
	int err = -EAGAIN;

	if (place_guess(space, bytes, at))
		err = leaf_map(space, at->v, at->v + bytes, fill);
	if (LIKELY(err == 0))
		place_taken(space, *at, bytes);
	return err;
}

static int map_anywhere(struct space *space, vaddr_t *at, uint64_t bytes, pte_t fill)
{
	if (LIKELY(map_next(space, at, bytes, fill) == 0))
		return 0;
	for (;;) {
		int err = place_find(space, bytes, at);

		if (err != 0)
			return err;
		err = map_at(space, *at, bytes, false, fill);
		/* Another thread may have taken what we found: it got somewhere, and we look again. */
		if (err != -EEXIST) {
			if (err == 0)
				place_taken(space, *at, bytes);
			return err;
		}
	}
}

int space_map(struct space *space, enum space_place place, vaddr_t *at, uint64_t bytes, uint64_t perm,
	      struct mapping *mapping)
{
	pte_t fill = pte_reservation(mapping, perm_normal(perm));

	if (perm_is_refused(perm_normal(perm), mapping) || exec_is_refused(space, perm, PERM_X))
		return -EACCES;
	if (UNLIKELY(mapping->watch != NULL || mapping->fork != MAPPING_FORK_COPY))
		space_fork_copies(space);
	if (place != PLACE_HINT)
		return range_is_sane(*at, bytes) ? map_at(space, *at, bytes, place == PLACE_FIXED, fill) : -EINVAL;
	if ((bytes & PAGE_MASK) != 0 || bytes == 0)
		return -EINVAL;
	if (at->v != 0 && range_is_sane(*at, bytes)) {
		int err = map_at(space, *at, bytes, false, fill);

		if (err != -EEXIST)
			return err;
	}
	return map_anywhere(space, at, bytes, fill);
}

/* An object's descriptor depends on the address, so that is settled first. */
int space_map_like(struct space *space, enum space_place place, vaddr_t *at, uint64_t bytes, uint64_t perm,
		   const struct mapping *like, uint64_t offset)
{
	for (;;) {
		struct mapping *mapping;
		vaddr_t want = *at;
		enum space_place how = place;
		bool found = false;
		int err = 0;

		if (place == PLACE_HINT) {
			how = PLACE_NO_REPLACE;
			if (want.v == 0 || !range_is_sane(want, bytes)) {
				err = place_find(space, bytes, &want);
				found = true;
			}
		}
		if (err == 0)
			err = mapping_copy(like, want.v - offset, &mapping);
		if (err != 0)
			return err;
		err = reverse_attach(mapping, space);
		if (err == 0)
			err = space_map(space, how, &want, bytes, perm, mapping);
		mapping_put(mapping, 1); /* the entries have theirs */
		if (err == -EEXIST && place == PLACE_HINT) {
			*at = VADDR(0);
			continue;
		}
		if (err == 0 && found)
			place_taken(space, want, bytes);
		if (err == 0)
			*at = want;
		return err;
	}
}

int space_map_object(struct space *space, enum space_place place, vaddr_t *at, uint64_t bytes, uint64_t perm,
		     uint64_t max_perm, struct object *object, uint64_t offset, bool shared)
{
	const struct mapping like = { .object = object, .max_perm = max_perm, .shared = shared };

	return space_map_like(space, place, at, bytes, perm, &like, offset);
}

/*
 * Ranges that are smaller than a table leave it behind, empty. To take it out those above it must be locked, which munmap
 * is better off without, so all go at once, when there may be EMPTIED_MIN of them or an eighth of all tables: then looking
 * at all tables costs each munmap eight of them at most.
 */
#define EMPTIED_MIN  18U
#define EMPTIED_PART 8U

static void free_empty_tables(struct space *space)
{
	struct range range;
	unsigned seen;

	range_lock(&range, space, 0, USER_END);
	seen = range_unlink_empty(&range);
	space->hint[hw_hart()].emptied_limit = MAX(EMPTIED_MIN, seen / EMPTIED_PART);
	space->hint[hw_hart()].emptied = 0;
	range_shootdown(&range);
	range_unlock(&range);
}

static void note_emptied(struct space *space, unsigned tables)
{
	struct va_hint *hint = &space->hint[hw_hart()];

	hint->emptied += tables;
	if (hint->emptied >= MAX(hint->emptied_limit, EMPTIED_MIN))
		free_empty_tables(space);
}

static int unmap_range(struct space *space, uint64_t start, uint64_t end, unsigned *emptied)
{
	struct range range;
	int err;

	range_lock(&range, space, start, end);
	err = seal_check(&range);
	if (err == 0)
		err = range_split(&range, false);
	if (err == 0) {
		range_replace(&range, PTE(0));
		*emptied = range_emptied_ends(&range);
	}
	range_unlock(&range);
	return err;
}

int space_unmap(struct space *space, vaddr_t start, uint64_t bytes)
{
	unsigned emptied = 0;
	bool one = false;
	int err;

	if (!range_is_sane(start, bytes))
		return -EINVAL;
	err = leaf_unmap(space, start.v, start.v + bytes, &one);
	emptied = one;
	if (UNLIKELY(err == -EAGAIN))
		err = unmap_range(space, start.v, start.v + bytes, &emptied);
	if (UNLIKELY(err != 0))
		return err;
	place_returned(space, start, bytes);
	locked_forget(space, start.v, bytes);
	if (UNLIKELY(emptied != 0))
		note_emptied(space, emptied);
	return 0;
}

/* ---- MADV_DONTNEED. */

/* A leaf table of one permission and one mapping throughout folds into one reservation above it. */
static pte_t fold(pfn_t table)
{
	struct frame *frame = frame_of(table);
	pte_t all = PTE(0);

	if (frame->table.used != PT_ENTRIES)
		return all;
	for (unsigned i = 0; i < PT_ENTRIES; i++) {
		pte_t pte = pte_load(pt_slot(table, i));

		if (pte_is_page(pte))
			pte = page_reservation(pte, table_mapping(frame, i));
		if (i == 0)
			all = pte;
		else if (pte.v != all.v)
			return PTE(0);
	}
	return all;
}

static int discard_run(struct range *range, const struct run *run, void *ctx)
{
	struct frame *frame = frame_of(run->table);
	struct frame_batch batch = { .first = NULL };

	(void)range;
	for (unsigned i = run->first; i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);

		if (pte_is_none(pte))
			*(bool *)ctx = true;
		if (run->level != 0 || !pte_is_page(pte))
			continue;
		/* The entry named the mapping as a page and names it as a reservation: its count stays. */
		pte_store(slot, page_reservation(pte, table_mapping(frame, i)));
		frame_batch_put(&batch, pte_pfn(pte));
	}
	frame_batch_end(&batch);
	return 0;
}

int space_discard(struct space *space, vaddr_t start, uint64_t bytes)
{
	bool hole = false;
	struct range range;
	bool sealed;
	int err = 0;

	if (!range_is_sane(start, bytes))
		return -EINVAL;
	range_lock(&range, space, start.v, start.v + bytes);
	if (range_own(&range) != 0) {
		range_unlock(&range);
		return -EAGAIN;
	}
	range.end = seal_discard_end(&range);
	sealed = range.end != start.v + bytes;
	if (range.end != range.start) {
		/* Nothing to split: reservations are as they should be already. */
		range_unlink(&range, fold);
		err = range_each(&range, range_park, NULL);
		range_shootdown(&range);
		if (err == 0)
			err = range_each(&range, discard_run, &hole);
	}
	range.end = start.v + bytes;
	range_unlock(&range);
	return err != 0 ? err : sealed ? -EPERM : hole ? -ENOMEM : 0;
}

/* ---- What fork does with a range. */

static int set_fork_run(struct range *range, const struct run *run, void *ctx)
{
	enum mapping_fork fork = *(enum mapping_fork *)ctx;
	struct frame *frame = frame_of(run->table);

	(void)range;
	for (unsigned i = run->first; i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);
		struct mapping *mapping;
		int err = 0;

		if (pte_is_none(pte))
			return -ENOMEM;
		mapping = pte_is_page(pte) ? table_mapping(frame, i) : pte_mapping(pte);
		if (mapping->object != NULL)
			return -EINVAL;
		if (fork != MAPPING_FORK_COPY && seal_keeps(mapping, pte_is_page(pte) ? page_perm(pte) : pte.v))
			return -EPERM;
		mapping = mapping_anon_like(mapping, fork);
		if (pte_is_page(pte))
			err = table_set_mapping(run->table, i, mapping);
		else
			pte_store(slot, pte_reservation(mapping, pte.v & PERM_RWX));
		if (err != 0)
			return err;
	}
	return 0;
}

int space_set_fork(struct space *space, vaddr_t start, uint64_t bytes, enum mapping_fork fork)
{
	struct range range;
	int err;

	if (!range_is_sane(start, bytes))
		return -EINVAL;
	if (fork != MAPPING_FORK_COPY)
		space_fork_copies(space);
	range_lock(&range, space, start.v, start.v + bytes);
	err = range_split(&range, false);
	if (err == 0)
		err = range_own(&range);
	if (err == 0)
		err = range_each(&range, set_fork_run, &fork);
	range_unlock(&range);
	return err;
}
