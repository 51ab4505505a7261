/* What the parts of the page cache have of each other: cache.c, cache_ahead.c, cache_write.c, cache_reclaim.c. */
#ifndef KERNEL_CACHE_PARTS_H
#define KERNEL_CACHE_PARTS_H

#include "kernel/cache.h"

/* cache_write.c */
void cache_writer_init(void);
int cache_writer_start(void) MUST_CHECK;
/* Waits until the writer has been through all stores once, or less where it has caught up. -EINTR: the thread is being killed. */
int cache_writer_pass(void) MUST_CHECK;

/* cache.c */
#define CACHE_WINDOW_MOST 32U /* pages: 128 KiB, as Linux has it */

/* Pages [first, end); whoever first looks `mark` up has what comes behind them read ahead (UINT64_MAX: nobody). */
struct cache_window {
	uint64_t first, end, mark;
};
/*
 * Reads what is missing at the begin of the window, and nobody else is reading. wanted: the first page; whoever reads it already is
 * waited for, and so is memory. 0: look again; errors as cache_read_in.
 */
int cache_read_window(struct store *store, const struct cache_window *window, bool wanted) MUST_CHECK;
uint64_t cache_pages_of(const struct store *store);

/* cache_ahead.c */
void cache_ahead_init(void);
int cache_ahead_start(void) MUST_CHECK;
/* Nothing is read ahead for the store any more, whose object nobody uses. */
void cache_ahead_forget(struct store *store);

/* cache_reclaim.c */
void cache_reclaim_init(void);
int cache_reclaim_start(void) MUST_CHECK;
/* Whether so few frames are free that nothing should be read that nobody waits for. */
bool cache_is_short(void);

#endif
