/* What disks are used through: mutexes, the kernel's own threads, waiting for a device that answers late, out of order, or badly. */
#include "kernel/disk.h"

#include <string.h>

#include "firmware/trap.h"
#include "kernel/kthread.h"
#include "kernel/mutex.h"
#include "kernel/sched.h"
#include "lib/errno.h"
#include "mm/coremap.h"
#include "mm/slab.h"
#include "tests/kernel/ktest.h"

#define TURNS	   300U
#define THREADS	   6U
#define DISK_PAGES 64U
#define BAD_SECTOR 77U

/* ---- Mutexes. */

static struct mutex mutex;
static volatile unsigned inside, counted;

static void take_turns(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < TURNS; i++) {
		mutex_lock(&mutex);
		KT_CHECK(inside == 0);
		KT_CHECK(mutex_is_mine(&mutex));
		inside = 1;
		counted++;
		if (i % 3 == 0)
			sched_yield();
		inside = 0;
		mutex_unlock(&mutex);
		if (i % 7 == 0)
			sched_yield();
	}
}

static void mutexes_exclude(void)
{
	mutex_init(&mutex, MUTEX_VOLUME);
	inside = counted = 0;
	for (unsigned i = 0; i < THREADS; i++)
		ktest_start(take_turns, NULL, UINT64_MAX);
	ktest_wait();
	KT_CHECK(counted == THREADS * TURNS);
	KT_CHECK(mutex_trylock(&mutex));
	KT_CHECK(!mutex_trylock(&mutex));
	mutex_unlock(&mutex);
}

/* ---- The kernel's own threads. */

static struct wait_queue never;
static _Atomic unsigned started, stopped;

static void sleeper(void *arg)
{
	struct waiter waiter = { 0 };

	(void)arg;
	atomic_fetch_add(&started, 1);
	for (;;) {
		wait_prepare(&never, &waiter);
		if (kthread_should_stop())
			break;
		(void)!wait_block(WAIT_FOREVER);
	}
	wait_finish(&never, &waiter);
	atomic_fetch_add(&stopped, 1);
}

static void short_lived(void *arg)
{
	(void)arg;
	KT_CHECK(!kthread_should_stop());
	atomic_fetch_add(&stopped, 1);
}

static void threads_stop_when_told(void)
{
	struct kthread *kthread[THREADS], *brief;

	wait_queue_init(&never);
	for (unsigned round = 0; ktest_more(round, 50); round++) {
		atomic_store(&started, 0);
		atomic_store(&stopped, 0);
		for (unsigned i = 0; i < THREADS; i++)
			KT_CHECK(kthread_create(sleeper, NULL, "sleeper", &kthread[i]) == 0);
		KT_CHECK(kthread_create(short_lived, NULL, "brief", &brief) == 0);
		for (unsigned i = 0; i < round % THREADS; i++)
			sched_yield();
		kthread_stop(kthread[2]);
		KT_CHECK(atomic_load(&stopped) >= 1);
		while (atomic_load(&stopped) < 2)
			sched_breathe();
		kthreads_stop();
		KT_CHECK(atomic_load(&started) == THREADS);
		KT_CHECK(atomic_load(&stopped) == THREADS + 1);
	}
}

/* ---- A device of memory, whose requests a thread answers, newest first. */

static struct {
	struct block_device block;
	struct spinlock lock; /* RANK_BLOCK: guards requests */
	struct list requests;
	_Atomic bool end;
	pfn_t page[DISK_PAGES];
} late;

static void late_submit(struct block_device *device, struct block_request *request)
{
	(void)device;
	spin_lock(&late.lock, RANK_BLOCK);
	list_add(&late.requests, &request->link);
	spin_unlock(&late.lock, RANK_BLOCK);
}

static const struct block_ops late_ops = { .submit = late_submit };

/* Sector by sector: what lies at one place of the disk, in memory. */
static int late_carry_out(struct block_request *request)
{
	uint64_t sector = request->sector;

	for (uint32_t i = 0; request->op != BLOCK_FLUSH && i < request->count; i++) {
		uint8_t *memory = hw_direct(request->segments[i].start);

		for (uint32_t at = 0; at < request->segments[i].bytes; at += SECTOR_BYTES, sector++) {
			uint8_t *disk = (uint8_t *)frame_data(late.page[sector / 8]) + sector % 8 * SECTOR_BYTES;

			if (sector == BAD_SECTOR)
				return -EIO;
			memcpy(request->op == BLOCK_WRITE ? disk : memory + at,
			       request->op == BLOCK_WRITE ? memory + at : disk, SECTOR_BYTES);
		}
	}
	return 0;
}

static void late_answers(void *arg)
{
	(void)arg;
	while (!atomic_load(&late.end)) {
		struct block_request *request = NULL;

		sched_yield();
		sched_breathe();
		spin_lock(&late.lock, RANK_BLOCK);
		if (!list_empty(&late.requests)) {
			request = list_first(&late.requests, struct block_request, link);
			list_del(&request->link);
		}
		spin_unlock(&late.lock, RANK_BLOCK);
		if (request != NULL)
			block_done(request, late_carry_out(request));
	}
}

