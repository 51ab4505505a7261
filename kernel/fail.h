/* Allocations that are made to fail, in debug kernels: fail.c. */
#ifndef KERNEL_FAIL_H
#define KERNEL_FAIL_H

/* Makes /proc/corral/fail. 0 or -errno. */
int fail_place(void);

/* The boot argument fail=, or NULL; the first program is about to run. */
void fail_boot(const char *value);

#endif
