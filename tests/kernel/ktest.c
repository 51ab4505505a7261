/*
 * The runner: order shuffled by a printed seed, KTAP on the kernel's log, an audit and a count of frames after each test.
 * Boot arguments: test=all (or none given), or a part of "suite.name"; seed=N; limit=SECONDS, after which a test that stands still ends the
 * machine, with where each hart is.
 */
#include "tests/kernel/ktest.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "firmware/boot.h"
#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/quiesce.h"
#include "kernel/sched.h"
#include "kernel/spare.h"
#include "kernel/watchdog.h"
#include "kernel/wait.h"
#include "lib/check.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "mm/space.h"

#define TESTS_MAX 64
#define TEST_NS	  UINT64_C(3000000000)
#define LIMIT_S	  100

int kernel_tests_run(void);

static const struct ktest_suite *const suites[] = { &ktest_alloc, &ktest_shootdown, &ktest_ipi,	  &ktest_locks,
						    &ktest_epoch, &ktest_sched,	    &ktest_timer, &ktest_user,
						    &ktest_disk,  &ktest_cache,	    &ktest_page,  &ktest_watchdog,
						    &ktest_stacks };

struct entry {
	const struct ktest_suite *suite;
	const struct ktest *test;
};

static struct {
	struct entry entry[TESTS_MAX];
	unsigned count;
	_Atomic unsigned failures; /* in the running test */
	_Atomic unsigned running;  /* threads of it */
	struct wait_queue done;
	uint64_t start, limit;		      /* of the running test, in ns */
	_Atomic unsigned arrived, generation; /* the barrier */
	void (*body)(unsigned index);
	struct {
		uint64_t state;
	} CACHE_ALIGNED random[HW_MAX_HARTS];
} run;

/* ---- For tests. */

void ktest_fail(const char *file, int line, const char *what)
{
	/* Not a flood: the first few say it. */
	if (atomic_fetch_add(&run.failures, 1) < 5)
		klog("# %s:%d: hart %u: %s", file, line, hw_hart(), what);
}

bool ktest_failed(void)
{
	return atomic_load(&run.failures) != 0;
}

unsigned ktest_harts(void)
{
	return (unsigned)__builtin_popcountll(sched_harts());
}

bool ktest_more(uint64_t step, uint64_t most)
{
	return step < most && (step < 4 || time_ns() - run.start < TEST_NS);
}

/* xorshift64* */
uint64_t ktest_random(void)
{
	uint64_t *state = &run.random[hw_hart()].state;

	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * UINT64_C(0x2545F4914F6CDD1D)) >> 8;
}

struct start {
	void (*fn)(void *arg);
	void *arg;
};

static void thread_main(void *arg)
{
	struct start start = *(struct start *)arg;

	kfree(arg);
	start.fn(start.arg);
	space_switch(NULL);
	/* acq_rel: what the thread did is done for whoever waits */
	if (atomic_fetch_sub_explicit(&run.running, 1, memory_order_acq_rel) == 1)
		wake_all(&run.done);
}

void ktest_start(void (*fn)(void *), void *arg, uint64_t harts)
{
	struct start *start = kalloc(sizeof(*start));
	struct thread *thread;

	CHECK(start != NULL);
	*start = (struct start){ fn, arg };
	CHECK(thread_create_kernel(thread_main, start, &thread) == 0);
	atomic_store(&thread->affinity, harts);
	atomic_fetch_add(&run.running, 1);
	sched_start(thread);
}

static void look_at_the_time(void)
{
	if (time_ns() < run.limit)
		return;
	watchdog_describe();
	hw_panic("a test stands still: %u of its threads have not ended", atomic_load(&run.running));
}

void ktest_wait(void)
{
	struct waiter waiter = { 0 };

	for (;;) {
		wait_prepare(&run.done, &waiter);
		/* acquire: pairs with thread_main's last decrement */
		if (atomic_load_explicit(&run.running, memory_order_acquire) == 0)
			break;
		(void)!wait_block_killable(run.limit);
		look_at_the_time();
	}
	wait_finish(&run.done, &waiter);
	sched_wait_all_gone();
}

static void body_main(void *arg)
{
	run.body((unsigned)(uintptr_t)arg);
}

