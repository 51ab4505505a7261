/*
 * Memory objects: an index from page number to frame. A file of the initramfs and shared anonymous memory are objects;
 * everything that maps or reads one sees the same frames. Look-ups take no lock and write no shared line; adding a page
 * takes the object's lock.
 */
#ifndef MM_OBJECT_H
#define MM_OBJECT_H

#include "lib/types.h"

struct object;

/*
 * An object of the given size in bytes, with one reference for the caller. source: read-only bytes that fill its pages
 * on demand, source_bytes of them, zeros behind; they must outlive the object. NULL: all zeros. 0 or -ENOMEM.
 */
int object_create(uint64_t bytes, const void *source, uint64_t source_bytes, struct object **out) MUST_CHECK;

void object_get(struct object *object);
void object_put(struct object *object); /* the last one gives its frames back */

/* Whether the caller's reference is the only one: no open file, no mapping. It stays so only under what guards that reference. */
bool object_is_sole(const struct object *object);

/* Shared mappings through which a program may write, now or after mprotect; and whoever is about to make one. For seals. */
void object_writer_get(struct object *object);
void object_writer_put(struct object *object);
bool object_has_writers(const struct object *object);

uint64_t object_bytes(const struct object *object);
/* Makes it longer (zeros) or shorter (what was behind the end is gone, and is zeros if it grows again; its frames stay until the
 * object goes, and so do mappings that have them). 0. The caller serialises calls. */
int object_resize(struct object *object, uint64_t bytes) MUST_CHECK;

/*
 * The frame of page `index`, filled or cleared if it is not there yet, with one count for the caller. Takes the object's
 * lock only to add a page. 0, -ENOMEM, or -EFAULT when index lies past the end (a program gets SIGBUS for that).
 */
int object_frame(struct object *object, uint64_t index, pfn_t *out) MUST_CHECK;

/* Whether page `index` is there already. */
bool object_has(struct object *object, uint64_t index);

/*
 * Kernel-side access, for read() and write() and for loading: copies up to n bytes at offset, as far as the object goes.
 * The bytes copied (0 at the end), or -ENOMEM. Pages are read and written where mappings see them.
 */
int64_t object_read(struct object *object, uint64_t offset, void *dst, uint64_t n) MUST_CHECK;
int64_t object_write(struct object *object, uint64_t offset, const void *src, uint64_t n) MUST_CHECK;

/* For the audit: calls visit for each page the object holds. */
void object_visit(struct object *object, void (*visit)(void *ctx, uint64_t index, pfn_t pfn), void *ctx);

#endif
