/*
 * Mapping descriptors: what a range of addresses is of, apart from its permissions, which stand in the entries.
 *
 * Reservations name their descriptor; a present page's is its leaf table's (struct frame.table), or the table's side
 * page's where one table mixes several. Descriptors of anonymous private memory are immortal and not counted; those of
 * objects count the slots that name them, and hold the object while there is one.
 */
#ifndef MM_MAPPING_H
#define MM_MAPPING_H

#include <stdatomic.h>

#include "lib/list.h"
#include "lib/types.h"

struct object;

/* What fork does with the range. */
enum mapping_fork {
	MAPPING_FORK_COPY, /* copy-on-write, or the same object where shared */
	MAPPING_FORK_DROP, /* the child has nothing there (MADV_DONTFORK) */
	MAPPING_FORK_WIPE, /* the child has fresh memory there (MADV_WIPEONFORK) */
	MAPPING_FORKS
};

/*
 * Told when a descriptor that it watches comes and when it goes: System V shared memory counts its attachments so. A space
 * that fork makes gets descriptors of its own of what is watched. Called under table locks; it may free itself when it is
 * told of the last that goes.
 */
struct mapping_watch {
	void (*attached)(struct mapping_watch *watch);
	void (*detached)(struct mapping_watch *watch);
};

struct mapping {
	_Atomic uint64_t slots; /* entries that name it, and 1 for each holder of a pointer; unused where immortal */
	struct object *object;	/* NULL: anonymous private memory, immortal descriptor */
	uint64_t base;		/* address of the object's byte 0, modulo 2^64; page-aligned */
	uint64_t max_perm;	/* PERM_*: what mprotect may grant */
	bool shared;		/* writes reach the object; otherwise they make private copies */
	enum mapping_fork fork;
	_Atomic uint8_t advice;	     /* space_advise; relaxed: a hint */
	bool grows;		     /* down, when the page below it is touched (MAP_GROWSDOWN) */
	bool sealed;		     /* mseal: cannot be unmapped, moved, given other permissions */
	bool droppable;		     /* MAP_DROPPABLE: its pages may go at any time; anonymous, private */
	struct mapping_watch *watch; /* NULL: none; only on shared mappings */
	uint64_t audited;	     /* the audit's own count; otherwise 0 */

	/* Who has entries of it, for the reverse map: reverse.c. A derived one is found by its origin's. */
	struct mapping *origin;	   /* held; NULL: it is nobody's */
	_Atomic uint64_t holds;	   /* 1 while there are slots, and 1 for each derived one and each other holder */
	struct list link;	   /* of the object's descriptors [the object's mappings_lock] */
	struct list attachments;   /* [the object's mappings_lock] */
	struct mapping *next_gone; /* of those that nothing names any more */
} CACHE_ALIGNED;		   /* entries store its address >> 6 */

void mapping_init(void);

/* The immortal descriptors of anonymous private memory. */
struct mapping *mapping_anon(enum mapping_fork fork);
struct mapping *mapping_anon_growing(enum mapping_fork fork);
struct mapping *mapping_anon_droppable(void); /* fork wipes it */
/* The one like that, which is one of them, but for what fork does with it; droppable ones are wiped where others are copied. */
struct mapping *mapping_anon_like(const struct mapping *like, enum mapping_fork fork);

/*
 * A descriptor for an object, with one count for the caller, who gives it back with mapping_put(m, 1). Takes a
 * reference to the object. 0 or -ENOMEM.
 */
int mapping_create(struct object *object, uint64_t base, uint64_t max_perm, bool shared, struct mapping **out)
	MUST_CHECK;

/* Has the descriptor, which nobody else has seen yet, watched. */
void mapping_set_watch(struct mapping *mapping, struct mapping_watch *watch);

/* Another one like it, an object's, but where byte 0 lies at base; as mapping_create makes one. */
int mapping_copy(const struct mapping *like, uint64_t base, struct mapping **out) MUST_CHECK;

/*
 * Another one like it, an object's, where byte 0 lies at the same base, for the same space or one that fork makes of it. May be
 * called under table locks.
 */
int mapping_derive(struct mapping *like, struct mapping **out) MUST_CHECK;

/* The same sealed: an immortal one, or a derived one with one count for the caller. */
int mapping_seal(struct mapping *like, struct mapping **out) MUST_CHECK;

/*
 * n more, n fewer slots name it. No-ops on immortal descriptors. The last put frees it and puts the object: with no table lock
 * held. Who may hold one says mapping_drop, and mapping_free when that was the last and the lock is let go of.
 */
void mapping_count_get(struct mapping *mapping, uint64_t n);
void mapping_count_put(struct mapping *mapping, uint64_t n);
bool mapping_drop(struct mapping *mapping, uint64_t n) MUST_CHECK;
void mapping_free(struct mapping *mapping);

/* mapping_drop where a table lock is held: with the last it gets onto a list, for mappings_free when the lock is let go of. */
void mapping_drop_to_slow(struct mapping **gone, struct mapping *mapping, uint64_t n);
void mappings_free_slow(struct mapping *gone);

static inline void mapping_drop_to(struct mapping **gone, struct mapping *mapping, uint64_t n)
{
	if (UNLIKELY(mapping->object != NULL))
		mapping_drop_to_slow(gone, mapping, n);
}

static inline void mappings_free(struct mapping *gone)
{
	if (UNLIKELY(gone != NULL))
		mappings_free_slow(gone);
}

/* It stays, with its object and what is attached to it, also without slots. hold: false when it is on its way out already. The last
 * release takes no table lock's holder. */
bool mapping_hold(struct mapping *mapping) MUST_CHECK;
void mapping_release(struct mapping *mapping);

static inline void mapping_get(struct mapping *mapping, uint64_t n)
{
	if (UNLIKELY(mapping->object != NULL))
		mapping_count_get(mapping, n);
}

static inline void mapping_put(struct mapping *mapping, uint64_t n)
{
	if (UNLIKELY(mapping->object != NULL))
		mapping_count_put(mapping, n);
}

/* Counts of a run of slots, most of which name the same descriptor: added, or taken away, when another one comes, or at the end. */
struct mapping_tally {
	struct mapping *mapping; /* NULL: none yet */
	uint64_t n;
};

static inline void mapping_tally_get(struct mapping_tally *tally, struct mapping *next)
{
	if (tally->mapping != NULL)
		mapping_get(tally->mapping, tally->n);
	*tally = (struct mapping_tally){ .mapping = next };
}

static inline void mapping_tally_put(struct mapping_tally *tally, struct mapping *next)
{
	if (tally->mapping != NULL)
		mapping_put(tally->mapping, tally->n);
	*tally = (struct mapping_tally){ .mapping = next };
}

/* Page number within the object of the page at va. */
static inline uint64_t mapping_index(const struct mapping *mapping, vaddr_t va)
{
	return (va.v - mapping->base) >> PAGE_SHIFT;
}

#endif
