/*
 * The reverse map: object, its descriptors, the spaces that each may have entries in. Contract: reverse.h.
 *
 * Invariants: a space that has an entry of a descriptor is attached to it, from before the entry until after it. Descriptors
 * of an object are in the order they were made, and so are the attachments of one.
 * A walk looks at a few spaces at a time and lets go of the lists in between, so that whoever maps, forks or exits does not wait for
 * it; its place in them is the object's, and is moved on when what stands there goes. There is one walk of an object at a time.
 * Why a walk misses no entry that moves meanwhile: what is attached during it comes to the end of a list. Whatever list that is,
 * what the walk has been through is done, and what is filled anew there is filled as the walk's caller wants it: he
 * changes the index, the size or the marks before he walks, and whoever attached after a part of the walk sees that, by the lists' lock.
 * Entries come to be elsewhere in three ways. Fork copies them from a space to one that was attached to the same
 * descriptor later; mremap moves them to a descriptor that was made later. Both go forward in the order of the walk, and happen
 * under the locks of all tables concerned. So the walk meets an entry where it was, or where it has come to, or both; or has met it
 * where it was copied from. And a space
 * makes its own copy of a table that it shares (share.c), under the lock of both: of one that the walk has been through, by way of
 * whatever space, or of one that it has not, and then it comes to both, since all that share one are attached.
 * What is taken out of a shared table goes from all spaces, as it should. No hart can be holding it: fork has shot the table
 * down, and keeps a child's tables locked until it has.
 * Locks: the object's, for one walk at a time (RANK_REVERSE_WALK), and for its lists (RANK_REVERSE); the space's, for its own list and
 * the blocks in it (RANK_ATTACHED). Tables are locked one range at a time, within the lists'. A space whose list is empty is
 * reached by no walk, so it can be taken down.
 * Does not: find anonymous frames (docs/decisions/0008-page-cache.md).
 */
#include "mm/reverse.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/object_core.h"
#include "mm/range.h"
#include "mm/slab.h"
#include "mm/walk.h"

/* What a space can have: as many mappings as Linux's vm.max_map_count allows. Walks through all of them take long. */
#define MOST 65530U

struct attachment {
	struct list of_mapping; /* [the object's mappings_lock] */
	struct list of_space;	/* [the space's attached_lock] */
	struct mapping *mapping;
	struct space *space;
	struct block *block;
};

/* Fork makes a space's attachments at once. */
struct block {
	uint64_t live; /* [the space's attached_lock] */
	struct attachment attachment[];
};

static struct block *block_new(unsigned n, struct space *space)
{
	struct block *block = kalloc(sizeof(*block) + n * sizeof(struct attachment));

	for (unsigned i = 0; block != NULL && i < n; i++) {
		block->attachment[i].space = space;
		block->attachment[i].block = block;
	}
	return block;
}

void reverse_enter(struct object *object)
{
	spin_lock(&object->walk_lock, RANK_REVERSE_WALK);
}

void reverse_exit(struct object *object)
{
	spin_unlock(&object->walk_lock, RANK_REVERSE_WALK);
}

static void lists_lock(struct object *object)
{
	spin_lock(&object->mappings_lock, RANK_REVERSE);
}

static void lists_unlock(struct object *object)
{
	spin_unlock(&object->mappings_lock, RANK_REVERSE);
}

void reverse_add(struct mapping *mapping)
{
	if (mapping->object->fixed)
		return;
	lists_lock(mapping->object);
	list_add_tail(&mapping->object->mappings, &mapping->link);
	lists_unlock(mapping->object);
}

/* Lists of the object's held. */
static void link_locked(struct attachment *attachment)
{
	struct space *space = attachment->space;

	list_add_tail(&attachment->mapping->attachments, &attachment->of_mapping);
	spin_lock(&space->attached_lock, RANK_ATTACHED);
	list_add_tail(&space->attached, &attachment->of_space);
	/* relaxed: written under the lock, read without it where nothing follows from it alone */
	atomic_fetch_add_explicit(&space->attachments, 1, memory_order_relaxed);
	attachment->block->live++;
	spin_unlock(&space->attached_lock, RANK_ATTACHED);
}

/* Both locks held. What is to be freed, or NULL. */
static struct block *unlink_locked(struct attachment *attachment)
{
	struct object *object = attachment->mapping->object;
	struct block *block = attachment->block;

