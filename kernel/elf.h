/* Loading of static ELF executables. Contract of elf.c. */
#ifndef KERNEL_ELF_H
#define KERNEL_ELF_H

#include "lib/types.h"

struct object;
struct space;

struct elf_image {
	uint64_t entry;
	uint64_t headers; /* where the program sees its program headers; 0: nowhere */
	uint64_t header_count;
	uint64_t end;	 /* first address behind the image, page-aligned: brk begins here */
	const char *why; /* after an error: what is wrong, for people */
};

#define ELF_HEADER_BYTES 56

/* Maps the executable into an empty space. 0, -ENOEXEC: not one that can run here; -ENOMEM. Any bytes at all are safe. */
int elf_load(struct space *space, struct object *object, struct elf_image *image) MUST_CHECK;

#endif
