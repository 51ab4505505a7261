/* For the fuzzers of fs/: memory that is counted, and a disk over the fuzzer's bytes. */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/disk.h"
#include "fs/fs.h"

struct fuzz_disk {
	struct disk disk;
	uint8_t *data;
};

static int64_t fuzz_allocated;

void *fs_alloc(size_t bytes)
{
	if (bytes == 0 || bytes > FS_ALLOC_MAX)
		abort();
	fuzz_allocated++;
	return calloc(1, bytes);
}

void fs_free(void *ptr)
{
	fuzz_allocated -= ptr != NULL;
	free(ptr);
}

void fs_say(const char *fmt, ...)
{
	char line[200];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
}

static int fuzz_read(struct disk *to, uint64_t sector, void *buf, uint32_t n)
{
	struct fuzz_disk *disk = container_of(to, struct fuzz_disk, disk);

	memcpy(buf, disk->data + sector * to->sector_bytes, (size_t)n * to->sector_bytes);
	return 0;
}

static int fuzz_write(struct disk *to, uint64_t sector, const void *buf, uint32_t n)
{
	struct fuzz_disk *disk = container_of(to, struct fuzz_disk, disk);

	memcpy(disk->data + sector * to->sector_bytes, buf, (size_t)n * to->sector_bytes);
	return 0;
}

static int fuzz_flush(struct disk *to)
{
	(void)to;
	return 0;
}

static const struct disk_ops fuzz_ops = { .read = fuzz_read, .write = fuzz_write, .flush = fuzz_flush };

/* Whole sectors of exactly that many bytes on the heap, so that ASan sees one too many. */
static void fuzz_disk_init(struct fuzz_disk *disk, const uint8_t *data, size_t n, uint32_t sector_bytes)
{
	disk->disk = (struct disk){ .ops = &fuzz_ops, .sectors = n / sector_bytes, .sector_bytes = sector_bytes };
	disk->data = malloc(n == 0 ? 1 : n);
	if (n != 0)
		memcpy(disk->data, data, n);
}

static void fuzz_disk_end(struct fuzz_disk *disk)
{
	free(disk->data);
	if (fuzz_allocated != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#endif
