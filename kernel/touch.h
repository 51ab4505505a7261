/*
 * Touching user memory where that may have to wait: for a page that must be read from a disk, or for memory.
 *
 * mm/ never sleeps. Where a page is not there that only a device has, or no frame is left, it says so, and this module does what
 * can be done about it and has it tried again. Whoever copies to or from a program with no lock held notices nothing. Whoever does
 * it under a spin lock says so by touch_forbid: the copy then comes back with -EWANTED, and the caller lets go of its lock,
 * touches the page (io_touch for what goes through struct io), and goes on.
 */
#ifndef KERNEL_TOUCH_H
#define KERNEL_TOUCH_H

#include "kernel/thread.h"
#include "mm/space.h"

#define EWANTED 1000 /* the kernel's own: no program sees it */

/* After mm_init, before programs run. */
void touch_init(void);

/*
 * Does something about what space_fault said, with no lock held; may block. FAULT_OK: try again, or the thread is being killed;
 * else what is to be told the program. FAULT_OOM: its process is to be ended.
 */
enum fault touch_settle(struct space *space, vaddr_t va, enum access access, enum fault fault) MUST_CHECK;

/* Faults the page in as a program's access would; may block. As touch_settle. */
enum fault touch_fault(struct space *space, vaddr_t va, enum access access) MUST_CHECK;
/* The same. 0, -EFAULT, -ENOMEM, -EINTR: the thread is being killed. */
int touch(struct space *space, vaddr_t va, enum access access) MUST_CHECK;

/* The calling thread holds a spin lock while it copies: nothing may block until touch_allow. They nest. */
static inline void touch_forbid(void)
{
	current_thread()->touch_forbidden++;
}

static inline void touch_allow(void)
{
	current_thread()->touch_forbidden--;
}

#endif
