/* Disks of memory: ram0, ram1, ... behind block.h. What is written stays until power-off. */
#ifndef DRIVERS_RAMDISK_H
#define DRIVERS_RAMDISK_H

#include "lib/types.h"

/* Zeroed memory of so many bytes, on a page, never given back; NULL: there is none. Asked for a page at a time. */
typedef void *ramdisk_memory(uint64_t bytes);

/*
 * Makes and registers the next one. bytes: not 0, made whole sectors; it starts with a copy of content, or, where that is
 * NULL, as zeros. 0 or -ENOMEM. At boot, by one hart.
 */
int ramdisk_create(uint64_t bytes, const void *content, ramdisk_memory *memory) MUST_CHECK;

#endif
