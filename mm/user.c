/*
 * The kernel's own reads and writes of user memory: a walk by software, the leaf table's lock, and the direct map.
 *
 * The lock is held while a page's bytes are copied, so the frame can neither be freed nor become somebody else's
 * meanwhile, and no reference to it is ever taken: a second count would make copy-on-write copy it (CVE-2020-29374 and
 * its like). Pages that are not there, or not writable yet, go through space_fault as the program's own access would.
 * sstatus.SUM stays clear always.
 */
#include <string.h>

#include "lib/errno.h"
#include "mm/mapping.h"
#include "mm/object.h"
#include "mm/user.h"
#include "mm/walk.h"

static int (*help)(struct space *space, vaddr_t va, enum access access,
		   enum fault fault); /* set once, before programs run */

void user_set_helper(int (*helper)(struct space *space, vaddr_t va, enum access access, enum fault fault))
{
	help = helper;
}

/* 0: the page can be looked at again. */
static int fault_in(struct space *space, vaddr_t va, enum access access)
{
	enum fault fault = space_fault(space, va, access);

	if (fault == FAULT_OK)
		return 0;
	if (fault != FAULT_OOM && fault != FAULT_READ)
		return -EFAULT;
	return help != NULL ? help(space, va, access, fault) : fault == FAULT_OOM ? -ENOMEM : -EAGAIN;
}

/* The leaf table, locked; 0: there is none. */
static __attribute__((noinline)) pfn_t lock_leaf(struct space *space, vaddr_t va)
{
	unsigned level;
	pfn_t table = walk_lock(space, va, &level);

	if (level == 0)
		return table;
	table_unlock(table);
	return PFN(0);
}

/* Where the direct map has va, if the access is allowed as things stand; its leaf table stays locked. Else NULL. */
static void *lock_page(struct space *space, vaddr_t va, enum access access, pfn_t *out)
{
	uint64_t need = PTE_V | (access == ACCESS_WRITE ? PTE_W : PTE_R);
	_Atomic uint64_t *slot;
	pfn_t table;
	pte_t pte;

	if (UNLIKELY(!walk_try_leaf(mm_this_hart(), space, space->root, va, &table))) {
		table = lock_leaf(space, va);
		if (table.v == 0)
			return NULL;
	}
	slot = pt_slot(table, pt_index(va, 0));
	pte = pte_load(slot);
	if ((pte.v & need) != need) {
		table_unlock(table);
		return NULL;
	}
	if (access == ACCESS_WRITE && (pte.v & PTE_D) == 0)
		pte_set(slot, PTE_A | PTE_D);
	*out = table;
	return (char *)frame_data(pte_pfn(pte)) + (va.v & PAGE_MASK);
}

int user_page_lock(struct space *space, vaddr_t va, enum access access, pfn_t *table, void **out)
{
	if (va.v >= USER_END)
		return -EFAULT;
	while ((*out = lock_page(space, va, access, table)) == NULL) {
		int err = fault_in(space, va, access);

		if (err != 0)
			return err;
	}
	return 0;
}

int user_read(struct space *space, void *dst, vaddr_t src, uint64_t n)
{
	for (uint64_t done = 0, part; done < n; done += part) {
		vaddr_t va = VADDR(src.v + done);
		pfn_t table;
		void *page;
		int err = user_page_lock(space, va, ACCESS_READ, &table, &page);

		if (err != 0)
			return err;
		part = MIN(n - done, PAGE_SIZE - (va.v & PAGE_MASK));
		memcpy((char *)dst + done, page, part);
		table_unlock(table);
	}
	return 0;
}

/* src NULL: zeros. */
static int write_or_clear(struct space *space, vaddr_t dst, const char *src, uint64_t n)
{
	for (uint64_t done = 0, part; done < n; done += part) {
		vaddr_t va = VADDR(dst.v + done);
		pfn_t table;
		void *page;
		int err = user_page_lock(space, va, ACCESS_WRITE, &table, &page);

		if (err != 0)
			return err;
		part = MIN(n - done, PAGE_SIZE - (va.v & PAGE_MASK));
		if (src != NULL)
			memcpy(page, src + done, part);
		else
			memset(page, 0, part);
		table_unlock(table);
	}
	return 0;
}

int user_write(struct space *space, vaddr_t dst, const void *src, uint64_t n)
{
	return write_or_clear(space, dst, src, n);
}

