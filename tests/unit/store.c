/* See store.h. */
#include "tests/unit/store.h"

void store_start(struct store *store, uint64_t pages)
{
	pthread_mutex_init(&store->lock, NULL);
	assert_int_equal(object_create_backed(PAGES(pages), store, &store->object), 0);
}

static void read_in_locked(struct store *store, uint64_t index)
{
	uint64_t seen = object_removals(store->object);
	pfn_t pfn;
	int err;

	if (object_has(store->object, index))
		return;
	if (frame_alloc(FRAME_KERNEL, &pfn) != 0)
		fake_fail("no frame for page %llu", (unsigned long long)index);
	memcpy(frame_data(pfn), store->page[index], PAGE_SIZE);
	fake_jitter();
	err = object_insert(store->object, index, pfn, seen, false);
	if (err != 0)
		frame_put(pfn);
	if (err != 0 && err != -EEXIST && err != -EAGAIN && err != -EFAULT)
		fake_fail("insert: %d", err);
}

static void take(struct store *store)
{
	while (pthread_mutex_trylock(&store->lock) != 0)
		hw_relax();
}

void store_read_in(struct store *store, uint64_t index)
{
	take(store);
	read_in_locked(store, index);
	pthread_mutex_unlock(&store->lock);
}

void store_settle(struct store *store, struct space *space, vaddr_t va)
{
	struct object *object;
	uint64_t index;

	if (space_object_at(space, va, &object, &index) != 0)
		return;
	if (object_store(object) == store)
		store_read_in(store, index);
	object_put(object);
}

unsigned store_write_back(struct store *store, uint64_t first, unsigned max)
{
	uint64_t indices[OBJECT_BATCH];
	pfn_t frames[OBJECT_BATCH];
	unsigned n;

	take(store);
	n = object_clean_begin(store->object, first, UINT64_MAX, max, frames, indices);
	for (unsigned i = 0; i < n; i++) {
		const _Atomic uint64_t *from = frame_data(frames[i]);

		/* Programs may write meanwhile: then the page is marked again. */
		for (unsigned w = 0; w < PAGE_SIZE / 8; w++) {
			uint64_t value = atomic_load_explicit(&from[w], memory_order_relaxed);

			memcpy(&store->page[indices[i]][w * 8], &value, 8);
		}
	}
	object_clean_end(store->object, frames, indices, n, fake_below(16) == 0);
	pthread_mutex_unlock(&store->lock);
	return n;
}

enum fault store_user(struct store *store, vaddr_t va, struct fake_op *op)
{
	for (;;) {
		enum fault fault = fake_user(va, op);

		if (fault != FAULT_READ)
			return fault;
		store_settle(store, space_current(), va);
	}
}

int64_t store_read(struct store *store, uint64_t offset, struct space *space, vaddr_t via)
{
	for (;;) {
		int64_t moved = object_to_user(store->object, offset, space, via, 8);

		if (moved != -EAGAIN)
			return moved;
		store_read_in(store, offset >> PAGE_SHIFT);
	}
}

int64_t store_write(struct store *store, uint64_t offset, struct space *space, vaddr_t via)
{
	for (;;) {
		int64_t moved = user_to_object(store->object, offset, space, via, 8, UINT64_MAX / 2);

		if (moved != -EAGAIN)
			return moved;
		store_read_in(store, offset >> PAGE_SHIFT);
	}
}
