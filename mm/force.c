/*
 * A debugger's access to user memory (/proc/PID/mem): what is mapped can be read and, where it is private, written,
 * whatever its permissions say. A write makes a private copy, as the program's own would, and leaves the entry without W:
 * the program gets no right that it did not have. Shared memory is written only where the program may.
 *
 * Locks: the leaf table's, held while a page's bytes are copied, as in user.c; above the leaves, the table whose
 * reservation is split. Memory order: a frame is filled before the release store or swap that publishes it.
 */
#include <string.h>

#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/object_core.h"
#include "mm/share.h"
#include "mm/tlb.h"
#include "mm/walk.h"

/* The entry of a page with these rights that nobody has written to through it: parked where there are none. */
static pte_t entry_of(pfn_t pfn, uint64_t perm)
{
	return perm == 0 ? PTE((pfn.v << PTE_PFN_SHIFT) | PTE_U) : pte_leaf(pfn, page_bits(perm));
}

/* A private copy of what the entry names, in its place. */
static int copy_page(struct space *space, _Atomic uint64_t *slot, pte_t pte, vaddr_t va)
{
	pfn_t old = pte_pfn(pte), new;

	if (frame_alloc(FRAME_ANON, &new) != 0)
		return -ENOMEM;
	hw_page_copy(frame_data(new), frame_data(old));
	if ((pte.v & PTE_X) != 0)
		tlb_sync_icache(space); /* before any hart can fetch from the new frame */
	pte_swap(slot, entry_of(new, page_perm(pte)));
	tlb_shootdown(space, vaddr_page(va), PAGE_SIZE);
	frame_put(old);
	return 0;
}

/* The first touch of a reservation: as the program's own read would leave it. */
static int fill_page(struct space *space, pfn_t table, _Atomic uint64_t *slot, pte_t pte, vaddr_t va)
{
	struct mapping *mapping = pte_mapping(pte);
	pfn_t page = frame_zero();
	int err = table_set_mapping(table, pt_index(va, 0), mapping);

	if (err == 0 && mapping->object != NULL)
		err = object_frame_locked(mapping->object, mapping_index(mapping, va), &page);
	if (err != 0)
		return err;
	if ((pte.v & PERM_X) != 0)
		tlb_sync_icache(space);
	pte_store(slot, entry_of(page, pte.v & PERM_RWX));
	return 0;
}

/* One step towards a page that can be copied from or to: true, or an error in *err, or neither: look again. */
static bool step_leaf(struct space *space, pfn_t table, vaddr_t va, bool writing, int *err)
{
	_Atomic uint64_t *slot = pt_slot(table, pt_index(va, 0));
	pte_t pte = pte_load(slot);
	const struct mapping *mapping;
	pfn_t pfn;

	if (!pte_is_page(pte)) {
		*err = pte_is_none(pte) ? -EFAULT : fill_page(space, table, slot, pte, va);
		return false;
	}
	if (!writing)
		return true;
	mapping = table_mapping(frame_of(table), pt_index(va, 0));
	if (mapping->shared) {
		/* Where somebody wants to know of the write, as the program's own. */
		*err = (page_perm(pte) & PERM_W) == 0			      ? -EFAULT
		       : object_asks(mapping->object) && (pte.v & PTE_W) == 0 ? -EAGAIN
									      : 0;
		return *err == 0;
	}
	pfn = pte_pfn(pte);
	if (frame_of(pfn)->kind == FRAME_ANON && frame_is_sole(pfn))
		return true;
	*err = copy_page(space, slot, pte, va);
	return false;
}

/* Where the direct map has va; its leaf table stays locked. NULL: there is nothing, or it may not be written. */
static void *page_lock(struct space *space, vaddr_t va, bool writing, pfn_t *table)
{
	int err = 0;

	if (va.v >= USER_END)
		return NULL;
	while (err == 0) {
		unsigned level;
		pfn_t at = walk_lock(space, va, &level);

		if (level == 0) {
			if (step_leaf(space, at, va, writing, &err)) {
				*table = at;
				return (char *)frame_data(pte_pfn(pte_load(pt_slot(at, pt_index(va, 0))))) +
				       (va.v & PAGE_MASK);
			}
		} else if (pte_is_none(pte_load(pt_slot(at, pt_index(va, level))))) {
			err = -EFAULT;
		} else if (pte_is_detached(pte_load(pt_slot(at, pt_index(va, level))))) {
			err = table_own(at, level, pt_index(va, level), false);
		} else {
			err = table_split(at, level, pt_index(va, level), false);
		}
		table_unlock(at);
		if (err == -EAGAIN)
			err = space_fault(space, va, writing ? ACCESS_WRITE : ACCESS_READ) == FAULT_OK ? 0 : -EFAULT;
	}
	return NULL;
}

uint64_t force_read(struct space *space, void *dst, vaddr_t src, uint64_t n)
{
	uint64_t done = 0;

	while (done < n) {
		vaddr_t va = VADDR(src.v + done);
		uint64_t part = MIN(n - done, PAGE_SIZE - (va.v & PAGE_MASK));
		pfn_t table;
		const void *page = page_lock(space, va, false, &table);

		if (page == NULL)
			break;
		memcpy((char *)dst + done, page, part);
		table_unlock(table);
		done += part;
	}
	return done;
}

uint64_t force_write(struct space *space, vaddr_t dst, const void *src, uint64_t n)
{
	uint64_t done = 0;

	while (done < n) {
		vaddr_t va = VADDR(dst.v + done);
		uint64_t part = MIN(n - done, PAGE_SIZE - (va.v & PAGE_MASK));
		pfn_t table;
		void *page = page_lock(space, va, true, &table);

		if (page == NULL)
			break;
		memcpy(page, (const char *)src + done, part);
		/* A breakpoint, as likely as not. */
		if ((page_perm(pte_load(pt_slot(table, pt_index(va, 0)))) & PERM_X) != 0)
			tlb_sync_icache(space);
		table_unlock(table);
		done += part;
	}
	return done;
}
