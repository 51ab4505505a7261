/* Panics, towards the rest of firmware/; everybody else calls hw_panic. */
#ifndef FIRMWARE_PANIC_H
#define FIRMWARE_PANIC_H

struct trap_frame;

/* trap.S: a trap from the kernel. */
_Noreturn void panic_trap(const struct trap_frame *frame);
/* Stops here for good if another hart is panicking. */
void panic_stop_check(void);

#endif