void ktest_on_all(void (*fn)(unsigned index))
{
	unsigned index = 0;

	run.body = fn;
	run.arrived = 0;
	for (uint64_t left = sched_harts(); left != 0; left &= left - 1)
		ktest_start(body_main, (void *)(uintptr_t)index++, left & -left);
	ktest_wait();
}

void ktest_barrier(void)
{
	unsigned generation = atomic_load(&run.generation);

	if (atomic_fetch_add(&run.arrived, 1) + 1 == ktest_harts()) {
		atomic_store(&run.arrived, 0);
		atomic_fetch_add(&run.generation, 1);
		return;
	}
	while (atomic_load(&run.generation) == generation) {
		hw_relax();
		look_at_the_time();
	}
}

/* ---- The runner. */

static uint64_t settled_frames(void)
{
	uint64_t frames;

	quiesce_begin();
	spares_drain();
	slab_drain();
	coremap_drain();
	frames = frames_free();
	quiesce_end();
	return frames;
}

static void audit_line(const char *line)
{
	klog("# audit: %s", line);
}

static uint64_t number(const char *text)
{
	uint64_t value = 0;

	for (; *text >= '0' && *text <= '9'; text++)
		value = value * 10 + (uint64_t)(*text - '0');
	return value;
}

static uint64_t limit_ns(void)
{
	const char *given = boot_arg("limit");

	return (given != NULL ? number(given) : LIMIT_S) * UINT64_C(1000000000);
}

static bool run_one(const struct entry *entry, unsigned number)
{
	uint64_t before = settled_frames(), after;
	unsigned violations;
	bool good;

	run.failures = 0;
	run.start = time_ns();
	run.limit = run.start + limit_ns();
	entry->test->run();
	after = settled_frames();
	if (after != before) {
		klog("# %lu frames free before, %lu after", (unsigned long)before, (unsigned long)after);
		run.failures++;
	}
	quiesce_begin();
	violations = mm_audit(audit_line);
	quiesce_end();
	good = run.failures == 0 && violations == 0;
	klog("%s %u %s.%s # %lu ms", good ? "ok" : "not ok", number, entry->suite->name + strlen("ktest_"),
	     entry->test->name, (unsigned long)((time_ns() - run.start) / 1000000));
	return good;
}

static bool wanted(const char *filter, const struct ktest_suite *suite, const struct ktest *test)
{
	char name[128];

	snprintf(name, sizeof(name), "%s.%s", suite->name + strlen("ktest_"), test->name);
	return filter == NULL || strcmp(filter, "all") == 0 || strstr(name, filter) != NULL;
}

static void collect(const char *filter)
{
	for (size_t s = 0; s < ARRAY_LEN(suites); s++)
		for (size_t t = 0; t < suites[s]->count; t++)
			if (wanted(filter, suites[s], &suites[s]->tests[t])) {
				CHECK(run.count < TESTS_MAX);
				run.entry[run.count++] = (struct entry){ suites[s], &suites[s]->tests[t] };
			}
}

static void shuffle(void)
{
	for (unsigned i = run.count; i > 1; i--) {
		unsigned j = (unsigned)ktest_below(i);
		struct entry entry = run.entry[i - 1];

		run.entry[i - 1] = run.entry[j];
		run.entry[j] = entry;
	}
}

static uint64_t seed_random(void)
{
	const char *given = boot_arg("seed");
	uint64_t seed = given != NULL ? number(given) : time_ticks() % 1000000;

	for (unsigned i = 0; i < HW_MAX_HARTS; i++)
		run.random[i].state = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + i * UINT64_C(0xbf58476d1ce4e5b9) + 1;
	return seed;
}

int kernel_tests_run(void)
{
	uint64_t seed = seed_random();
	unsigned passed = 0;

	wait_queue_init(&run.done);
	collect(boot_arg("test"));
	shuffle();
	klog("KTAP version 1");
	klog("# %u harts, seed=%lu", ktest_harts(), (unsigned long)seed);
	klog("1..%u", run.count);
	for (unsigned i = 0; i < run.count; i++)
		passed += run_one(&run.entry[i], i + 1);
	klog("%u passed, %u failed", passed, run.count - passed);
	return passed == run.count && run.count != 0 ? 0 : 1;
}
