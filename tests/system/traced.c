/* For the trace: 64 pages written, a child that copies 8 of them, and 10 shootdowns that another thread's hart must answer. */
#include "tests/user/check.h"

#define AT    ((char *)0x1000000000UL)
#define PAGES 64

static _Atomic int seen, stop;

static void pin(unsigned hart)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(hart, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
}

static void *reader(void *arg)
{
	pin(1);
	while (!stop) {
		for (unsigned i = 0; i < PAGES; i++)
			(void)*(volatile char *)(AT + i * PAGE);
		seen = 1;
	}
	return arg;
}

int main(void)
{
	pthread_t thread;
	int status;

	pin(0);
	CHECK(mmap(AT, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == AT);
	memset(AT, 1, PAGES * PAGE);
	if (fork() == 0) {
		memset(AT, 2, 8 * PAGE);
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0);
	memset(AT, 3, 10 * PAGE); /* they may be written again */
	CHECK(pthread_create(&thread, NULL, reader, NULL) == 0);
	while (!seen)
		;
	for (unsigned i = 0; i < 10; i++)
		CHECK(mprotect(AT + i * PAGE, PAGE, PROT_READ) == 0);
	stop = 1;
	CHECK(pthread_join(thread, NULL) == 0);
	return 0;
}
