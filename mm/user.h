/* The kernel's access to one page of a program. Private to mm/. */
#ifndef MM_USER_H
#define MM_USER_H

#include "mm/space.h"

/*
 * Where the direct map has va, faulted in as a program's access would; its leaf table stays locked (walk.h, table_unlock), so that the
 * page stays what it is. 0, or what user_read and its like return.
 */
int user_page_lock(struct space *space, vaddr_t va, enum access access, pfn_t *table, void **out) MUST_CHECK;

#endif
