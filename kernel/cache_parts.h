/* What the parts of the page cache have of each other: cache.c, cache_write.c, cache_reclaim.c. */
#ifndef KERNEL_CACHE_PARTS_H
#define KERNEL_CACHE_PARTS_H

#include "kernel/cache.h"

/* cache_write.c */
void cache_writer_init(void);
int cache_writer_start(void) MUST_CHECK;
/* Waits until the writer has been through all stores once, or less where it has caught up. -EINTR: the thread is being killed. */
int cache_writer_pass(void) MUST_CHECK;

/* cache_reclaim.c */
void cache_reclaim_init(void);
int cache_reclaim_start(void) MUST_CHECK;
/* Whether so few frames are free that nothing should be read that nobody waits for. */
bool cache_is_short(void);

#endif
