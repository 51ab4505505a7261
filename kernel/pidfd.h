/* Processes as open files. */
#ifndef KERNEL_PIDFD_H
#define KERNEL_PIDFD_H

#include "kernel/file.h"

struct process;

/* A descriptor of the calling process's, close-on-exec, for a process; flags: O_NONBLOCK. -EMFILE, -ENOMEM. */
int pidfd_install(struct process *process, unsigned flags) MUST_CHECK;
/* The process behind a descriptor, with a reference, and the file's flags. -EBADF. */
int pidfd_process(int fd, struct process **out, unsigned *flags) MUST_CHECK;

#endif
