/*
 * Copy-on-write of objects: clones share frames, and whole ones their index, until one is written.
 *
 * Making: (1) what is shared is marked so in the index: nodes by their references, slots by SLOT_SHARED; (2) the right to
 * write of all shared mappings goes, through the reverse map; (3) look_wait: whoever wrote to a frame because it was not
 * shared when he looked has done so. Until then no other walk of the source may begin, so nobody makes a page his own before.
 * From there on nobody writes to a shared frame, through whatever object, so it can be copied at leisure.
 * Owning: the copy takes the frame's place while still marked shared, so it is mapped read-only at most; then the old frame
 * goes from all mappings of this object, private ones too; then the mark. As with copy-on-write of a page (fault.c), at no
 * moment can one hart write to the new frame while another reads the old one.
 * Locks: the one for walks through all mappings from begin to end (RANK_REVERSE_WALK), one object at a time; within it the object's.
 */
#include "lib/check.h"
#include "lib/errno.h"
#include "mm/object_core.h"
#include "mm/reverse.h"
#include "mm/walk.h"

#define BATCH INDEX_SLOTS

/* Puts `to` in place of `from` in the slot of page `index`, which is this object's alone. False: something else is there. */
static bool exchange(struct object *object, uint64_t index, uintptr_t from, uintptr_t to)
{
	struct index_dead none = { .n = 0 };
	_Atomic(uintptr_t) *slot;
	bool done;

	spin_lock(&object->lock, RANK_OBJECT);
	done = index_own(&object->index, index, false, &none, &slot) == 0 && slot != NULL;
	/* acq_rel: as index.c */
	done = done &&
	       atomic_compare_exchange_strong_explicit(slot, &from, to, memory_order_acq_rel, memory_order_relaxed);
	spin_unlock(&object->lock, RANK_OBJECT);
	ASSERT(none.n == 0);
	return done;
}

/* `old` is marked shared; we have a count of it. Within reverse_enter. */
static int replace(struct object *object, uint64_t index, pfn_t old)
{
	pfn_t new;
	int err = frame_alloc(FRAME_OBJECT, &new);

	if (err != 0)
		return err;
	frame_of(new)->object.written = 0;
	hw_page_copy(frame_data(new), frame_data(old));
	if (!exchange(object, index, pfn_slot(old) | SLOT_SHARED, pfn_slot(new) | SLOT_SHARED)) {
		frame_put(new); /* it was cut off */
		return 0;
	}
	reverse_unmap(object, index, index + 1, false);
	(void)exchange(object, index, pfn_slot(new) | SLOT_SHARED, pfn_slot(new)); /* or it was cut off */
	look_wait();
	frame_put(old);
	return 0;
}

static int own_entered(struct object *object, uint64_t index)
{
	struct index_dead dead = { .n = 0 };
	_Atomic(uintptr_t) *slot;
	bool shared = false;
	pfn_t pfn = PFN(0);
	int err;

	spin_lock(&object->lock, RANK_OBJECT);
	err = index_own(&object->index, index, false, &dead, &slot);
	if (err == 0 && slot != NULL) {
		uintptr_t value = atomic_load_explicit(slot, memory_order_relaxed);

		shared = slot_has_frame(value) && (value & SLOT_SHARED) != 0;
		pfn = slot_pfn(value);
		if (shared && frame_is_sole(pfn)) {
			/* The others have let go of it, and only through us could they get it again. */
			atomic_store_explicit(slot, pfn_slot(pfn), memory_order_release);
			shared = false;
		} else if (shared && !frame_get(pfn)) {
			err = -ENOMEM;
		}
	}
	spin_unlock(&object->lock, RANK_OBJECT);
	if (err == 0 && shared) {
		err = replace(object, index, pfn);
		frame_put(pfn);
	}
	object_bury(&dead);
	return err;
}

