/*
 * Small kernel objects, in size classes of 64 to 2048 bytes carved out of single frames.
 *
 * Each hart has its own slabs of every class: it allocates from those alone, and an object goes back to the slab it came
 * from, whichever hart frees it. An empty slab goes back to the coremap, but for one a class, so that a lone object that
 * comes and goes does not carve a frame each time.
 * Invariants: a slab with a free object is on its class's `partial` list; live counts the objects handed out.
 * Locks: one a hart and class. Frames are allocated with none held.
 */
#include "mm/slab.h"

#include <string.h>

#include "lib/fail.h"
#include "mm/coremap.h"

#define CLASS_MIN_SHIFT 6
#define CLASS_MAX_SHIFT 11
#define CLASSES		(CLASS_MAX_SHIFT - CLASS_MIN_SHIFT + 1)

struct slab_class {
	struct spinlock lock;
	uint32_t bytes;
	struct list partial; /* [lock] slabs with a free object */
	struct frame *spare; /* [lock] one empty slab, on `partial` too, or NULL */
} CACHE_ALIGNED;

static struct {
	struct slab_class *classes; /* [hart][class] */
	unsigned order;
} slab;

static struct slab_class *class_of(unsigned hart, unsigned class)
{
	return &slab.classes[hart * CLASSES + class];
}

void slab_init(void)
{
	uint64_t bytes = hw_harts() * CLASSES * sizeof(struct slab_class);
	pfn_t pfn;

	slab.order = 0;
	while ((PAGE_SIZE << slab.order) < bytes)
		slab.order++;
	if (frame_alloc_block(FRAME_KERNEL, slab.order, &pfn) != 0)
		hw_panic("no memory: not even for the slabs of %u harts", hw_harts());
	slab.classes = frame_data(pfn);
	for (unsigned h = 0; h < hw_harts(); h++) {
		for (unsigned c = 0; c < CLASSES; c++) {
			struct slab_class *class = class_of(h, c);

			spin_init(&class->lock);
			class->bytes = 1U << (CLASS_MIN_SHIFT + c);
			list_init(&class->partial);
			class->spare = NULL;
		}
	}
}

static struct frame *slab_new(struct slab_class *class)
{
	pfn_t pfn;

	if (frame_alloc(FRAME_KERNEL, &pfn) != 0)
		return NULL;

	struct frame *frame = frame_of(pfn);
	char *data = frame_data(pfn);
	void *next = NULL;

	for (uint32_t at = (uint32_t)PAGE_SIZE; at != 0; at -= class->bytes) {
		void *object = data + at - class->bytes;

		*(void **)object = next;
		next = object;
	}
	frame->slab.free = next;
	frame->slab.class = class;
	frame->slab.live = 0;
	list_init(&frame->slab.link);
	return frame;
}

static void *take_locked(struct slab_class *class)
{
	if (list_empty(&class->partial))
		return NULL;

	struct frame *frame = list_first(&class->partial, struct frame, slab.link);
	void *object = frame->slab.free;

	frame->slab.free = *(void **)object;
	frame->slab.live++;
	if (class->spare == frame)
		class->spare = NULL;
	if (frame->slab.free == NULL)
		list_del(&frame->slab.link);
	return object;
}

static void *small_alloc(struct slab_class *class)
{
	spin_lock(&class->lock, RANK_SLAB);
	void *object = take_locked(class);
	spin_unlock(&class->lock, RANK_SLAB);
	if (object != NULL)
		return object;

	struct frame *frame = slab_new(class);

	if (frame == NULL)
		return NULL;
	spin_lock(&class->lock, RANK_SLAB);
	list_add(&class->partial, &frame->slab.link);
	object = take_locked(class);
	spin_unlock(&class->lock, RANK_SLAB);
	return object;
}

#define SERVE_PAGES 16U /* 64 KiB cleared */

static void *block_alloc(size_t bytes)
{
	unsigned order = 0;
	pfn_t pfn;

	while ((PAGE_SIZE << order) < bytes)
		if (++order >= BUDDY_ORDERS)
			return NULL;
	if (frame_alloc_block(FRAME_KERNEL, order, &pfn) != 0)
		return NULL;
	frame_of(pfn)->slab.class = NULL;
	for (uint64_t i = 0; i < (UINT64_C(1) << order); i++) {
		hw_page_clear(frame_data(PFN(pfn.v + i)));
		if (i % SERVE_PAGES == SERVE_PAGES - 1)
			hw_relax();
	}
	return frame_data(pfn);
}

void *kalloc(size_t bytes)
{
	if (FAIL_HERE())
		return NULL;
	if (bytes > (1U << CLASS_MAX_SHIFT))
		return block_alloc(bytes);

	unsigned c = 0;

	while ((1U << (CLASS_MIN_SHIFT + c)) < bytes)
		c++;

	struct slab_class *class = class_of(hw_hart(), c);
	void *object = small_alloc(class);

	return object == NULL ? NULL : memset(object, 0, bytes);
}

void kfree(void *ptr)
{
	if (ptr == NULL)
		return;

	pfn_t pfn = paddr_pfn(hw_paddr(ptr));
	struct frame *frame = frame_of(pfn);
	struct slab_class *class = frame->slab.class;
	struct frame *empty = NULL;

	CHECK(frame->kind == FRAME_KERNEL);
	if (class == NULL) {
		frame_put(pfn);
		return;
	}
	spin_lock(&class->lock, RANK_SLAB);
	CHECK(frame->slab.live != 0);
	if (frame->slab.free == NULL)
		list_add(&class->partial, &frame->slab.link);
	*(void **)ptr = frame->slab.free;
	frame->slab.free = ptr;
	if (--frame->slab.live == 0) {
		if (class->spare == NULL) {
			class->spare = frame;
		} else {
			list_del(&frame->slab.link);
			empty = frame;
		}
	}
	spin_unlock(&class->lock, RANK_SLAB);
	if (empty != NULL)
		frame_put(pfn);
}

size_t kalloc_bytes(const void *ptr)
{
	const struct frame *frame = frame_of(paddr_pfn(hw_paddr(ptr)));

	return frame->slab.class == NULL ? PAGE_SIZE << frame->order : frame->slab.class->bytes;
}

void slab_drain(void)
{
	for (unsigned i = 0; i < hw_harts() * CLASSES; i++) {
		struct slab_class *class = &slab.classes[i];

		spin_lock(&class->lock, RANK_SLAB);
		struct frame *spare = class->spare;

		if (spare != NULL)
			list_del(&spare->slab.link);
		class->spare = NULL;
		spin_unlock(&class->lock, RANK_SLAB);
		if (spare != NULL)
			frame_put(PFN((uint64_t)(spare - HW_COREMAP)));
	}
}