static void late_start(void)
{
	spin_init(&late.lock);
	list_init(&late.requests);
	atomic_store(&late.end, false);
	late.block = (struct block_device){ .name = "late",
					    .ops = &late_ops,
					    .sectors = DISK_PAGES * 8,
					    .block_bytes = SECTOR_BYTES,
					    .max_segments = 3,
					    .max_sectors = 20,
					    .has_flush = true };
	for (unsigned i = 0; i < DISK_PAGES; i++)
		CHECK(frame_alloc_zeroed(FRAME_KERNEL, &late.page[i]) == 0);
	ktest_start(late_answers, NULL, UINT64_MAX);
}

static void late_stop(void)
{
	atomic_store(&late.end, true);
	ktest_wait();
	KT_CHECK(late.block.pending == 0);
	for (unsigned i = 0; i < DISK_PAGES; i++)
		frame_put(late.page[i]);
}

/* Longer than one request may be, and at odd places. */
static void lengths_do_not_matter(void)
{
	uint8_t *buffer = kalloc(32 * SECTOR_BYTES);

	CHECK(buffer != NULL);
	late_start();
	for (uint64_t n = 1; n <= 32; n++) {
		memset(buffer, (int)n, n * SECTOR_BYTES);
		KT_CHECK(disk_write(&late.block, n, buffer, n * SECTOR_BYTES) == 0);
		memset(buffer, 0, n * SECTOR_BYTES);
		KT_CHECK(disk_read(&late.block, n, buffer, n * SECTOR_BYTES) == 0);
		KT_CHECK(buffer[0] == n && buffer[n * SECTOR_BYTES - 1] == n);
	}
	KT_CHECK(disk_flush(&late.block) == 0);
	KT_CHECK(disk_read(&late.block, DISK_PAGES * 8 - 1, buffer, 2 * SECTOR_BYTES) == -EINVAL);
	KT_CHECK(disk_read(&late.block, UINT64_MAX, buffer, SECTOR_BYTES) == -EINVAL);
	KT_CHECK(disk_read(&late.block, 0, buffer, 100) == -EINVAL);
	KT_CHECK(disk_read(&late.block, BAD_SECTOR - 3, buffer, 3 * SECTOR_BYTES) == 0);
	KT_CHECK(disk_read(&late.block, BAD_SECTOR - 3, buffer, 4 * SECTOR_BYTES) == -EIO);
	late.block.read_only = true;
	KT_CHECK(disk_write(&late.block, 0, buffer, SECTOR_BYTES) == -EROFS);
	late_stop();
	kfree(buffer);
}

/* Each hart has a batch of several requests under way, again and again. */
static void batch_of(unsigned index)
{
	struct disk_batch batch;
	pfn_t page[4];

	for (unsigned i = 0; i < 4; i++)
		CHECK(frame_alloc(FRAME_KERNEL, &page[i]) == 0);
	disk_batch_init(&batch, &late.block);
	for (uint64_t round = 0; ktest_more(round, 100); round++) {
		uint64_t sector = 128 + (index % 8) * 32;

		for (unsigned i = 0; i < 4; i++)
			memset(frame_data(page[i]), (int)(round + i), PAGE_SIZE);
		KT_CHECK(disk_batch_frames(&batch, BLOCK_WRITE, sector, page, 4) == 0);
		KT_CHECK(disk_batch_wait(&batch) == 0);
		for (unsigned i = 0; i < 4; i++)
			KT_CHECK(disk_batch_add(&batch, BLOCK_READ, sector + i * 8, pfn_paddr(page[3 - i]),
						PAGE_SIZE) == 0);
		if (round % 8 == 0)
			KT_CHECK(disk_batch_add(&batch, BLOCK_READ, BAD_SECTOR, pfn_paddr(page[0]), SECTOR_BYTES) == 0);
		KT_CHECK(disk_batch_wait(&batch) == (round % 8 == 0 ? -EIO : 0));
		KT_CHECK(*(uint8_t *)frame_data(page[3]) == (uint8_t)round);
	}
	for (unsigned i = 0; i < 4; i++)
		frame_put(page[i]);
}

static _Atomic unsigned batches_left;

static void batch_then_end(void *arg)
{
	batch_of((unsigned)(uintptr_t)arg);
	if (atomic_fetch_sub(&batches_left, 1) == 1)
		atomic_store(&late.end, true);
}

static void batches_wait_for_all(void)
{
	late_start();
	atomic_store(&batches_left, THREADS);
	for (unsigned i = 0; i < THREADS; i++)
		ktest_start(batch_then_end, (void *)(uintptr_t)i, UINT64_MAX);
	ktest_wait();
	late_stop();
}

static const struct ktest tests[] = {
	{ "mutexes_exclude", mutexes_exclude },
	{ "threads_stop_when_told", threads_stop_when_told },
	{ "lengths_do_not_matter", lengths_do_not_matter },
	{ "batches_wait_for_all", batches_wait_for_all },
};

KTEST_SUITE(ktest_disk, tests);
