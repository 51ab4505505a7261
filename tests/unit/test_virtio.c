/*
 * virtio-blk over MMIO (drivers/virtio_ring.c, virtio_mmio.c, virtio_blk.c) and block.c against a fake device: both kinds, with
 * and without indirect descriptors, full rings, wrapped indices. test_virtio_bad.c: devices that answer nonsense or not at all.
 */
#include "tests/unit/virtio_rig.h"

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

/* ---- Counts. */

static void counts(void **state)
{
	const struct block_counts *count = &blk.block.counts;

	(void)state;
	memset(&blk, 0, sizeof(blk));
	clock_ns = 1000;
	begin_some(false);
	assert_int_equal(count->under_way, 20);
	assert_int_equal(count->most_at_once, 8); /* as many as the queue has entries: the tables are apart */
	clock_ns += 500;
	serve(3, false);
	clock_ns += 500;
	while (dones < 20)
		serve(4, false);
	clock_ns += 5000; /* idle */
	submit(0, BLOCK_WRITE, 0, 2);
	clock_ns += 7;
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

static const struct CMUnitTest tests[] = {
	UNIT_TEST(modern),	   UNIT_TEST(legacy),	 UNIT_TEST(direct_chains),
	UNIT_TEST(short_segments), UNIT_TEST(wrap),	 UNIT_TEST(events_lose_nothing),
	UNIT_TEST(bad_devices),	   UNIT_TEST(odd_queue), UNIT_TEST(bad_requests),
	UNIT_TEST(partitions),	   UNIT_TEST(counts),
};

UNIT_MAIN("virtio", tests)
