/* Futexes. Contract of futex.c; the call is sys_futex. */
#ifndef KERNEL_FUTEX_H
#define KERNEL_FUTEX_H

#include "lib/types.h"
#include "mm/space.h"

struct thread;

void futex_init(void);

/* Wakes up to `most` that wait for the word at va. How many, or -errno. */
int64_t futex_wake(struct space *space, vaddr_t va, uint32_t most);

/* The calling thread ends: its robust list, and the word that pthread_join waits for. */
void futex_thread_exit(struct thread *thread);

#endif
