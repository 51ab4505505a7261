/* The page cache on a store that takes its time: what is read at once, ahead, by whom, how many requests at a time; errors; its end. */
#include "kernel/cache.h"

#include <string.h>

#include "firmware/trap.h"
#include "kernel/kthread.h"
#include "kernel/sched.h"
#include "kernel/touch.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "tests/kernel/ktest.h"

#define STORE_PAGES 300U
#define NAP_NS	    UINT64_C(3000000)
#define READERS	    6U
#define AT	    UINT64_C(0x40000000)

static struct {
	struct store store;
	struct wait_queue never;
	struct thread *reader; /* the test's */
	uint64_t bad;	       /* a page that cannot be read */
	int error;	       /* how */
	uint64_t stuck;	       /* a page that is read when it is let go */
	_Atomic bool let_go;
	_Atomic unsigned requests, pages, largest, by_reader, now, most;
	_Atomic unsigned failed; /* of the readers' threads */
} slow;

static void nap(uint64_t ns)
{
	struct waiter waiter = { 0 };
	uint64_t until = time_ns() + ns;

	do
		wait_prepare(&slow.never, &waiter);
	while (wait_block_killable(until) == 0);
	wait_finish(&slow.never, &waiter);
}

static void raise(_Atomic unsigned *most, unsigned n)
{
	unsigned old = atomic_load(most);

	while (old < n && !atomic_compare_exchange_weak(most, &old, n))
		;
}

static int slow_read(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	bool bad = false;

	(void)store;
	raise(&slow.most, atomic_fetch_add(&slow.now, 1) + 1);
	raise(&slow.largest, n);
	atomic_fetch_add(&slow.requests, 1);
	atomic_fetch_add(&slow.pages, n);
	if (current_thread() == slow.reader)
		atomic_fetch_add(&slow.by_reader, 1);
	nap(NAP_NS);
	while (index[0] == slow.stuck && !atomic_load(&slow.let_go))
		nap(NAP_NS);
	for (unsigned i = 0; i < n; i++) {
		memset(frame_data(frames[i]), (int)(index[i] % 251), PAGE_SIZE);
		bad |= index[i] == slow.bad;
	}
	atomic_fetch_sub(&slow.now, 1);
	return bad ? slow.error : 0;
}

static int slow_write(struct store *store, const uint64_t *index, const pfn_t *frames, unsigned n)
{
	(void)store;
	(void)index;
	(void)frames;
	(void)n;
	return 0;
}

static const struct store_ops slow_ops = { .read = slow_read, .write = slow_write };

static void forget_counts(void)
{
	slow.requests = slow.pages = slow.largest = slow.by_reader = slow.most = 0;
}

static void slow_start(void)
{
	memset(&slow, 0, sizeof(slow));
	wait_queue_init(&slow.never);
	slow.reader = current_thread();
	slow.bad = slow.stuck = UINT64_MAX;
	slow.store.ops = &slow_ops;
	strcpy(slow.store.name, "slow");
	cache_init();
	CHECK(cache_add(&slow.store, STORE_PAGES << PAGE_SHIFT) == 0);
}

static void slow_stop(void)
{
	KT_CHECK(cache_remove(&slow.store) == 0);
	KT_CHECK(slow.now == 0);
	kthreads_stop();
}

/* As a program does that reads page by page, and goes back to user mode in between. */
static int64_t read_page(uint64_t index)
{
	uint8_t data[64];
	int64_t got = cache_read(slow.store.object, index << PAGE_SHIFT, data, sizeof(data));

	KT_CHECK(got < 0 || (got == sizeof(data) && data[0] == index % 251 && data[63] == index % 251));
	sched_yield();
	sched_breathe();
	return got;
}

/* While the reader goes through one window the next is being read, by somebody else. */
static void a_reader_is_read_ahead_for(void)
{
	slow_start();
	for (uint64_t i = 0; i < STORE_PAGES; i++) {
		KT_CHECK(read_page(i) > 0);
		nap(NAP_NS / 8); /* else it overtakes whoever is to read for it, now and then */
	}
	KT_CHECK(slow.pages == STORE_PAGES); /* each once */
	KT_CHECK(slow.largest == 32);
	KT_CHECK(slow.requests < 20);
	KT_CHECK(slow.by_reader <= 3);
	slow_stop();
}

static void here_and_there(void)
{
	slow_start();
	for (uint64_t i = STORE_PAGES - 1; i > 7; i -= 7)
		KT_CHECK(read_page(i) > 0);
	KT_CHECK(slow.largest == 1);
	KT_CHECK(slow.requests == slow.by_reader);
	/* Page faults: a few guesses. */
	forget_counts();
	for (uint64_t i = STORE_PAGES - 4; i > 7; i -= 7)
		KT_CHECK(cache_read_in(&slow.store, i) == 0);
	KT_CHECK(slow.requests == slow.by_reader);
	KT_CHECK(slow.pages < slow.requests + 8 * 4);
	slow_stop();
}

