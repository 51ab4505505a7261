/* Job control: whose the terminal is. Contract of tty_jobs.c. All to be called with no lock held. */
#ifndef KERNEL_TTY_JOBS_H
#define KERNEL_TTY_JOBS_H

#include "lib/types.h"

/* Whether the terminal is the calling process's controlling one. */
bool tty_jobs_ours(void);

/* Whether the calling process may use its terminal now, for what signo is sent to those in the background. 0; -EINTR: its group
 * was sent signo, the call is to start again when it goes on; -EIO. */
int tty_jobs_check(int signo) MUST_CHECK;

/* Sends the signals of the set to the foreground group. Also from interrupt context. */
void tty_jobs_signal(uint64_t signals);

/* TIOCSCTTY, TIOCNOTTY, TIOCGSID, TIOCGPGRP, TIOCSPGRP. */
int64_t tty_jobs_ioctl(uint64_t request, uint64_t argument);

void tty_jobs_init(void);

#endif
