/* Looking at a space: runs of entries that say the same, for /proc/self/maps and its like. One table's lock at a time. */
#include "lib/errno.h"
#include "mm/locked.h"
#include "mm/mapping.h"
#include "mm/object.h"
#include "mm/walk.h"

/* A page that a locked table names: the entry's own count keeps the others from becoming fewer than one. */
static void use_page(struct space_use *use, pte_t pte, uint32_t places)
{
	struct frame *frame = frame_of(pte_pfn(pte));
	bool anonymous = frame->kind == FRAME_ANON;
	/* relaxed: true at some moment. The object's own count names no mapping. */
	uint32_t entries = atomic_load_explicit(&frame->count, memory_order_relaxed) - (anonymous ? 0 : 1);

	/* Through shared tables one entry is in several spaces. */
	entries += places - 1;
	bool dirty = anonymous || (pte.v & PTE_D) != 0;

	if (entries > 1)
		*(dirty ? &use->shared_dirty : &use->shared_clean) += 1;
	else
		*(dirty ? &use->private_dirty : &use->private_clean) += 1;
	use->anonymous += anonymous ? 1 : 0;
	use->proportion += (PAGE_SIZE << SPACE_PROPORTION_SHIFT) / MAX(entries, 1U);
}

struct at {
	pfn_t table;
	unsigned level;
	uint32_t places;
};

/* Takes entry i of a locked table into the region: false when it does not belong to it. */
static bool region_takes(struct space_region *region, const struct at *in, unsigned i, uint64_t start, uint64_t end)
{
	pte_t pte = pte_load(pt_slot(in->table, i));
	bool page = in->level == 0 && pte_is_page(pte);
	struct mapping *mapping;
	uint64_t perm;

	if (pte_is_none(pte))
		return region->mapping == NULL;
	mapping = page ? table_mapping(frame_of(in->table), i) : pte_mapping(pte);
	perm = page ? page_perm(pte) : pte.v & PERM_RWX;
	if (region->mapping == NULL) {
		region->mapping = mapping;
		region->object = mapping->object;
		region->offset = mapping->object == NULL ? 0 : start - mapping->base;
		region->watch = mapping->watch;
		region->sealed = mapping->sealed;
		region->droppable = mapping->droppable;
		region->shared = mapping->shared;
		region->grows = mapping->grows;
		region->perm = perm;
		region->start = VADDR(start);
	} else if (region->mapping != mapping || region->perm != perm) {
		return false;
	}
	region->end = VADDR(end);
	if (page && frame_of(pte_pfn(pte))->kind != FRAME_ZERO) {
		region->resident++;
		use_page(&region->use, pte, in->places);
	}
	return true;
}

static bool scan(struct space *space, uint64_t at, uint64_t end, struct space_region *out)
{
	bool more = true;

	*out = (struct space_region){ .mapping = NULL };
	while (more && at < end) {
		struct at in;

		in.table = walk_read(space, VADDR(at), &in.level, &in.places);
		unsigned i = pt_index(VADDR(at), in.level);

		for (; more && i < PT_ENTRIES && at < end; i++) {
			uint64_t next = MIN(ALIGN_DOWN(at, pt_span(in.level)) + pt_span(in.level), end);

			if (in.level > 0 && pte_leads(pte_load(pt_slot(in.table, i))))
				break;
			more = region_takes(out, &in, i, at, next);
			at = next;
		}
		table_unlock(in.table);
	}
	return out->mapping != NULL;
}

bool space_next_region(struct space *space, vaddr_t from, struct space_region *out)
{
	enum space_lock lock;
	uint64_t until;

	if (!scan(space, vaddr_page(from).v, USER_END, out))
		return false;
	until = locked_until(space, out->start.v, &lock);
	if (until < out->end.v && !scan(space, out->start.v, until, out))
		return false;
	out->lock = lock;
	return true;
}

/* Whether the page at va, whose entry this is, is in memory. The entry's table is locked. */
static uint8_t is_resident(unsigned level, pte_t pte, vaddr_t va)
{
	const struct mapping *mapping;

	if (level == 0 && pte_is_page(pte))
		return 1;
	mapping = pte_mapping(pte);
	return mapping->object != NULL && object_has(mapping->object, mapping_index(mapping, va));
}

int space_resident(struct space *space, vaddr_t start, uint64_t pages, uint8_t *out)
{
	uint64_t done = 0;

	if (start.v >= USER_END || pages > (USER_END - start.v) / PAGE_SIZE)
		return -ENOMEM;
	while (done < pages) {
		unsigned level;
		pfn_t table = walk_read(space, VADDR(start.v + done * PAGE_SIZE), &level, NULL);
		bool hole = false;

		do {
			vaddr_t va = VADDR(start.v + done * PAGE_SIZE);
			pte_t pte = pte_load(pt_slot(table, pt_index(va, level)));

			hole = pte_is_none(pte);
			if (hole || (level > 0 && pte_leads(pte)))
				break;
			out[done++] = is_resident(level, pte, va);
		} while (done < pages && ((start.v + done * PAGE_SIZE) & (pt_span(level + 1) - 1)) != 0);
		table_unlock(table);
		if (hole)
			return -ENOMEM;
	}
	return 0;
}