	if (object->walk_at == &attachment->of_mapping)
		object->walk_at = attachment->of_mapping.next;
	list_del(&attachment->of_mapping);
	list_del(&attachment->of_space);
	atomic_fetch_sub_explicit(&attachment->space->attachments, 1, memory_order_relaxed);
	return --block->live == 0 ? block : NULL;
}

void reverse_remove(struct mapping *mapping)
{
	struct object *object = mapping->object;

	if (object->fixed || mapping->origin != NULL)
		return;
	lists_lock(object);
	if (object->walk_mapping == &mapping->link) {
		object->walk_mapping = mapping->link.next;
		object->walk_at = NULL;
	}
	list_del(&mapping->link);
	while (!list_empty(&mapping->attachments)) {
		struct attachment *attachment = list_first(&mapping->attachments, struct attachment, of_mapping);
		struct space *space = attachment->space;
		struct block *gone;

		spin_lock(&space->attached_lock, RANK_ATTACHED);
		gone = unlink_locked(attachment);
		spin_unlock(&space->attached_lock, RANK_ATTACHED);
		kfree(gone);
	}
	lists_unlock(object);
}

int reverse_attach(struct mapping *mapping, struct space *space)
{
	struct block *block;

	if (mapping->object == NULL || mapping->object->fixed)
		return 0;
	/* relaxed: threads that map at once may have a few more */
	if (atomic_load_explicit(&space->attachments, memory_order_relaxed) >= MOST)
		return -ENOMEM;
	block = block_new(1, space);
	if (block == NULL)
		return -ENOMEM;
	block->attachment[0].mapping = mapping;
	lists_lock(mapping->object);
	link_locked(&block->attachment[0]);
	/* release: pairs with reverse_fork. The entries come later, under table locks, which whoever compares has too. */
	atomic_fetch_add_explicit(&space->attach_serial, 1, memory_order_release);
	lists_unlock(mapping->object);
	return 0;
}

/* What the parent has, with a count of each descriptor, so that it stays: n of them, in *out. 0 or -ENOMEM. */
static int gather(struct space *parent, struct space *child, struct block **out, unsigned *n)
{
	struct block *block;

	*n = 0;
	spin_lock(&parent->attached_lock, RANK_ATTACHED);
	block = block_new(atomic_load_explicit(&parent->attachments, memory_order_relaxed), child);
	for (struct list *pos = parent->attached.next; block != NULL && pos != &parent->attached; pos = pos->next) {
		struct mapping *mapping = list_entry(pos, struct attachment, of_space)->mapping;

		/* One that nobody maps any more is on its way out. */
		if (mapping_hold(mapping))
			block->attachment[(*n)++].mapping = mapping;
	}
	spin_unlock(&parent->attached_lock, RANK_ATTACHED);
	*out = block;
	return block == NULL ? -ENOMEM : 0;
}

int reverse_fork(struct space *parent, struct space *child, uint32_t *seen)
{
	struct block *block;
	unsigned n;

	/* acquire: pairs with the release in reverse_attach: what was attached by then is in the list. What comes later is found out. */
	*seen = atomic_load_explicit(&parent->attach_serial, memory_order_acquire);
	if (atomic_load_explicit(&parent->attachments, memory_order_relaxed) == 0)
		return 0;
	if (gather(parent, child, &block, &n) != 0)
		return -ENOMEM;
	block->live = 1; /* so that it stays until all are linked */
	for (unsigned i = 0; i < n; i++) {
		struct mapping *mapping = block->attachment[i].mapping;

		lists_lock(mapping->object);
		link_locked(&block->attachment[i]);
		lists_unlock(mapping->object);
		mapping_release(mapping);
	}
	spin_lock(&child->attached_lock, RANK_ATTACHED);
	if (--block->live != 0)
		block = NULL;
	spin_unlock(&child->attached_lock, RANK_ATTACHED);
	kfree(block);
	return 0;
}

bool reverse_changed(const struct space *space, uint32_t seen)
{
	/* relaxed: see reverse_attach */
	return atomic_load_explicit(&space->attach_serial, memory_order_relaxed) != seen;
}

/* Some object that the space is attached to, with a reference; NULL: none. */
static struct object *first_object(struct space *space)
{
	struct object *object = NULL;

