/*
 * Page tables that several spaces share. Private to mm/.
 *
 * An entry above the leaves that leads to a table is private (V=1: nothing else names that table) or detached (V=0: others may).
 * Fork makes detached entries; the first fault or range operation that comes by one makes a private table of it: a copy,
 * or, where nobody else names the table any more, the table itself.
 *
 * What is below a detached entry no hart can walk to, so no TLB holds any of it: fork has shot it down. Whoever names it
 * may take W away there, as a copy does, and take pages out of it that must go from all spaces (reverse.c), under its lock; else it
 * does not change. Its count is the number of entries that name it; a private table's is one. More name a table only
 * under the lock of one that does, fewer only under the table's own.
 */
#ifndef MM_SHARE_H
#define MM_SHARE_H

#include "mm/space.h"

/*
 * Entry `index` of a locked table, which is detached, becomes private. keep_locked: the table that it leads to then is locked; where
 * it is an upper one that was taken over, what is below it is not. 0 or -ENOMEM, with nothing changed.
 */
int table_own(pfn_t table, unsigned level, unsigned index, bool keep_locked) MUST_CHECK;

/*
 * The caller's reference of a table of this level goes, or all of a private one that nobody can walk to any more. With the last what
 * it names goes, too. No table lock held: tables that others may be looking at are put on *dead, for tables_free.
 */
void table_drop(pfn_t table, unsigned level, pfn_t *dead);
void table_take_down(pfn_t table, unsigned level, bool shared, pfn_t *dead);

/* Waits until nobody is looking at them, and frees them. No table lock held. */
void tables_free(pfn_t dead);

#endif
