/* Reference counts of frames: mm/coremap.h, mm/coremap.c. For every count there can be, and every kind of frame. */
#include "tests/proofs/proof.h"

#include "mm/coremap.c"

PROOF_ENVIRONMENT

#define US PFN(1)

static struct frame frames[3];
struct frame *proof_coremap = frames;
static struct stock stock;

unsigned hw_harts(void)
{
	return 1;
}

/* A full chain's way on: not from here. */
void buddy_give(struct frame *first, uint32_t n, uint64_t keep)
{
	(void)first;
	(void)n;
	(void)keep;
	PROVE(false);
}

void buddy_free(pfn_t pfn, unsigned order)
{
	PROVE(pfn.v == US.v && order != 0);
}

static struct frame *frame_with(uint32_t count)
{
	struct frame *frame = frame_of(US);

	coremap.stocks = &stock;
	coremap.chain_order = CHAIN_ORDER;
	frame->kind = (uint8_t)(FRAME_KERNEL + any_below(FRAME_KINDS - FRAME_KERNEL));
	frame->count = count;
	return frame;
}

static bool is_freed(const struct frame *frame)
{
	return frame->kind == FRAME_FREE && frame->count == 0 && stock.chain == frame && stock.n == 1 &&
	       !spin_is_held(&stock.lock);
}

PROOF(get, 2)
{
	uint32_t before = (uint32_t)any();
	struct frame *frame = frame_with(before);
	bool zero = frame->kind == FRAME_ZERO, got;

	proof_panics = before == 0 && !zero;
	got = frame_get(US);
	PROVE(!proof_panics);
	PROVE(got == (zero || before < FRAME_COUNT_MAX));
	PROVE(frame->count == (zero || !got ? before : before + 1) && frame->count >= before);
}

/* 64 harts at once that are each refused go too far by one each, and back: it does not wrap. */
PROOF(refused_by_all, 66)
{
	uint32_t before = FRAME_COUNT_MAX;
	struct frame *frame = frame_with(before);

	ASSUME(frame->kind != FRAME_ZERO);
	for (unsigned hart = 0; hart < HW_MAX_HARTS; hart++) {
		uint32_t old = atomic_fetch_add_explicit(&frame->count, 1, memory_order_relaxed);

		PROVE(!(old - 1 < FRAME_COUNT_MAX - 1) && frame->count > old);
	}
	for (unsigned hart = 0; hart < HW_MAX_HARTS; hart++)
		PROVE(!frame_get_refused(frame, before + hart));
	PROVE(frame->count == before);
}

PROOF(step, 2)
{
	uint32_t before = (uint32_t)any();
	struct frame *frame = frame_with(before);
	int64_t old = frame_count_step(frame, 1);

	/* As frame_get would have it; and as share.c asks whether it was the last. */
	PROVE((old > 0) == (before != 0 && before < FRAME_COUNT_MAX) && (uint32_t)old == before);
	frame->count = before;
	old = frame_count_step(frame, -1);
	PROVE(((uint64_t)old <= 1) == (before <= 1) && (uint32_t)old == before);
	PROVE(before == 0 || frame->count == before - 1);
}

PROOF(put, 2)
{
	uint32_t before = (uint32_t)any();
	struct frame *frame = frame_with(before);
	uint8_t kind = frame->kind;

	proof_panics = before == 0 && kind != FRAME_ZERO;
	frame_put(US);
	PROVE(!proof_panics);
	if (kind == FRAME_ZERO)
		PROVE(frame->count == before && frame->kind == kind);
	else if (before == 1)
		PROVE(is_freed(frame));
	else
		PROVE(frame->count == before - 1 && frame->kind == kind && stock.chain == NULL);
}

PROOF(put_in_a_batch, 2)
{
	uint32_t before = (uint32_t)any();
	struct frame *frame = frame_with(before);
	struct frame_batch batch = { .first = NULL };
	uint8_t kind = frame->kind;

	proof_panics = before == 0 && kind != FRAME_ZERO;
	frame_batch_put(&batch, US);
	PROVE(!proof_panics);
	if (kind != FRAME_ZERO && before == 1)
		PROVE(batch.first == frame && batch.last == frame && batch.n == 1 && frame->count == 0);
	else
		PROVE(batch.first == NULL && frame->count == (kind == FRAME_ZERO ? before : before - 1));
	frame_batch_end(&batch);
	PROVE((kind != FRAME_ZERO && before == 1) == is_freed(frame) && batch.first == NULL);
}

PROOF(try_get, 2)
{
	uint32_t before = (uint32_t)any();
	struct frame *frame = frame_with(before);
	int err = frame_try_get(US);

	PROVE(err == (before == 0 ? -EAGAIN : before >= FRAME_COUNT_MAX ? -ENOMEM : 0));
	PROVE(frame->count == (err == 0 ? before + 1 : before));
}

PROOF(freeze, 2)
{
	uint32_t before = (uint32_t)any();
	struct frame *frame = frame_with(before);
	bool frozen = frame_freeze(US);

	PROVE(frozen == (before == 1) && frame->count == (frozen ? 0 : before));
	if (frozen) {
		PROVE(frame_try_get(US) == -EAGAIN);
		frame_free_frozen(US);
		PROVE(is_freed(frame));
	}
}

/* Any so many operations, from any count: it is what they make of it, and the frame goes with the last slot, once. */
PROOF(any_order, 7)
{
	uint64_t ghost = 1 + any_below(FRAME_COUNT_MAX);
	struct frame *frame = frame_with((uint32_t)ghost);

	ASSUME(frame->kind != FRAME_ZERO);
	for (unsigned i = 0; i < 6 && ghost != 0; i++) {
		uint64_t what = any_below(3);

		if (what == 0) {
			frame_put(US);
			ghost--;
		} else if (what == 1 ? frame_get(US) : frame_try_get(US) == 0) {
			ghost++;
		}
		PROVE(ghost <= FRAME_COUNT_MAX && frame->count == ghost);
		PROVE(frame_is_sole(US) == (ghost == 1) && is_freed(frame) == (ghost == 0));
	}
}
