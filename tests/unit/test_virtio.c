/*
 * virtio-blk over MMIO (drivers/virtio_ring.c, virtio_mmio.c, virtio_blk.c) and block.c against a fake device: both kinds, with
 * and without indirect descriptors, full rings, wrapped indices, and devices that answer nonsense or not at all.
 */
#include "tests/unit/unit.h"

#include <sys/mman.h>

#include "drivers/virtio_blk.h"
#include "firmware/log.h"
#include "tests/unit/fake_virtio.h"

#define REQUESTS 40U

static struct virtio_blk blk;
static struct block_request request[REQUESTS];
static struct block_segment segment[REQUESTS][4];
static uint8_t data[REQUESTS][4][1024] __attribute__((aligned(1024)));
static unsigned dones, errors, watches;
static uint64_t kept, clock;
static bool out_of_memory;
static char last_line[256];

void klog(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(last_line, sizeof(last_line), fmt, args);
	va_end(args);
}

/* Low, as a legacy device has 32 bits for a page's number. */
static void *memory(uint64_t bytes)
{
	void *at = MAP_FAILED;

	if (!out_of_memory)
		at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	return at == MAP_FAILED ? NULL : at;
}

static void on_watch(struct block_device *device)
{
	assert_ptr_equal(device, &blk.block);
	watches++;
}

static void on_keep(paddr_t start, uint64_t bytes)
{
	(void)start;
	kept += bytes;
}

static uint64_t on_now(void)
{
	return clock;
}

static void on_done(struct block_request *done, int error)
{
	dones++;
	errors += error != 0;
	assert_true(error == 0 || error == -EIO);
	done->arg = (void *)(uintptr_t)(error == 0 ? 1 : 2);
}

static int start(void)
{
	static const struct block_hooks hooks = { .watch = on_watch, .keep = on_keep, .now = on_now };
	int error;

	block_set_hooks(&hooks);
	virtio_blk_set_patience(3);
	snprintf(blk.block.name, sizeof(blk.block.name), "vda");
	error = virtio_mmio_open(&blk.device, NULL);
	assert_int_equal(error, 0);
	assert_int_equal(blk.device.id, VIRTIO_ID_BLOCK);
	return virtio_blk_start(&blk, memory);
}

static void submit(unsigned i, enum block_op op, uint64_t sector, unsigned segments)
{
	for (unsigned s = 0; s < segments; s++)
		segment[i][s] = (struct block_segment){ hw_paddr(data[i][s]), 1024 };
	request[i] = (struct block_request){
		.op = op, .sector = sector, .segments = segment[i], .count = segments, .done = on_done
	};
	block_submit(&blk.block, &request[i]);
}

static void serve(unsigned n, bool backward)
{
	fake_virtio_work(n, backward);
	virtio_blk_interrupt(&blk);
}

/* Writes and reads back `rounds` times REQUESTS requests, answered a few at a time and in any order. */
static void exercise(unsigned rounds)
{
	for (unsigned round = 0; round < rounds; round++) {
		bool write = round % 2 == 0;

		dones = errors = 0;
		for (unsigned i = 0; i < REQUESTS; i++) {
			memset(data[i], write ? (int)(i + round) : 0, sizeof(data[i]));
			submit(i, write ? BLOCK_WRITE : BLOCK_READ, i * 8, 4);
		}
		assert_int_equal(dones, 0);
		for (unsigned turns = 0; dones < REQUESTS && turns < REQUESTS; turns++)
			serve(1 + (turns + round) % 5, (round & 2) != 0);
		assert_int_equal(dones, REQUESTS);
		assert_int_equal(errors, 0);
		for (unsigned i = 0; !write && i < REQUESTS; i++)
			for (unsigned s = 0; s < 4; s++)
				assert_int_equal(data[i][s][1023], (uint8_t)(i + round - 1));
		submit(0, BLOCK_FLUSH, 0, 0);
		assert_int_equal(dones, REQUESTS);
		serve(1, false);
		assert_int_equal(dones, REQUESTS + 1);
	}
	assert_int_equal(fake.illegal, 0);
	assert_int_equal(blk.block.pending, 0);
}