int user_clear(struct space *space, vaddr_t dst, uint64_t n)
{
	return write_or_clear(space, dst, NULL, n);
}

int64_t user_read_string(struct space *space, char *dst, vaddr_t src, uint64_t max)
{
	for (uint64_t done = 0, part; done < max; done += part) {
		vaddr_t va = VADDR(src.v + done);
		const char *end;
		pfn_t table;
		void *page;
		int err = user_page_lock(space, va, ACCESS_READ, &table, &page);

		if (err != 0)
			return err;
		part = MIN(max - done, PAGE_SIZE - (va.v & PAGE_MASK));
		end = memccpy(dst + done, page, 0, part);
		table_unlock(table);
		if (end != NULL)
			return end - dst - 1;
	}
	return -ENAMETOOLONG;
}

/*
 * Without a lock, which would be one more line that harts share. The entry is the same before and behind the load, and its table is
 * there as long as the walk, so the word is of the page that was mapped at some moment in between.
 */
static bool load_unlocked(struct space *space, vaddr_t va, uint32_t *out)
{
	pfn_t table = space->root;
	unsigned level = PT_ROOT;
	pte_t pte;
	bool same;

	walk_enter();
	for (;; level--) {
		/* acquire: pairs with the release that linked the table, or filled the page */
		pte = PTE(atomic_load_explicit(pt_slot(table, pt_index(va, level)), memory_order_acquire));
		if (level == 0 || !pte_is_table(pte))
			break;
		table = pte_pfn(pte);
	}
	same = level == 0 && (pte.v & (PTE_V | PTE_U | PTE_R)) == (PTE_V | PTE_U | PTE_R);
	if (same) {
		const char *page = frame_data(pte_pfn(pte));

		/* seq_cst: futex protocols order it against the program's own accesses */
		*out = atomic_load_explicit((const _Atomic uint32_t *)(page + (va.v & PAGE_MASK)),
					    memory_order_seq_cst);
		/* A and D may come meanwhile; seq_cst: behind the word */
		same = ((atomic_load_explicit(pt_slot(table, pt_index(va, 0)), memory_order_seq_cst) ^ pte.v) &
			~(PTE_A | PTE_D)) == 0;
	}
	walk_exit();
	return same;
}

int user_load_u32(struct space *space, vaddr_t va, uint32_t *out)
{
	pfn_t table;
	void *page;

	if (va.v >= USER_END || va.v % sizeof(uint32_t) != 0)
		return -EFAULT;
	if (LIKELY(load_unlocked(space, va, out)))
		return 0;
	page = lock_page(space, va, ACCESS_READ, &table);
	if (page == NULL)
		return -EAGAIN;
	/* seq_cst: futex protocols order it against the program's own accesses */
	*out = atomic_load_explicit((_Atomic uint32_t *)page, memory_order_seq_cst);
	table_unlock(table);
	return 0;
}

int user_cmpxchg_u32(struct space *space, vaddr_t va, uint32_t expect, uint32_t set, uint32_t *old)
{
	pfn_t table;
	void *page;

	if (va.v >= USER_END || va.v % sizeof(uint32_t) != 0)
		return -EFAULT;
	page = lock_page(space, va, ACCESS_WRITE, &table);
	if (page == NULL)
		return -EAGAIN;
	*old = expect;
	/* seq_cst: as user_load_u32 */
	atomic_compare_exchange_strong_explicit((_Atomic uint32_t *)page, old, set, memory_order_seq_cst,
						memory_order_seq_cst);
	table_unlock(table);
	return 0;
}

int user_futex_key(struct space *space, vaddr_t va, struct user_key *key)
{
	const struct mapping *mapping = NULL;
	unsigned level;
	pfn_t table;
	pte_t pte;

	if (va.v >= USER_END)
		return -EFAULT;
	table = walk_read(space, va, &level, NULL);
	pte = pte_load(pt_slot(table, pt_index(va, level)));
	if (!pte_is_none(pte))
		mapping = pte_is_page(pte) ? table_mapping(frame_of(table), pt_index(va, 0)) : pte_mapping(pte);
	if (mapping != NULL && mapping->shared)
		*key = (struct user_key){ mapping->object, va.v - mapping->base };
	else
		*key = (struct user_key){ space, va.v };
	table_unlock(table);
	return mapping == NULL ? -EFAULT : 0;
}
