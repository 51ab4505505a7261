/* munmap makes holes exactly where it is told, in touched and untouched memory, within and across 2 MiB and 1 GiB. */
#include "check.h"

static void holes(char *at, size_t pages, bool touched)
{
	static const struct {
		unsigned from, to;
	} cut[] = { { 1, 2 }, { 510, 514 }, { 700, 701 }, { 1024, 1536 }, { 1600, 2100 }, { 3071, 3072 } };

	if (touched)
		pages_write(at, pages * PAGE, 5);
	for (unsigned i = 0; i < COUNT(cut); i++)
		CHECK(munmap(at + cut[i].from * PAGE, (cut[i].to - cut[i].from) * PAGE) == 0);
	for (unsigned i = 0; i < COUNT(cut); i++) {
		CHECK_EQ(probe_read(at + cut[i].from * PAGE), SEGV_MAPERR);
		CHECK_EQ(probe_write(at + cut[i].to * PAGE - 1, 1), SEGV_MAPERR);
		CHECK_EQ(probe_write(at + cut[i].from * PAGE - 9, 0), 0);
		if (cut[i].to < pages)
			CHECK_EQ(probe_read(at + cut[i].to * PAGE), 0);
		CHECK_EQ(*(uint64_t *)(at + (cut[i].from - 1) * PAGE), touched ? pattern(5, cut[i].from - 1) : 0);
		if (cut[i].to < pages)
			CHECK_EQ(*(uint64_t *)(at + cut[i].to * PAGE), touched ? pattern(5, cut[i].to) : 0);
	}
	CHECK(munmap(at, pages * PAGE) == 0);
	for (unsigned page = 0; page < pages; page += 97)
		CHECK_EQ(probe_read(at + page * PAGE), SEGV_MAPERR);
	CHECK(munmap(at, pages * PAGE) == 0);
}

static void middle_of_a_gigabyte(void)
{
	size_t bytes = 2 * GIB;
	char *at = mmap(NULL, bytes + GIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned = (char *)(((uintptr_t)at + GIB - 1) & ~(GIB - 1));

	CHECK(at != MAP_FAILED);
	CHECK(munmap(aligned + GIB / 2 + 5 * PAGE, PAGE) == 0);
	CHECK_EQ(probe_read(aligned + GIB / 2 + 5 * PAGE), SEGV_MAPERR);
	CHECK_EQ(probe_write(aligned + GIB / 2 + 4 * PAGE, 1), 0);
	CHECK_EQ(probe_write(aligned + GIB / 2 + 6 * PAGE, 1), 0);
	CHECK_EQ(probe_write(aligned, 1), 0);
	CHECK_EQ(probe_write(aligned + GIB - 1, 1), 0);
	CHECK(munmap(aligned + GIB - PAGE, 2 * PAGE) == 0);
	CHECK_EQ(probe_read(aligned + GIB - 1), SEGV_MAPERR);
	CHECK_EQ(probe_read(aligned + GIB), SEGV_MAPERR);
	CHECK_EQ(probe_read(aligned + GIB + PAGE), 0);
	CHECK_EQ(aligned[0], 1);
	CHECK(munmap(at, bytes + GIB) == 0);
	CHECK_EQ(probe_read(aligned), SEGV_MAPERR);
}

static void errors(void)
{
	char *at = map_anon(PAGE);

	CHECK_ERR(munmap(at + 1, PAGE), EINVAL);
	CHECK_ERR(munmap(at, 0), EINVAL);
	CHECK_ERR(munmap(at, ~0UL), EINVAL);
	CHECK_ERR(munmap((void *)0xffffffc080200000UL, PAGE), EINVAL);
	CHECK_ERR(munmap((void *)(~0UL & ~(PAGE - 1)), PAGE), EINVAL);
	at[0] = 1;
	CHECK(munmap(at, 1) == 0);
	CHECK_EQ(probe_read(at), SEGV_MAPERR);
}

int main(void)
{
	probe_init();
	holes(map_anon(3072 * PAGE), 3072, false);
	holes(map_anon(3072 * PAGE), 3072, true);
	holes(map_aligned(3072 * PAGE, 2 * MIB), 3072, true);
	middle_of_a_gigabyte();
	errors();
	return pass();
}
