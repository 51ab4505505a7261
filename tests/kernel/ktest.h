/*
 * Suites that run inside the real kernel, on all its harts. A test is a function; it fails by KT_CHECK, which says where
 * and goes on. After each, the audit runs and every frame must be back.
 *
 * Tests run on kernel threads: nothing preempts them, and they answer other harts only in hw_relax, when they wait for a
 * lock, and when they block. One that loops for long calls hw_relax in it.
 */
#ifndef TESTS_KERNEL_KTEST_H
#define TESTS_KERNEL_KTEST_H

#include "lib/hw.h"
#include "lib/types.h"

struct ktest {
	const char *name;
	void (*run)(void);
};

struct ktest_suite {
	const char *name;
	const struct ktest *tests;
	size_t count;
};

#define KTEST_SUITE(suite, array) const struct ktest_suite suite = { #suite, array, ARRAY_LEN(array) }

extern const struct ktest_suite ktest_alloc, ktest_shootdown, ktest_ipi, ktest_locks, ktest_epoch, ktest_sched,
	ktest_timer, ktest_user, ktest_disk, ktest_cache, ktest_page, ktest_watchdog, ktest_stacks;

void ktest_fail(const char *file, int line, const char *what);
#define KT_CHECK(cond)                                                                                                 \
	do {                                                                                                           \
		if (UNLIKELY(!(cond)))                                                                                 \
			ktest_fail(__FILE__, __LINE__, #cond);                                                         \
	} while (0)
#define KT_FAIL(what) ktest_fail(__FILE__, __LINE__, what)
bool ktest_failed(void);

/* Runs fn on every hart at once, each on a thread that stays there, and waits for all. index: 0 .. ktest_harts() - 1. */
void ktest_on_all(void (*fn)(unsigned index));
unsigned ktest_harts(void);
/* A thread that runs fn(arg) on the given harts; ktest_wait waits for all that were started. */
void ktest_start(void (*fn)(void *), void *arg, uint64_t harts);
void ktest_wait(void);
/* In ktest_on_all: returns when all harts have come here. */
void ktest_barrier(void);

/*
 * Whether a loop goes on: for `most` steps, or fewer where the machine is slow (an emulator with more harts than the host has
 * takes a second for a few remote fences): four at least, then as far as a few seconds go.
 */
bool ktest_more(uint64_t step, uint64_t most);

/* A stream for each hart, from the run's seed. */
uint64_t ktest_random(void);
static inline uint64_t ktest_below(uint64_t limit)
{
	return ktest_random() % limit;
}

#endif
