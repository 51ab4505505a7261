/*
 * What fs/ asks of whoever runs it: memory, and a place for the one line it says when it meets a damaged volume.
 * kernel/ implements these over mm/slab.h and the log, tests/unit/fs.c over malloc.
 *
 * All of fs/ is synchronous code that may block in a disk's operations. It has no locks: whoever calls holds the volume's
 * sleeping mutex from beginning to end of each call.
 */
#ifndef FS_FS_H
#define FS_FS_H

#include "lib/types.h"

/* 0 < bytes <= FS_ALLOC_MAX. Zeroed, aligned for any type, and to its own size where that is a power of two. NULL: none. */
#define FS_ALLOC_MAX 4096
void *fs_alloc(size_t bytes) MUST_CHECK;
/* What fs_alloc returned, or NULL. */
void fs_free(void *ptr);

/* One line, without its newline, for whoever looks after the machine. */
void fs_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