static void advice_is_taken(void)
{
	slow_start();
	for (uint64_t i = 0; i < 40; i++)
		KT_CHECK(cache_read_pages(&slow.store, i, 1, CACHE_RANDOM) == 0);
	KT_CHECK(slow.largest == 1 && slow.requests == 40);
	KT_CHECK(cache_read_pages(&slow.store, 100, 1, CACHE_SEQUENTIAL) == 0);
	KT_CHECK(slow.largest == 32);
	slow_stop();
}

/* What is asked for comes while nobody waits, several windows at a time. */
static void several_at_a_time(void)
{
	uint64_t start;

	slow_start();
	start = time_ns();
	cache_read_ahead(&slow.store, 0, UINT64_MAX);
	KT_CHECK(object_pages(slow.store.object) < STORE_PAGES);
	KT_CHECK(slow.by_reader == 0);
	while (object_pages(slow.store.object) < STORE_PAGES && time_ns() - start < UINT64_C(20000000000))
		nap(NAP_NS);
	KT_CHECK(object_pages(slow.store.object) == STORE_PAGES);
	KT_CHECK(slow.most >= 3);
	KT_CHECK(slow.requests == (STORE_PAGES + 31) / 32);
	/* The store goes while it is being read. */
	(void)object_evict(slow.store.object, 0, UINT64_MAX, UINT64_MAX, EVICT_USED);
	KT_CHECK(object_pages(slow.store.object) == 0);
	cache_read_ahead(&slow.store, 0, UINT64_MAX);
	sched_yield();
	slow_stop();
}

/* One thread's read takes long: each wish that comes meanwhile wakes one of the others. */
static void wishes_wake_who_sleeps(void)
{
	slow_start();
	slow.stuck = 0;
	cache_read_ahead(&slow.store, 0, 1);
	for (uint64_t i = 1; i < 10 && !ktest_failed(); i++) {
		uint64_t page = i * 20, until = time_ns() + UINT64_C(15000000000);

		cache_read_ahead(&slow.store, page, page + 1);
		while (!object_has(slow.store.object, page) && time_ns() < until)
			nap(NAP_NS);
		KT_CHECK(object_has(slow.store.object, page));
		nap(NAP_NS);
	}
	atomic_store(&slow.let_go, true);
	slow_stop();
}

static void read_same(void *arg)
{
	uint8_t byte = 0;

	(void)arg;
	if (cache_read(slow.store.object, 50 << PAGE_SHIFT, &byte, 1) != 1 || byte != 50)
		atomic_fetch_add(&slow.failed, 1);
}

static void many_wait_for_one_read(void)
{
	slow_start();
	for (unsigned i = 0; i < READERS; i++)
		ktest_start(read_same, NULL, UINT64_MAX);
	ktest_wait();
	KT_CHECK(slow.failed == 0);
	KT_CHECK(slow.requests == 1);
	slow_stop();
}

/* A page that cannot be read is an error of whoever reads it, not of those beside it; whatever the store calls it. */
static void errors_reach_who_needs_the_page(void)
{
	static const int errors[] = { -EIO, -EINVAL };

	for (unsigned e = 0; e < ARRAY_LEN(errors); e++) {
		slow_start();
		slow.bad = 37;
		slow.error = errors[e];
		for (uint64_t i = 0; i < 80; i++)
			KT_CHECK(i == 37 ? read_page(i) == -EIO : read_page(i) > 0);
		KT_CHECK(read_page(37) == -EIO);
		slow.bad = UINT64_MAX;
		KT_CHECK(read_page(37) > 0);
		slow_stop();
	}
}

/* A fault on such a page ends, too. */
static void faults_on_bad_pages_end(void)
{
	static const int errors[] = { -EIO, -EINVAL, -ENOSPC };
	vaddr_t at = VADDR(AT);
	struct space *space;

	for (unsigned e = 0; e < ARRAY_LEN(errors); e++) {
		slow_start();
		slow.bad = 5;
		slow.error = errors[e];
		CHECK(space_create(&space) == 0);
		CHECK(space_map_object(space, PLACE_FIXED, &at, 8 << PAGE_SHIFT, PERM_R, PERM_R, slow.store.object, 0,
				       true) == 0);
		KT_CHECK(touch_fault(space, VADDR(AT + (UINT64_C(4) << PAGE_SHIFT)), ACCESS_READ) == FAULT_OK);
		KT_CHECK(touch_fault(space, VADDR(AT + (UINT64_C(5) << PAGE_SHIFT)), ACCESS_READ) == FAULT_BUS);
		space_put(space);
		slow_stop();
	}
}

static const struct ktest tests[] = {
	{ "a_reader_is_read_ahead_for", a_reader_is_read_ahead_for },
	{ "here_and_there", here_and_there },
	{ "advice_is_taken", advice_is_taken },
	{ "several_at_a_time", several_at_a_time },
	{ "wishes_wake_who_sleeps", wishes_wake_who_sleeps },
	{ "many_wait_for_one_read", many_wait_for_one_read },
	{ "errors_reach_who_needs_the_page", errors_reach_who_needs_the_page },
	{ "faults_on_bad_pages_end", faults_on_bad_pages_end },
};

KTEST_SUITE(ktest_cache, tests);
