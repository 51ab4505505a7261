/* The cpio reader (kernel/cpio.c), on the host: good archives, each kind of damage, and random damage under ASan. */
#include "tests/unit/unit.h"

#include "kernel/cpio.h"

#define ROOM 8192

struct archive {
	char bytes[ROOM];
	size_t n;
};

static void pad(struct archive *to)
{
	while (to->n % 4 != 0)
		to->bytes[to->n++] = 0;
}

static void add(struct archive *to, const char *magic, const char *name, unsigned mode, const char *data, uint32_t sum)
{
	size_t bytes = strlen(data);

	to->n += (size_t)snprintf(to->bytes + to->n, ROOM - to->n,
				  "%s%08X%08x%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", magic, 7U, mode, 1000U,
				  100U, 1U, 12345U, bytes, 8U, 1U, 3U, 4U, strlen(name) + 1, sum);
	memcpy(to->bytes + to->n, name, strlen(name) + 1);
	to->n += strlen(name) + 1;
	pad(to);
	memcpy(to->bytes + to->n, data, bytes);
	to->n += bytes;
	pad(to);
}

static void trailer(struct archive *to)
{
	add(to, "070701", "TRAILER!!!", 0, "", 0);
}

/* A copy of exactly its size on the heap, so that ASan sees a byte too many. */
static int read_all(const char *bytes, size_t n, char *names, const char **problem)
{
	char *copy = malloc(n == 0 ? 1 : n);
	struct cpio_entry entry;
	struct cpio cpio;
	int result;

	if (n != 0)
		memcpy(copy, bytes, n);
	cpio_init(&cpio, copy, n);
	while ((result = cpio_next(&cpio, &entry)) == 1) {
		assert_int_equal(strlen(entry.name), entry.name_bytes);
		for (uint32_t i = 0; i < entry.bytes; i++)
			(void)((const volatile unsigned char *)entry.data)[i];
		if (names != NULL)
			strcat(strcat(names, entry.name), "|");
	}
	if (problem != NULL)
		*problem = cpio.problem;
	free(copy);
	return result;
}

static void good(void **state)
{
	struct archive a = { .n = 0 };
	struct cpio_entry entry;
	struct cpio cpio;

	(void)state;
	add(&a, "070701", "bin", 0040755, "", 0);
	add(&a, "070701", "bin/hello", 0100755, "hello, world", 0);
	add(&a, "070702", "sum", 0100644, "abc", 'a' + 'b' + 'c');
	trailer(&a);
	cpio_init(&cpio, a.bytes, a.n);
	assert_int_equal(cpio_next(&cpio, &entry), 1);
	assert_string_equal(entry.name, "bin");
	assert_int_equal(entry.mode, 0040755);
	assert_int_equal(cpio_next(&cpio, &entry), 1);
	assert_string_equal(entry.name, "bin/hello");
	assert_int_equal(entry.bytes, 12);
	assert_memory_equal(entry.data, "hello, world", 12);
	assert_int_equal(entry.uid, 1000);
	assert_int_equal(entry.inode, 7);
	assert_int_equal(entry.rdev_minor, 4);
	assert_int_equal(cpio_next(&cpio, &entry), 1);
	assert_int_equal(cpio_next(&cpio, &entry), 0);
}

static void several_archives(void **state)
{
	struct archive a = { .n = 0 };
	char names[256] = "";

	(void)state;
	add(&a, "070701", "one", 0100644, "1", 0);
	trailer(&a);
	memset(a.bytes + a.n, 0, 512);
	a.n += 512;
	add(&a, "070701", "two", 0100644, "2", 0);
	trailer(&a);
	memset(a.bytes + a.n, 0, 300);
	a.n += 300;
	assert_int_equal(read_all(a.bytes, a.n, names, NULL), 0);
	assert_string_equal(names, "one|two|");
	assert_int_equal(read_all(a.bytes, 0, NULL, NULL), 0);
}

static void damage(void **state)
{
	static const char *const foreign[] = { "\x1f\x8b\x08", "\x28\xb5\x2f\xfd", "070707", "hello, this is text",
					       "\177ELF" };
	struct archive a = { .n = 0 };
	const char *problem;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(foreign); i++) {
		assert_int_equal(read_all(foreign[i], strlen(foreign[i]), NULL, &problem), -EINVAL);
		assert_non_null(problem);
	}
	add(&a, "070702", "sum", 0100644, "abc", 1);
	trailer(&a);
	assert_int_equal(read_all(a.bytes, a.n, NULL, &problem), -EINVAL);
	assert_non_null(strstr(problem, "checksum"));
	a.n = 0;
	add(&a, "070701", "file", 0100644, "some data in it", 0);
	trailer(&a);
	assert_int_equal(read_all(a.bytes, a.n, NULL, NULL), 0);
	for (size_t n = 1; n < a.n - 4; n++) { /* cut anywhere */
		assert_int_equal(read_all(a.bytes, n, NULL, &problem), -EINVAL);
		assert_non_null(problem);
	}
	memcpy(a.bytes + 54, "FFFFFFFF", 8); /* size */
	assert_int_equal(read_all(a.bytes, a.n, NULL, NULL), -EINVAL);
	memcpy(a.bytes + 54, "0000000F", 8);
	memcpy(a.bytes + 94, "FFFFFFFF", 8); /* length of the name */
	assert_int_equal(read_all(a.bytes, a.n, NULL, NULL), -EINVAL);
	memcpy(a.bytes + 94, "00000000", 8);
	assert_int_equal(read_all(a.bytes, a.n, NULL, NULL), -EINVAL);
}

static void random_damage(void **state)
{
	struct archive a = { .n = 0 };

	(void)state;
	(void)unit_seed();
	add(&a, "070701", "bin", 0040755, "", 0);
	add(&a, "070701", "bin/hello", 0100755, "hello, world", 0);
	add(&a, "070702", "sum", 0100644, "abc", 'a' + 'b' + 'c');
	trailer(&a);
	for (unsigned i = 0; i < unit_steps(20000); i++) {
		struct archive b = a;

		for (uint64_t n = 1 + fake_below(6); n > 0; n--)
			b.bytes[fake_below(b.n)] = "0123456789abcdefABCDEF\0\xff!x"[fake_below(26)];
		if (fake_below(4) == 0)
			b.n = fake_below(b.n);
		assert_in_range(read_all(b.bytes, b.n, NULL, NULL) + EINVAL, 0, EINVAL);
	}
}

static const struct CMUnitTest tests[] = {
	UNIT_TEST(good),
	UNIT_TEST(several_archives),
	UNIT_TEST(damage),
	UNIT_TEST(random_damage),
};

UNIT_MAIN("cpio", tests)
