/*
 * Address space identifiers: a bitmap of those in use, as large as satp's field (privileged specification, "satp").
 * ASID 0 belongs to the kernel's own root and to spaces that got none; those are flushed on every switch.
 * Locks: one, inner to everything but the slabs; taken when a space is made and when it goes.
 */
#include "mm/asid.h"

#include "lib/lock.h"
#include "mm/slab.h"

static struct {
	struct spinlock lock;
	uint64_t *used; /* [lock] */
	uint32_t words;
	uint32_t next; /* [lock] word where the search goes on */
} asids;

void asid_init(void)
{
	unsigned bits = hw_asid_bits();

	spin_init(&asids.lock);
	asids.next = 0;
	asids.words = bits == 0 ? 0 : bits < 6 ? 1 : 1U << (bits - 6);
	if (asids.words == 0)
		return;
	asids.used = kalloc(asids.words * sizeof(uint64_t));
	if (asids.used == NULL) {
		asids.words = 0; /* works without, only slower */
		return;
	}
	asids.used[0] = 1;
	if (bits < 6)
		asids.used[0] |= ~((UINT64_C(1) << (1U << bits)) - 1);
}

uint16_t asid_alloc(void)
{
	uint32_t asid = 0;

	if (asids.words == 0)
		return 0;
	spin_lock(&asids.lock, RANK_ASID);
	for (uint32_t i = 0; i < asids.words; i++) {
		uint32_t word = (asids.next + i) % asids.words;

		if (asids.used[word] == UINT64_MAX)
			continue;
		unsigned bit = (unsigned)__builtin_ctzll(~asids.used[word]);

		asids.used[word] |= UINT64_C(1) << bit;
		asids.next = word;
		asid = word * 64 + bit;
		break;
	}
	spin_unlock(&asids.lock, RANK_ASID);
	return (uint16_t)asid;
}

void asid_free(uint16_t asid)
{
	if (asid == 0)
		return;
	spin_lock(&asids.lock, RANK_ASID);
	asids.used[asid / 64] &= ~(UINT64_C(1) << (asid % 64));
	spin_unlock(&asids.lock, RANK_ASID);
}
