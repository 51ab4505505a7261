/*
 * Reading a cpio archive ("newc", with or without checksums) that lies in memory. Trusts nothing in it. Pure functions: no
 * allocation, no locks, nothing outside the archive's bytes is read; they compile on the host, for fuzzing.
 */
#ifndef KERNEL_CPIO_H
#define KERNEL_CPIO_H

#include "lib/types.h"

#define CPIO_NAME_MAX 4096U /* with the final 0 */

struct cpio {
	const uint8_t *bytes;
	uint64_t total;
	uint64_t at;	     /* where the next header is */
	uint64_t entry_at;   /* where the last one was, for messages */
	const char *problem; /* after -EINVAL: what is wrong, for people */
};

struct cpio_entry {
	const char *name;    /* ends with a 0, has none inside, is not empty */
	uint32_t name_bytes; /* without the 0 */
	const void *data;
	uint32_t bytes;
	uint32_t inode, mode, uid, gid, links, mtime;
	uint32_t dev_major, dev_minor;
	uint32_t rdev_major, rdev_minor;
};

void cpio_init(struct cpio *cpio, const void *bytes, uint64_t total);

/* 1: *out is the next entry; 0: the archive has ended well; -EINVAL: cpio->problem says why not. */
int cpio_next(struct cpio *cpio, struct cpio_entry *out) MUST_CHECK;

#endif
