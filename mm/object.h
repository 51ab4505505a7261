/*
 * Memory objects: an index from page number to frame. A file, a memfd, shared anonymous memory and the initramfs are
 * objects; everything that maps, reads or writes one sees the same frames.
 *
 * Unbacked objects live in memory alone: a page that is missing is made when it is wanted. Backed ones are a cache of a
 * store that kernel/ reads and writes: mm says that a page is missing (-EAGAIN, FAULT_READ) and is given it
 * (object_insert); it notes which pages are dirty, and gives back clean ones when asked. mm never sleeps and knows no I/O.
 *
 * Look-ups take no lock and write no shared line; adding, marking and removing take the object's lock. Page numbers are
 * offsets >> PAGE_SHIFT; ranges of them are [first, last), last = UINT64_MAX: to the end.
 *
 * object_resize, object_punch, object_clone_range and object_clean_begin/_end of one object are serialised by the caller. They,
 * object_evict, object_own and user_to_object may shoot down and wait for walks: not under RANK_REVERSE_WALK or inner locks.
 */
#ifndef MM_OBJECT_H
#define MM_OBJECT_H

#include "lib/types.h"

struct object;
struct space;

/*
 * An object of the given size in bytes, with one reference for the caller. source: read-only bytes that fill its pages
 * on demand, source_bytes of them, zeros behind; they must outlive the object. NULL: all zeros. 0 or -ENOMEM.
 */
int object_create(uint64_t bytes, const void *source, uint64_t source_bytes, struct object **out) MUST_CHECK;

/* A cache of `store`, which is the caller's and not NULL. What is dirty when the last reference goes is lost. 0 or -ENOMEM. */
int object_create_backed(uint64_t bytes, void *store, struct object **out) MUST_CHECK;
void *object_store(const struct object *object); /* NULL: unbacked */

void object_get(struct object *object);
void object_put(
	struct object *object); /* the last one gives its frames back; not under RANK_REVERSE_WALK or inner locks */

/* Its pages never change or go while it is there, so nobody needs to know who maps it. Before it is mapped. */
void object_set_fixed(struct object *object);

/* Whether the caller's reference is the only one: no open file, no mapping. It stays so only under what guards that reference. */
bool object_is_sole(const struct object *object);

/* Shared mappings through which a program may write, now or after mprotect; and whoever is about to make one. For seals. */
void object_writer_get(struct object *object);
void object_writer_put(struct object *object);
bool object_has_writers(const struct object *object);

/* ---- Size, and what is there. */

uint64_t object_bytes(const struct object *object);
/*
 * Makes it longer (zeros) or shorter: what was behind the end is gone from the index and from every mapping, private copies
 * included; touching it is FAULT_BUS, and it is zeros if it grows again. Getting longer cannot fail. 0, or -ENOMEM with
 * nothing changed (only where it shares pages with a clone).
 */
int object_resize(struct object *object, uint64_t bytes) MUST_CHECK;
/* Makes it at least so long; what a mapping wrote behind the old end is cleared. Writes may do so at the same time. 0 or -ENOMEM. */
int object_extend(struct object *object, uint64_t bytes) MUST_CHECK;
/*
 * [offset, offset + bytes) becomes zeros, also in every shared mapping, and in private ones where they have no copy; whole pages
 * are given back. Of a backed object whole pages are dropped, dirty or not, to be read in again. 0, or -ENOMEM with a part done.
 */
int object_punch(struct object *object, uint64_t offset, uint64_t bytes) MUST_CHECK;

/* Whether page `index` is there already; the first at or behind `index` that is, or is not (UINT64_MAX: none). */
bool object_has(struct object *object, uint64_t index);
uint64_t object_next(struct object *object, uint64_t index, bool there);
/* How many are there; those of a clone count in both. */
uint64_t object_pages(const struct object *object);

/*
 * When a program last wrote to a page through a shared mapping, as far as its faults say (the first write to a page, of a backed object
 * to a clean one; hw_ticks, and some OBJECT_WRITTEN_TICKS too early at most), since this was last asked; 0: not at all.
 */
#define OBJECT_WRITTEN_TICKS 4096U
uint64_t object_take_written(struct object *object);

/* ---- Contents. */

/*
 * The frame of page `index`, filled or cleared if it is not there yet, with one count for the caller, who only reads it.
 * Takes the object's lock only to add a page. 0, -ENOMEM, -EAGAIN (backed: it is missing), or -EFAULT when index lies past
 * the end (a program gets SIGBUS for that).
 */
int object_frame(struct object *object, uint64_t index, pfn_t *out) MUST_CHECK;

