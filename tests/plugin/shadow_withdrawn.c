/*
 * Translations that were taken out of the tables, and the harts that may hold them still. Contract: shadow.h.
 *
 * A struct withdrawn lives from the store until each of its harts has made a fence that covers it: one of its page, if it was a
 * leaf, or one of every level. While it lives nobody may rely on its being gone. Who does:
 * - who frees the frame that it names (what it leads to is somebody else's from then on);
 * - the hart that withdrew it, when it goes back to user mode: the system call that took a right away has ended;
 * - a hart that returns to user mode in a space of which it has such a thing left, from when it was there before.
 * A hart whose satp has another ASID cannot use it, so that it is a leftover until it comes back; the kernel may know that by one fence.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/plugin/shadow.h"

#define BUCKETS	    1024
#define REPORTS_MAX 20
#define EACH(at, bucket)                                                                                               \
	for (bucket = 0; bucket < (shadow.held ? BUCKETS : 0); bucket++)                                               \
		for (at = &buckets[bucket]; *at;)

static struct withdrawn *buckets[BUCKETS]; /* by frame */

void shadow_report(const char *what, unsigned hart, const struct withdrawn *of, unsigned by)
{
	if (shadow.reports++ >= REPORTS_MAX)
		return;
	fprintf(shadow.out,
		"report %s: hart %u, va %#lx, level %u, asid %u, frame %#lx, withdrawn by hart %u at %#lx, relied upon by hart %u\n",
		what, hart, of->va, of->level, of->asid, pte_frame(of->value), of->by, of->pc, by);
	fflush(shadow.out);
}

static bool can_use(unsigned hart, uint16_t asid)
{
	return shadow.hart[hart].root && shadow.hart[hart].asid == asid;
}

static struct withdrawn **bucket_of(uint64_t frame)
{
	return &buckets[frame % BUCKETS];
}

static void drop(struct withdrawn **at)
{
	struct withdrawn *gone = *at;

	*at = gone->next;
	free(gone);
	shadow.held--;
}

static uint8_t holders(const struct slot *slot, uint64_t pa)
{
	uint8_t harts = 0;
	unsigned hart;

	for (hart = 0; hart < SHADOW_HARTS; hart++) {
		bool held = slot->walked[hart] > shadow_fenced(hart, slot->asid);

		if (held || (can_use(hart, slot->asid) && shadow_leads(hart, slot->va, slot->level, pa)))
			harts |= (uint8_t)(1u << hart);
	}
	return harts;
}

void withdrawn_add(const struct slot *slot, uint64_t pa, unsigned by, uint64_t pc)
{
	struct withdrawn **head = bucket_of(pte_frame(slot->value)), *new;
	uint8_t harts = holders(slot, pa);

	shadow.count[COUNT_WITHDRAWN]++;
	if (!harts)
		return;
	new = calloc(1, sizeof(*new));
	if (!new)
		abort();
	*new = (struct withdrawn){
		.next = *head,
		.value = slot->value,
		.va = slot->va,
		.slot = pa,
		.pc = pc,
		.asid = slot->asid,
		.level = slot->level,
		.by = (uint8_t)by,
		.harts = harts,
	};
	*head = new;
	shadow.held++;
}

void withdrawn_regained(uint64_t pa, uint64_t value)
{
	struct withdrawn **at = bucket_of(pte_frame(value));

	while (*at) {
		bool same = (*at)->slot == pa && pte_frame((*at)->value) == pte_frame(value);

		if (same && ((*at)->value & ~value & PTE_RIGHTS) == 0)
			drop(at);
		else
			at = &(*at)->next;
	}
}

void withdrawn_frame_freed(unsigned by, uint64_t frame)
{
	struct withdrawn *at;
	unsigned hart;

	for (at = *bucket_of(frame); at; at = at->next) {
		for (hart = 0; hart < SHADOW_HARTS && pte_frame(at->value) == frame; hart++) {
			if ((at->harts >> hart & 1) && can_use(hart, at->asid))
				shadow_report(at->value & PTE_RWX ? "frame freed that a hart may reach"
								  : "table freed that a hart may walk",
					      hart, at, by);
		}
	}
}

