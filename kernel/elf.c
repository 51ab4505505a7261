/*
 * ELF: static executables, fixed or position-independent, for RV64.
 *
 * Every number in the file is hostile until checked: ranges are checked for overflow and against the file's size and user
 * space before they are used, segments must ascend and may not share a page, and nothing is sized by the file but the
 * number of program headers, which are read one at a time. The space is new and the caller's: on failure it just goes.
 */
#include "kernel/elf.h"

#include <string.h>

#include "kernel/cache.h"
#include "kernel/layout.h"
#include "lib/errno.h"
#include "mm/object.h"
#include "mm/space.h"

#define ET_EXEC	  2
#define ET_DYN	  3
#define EM_RISCV  243
#define PT_LOAD	  1
#define PT_INTERP 3
#define PT_PHDR	  6
#define PF_X	  1U
#define PF_W	  2U
#define PF_R	  4U

struct elf_file_header {
	uint8_t ident[16];
	uint16_t type, machine;
	uint32_t version;
	uint64_t entry, phoff, shoff;
	uint32_t flags;
	uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_header {
	uint32_t type, flags;
	uint64_t offset, vaddr, paddr, filesz, memsz, align;
};

_Static_assert(sizeof(struct elf_file_header) == 64, "ELF-64 object file format");
_Static_assert(sizeof(struct elf_header) == ELF_HEADER_BYTES, "ELF-64 object file format");

/* Images end below this: the stack's room begins here. */
#define IMAGE_LIMIT (STACK_TOP - STACK_BYTES)

struct loading {
	struct space *space;
	struct object *object;
	struct elf_file_header file;
	uint64_t bias;
	struct elf_image *image;
};

static int refuse(struct elf_image *image, const char *why)
{
	image->why = why;
	return -ENOEXEC;
}

static int read_exactly(struct object *object, uint64_t offset, void *to, uint64_t bytes)
{
	int64_t got;

	if (offset > object_bytes(object) || bytes > object_bytes(object) - offset)
		return -ENOEXEC;
	got = cache_read(object, offset, to, bytes);
	if (got < 0)
		return (int)got;
	return (uint64_t)got == bytes ? 0 : -ENOEXEC;
}

static int check_file(struct loading *load)
{
	static const uint8_t magic[7] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
	const struct elf_file_header *file = &load->file;

	if (memcmp(file->ident, magic, 4) != 0)
		return refuse(load->image, "not an ELF executable");
	if (memcmp(file->ident, magic, sizeof(magic)) != 0)
		return refuse(load->image, "not a 64-bit little-endian ELF executable");
	if (file->machine != EM_RISCV)
		return refuse(load->image, "an executable for another machine than RISC-V");
	if (file->type != ET_EXEC && file->type != ET_DYN)
		return refuse(load->image, "an ELF file, but not an executable");
	if (file->phentsize != ELF_HEADER_BYTES || file->phnum == 0 || file->phnum > 65536 / ELF_HEADER_BYTES)
		return refuse(load->image, "an ELF executable with bad program headers");
	load->bias = file->type == ET_DYN ? PIE_BASE : 0;
	return 0;
}

static int check_segment(struct loading *load, const struct elf_header *header)
{
	uint64_t start = header->vaddr + load->bias;
	uint64_t size = object_bytes(load->object);

	if (header->filesz > header->memsz || header->offset > size || header->filesz > size - header->offset)
		return refuse(load->image, "a truncated ELF executable");
	if (((header->vaddr ^ header->offset) & PAGE_MASK) != 0)
		return refuse(load->image, "an ELF executable with a misaligned segment");
	if (header->vaddr >= IMAGE_LIMIT || start >= IMAGE_LIMIT || header->memsz > IMAGE_LIMIT - start ||
	    start < PAGE_SIZE)
		return refuse(load->image, "an ELF executable with a segment outside of user space");
	if (vaddr_page(VADDR(start)).v < load->image->end)
		return refuse(load->image, "an ELF executable with overlapping segments");
	return 0;
}

static uint64_t permissions(uint32_t flags)
{
	return ((flags & PF_R) != 0 ? PERM_R : 0) | ((flags & PF_W) != 0 ? PERM_R | PERM_W : 0) |
	       ((flags & PF_X) != 0 ? PERM_X : 0);
}

/* The pages with bytes of the file, then those without; the rest of the last one of the former is cleared. */
static int map_segment(struct loading *load, const struct elf_header *header)
{
	uint64_t start = header->vaddr + load->bias;
	uint64_t file_end = start + header->filesz;
	uint64_t page = vaddr_page(VADDR(start)).v;
	uint64_t bss = header->filesz == 0 ? page : ALIGN_UP(file_end, PAGE_SIZE);
	uint64_t end = ALIGN_UP(start + header->memsz, PAGE_SIZE);
	uint64_t perm = permissions(header->flags);
	vaddr_t at = VADDR(page);
	int error = 0;

	if (bss > page)
		error = space_map_object(load->space, PLACE_NO_REPLACE, &at, bss - page, perm, PERM_RWX, load->object,
					 header->offset & ~PAGE_MASK, false);
	if (error == 0 && bss > page && bss > file_end && (perm & PERM_W) != 0)
		error = user_clear(load->space, VADDR(file_end), bss - file_end);
	at = VADDR(bss);
	if (error == 0 && end > bss)
		error = space_map(load->space, PLACE_NO_REPLACE, &at, end - bss, perm, mapping_anon(MAPPING_FORK_COPY));
	if (end > load->image->end)
		load->image->end = end;
	return error;
}

static void note_headers(struct loading *load, const struct elf_header *header)
{
	uint64_t phoff = load->file.phoff;

	if (header->type == PT_PHDR)
		load->image->headers = header->vaddr + load->bias;
	else if (load->image->headers == 0 && phoff >= header->offset && phoff - header->offset < header->filesz)
		load->image->headers = header->vaddr + (phoff - header->offset) + load->bias;
}

static int take_header(struct loading *load, const struct elf_header *header)
{
	int error;

	switch (header->type) {
	case PT_INTERP:
		return refuse(load->image, "dynamically linked; only static executables run here");
	case PT_PHDR:
		note_headers(load, header);
		return 0;
	case PT_LOAD:
		if (header->memsz == 0)
			return 0;
		note_headers(load, header);
		error = check_segment(load, header);
		return error != 0 ? error : map_segment(load, header);
	default:
		return 0;
	}
}

/* A PIE lies where all that its segments ask for holds: at a lower address than others, when they ask for much. */
static int align_bias(struct loading *load, const struct elf_header *header)
{
	if (header->type == PT_LOAD && header->align > PAGE_SIZE && (header->align & (header->align - 1)) == 0)
		load->bias &= ~(header->align - 1);
	return 0;
}

static int each_header(struct loading *load, int (*take)(struct loading *load, const struct elf_header *header))
{
	int error = 0;

	for (unsigned i = 0; error == 0 && i < load->file.phnum; i++) {
		struct elf_header header;
		uint64_t at;

		if (__builtin_add_overflow(load->file.phoff, (uint64_t)i * ELF_HEADER_BYTES, &at))
			return refuse(load->image, "a truncated ELF executable");
		error = read_exactly(load->object, at, &header, sizeof(header));
		if (error == -ENOEXEC)
			return refuse(load->image, "a truncated ELF executable");
		if (error == 0)
			error = take(load, &header);
	}
	return error;
}

int elf_load(struct space *space, struct object *object, struct elf_image *image)
{
	struct loading load = { .space = space, .object = object, .image = image };
	int error;

	memset(image, 0, sizeof(*image));
	if (read_exactly(object, 0, &load.file, sizeof(load.file)) != 0)
		return refuse(image, "not an ELF executable");
	error = check_file(&load);
	if (error == 0 && load.bias != 0)
		error = each_header(&load, align_bias);
	if (error == 0)
		error = each_header(&load, take_header);
	if (error != 0) {
		if (image->why == NULL)
			image->why = "too big for memory";
		return error;
	}
	if (image->end == 0)
		return refuse(image, "an ELF executable with nothing to load");
	image->entry = load.file.entry + load.bias;
	image->header_count = load.file.phnum;
	return 0;
}
