/*
 * Harts as threads, for tests of what happens at the same time: a common space that each thread enters, an audit and a count
 * of frames when all have ended. Run under ASan with UBSan, and under TSan.
 */
#ifndef UNIT_THREADS_H
#define UNIT_THREADS_H

#include "tests/unit/unit.h"

#include "mm/object.h"
#include "mm/slab.h"

#define HARTS	     4
#define BASE	     UINT64_C(0x3fff0000) /* 16 pages below 1 GiB: two leaf tables, two level-1 tables */
#define PAGES_SHARED 32
#define RW	     (PERM_R | PERM_W)

extern struct space *common;
extern _Atomic unsigned running; /* threads that have not ended their work */

/* The kinds of machine. */
extern const struct fake_config by_ipi, by_rfence, no_asid, few_asids;

/* Starts the machine and makes `common`, which no hart is in. */
void start(const struct fake_config *config);
/* fn on each hart, in `common`; returns when all have ended. */
void run(void (*fn)(unsigned hart));
/* `common` goes, and everything must be back. */
void end(void);

/* Assertions of cmocka are for one thread; these are for all. */
#define MUST(cond)                                                                                                     \
	do {                                                                                                           \
		if (!(cond))                                                                                           \
			fake_fail("%s:%d: %s", __FILE__, __LINE__, #cond);                                             \
	} while (0)

void must_store(vaddr_t va, uint64_t value);
uint64_t must_load(vaddr_t va);

/* A word for each hart on each page from BASE on. */
vaddr_t slot_va(unsigned page, unsigned hart);

#endif
