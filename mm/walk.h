/*
 * Walking page tables by software. Private to mm/.
 *
 * A walk down takes no locks and may meet a table that another hart is unlinking, so unlinked tables are not freed before
 * every hart has left the walk that it was in: walk epochs, per hart, odd while in one.
 */
#ifndef MM_WALK_H
#define MM_WALK_H

#include "lib/bits.h"
#include "mm/coremap.h"
#include "mm/hart.h"
#include "mm/pte.h"
#include "mm/space.h"

static inline void epoch_enter(_Atomic uint32_t *epoch)
{
	/*
	 * relaxed store, then a full fence: pairs with the fence in epochs_wait. Either that sees us in the walk, or we see
	 * the table, node or frame unlinked.
	 */
	store_relaxed_u32(epoch, atomic_load_explicit(epoch, memory_order_relaxed) + 1);
	atomic_thread_fence(memory_order_seq_cst);
}

static inline void epoch_exit(_Atomic uint32_t *epoch)
{
	/* release: our loads are done; pairs with the acquire in epochs_wait */
	store_release_u32(epoch, atomic_load_explicit(epoch, memory_order_relaxed) + 1);
}

static inline void walk_enter(void)
{
	epoch_enter(&mm_this_hart()->epoch);
}

static inline void walk_exit(void)
{
	epoch_exit(&mm_this_hart()->epoch);
}

/* Returns when every walk that was under way when it was called has ended. With no table lock held: walkers wait for
 * those inside their walk. */
void walk_wait(void);

/*
 * The same for look-ups in an object's index: they have an epoch of their own, in which nothing is waited for, so that whoever takes
 * pages out waits for copies of a page at most, and may hold any lock. Not within each other.
 */
static inline void look_enter(void)
{
	epoch_enter(&mm_this_hart()->look);
}

static inline void look_exit(void)
{
	epoch_exit(&mm_this_hart()->look);
}

void look_wait(void);

static inline void table_unlock(pfn_t table)
{
	spin_unlock(&frame_of(table)->table.lock, RANK_TABLE);
}

/*
 * Fork may detach an upper table while somebody is on the way through it to a lower one, of which it takes no lock. So whoever has
 * got a table's lock asks whether fork has detached anything since he began to walk, and if so walks again. acquire: pairs with
 * the bump in fork.c: who sees it sees what was detached, too. Who does not see it is before the fork: fork.c says why that will do.
 */
static inline uint32_t walk_forks(const struct space *space)
{
	return atomic_load_explicit(&space->forks, memory_order_acquire);
}

/*
 * Finds the lowest table on va's path that is this space's alone and returns it locked and not stale: level 0 where there is a
 * leaf table. Where it is higher, its entry for va was no private table when it was locked, but may be a detached one.
 * va < USER_END.
 */
static inline pfn_t walk_lock(struct space *space, vaddr_t va, unsigned *level)
{
	for (;;) {
		pfn_t table = space->root;
		unsigned at = PT_ROOT;

		walk_enter();
		uint32_t forks = walk_forks(space);

		while (at > 0) {
			pte_t pte = pte_load(pt_slot(table, pt_index(va, at)));

			if (!pte_is_table(pte))
				break;
			table = pte_pfn(pte);
			at--;
		}
		struct frame *frame = frame_of(table);

		spin_lock(&frame->table.lock, RANK_TABLE);
		/*
		 * Linked still, and no table came below it while we waited for the lock? The answer, and letting go of a
		 * table that is not linked, belong to the walk: only the epoch keeps such a table from being freed.
		 */
		bool good = !frame->table.stale && walk_forks(space) == forks &&
			    (at == 0 || !pte_is_table(pte_load(pt_slot(table, pt_index(va, at)))));

		if (UNLIKELY(!good))
			table_unlock(table);
		walk_exit();
		if (LIKELY(good)) {
			*level = at;
			return table;
		}
	}
}

/*
 * walk_lock for the fault path: straight to a leaf table that is this space's alone. False, and nothing locked, where there is
 * none, or it has to be waited for, or looked for again. va below the upper half. root: the space's, or this hart's view of it.
 */
static inline bool walk_try_leaf(struct mm_hart *mine, struct space *space, pfn_t root, vaddr_t va, pfn_t *table)
{
	struct frame *frame;
	uint32_t forks;
	bool good;
	pte_t pte;

	epoch_enter(&mine->epoch);
	forks = walk_forks(space);
	pte = pte_load(pt_slot(root, (unsigned)(va.v >> (PAGE_SHIFT + PT_BITS * PT_ROOT))));
	good = pte_is_table(pte);
	if (LIKELY(good)) {
		pte = pte_load(pt_slot(pte_pfn(pte), pt_index(va, 1)));
		good = pte_is_table(pte);
	}
	if (LIKELY(good)) {
		*table = pte_pfn(pte);
		frame = frame_of(*table);
		good = spin_trylock(&frame->table.lock, RANK_TABLE);
		/* As in walk_lock. */
		if (LIKELY(good) && UNLIKELY(frame->table.stale || walk_forks(space) != forks)) {
			table_unlock(*table);
			good = false;
		}
	}
	epoch_exit(&mine->epoch);
	return LIKELY(good);
}

/*
 * The lowest table on va's path, locked, also where others share it: to read only. *level, and in how many places the path makes
 * its pages be (1: in this one alone); NULL: not asked.
 */
pfn_t walk_read(struct space *space, vaddr_t va, unsigned *level, uint32_t *places);

/* Entries first .. last - 1 of a locked table may no longer be zero. */
static inline void table_note(struct frame *frame, unsigned first, unsigned last)
{
	unsigned from = first / PT_GROUP, to = (last - 1) / PT_GROUP;

	frame->table.groups |= (UINT64_MAX << from) & (UINT64_MAX >> (63 - to));
}

