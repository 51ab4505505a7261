/*
 * Page faults: walk, lock the leaf table, decide by what stands in the entry, change the one entry.
 *
 * Invariants: a page becomes writable only here and in mprotect, under its table's lock, and only if it is anonymous and
 * this entry is the only one that names its frame, or if it is of a shared mapping.
 * Locks: the leaf table; above the leaves, the table whose reservation is split. The shootdown of a copy is done under the
 * leaf's lock, so that the entry is not writable on one hart while another still reads the old frame.
 * Memory order: pages are filled before the release store or swap that publishes them (pte.h).
 * Does not: print, sleep, or look up regions: the entry says it all.
 */
#include "lib/check.h"
#include "lib/errno.h"
#include "mm/around.h"
#include "mm/mapping.h"
#include "mm/object_core.h"
#include "mm/share.h"
#include "mm/tlb.h"
#include "mm/view.h"
#include "mm/walk.h"

/* What the entry must allow, and what hardware may want set beforehand; in the bits of both PTEs and permissions. */
static uint64_t access_perm(enum access access)
{
	return access == ACCESS_WRITE ? PTE_W : access == ACCESS_READ ? PTE_R : PTE_X;
}

static uint64_t access_marks(enum access access)
{
	return access == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
}

/* Every fault ends in exactly one of the outcomes that are counted, so there is no count of faults as such. */

/* The access is allowed as things stand: hardware wants A or D set, or held on to an older entry. */
static enum fault fault_allowed(struct space *space, pfn_t table, _Atomic uint64_t *slot, pte_t pte, vaddr_t va,
				enum access access)
{
	uint64_t marks = access_marks(access);

	if ((pte.v & marks) != marks) {
		pte_set(slot, marks);
		mm_count(MM_MARKS);
		tlb_fence_page(mm_this_hart(), space, va);
		return FAULT_OK;
	}
	/* What it held on to may be an invalid non-leaf entry: only a fence of every level covers that. */
	mm_count(MM_SPURIOUS);
	/* Or this hart has not been here: what another end of a fault has done it finds now. */
	if (space_has_views(space))
		view_link(space, table, va);
	tlb_fence_local(space, va, 0);
	return FAULT_OK;
}

/* Nobody else names the frame, or it is meant to be seen by all: as it is. Others find out by a spurious fault. */
static inline enum fault write_in_place(struct mm_hart *mine, struct space *space, _Atomic uint64_t *slot, vaddr_t va)
{
	pte_set(slot, PTE_W | PTE_A | PTE_D);
	tlb_fence_page(mine, space, va);
	mm_count_here(mine, MM_COW_REUSES, 1);
	return FAULT_OK;
}

/* A shared page that somebody else wants to know of being written: a clone, or the store (dirty.c). */
static enum fault write_asking(struct space *space, _Atomic uint64_t *slot, pte_t pte, const struct mapping *mapping,
			       vaddr_t va)
{
	/* -EAGAIN of a backed object's: it has been taken out, and from here next. */
	if (object_let_write(mapping->object, mapping_index(mapping, va), pte_pfn(pte)) != 0)
		return object_store(mapping->object) == NULL ? FAULT_READ : FAULT_OK;
	return write_in_place(mm_this_hart(), space, slot, va);
}

/* Whether a write to this page is the first one by right. */
static inline bool is_cow(pte_t pte)
{
	return (pte.v & (PTE_V | PTE_U | PTE_W | PTE_MAYWRITE)) == (PTE_V | PTE_U | PTE_MAYWRITE);
}

