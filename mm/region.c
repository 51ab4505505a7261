/* Looking at a space: runs of entries that say the same, for /proc/self/maps and its like. One table's lock at a time. */
#include "mm/walk.h"

/* Takes entry i of a locked table into the region: false when it does not belong to it. */
static bool region_takes(struct space_region *region, pfn_t table, unsigned level, unsigned i, uint64_t start,
			 uint64_t end)
{
	pte_t pte = pte_load(pt_slot(table, i));
	bool page = level == 0 && pte_is_page(pte);
	struct mapping *mapping;
	uint64_t perm;

	if (pte_is_none(pte))
		return region->mapping == NULL;
	mapping = page ? table_mapping(frame_of(table), i) : pte_mapping(pte);
	perm = page ? page_perm(pte) : pte.v & PERM_RWX;
	if (region->mapping == NULL) {
		region->mapping = mapping;
		region->perm = perm;
		region->start = VADDR(start);
	} else if (region->mapping != mapping || region->perm != perm) {
		return false;
	}
	region->end = VADDR(end);
	if (page && frame_of(pte_pfn(pte))->kind != FRAME_ZERO)
		region->resident++;
	return true;
}

bool space_next_region(struct space *space, vaddr_t from, struct space_region *out)
{
	uint64_t at = vaddr_page(from).v;
	bool more = true;

	*out = (struct space_region){ .mapping = NULL };
	while (more && at < USER_END) {
		unsigned level;
		pfn_t table = walk_lock(space, VADDR(at), &level);
		unsigned i = pt_index(VADDR(at), level);

		for (; more && i < PT_ENTRIES && at < USER_END; i++) {
			uint64_t end = MIN(ALIGN_DOWN(at, pt_span(level)) + pt_span(level), USER_END);

			if (level > 0 && pte_is_table(pte_load(pt_slot(table, i))))
				break;
			more = region_takes(out, table, level, i, at, end);
			at = end;
		}
		table_unlock(table);
	}
	return out->mapping != NULL;
}
