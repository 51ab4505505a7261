/*
 * mseal: memory that stays as it is. A seal is a property of the mapping descriptor: to seal a range is to give its entries
 * another one, and whoever looks at an entry's descriptor sees it, also in a copy that fork made.
 *
 * Locks: the range's. space->seals is set before a first range of the space is sealed and never cleared: whoever locks a range
 * after that sees it, whoever did before finds no seal in it, and is done with it by the time it is sealed.
 */
#include "mm/seal.h"

#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/walk.h"

static struct mapping *mapping_at(const struct run *run, unsigned i, pte_t pte)
{
	return pte_is_page(pte) ? table_mapping(frame_of(run->table), i) : pte_mapping(pte);
}

static bool has_seals(const struct space *space)
{
	/* relaxed: the range's locks order it */
	return UNLIKELY(atomic_load_explicit(&space->seals, memory_order_relaxed));
}

static int check_run(struct range *range, const struct run *run, void *ctx)
{
	(void)range;
	(void)ctx;
	for (unsigned i = run->first; i < run->last; i++) {
		pte_t pte = pte_load(pt_slot(run->table, i));

		if (!pte_is_none(pte) && mapping_at(run, i, pte)->sealed)
			return -EPERM;
	}
	return 0;
}

int seal_check(struct range *range)
{
	int err = has_seals(range->space) ? range_own(range) : 0;

	return err == 0 && has_seals(range->space) ? range_each(range, check_run, NULL) : err;
}

bool seal_keeps(const struct mapping *mapping, uint64_t perm)
{
	return mapping->sealed && mapping->object == NULL && (perm & PERM_W) == 0;
}

static int discard_run(struct range *range, const struct run *run, void *ctx)
{
	for (unsigned i = run->first; i < run->last; i++) {
		pte_t pte = pte_load(pt_slot(run->table, i));

		if (pte_is_none(pte))
			continue;
		if (!seal_keeps(mapping_at(run, i, pte), pte_is_page(pte) ? page_perm(pte) : pte.v))
			continue;
		*(uint64_t *)ctx = MAX(run->va + (i - run->first) * pt_span(run->level), range->start);
		return -EPERM;
	}
	return 0;
}

uint64_t seal_discard_end(struct range *range)
{
	uint64_t end = range->end;

	return has_seals(range->space) && range_each(range, discard_run, &end) != 0 ? end : range->end;
}

/* ---- Sealing. */

struct seal {
	struct mapping *open;	/* the descriptor that was last met, or NULL */
	struct mapping *sealed; /* what takes its place, with one count for us */
};

static int find_hole(struct range *range, const struct run *run, void *ctx)
{
	(void)range;
	(void)ctx;
	for (unsigned i = run->first; i < run->last; i++)
		if (pte_is_none(pte_load(pt_slot(run->table, i))))
			return -ENOMEM;
	return 0;
}

/* The open descriptor is counted too while we have it: another one at the same address would be taken for it. */
static void forget(struct range *range, struct seal *seal)
{
	if (seal->open == NULL)
		return;
	range_drop_mapping(range, seal->sealed);
	range_drop_mapping(range, seal->open);
	seal->open = NULL;
}

static int sealed_of(struct range *range, struct seal *seal, struct mapping *mapping)
{
	int err;

	if (seal->open == mapping)
		return 0;
	forget(range, seal);
	err = mapping_seal(mapping, &seal->sealed);
	if (err != 0)
		return err;
	mapping_get(mapping, 1);
	seal->open = mapping;
	return 0;
}

static int seal_run(struct range *range, const struct run *run, void *ctx)
{
	struct seal *seal = ctx;

	for (unsigned i = run->first; i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);
		struct mapping *mapping = mapping_at(run, i, pte);
		int err;

		if (mapping->sealed)
			continue;
		err = sealed_of(range, seal, mapping);
		if (err == 0 && pte_is_page(pte))
			err = table_set_mapping(run->table, i, seal->sealed);
		else if (err == 0)
			pte_store(slot, pte_reservation(seal->sealed, pte.v & PERM_RWX));
		if (err != 0)
			return err;
		mapping_get(seal->sealed, 1);
		range_drop_mapping(range, mapping);
	}
	return 0;
}

int space_seal(struct space *space, vaddr_t start, uint64_t bytes)
{
	struct seal seal = { .open = NULL };
	struct range range;
	int err;

	if (!range_is_sane(start, bytes))
		return -EINVAL;
	/* relaxed: the range's locks order it; for fork, walk_enter's fence */
	atomic_store_explicit(&space->seals, true, memory_order_relaxed);
	range_lock(&range, space, start.v, start.v + bytes);
	err = range_own(&range);
	if (err == 0)
		err = range_each(&range, find_hole, NULL);
	if (err == 0)
		err = range_split(&range, false);
	if (err == 0)
		err = range_each(&range, seal_run, &seal);
	forget(&range, &seal);
	range_unlock(&range);
	return err;
}
