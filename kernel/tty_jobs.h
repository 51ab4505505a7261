/* Job control: whose the terminal is. Contract of tty_jobs.c. To be called with no lock held, but for the _locked one. */
#ifndef KERNEL_TTY_JOBS_H
#define KERNEL_TTY_JOBS_H

#include "lib/types.h"

struct process;

/* Whether the terminal is the calling process's controlling one. */
bool tty_jobs_ours(void);

/* Whether the calling process may use its terminal now, for what signo is sent to those in the background. 0; -EINTR: its group
 * was sent signo, the call is to start again when it goes on; -EIO. */
int tty_jobs_check(int signo) MUST_CHECK;

/* Sends the signals of the set to the foreground group. Also from interrupt context. */
void tty_jobs_signal(uint64_t signals);

/* TIOCSCTTY, TIOCNOTTY, TIOCGSID, TIOCGPGRP, TIOCSPGRP. */
int64_t tty_jobs_ioctl(uint64_t request, uint64_t argument);

/* [tree lock] process has ended: if it led the terminal's session, that has none any more, and the foreground group is told. */
void tty_jobs_end_locked(const struct process *process);

void tty_jobs_init(void);

#endif
