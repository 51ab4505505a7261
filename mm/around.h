/*
 * Fault-around: what a fault maps beside the page that it is about. Private to mm/. The leaf table is locked, `slot` is the entry of va
 * in it, which was the reservation `was` and is a page by now.
 */
#ifndef MM_AROUND_H
#define MM_AROUND_H

#include "mm/hart.h"
#include "mm/pte.h"
#include "mm/space.h"

/* Pages of the same object and region that are there already, as a read would map them. */
void around_object(struct space *space, _Atomic uint64_t *slot, pte_t was, vaddr_t va);

/* Zeros, in frames of their own. was: without PTE_X. */
void around_anon(struct mm_hart *mine, _Atomic uint64_t *slot, pte_t was, vaddr_t va);

#endif