/* Where the group of entry index ends, at most at end. */
static inline unsigned group_end(unsigned index, unsigned end)
{
	return MIN(ALIGN_DOWN(index, PT_GROUP) + PT_GROUP, end);
}

/* Whether there may be anything in the group of entry index of a locked table. */
static inline bool table_has_group(const struct frame *frame, unsigned index)
{
	return (frame->table.groups >> (index / PT_GROUP) & 1) != 0;
}

/* Entries first .. last - 1 of a locked table are zero. */
static inline void table_note_none(struct frame *frame, unsigned first, unsigned last)
{
	unsigned from = (first + PT_GROUP - 1) / PT_GROUP, to = last / PT_GROUP;

	if (frame->table.used == 0)
		frame->table.groups = 0;
	else if (from < to)
		frame->table.groups &= ~((UINT64_MAX << from) & (UINT64_MAX >> (64 - to)));
}

unsigned table_next_slow(pfn_t table, unsigned index, unsigned end);

/*
 * The first entry that is not zero among index .. end - 1 of a locked table, or end. Small processes use a few entries of
 * each table; this is what keeps their fork and exit from looking at all of them.
 */
static inline unsigned table_next(pfn_t table, unsigned index, unsigned end)
{
	if (index < end && pte_load(pt_slot(table, index)).v != 0)
		return index;
	return table_next_slow(table, index, end);
}

/*
 * All entries of a locked table that are not zero, one after the other: the caller knows how many (`used`), and asks for no more.
 * Kernel's ones in a root are not counted, and not looked at.
 */
struct table_walk {
	_Atomic uint64_t *slot;
	uint64_t groups; /* from that slot's on, once it is at the begin of one */
};

static inline struct table_walk table_walk(pfn_t table)
{
	return (struct table_walk){ pt_slot(table, 0), frame_of(table)->table.groups };
}

static inline _Atomic uint64_t *table_walk_next(struct table_walk *walk)
{
	_Atomic uint64_t *slot = walk->slot;

	do {
		if ((uintptr_t)slot % (PT_GROUP * sizeof(uint64_t)) == 0) {
			unsigned skip = bits_lowest(walk->groups);

			slot += skip * PT_GROUP;
			walk->groups = walk->groups >> skip >> 1;
		}
	} while (pte_load(slot++).v == 0);
	walk->slot = slot;
	return slot - 1;
}

/* Where the run of entries that are the same as entry index ends, at most at end. */
static inline unsigned table_run(pfn_t table, unsigned index, unsigned end)
{
	const _Atomic uint64_t *slot = pt_slot(table, 0);
	uint64_t same = pte_load(&slot[index]).v;

	do
		index++;
	while (index < end && pte_load(&slot[index]).v == same);
	return index;
}

/* A table with every entry `fill` (0: none; else a reservation, whose descriptor it counts), a root with the kernel's. Unlocked, not linked. */
int table_new(unsigned level, pte_t fill, pfn_t *out) MUST_CHECK;

/* Gives a table's frame and its side page back, not what its entries name; clean: none of them names anything, all are zero. */
void table_free(pfn_t table);
void table_free_clean(pfn_t table);

/* The pages of `to`, a new table, will belong to what those of `from` do, which is locked. 0 or -ENOMEM. */
int table_share_side(const struct frame *from, struct frame *to) MUST_CHECK;

/* Clean tables are put by for whoever needs the next. */
void tables_init(void);

/*
 * Replaces a reservation, or nothing, in an entry of a locked table above the leaves by a table one level down that says
 * the same for each part. keep_locked: the new table's lock is taken before anybody can find it. 0 or -ENOMEM.
 */
int table_split(pfn_t table, unsigned level, unsigned index, bool keep_locked) MUST_CHECK;

/* What a page in this entry of a leaf table belongs to. Table locked. */
static inline struct mapping *table_mapping(const struct frame *frame, unsigned index)
{
	return UNLIKELY(frame->table.side != NULL) ? frame->table.side[index] : frame->table.mapping;
}

/* Notes that entry index belongs to mapping, before a page is put there. Makes a side page where it has to. Table locked.
 * 0 or -ENOMEM. */
int table_set_mapping_slow(pfn_t table, unsigned index, struct mapping *mapping) MUST_CHECK;

static inline int table_set_mapping(pfn_t table, unsigned index, struct mapping *mapping)
{
	struct frame *frame = frame_of(table);

	if (LIKELY(frame->table.side == NULL && frame->table.mapping == mapping))
		return 0;
	return table_set_mapping_slow(table, index, mapping);
}

/* What the program may do with a page, present or parked: its rights, not what hardware lets it do now. */
static inline uint64_t page_perm(pte_t pte)
{
	return (pte.v & (PTE_R | PTE_X)) | ((pte.v & PTE_MAYWRITE) != 0 ? PTE_W : 0);
}

/* The bits of a page with these rights that is not to be written yet. */
static inline uint64_t page_bits(uint64_t perm)
{
	return (perm & (PTE_R | PTE_X)) | ((perm & PTE_W) != 0 ? PTE_MAYWRITE : 0);
}

/* The reservation that a page goes back to when it is discarded. */
static inline pte_t page_reservation(pte_t pte, const struct mapping *mapping)
{
	return pte_reservation(mapping, page_perm(pte));
}

/* Descriptor, counted, and permissions of what is mapped at va < USER_END; NULL where nothing is. */
struct mapping *walk_mapping(struct space *space, vaddr_t va, uint64_t *perm);

#endif
