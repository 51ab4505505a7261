/* What the rest of kernel/ uses of trap.c. */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

#include "firmware/trap.h"
#include "lib/types.h"
#include "mm/space.h"

/* trap.S's: mm refused the access. */
void trap_refused(struct trap_frame *frame, enum fault fault);

/* A new thread's way into user mode, with the frame at the top of its stack. */
_Noreturn void trap_enter_user(void);

/* No memory for a page of the calling thread's program: it is ended when the call returns. Any locks may be held. */
void trap_starved(struct space *space, vaddr_t va);

#endif
