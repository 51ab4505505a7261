/* All memory objects, for the audit. Private to mm/. */
#ifndef MM_OBJECT_LIST_H
#define MM_OBJECT_LIST_H

#include "lib/types.h"

struct object;

void object_list_init(void);
/* Only while nothing else runs in mm/. */
void object_list_visit(void (*visit)(void *ctx, struct object *object), void *ctx);

/* Calls visit for each page the object holds. */
void object_visit(struct object *object, void (*visit)(void *ctx, uint64_t index, pfn_t pfn), void *ctx);

#endif
