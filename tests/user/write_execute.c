/*
 * Memory that may be written and executed: code is changed and called again and again, by several threads, across fork,
 * through shared memory, and after mprotect has given and taken the right.
 */
#include "check.h"

enum { ROUNDS = 40, THREADS = 4 };

typedef long function(void);

/* li a0, value; ret */
static void emit(char *at, unsigned value)
{
	uint32_t code[2] = { value << 20 | 10 << 7 | 0x13, 0x00008067 };

	memcpy(at, code, sizeof(code));
	__builtin___clear_cache(at, at + sizeof(code));
}

static long run(char *at)
{
	return ((function *)(uintptr_t)at)();
}

static char *map(int flags)
{
	char *at = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(at != MAP_FAILED);
	return at;
}

static void *worker(void *arg)
{
	char *page = arg;

	for (unsigned i = 0; i < ROUNDS; i++) {
		emit(page, i);
		CHECK_EQ(run(page), i);
	}
	return NULL;
}

static void forked(char *at)
{
	pid_t pid;

	emit(at, 1);
	CHECK_EQ(run(at), 1);
	pid = child_fork();
	if (pid == 0) {
		CHECK_EQ(run(at), 1);
		emit(at, 2);
		_exit((int)run(at));
	}
	CHECK_EQ(child_status(pid), 2 << 8);
}

/* sw a1, 0(a0); ret: code that writes into the page it runs from, an atomic of its own page, and across fork. */
static void own_page(char *at)
{
	static const uint32_t code[] = { 0x00b52023, 0x00008067, 0x00b5252f, 0x00008067 }; /* amoadd.w a0, a1, (a0) */
	int *word = (int *)(void *)(at + 400);

	memcpy(at, code, sizeof(code));
	__builtin___clear_cache(at, at + sizeof(code));
	((void (*)(int *, int))(uintptr_t)at)(word, 42);
	CHECK_EQ(*word, 42);
	CHECK_EQ(((int (*)(int *, int))(uintptr_t)(at + 8))(word, 8), 42);
	CHECK_EQ(*word, 50);
}

int main(void)
{
	char *mine = map(MAP_PRIVATE), *shared = map(MAP_SHARED);
	pthread_t threads[THREADS];

	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_create(&threads[i], NULL, worker, mine + i % 4 * PAGE), 0);
	for (unsigned i = 0; i < THREADS; i++)
		CHECK_EQ(pthread_join(threads[i], NULL), 0);
	own_page(mine);
	own_page(shared);
	forked(mine);
	CHECK_EQ(run(mine), 1); /* the child's is its own */
	forked(shared);
	CHECK_EQ(run(shared), 2); /* and here it is ours */
	CHECK_EQ(mprotect(mine, PAGE, PROT_READ | PROT_WRITE), 0);
	emit(mine, 5);
	CHECK_EQ(mprotect(mine, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC), 0);
	CHECK_EQ(run(mine), 5);
	return pass();
}