void withdrawn_still_named(const struct slot *slot, uint64_t pa, unsigned by)
{
	const struct withdrawn is = {
		.value = slot->value, .va = slot->va, .asid = slot->asid, .level = slot->level, .by = (uint8_t)by
	};
	uint8_t harts = holders(slot, pa);
	unsigned hart;

	for (hart = 0; hart < SHADOW_HARTS; hart++)
		if ((harts >> hart & 1) && can_use(hart, slot->asid))
			shadow_report(slot->value & PTE_RWX ? "frame freed that an entry names"
							    : "table freed that an entry leads to",
				      hart, &is, by);
}

/* Nothing but a fence of every level will do from now on: nobody knows the pages any more. */
static void leave_over(unsigned hart, const struct withdrawn *of)
{
	struct leftover *left = &shadow.hart[hart].left[of->asid];

	if (left->when > shadow_fenced(hart, of->asid))
		return;
	*left = (struct leftover){ shadow.now, of->va, of->pc, of->by, of->level };
}

static void check_leftover(unsigned hart)
{
	struct shadow_hart *own = &shadow.hart[hart];
	struct leftover *left = &own->left[own->asid];

	if (!own->root || left->when <= shadow_fenced(hart, own->asid))
		return;
	shadow_report("translations of before used again", hart,
		      &(struct withdrawn){
			      .va = left->va, .asid = own->asid, .level = left->level, .by = left->by, .pc = left->pc },
		      hart);
	left->when = 0;
}

void withdrawn_return(unsigned hart)
{
	struct withdrawn **at;
	unsigned bucket, other;

	shadow.count[COUNT_RETURNS]++;
	EACH(at, bucket)
	{
		if ((*at)->by != hart) {
			at = &(*at)->next;
			continue;
		}
		for (other = 0; other < SHADOW_HARTS; other++) {
			if (!((*at)->harts >> other & 1))
				continue;
			if (can_use(other, (*at)->asid))
				shadow_report((*at)->value & PTE_RWX ? "right withdrawn that a hart may still use"
								     : "table withdrawn that a hart may still walk",
					      other, *at, hart);
			else
				leave_over(other, *at);
		}
		drop(at);
	}
	check_leftover(hart);
}

/* ---- Fences. */

static void fenced(struct withdrawn ***at, unsigned hart)
{
	(**at)->harts &= (uint8_t) ~(1u << hart);
	if (!(**at)->harts)
		drop(*at);
	else
		*at = &(**at)->next;
}

/* Of a hart's own entries for va, as its satp is; what is not on its path any more is withdrawn, and found there. */
static void forget_walked(unsigned hart, uint64_t va)
{
	uint64_t table = shadow.hart[hart].root;
	unsigned level;

	for (level = SHADOW_ROOT_LEVEL; table && frame_is_ram(table); level--) {
		uint64_t pa = (table << 12) + 8 * (va >> (12 + 9 * level) & (SHADOW_TABLE - 1));
		uint64_t value = *(volatile uint64_t *)at_physical(pa);
		struct slot *slot = shadow_slot(pa);

		if (level == 0 && slot)
			slot->walked[hart] = 0;
		if (level == 0 || !(value & PTE_V))
			return;
		table = pte_frame(value);
	}
}

void shadow_fence_page(unsigned hart, uint64_t va, bool any_asid, uint16_t asid)
{
	struct withdrawn **at;
	unsigned bucket;

	shadow.count[COUNT_PAGE_FENCES]++;
	++shadow.now;
	if (any_asid || shadow.hart[hart].asid == asid)
		forget_walked(hart, va);
	EACH(at, bucket)
	{
		if ((*at)->level == 0 && (*at)->va >> 12 == va >> 12 && (any_asid || (*at)->asid == asid))
			fenced(&at, hart);
		else
			at = &(*at)->next;
	}
}

void shadow_fence_asid(unsigned hart, uint16_t asid)
{
	struct withdrawn **at;
	unsigned bucket;

	shadow.count[COUNT_ASID_FENCES]++;
	shadow.hart[hart].fenced[asid] = ++shadow.now;
	EACH(at, bucket)
	{
		if ((*at)->asid == asid)
			fenced(&at, hart);
		else
			at = &(*at)->next;
	}
}

void shadow_fence_all(unsigned hart)
{
	struct withdrawn **at;
	unsigned bucket;

	shadow.count[COUNT_ALL_FENCES]++;
	shadow.hart[hart].fenced_all = ++shadow.now;
	EACH(at, bucket)
	fenced(&at, hart);
}
