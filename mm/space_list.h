/* All spaces, for the audit; and taking one down. Private to mm/. */
#ifndef MM_SPACE_LIST_H
#define MM_SPACE_LIST_H

struct space;

/* Only while nothing else runs in mm/. */
void space_list_visit(void (*visit)(void *ctx, struct space *space), void *ctx);

#endif
