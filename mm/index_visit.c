/*
 * Going through all of an index, for the audit. Contract: index.h. Nobody else runs then.
 */
#include "mm/index.h"

static void visit_below(struct index_node *node, uint64_t at, bool mark,
			void (*visit)(void *ctx, uint64_t i, uintptr_t slot, bool dirty), void *ctx)
{
	if (node->audited == mark)
		return;
	node->audited = mark;
	for (unsigned i = 0; i < INDEX_SLOTS; i++) {
		uintptr_t slot = atomic_load_explicit(&node->slot[i], memory_order_acquire);

		if (slot == 0)
			continue;
		if (node->shift != 0)
			visit_below((struct index_node *)slot, at + ((uint64_t)i << node->shift), mark, visit, ctx);
		else if (visit != NULL)
			visit(ctx, at + i, slot, (node->dirty >> i & 1) != 0);
	}
}

void index_visit(struct index *index, bool mark, void (*visit)(void *ctx, uint64_t i, uintptr_t slot, bool dirty),
		 void *ctx)
{
	struct index_node *root = (struct index_node *)atomic_load_explicit(&index->root, memory_order_acquire);

	if (root != NULL)
		visit_below(root, 0, mark, visit, ctx);
}
