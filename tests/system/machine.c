/* Prints what the program sees of the machine: "harts N memory MiB", and that memory of that size can be had. */
#include <sched.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

enum { PAGE = 4096, TOUCHED_PAGES = 512 };

/* One page in each part of an area of half the free memory is written and read back. */
static int use(unsigned long bytes)
{
	unsigned long step = bytes / TOUCHED_PAGES / PAGE * PAGE;
	char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		return 1;
	for (unsigned i = 0; i < TOUCHED_PAGES; i++)
		area[i * step] = (char)(i + 1);
	for (unsigned i = 0; i < TOUCHED_PAGES; i++)
		if (area[i * step] != (char)(i + 1))
			return 1;
	return munmap(area, bytes) != 0;
}

int main(void)
{
	struct sysinfo info;
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) || sysinfo(&info))
		return 1;
	printf("harts %d memory %lu\n", CPU_COUNT(&set), info.totalram * info.mem_unit >> 20);
	return use(info.freeram * info.mem_unit / 2);
}
