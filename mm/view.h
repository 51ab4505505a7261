/*
 * Views: in a space of several threads each hart walks from a root of its own, which leads only to those leaf tables that it has faulted
 * on. So it is known which harts can hold a translation of a table's pages (struct frame.table.harts), and no other need be asked
 * when one goes. Private to mm/.
 *
 * The space's own tables stay what says how things are; a view has a root and upper tables of its own, whose entries name the
 * space's leaf tables. A hart that is in none, as all are before there are threads, may hold anything.
 */
#ifndef MM_VIEW_H
#define MM_VIEW_H

#include "mm/hart.h"
#include "mm/walk.h"

/* satp for this hart, which has joined the space. */
void view_enter(struct space *space);

/* This hart has faulted at va, whose leaf table, which is locked, it may walk to from now on. */
void view_link(struct space *space, pfn_t table, vaddr_t va);

static inline bool space_has_views(const struct space *space)
{
	/* relaxed: who does not see it yet is in no view, and is asked */
	return UNLIKELY(atomic_load_explicit(&space->views, memory_order_relaxed));
}

/* The leaf table, which is locked, goes from the space: no view leads to it any more. The harts in table.harts must be shot down. */
void view_unlink(struct space *space, pfn_t table, uint64_t va);

/*
 * Fork has detached tables, and will say so (walk_forks): no view leads anywhere. All harts must be shot down. With the tables' locks
 * that fork has.
 */
void views_clear(struct space *space);

/* Nobody is in the space any more. */
void views_free(struct space *space);

/* For the audit: calls fn for each table of a view (level 2, 1) and each leaf table that it leads to. */
typedef void view_fn(void *ctx, unsigned hart, pfn_t table, unsigned level, uint64_t va);
void views_visit(struct space *space, view_fn *fn, void *ctx);

#endif
