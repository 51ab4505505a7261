/*
 * Brings all other harts to a standstill outside of mm/: at a return to user mode, or idle. Between begin and end the
 * caller may run mm_audit. Called with no lock held, by a thread in a system call that is not in the middle of anything
 * in mm/ itself; it must not block in between.
 */
#ifndef KERNEL_QUIESCE_H
#define KERNEL_QUIESCE_H

#include <stdatomic.h>

#include "lib/types.h"

void quiesce_begin(void);
void quiesce_end(void);

/* The other harts' side: stands still while somebody wants it. At return to user mode and in idle; no lock held. */
void quiesce_stand(void);

/* quiesce.c's. */
extern struct quiesce {
	_Atomic uint32_t owned;
	_Atomic uint32_t wanted;
	_Atomic uint32_t standing;
} quiesce;

static inline bool quiesce_wanted(void)
{
	return atomic_load_explicit(&quiesce.wanted, memory_order_relaxed) != 0;
}

#endif
