/*
 * Thousands of random calls against a model, fsck.fat clean at the end; the same with reads, writes, flushes and allocations
 * that fail now and then, each once: the error comes out of one call, nothing leaks, and everything is as it was.
 */
#include "tests/unit/fs_model.h"

static const struct {
	uint64_t sectors;
	uint32_t bytes;
	const char *options;
} shape[] = {
	{ 4000, 512, "-F 32 -s 1" },
	{ 20000, 512, "-F 32 -s 8 -f 1" },
	{ 3000, 4096, "-F 32 -s 1" },
};

static void sound(struct fs_disk *disk)
{
	struct fs_found found;

	if (!fs_check(disk, false, &found))
		printf("%s\n", found.problem);
	assert_string_equal(found.problem, "");
	assert_int_equal(found.lost, 0);
	assert_int_equal(found.longer, 0);
	fs_fsck(disk, false);
}

static void random_calls(void **state)
{
	(void)state;
	(void)unit_seed();
	for (unsigned i = 0; i < ARRAY_LEN(shape); i++) {
		struct fs_disk *disk = fs_mkfs(shape[i].sectors, shape[i].bytes, shape[i].options);
		struct fsm m;

		fsm_start(&m, disk);
		for (unsigned step = 0; step < unit_steps(12000); step++) {
			(void)fsm_step(&m);
			if (step % 1500 == 1499) {
				fsm_compare(&m);
				fsm_remount(&m);
				fsm_compare(&m);
				sound(disk);
			}
		}
		fsm_end(&m);
		sound(disk);
		fs_disk_free(disk);
	}
}

/* Faults come out as errors of calls; what a reference's put could not free is lost, and no more. */
static void failing(bool memory)
{
	unsigned failures = 0;

	(void)unit_seed();
	for (unsigned i = 0; i < ARRAY_LEN(shape); i++) {
		struct fs_disk *disk = fs_mkfs(shape[i].sectors, shape[i].bytes, shape[i].options);
		struct fs_found found;
		struct fsm m;

		fsm_start(&m, disk);
		for (unsigned step = 0; step < unit_steps(8000); step++) {
			m.failing = true;
			if (memory)
				fs_alloc_fail_in = 1 + fake_below(6);
			else
				disk->fail_in = 1 + fake_below(12);
			failures += fsm_step(&m) != 0;
			disk->fail_in = 0;
			fs_alloc_fail_in = 0;
			m.failing = false;
			if (step % 500 == 499) {
				fsm_compare(&m);
				fsm_remount(&m);
				fsm_compare(&m);
				if (!fs_check(disk, false, &found))
					printf("%s\n", found.problem);
				assert_string_equal(found.problem, "");
				assert_int_equal(found.lost, 0);
				fs_fsck(disk, true);
			}
		}
		fsm_end(&m);
		fs_disk_free(disk);
	}
	printf("%u failures\n", failures);
	assert_true(failures > unit_steps(500));
}

static void failing_disk(void **state)
{
	(void)state;
	failing(false);
}

static void failing_memory(void **state)
{
	(void)state;
	failing(true);
}

static const struct CMUnitTest tests[] = { UNIT_TEST(random_calls), UNIT_TEST(failing_disk),
					   UNIT_TEST(failing_memory) };

UNIT_MAIN("fat_random", tests)