static enum fault fault_page(struct mm_hart *mine, struct space *space, pfn_t table, _Atomic uint64_t *slot, pte_t pte,
			     vaddr_t va, enum access access)
{
	const struct mapping *mapping = table_mapping(frame_of(table), pt_index(va, 0));

	if (!pte_is_valid(pte))
		return FAULT_ACCERR;		     /* PROT_NONE */
	if (access == ACCESS_WRITE && is_cow(pte)) { /* but for wants_copy */
		if (mapping->shared)
			object_note_write(mapping->object);
		return mapping->shared && object_asks(mapping->object) ? write_asking(space, slot, pte, mapping, va)
								       : write_in_place(mine, space, slot, va);
	}
	if ((pte.v & access_perm(access)) != 0)
		return fault_allowed(space, table, slot, pte, va, access);
	return FAULT_ACCERR;
}

/* The frame is filled: what it held before, and as what it was fetched, no hart may execute from here. */
static void publish(struct space *space, _Atomic uint64_t *slot, pte_t pte)
{
	if (UNLIKELY((pte.v & PTE_X) != 0))
		tlb_sync_icache(space);
	pte_store(slot, pte);
}

static enum fault fill_zero(struct mm_hart *mine, struct space *space, _Atomic uint64_t *slot, uint64_t bits)
{
	pfn_t pfn;

	if (frame_alloc(FRAME_ANON, &pfn) != 0)
		return FAULT_OOM;
	hw_page_clear(frame_data(pfn));
	publish(space, slot, pte_leaf(pfn, bits | PTE_W));
	mm_count_here(mine, MM_ZERO_FILLS, 1);
	return FAULT_OK;
}

static enum fault read_zero(struct mm_hart *mine, struct space *space, _Atomic uint64_t *slot, uint64_t bits)
{
	publish(space, slot, pte_leaf(mine->zero, bits));
	mm_count_here(mine, MM_ZERO_READS, 1);
	return FAULT_OK;
}

static enum fault object_fault(int err)
{
	return err == 0 ? FAULT_OK : err == -ENOMEM ? FAULT_OOM : err == -EAGAIN ? FAULT_READ : FAULT_BUS;
}

/* The first touch of a private page is a write: a copy, without the page ever being mapped or counted. */
static __attribute__((noinline)) enum fault fill_copy(struct space *space, _Atomic uint64_t *slot,
						      const struct mapping *mapping, uint64_t bits, uint64_t index)
{
	pfn_t copy, page;

	if (frame_alloc(FRAME_ANON, &copy) != 0)
		return FAULT_OOM;
	if (UNLIKELY(!object_copy_page(mapping->object, index, frame_data(copy)))) {
		int err = object_frame_locked(mapping->object, index, &page);

		if (err != 0) {
			frame_put(copy);
			return object_fault(err);
		}
		hw_page_copy(frame_data(copy), frame_data(page));
		frame_put(page);
	}
	mm_count(MM_OBJECT_FAULTS);
	publish(space, slot, pte_leaf(copy, bits | PTE_W));
	return FAULT_OK;
}

/* The object's page as it is. */
static __attribute__((noinline)) enum fault fill_object(struct space *space, _Atomic uint64_t *slot,
							const struct mapping *mapping, uint64_t bits, vaddr_t va,
							enum access access)
{
	uint64_t index = mapping_index(mapping, va);
	pfn_t page;
	int err;

	err = object_frame_locked(mapping->object, index, &page);
	if (err != 0)
		return object_fault(err);
	if (mapping->shared && (bits & PTE_MAYWRITE) != 0) {
		bool asks = object_asks(mapping->object);

		if (asks && access == ACCESS_WRITE && object_let_write(mapping->object, index, page) != 0) {
			frame_put(page);
			return object_store(mapping->object) == NULL ? FAULT_READ : FAULT_OK;
		}
		if (access == ACCESS_WRITE)
			object_note_write(mapping->object);
		bits |= !asks || access == ACCESS_WRITE ? PTE_W : 0;
	}
	mm_count(MM_OBJECT_FAULTS);
	publish(space, slot, pte_leaf(page, bits));
	return FAULT_OK;
}