int object_own(struct object *object, uint64_t index)
{
	int err;

	if (object->store != NULL || !object_asks(object))
		return 0; /* never cloned */
	reverse_enter(object);
	err = own_entered(object, index);
	reverse_exit(object);
	return err;
}

/* ---- Making clones. */

/* Pages that the source of src has and its index does not. */
static int fill(struct object *src, uint64_t first, uint64_t last)
{
	uint64_t end = MIN(last, bytes_pages(object_source_bytes(src)));
	int err = 0;

	for (uint64_t i = first; err == 0 && i < end; i++) {
		pfn_t pfn;

		if (object_has(src, i))
			continue;
		err = object_frame(src, i, &pfn);
		if (err == 0)
			frame_put(pfn);
		if (err == -EFAULT)
			break; /* the size is what kernel/ says it is */
	}
	return err == -EFAULT ? 0 : err;
}

/* Whatever is written to pages [first, last) of src from now on is written to copies. Within reverse_enter. */
static void freeze(struct object *src, uint64_t first, uint64_t last)
{
	reverse_protect(src, first, last);
	look_wait();
}

/* relaxed: see object_asks */
static void ask_from_now_on(struct object *object)
{
	atomic_store_explicit(&object->asks, true, memory_order_relaxed);
}

/* Writes, which nothing keeps out, may have made it longer since the caller looked. Lock held. */
static bool is_within_locked(const struct object *object, uint64_t bytes)
{
	return object_bytes(object) <= bytes;
}

/* False: there is more than `pages` by now. *there: how many of them are. */
static bool share_root(struct object *src, uint64_t pages, uintptr_t *out, uint64_t *there)
{
	struct index_node *root = NULL;
	bool whole;

	reverse_enter(src);
	spin_lock(&src->lock, RANK_OBJECT);
	whole = is_within_locked(src, pages << PAGE_SHIFT);
	if (whole) {
		ask_from_now_on(src);
		root = (struct index_node *)atomic_load_explicit(&src->index.root, memory_order_relaxed);
	}
	if (root != NULL) /* relaxed: our index has one */
		atomic_fetch_add_explicit(&root->references, 1, memory_order_relaxed);
	*there = object_pages(src);
	spin_unlock(&src->lock, RANK_OBJECT);
	if (whole)
		freeze(src, 0, pages);
	reverse_exit(src);
	*out = (uintptr_t)root;
	return whole;
}

/* Takes over the reference of root. False: dst has more than `most` bytes by now, and nothing was done. */
static bool replace_root(struct object *dst, uint64_t most, uintptr_t root, uint64_t there)
{
	struct index_node *old = (struct index_node *)root;
	bool whole;

	reverse_enter(dst);
	spin_lock(&dst->lock, RANK_OBJECT);
	whole = is_within_locked(dst, most);
	if (whole) {
		ask_from_now_on(dst);
		atomic_store_explicit(&dst->source_bytes, 0, memory_order_relaxed);
		object_removed_locked(dst);
		/* acq_rel: as index.c */
		old = (struct index_node *)atomic_exchange_explicit(&dst->index.root, root, memory_order_acq_rel);
		atomic_store_explicit(&dst->pages, there, memory_order_relaxed);
	}
	spin_unlock(&dst->lock, RANK_OBJECT);
	if (whole)
		reverse_unmap(dst, 0, bytes_pages(most), false);
	reverse_exit(dst);
	look_wait();
	if (old != NULL)
		index_node_put(old);
	return whole;
}

/* 0; -EAGAIN: not by whole, as src has more pages by now, or dst more than `most` bytes; -ENOMEM. */
static int clone_whole(struct object *src, struct object *dst, uint64_t pages, uint64_t most)
{
	uint64_t there;
	uintptr_t root;
	int err = fill(src, 0, UINT64_MAX);

	if (err != 0)
		return err;
	if (share_root(src, pages, &root, &there) && replace_root(dst, most, root, there))
		return 0;
	return -EAGAIN;
}

