/* Starting programs. Contract of exec.c. */
#ifndef KERNEL_EXEC_H
#define KERNEL_EXEC_H

#include "lib/types.h"

/*
 * Makes the first process of the machine, with kernel strings, and starts it. 0 or -errno, *why then says what is wrong
 * with the file, or is NULL.
 */
int exec_first(const char *path, char *const *argv, char *const *envp, const char **why) MUST_CHECK;

/* AT_HWCAP, from the device tree's riscv,isa. */
void exec_init(const char *isa);

#endif