/* A reservation in a leaf table: the page is touched for the first time. */
static enum fault fault_fill(struct mm_hart *mine, struct space *space, pfn_t table, _Atomic uint64_t *slot, pte_t pte,
			     vaddr_t va, enum access access)
{
	struct mapping *mapping = pte_mapping(pte);

	if ((pte.v & access_perm(access)) == 0)
		return FAULT_ACCERR;
	if (table_set_mapping(table, pt_index(va, 0), mapping) != 0)
		return FAULT_OOM;
	if (mapping->object != NULL && !mapping->shared && access == ACCESS_WRITE)
		return fill_copy(space, slot, mapping, page_bits(pte.v), mapping_index(mapping, va));
	if (mapping->object != NULL) {
		enum fault fault = fill_object(space, slot, mapping, page_bits(pte.v), va, access);

		/* Where the table mixes mappings each entry's has to be noted: not worth it. */
		if (fault == FAULT_OK && frame_of(table)->table.side == NULL && pte_is_valid(pte_load(slot)) &&
		    (access != ACCESS_WRITE || (mapping->shared && !object_asks(mapping->object))))
			around_object(space, slot, pte, va);
		return fault;
	}
	return access == ACCESS_WRITE ? fill_zero(mine, space, slot, page_bits(pte.v))
				      : read_zero(mine, space, slot, page_bits(pte.v));
}

/* No leaf table of our own on the path yet: FAULT_OK when there is one a level further down now. */
static enum fault fault_upper(pfn_t table, unsigned level, vaddr_t va, enum access access)
{
	pte_t pte = pte_load(pt_slot(table, pt_index(va, level)));

	if (pte_is_none(pte))
		return FAULT_MAPERR;
	if (pte_is_detached(pte))
		return table_own(table, level, pt_index(va, level), false) == 0 ? FAULT_OK : FAULT_OOM;
	if ((pte.v & access_perm(access)) == 0)
		return FAULT_ACCERR;
	return table_split(table, level, pt_index(va, level), false) == 0 ? FAULT_OK : FAULT_OOM;
}

int space_object_at(struct space *space, vaddr_t va, struct object **object, uint64_t *index)
{
	struct mapping *mapping;
	uint64_t perm;

	if (va.v >= USER_END || (mapping = walk_mapping(space, va, &perm)) == NULL)
		return -EFAULT;
	*object = mapping->object;
	if (*object != NULL) {
		object_get(*object);
		*index = mapping_index(mapping, va);
	}
	mapping_put(mapping, 1);
	return *object == NULL ? -EFAULT : 0;
}

void space_advise(struct space *space, vaddr_t va, unsigned advice)
{
	uint64_t perm;
	struct mapping *mapping = va.v >= USER_END ? NULL : walk_mapping(space, va, &perm);

	if (mapping == NULL)
		return;
	if (mapping->object != NULL)
		atomic_store_explicit(&mapping->advice, (uint8_t)advice, memory_order_relaxed);
	mapping_put(mapping, 1);
}

unsigned space_advice(struct space *space, vaddr_t va)
{
	unsigned advice = 0;
	uint64_t perm;
	struct mapping *mapping = va.v >= USER_END ? NULL : walk_mapping(space, va, &perm);

	if (mapping != NULL) {
		advice = atomic_load_explicit(&mapping->advice, memory_order_relaxed);
		mapping_put(mapping, 1);
	}
	return advice;
}

/* A page is missing, of a store; or it is shared with a clone, and has to be made the object's own without table locks. */
static enum fault settle(struct space *space, vaddr_t va)
{
	enum fault fault = FAULT_READ;
	struct object *object;
	uint64_t index;

	if (space_object_at(space, va, &object, &index) != 0)
		return FAULT_OK; /* something else is there by now */
	if (object_store(object) == NULL)
		fault = object_own(object, index) == 0 ? FAULT_OK : FAULT_OOM;
	object_put(object);
	return fault;
}

