/* Processes, threads and descriptor tables as memory: those that ended are put by, so that the next begins with a stack and little to clear. */
#ifndef KERNEL_SPARE_H
#define KERNEL_SPARE_H

#include "lib/types.h"

struct process;
struct thread;

void spares_init(void);

/* One that was put by on this hart, as it was then; NULL: none. Whether there was room. */
enum spare { SPARE_PROCESS, SPARE_THREAD, SPARE_FILES, SPARE_KINDS };
void *spare_take(enum spare kind) MUST_CHECK;
bool spare_put(enum spare kind, void *object) MUST_CHECK;

/* As process.h says of a new one; limits, path and what else a child has a copy of may be anybody's. NULL: no memory. */
struct process *process_alloc(void) MUST_CHECK;
/* Nobody has a reference; what it had is given back. */
void process_free(struct process *process);

/* stack and stack_top. Debug builds: one with a guard page, while there are any. False: no memory. */
bool thread_stack_alloc(struct thread *thread) MUST_CHECK;

/* As thread.h says of a new one, with a stack. NULL: no memory. */
struct thread *thread_alloc(void) MUST_CHECK;
/* Nobody uses its stack any more. */
void thread_free(struct thread *thread);

/* Frees all that is put by. On a machine that stands still. */
void spares_drain(void);

#endif
