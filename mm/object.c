/*
 * Memory objects: made, counted, looked up, filled. Contract: object.h; what is done to them otherwise: object_core.h.
 *
 * Invariants: a page in the index holds one count of its frame. Behind the end there is none, but for moments within the calls
 * that change the size.
 * Locks: the object's, for its index and size. Look-ups take none: they are made within a look-up epoch, and nodes and frames
 * that were taken out are freed after look_wait. A fault holds its leaf table's lock from before the look-up until the entry is
 * there, so whoever takes pages out, and then goes through all mappings, meets the entry, or the fault did not find the page.
 * Memory order: index.c.
 */
#include "mm/object_core.h"

#include <string.h>

#include "lib/check.h"
#include "lib/errno.h"
#include "mm/object_list.h"
#include "mm/slab.h"
#include "mm/walk.h"

static struct {
	struct spinlock lock;
	struct list all;					/* [lock] */
	void (*reached)(struct object *object, uint64_t index); /* set once, before there are backed objects */
} objects;

void object_list_init(void)
{
	spin_init(&objects.lock);
	list_init(&objects.all);
}

void object_list_visit(void (*visit)(void *ctx, struct object *object), void *ctx)
{
	list_for_each (pos, &objects.all)
		visit(ctx, list_entry(pos, struct object, link));
}

static struct object *object_new(uint64_t bytes)
{
	struct object *object = kalloc(sizeof(*object));

	if (object == NULL)
		return NULL;
	atomic_init(&object->bytes, bytes);
	atomic_init(&object->references, 1);
	list_init(&object->mappings);
	spin_lock(&objects.lock, RANK_OBJECT_LIST);
	list_add(&objects.all, &object->link);
	spin_unlock(&objects.lock, RANK_OBJECT_LIST);
	return object;
}

int object_create(uint64_t bytes, const void *source, uint64_t source_bytes, struct object **out)
{
	struct object *object = object_new(bytes);

	if (object == NULL)
		return -ENOMEM;
	object->source = source;
	atomic_init(&object->source_bytes, source == NULL ? 0 : MIN(source_bytes, bytes));
	*out = object;
	return 0;
}

int object_create_backed(uint64_t bytes, void *store, struct object **out)
{
	struct object *object = object_new(bytes);

	if (object == NULL)
		return -ENOMEM;
	ASSERT(store != NULL);
	object->store = store;
	atomic_init(&object->asks, true);
	*out = object;
	return 0;
}

void *object_store(const struct object *object)
{
	return object->store;
}

void object_set_fixed(struct object *object)
{
	object->fixed = true;
}

void object_writer_get(struct object *object)
{
	/* relaxed: what guards the seals orders it */
	atomic_fetch_add_explicit(&object->writers, 1, memory_order_relaxed);
}

void object_writer_put(struct object *object)
{
	/* release: pairs with object_has_writers: what was written through the mapping is in the object by then */
	uint64_t old = atomic_fetch_sub_explicit(&object->writers, 1, memory_order_release);

	CHECK(old != 0);
}

bool object_has_writers(const struct object *object)
{
	/* acquire: pairs with object_writer_put */
	return atomic_load_explicit(&object->writers, memory_order_acquire) != 0;
}

uint64_t object_take_written(struct object *object)
{
	/* relaxed: a time that was; without a store where there is none */
	if (atomic_load_explicit(&object->written_at, memory_order_relaxed) == 0)
		return 0;
	return atomic_exchange_explicit(&object->written_at, 0, memory_order_relaxed);
}

void object_get(struct object *object)
{
	/* relaxed: the caller has a reference */
	uint32_t old = atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed);

	CHECK(old != 0 && old != UINT32_MAX);
}

void object_put(struct object *object)
{
	/* acq_rel: the last one sees every page that others added */
	uint32_t old = atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel);
	struct index_node *root;

	CHECK(old != 0);
	if (old != 1)
		return;
	spin_lock(&objects.lock, RANK_OBJECT_LIST);
	list_del(&object->link);
	spin_unlock(&objects.lock, RANK_OBJECT_LIST);
	CHECK(list_empty(&object->mappings));
	root = (struct index_node *)atomic_load_explicit(&object->index.root, memory_order_relaxed);
	if (root != NULL)
		index_node_put(root);
	mm_dirty_add(0 - atomic_load_explicit(&object->dirty, memory_order_relaxed));
	kfree(object);
}

bool object_is_sole(const struct object *object)
{
	/* acquire: pairs with the release in object_put, so that what others did with the object is done */
	return atomic_load_explicit(&object->references, memory_order_acquire) == 1;
}

uint64_t object_bytes(const struct object *object)
{
	/* relaxed: a size that changes meanwhile is one that a reader may see before or after */
	return atomic_load_explicit(&object->bytes, memory_order_relaxed);
}

uint64_t object_pages(const struct object *object)
{
	return atomic_load_explicit(&object->pages, memory_order_relaxed);
}

