/* Text that grows while it is written: what /proc's files are made of. No locks; one owner. */
#ifndef KERNEL_TEXT_H
#define KERNEL_TEXT_H

#include "lib/types.h"

struct text {
	char *bytes;
	size_t used;
	size_t size;
	bool fixed;  /* must not allocate now: what does not fit is left out */
	bool failed; /* no memory: it is incomplete */
};

struct text *text_create(size_t size) MUST_CHECK; /* room for size bytes to begin with; NULL: no memory */
void text_free(struct text *text);		  /* NULL is allowed */
void text_put(struct text *text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
