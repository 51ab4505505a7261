/*
 * One module's tests: cmocka, each test in a process of its own, so that each has a fresh machine (fake.h) and one that
 * crashes, hangs or is stopped by a sanitizer is one failure and no more.
 *
 * Environment: UNIT_ONLY: run tests whose name contains this. UNIT_VERBOSE: show all output. UNIT_SEED: start of the
 * random ones (printed). UNIT_STEPS: scales their length in percent. UNIT_RESULTS: file for "passed failed skipped".
 */
#ifndef UNIT_UNIT_H
#define UNIT_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/errno.h"
#include "tests/fakes/fake.h"

#define UNIT_TEST(fn)                                                                                                  \
	{                                                                                                              \
#fn, fn, NULL, NULL, NULL                                                                              \
	}
#define UNIT_SKIPPED 77

int unit_run(const char *module, const struct CMUnitTest *tests, size_t count, unsigned ways);
#define UNIT_MAIN_WITH(module, tests, ways)                                                                            \
	int main(void)                                                                                                 \
	{                                                                                                              \
		return unit_run(module, tests, ARRAY_LEN(tests), ways);                                                \
	}
#define UNIT_MAIN(module, tests) UNIT_MAIN_WITH(module, tests, 1)
/*
 * Each test a second time, with forks that share all page tables, also those with few entries; and a third time so, with views
 * (mm/view.h) in each space.
 */
extern bool unit_views;
#define UNIT_MAIN_SHARING(module, tests) UNIT_MAIN_WITH(module, tests, 3)

/* For random tests: the seed of this run, printed, given to fake_seed; and a number of steps scaled to the run's. */
uint64_t unit_seed(void);
unsigned unit_steps(unsigned usual);

/* mm_audit() with its lines printed: fails the test unless it says 0. */
void unit_audit(void);

/*
 * op with its 1st, 2nd, 3rd... allocation failing, until it makes no more. It says 0, when it has checked what came of it and
 * taken it back, or -ENOMEM, when all is as before; the audit is clean each time. How many times it said -ENOMEM.
 */
unsigned unit_fail_each(int (*op)(void *ctx), void *ctx);

/* ---- Shorthand over mm/space.h; each asserts that it works. */
/* A machine and one space on it; and its end: audit clean, every frame back. */
struct space *unit_begin(const struct fake_config *config);
void unit_end(struct space *space);
extern uint64_t unit_free_before;	       /* frames free when unit_begin had started the machine */
struct space *unit_space(void);		       /* created, and entered on this hart */
void unit_created(struct space *space);	       /* whatever else made it */
struct space *unit_fork(struct space *parent); /* the child; audit clean */
vaddr_t unit_map(struct space *space, uint64_t at, uint64_t pages, uint64_t perm); /* at = 0: anywhere */
vaddr_t unit_map_object(struct space *space, uint64_t at, uint64_t pages, uint64_t perm, struct object *object,
			uint64_t page, bool shared);
void unit_store(vaddr_t va, uint64_t value);
uint64_t unit_load(vaddr_t va);
void unit_store_in(struct space *space, uint64_t va, uint64_t value); /* this hart goes to the space first */
uint64_t unit_load_in(struct space *space, uint64_t va);
void unit_expect_fault(vaddr_t va, enum access access, enum fault fault);
void unit_drop(struct space *space); /* leaves it on every hart, then puts it */

/* An object's first word of a page, past all spaces. */
uint64_t unit_word(struct object *object, uint64_t page);
void unit_set_word(struct object *object, uint64_t page, uint64_t word);

/* A watch (mm/mapping.h), and how many descriptors have it. */
extern struct mapping_watch unit_watch;
extern int unit_watched;

/* What the page tables say, by the test's own walk. level: of the table that holds the entry. */
pte_t unit_entry(struct space *space, vaddr_t va, unsigned *level);
pfn_t unit_frame_at(struct space *space, uint64_t va);

#define PAGES(n) ((uint64_t)(n) << PAGE_SHIFT)

#endif
