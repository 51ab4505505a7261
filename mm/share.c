/*
 * Page tables that several spaces share. Contract and invariants: share.h; how they come to be shared: fork.c.
 *
 * Why a shared table may be copied, taken over or taken down under its own lock alone: an entry that names it goes away only with
 * that lock held, so "nobody else names it" stays true once it is seen under the lock. Those that looked at it without being sure
 * that it is on their path (walk_read, walks of the reverse map) ask again once they have the lock, and are in a walk epoch until then, so
 * a table that was ever shared is freed after walk_wait.
 * Locks: the table whose entry it is, then the shared one. Nothing below it: of tables further down only counts change.
 * Memory order: counts go down with a release, under the lock, and are looked at with an acquire (coremap.h).
 * Does not: shoot down. No TLB holds what is below a detached entry.
 */
#include "mm/share.h"

#include "lib/bits.h"
#include "lib/check.h"
#include "lib/errno.h"
#include "mm/hart.h"
#include "mm/mapping.h"
#include "mm/walk.h"

/* ---- Copying. */

/* A table further down: shared from now on, also where it was private to this one. */
static int copy_link(_Atomic uint64_t *slot, pte_t *pte)
{
	pfn_t below = pte_pfn(*pte);

	if (!frame_get(below))
		return -ENOMEM;
	if (pte_is_table(*pte)) {
		frame_of(below)->table.shared = true;
		*pte = pte_detached(below);
		pte_swap(slot, *pte);
	}
	return 0;
}

static int copy_upper(pfn_t from, pfn_t to)
{
	struct table_walk walk = table_walk(from);
	int err = 0;

	for (unsigned left = frame_of(from)->table.used; left != 0; left--) {
		_Atomic uint64_t *slot = table_walk_next(&walk);
		pte_t pte = pte_load(slot);

		if (pte_leads(pte))
			err = copy_link(slot, &pte);
		else
			mapping_get(pte_mapping(pte), 1);
		if (err != 0)
			break;
		pte_store_unseen(pt_slot(to, (unsigned)(slot - pt_slot(from, 0))), pte);
		frame_of(to)->table.used++;
	}
	return err;
}

/* A page becomes one of both, writable in neither, unless it is meant to be seen by all. false: too many name it. */
static inline bool copy_page(_Atomic uint64_t *slot, pte_t *pte, const struct mapping *mapping)
{
	ASSERT(mapping != NULL);
	if (!frame_get(pte_pfn(*pte)))
		return false;
	if ((pte->v & PTE_W) != 0 && !mapping->shared)
		*pte = PTE(pte_clear(slot, PTE_W).v & ~PTE_W);
	return true;
}

static int copy_leaf(pfn_t from, pfn_t to)
{
	struct mapping **side = frame_of(from)->table.side, *usual = frame_of(from)->table.mapping;
	_Atomic uint64_t *slot = pt_slot(from, 0), *copy = pt_slot(to, 0);
	uint64_t groups = frame_of(from)->table.groups, last = 0, used = 0;
	struct mapping_tally tally = { 0 };
	bool good = true;

	for (uint64_t first = 0; good && groups != 0; groups >>= 1, first += PT_GROUP) {
		for (uint64_t i = first; (groups & 1) != 0 && i < first + PT_GROUP; i++) {
			pte_t pte = pte_load(&slot[i]);

			if (pte_is_none(pte))
				continue;
			if (pte.v != last) {
				bool page = pte_is_page(pte);
				struct mapping *mapping = !page ? pte_mapping(pte) : side != NULL ? side[i] : usual;

				last = page ? 0 : pte.v;
				if (page && UNLIKELY(!copy_page(&slot[i], &pte, mapping))) {
					good = false;
					break;
				}
				if (mapping != tally.mapping)
					mapping_tally_get(&tally, mapping);
			}
			tally.n++;
			used++;
			pte_store_unseen(&copy[i], pte);
		}
	}
	mapping_tally_get(&tally, NULL);
	frame_of(to)->table.used = (uint16_t)used;
	return good ? 0 : -ENOMEM;
}