/* Nothing mapped, or not allowed, or no memory, or a page is missing; unless something can be done about it: then it is tried again. */
static __attribute__((noinline, cold)) enum fault refused(struct space *space, vaddr_t va, enum fault fault)
{
	if (fault == FAULT_READ) {
		fault = settle(space, va);
		if (fault != FAULT_OOM)
			return fault;
	}
	if (fault == FAULT_MAPERR && va.v < USER_END && space_grow_down(space, va) == 0)
		return FAULT_OK;
	mm_count(MM_REFUSED);
	return fault;
}

/* ---- How a fault ends. All begin with the leaf table locked, and none ends so. */

static inline void leaf_unlock(struct frame *frame)
{
	spin_unlock(&frame->table.lock, RANK_TABLE);
}

static __attribute__((noinline, cold)) enum fault starved(struct space *space, vaddr_t va, struct frame *frame)
{
	leaf_unlock(frame);
	return refused(space, va, FAULT_OOM);
}

/* A copy takes the place of a page that others name, too. */
static __attribute__((noinline)) enum fault finish_copy(struct mm_hart *mine, struct space *space, vaddr_t va,
							_Atomic uint64_t *slot, pte_t pte, struct frame *frame)
{
	pfn_t old = pte_pfn(pte);
	pfn_t new;

	if (UNLIKELY(frame_alloc(FRAME_ANON, &new) != 0))
		return starved(space, va, frame);
	if (UNLIKELY(frame_of(old)->kind == FRAME_ZERO)) {
		hw_page_clear(frame_data(new));
		mm_count_here(mine, MM_ZERO_FILLS, 1);
	} else {
		hw_page_copy(frame_data(new), frame_data(old));
		mm_count_here(mine, MM_COW_COPIES, 1);
	}
	/*
	 * Read-only first: were it writable at once, one hart could write to the new frame while another still reads the
	 * old one through its TLB. Whoever wants to write meanwhile waits for the table's lock.
	 */
	if (UNLIKELY((pte.v & PTE_X) != 0))
		tlb_sync_icache(space); /* before any hart can fetch from the new frame */
	pte_swap(slot, pte_leaf(new, pte.v & (PTE_R | PTE_X | PTE_MAYWRITE)));
	tlb_shootdown_page(mine, space, frame, va);
	pte_set(slot, PTE_W | PTE_D);
	frame_put(old);
	leaf_unlock(frame);
	return FAULT_OK;
}

/* A first write to memory of nobody's and without PTE_X. */
static ALWAYS_INLINE enum fault finish_cleared(struct mm_hart *mine, vaddr_t va, _Atomic uint64_t *slot, pte_t pte,
					       struct frame *frame, pfn_t pfn)
{
	pte_store(slot, pte_leaf(pfn, (page_bits(pte.v) & ~PTE_X) | PTE_W));
	mm_count_here(mine, MM_ZERO_FILLS, 1);
	if (UNLIKELY(mine->anon_group != 1))
		around_anon(mine, slot, pte, va);
	leaf_unlock(frame);
	return FAULT_OK;
}

static __attribute__((noinline)) enum fault finish_zero(struct mm_hart *mine, vaddr_t va, _Atomic uint64_t *slot,
							pte_t pte, struct frame *frame)
{
	pfn_t pfn;

	/* relaxed: it is looked at again under its lock */
	if (atomic_load_explicit(&mine->cleared.n, memory_order_relaxed) != 0 &&
	    cleared_take(&mine->cleared, FRAME_ANON, &pfn)) {
		mm_count_here(mine, MM_CLEARED_USES, 1);
		return finish_cleared(mine, va, slot, pte, frame, pfn);
	}
	if (UNLIKELY(frame_alloc(FRAME_ANON, &pfn) != 0))
		return starved(mine->space, va, frame);
	hw_page_clear(frame_data(pfn));
	return finish_cleared(mine, va, slot, pte, frame, pfn);
}

