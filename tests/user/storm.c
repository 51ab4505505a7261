/*
 * N processes of M threads do random mmap, munmap, mprotect, madvise, fork and writes, each thread in its own part
 * of the addresses but many in the same tables, and compare all they see with a model: what each page must hold and
 * allow. storm [SEED [PROCESSES [THREADS [STEPS]]]]; the seed is printed.
 */
#include "check.h"

enum { PAGES = 96, STRIDE = 32, MAX_THREADS = 16 };

enum state { ABSENT, NONE, READ, WRITE };

struct model {
	uint64_t random;
	char *base;
	unsigned threads, me; /* thread me owns every page p of the process's area with p / STRIDE % threads == me */
	uint8_t state[PAGES];
	uint64_t value[PAGES]; /* 0: untouched */
};

static unsigned steps = 400;

static char *address(const struct model *m, unsigned page)
{
	return m->base + ((size_t)(page / STRIDE * m->threads + m->me) * STRIDE + page % STRIDE) * PAGE;
}

static void verify(const struct model *m, unsigned page)
{
	volatile uint64_t *at = (volatile uint64_t *)address(m, page);
	int code = m->state[page] == ABSENT ? SEGV_MAPERR : m->state[page] == NONE ? SEGV_ACCERR : 0;

	CHECK_EQ(probe_read((const volatile char *)at), code);
	if (m->state[page] != WRITE)
		CHECK_EQ(probe_write((volatile char *)at, 0), code ? code : SEGV_ACCERR);
	if (m->state[page] >= READ) {
		CHECK_EQ(at[0], m->value[page]);
		CHECK_EQ(at[PAGE / 8 - 1], m->value[page]);
	}
}

static void write_page(struct model *m, unsigned page)
{
	volatile uint64_t *at = (volatile uint64_t *)address(m, page);

	if (m->state[page] != WRITE)
		return;
	m->value[page] = random_next(&m->random) | 1;
	at[0] = m->value[page];
	at[PAGE / 8 - 1] = m->value[page];
}

static void change(struct model *m, unsigned page, unsigned pages, unsigned what)
{
	static const int protection[] = { 0, PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	char *at = address(m, page);
	unsigned state = 1 + what % 3;
	bool whole = true;

	for (unsigned i = page; i < page + pages; i++)
		whole = whole && m->state[i] != ABSENT;
	if (what >= 3 && what < 8 && !whole)
		return;
	if (what < 3) {
		CHECK(mmap(at, pages * PAGE, protection[state], MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
	} else if (what < 6) {
		CHECK(mprotect(at, pages * PAGE, protection[state]) == 0);
	} else if (what < 8) {
		CHECK(madvise(at, pages * PAGE, MADV_DONTNEED) == 0);
	} else {
		CHECK(munmap(at, pages * PAGE) == 0);
	}
	for (unsigned i = page; i < page + pages; i++) {
		if (what < 3 || what >= 6)
			m->value[i] = 0;
		if (what < 6)
			m->state[i] = (uint8_t)state;
		else if (what >= 8)
			m->state[i] = ABSENT;
	}
}

static void step(struct model *m)
{
	unsigned page = (unsigned)(random_next(&m->random) % PAGES);
	unsigned room = STRIDE - page % STRIDE;
	unsigned pages = 1 + (unsigned)(random_next(&m->random) % room);
	unsigned what = (unsigned)(random_next(&m->random) % 40);

	if (what < 10) {
		change(m, page, pages, what);
	} else if (what < 12) {
		pid_t pid = child_fork();

		if (pid == 0) {
			for (unsigned i = 0; i < PAGES; i++)
				verify(m, i);
			for (unsigned i = 0; i < 20; i++) {
				write_page(m, (unsigned)(random_next(&m->random) % PAGES));
				change(m, page, pages, (unsigned)(random_next(&m->random) % 10));
				verify(m, page);
			}
			for (unsigned i = 0; i < PAGES; i++)
				verify(m, i);
			_exit(0);
		}
		for (unsigned i = 0; i < 10; i++)
			write_page(m, (unsigned)(random_next(&m->random) % PAGES));
		child_wait(pid);
	} else if (what < 30) {
		write_page(m, page);
	} else {
		verify(m, page);
	}
}

static void *thread(void *arg)
{
	struct model *m = arg;

	for (unsigned i = 0; i < PAGES; i++)
		m->state[i] = WRITE;
	for (unsigned i = 0; i < steps; i++)
		step(m);
	for (unsigned i = 0; i < PAGES; i++)
		verify(m, i);
	return NULL;
}

static void process(uint64_t seed, unsigned threads)
{
	static struct model models[MAX_THREADS];
	pthread_t ids[MAX_THREADS];
	/* Far from where the system places mappings, so that it puts none into the holes that are made here. */
	char *base = (char *)0x1000000000UL + 0x150 * PAGE;

	CHECK(mmap(base, threads * PAGES * PAGE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == base);
	for (unsigned i = 0; i < threads; i++) {
		models[i].random = seed * 1000003 + i * 7919 + 1;
		models[i].base = base;
		models[i].threads = threads;
		models[i].me = i;
		ids[i] = thread_start(thread, &models[i]);
	}
	for (unsigned i = 0; i < threads; i++)
		thread_join(ids[i]);
}

int main(int argc, char **argv)
{
	uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : now_ns();
	unsigned processes = argc > 2 ? (unsigned)atoi(argv[2]) : 3;
	unsigned threads = argc > 3 ? (unsigned)atoi(argv[3]) : 3;
	pid_t pids[64];

	steps = argc > 4 ? (unsigned)atoi(argv[4]) : steps;
	CHECK(processes <= 64 && threads >= 1 && threads <= MAX_THREADS);
	printf("storm %llu %u %u %u\n", (unsigned long long)seed, processes, threads, steps);
	fflush(stdout);
	probe_init();
	for (unsigned i = 0; i < processes; i++) {
		pids[i] = child_fork();
		if (pids[i] == 0) {
			process(seed + i, threads);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < processes; i++)
		child_wait(pids[i]);
	return pass();
}
