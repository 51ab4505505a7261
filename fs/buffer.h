/*
 * A bounded cache of single sectors that are written back: those of the FAT and of directories.
 *
 * Whoever changes a buffer does so only when everything that the change rests on is on the disk (fat_commit.c says how), so
 * any buffer may be written at any time and in any order. What was written but not yet flushed counts as not written when
 * the flush fails. A buffer that cannot be written stays dirty; it is tried again by the next buffers_write.
 */
#ifndef FS_BUFFER_H
#define FS_BUFFER_H

#include "fs/disk.h"
#include "lib/list.h"

#define BUFFER_HASH 512

enum buffer_state { BUFFER_CLEAN, BUFFER_DIRTY, BUFFER_WRITTEN };

struct buffer {
	struct list link; /* in clean (the least used first), dirty or written */
	struct buffer *next;
	uint64_t sector;
	uint8_t *data;
	uint32_t refs;
	enum buffer_state state;
};

struct buffers {
	struct disk *disk;
	struct buffer **hash; /* BUFFER_HASH */
	struct list clean, dirty, written;
	uint32_t count, limit;
	/* Sectors [mirror_from, mirror_to) are written twice: the second time this far behind. 0: not. */
	uint64_t mirror_from, mirror_to, mirror_by;
};

int buffers_init(struct buffers *cache, struct disk *disk) MUST_CHECK;
/* Forgets all, written or not. */
void buffers_free(struct buffers *cache);

/* The sector's content, read if need be; put it back soon. A read error leaves nothing behind. */
int buffer_get(struct buffers *cache, uint64_t sector, struct buffer **out) MUST_CHECK;
void buffer_put(struct buffer *buffer);
/* The holder has changed it. */
void buffer_dirty(struct buffers *cache, struct buffer *buffer);
/* The cached content, or NULL. */
const uint8_t *buffer_peek(const struct buffers *cache, uint64_t sector);
/* What is cached of these sectors is forgotten, changes too. None of them is held. */
void buffers_forget(struct buffers *cache, uint64_t sector, uint32_t n);

/* Writes all that is dirty; the first error, after trying all. */
int buffers_write(struct buffers *cache) MUST_CHECK;
/* Makes what was written durable, together with all that others wrote to the disk. Fails: what was written is dirty again. */
int buffers_flush(struct buffers *cache) MUST_CHECK;

#endif
