/*
 * Small kernel objects: size classes carved out of single frames, larger ones as blocks of frames. Frames whose last
 * object is freed go back to the coremap, so the free count comes back to what it was.
 */
#ifndef MM_SLAB_H
#define MM_SLAB_H

#include "lib/types.h"

void slab_init(void);

/* bytes > 0. Zeroed as far as asked for, aligned to the next power of two of bytes up to 4096 (so to its own size class). NULL: no memory. */
void *kalloc(size_t bytes) MUST_CHECK;

/* What kalloc returned, or NULL. */
void kfree(void *ptr);

/* How many bytes of memory what kalloc returned takes: no fewer than were asked for. */
size_t kalloc_bytes(const void *ptr);

/* Gives the harts' own caches of free objects back, and with them the frames that are empty. For the audit. */
void slab_drain(void);

#endif