/* The table is shared, and locked. 0 or -ENOMEM, with nothing changed but W. */
static int table_copy(pfn_t from, unsigned level, pfn_t *out)
{
	pfn_t dead = PFN(0);
	pfn_t to;
	int err = table_new(level, PTE(0), &to);

	if (err != 0)
		return err;
	frame_of(to)->table.groups = frame_of(from)->table.groups;
	err = table_share_side(frame_of(from), frame_of(to));
	if (err == 0)
		err = level == 0 ? copy_leaf(from, to) : copy_upper(from, to);
	if (err != 0) {
		/* Of all it names there is another entry, which is locked, so nothing goes with it. */
		table_take_down(to, level, false, &dead);
		CHECK(dead.v == 0);
		return err;
	}
	mm_count(MM_TABLES_COPIED);
	*out = to;
	return 0;
}

/*
 * An upper table that only we name is about to be walked by our harts. Somebody in a space that shared it may still be at work in a table
 * below: he had locked that before fork detached this one (walk.h), and would shoot down his space alone. Nobody else comes.
 */
static void settle(pfn_t table)
{
	struct table_walk walk = table_walk(table);

	for (unsigned left = frame_of(table)->table.used; left != 0; left--) {
		pte_t pte = pte_load(table_walk_next(&walk));

		if (!pte_is_table(pte))
			continue;
		spin_lock(&frame_of(pte_pfn(pte))->table.lock, RANK_TABLE);
		table_unlock(pte_pfn(pte));
	}
}

int table_own(pfn_t table, unsigned level, unsigned index, bool keep_locked)
{
	_Atomic uint64_t *slot = pt_slot(table, index);
	pfn_t below = pte_pfn(pte_load(slot)), own;
	int err;

	spin_lock(&frame_of(below)->table.lock, RANK_TABLE);
	if (frame_is_sole(below)) {
		/* Nobody else can come to name it: that would be through this entry. */
		if (level > 1)
			settle(below);
		pte_store(slot, pte_table(below));
		mm_count(MM_TABLES_TAKEN);
		if (!keep_locked)
			table_unlock(below);
		return 0;
	}
	err = table_copy(below, level - 1, &own);
	if (err == 0) {
		if (keep_locked)
			spin_lock(&frame_of(own)->table.lock, RANK_TABLE);
		pte_store(slot, pte_table(own));
		frame_put(below); /* not the last: that would need the lock */
	}
	table_unlock(below);
	return err;
}

/* ---- Letting go. */

#define NO_ENTRY UINT64_MAX /* no entry of ours is like that */

struct emptying {
	struct mapping_tally tally;
	uint64_t last; /* a reservation of that descriptor, or NO_ENTRY */
	uint64_t seen; /* entries of other descriptors before */
};

/* An entry that is not as the last; the descriptor that it is of is the last now. */
static __attribute__((noinline)) void empty_other(struct emptying *emptying, uint64_t pte, struct mapping *mapping)
{
	bool page = (pte & PTE_U) != 0;

	if (mapping != emptying->tally.mapping) {
		emptying->seen += emptying->tally.n;
		mapping_tally_put(&emptying->tally, mapping);
	}
	emptying->tally.n++;
	emptying->last = page ? NO_ENTRY : pte;
	if (page)
		frame_put(pte_pfn(PTE(pte)));
}

struct cursor {
	_Atomic uint64_t *slot;
	struct mapping *const *side;
	struct mapping *usual;
	struct frame *coremap;
	const struct frame *zero;
	uint64_t one;
	int64_t less;
};

static ALWAYS_INLINE void empty_group(struct emptying *emptying, const struct cursor *at)
{
	struct mapping *mapping = emptying->tally.mapping;
	uint64_t last = emptying->last, n = emptying->tally.n + PT_GROUP;

#pragma GCC unroll 8
	for (unsigned i = 0; i < PT_GROUP; i++) {
		uint64_t pte = pte_load(&at->slot[i]).v;
		struct mapping *of;

		if (LIKELY(pte == last)) {
			pte_store_unseen(&at->slot[i], PTE(0));
			continue;
		}
		if (pte == 0) {
			n--;
			continue;
		}
		pte_store_unseen(&at->slot[i], PTE(0));
		if (LIKELY((pte & PTE_U) != 0)) {
			struct frame *frame = &at->coremap[pte_pfn(PTE(pte)).v];

			of = at->side != NULL ? at->side[i] : at->usual;
			if (LIKELY(of == mapping)) {
				if (UNLIKELY(frame == at->zero))
					continue;
				/* As frame_put; the release is before the loop. */
				int64_t old = frame_count_step(frame, at->less);

				if (UNLIKELY((uint64_t)old <= at->one))
					frame_put_last(pte_pfn(PTE(pte)), (uint32_t)old);
				continue;
			}
		} else {
			of = pte_mapping(PTE(pte));
		}
		emptying->tally.n = n - (PT_GROUP - i);
		empty_other(emptying, pte, of);
		n = emptying->tally.n + (PT_GROUP - i - 1);
		mapping = of;
		last = emptying->last;
	}
	emptying->tally.n = n;
}