/* Of a page that is_cow: whether it is not simply written in place, or somebody asked. */
static bool wants_copy(pfn_t table, pte_t pte, vaddr_t va)
{
	pfn_t old = pte_pfn(pte);

	return !(frame_of(old)->kind == FRAME_ANON && frame_is_sole(old)) &&
	       !table_mapping(frame_of(table), pt_index(va, 0))->shared;
}

/* Whatever it is. */
static __attribute__((noinline)) enum fault finish(struct mm_hart *mine, struct space *space, vaddr_t va,
						   enum access access, pfn_t table)
{
	_Atomic uint64_t *slot = pt_slot(table, pt_index(va, 0));
	pte_t pte = pte_load(slot);
	enum fault fault;

	if (access == ACCESS_WRITE && is_cow(pte) && wants_copy(table, pte, va))
		return finish_copy(mine, space, va, slot, pte, frame_of(table));
	if (pte_is_page(pte))
		fault = fault_page(mine, space, table, slot, pte, va, access);
	else if (pte_is_none(pte))
		fault = FAULT_MAPERR;
	else
		fault = fault_fill(mine, space, table, slot, pte, va, access);
	table_unlock(table);
	return LIKELY(fault == FAULT_OK) ? FAULT_OK : refused(space, va, fault);
}

enum fault space_fault(struct space *space, vaddr_t va, enum access access)
{
	enum fault fault = FAULT_MAPERR;
	unsigned level;

	if (UNLIKELY(va.v >= USER_END))
		return refused(space, va, fault);
	do {
		pfn_t table = walk_lock(space, va, &level);

		if (LIKELY(level == 0))
			return finish(mm_this_hart(), space, va, access, table);
		fault = fault_upper(table, level, va, access);
		table_unlock(table);
	} while (fault == FAULT_OK);
	return refused(space, va, fault);
}

/* A reservation of anonymous memory with these permissions, of the mapping that all of the table belongs to. */
static inline bool is_anon(const struct frame *frame, pte_t pte, uint64_t perm)
{
	const struct mapping *mapping = pte_mapping(pte);

	return (pte.v & (PTE_V | perm | PTE_X | PTE_U)) == perm && frame->table.mapping == mapping &&
	       frame->table.side == NULL && mapping->object == NULL;
}

/*
 * The fast path. It is short, and calls nothing until it knows where to: to the end for a page that is this space's alone, and for
 * anonymous memory that is read before it is written; to finish_*, or, where the walk was not straightforward, to space_fault.
 * It tells them by what stands in the entry, in the table's part of the coremap, and in the page's.
 */
enum fault space_fault_here(vaddr_t va, enum access access)
{
	struct mm_hart *mine = mm_this_hart();
	struct space *space = mine->space;
	_Atomic uint64_t *slot;
	struct frame *frame;
	pfn_t table;
	pte_t pte;

	if (UNLIKELY(va.v / pt_span(PT_ROOT) >= PT_ENTRIES / 2) || !walk_try_leaf(mine, space, mine->root, va, &table))
		return space_fault(space, va, access);
	frame = frame_of(table);
	slot = pt_slot(table, pt_index(va, 0));
	pte = pte_load(slot);
	if (access == ACCESS_WRITE) {
		if (is_anon(frame, pte, PTE_W))
			return finish_zero(mine, va, slot, pte, frame);
		/* An anonymous page's mapping is private. */
		if (!is_cow(pte) || frame_of(pte_pfn(pte))->kind != FRAME_ANON)
			return finish(mine, space, va, access, table);
		if (!frame_is_sole(pte_pfn(pte)))
			return finish_copy(mine, space, va, slot, pte, frame);
		(void)write_in_place(mine, space, slot, va);
	} else {
		if (access != ACCESS_READ || !is_anon(frame, pte, PTE_R))
			return finish(mine, space, va, access, table);
		(void)read_zero(mine, space, slot, page_bits(pte.v) & ~PTE_X);
	}
	leaf_unlock(frame);
	return FAULT_OK;
}
