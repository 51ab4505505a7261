/*
 * Memory objects: a radix tree from page number to frame.
 *
 * Invariants: a page once in the tree stays until the object goes; each holds one count of its frame. Nodes are only
 * added, below or above what is there, so a look-up that takes no lock sees a tree that was true a moment ago.
 * Locks: the object's, for adding. Nodes and frames are allocated under it only where a node is missing.
 * Memory order: a slot is stored with release and loaded with acquire, so that what it points to is seen filled.
 * Does not: write back, truncate or clone (later issues), or map: fault.c does.
 */
#include "mm/object.h"

#include <string.h>

#include "lib/errno.h"
#include "lib/lock.h"
#include "mm/coremap.h"
#include "mm/object_list.h"
#include "mm/slab.h"

#define NODE_BITS  6
#define NODE_SLOTS (1U << NODE_BITS)

struct node {
	unsigned shift;			     /* index >> shift selects the slot */
	_Atomic(uintptr_t) slot[NODE_SLOTS]; /* shift 0: frame numbers; else nodes; 0: none */
};

struct object {
	_Atomic uint32_t references;
	_Atomic uint64_t writers; /* descriptors of writable shared mappings */
	struct spinlock lock;
	_Atomic uint64_t bytes; /* written under lock */
	const char *source;
	_Atomic uint64_t source_bytes; /* written under lock; only gets less */
	_Atomic(struct node *) root;   /* written under lock */
	struct list link;	       /* of all objects [object_list lock] */
};

static struct {
	struct spinlock lock;
	struct list all; /* [lock] */
} objects;

