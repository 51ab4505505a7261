/* Executables that begin with "#!": what execve runs instead. */
#ifndef KERNEL_SCRIPT_H
#define KERNEL_SCRIPT_H

#include "lib/types.h"

struct file;
struct object;

#define SCRIPT_LINE_BYTES 256 /* as on Linux */
#define SCRIPT_DEPTH	  5   /* scripts whose interpreter is a script */
#define SCRIPT_LEAD_BYTES (PAGE_SIZE + (SCRIPT_DEPTH + 1) * SCRIPT_LINE_BYTES)

/* What stands before argv[1] then: interpreter, its argument, script; packed, each with its 0. All zero before the first use. */
struct script_lead {
	char *bytes; /* kfree'd by script_free; NULL: none, argv stays as it is */
	size_t start, end;
	uint64_t count;
};

/*
 * Opens what path leads to: itself, or the interpreter of the interpreter... *out: one reference. 0, or -errno; lead is the
 * caller's to free in either case.
 */
int script_open(const char *path, struct script_lead *lead, struct object **out, struct file **exe) MUST_CHECK;
void script_free(struct script_lead *lead);

#endif