/* What is in pages first, ...: n slots, each frame with a count. 0 or -ENOMEM with none. */
static int share_pages(struct object *src, uint64_t first, unsigned n, uintptr_t *slots)
{
	unsigned done = 0;

	reverse_enter(src);
	spin_lock(&src->lock, RANK_OBJECT);
	ask_from_now_on(src);
	while (done < n && index_share(&src->index, first + done, &slots[done]))
		done++;
	spin_unlock(&src->lock, RANK_OBJECT);
	freeze(src, first, first + n);
	reverse_exit(src);
	for (unsigned i = 0; done < n && i < done; i++)
		if (slot_has_frame(slots[i]))
			frame_put(slot_pfn(slots[i]));
	return done < n ? -ENOMEM : 0;
}

/* Puts a slot's worth in place of page i; *slot becomes what was there. Lock held. */
static int put_slot_locked(struct object *dst, uint64_t i, uintptr_t *slot, struct index_dead *dead)
{
	bool source = i < bytes_pages(object_source_bytes(dst));
	uintptr_t new = slot_has_frame(*slot) ? pfn_slot(slot_pfn(*slot)) | SLOT_SHARED : source ? SLOT_HOLE : 0;
	_Atomic(uintptr_t) *at;
	int err = index_own(&dst->index, i, new != 0, dead, &at);

	if (err != 0)
		return err;
	/* acq_rel: as index.c */
	*slot = at == NULL ? 0 : atomic_exchange_explicit(at, new, memory_order_acq_rel);
	/* relaxed: counts to look at */
	atomic_fetch_add_explicit(&dst->pages, slot_has_frame(new), memory_order_relaxed);
	atomic_fetch_sub_explicit(&dst->pages, slot_has_frame(*slot), memory_order_relaxed);
	return 0;
}

/* Puts them in place of dst's pages first, ...; and lets go of what was there, or could not be put: -EAGAIN: dst has more than `most` bytes. */
static int put_pages(struct object *dst, uint64_t first, unsigned n, uintptr_t *slots, uint64_t most)
{
	struct index_dead dead = { .n = 0 };
	int err;

	reverse_enter(dst);
	spin_lock(&dst->lock, RANK_OBJECT);
	err = is_within_locked(dst, most) ? 0 : -EAGAIN;
	ask_from_now_on(dst);
	object_removed_locked(dst);
	for (unsigned i = 0; err == 0 && i < n; i++)
		err = put_slot_locked(dst, first + i, &slots[i], &dead);
	spin_unlock(&dst->lock, RANK_OBJECT);
	reverse_unmap(dst, first, first + n, false);
	reverse_exit(dst);
	look_wait();
	index_bury(&dead);
	for (unsigned i = 0; i < n; i++)
		if (slot_has_frame(slots[i]))
			frame_put(slot_pfn(slots[i]));
	return err;
}

/* ---- Whole nodes of the index, where both ranges lie alike in it. */

/* How many pages, as a shift, at most; 0: page by page. What dst would fill from its source has to be noted page by page. */
static unsigned node_shift(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first,
			   uint64_t pages)
{
	unsigned shift = 0, height;

	look_enter(); /* the root may be replaced by a copy */
	height = index_height(&src->index);
	look_exit();
	if (dst_first < bytes_pages(object_source_bytes(dst)))
		return 0;
	while (shift + INDEX_BITS <= height) {
		uint64_t span = UINT64_C(1) << (shift + INDEX_BITS);

		if (((src_first | dst_first) & (span - 1)) != 0 || pages < span)
			break;
		shift += INDEX_BITS;
	}
	return shift;
}

static int share_node(struct object *src, uint64_t first, unsigned shift, struct index_node **node)
{
	bool done;

	reverse_enter(src);
	spin_lock(&src->lock, RANK_OBJECT);
	ask_from_now_on(src);
	done = index_share_node(&src->index, first, shift, node);
	spin_unlock(&src->lock, RANK_OBJECT);
	freeze(src, first, first + (UINT64_C(1) << shift));
	reverse_exit(src);
	return done ? 0 : -ENOMEM;
}

