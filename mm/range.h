/*
 * A range of a space under lock: the lowest table that covers it and every table below that overlaps it. While it is
 * held nobody else changes, adds or removes an entry in it. Private to mm/.
 *
 * The order of work is always: range_lock, range_split (all that can fail), edits that take pages away (range_unlink,
 * park), range_shootdown, the sweep that frees what was parked, range_unlock, which also frees unlinked tables.
 */
#ifndef MM_RANGE_H
#define MM_RANGE_H

#include "mm/space.h"

struct range {
	struct space *space;
	uint64_t start, end;  /* bytes, page-aligned; may be narrowed meanwhile */
	uint64_t low, high;   /* as they were when it was locked */
	pfn_t top;	      /* covers it */
	unsigned level;	      /* top's */
	bool revoked;	      /* some page lost a permission or its entry: shoot it down */
	bool unlinked;	      /* some table was: shoot all levels down */
	bool deep;	      /* tables that others share are locked, too: range_lock_deep */
	pfn_t dead;	      /* unlinked tables, by frame.table.next_dead, with their pages still in them */
	struct mapping *gone; /* descriptors that nothing names any more, by next_gone */
};

/* Non-table entries first .. last - 1 of one table; va is the address of the first. Level > 0: none or reservations. */
struct run {
	pfn_t table;
	unsigned level;
	unsigned first, last;
	uint64_t va;
};

/* Whether a program may name it: page-aligned, not empty, in user space. */
bool range_is_sane(vaddr_t start, uint64_t bytes);

/* 0 < end - start, end <= USER_END, aligned. Cannot fail. */
void range_lock(struct range *range, struct space *space, uint64_t start, uint64_t end);

/*
 * The same with all tables that the range leads to, also those that other spaces share: to take out of them what must go
 * from all. Nothing that can fail, nothing that adds entries.
 */
void range_lock_deep(struct range *range, struct space *space, uint64_t start, uint64_t end);

/*
 * Makes every table of the range private (share.h): before entries are looked at one by one, or changed. 0, or -ENOMEM with nothing
 * changed that a program could see.
 */
int range_own(struct range *range) MUST_CHECK;

/*
 * Splits reservations until the range's ends fall between entries; with `create`, also where there is nothing, so that
 * every address of the range has an entry of its own size or larger within the range; and makes the tables private that the
 * range has a part of only. 0, or -ENOMEM with nothing changed that a program could see.
 */
int range_split(struct range *range, bool create) MUST_CHECK;

/* Calls fn for each run, lowest first, in tables that range_own has made private, or that are locked anyway; stops at the first that returns non-zero and returns that. */
typedef int range_fn(struct range *range, const struct run *run, void *ctx);
int range_each(struct range *range, range_fn *fn, void *ctx) MUST_CHECK;

/*
 * Takes out every table that lies wholly within the range, shared or not; its entry is none afterwards. keep: asked for each leaf table;
 * may return a reservation that stands for all of it, which then takes its place, or none to leave the table alone.
 * NULL: all go.
 */
void range_unlink(struct range *range, pte_t (*keep)(pfn_t table));

/*
 * The tables that the range has a part of only are not unlinked, empty or not: the ones above them are not locked. How many
 * leaf tables at its ends have nothing in them.
 */
unsigned range_empty_ends(const struct range *range);

/* Takes out every table with nothing in it; the range is all of the space. How many tables there were to look at. */
unsigned range_unlink_empty(struct range *range);

/* A run function: makes present pages unreachable without forgetting them. Between it and the sweep: range_shootdown. */
int range_park(struct range *range, const struct run *run, void *ctx);

/* Fences what was revoked and unlinked since range_lock, on every hart that may hold it. */
void range_shootdown(struct range *range);

/* 0 if nothing is mapped in it, or -EEXIST. */
int range_is_free(struct range *range) MUST_CHECK;

/*
 * Unlinks, parks, shoots down, frees: what is in the range goes, and `fill` takes its place: none, or a reservation whose
 * descriptor gets a count for each entry. After range_split (with create, unless fill is none). Cannot fail.
 */
void range_replace(struct range *range, pte_t fill);

/* One entry less names it; what goes with the last one goes when the locks are let go of. */
void range_drop_mapping(struct range *range, struct mapping *mapping);

/* Lets go of the locks, then frees unlinked tables and what was in them, and descriptors: which is range_finish. */
void range_unlock(struct range *range);
void range_finish(struct range *range);

#endif
