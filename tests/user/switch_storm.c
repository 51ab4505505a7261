/*
 * Three processes of several threads each, more than there are harts: all read the same pages of their process, one in a few takes
 * some of them away (MADV_DONTNEED, mprotect, munmap and mmap again), writes others, and all give way all the time. So harts go from
 * space to space while these are shot down, and come back with what they had. A page holds its own number or nothing. Argument: a seed.
 */
#include "check.h"

#define PROCESSES 3
#define THREADS	  4
#define PAGES	  48
#define ROUNDS	  2500

static volatile uint64_t *area; /* PAGES, a word of each */

static uint64_t draw(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state >> 11;
}

static volatile uint64_t *page_at(uint64_t page)
{
	return area + page * (PAGE / sizeof(uint64_t));
}

/* The first half is never without a page that may be read: there all look. */
static void look(uint64_t *state)
{
	for (int i = 0; i < 6; i++) {
		uint64_t page = draw(state) % (PAGES / 2), is = *page_at(page);

		CHECK(is == 0 || is == page + 1);
	}
}

static void take_away(uint64_t *state)
{
	uint64_t page = draw(state) % (PAGES / 2), n = 1 + draw(state) % 4;
	char *at = (char *)page_at(page);

	n = page + n > PAGES / 2 ? 1 : n;
	switch (draw(state) % 4) {
	case 0:
		CHECK(madvise(at, n * PAGE, MADV_DONTNEED) == 0);
		break;
	case 1:
		CHECK(mprotect(at, n * PAGE, PROT_READ) == 0);
		CHECK(mprotect(at, n * PAGE, PROT_READ | PROT_WRITE) == 0);
		break;
	case 2:
		CHECK(mmap(at, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		break;
	default:
		page = PAGES / 2 + draw(state) % (PAGES / 2);
		at = (char *)page_at(page);
		CHECK(mmap(at, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
		break;
	}
}

static void *thread_main(void *arg)
{
	uint64_t state = (uint64_t)(uintptr_t)arg * 0x9e3779b97f4a7c15ULL | 1;
	bool writer = (uintptr_t)arg % THREADS == 0;

	for (int round = 0; round < ROUNDS; round++) {
		look(&state);
		if (writer) {
			uint64_t page = draw(&state) % (PAGES / 2);

			*page_at(page) = page + 1;
			if (draw(&state) % 4 == 0)
				take_away(&state);
		}
		sched_yield();
	}
	return NULL;
}

static void run(void *arg)
{
	uintptr_t seed = (uintptr_t)arg;
	pthread_t thread[THREADS];

	area = map_anon(PAGES * PAGE);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, thread_main, (void *)(seed * THREADS + i)) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

int main(int argc, char **argv)
{
	uintptr_t seed = argc > 1 ? (uintptr_t)atol(argv[1]) : 1;
	pid_t pid[PROCESSES];

	for (uintptr_t i = 0; i < PROCESSES; i++) {
		pid[i] = child_fork();
		if (pid[i] == 0) {
			run((void *)(seed * PROCESSES + i + 1));
			_exit(0);
		}
	}
	for (int i = 0; i < PROCESSES; i++)
		child_wait(pid[i]);
	return pass();
}
