/*
 * Any bytes as an executable (kernel/elf.c), into a space that keeps a list of what is mapped: whole pages of user space below the stack, in
 * order, of the file no more than its last page, and after a success all that the segments ask for. Now and then memory runs out.
 * FUZZ_CORPUS=DIR: two small executables go there first.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/elf.c"

#define MAPPED_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerInitialize(int *argc, char ***argv);

struct object {
	const uint8_t *data;
	uint64_t bytes;
};

static struct mapped {
	uint64_t start, end, perm, offset;
	bool file;
} mapped[MAPPED_MAX];
static unsigned mappings, left_to_map;

uint64_t object_bytes(const struct object *object)
{
	return object->bytes;
}

int64_t cache_read(struct object *object, uint64_t offset, void *dst, uint64_t n)
{
	uint64_t got = offset >= object->bytes ? 0 : MIN(n, object->bytes - offset);

	if (got != 0)
		memcpy(dst, object->data + offset, got);
	return (int64_t)got;
}

static int map(uint64_t start, uint64_t bytes, struct mapped what)
{
	if (((start | bytes) & PAGE_MASK) != 0 || bytes == 0 || start < PAGE_SIZE || start > IMAGE_LIMIT ||
	    bytes > IMAGE_LIMIT - start)
		abort();
	if (mappings > 0 && start < mapped[mappings - 1].end)
		abort();
	if (mappings == left_to_map)
		return -ENOMEM;
	what.start = start;
	what.end = start + bytes;
	mapped[mappings++] = what;
	return 0;
}

int space_map(struct space *space, enum space_place place, vaddr_t *va, uint64_t bytes, uint64_t perm,
	      struct mapping *mapping)
{
	(void)space;
	(void)mapping;
	if (place != PLACE_NO_REPLACE || (perm & ~(uint64_t)PERM_RWX) != 0)
		abort();
	return map(va->v, bytes, (struct mapped){ .perm = perm });
}

int space_map_object(struct space *space, enum space_place place, vaddr_t *va, uint64_t bytes, uint64_t perm,
		     uint64_t perm_max, struct object *object, uint64_t offset, bool shared)
{
	(void)space;
	if (place != PLACE_NO_REPLACE || (perm & ~perm_max) != 0 || shared || (offset & PAGE_MASK) != 0)
		abort();
	if (offset > object->bytes || bytes > ALIGN_UP(object->bytes, PAGE_SIZE) - offset)
		abort();
	return map(va->v, bytes, (struct mapped){ .perm = perm, .file = true, .offset = offset });
}

/* What is cleared is the end of the file's last page, which the program may write to. */
int user_clear(struct space *space, vaddr_t va, uint64_t bytes)
{
	const struct mapped *last = &mapped[mappings - 1];

	(void)space;
	if (mappings == 0 || !last->file || (last->perm & PERM_W) == 0 || bytes >= PAGE_SIZE || va.v < last->start ||
	    va.v + bytes != last->end)
		abort();
	return 0;
}

struct mapping *mapping_anon(enum mapping_fork fork)
{
	static char one[64];

	(void)fork;
	return (struct mapping *)(void *)one;
}

static const struct mapped *find(uint64_t va)
{
	for (unsigned i = 0; i < mappings; i++)
		if (va >= mapped[i].start && va < mapped[i].end)
			return &mapped[i];
	return NULL;
}

static void check_byte(const struct elf_header *header, uint64_t bias, uint64_t at)
{
	const struct mapped *page = find(header->vaddr + bias + at);

	if (page == NULL || page->perm != permissions(header->flags))
		abort();
	if (at < header->filesz &&
	    (!page->file || page->offset + (header->vaddr + bias + at - page->start) != header->offset + at))
		abort();
	if (at >= header->filesz && page->file && at - header->filesz >= PAGE_SIZE)
		abort();
}

/* By the file itself: the first and last byte of each segment are where it wants them, and nothing lies behind the end. */
static void check_image(const struct object *object, const struct elf_image *image)
{
	struct elf_file_header file;
	uint64_t end = 0;

	memcpy(&file, object->data, sizeof(file));
	if (image->why != NULL || image->header_count != file.phnum || (image->end & PAGE_MASK) != 0)
		abort();
	for (unsigned i = 0; i < file.phnum; i++) {
		struct elf_header header;

		memcpy(&header, object->data + file.phoff + (uint64_t)i * sizeof(header), sizeof(header));
		if (header.type != PT_LOAD || header.memsz == 0)
			continue;
		check_byte(&header, image->entry - file.entry, 0);
		check_byte(&header, image->entry - file.entry, header.memsz - 1);
		if (header.filesz != 0)
			check_byte(&header, image->entry - file.entry, header.filesz - 1);
		end = MAX(end, header.vaddr + image->entry - file.entry + header.memsz);
	}
	if (end == 0 || ALIGN_UP(end, PAGE_SIZE) != image->end)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t *copy = malloc(n == 0 ? 1 : n);
	struct object object = { copy, n };
	struct elf_image image;
	int error;

	if (n != 0)
		memcpy(copy, data, n);
	mappings = 0;
	/* ident's padding, which means nothing, says when memory is out */
	left_to_map = n > 15 && data[15] != 0 ? data[15] - 1U : MAPPED_MAX;
	error = elf_load(NULL, &object, &image);
	if (error == 0)
		check_image(&object, &image);
	else if ((error != -ENOEXEC && error != -ENOMEM) || image.why == NULL)
		abort();
	free(copy);
	return 0;
}

static void put_example(const char *dir, const char *name, uint16_t type, uint64_t base)
{
	struct {
		struct elf_file_header file;
		struct elf_header header[3];
		uint8_t code[64];
	} elf = { .file = { .ident = { 0x7f, 'E', 'L', 'F', 2, 1, 1 },
			    .type = type,
			    .machine = EM_RISCV,
			    .version = 1,
			    .entry = base + 232,
			    .phoff = 64,
			    .ehsize = 64,
			    .phentsize = 56,
			    .phnum = 3 },
		  .header = { { .type = PT_PHDR,
				.flags = PF_R,
				.offset = 64,
				.vaddr = base + 64,
				.filesz = 168,
				.memsz = 168 },
			      { .type = PT_LOAD,
				.flags = PF_R | PF_X,
				.vaddr = base,
				.filesz = sizeof(elf),
				.memsz = sizeof(elf),
				.align = 4096 },
			      { .type = PT_LOAD,
				.flags = PF_R | PF_W,
				.offset = 240,
				.vaddr = base + 0x10f0,
				.filesz = 20,
				.memsz = 9000,
				.align = type == ET_DYN ? 65536 : 4096 } } };
	char path[300];
	FILE *to;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	to = fopen(path, "w");
	if (to == NULL)
		return;
	fwrite(&elf, 1, sizeof(elf), to);
	fclose(to);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("FUZZ_CORPUS");

	(void)argc;
	(void)argv;
	if (dir != NULL) {
		put_example(dir, "fixed", ET_EXEC, 0x10000);
		put_example(dir, "pie", ET_DYN, 0);
	}
	return 0;
}