static void empty_leaf(pfn_t table)
{
	const struct frame *frame = frame_of(table);
	struct emptying emptying = { .last = NO_ENTRY };
	struct cursor at = {
		.slot = pt_slot(table, 0),
		.side = frame->table.side,
		.usual = frame->table.mapping,
		.coremap = (struct frame *)kept_constant((uintptr_t)HW_COREMAP),
		.one = kept_constant(1),
		.less = (int64_t)kept_constant(UINT64_MAX),
		.zero = frame_of(mm_this_hart()->zero),
	};

	/* pairs with the acquire in frame_put_last and in frame_is_sole, for all pages here */
	atomic_thread_fence(memory_order_release);
	for (uint64_t groups = frame->table.groups; groups != 0;) {
		unsigned skip = bits_lowest(groups);

		groups >>= skip;
		at.slot += skip * PT_GROUP;
		at.side = at.side != NULL ? at.side + skip * PT_GROUP : NULL;
		do {
			empty_group(&emptying, &at);
			at.slot += PT_GROUP;
			at.side = at.side != NULL ? at.side + PT_GROUP : NULL;
			groups >>= 1;
		} while ((groups & 1) != 0);
	}
	emptying.seen += emptying.tally.n;
	mapping_tally_put(&emptying.tally, NULL);
	CHECK(emptying.seen == frame->table.used);
}

static void empty_upper(pfn_t table, unsigned level, bool shared, pfn_t *dead)
{
	struct table_walk walk = table_walk(table);
	struct mapping_tally tally = { 0 };

	for (unsigned left = frame_of(table)->table.used; left != 0; left--) {
		_Atomic uint64_t *slot = table_walk_next(&walk);
		pte_t pte = pte_load(slot);

		pte_store_unseen(slot, PTE(0));
		if (pte_is_table(pte)) {
			table_take_down(pte_pfn(pte), level - 1, shared, dead);
		} else if (pte_is_detached(pte)) {
			table_drop(pte_pfn(pte), level - 1, dead);
		} else {
			CHECK(pte_is_reservation(pte));
			if (pte_mapping(pte) != tally.mapping)
				mapping_tally_put(&tally, pte_mapping(pte));
			tally.n++;
		}
	}
	mapping_tally_put(&tally, NULL);
}

void table_take_down(pfn_t table, unsigned level, bool shared, pfn_t *dead)
{
	struct frame *frame = frame_of(table);

	shared |= frame->table.shared;
	if (shared) {
		/* Whoever was sure that it is on his path had the lock before it went, and may be at work in it. Nobody else comes. */
		spin_lock(&frame->table.lock, RANK_TABLE);
		table_unlock(table);
	}
	if (level == 0)
		empty_leaf(table);
	else
		empty_upper(table, level, shared, dead);
	if (!shared) {
		table_free_clean(table);
		return;
	}
	frame->table.next_dead = *dead;
	*dead = table;
}

void table_drop(pfn_t table, unsigned level, pfn_t *dead)
{
	bool last;

	spin_lock(&frame_of(table)->table.lock, RANK_TABLE);
	last = frame_is_sole(table);
	if (!last)
		frame_put(table);
	table_unlock(table);
	if (last)
		table_take_down(table, level, true, dead);
}

void tables_free(pfn_t dead)
{
	if (dead.v == 0)
		return;
	walk_wait();
	while (dead.v != 0) {
		pfn_t table = dead;

		dead = frame_of(table)->table.next_dead;
		table_free_clean(table);
	}
}
