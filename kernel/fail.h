/* Allocations that are made to fail, in debug kernels: fail.c. */
#ifndef KERNEL_FAIL_H
#define KERNEL_FAIL_H

/* Makes /proc/corral/fail. 0 or -errno. */
int fail_place(void);

/* Takes the boot argument fail=, or NULL; ends in boot_fail where it is wrong. */
void fail_boot(const char *value);

/* From now on it holds: the first program is about to run. */
void fail_begin(void);

#endif
