/* All memory objects, for the audit. Private to mm/. */
#ifndef MM_OBJECT_LIST_H
#define MM_OBJECT_LIST_H

#include "lib/types.h"

struct object;

void object_list_init(void);
/* Only while nothing else runs in mm/. */
void object_list_visit(void (*visit)(void *ctx, struct object *object), void *ctx);

struct object_visitor {
	void (*visit)(void *ctx, uint64_t index, pfn_t pfn, bool dirty);
	void *ctx;
};
/* Calls visit for each page the object holds, but for those in parts that it shares with an object that was visited with the same mark
 * since all were with the other. Both marks in turn: false, which nothing bears at first, last. */
void object_visit(struct object *object, bool mark, const struct object_visitor *visitor);

#endif
