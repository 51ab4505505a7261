/*
 * Spaces as such: made, counted, taken down; and how mm/ starts.
 *
 * Invariants: a space's root is a table of level 2 whose upper half is the kernel's; it goes when the last reference
 * does, and no hart is in it then, since whoever runs in it holds a reference.
 * Locks: the list of spaces, for the audit.
 * Does not: know processes, limits or files; kernel/ does.
 */
#include "mm/space.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/asid.h"
#include "mm/hart.h"
#include "mm/locked.h"
#include "mm/object_list.h"
#include "mm/reverse.h"
#include "mm/share.h"
#include "mm/slab.h"
#include "mm/space_list.h"
#include "mm/tlb.h"
#include "mm/view.h"
#include "mm/walk.h"

/* Room above the addresses that are chosen, for the stack that exec puts there. */
#define STACK_ROOM (UINT64_C(16) << 20)

/* What a region that grows down may grow to, unless kernel/ says otherwise: Linux's usual RLIMIT_STACK. */
#define GROW_LIMIT (UINT64_C(8) << 20)

static struct {
	struct spinlock lock;
	struct list all; /* [lock] */
	uint64_t made;	 /* [lock] */
} spaces;

void mm_init(bool tlb_ipi)
{
	slab_init();
	mm_hart_init();
	tables_init();
	mapping_init();
	object_list_init();
	asid_init();
	tlb_init(tlb_ipi);
	spin_init(&spaces.lock);
	list_init(&spaces.all);
}

void space_list_visit(void (*visit)(void *ctx, struct space *space), void *ctx)
{
	list_for_each (pos, &spaces.all)
		visit(ctx, list_entry(pos, struct space, link));
}

int space_create(struct space **out)
{
	struct space *space = kalloc(sizeof(*space) + hw_harts() * sizeof(struct va_hint));

	if (space == NULL)
		return -ENOMEM;
	if (table_new(PT_ROOT, PTE(0), &space->root) != 0) {
		kfree(space);
		return -ENOMEM;
	}
	space->asid = asid_alloc();
	atomic_init(&space->active, tlb_everyone);
	space->mmap_top = VADDR(USER_END - STACK_ROOM);
	locked_init(space);
	spin_init(&space->attached_lock);
	list_init(&space->attached);
	atomic_init(&space->users, 1);
	atomic_init(&space->grow_limit, GROW_LIMIT);
	/* Every hart may have old instructions of the frames that will be mapped here. */
	atomic_init(&space->icache_stale, UINT64_MAX);
	spin_lock(&spaces.lock, RANK_SPACES);
	space->serial = ++spaces.made;
	list_add(&spaces.all, &space->link);
	spin_unlock(&spaces.lock, RANK_SPACES);
	*out = space;
	return 0;
}

void space_get(struct space *space)
{
	/* relaxed: the caller has a reference */
	uint32_t old = atomic_fetch_add_explicit(&space->users, 1, memory_order_relaxed);

	CHECK(old != 0 && old != UINT32_MAX);
}

void space_put(struct space *space)
{
	pfn_t dead = PFN(0);

	/* acq_rel: what other threads did in the space is done before it is taken down */
	uint32_t old = atomic_fetch_sub_explicit(&space->users, 1, memory_order_acq_rel);

	CHECK(old != 0);
	if (old != 1)
		return;
	/* acquire: pairs with the release in tlb.c's leave */
	CHECK((atomic_load_explicit(&space->active, memory_order_acquire) & ~tlb_everyone) == 0);
	spin_lock(&spaces.lock, RANK_SPACES);
	list_del(&space->link);
	spin_unlock(&spaces.lock, RANK_SPACES);
	reverse_leave(space); /* first: a walk finds nothing any more */
	views_free(space);
	table_take_down(space->root, PT_ROOT, false, &dead);
	tables_free(dead);
	locked_end(space);
	asid_free(space->asid);
	kfree(space);
}