void object_list_init(void)
{
	spin_init(&objects.lock);
	list_init(&objects.all);
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

void object_list_visit(void (*visit)(void *ctx, struct object *object), void *ctx)
{
	list_for_each (pos, &objects.all)
		visit(ctx, list_entry(pos, struct object, link));
}

int object_create(uint64_t bytes, const void *source, uint64_t source_bytes, struct object **out)
{
	struct object *object = kalloc(sizeof(*object));

	if (object == NULL)
		return -ENOMEM;
	atomic_init(&object->bytes, bytes);
	object->source = source;
	atomic_init(&object->source_bytes, source == NULL ? 0 : MIN(source_bytes, bytes));
	atomic_init(&object->references, 1);
	spin_lock(&objects.lock, RANK_OBJECT_LIST);
	list_add(&objects.all, &object->link);
	spin_unlock(&objects.lock, RANK_OBJECT_LIST);
	*out = object;
	return 0;
}

void object_get(struct object *object)
{
	/* relaxed: the caller has a reference */
	uint32_t old = atomic_fetch_add_explicit(&object->references, 1, memory_order_relaxed);

	CHECK(old != 0 && old != UINT32_MAX);
}

static void node_free(struct node *node)
{
	for (unsigned i = 0; i < NODE_SLOTS; i++) {
		uintptr_t slot = atomic_load_explicit(&node->slot[i], memory_order_relaxed);

		if (slot == 0)
			continue;
		if (node->shift != 0)
			node_free((struct node *)slot);
		else
			frame_put(PFN(slot));
	}
	kfree(node);
}

void object_put(struct object *object)
{
	/* acq_rel: the last one sees every page that others added */
	uint32_t old = atomic_fetch_sub_explicit(&object->references, 1, memory_order_acq_rel);

	CHECK(old != 0);
	if (old != 1)
		return;
	spin_lock(&objects.lock, RANK_OBJECT_LIST);
	list_del(&object->link);
	spin_unlock(&objects.lock, RANK_OBJECT_LIST);

	struct node *root = atomic_load_explicit(&object->root, memory_order_relaxed);

	if (root != NULL)
		node_free(root);
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

static uint64_t object_source_bytes(const struct object *object)
{
	/* relaxed: add_page looks again under the lock */
	return atomic_load_explicit(&object->source_bytes, memory_order_relaxed);
}

/* The frame number of page index, or 0. */
static uintptr_t find(struct object *object, uint64_t index)
{
	/* acquire: pairs with the release in grow */
	struct node *node = atomic_load_explicit(&object->root, memory_order_acquire);

	if (node == NULL || (index >> node->shift) >= NODE_SLOTS)
		return 0;
	for (;;) {
		/* acquire: pairs with the release in insert_locked */
		uintptr_t slot =
			atomic_load_explicit(&node->slot[(index >> node->shift) % NODE_SLOTS], memory_order_acquire);

		if (slot == 0 || node->shift == 0)
			return slot;
		node = (struct node *)slot;
	}
}

bool object_has(struct object *object, uint64_t index)
{
	return find(object, index) != 0;
}

static struct node *node_new(unsigned shift)
{
	struct node *node = kalloc(sizeof(*node));

	if (node != NULL)
		node->shift = shift;
	return node;
}

/* Makes the tree tall enough for index. Called with the object's lock held. */
static int grow_locked(struct object *object, uint64_t index)
{
	struct node *root = atomic_load_explicit(&object->root, memory_order_relaxed);

	while (root == NULL || (index >> root->shift) >= NODE_SLOTS) {
		struct node *above = node_new(root == NULL ? 0 : root->shift + NODE_BITS);

		if (above == NULL)
			return -ENOMEM;
		if (root != NULL)
			atomic_store_explicit(&above->slot[0], (uintptr_t)root, memory_order_relaxed);
		/* release: pairs with the acquire in find */
		atomic_store_explicit(&object->root, above, memory_order_release);
		root = above;
	}
	return 0;
}

static int insert_locked(struct object *object, uint64_t index, pfn_t pfn)
{
	int err = grow_locked(object, index);

	if (err != 0)
		return err;

	struct node *node = atomic_load_explicit(&object->root, memory_order_relaxed);

	while (node->shift != 0) {
		_Atomic(uintptr_t) *slot = &node->slot[(index >> node->shift) % NODE_SLOTS];
		uintptr_t below = atomic_load_explicit(slot, memory_order_relaxed);

		if (below == 0) {
			below = (uintptr_t)node_new(node->shift - NODE_BITS);
			if (below == 0)
				return -ENOMEM;
			/* release: pairs with the acquire in find */
			atomic_store_explicit(slot, below, memory_order_release);
		}
		node = (struct node *)below;
	}
	/* release: pairs with the acquire in find */
	atomic_store_explicit(&node->slot[index % NODE_SLOTS], (uintptr_t)pfn.v, memory_order_release);
	return 0;
}

static int new_page(struct object *object, uint64_t index, pfn_t *out)
{
	uint64_t offset = index << PAGE_SHIFT;
	uint64_t have = object_source_bytes(object);
	uint64_t n = offset < have ? MIN(have - offset, PAGE_SIZE) : 0;
	pfn_t pfn;
	int err = frame_alloc(FRAME_OBJECT, &pfn);

	if (err != 0)
		return err;

	char *page = frame_data(pfn);

	if (n < PAGE_SIZE)
		hw_page_clear(page);
	if (n != 0)
		memcpy(page, object->source + offset, n);
	frame_of(pfn)->object.object = object;
	frame_of(pfn)->object.index = index;
	*out = pfn;
	return 0;
}

/* The page filled outside of the lock; whoever comes second finds it and drops its own. */
static int add_page(struct object *object, uint64_t index, uintptr_t *out)
{
	uint64_t had = object_source_bytes(object);
	pfn_t pfn;
	int err = new_page(object, index, &pfn);

	if (err != 0)
		return err;
	spin_lock(&object->lock, RANK_OBJECT);
	uintptr_t there = find(object, index);

	if (there == 0 && had != object_source_bytes(object)) {
		err = -EAGAIN; /* cut off meanwhile: it was filled with what is gone */
	} else if (there == 0) {
		err = insert_locked(object, index, pfn);
		there = err == 0 ? (uintptr_t)pfn.v : 0;
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	if (there != pfn.v)
		frame_put(pfn);
	*out = there;
	return err;
}

/* The page's frame, without a count: it stays as long as the caller's reference to the object. */
static int get_page(struct object *object, uint64_t index, pfn_t *out)
{
	uintptr_t pfn;

	if (index >= ALIGN_UP(object_bytes(object), PAGE_SIZE) >> PAGE_SHIFT)
		return -EFAULT;
	pfn = find(object, index);
	while (pfn == 0) {
		int err = add_page(object, index, &pfn);

		if (err != 0 && err != -EAGAIN)
			return err;
	}
	*out = PFN(pfn);
	return 0;
}

int object_frame(struct object *object, uint64_t index, pfn_t *out)
{
	int err = get_page(object, index, out);

	return err == 0 && !frame_get(*out) ? -ENOMEM : err;
}

/* Copies one page's part of [offset, offset + n); how much that is, or an error. */
static int64_t copy_part(struct object *object, uint64_t offset, uint64_t n, void *dst, const void *src)
{
	uint64_t in_page = offset & PAGE_MASK;
	uint64_t part = MIN(n, PAGE_SIZE - in_page);
	pfn_t pfn;
	int err = get_page(object, offset >> PAGE_SHIFT, &pfn);

	if (err != 0)
		return err;

	char *at = (char *)frame_data(pfn) + in_page;

	if (dst != NULL)
		memcpy(dst, at, part);
	else
		memcpy(at, src, part);
	return (int64_t)part;
}

static int64_t copy_all(struct object *object, uint64_t offset, uint64_t n, char *dst, const char *src)
{
	uint64_t bytes = object_bytes(object);
	uint64_t done = 0;

	if (offset >= bytes)
		return 0;
	n = MIN(n, bytes - offset);
	while (done < n) {
		int64_t part = copy_part(object, offset + done, n - done, dst == NULL ? NULL : dst + done,
					 src == NULL ? NULL : src + done);

		if (part < 0)
			return done == 0 ? part : (int64_t)done;
		done += (uint64_t)part;
	}
	return (int64_t)done;
}

int64_t object_read(struct object *object, uint64_t offset, void *dst, uint64_t n)
{
	return copy_all(object, offset, n, dst, NULL);
}

int64_t object_write(struct object *object, uint64_t offset, const void *src, uint64_t n)
{
	return copy_all(object, offset, n, NULL, src);
}

static void node_visit(struct node *node, uint64_t index, void (*visit)(void *ctx, uint64_t index, pfn_t pfn),
		       void *ctx)
{
	for (unsigned i = 0; i < NODE_SLOTS; i++) {
		uintptr_t slot = atomic_load_explicit(&node->slot[i], memory_order_acquire);
		uint64_t at = index | ((uint64_t)i << node->shift);

		if (slot == 0)
			continue;
		if (node->shift != 0)
			node_visit((struct node *)slot, at, visit, ctx);
		else
			visit(ctx, at, PFN(slot));
	}
}

void object_visit(struct object *object, void (*visit)(void *ctx, uint64_t index, pfn_t pfn), void *ctx)
{
	struct node *root = atomic_load_explicit(&object->root, memory_order_acquire);

	if (root != NULL)
		node_visit(root, 0, visit, ctx);
}

static void cut_page(void *ctx, uint64_t index, pfn_t pfn)
{
	uint64_t end = *(const uint64_t *)ctx;
	uint64_t start = index << PAGE_SHIFT;

	if (end <= start)
		hw_page_clear(frame_data(pfn));
	else if (end - start < PAGE_SIZE)
		memset((char *)frame_data(pfn) + (end - start), 0, PAGE_SIZE - (end - start));
}

int object_resize(struct object *object, uint64_t bytes)
{
	spin_lock(&object->lock, RANK_OBJECT);
	bool shorter = bytes < object_bytes(object);

	/* relaxed: see object_bytes and add_page */
	atomic_store_explicit(&object->bytes, bytes, memory_order_relaxed);
	if (bytes < object_source_bytes(object))
		atomic_store_explicit(&object->source_bytes, bytes, memory_order_relaxed);
	if (shorter)
		object_visit(object, cut_page, &bytes);
	spin_unlock(&object->lock, RANK_OBJECT);
	return 0;
}