static void modern(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	assert_int_equal(start(), 0);
	assert_int_equal(fake.status, 1 | 2 | 4 | 8);
	assert_true(fake.ready);
	assert_int_equal(blk.block.sectors, FAKE_SECTORS);
	assert_int_equal(blk.block.max_segments, 6);
	assert_true(blk.block.has_flush);
	exercise(10);
	assert_true(fake.indirect_seen != 0);
	assert_int_equal(watches, 1);
}

static void legacy(void **state)
{
	(void)state;
	fake_virtio_reset(true);
	assert_int_equal(start(), 0);
	assert_int_equal(fake.status, 1 | 2 | 4);
	assert_int_equal(fake.driver_features >> 32, 0);
	exercise(10);
}

static void direct_chains(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.features &= ~VIRTIO_F_INDIRECT_DESC;
	assert_int_equal(start(), 0);
	exercise(10);
	assert_int_equal(fake.indirect_seen, 0);
	assert_int_equal(fake.longest, 6);
}

static void short_segments(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.features |= 2;
	fake.segment_bytes = 4096;
	assert_int_equal(start(), 0);
	assert_int_equal(blk.block.max_segments, 3);
	assert_int_equal(blk.block.max_sectors, 24);
	segment[0][0] = (struct block_segment){ hw_paddr(data), 12288 };
	request[0] = (struct block_request){ .op = BLOCK_WRITE, .segments = segment[0], .count = 1, .done = on_done };
	memset(data, 7, 12288);
	block_submit(&blk.block, &request[0]);
	serve(1, false);
	assert_int_equal(errors, 0);
	assert_int_equal(fake.illegal, 0);
	assert_int_equal(fake.longest, 5);
	assert_int_equal(fake.disk[12287], 7);
}

/* 16 bits of index wrap, in both rings; and with events, notifications that are not needed are left out. */
static void wrap(void **state)
{
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		fake_virtio_reset(kind % 2 != 0);
		if (kind >= 2)
			fake.features |= VIRTIO_F_EVENT_IDX;
		assert_int_equal(start(), 0);
		dones = 0;
		for (unsigned i = 0; i < 70000; i++) {
			submit(i % REQUESTS, BLOCK_WRITE, 8, 1);
			if (i % 3 == 2)
				serve(3, false);
		}
		serve(3, false);
		assert_int_equal(dones, 70000);
		assert_int_equal(errors, 0);
		assert_int_equal(fake.illegal, 0);
		assert_in_range(fake.notified, 1, kind >= 2 ? 25000 : 70000);
	}
}

static void events_lose_nothing(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.features |= VIRTIO_F_EVENT_IDX;
	assert_int_equal(start(), 0);
	exercise(10);
}

/* ---- Answers of its own. */

static void expect_dead(const char *why)
{
	unsigned resets = fake.resets;

	errors = 0;
	assert_non_null(strstr(last_line, why));
	assert_int_equal(blk.block.pending, 0);
	submit(30, BLOCK_WRITE, 0, 1);
	submit(31, BLOCK_FLUSH, 0, 0);
	assert_int_equal(errors, 2);
	virtio_blk_interrupt(&blk);
	block_watch(&blk.block);
	assert_int_equal(fake.resets, resets);
	assert_int_equal(fake.status & 4, fake.ignores_reset ? 4 : 0);
}

static void begin_some(bool is_legacy)
{
	fake_virtio_reset(is_legacy);
	assert_int_equal(start(), 0);
	dones = errors = 0;
	for (unsigned i = 0; i < 20; i++)
		submit(i, BLOCK_READ, i * 2, 1);
	assert_int_equal(dones, 0);
}

