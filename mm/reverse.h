/*
 * From an object's pages to the entries that map them. Private to mm/.
 *
 * A descriptor's base gives one address for each page of its object, so it is enough to know in which spaces a descriptor may
 * have entries: an attachment says so. It is made before the first entry, and goes with the descriptor or the space, so
 * one that has no entries any more costs a look, and an entry without one cannot be.
 */
#ifndef MM_REVERSE_H
#define MM_REVERSE_H

#include "mm/space.h"

/* Notes the descriptor with its object. */
void reverse_add(struct mapping *mapping);
/* Takes the descriptor and what it is attached to out of all lists. No table lock held. */
void reverse_remove(struct mapping *mapping);

/* The descriptor may have entries in the space from now on. Again: nothing. 0 or -ENOMEM. */
int reverse_attach(struct mapping *mapping, struct space *space) MUST_CHECK;

/* The child gets what the parent has. *seen: what reverse_changed compares once the parent's tables are locked. 0 or -ENOMEM. */
int reverse_fork(struct space *parent, struct space *child, uint32_t *seen) MUST_CHECK;
bool reverse_changed(const struct space *space, uint32_t seen);
/* The space is about to be taken down, or to be filled anew. */
void reverse_leave(struct space *space);

/* For the audit: whether the space is attached to it, or need not be. */
bool reverse_knows(const struct mapping *mapping, const struct space *space);

/* One walk of the object at a time. Others may attach and leave meanwhile (reverse.c). */
void reverse_enter(struct object *object);
void reverse_exit(struct object *object);

/*
 * Pages [first, last) are in no mapping any more, and in no TLB: entries become reservations. copies: private copies too;
 * otherwise the object's frames alone. Within reverse_enter.
 */
void reverse_unmap(struct object *object, uint64_t first, uint64_t last, bool copies);
/* The object's own frames of pages first + i, where bit i of `pages` is set. */
void reverse_unmap_some(struct object *object, uint64_t first, uint64_t pages);

/* Shared mappings cannot write to pages [first, last) any more before they have faulted. Within reverse_enter. */
void reverse_protect(struct object *object, uint64_t first, uint64_t last);

/* Which of the pages [first, last), 64 at most, a program has accessed through a mapping since this was asked last: a bit each. Within
 * reverse_enter. */
uint64_t reverse_age(struct object *object, uint64_t first, uint64_t last) MUST_CHECK;

#endif
