/* Pipes and FIFOs. */
#ifndef KERNEL_PIPE_H
#define KERNEL_PIPE_H

#include "kernel/file.h"

struct pipe;

/* Two open files, with a count each for the caller. flags: O_NONBLOCK. 0 or -ENOMEM. */
int pipe_create(unsigned flags, struct file **reader, struct file **writer) MUST_CHECK;
bool file_is_pipe(const struct file *file);

/* An open file of an S_IFIFO node, whose count it takes over on success. Waits for the other end as Linux does: -EINTR; -ENXIO. */
int fifo_open(struct node *node, unsigned flags, struct file **out) MUST_CHECK;
/* A node's, made and freed with it. NULL: no memory. */
struct pipe *pipe_new(void) MUST_CHECK;
void pipe_free(struct pipe *pipe);

#endif
