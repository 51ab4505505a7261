/* All memory objects, for the audit. Private to mm/. */
#ifndef MM_OBJECT_LIST_H
#define MM_OBJECT_LIST_H

struct object;

void object_list_init(void);
/* Only while nothing else runs in mm/. */
void object_list_visit(void (*visit)(void *ctx, struct object *object), void *ctx);

#endif