static void nonsense(void **state)
{
	(void)state;
	for (int what = 0; what < 6; what++) {
		begin_some(what % 2 != 0);
		switch (what) {
		case 0:
			fake_virtio_use(8, 1); /* just beyond the ring */
			break;
		case 1:
			fake_virtio_use(UINT32_MAX, 1);
			break;
		case 2: /* the same twice */
			fake_virtio_work(1, false);
			fake_virtio_use(*(uint32_t *)hw_direct(PADDR(fake.used + 4)), 1);
			break;
		case 3:
			fake_virtio_jump(9); /* more than there are */
			break;
		case 4:
			fake_virtio_jump(UINT16_MAX); /* backward */
			break;
		case 5:
			fake_virtio_use(0x10000, 1); /* an id that 16 bits would make good */
			break;
		}
		virtio_blk_interrupt(&blk);
		assert_int_equal(dones, 20);
		assert_int_equal(errors, what == 2 ? 19 : 20);
		assert_int_equal(kept, 0);
		expect_dead("nonsense");
	}
}

/* A device that writes into the descriptor table: the driver's own idea of it is what counts. */
static void spoilt_table(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.features &= ~VIRTIO_F_INDIRECT_DESC;
	assert_int_equal(start(), 0);
	for (unsigned i = 0; i < 20; i++) {
		submit(0, BLOCK_WRITE, 0, 4);
		fake_virtio_work(1, false);
		memset(hw_direct(PADDR(fake.descriptors)), 0xff, 8 * 16);
		virtio_blk_interrupt(&blk);
	}
	assert_int_equal(dones, 20);
	assert_int_equal(errors, 0);
	assert_int_equal(blk.ring.free_count, 8);
}

static void needs_reset(void **state)
{
	(void)state;
	begin_some(false);
	fake.status |= 64;
	fake.interrupt = 2;
	virtio_blk_interrupt(&blk);
	assert_int_equal(errors, 20);
	expect_dead("it has failed");
}

/* It says so, and there is no interrupt: found by the next tick. */
static void needs_reset_silently(void **state)
{
	(void)state;
	begin_some(false);
	fake.status |= 64;
	assert_false(block_watch(&blk.block));
	assert_int_equal(errors, 20);
	expect_dead("it has failed");
}

/* Pulled out: what it had in its ring it may still write to, as far as we know. */
static void pulled_out(void **state)
{
	(void)state;
	begin_some(true);
	fake.gone = true;
	assert_false(block_watch(&blk.block));
	assert_int_equal(dones, 20);
	assert_int_equal(errors, 20);
	assert_true(kept != 0);
	assert_non_null(strstr(last_line, "it is gone: the disk is out of use"));
	submit(30, BLOCK_READ, 0, 1);
	assert_int_equal(errors, 21);
	assert_false(virtio_blk_interrupt(&blk));
}

/* More written than it had room for: out of use, and nobody gets that answer for good. */
static void too_long(void **state)
{
	(void)state;
	for (int op = BLOCK_READ; op <= BLOCK_FLUSH; op++) {
		fake_virtio_reset(false);
		assert_int_equal(start(), 0);
		dones = errors = 0;
		fake.answer = ANSWER_LONG;
		submit(0, (enum block_op)op, 0, op == BLOCK_FLUSH ? 0 : 2);
		submit(1, BLOCK_READ, 0, 1);
		serve(2, false);
		assert_int_equal(dones, 2);
		assert_int_equal(errors, 2);
		expect_dead("nonsense");
	}
	fake_virtio_reset(true); /* legacy devices have no such rule */
	assert_int_equal(start(), 0);
	dones = errors = 0;
	fake.answer = ANSWER_LONG;
	submit(0, BLOCK_READ, 0, 1);
	serve(1, false);
	assert_int_equal(dones, 1);
	assert_int_equal(errors, 0);
}

/* An interrupt without an answer is no reason for anything, and is said to be none. */
static void idle_interrupts(void **state)
{
	(void)state;
	begin_some(false);
	assert_false(virtio_blk_interrupt(&blk));
	fake.interrupt = 3;
	assert_false(virtio_blk_interrupt(&blk));
	assert_int_equal(dones, 0);
	fake_virtio_work(1, false);
	assert_true(virtio_blk_interrupt(&blk));
	assert_int_equal(dones, 1);
	fake.status |= 64;
	assert_true(virtio_blk_interrupt(&blk));
	assert_int_equal(errors, 19);
}

