/*
 * Where a program's own parts lie, in the room that mm/ leaves above the addresses it chooses (space->mmap_top); what is left
 * below the stack is its guard.
 */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

#include "mm/space.h"

#define SIGRETURN_PAGE (USER_END - 2 * PAGE_SIZE)
#define STACK_TOP      (USER_END - 16 * PAGE_SIZE)
/* What it may grow to, and what of it is there at once, as on Linux: more than that costs every fork and exit. */
#define STACK_BYTES  (UINT64_C(8) << 20)
#define STACK_BEGINS (UINT64_C(128) << 10)
/* Position-independent executables. */
#define PIE_BASE UINT64_C(0x2aaaaaa000)

#endif
