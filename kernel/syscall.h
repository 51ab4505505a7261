/*
 * System calls. A handler is int64_t sys_name(const uint64_t *a): a[0..5] are the arguments as they stand in the trap
 * frame; the value or -errno goes to a0. It runs on the thread's kernel stack with interrupts off, may block, holds no
 * lock when it returns. The table is in syscall.c, by Linux number.
 *
 * Restarts: a handler that wait_block has left with -EINTR returns -EINTR. signal.c then looks at what happened: no
 * handler ran (another thread took the signal): the call is restarted; a handler with SA_RESTART ran: restarted if the
 * call is one that Linux restarts (syscall_restarts; clone whatever the handler says); otherwise the program sees EINTR. A handler with a relative
 * time-out turns it into a deadline with deadline_after, which is the same deadline when the call was restarted.
 */
#ifndef KERNEL_SYSCALL_H
#define KERNEL_SYSCALL_H

#include "firmware/trap.h"
#include "lib/errno.h"
#include "lib/types.h"

typedef int64_t syscall_fn(const uint64_t *a);

#define SYSCALLS TRAP_CALLS
extern syscall_fn *const syscall_table[SYSCALLS];

/* For every number that has no handler: -ENOSYS, and counts. */
syscall_fn sys_unknown;

/* Whether a call that a handler interrupted starts again, which the handler's SA_RESTART may want. */
bool syscall_restarts(uint64_t number, bool wanted);

/* Calls of numbers that no handler has, all harts together. */
uint64_t syscalls_unknown(void);

/* debug=enosys: names them in the log. */
void syscall_init(bool log_unknown);

/* now + ns without overflow; the deadline of the interrupted call if this one is its restart. */
uint64_t deadline_after(uint64_t ns);
/* The call that asked for it is not left with -EINTR: there is nothing to restart. */
void deadline_done(void);

struct timespec {
	int64_t tv_sec;
	int64_t tv_nsec;
};
/* A relative or absolute timespec of the program as ns, saturated. 0, -EFAULT or -EINVAL. */
int user_timespec(uint64_t address, uint64_t *ns) MUST_CHECK;

#endif