	spin_lock(&space->attached_lock, RANK_ATTACHED);
	if (!list_empty(&space->attached)) {
		/* The descriptor has its reference until it is out of this list. */
		object = list_first(&space->attached, struct attachment, of_space)->mapping->object;
		object_get(object);
	}
	spin_unlock(&space->attached_lock, RANK_ATTACHED);
	return object;
}

void reverse_leave(struct space *space)
{
	struct object *object;

	/* With the lock even when there are none: whoever took the last one out has let go of it by then. */
	while ((object = first_object(space)) != NULL) {
		lists_lock(object);
		spin_lock(&space->attached_lock, RANK_ATTACHED);
		list_for_each_safe (pos, next, &space->attached) {
			struct attachment *attachment = list_entry(pos, struct attachment, of_space);

			if (attachment->mapping->object == object)
				kfree(unlink_locked(attachment));
		}
		spin_unlock(&space->attached_lock, RANK_ATTACHED);
		lists_unlock(object);
		object_put(object);
	}
}

bool reverse_knows(const struct mapping *mapping, const struct space *space)
{
	if (mapping->object == NULL || mapping->object->fixed)
		return true;
	if (mapping->origin != NULL)
		mapping = mapping->origin;
	list_for_each (pos, (struct list *)(uintptr_t)&mapping->attachments)
		if (list_entry(pos, struct attachment, of_mapping)->space == space)
			return true;
	return false;
}

/* ---- Walks. */

/* Where the pages [first, last) of its object are, as far as that is user space. */
static bool mapping_range(const struct mapping *mapping, uint64_t first, uint64_t last, uint64_t *start, uint64_t *end)
{
	/* The base is an address modulo 2^64: "below 0" where the mapping begins behind the object's begin. */
	__int128 base = (int64_t)mapping->base;
	__int128 from = base + ((__int128)first << PAGE_SHIFT), to = base + ((__int128)last << PAGE_SHIFT);

	if (from < 0)
		from = 0;
	if (to > (__int128)USER_END)
		to = (__int128)USER_END;
	*start = (uint64_t)from;
	*end = (uint64_t)to;
	return from < to;
}

/* How many spaces, or descriptors, are looked at before the walk lets go of the lists: one at first where tests are to meet it there. */
#ifdef CORRAL_DEBUG
#define BATCH  1U
#define PAUSES 1U
#define PAUSE  1U
#else
#define BATCH  16U
#define PAUSES 64U
#define PAUSE  8U
#endif

enum walk_kind { WALK_UNMAP, WALK_PROTECT, WALK_AGE };

struct walk_ctx {
	enum walk_kind kind;
	const struct mapping *mapping;
	uint64_t first, last;
	bool copies;
	bool some;	/* only those of `pages`: bit i is page first + i */
	uint64_t pages; /* or, of those that were looked at, which have been accessed */
};

/* Which page of the object stands there, if it is one that is meant. */
static bool is_meant(const struct walk_ctx *walk, const struct run *run, unsigned i, pte_t pte, uint64_t *page)
{
	const struct mapping *mapping;

	if (!pte_is_page(pte))
		return false;
	mapping = table_mapping(frame_of(run->table), i);
	if ((mapping != walk->mapping && mapping->origin != walk->mapping) ||
	    (!walk->copies && frame_of(pte_pfn(pte))->kind != FRAME_OBJECT))
		return false;
	*page = mapping_index(mapping, VADDR(run->va + (uint64_t)(i - run->first) * PAGE_SIZE)) - walk->first;
	return !walk->some || (walk->pages >> *page & 1) != 0;
}

static int park_run(struct range *range, const struct run *run, void *ctx)
{
	for (unsigned i = run->first; run->level == 0 && i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);
		uint64_t page;

		if (is_meant(ctx, run, i, pte, &page) && pte_is_valid(pte)) {
			pte_clear(slot, PTE_V);
			range_revoke(range, run->table);
		}
	}
	return 0;
}

static int drop_run(struct range *range, const struct run *run, void *ctx)
{
	const struct walk_ctx *walk = ctx;

	(void)range;
	for (unsigned i = run->first; run->level == 0 && i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);
		uint64_t page;

		if (!is_meant(walk, run, i, pte, &page))
			continue;
		/* It named the descriptor as a page and names it as a reservation: its count stays. */
		pte_store(slot, page_reservation(pte, table_mapping(frame_of(run->table), i)));
		frame_put(pte_pfn(pte));
	}
	return 0;
}

