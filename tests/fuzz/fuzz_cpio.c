/* Any bytes as a cpio archive (kernel/cpio.c): entries lie within it, and reading comes to an end. */
#include <stdlib.h>
#include <string.h>

#include "kernel/cpio.h"
#include "lib/errno.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void use(const void *bytes, size_t n)
{
	static volatile uint8_t sum __attribute__((unused));

	for (size_t i = 0; i < n; i++)
		sum ^= ((const uint8_t *)bytes)[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);
	struct cpio_entry entry;
	struct cpio cpio;
	size_t entries = 0;
	int more;

	if (n != 0)
		memcpy(copy, data, n);
	cpio_init(&cpio, copy, n);
	while ((more = cpio_next(&cpio, &entry)) == 1) {
		if (entry.name_bytes == 0 || strlen(entry.name) != entry.name_bytes || ++entries > n)
			abort();
		use(entry.name, entry.name_bytes);
		use(entry.data, entry.bytes);
	}
	if (more != 0 && (more != -EINVAL || cpio.problem == NULL))
		abort();
	free(copy);
	return 0;
}
