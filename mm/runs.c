/* Page tables, entry by entry. Locks: one table's at a time, as in region.c, which looks at the same tables for what they mean. */
#include "mm/runs.h"

#include "mm/mapping.h"
#include "mm/walk.h"

/* What a locked table has on the way to it. */
struct way {
	pfn_t table;
	unsigned level;
	uint32_t places;
	bool detached;
};

/* Looks again, as nobody can take the table off its way now. */
static bool is_detached(struct space *space, vaddr_t va, unsigned level)
{
	pfn_t table = space->root;
	bool detached = false;

	walk_enter();
	for (unsigned at = PT_ROOT; at > level; at--) {
		pte_t pte = pte_load(pt_slot(table, pt_index(va, at)));

		if (!pte_leads(pte))
			break;
		detached = detached || pte_is_detached(pte);
		table = pte_pfn(pte);
	}
	walk_exit();
	return detached;
}

static enum run_state state_of(pte_t pte)
{
	if (!pte_is_page(pte))
		return RUN_RESERVED;
	if (!pte_is_valid(pte))
		return RUN_PARKED;
	if ((pte.v & PTE_W) != 0)
		return RUN_WRITABLE;
	return (pte.v & PTE_MAYWRITE) != 0 ? RUN_COW : RUN_READONLY;
}

/* How many entries of spaces name a page: an object's own slot is none. */
static uint64_t namers(const struct frame *frame)
{
	/* relaxed: true at some moment */
	uint64_t count = atomic_load_explicit(&frame->count, memory_order_relaxed);

	return frame->kind == FRAME_ZERO ? 0 : count - (frame->kind == FRAME_OBJECT ? 1 : 0);
}

/* Entry i of a locked table, which is not none, by itself. */
static struct space_run run_of(const struct way *way, unsigned i)
{
	pte_t pte = pte_load(pt_slot(way->table, i));
	bool page = way->level == 0 && pte_is_page(pte);
	const struct mapping *mapping = page ? table_mapping(frame_of(way->table), i) : pte_mapping(pte);
	struct space_run run = {
		.level = way->level,
		.detached = way->detached,
		.places = way->places,
		.state = page ? state_of(pte) : RUN_RESERVED,
		.kind = mapping->object != NULL ? FRAME_OBJECT : FRAME_ANON,
		.perm = page ? page_perm(pte) : pte.v & PERM_RWX,
		.shared = mapping->shared,
	};

	if (page) {
		const struct frame *frame = frame_of(pte_pfn(pte));
		uint64_t n = namers(frame);

		run.kind = (enum frame_kind)frame->kind;
		run.pages = 1;
		run.most = n == 0 ? 0 : n + way->places - 1;
		run.shared_pages = run.most > 1 ? 1 : 0;
	}
	return run;
}

static bool is_alike(const struct space_run *a, const struct space_run *b)
{
	return a->level == b->level && a->detached == b->detached && a->places == b->places && a->state == b->state &&
	       a->kind == b->kind && a->perm == b->perm && a->shared == b->shared;
}

/* Takes the entry into the run; false when it does not belong to it. */
static bool run_takes(struct space_run *run, const struct way *way, unsigned i, uint64_t start, uint64_t end)
{
	struct space_run entry;

	if (pte_is_none(pte_load(pt_slot(way->table, i))))
		return run->end.v == 0;
	entry = run_of(way, i);
	if (run->end.v == 0) {
		*run = entry;
		run->start = VADDR(start);
	} else if (!is_alike(run, &entry)) {
		return false;
	} else {
		run->pages += entry.pages;
		run->shared_pages += entry.shared_pages;
		run->most = MAX(run->most, entry.most);
	}
	run->end = VADDR(end);
	return true;
}

bool space_next_run(struct space *space, vaddr_t from, struct space_run *out)
{
	uint64_t at = vaddr_page(from).v;
	bool more = true;

	*out = (struct space_run){ .pages = 0 };
	while (more && at < USER_END) {
		struct way way;

		way.table = walk_read(space, VADDR(at), &way.level, &way.places);
		way.detached = is_detached(space, VADDR(at), way.level);
		for (unsigned i = pt_index(VADDR(at), way.level); more && i < PT_ENTRIES && at < USER_END; i++) {
			uint64_t next = MIN(ALIGN_DOWN(at, pt_span(way.level)) + pt_span(way.level), USER_END);

			if (way.level > 0 && pte_leads(pte_load(pt_slot(way.table, i))))
				break;
			more = run_takes(out, &way, i, at, next);
			at = next;
		}
		table_unlock(way.table);
	}
	return out->end.v != 0;
}
