/* What the rest of kernel/ uses of trap.c. */
#ifndef KERNEL_TRAP_H
#define KERNEL_TRAP_H

/* A new thread's way into user mode, with the frame at the top of its stack. */
_Noreturn void trap_enter_user(void);

#endif