bool object_has(struct object *object, uint64_t index)
{
	uintptr_t slot;

	look_enter();
	slot = index_find(&object->index, index);
	look_exit();
	return slot_has_frame(slot);
}

/* Steps of a node's worth of pages, so that walks that wait for our epoch do not wait long. */
uint64_t object_next(struct object *object, uint64_t index, bool there)
{
	for (;;) {
		const struct index_node *leaf;
		uint64_t base;

		look_enter();
		leaf = index_leaf(&object->index, index, &base);
		if (leaf == NULL || base > index) {
			look_exit();
			if (!there)
				return index;
			if (leaf == NULL)
				return UINT64_MAX;
			index = base;
			continue;
		}
		for (; index < base + INDEX_SLOTS; index++) {
			/* acquire: as index.c */
			if (slot_has_frame(atomic_load_explicit(&leaf->slot[index - base], memory_order_acquire)) ==
			    there) {
				look_exit();
				return index;
			}
		}
		look_exit();
	}
}

/* ---- Filling. */

uint64_t object_source_bytes(const struct object *object)
{
	/* relaxed: add_page looks again under the lock */
	return atomic_load_explicit(&object->source_bytes, memory_order_relaxed);
}

int object_new_page(struct object *object, uint64_t index, pfn_t *out)
{
	uint64_t offset = index << PAGE_SHIFT;
	uint64_t have = object_source_bytes(object);
	uint64_t n = offset < have ? MIN(have - offset, PAGE_SIZE) : 0;
	int err;

	look_enter();
	if ((index_find(&object->index, index) & SLOT_HOLE) != 0)
		n = 0;
	look_exit();
	err = frame_alloc(FRAME_OBJECT, out);
	if (err != 0)
		return err;
	frame_of(*out)->object.written = 0;
	if (n < PAGE_SIZE)
		hw_page_clear(frame_data(*out));
	if (n != 0)
		memcpy(frame_data(*out), object->source + offset, n);
	return 0;
}

void object_bury(struct index_dead *dead)
{
	if (dead->n == 0)
		return;
	look_wait();
	index_bury(dead);
}

int object_place_locked(struct object *object, uint64_t index, pfn_t pfn, bool ahead, struct index_dead *dead)
{
	struct index_dead none = { .n = 0 };
	_Atomic(uintptr_t) *slot;
	int err;

	if (slot_has_frame(index_find(&object->index, index)))
		return -EEXIST;
	if (dead == NULL && index_is_shared(&object->index, index))
		return -EAGAIN;
	err = index_own(&object->index, index, true, dead == NULL ? &none : dead, &slot);
	if (err != 0)
		return err;
	if (object->store != NULL)
		index_note_new(container_of(slot - index % INDEX_SLOTS, struct index_node, slot[0]), index, ahead);
	/* release: pairs with the acquire in index_find: the page is filled */
	atomic_store_explicit(slot, pfn_slot(pfn), memory_order_release);
	atomic_fetch_add_explicit(&object->pages, 1, memory_order_relaxed);
	return 0;
}

static int add_locked(struct object *object, uint64_t index, pfn_t pfn, bool ahead, struct index_dead *dead)
{
	if (index >= bytes_pages(object_bytes(object)))
		return -EFAULT;
	return object_place_locked(object, index, pfn, ahead, dead);
}

/* The page filled outside of the lock; whoever comes second finds it and drops its own. 0: look again. Errors: as object_frame_locked. */
static int add_page(struct object *object, uint64_t index)
{
	/* acquire: pairs with the release in removed_locked: what the page is filled with is of before or of after */
	uint64_t seen = atomic_load_explicit(&object->removals, memory_order_acquire);
	pfn_t pfn;
	int err;

	if (object->store != NULL)
		return -EAGAIN;
	err = object_new_page(object, index, &pfn);
	if (err != 0)
		return err;
	spin_lock(&object->lock, RANK_OBJECT);
	if (seen == atomic_load_explicit(&object->removals, memory_order_relaxed))
		err = add_locked(object, index, pfn, false, NULL);
	else
		err = -EEXIST;
	spin_unlock(&object->lock, RANK_OBJECT);
	if (err != 0)
		frame_put(pfn);
	return err == -EEXIST ? 0 : err;
}

void object_set_reached(void (*handler)(struct object *object, uint64_t index))
{
	objects.reached = handler;
}

void object_was_reached(struct object *object, uint64_t index)
{
	if (objects.reached != NULL)
		objects.reached(object, index);
}

