/*
 * Mapping descriptors. Contract and invariants: mapping.h.
 *
 * Locks: none; counts are atomic. A descriptor is reached through a slot that names it, under that slot's table lock, or by
 * a holder of a count, so the last put races with nobody but walks of the reverse map, which see it until reverse_remove.
 */
#include "mm/mapping.h"

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/pte.h"
#include "mm/reverse.h"
#include "mm/slab.h"

/* What else there is to anonymous private memory: indices add up. */
enum { GROWS = 1, SEALED = 2, DROPPABLE = 4, TRAITS = 8 };

static struct mapping *anon[MAPPING_FORKS][TRAITS];

static struct mapping *make_anon(enum mapping_fork fork, unsigned traits)
{
	struct mapping *mapping = kalloc(sizeof(*mapping));

	const struct mapping like = {
		.max_perm = PERM_RWX,
		.fork = fork,
		.grows = (traits & GROWS) != 0,
		.sealed = (traits & SEALED) != 0,
		.droppable = (traits & DROPPABLE) != 0,
	};

	if (mapping != NULL)
		*mapping = like;
	else
		hw_panic("no memory: not even for the anonymous mappings");
	return mapping;
}

void mapping_init(void)
{
	for (unsigned i = 0; i < MAPPING_FORKS; i++)
		for (unsigned traits = 0; traits < TRAITS; traits++)
			anon[i][traits] = make_anon((enum mapping_fork)i, traits);
}

struct mapping *mapping_anon(enum mapping_fork fork)
{
	return anon[fork][0];
}

struct mapping *mapping_anon_growing(enum mapping_fork fork)
{
	return anon[fork][GROWS];
}

struct mapping *mapping_anon_droppable(void)
{
	return anon[MAPPING_FORK_WIPE][DROPPABLE];
}

static unsigned traits_of(const struct mapping *mapping)
{
	return (mapping->grows ? GROWS : 0) | (mapping->sealed ? SEALED : 0) | (mapping->droppable ? DROPPABLE : 0);
}

struct mapping *mapping_anon_like(const struct mapping *like, enum mapping_fork fork)
{
	if (like->droppable && fork == MAPPING_FORK_COPY)
		fork = MAPPING_FORK_WIPE;
	return anon[fork][traits_of(like)];
}

static struct mapping *make(struct object *object, uint64_t base, uint64_t max_perm, bool shared)
{
	struct mapping *mapping = kalloc(sizeof(*mapping));

	if (mapping == NULL)
		return NULL;
	object_get(object);
	mapping->object = object;
	mapping->base = base;
	mapping->max_perm = max_perm;
	mapping->shared = shared;
	mapping->fork = MAPPING_FORK_COPY;
	atomic_init(&mapping->slots, 1);
	atomic_init(&mapping->holds, 1);
	list_init(&mapping->link);
	list_init(&mapping->attachments);
	if (shared && (max_perm & PERM_W) != 0)
		object_writer_get(object);
	return mapping;
}

int mapping_create(struct object *object, uint64_t base, uint64_t max_perm, bool shared, struct mapping **out)
{
	*out = make(object, base, max_perm, shared);
	if (*out == NULL)
		return -ENOMEM;
	reverse_add(*out);
	return 0;
}

void mapping_set_watch(struct mapping *mapping, struct mapping_watch *watch)
{
	mapping->watch = watch;
	if (watch != NULL)
		watch->attached(watch);
}

static void take_traits(struct mapping *mapping, const struct mapping *like)
{
	mapping->fork = like->fork;
	mapping->sealed = like->sealed;
	atomic_init(&mapping->advice, atomic_load_explicit(&like->advice, memory_order_relaxed));
	mapping_set_watch(mapping, like->watch);
}

int mapping_copy(const struct mapping *like, uint64_t base, struct mapping **out)
{
	int err = mapping_create(like->object, base, like->max_perm, like->shared, out);

	if (err == 0)
		take_traits(*out, like);
	return err;
}

int mapping_derive(struct mapping *like, struct mapping **out)
{
	struct mapping *mapping = make(like->object, like->base, like->max_perm, like->shared);

	if (mapping == NULL)
		return -ENOMEM;
	take_traits(mapping, like);
	mapping->origin = like->origin != NULL ? like->origin : like;
	/* relaxed: the caller has a slot of `like`, which holds it, or its origin */
	atomic_fetch_add_explicit(&mapping->origin->holds, 1, memory_order_relaxed);
	*out = mapping;
	return 0;
}

int mapping_seal(struct mapping *like, struct mapping **out)
{
	int err;

	if (like->object == NULL) {
		*out = anon[like->fork][traits_of(like) | SEALED];
		return 0;
	}
	err = mapping_derive(like, out);
	if (err == 0)
		(*out)->sealed = true;
	return err;
}

void mapping_count_get(struct mapping *mapping, uint64_t n)
{
	if (n == 0)
		return;
	/* relaxed: the caller holds a count, or the lock of a slot that does */
	uint64_t old = atomic_fetch_add_explicit(&mapping->slots, n, memory_order_relaxed);

	CHECK(old != 0);
}

bool mapping_drop(struct mapping *mapping, uint64_t n)
{
	if (mapping->object == NULL || n == 0)
		return false;
	/* acq_rel: everything done through other slots is done before the last put frees it */
	uint64_t old = atomic_fetch_sub_explicit(&mapping->slots, n, memory_order_acq_rel);

	CHECK(old >= n);
	return old == n;
}

bool mapping_hold(struct mapping *mapping)
{
	/* relaxed: the list that it was found in orders it */
	uint64_t holds = atomic_load_explicit(&mapping->holds, memory_order_relaxed);

	while (holds != 0 && !atomic_compare_exchange_weak_explicit(&mapping->holds, &holds, holds + 1,
								    memory_order_relaxed, memory_order_relaxed))
		;
	return holds != 0;
}

void mapping_release(struct mapping *mapping)
{
	while (mapping != NULL) {
		struct mapping *origin = mapping->origin;
		/* acq_rel: as mapping_drop */
		uint64_t old = atomic_fetch_sub_explicit(&mapping->holds, 1, memory_order_acq_rel);

		CHECK(old != 0);
		if (old != 1)
			return;
		reverse_remove(mapping);
		object_put(mapping->object);
		kfree(mapping);
		mapping = origin;
	}
}

void mapping_free(struct mapping *mapping)
{
	if (mapping->shared && (mapping->max_perm & PERM_W) != 0)
		object_writer_put(mapping->object);
	if (mapping->watch != NULL)
		mapping->watch->detached(mapping->watch);
	mapping_release(mapping);
}

void mapping_drop_to_slow(struct mapping **gone, struct mapping *mapping, uint64_t n)
{
	if (mapping_drop(mapping, n)) {
		mapping->next_gone = *gone;
		*gone = mapping;
	}
}

void mappings_free_slow(struct mapping *gone)
{
	while (gone != NULL) {
		struct mapping *mapping = gone;

		gone = mapping->next_gone;
		mapping_free(mapping);
	}
}

void mapping_count_put(struct mapping *mapping, uint64_t n)
{
	if (mapping_drop(mapping, n))
		mapping_free(mapping);
}
