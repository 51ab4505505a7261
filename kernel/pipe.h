/* Pipes. */
#ifndef KERNEL_PIPE_H
#define KERNEL_PIPE_H

#include "kernel/file.h"

/* Two open files, with a count each for the caller. flags: O_NONBLOCK. shared: where both ends wait, which outlives the
 * files; NULL: each on a queue of its own. 0 or -ENOMEM. */
int pipe_create(unsigned flags, struct wait_queue *shared, struct file **reader, struct file **writer) MUST_CHECK;
bool file_is_pipe(const struct file *file);

#endif
