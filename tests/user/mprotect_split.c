/*
 * mprotect of ranges that begin and end anywhere, across 2 MiB borders, on touched and untouched memory: exactly the
 * range changes, data is kept (through PROT_NONE too), and permissions can come back.
 */
#include "check.h"

static char *at;
enum { PAGES = 1536 };

static void expect(unsigned from, unsigned to, bool readable, bool writable)
{
	const unsigned probes[] = { from, (from + to) / 2, to - 1 };

	for (unsigned i = 0; i < COUNT(probes); i++) {
		volatile char *page = at + probes[i] * PAGE;

		CHECK_EQ(probe_read(page), readable ? 0 : SEGV_ACCERR);
		CHECK_EQ(probe_write(page + 8, 1), writable ? 0 : SEGV_ACCERR);
	}
}

static void table_of_ranges(bool touched)
{
	static const struct {
		unsigned from, to;
		int protection;
	} cases[] = {
		{ 1, 2, PROT_READ },	    { 511, 513, PROT_READ },
		{ 512, 1024, PROT_NONE },   { 500, 1100, PROT_READ },
		{ 0, PAGES, PROT_NONE },    { 1023, 1024, PROT_NONE },
		{ 1024, PAGES, PROT_READ }, { 0, 512, PROT_NONE },
		{ 3, 1533, PROT_READ },	    { PAGES - 1, PAGES, PROT_NONE },
		{ 0, 1, PROT_READ },
	};

	for (unsigned i = 0; i < COUNT(cases); i++) {
		unsigned from = cases[i].from, to = cases[i].to;
		size_t bytes = (to - from) * PAGE;

		CHECK(mprotect(at + from * PAGE, bytes, cases[i].protection) == 0);
		expect(from, to, cases[i].protection != PROT_NONE, false);
		if (from > 0)
			expect(from - 1, from, true, true);
		if (to < PAGES)
			expect(to, to + 1, true, true);
		CHECK(mprotect(at + from * PAGE, bytes, PROT_READ | PROT_WRITE) == 0);
		expect(0, PAGES, true, true);
		for (unsigned page = 0; touched && page < PAGES; page++)
			CHECK_EQ(*(uint64_t *)(at + page * PAGE), pattern(1, page));
	}
}

static void every_page_of_its_own(void)
{
	for (unsigned page = 400; page < 1200; page += 2)
		CHECK(mprotect(at + page * PAGE, PAGE, page % 4 ? PROT_READ : PROT_NONE) == 0);
	for (unsigned page = 400; page < 1200; page++)
		expect(page, page + 1, page % 2 || page % 4, page % 2);
	CHECK(mprotect(at + 400 * PAGE, 800 * PAGE, PROT_READ) == 0);
	for (unsigned page = 400; page < 1200; page += 7)
		expect(page, page + 1, true, false);
	CHECK(mprotect(at, PAGES * PAGE, PROT_READ | PROT_WRITE) == 0);
}

static void child(void *arg)
{
	(void)arg;
	table_of_ranges(true);
	every_page_of_its_own();
	pages_write(at, PAGES * PAGE, 9);
}

static void errors(void)
{
	CHECK_ERR(mprotect(at + 1, PAGE, PROT_READ), EINVAL);
	CHECK(mprotect(at, 0, PROT_READ) == 0);
	CHECK_ERR(mprotect(at, ~0UL & ~(PAGE - 1), PROT_READ), ENOMEM);
	CHECK_ERR(mprotect((void *)(1UL << 45), PAGE, PROT_READ), ENOMEM);
	CHECK(munmap(at + 20 * PAGE, PAGE) == 0);
	CHECK_ERR(mprotect(at + 19 * PAGE, 3 * PAGE, PROT_READ), ENOMEM);
	expect(19, 20, true, false);
	expect(22, 23, true, true);
	CHECK_ERR(mprotect(at + 20 * PAGE, PAGE, PROT_READ), ENOMEM);
}

int main(void)
{
	probe_init();
	at = map_aligned(PAGES * PAGE, 2 * MIB);
	table_of_ranges(false);
	CHECK(madvise(at, PAGES * PAGE, MADV_DONTNEED) == 0);
	every_page_of_its_own();
	pages_write(at, PAGES * PAGE, 1);
	table_of_ranges(true);
	child_run(child, NULL);
	for (unsigned page = 0; page < PAGES; page++)
		CHECK_EQ(*(uint64_t *)(at + page * PAGE), pattern(1, page));
	table_of_ranges(true);
	every_page_of_its_own();
	errors();
	return pass();
}
