/* The buffer cache: see buffer.h. No locks: the volume's mutex guards it. */
#include "fs/buffer.h"

#include "fs/fs.h"

#define CACHE_BYTES (UINT32_C(1) << 20)

int buffers_init(struct buffers *cache, struct disk *disk)
{
	*cache = (struct buffers){ .disk = disk, .limit = CACHE_BYTES / disk->sector_bytes };
	list_init(&cache->clean);
	list_init(&cache->dirty);
	list_init(&cache->written);
	cache->hash = fs_alloc(BUFFER_HASH * sizeof(struct buffer *));
	return cache->hash == NULL ? -ENOMEM : 0;
}

static struct buffer **slot_of(const struct buffers *cache, uint64_t sector)
{
	struct buffer **slot = &cache->hash[sector % BUFFER_HASH];

	while (*slot != NULL && (*slot)->sector != sector)
		slot = &(*slot)->next;
	return slot;
}

static void forget(struct buffers *cache, struct buffer *buffer)
{
	struct buffer **slot = slot_of(cache, buffer->sector);

	*slot = buffer->next;
	list_del(&buffer->link);
	fs_free(buffer->data);
	fs_free(buffer);
	cache->count--;
}

void buffers_free(struct buffers *cache)
{
	for (unsigned i = 0; cache->hash != NULL && i < BUFFER_HASH; i++)
		while (cache->hash[i] != NULL)
			forget(cache, cache->hash[i]);
	fs_free(cache->hash);
	cache->hash = NULL;
}

static void set_state(struct buffers *cache, struct buffer *buffer, enum buffer_state state)
{
	struct list *to = state == BUFFER_CLEAN	  ? &cache->clean
			  : state == BUFFER_DIRTY ? &cache->dirty
						  : &cache->written;

	buffer->state = state;
	list_del(&buffer->link);
	list_add_tail(to, &buffer->link);
}

static bool evict(struct buffers *cache)
{
	list_for_each (pos, &cache->clean) {
		struct buffer *buffer = list_entry(pos, struct buffer, link);

		if (buffer->refs == 0) {
			forget(cache, buffer);
			return true;
		}
	}
	return false;
}

/* A few are held at once at most, so among CACHE_BYTES' worth of clean ones there is one to give up. */
static int make_room(struct buffers *cache)
{
	int error;

	if (cache->count < cache->limit || evict(cache))
		return 0;
	error = buffers_write(cache);
	if (error == 0)
		error = buffers_flush(cache);
	return error != 0 ? error : evict(cache) ? 0 : -ENOMEM;
}

static struct buffer *make(struct buffers *cache)
{
	struct buffer *buffer = fs_alloc(sizeof(*buffer));

	if (buffer == NULL)
		return NULL;
	buffer->data = fs_alloc(cache->disk->sector_bytes);
	if (buffer->data == NULL) {
		fs_free(buffer);
		return NULL;
	}
	list_init(&buffer->link);
	return buffer;
}

static int read_new(struct buffers *cache, uint64_t sector, struct buffer **out)
{
	struct buffer *buffer;
	int error = make_room(cache);

	if (error != 0)
		return error;
	buffer = make(cache);
	if (buffer == NULL && evict(cache))
		buffer = make(cache);
	if (buffer == NULL)
		return -ENOMEM;
	error = fs_read(cache->disk, sector, buffer->data, 1);
	if (error != 0) {
		fs_free(buffer->data);
		fs_free(buffer);
		return error;
	}
	buffer->sector = sector;
	buffer->next = cache->hash[sector % BUFFER_HASH];
	cache->hash[sector % BUFFER_HASH] = buffer;
	cache->count++;
	set_state(cache, buffer, BUFFER_CLEAN);
	*out = buffer;
	return 0;
}

int buffer_get(struct buffers *cache, uint64_t sector, struct buffer **out)
{
	struct buffer *buffer = *slot_of(cache, sector);
	int error = 0;

	if (buffer == NULL)
		error = read_new(cache, sector, &buffer);
	else if (buffer->state == BUFFER_CLEAN)
		set_state(cache, buffer, BUFFER_CLEAN);
	if (error != 0)
		return error;
	buffer->refs++;
	*out = buffer;
	return 0;
}

void buffer_put(struct buffer *buffer)
{
	buffer->refs--;
}

void buffer_dirty(struct buffers *cache, struct buffer *buffer)
{
	if (buffer->state != BUFFER_DIRTY)
		set_state(cache, buffer, BUFFER_DIRTY);
}

const uint8_t *buffer_peek(const struct buffers *cache, uint64_t sector)
{
	const struct buffer *buffer = *slot_of(cache, sector);

	return buffer == NULL ? NULL : buffer->data;
}

void buffers_forget(struct buffers *cache, uint64_t sector, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct buffer *buffer = *slot_of(cache, sector + i);

		if (buffer != NULL)
			forget(cache, buffer);
	}
}

static int write_one(struct buffers *cache, struct buffer *buffer)
{
	uint64_t sector = buffer->sector;
	int error = fs_write(cache->disk, sector, buffer->data, 1);

	if (error == 0 && sector >= cache->mirror_from && sector < cache->mirror_to)
		error = fs_write(cache->disk, sector + cache->mirror_by, buffer->data, 1);
	return error;
}

int buffers_write(struct buffers *cache)
{
	int first = 0;

	list_for_each_safe (pos, tmp, &cache->dirty) {
		struct buffer *buffer = list_entry(pos, struct buffer, link);
		int error = write_one(cache, buffer);

		if (error == 0)
			set_state(cache, buffer, BUFFER_WRITTEN);
		else if (first == 0)
			first = error;
	}
	return first;
}

int buffers_flush(struct buffers *cache)
{
	int error = fs_flush(cache->disk);

	list_for_each_safe (pos, tmp, &cache->written)
		set_state(cache, list_entry(pos, struct buffer, link), error == 0 ? BUFFER_CLEAN : BUFFER_DIRTY);
	return error;
}
