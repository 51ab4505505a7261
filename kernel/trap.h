/* What the rest of kernel/ uses of trap.c. */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

#include "lib/types.h"

/* A new thread's way into user mode, with the frame at the top of its stack. */
_Noreturn void trap_enter_user(void);

/* No memory for a page of the calling thread's program: it is ended when the call returns. Any locks may be held. */
struct space;
void trap_starved(struct space *space, vaddr_t va);

#endif