/* With a count, if it is there: 1; 0: it is not; -ENOMEM. */
static int find_page(struct object *object, uint64_t index, pfn_t *out)
{
	for (;;) {
		bool ahead = false;
		uintptr_t slot;
		int err = 0;

		look_enter();
		slot = object_look(object, index, true, &ahead);
		if (slot_has_frame(slot))
			err = frame_try_get(slot_pfn(slot));
		look_exit();
		if (UNLIKELY(ahead))
			object_was_reached(object, index);
		*out = slot_pfn(slot);
		if (err != -EAGAIN)
			return err != 0 ? err : slot_has_frame(slot);
		/* It is being evicted: out of the index in a moment. */
		hw_relax();
	}
}

int object_frame_locked(struct object *object, uint64_t index, pfn_t *out)
{
	for (;;) {
		int err;

		if (index >= bytes_pages(object_bytes(object)))
			return -EFAULT;
		err = find_page(object, index, out);
		if (err != 0)
			return err == 1 ? 0 : err;
		err = add_page(object, index);
		if (err != 0)
			return err;
	}
}

int object_frame(struct object *object, uint64_t index, pfn_t *out)
{
	for (;;) {
		int err = object_frame_locked(object, index, out);

		if (err != -EAGAIN || object->store != NULL)
			return err;
		err = object_own(object, index);
		if (err != 0)
			return err;
	}
}

bool object_copy_page(struct object *object, uint64_t index, void *page)
{
	bool ahead = false;
	uintptr_t slot;

	if (index >= bytes_pages(object_bytes(object)))
		return false;
	look_enter();
	slot = object_look(object, index, true, &ahead);
	if (slot_has_frame(slot))
		hw_page_copy(page, frame_data(slot_pfn(slot)));
	look_exit();
	if (UNLIKELY(ahead))
		object_was_reached(object, index);
	return slot_has_frame(slot);
}

int object_insert(struct object *object, uint64_t index, pfn_t pfn, uint64_t seen, bool ahead)
{
	struct index_dead dead = { .n = 0 };
	int err = -EAGAIN;

	spin_lock(&object->lock, RANK_OBJECT);
	if (seen == atomic_load_explicit(&object->removals, memory_order_relaxed)) {
		frame_of(pfn)->kind = FRAME_OBJECT;
		frame_of(pfn)->object.written = 0;
		err = add_locked(object, index, pfn, ahead, &dead);
		if (err != 0)
			frame_of(pfn)->kind = FRAME_KERNEL;
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	object_bury(&dead);
	return err;
}

uint64_t object_removals(const struct object *object)
{
	/* acquire: as in add_page */
	return atomic_load_explicit(&object->removals, memory_order_acquire);
}

/* ---- Getting longer. */

/* What a mapping wrote behind the end, in the last page, is gone when the end moves. Lock held. -EAGAIN: own that page first. */
static int clear_tail_locked(struct object *object)
{
	uint64_t end = object_bytes(object);
	uintptr_t slot;

	if ((end & PAGE_MASK) == 0)
		return 0;
	slot = index_find_own(&object->index, end >> PAGE_SHIFT);
	if (!slot_has_frame(slot))
		return 0;
	if ((slot & SLOT_SHARED) != 0)
		return -EAGAIN;
	memset((char *)frame_data(slot_pfn(slot)) + (end & PAGE_MASK), 0, PAGE_SIZE - (end & PAGE_MASK));
	return 0;
}

static int extend_locked(struct object *object, uint64_t bytes)
{
	int err;

	if (bytes <= object_bytes(object))
		return 0;
	if (atomic_load_explicit(&object->shrinking, memory_order_relaxed))
		return -EBUSY;
	err = clear_tail_locked(object);
	if (err == 0)
		/* relaxed: see object_bytes */
		atomic_store_explicit(&object->bytes, bytes, memory_order_relaxed);
	return err;
}

int object_try_extend(struct object *object, uint64_t bytes)
{
	int err;

	if (bytes <= object_bytes(object))
		return 0;
	spin_lock(&object->lock, RANK_OBJECT);
	err = extend_locked(object, bytes);
	spin_unlock(&object->lock, RANK_OBJECT);
	return err;
}

int object_extend(struct object *object, uint64_t bytes)
{
	for (;;) {
		uint64_t end = object_bytes(object);
		int err;

		spin_lock(&object->lock, RANK_OBJECT);
		err = extend_locked(object, bytes);
		spin_unlock(&object->lock, RANK_OBJECT);
		if (err == -EAGAIN)
			err = object_own(object, end >> PAGE_SHIFT);
		else if (err == -EBUSY)
			hw_relax(); /* the end of object_resize is near */
		else
			return err;
		if (err != 0 && err != -EBUSY)
			return err;
	}
}

static void audit_visit(void *ctx, uint64_t index, uintptr_t slot, bool dirty)
{
	const struct object_visitor *visitor = ctx;

	if (slot_has_frame(slot))
		visitor->visit(visitor->ctx, index, slot_pfn(slot), dirty);
}

void object_visit(struct object *object, bool mark, const struct object_visitor *visitor)
{
	index_visit(&object->index, mark, audit_visit, (void *)(uintptr_t)visitor);
}
