/*
 * virtio disks that answer nonsense, fail, vanish or are silent: whoever waits has an error, the disk is out of use, and that is all.
 */
#include "tests/unit/virtio_rig.h"

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

static void silence(void **state)
{
	(void)state;
	begin_some(true);
	assert_true(block_watch(&blk.block));
	assert_string_equal(last_line, "vda: no answer for 1 s; it has 3");
	last_line[0] = 0;
	for (int i = 0; i < 2; i++)
		assert_true(block_watch(&blk.block));
	assert_string_equal(last_line, ""); /* once */
	serve(1, false);		    /* not silent yet */
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

static const struct CMUnitTest tests[] = {
	UNIT_TEST(nonsense),	 UNIT_TEST(spoilt_table), UNIT_TEST(needs_reset),     UNIT_TEST(needs_reset_silently),
	UNIT_TEST(pulled_out),	 UNIT_TEST(too_long),	  UNIT_TEST(idle_interrupts), UNIT_TEST(silence),
	UNIT_TEST(lost_request), UNIT_TEST(no_reset),	  UNIT_TEST(bad_answers),
};

UNIT_MAIN("virtio_bad", tests)
