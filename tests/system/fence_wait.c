/*
 * How often a thread can unmap a page, for which it asks the other hart, while that one fills 64 executable pages, for each of which it
 * has the firmware fence this one (test_firmware.py, whose firmware takes its time for that).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 64 };

static _Atomic int phase;

static void *fill(void *unused)
{
	void *at;

	atomic_store(&phase, 1);
	at = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	atomic_store(&phase, 2);
	return at == MAP_FAILED ? at : unused;
}

int main(void)
{
	pthread_t thread;
	void *failed;
	unsigned unmapped = 0;

	if (pthread_create(&thread, NULL, fill, NULL) != 0)
		return 1;
	while (atomic_load(&phase) != 2) {
		char *page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (page == MAP_FAILED)
			return 1;
		page[0] = 1;
		if (munmap(page, PAGE) != 0)
			return 1;
		unmapped += atomic_load(&phase) == 1;
	}
	printf("%u\n", unmapped);
	return pthread_join(thread, &failed) != 0 || failed != NULL;
}