/* Takes over the reference of node, NULL: a hole. */
static int put_node(struct object *dst, uint64_t first, unsigned shift, struct index_node *node)
{
	uint64_t pages = node == NULL ? 0 : index_node_pages(node);
	struct index_dead dead = { .n = 0 };
	_Atomic(uintptr_t) *at;
	int err;

	reverse_enter(dst);
	spin_lock(&dst->lock, RANK_OBJECT);
	ask_from_now_on(dst);
	object_removed_locked(dst);
	err = index_own_node(&dst->index, first, shift, node != NULL, &dead, &at);
	if (err == 0 && at != NULL) {
		/* acq_rel: as index.c; relaxed: a count to look at */
		node = (struct index_node *)atomic_exchange_explicit(at, (uintptr_t)node, memory_order_acq_rel);
		atomic_fetch_add_explicit(&dst->pages, pages, memory_order_relaxed);
	}
	if (pages == 0)
		index_prune(&dst->index, first, &dead);
	spin_unlock(&dst->lock, RANK_OBJECT);
	reverse_unmap(dst, first, first + (UINT64_C(1) << shift), false);
	reverse_exit(dst);
	look_wait();
	index_bury(&dead);
	if (node == NULL)
		return err;
	if (err == 0)
		atomic_fetch_sub_explicit(&dst->pages, index_node_pages(node), memory_order_relaxed);
	index_node_put(node);
	return err;
}

static int clone_node(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, unsigned shift)
{
	struct index_node *node;
	int err = share_node(src, src_first, shift, &node);

	return err != 0 ? err : put_node(dst, dst_first, shift, node);
}

static int clone_pages(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, unsigned n,
		       uint64_t most)
{
	uintptr_t slots[BATCH];
	int err = share_pages(src, src_first, n, slots);

	return err != 0 ? err : put_pages(dst, dst_first, n, slots, most);
}

/* Page by page, or by nodes of the index. */
static int clone_parts(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, uint64_t pages)
{
	int err = 0;

	for (uint64_t done = 0, n; err == 0 && done < pages; done += n) {
		uint64_t from = src_first + done, to = dst_first + done;
		unsigned shift = node_shift(src, from, dst, to, pages - done);

		n = shift != 0 ? UINT64_C(1) << shift : MIN(pages - done, BATCH - from % BATCH);
		err = shift != 0 ? clone_node(src, from, dst, to, shift)
				 : clone_pages(src, from, dst, to, (unsigned)n, UINT64_MAX);
	}
	return err;
}

int object_clone_within(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, uint64_t pages,
			uint64_t most)
{
	int err = -EAGAIN;

	if (src->store != NULL || dst->store != NULL)
		return -EOPNOTSUPP;
	if (src == dst && src_first < dst_first + pages && dst_first < src_first + pages)
		return -EINVAL;
	if (src != dst && src_first == 0 && dst_first == 0 && pages >= bytes_pages(object_bytes(src)) &&
	    pages >= bytes_pages(object_bytes(dst)))
		err = clone_whole(src, dst, pages, MIN(most, pages << PAGE_SHIFT));
	if (err != -EAGAIN)
		return err;
	err = fill(src, src_first, src_first + pages);
	if (err == 0 && most != UINT64_MAX) {
		/* First, as it alone is refused. */
		pages--;
		err = clone_pages(src, src_first + pages, dst, dst_first + pages, 1, most);
	}
	return err != 0 ? err : clone_parts(src, src_first, dst, dst_first, pages);
}

int object_clone_range(struct object *src, uint64_t src_first, struct object *dst, uint64_t dst_first, uint64_t pages)
{
	return object_clone_within(src, src_first, dst, dst_first, pages, UINT64_MAX);
}
