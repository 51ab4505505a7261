/*
 * What all block devices share: checks, the registry, partitions, and the watch over devices that may never answer.
 * Contract: block.h.
 *
 * The watch is on exactly while device->watched is 1. pending and watched are Dekker's two flags: block_submit raises
 * pending and then looks at watched, the watch clears watched and then looks at pending, all sequentially consistent; so
 * one of them starts the watch again, and the exchange lets only one.
 *
 * Counts are relaxed: they order nothing, and each was true when it was read.
 */
#include "drivers/block.h"

#include <stdio.h>
#include <string.h>

#include "lib/check.h"
#include "lib/errno.h"

static struct {
	struct block_device *_Atomic first;
	struct block_device *last;
	const struct block_hooks *hooks;
} registry;

void block_set_hooks(const struct block_hooks *hooks)
{
	registry.hooks = hooks;
}

void block_register(struct block_device *device)
{
	struct block_device *_Atomic *slot = registry.last == NULL ? &registry.first : &registry.last->next;

	atomic_init(&device->next, NULL);
	registry.last = device;
	/* release: pairs with the acquire in block_next: who finds it sees it complete */
	atomic_store_explicit(slot, device, memory_order_release);
}

struct block_device *block_next(struct block_device *device)
{
	/* acquire: pairs with block_register */
	return atomic_load_explicit(device == NULL ? &registry.first : &device->next, memory_order_acquire);
}

struct block_device *block_find(const char *name)
{
	struct block_device *device = block_next(NULL);

	while (device != NULL && strcmp(device->name, name) != 0)
		device = block_next(device);
	return device;
}

int block_partition(struct block_device *part, struct block_device *disk, unsigned number, uint64_t start,
		    uint64_t sectors)
{
	const char *between = disk->name[0] != '\0' && disk->name[strlen(disk->name) - 1] <= '9' ? "p" : "";
	uint32_t unit = disk->block_bytes / SECTOR_BYTES;

	if (number == 0 || sectors == 0 || start >= disk->sectors || sectors > disk->sectors - start)
		return -EINVAL;
	if (start % unit != 0 || disk->parent != NULL)
		return -EINVAL;
	memcpy(part, disk, sizeof(*part));
	atomic_init(&part->pending, 0);
	atomic_init(&part->watched, 0);
	memset(&part->counts, 0, sizeof(part->counts));
	if (snprintf(part->name, sizeof(part->name), "%s%s%u", disk->name, between, number) >= (int)sizeof(part->name))
		return -EINVAL;
	part->minor = disk->minor + number;
	part->sectors = sectors;
	part->start = start;
	part->parent = disk;
	return 0;
}

/* ---- Counts. */

static void add(_Atomic uint64_t *count, uint64_t n)
{
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

static uint64_t now(void)
{
	return registry.hooks == NULL ? 0 : registry.hooks->now();
}

/* What has passed since anybody looked counts as busy, if there were requests: one of those who look at once adds it. */
static void count_busy(struct block_counts *counts, uint64_t at, bool busy)
{
	uint64_t until = atomic_load_explicit(&counts->busy_until, memory_order_relaxed);

	if (at > until &&
	    atomic_compare_exchange_strong_explicit(&counts->busy_until, &until, at, memory_order_relaxed,
						    memory_order_relaxed) &&
	    busy)
		add(&counts->busy_ns, at - until);
}

static void count_begin(struct block_counts *counts, const struct block_request *request)
{
	count_busy(counts, request->since, atomic_fetch_add_explicit(&counts->under_way, 1, memory_order_relaxed) != 0);
}

static void count_end(struct block_counts *counts, const struct block_request *request, uint64_t at, int error)
{
	count_busy(counts, at, true);
	add(&counts->requests[request->op], 1);
	add(&counts->sectors[request->op], error == 0 ? request->bytes / SECTOR_BYTES : 0);
	add(&counts->ns[request->op], at - request->since);
	add(&counts->failed, error != 0);
	atomic_fetch_sub_explicit(&counts->under_way, 1, memory_order_relaxed);
}

static void begin(struct block_request *request)
{
	request->since = now();
	count_begin(&request->device->counts, request);
	if (request->part != request->device)
		count_begin(&request->part->counts, request);
}

static void end(struct block_request *request, int error)
{
	uint64_t at = now();

	count_end(&request->device->counts, request, at, error);
	if (request->part != request->device)
		count_end(&request->part->counts, request, at, error);
}

/* ---- Requests. */

static bool is_valid(const struct block_device *device, struct block_request *request)
{
	uint64_t bytes = 0;

	request->bytes = 0;
	if (request->op == BLOCK_FLUSH)
		return true;
	if (request->count == 0 || request->count > device->max_segments)
		return false;
	for (uint32_t i = 0; i < request->count; i++) {
		const struct block_segment *segment = &request->segments[i];

		if (segment->bytes == 0 || (segment->start.v | segment->bytes) % SECTOR_BYTES != 0)
			return false;
		bytes += segment->bytes;
	}
	request->bytes = bytes;
	if ((bytes | request->sector * SECTOR_BYTES) % device->block_bytes != 0)
		return false;
	bytes /= SECTOR_BYTES;
	if (bytes > device->max_sectors || bytes > device->sectors || request->sector > device->sectors - bytes)
		return false;
	return request->op != BLOCK_WRITE || !device->read_only;
}

static void watch(struct block_device *device)
{
	/* seq_cst: see the top */
	if (device->ops->tick != NULL && registry.hooks != NULL &&
	    atomic_exchange_explicit(&device->watched, 1, memory_order_seq_cst) == 0)
		registry.hooks->watch(device);
}

void block_submit(struct block_device *device, struct block_request *request)
{
	bool valid = is_valid(device, request);

	request->part = device;
	if (device->parent != NULL) {
		request->sector += device->start;
		device = device->parent;
	}
	request->device = device;
	begin(request);
	/* seq_cst: see the top */
	atomic_fetch_add_explicit(&device->pending, 1, memory_order_seq_cst);
	if (!valid || (request->op == BLOCK_FLUSH && !device->has_flush)) {
		block_done(request, valid ? 0 : -EIO);
		return;
	}
	watch(device);
	device->ops->submit(device, request);
}

void block_done(struct block_request *request, int error)
{
	end(request, error);
	/* relaxed: the watch only counts them */
	CHECK(atomic_fetch_sub_explicit(&request->device->pending, 1, memory_order_relaxed) != 0);
	request->done(request, error);
}

void block_keep(const struct block_request *request)
{
	for (uint32_t i = 0; registry.hooks != NULL && request->op != BLOCK_FLUSH && i < request->count; i++)
		registry.hooks->keep(request->segments[i].start, request->segments[i].bytes);
}

bool block_watch(struct block_device *device)
{
	device->ops->tick(device);
	/* all seq_cst: see the top */
	if (atomic_load_explicit(&device->pending, memory_order_seq_cst) != 0)
		return true;
	atomic_store_explicit(&device->watched, 0, memory_order_seq_cst);
	return atomic_load_explicit(&device->pending, memory_order_seq_cst) != 0 &&
	       atomic_exchange_explicit(&device->watched, 1, memory_order_seq_cst) == 0;
}