/*
 * Kernel-side access, for loading and the like: copies up to n bytes at offset, as far as the object goes. The bytes copied
 * (0 at the end); if none, -ENOMEM or -EAGAIN (backed: the page is missing). Pages are read and written where mappings see them.
 */
int64_t object_read(struct object *object, uint64_t offset, void *dst, uint64_t n) MUST_CHECK;
int64_t object_write(struct object *object, uint64_t offset, const void *src, uint64_t n) MUST_CHECK;

/*
 * read() and write(): one piece, at most up to the next page boundary of either side, from frame to frame: no count is
 * taken for reading, nothing is bounced. How many bytes (0: at the object's end, or limit); -EAGAIN: the object's page is
 * missing (backed); -ENOMEM; -EFAULT, or what user_set_helper's helper says, for the program's page.
 * Holes of unbacked objects are read as zeros without a frame. Writing makes the object longer, up to limit; pages that are
 * overwritten as a whole, and those behind the end, need not be there.
 */
int64_t object_to_user(struct object *object, uint64_t offset, struct space *space, vaddr_t va, uint64_t n) MUST_CHECK;
int64_t user_to_object(struct object *object, uint64_t offset, struct space *space, vaddr_t va, uint64_t n,
		       uint64_t limit) MUST_CHECK;

/* ---- Backed objects: reading in. */

/*
 * Page `index` is `pfn`: a FRAME_KERNEL frame with one count, which is taken over, and filled. seen: object_removals() from
 * before it was read. ahead: whoever looks the page up first calls what object_set_reached was given.
 * 0; -EEXIST; -EAGAIN: something was cut off or punched meanwhile: read again; -EFAULT: past the end; -ENOMEM.
 * The caller has at most one read of a page under way, so eviction is no removal in this sense.
 */
int object_insert(struct object *object, uint64_t index, pfn_t pfn, uint64_t seen, bool ahead) MUST_CHECK;
uint64_t object_removals(const struct object *object);
/* Whoever reads ahead is told, with whatever locks the caller holds, when a page that was inserted with `ahead` is used. */
void object_set_reached(void (*handler)(struct object *object, uint64_t index));

/* ---- Backed objects: dirty pages. */

#define OBJECT_BATCH 64U

/* Whoever slows programs down is told, with whatever locks the caller holds, when a clean page became dirty. */
void object_set_dirtied(void (*handler)(struct object *object));
uint64_t object_dirty_pages(const struct object *object);
uint64_t objects_dirty(void); /* of all objects; a racy sum */

/*
 * The first dirty pages of [first, last), at most max <= OBJECT_BATCH: their marks are taken away and then the right to write
 * them of every mapping, so that whatever was written before is in the frames, and whatever is written from then on marks them
 * again. How many; each frame has a count more, until object_clean_end. failed: their marks come back.
 */
unsigned object_clean_begin(struct object *object, uint64_t first, uint64_t last, unsigned max, pfn_t *frames,
			    uint64_t *indices) MUST_CHECK;
/* Before page `index` is written: what a mapping has written in it behind the object's end is not the object's. */
void object_clear_tail(struct object *object, uint64_t index, pfn_t pfn);
void object_clean_end(struct object *object, const pfn_t *frames, const uint64_t *indices, unsigned n, bool failed);

/*
 * Gives back clean pages of a backed object in [first, last), until there are `want` or it has been through all of them. How many.
 * EVICT_MAPPED: also those that are mapped, which are taken out of the mappings first. EVICT_USED: also those that were used since
 * the last look at them, by call or through a mapping; without it such a look takes note. Goes on where the last one ended.
 */
#define EVICT_MAPPED 1U
#define EVICT_USED   2U
uint64_t object_evict(struct object *object, uint64_t first, uint64_t last, uint64_t want, unsigned which);

/* ---- Clones. */

/*
 * [dst_first, + pages) of dst becomes what [src_first, + pages) of src is, sharing the frames until one of the two is
 * written, by whatever way; holes become holes. Whole objects share their index: the cost does not depend on the size.
 * dst must be long enough. 0; -EOPNOTSUPP: one is backed; -EINVAL: same object, overlapping; -ENOMEM with a part done.
 */
int object_clone_range(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, uint64_t pages)
	MUST_CHECK;
/*
 * The same, where of the last page only a part is cloned: dst is `most` bytes long and ends in that page. -EAGAIN, with nothing done: a write has
 * made it longer, whose bytes would be gone with the rest of the page.
 */
int object_clone_within(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, uint64_t pages,
			uint64_t most) MUST_CHECK;

/* Page `index`, if it is there, is this object's alone, and may be written. space_fault and writes do it by themselves. 0, -ENOMEM. */
int object_own(struct object *object, uint64_t index) MUST_CHECK;

#endif