static int protect_run(struct range *range, const struct run *run, void *ctx)
{
	for (unsigned i = run->first; run->level == 0 && i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);
		uint64_t page;

		if (is_meant(ctx, run, i, pte, &page) && (pte.v & PTE_W) != 0) {
			pte_clear(slot, PTE_W);
			range_revoke(range, run->table);
		}
	}
	return 0;
}

/* A is set again by the next access, as nobody holds on to the entry after the shootdown. */
static int age_run(struct range *range, const struct run *run, void *ctx)
{
	struct walk_ctx *walk = ctx;

	for (unsigned i = run->first; run->level == 0 && i < run->last; i++) {
		_Atomic uint64_t *slot = pt_slot(run->table, i);
		pte_t pte = pte_load(slot);
		uint64_t page;

		if (is_meant(walk, run, i, pte, &page) && (pte.v & (PTE_V | PTE_A)) == (PTE_V | PTE_A)) {
			pte_clear(slot, PTE_A);
			range_revoke(range, run->table);
			walk->pages |= UINT64_C(1) << page;
		}
	}
	return 0;
}

static void walk_space(struct space *space, uint64_t start, uint64_t end, struct walk_ctx *walk)
{
	static range_fn *const look[] = { [WALK_UNMAP] = park_run, [WALK_PROTECT] = protect_run, [WALK_AGE] = age_run };
	struct range range;
	int err;

	range_lock_deep(&range, space, start, end);
	err = range_each(&range, look[walk->kind], walk);
	range_shootdown(&range);
	if (walk->kind == WALK_UNMAP)
		err |= range_each(&range, drop_run, walk);
	range_unlock(&range);
	CHECK(err == 0);
}

/* The next space, or descriptor. False: there are no more. Lists locked. */
static bool step_locked(struct object *object, struct walk_ctx *walk)
{
	struct mapping *mapping = list_entry(object->walk_mapping, struct mapping, link);
	uint64_t start, end;

	if (object->walk_mapping == &object->mappings)
		return false;
	if (object->walk_at == NULL)
		object->walk_at = mapping->attachments.next;
	if (object->walk_at == &mapping->attachments ||
	    (walk->kind == WALK_PROTECT && (!mapping->shared || (mapping->max_perm & PERM_W) == 0)) ||
	    !mapping_range(mapping, walk->first, walk->last, &start, &end)) {
		object->walk_mapping = mapping->link.next;
		object->walk_at = NULL;
		return true;
	}
	walk->mapping = mapping;
	walk_space(list_entry(object->walk_at, struct attachment, of_mapping)->space, start, end, walk);
	object->walk_at = object->walk_at->next;
	return true;
}

/* Longer and longer at a time, so that it comes to the end however fast others attach. */
static void walk_all(struct object *object, struct walk_ctx *walk)
{
	uint64_t batch = BATCH, pauses = 0;

	lists_lock(object);
	object->walk_mapping = object->mappings.next;
	object->walk_at = NULL;
	for (uint64_t n = 1; step_locked(object, walk); n++) {
		if (n < batch)
			continue;
		n = 0;
		if (++pauses % PAUSES == 0)
			batch *= 2;
		lists_unlock(object);
		for (unsigned i = 0; i < PAUSE; i++) /* so that who waits sees it */
			hw_relax();
		lists_lock(object);
	}
	object->walk_mapping = NULL;
	lists_unlock(object);
}

void reverse_unmap(struct object *object, uint64_t first, uint64_t last, bool copies)
{
	struct walk_ctx walk = { .kind = WALK_UNMAP, .first = first, .last = last, .copies = copies };

	walk_all(object, &walk);
}

void reverse_unmap_some(struct object *object, uint64_t first, uint64_t pages)
{
	struct walk_ctx walk = { .kind = WALK_UNMAP, .first = first, .some = true, .pages = pages };

	if (pages == 0)
		return;
	walk.last = first + 64 - (unsigned)__builtin_clzll(pages);
	walk_all(object, &walk);
}

void reverse_protect(struct object *object, uint64_t first, uint64_t last)
{
	struct walk_ctx walk = { .kind = WALK_PROTECT, .first = first, .last = last };

	walk_all(object, &walk);
}

uint64_t reverse_age(struct object *object, uint64_t first, uint64_t last)
{
	struct walk_ctx walk = { .kind = WALK_AGE, .first = first, .last = last };

	ASSERT(last - first <= 64);
	walk_all(object, &walk);
	return walk.pages;
}