static void counts(void **state)
{
	const struct block_counts *count = &blk.block.counts;

	(void)state;
	memset(&blk, 0, sizeof(blk));
	clock = 1000;
	begin_some(false);
	assert_int_equal(count->under_way, 20);
	assert_int_equal(count->most_at_once, 8); /* as many as the queue has entries: the tables are apart */
	clock += 500;
	serve(3, false);
	clock += 500;
	while (dones < 20)
		serve(4, false);
	clock += 5000; /* idle */
	submit(0, BLOCK_WRITE, 0, 2);
	clock += 7;
	fake.answer = ANSWER_ERROR;
	serve(1, false);
	submit(0, BLOCK_READ, FAKE_SECTORS, 1); /* behind the end */
	assert_int_equal(count->under_way, 0);
	assert_int_equal(count->requests[BLOCK_READ], 21);
	assert_int_equal(count->sectors[BLOCK_READ], 40);
	assert_int_equal(count->ns[BLOCK_READ], 3 * 500 + 17 * 1000);
	assert_int_equal(count->requests[BLOCK_WRITE], 1);
	assert_int_equal(count->sectors[BLOCK_WRITE], 0);
	assert_int_equal(count->failed, 2);
	assert_int_equal(count->busy_ns, 1007);
}

static void silence(void **state)
{
	(void)state;
	begin_some(true);
	for (int i = 0; i < 3; i++)
		assert_true(block_watch(&blk.block));
	serve(1, false); /* not silent yet */
	for (int i = 0; i < 3; i++)
		assert_true(block_watch(&blk.block));
	assert_int_equal(errors, 0);
	assert_false(block_watch(&blk.block));
	assert_int_equal(errors, 19);
	assert_int_equal(kept, 0);
	expect_dead("does not answer");
}

/* All but one request are answered, forever: the one must not wait forever. */
static void lost_request(void **state)
{
	unsigned ticks = 0;

	(void)state;
	fake_virtio_reset(false);
	assert_int_equal(start(), 0);
	submit(0, BLOCK_READ, 0, 1);
	fake.seen++;
	for (; errors == 0 && ticks < 100; ticks++) {
		submit(1, BLOCK_READ, 0, 1);
		serve(1, false);
		(void)block_watch(&blk.block);
	}
	assert_in_range(ticks, 3, 10);
	expect_dead("does not answer");
}

static void no_reset(void **state)
{
	(void)state;
	begin_some(false);
	fake.ignores_reset = true;
	for (int i = 0; i < 4; i++)
		(void)block_watch(&blk.block);
	assert_int_equal(errors, 20);
	assert_int_equal(kept, 8 * 1024); /* what was in the ring, no more */
	expect_dead("does not answer");
}

static void bad_answers(void **state)
{
	(void)state;
	for (int what = ANSWER_ERROR; what <= ANSWER_NO_STATUS; what++) {
		begin_some(false);
		fake.answer = what;
		serve(1, false);
		assert_int_equal(dones, 1);
		assert_int_equal(errors, 1);
		fake.answer = ANSWER_RIGHT;
		while (dones < 20)
			serve(5, true);
		assert_int_equal(errors, 1);
	}
}

/* ---- Starting. */

static void bad_devices(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.features &= ~VIRTIO_F_VERSION_1;
	assert_int_equal(start(), -EIO);
	fake_virtio_reset(false);
	fake.refuses_features = true;
	assert_int_equal(start(), -EIO);
	fake_virtio_reset(false);
	fake.queue_max = 0;
	assert_int_equal(start(), -EIO);
	fake_virtio_reset(true);
	fake.segments = 0;
	assert_int_equal(start(), -EIO);
	for (uint32_t block = 0; block < 10000; block = block * 2 + 300) {
		fake_virtio_reset(false);
		fake.block_bytes = block;
		assert_int_equal(start(), -EIO);
	}
	fake_virtio_reset(false);
	out_of_memory = true;
	assert_int_equal(start(), -ENOMEM);
	assert_int_equal(fake.status & 128, 128);
	virtio_blk_interrupt(&blk); /* one that comes nevertheless */
}

