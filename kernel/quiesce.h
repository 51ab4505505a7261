/*
 * Brings all other harts to a standstill outside of mm/: at a return to user mode, or idle. Between begin and end the
 * caller may run mm_audit. Called with no lock held, by a thread in a system call that is not in the middle of anything
 * in mm/ itself; it must not block in between.
 */
#ifndef KERNEL_QUIESCE_H
#define KERNEL_QUIESCE_H

#include "lib/types.h"

void quiesce_begin(void);
void quiesce_end(void);

/* The other harts' side: stands still while somebody wants it. At return to user mode and in idle; no lock held. */
void quiesce_stand(void);
bool quiesce_wanted(void);

#endif
