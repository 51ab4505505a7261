/*
 * A static PIE whose segments ask for more than a page: it lies where they want to. Its argument is how much. Here, not in
 * tests/user, as the cross compiler's glibc cannot be linked so.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

extern const char __ehdr_start[];

int main(int argc, char **argv)
{
	uint64_t align = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;

	if (((uintptr_t)__ehdr_start & (align - 1)) != 0)
		return 1;
	puts("ok");
	return 0;
}