static void odd_queue(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.queue_max = 100;
	assert_int_equal(start(), 0);
	assert_int_equal(fake.queue_size, 64);
	exercise(4);
}

/* ---- What block.c refuses, and partitions. */

static void bad_requests(void **state)
{
	(void)state;
	fake_virtio_reset(false);
	fake.features |= UINT64_C(1) << 5;
	fake.block_bytes = 1024;
	assert_int_equal(start(), 0);
	submit(0, BLOCK_WRITE, 0, 1); /* read-only */
	submit(1, BLOCK_READ, 1, 1);  /* half a block */
	submit(2, BLOCK_READ, FAKE_SECTORS, 1);
	submit(3, BLOCK_READ, FAKE_SECTORS - 2, 2);
	submit(4, BLOCK_READ, UINT64_MAX - 1, 1);
	submit(5, BLOCK_READ, 0, 0);
	assert_int_equal(errors, 6);
	submit(6, BLOCK_READ, FAKE_SECTORS - 2, 1);
	serve(1, false);
	assert_int_equal(errors, 6);
	assert_int_equal(dones, 7);
}

static void partitions(void **state)
{
	struct block_device part;

	(void)state;
	fake_virtio_reset(false);
	assert_int_equal(start(), 0);
	assert_int_equal(block_partition(&part, &blk.block, 0, 1, 1), -EINVAL);
	assert_int_equal(block_partition(&part, &blk.block, 1, FAKE_SECTORS - 1, 2), -EINVAL);
	assert_int_equal(block_partition(&part, &blk.block, 1, 2, UINT64_MAX), -EINVAL);
	assert_int_equal(block_partition(&part, &blk.block, 3, 100, 8), 0);
	assert_string_equal(part.name, "vda3");
	block_register(&blk.block);
	block_register(&part);
	assert_ptr_equal(block_find("vda3"), &part);
	assert_ptr_equal(block_next(&blk.block), &part);
	assert_null(block_find("vdb"));
	segment[0][0] = (struct block_segment){ hw_paddr(data), 1024 };
	memset(data, 9, 1024);
	request[0] = (struct block_request){
		.op = BLOCK_WRITE, .sector = 6, .segments = segment[0], .count = 1, .done = on_done
	};
	block_submit(&part, &request[0]);
	serve(1, false);
	assert_int_equal(errors, 0);
	assert_int_equal(fake.disk[106 * 512], 9);
	assert_int_equal(fake.disk[106 * 512 - 1], 0);
	assert_int_equal(part.counts.sectors[BLOCK_WRITE], 2);
	assert_int_equal(blk.block.counts.sectors[BLOCK_WRITE], 2);
	request[0].sector = 7;
	block_submit(&part, &request[0]);
	assert_int_equal(errors, 1);
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(modern),
	UNIT_TEST(legacy),
	UNIT_TEST(direct_chains),
	UNIT_TEST(short_segments),
	UNIT_TEST(wrap),
	UNIT_TEST(nonsense),
	UNIT_TEST(events_lose_nothing),
	UNIT_TEST(spoilt_table),
	UNIT_TEST(needs_reset),
	UNIT_TEST(silence),
	UNIT_TEST(lost_request),
	UNIT_TEST(no_reset),
	UNIT_TEST(bad_answers),
	UNIT_TEST(bad_devices),
	UNIT_TEST(odd_queue),
	UNIT_TEST(bad_requests),
	UNIT_TEST(partitions),
	UNIT_TEST(needs_reset_silently),
	UNIT_TEST(pulled_out),
	UNIT_TEST(too_long),
	UNIT_TEST(idle_interrupts),
	UNIT_TEST(counts),
};

UNIT_MAIN("virtio", tests)
