/* Linked into the kernel's selftests: what they print leaves line by line, so that it is there when they abort. */
#include <stdio.h>

static void __attribute__((constructor)) unbuffered(void)
{
	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
}
