/*
 * The fake TLB, one a hart, and the page walk: everything that the privileged specification lets a hart cache is cached,
 * and stays until a fence that covers it.
 *
 * An entry is a leaf, a pointer to a lower table (so that a walk can start there), or an entry that was invalid. Each
 * carries its ASID. sfence.vma with an address covers leaf entries and invalid ones of the last level; what stood on a
 * higher level goes only with a fence without address. Entries are dropped at random, filled at random for addresses
 * that the hart's program used lately (speculation), and never looked at again for truth: a hit is used as it stands.
 *
 * The shadow check: an entry remembers the generation (alloc.c) of the frame it names. Using an entry whose frame has
 * been freed or handed out again since is a failure of the test: some fence was missing or too late.
 *
 * A program's access happens under the TLB's mutex, so that a remote fence waits for it, as a hart's does.
 */
#include "tests/fakes/fake.h"

#include <pthread.h>
#include <stdio.h>

#define TLB_ENTRIES 96
#define RECENT	    8

enum entry_kind { ENTRY_NONE, ENTRY_LEAF, ENTRY_TABLE, ENTRY_INVALID };

struct entry {
	uint64_t tag; /* va >> the level's shift */
	pte_t pte;
	enum entry_kind kind;
	uint32_t generation;
	uint16_t asid;
	uint8_t level; /* of the table that the PTE stood in */
};

static struct tlb {
	pthread_mutex_t lock; /* guards all of it */
	struct entry entry[TLB_ENTRIES];
	pfn_t root; /* satp; 0: the kernel's */
	uint16_t asid;
	uint64_t recent[RECENT];
} tlbs[HW_MAX_HARTS];

static bool svade;
unsigned fake_max_faults = 12;

static unsigned shift_of(unsigned level)
{
	return PAGE_SHIFT + PT_BITS * level;
}

void fake_tlb_init(const struct fake_config *config)
{
	svade = config->svade;
	for (unsigned i = 0; i < HW_MAX_HARTS; i++)
		pthread_mutex_init(&tlbs[i].lock, NULL);
}

/* ---- Entries. */

static bool covers(const struct entry *entry, uint64_t va, uint16_t asid)
{
	return entry->kind != ENTRY_NONE && entry->asid == asid && va >> shift_of(entry->level) == entry->tag;
}

static struct entry *lookup(struct tlb *tlb, uint64_t va, enum entry_kind kind)
{
	struct entry *best = NULL;

	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct entry *entry = &tlb->entry[i];

		if (entry->kind == kind && covers(entry, va, tlb->asid) && (best == NULL || entry->level < best->level))
			best = entry;
	}
	return best;
}

static void insert(struct tlb *tlb, uint64_t va, unsigned level, pte_t pte, enum entry_kind kind)
{
	struct entry *entry = NULL;

	for (unsigned i = 0; i < TLB_ENTRIES && entry == NULL; i++)
		if (tlb->entry[i].kind == kind && tlb->entry[i].level == level && covers(&tlb->entry[i], va, tlb->asid))
			entry = &tlb->entry[i];
	if (entry == NULL)
		entry = &tlb->entry[fake_below(TLB_ENTRIES)];
	*entry = (struct entry){
		.tag = va >> shift_of(level),
		.pte = pte,
		.kind = kind,
		.generation = kind == ENTRY_INVALID ? 0 : fake_generation(pte_pfn(pte)),
		.asid = tlb->asid,
		.level = (uint8_t)level,
	};
}

static void evict_some(struct tlb *tlb)
{
	if (fake_calm)
		return;
	if (fake_below(4) == 0)
		tlb->entry[fake_below(TLB_ENTRIES)].kind = ENTRY_NONE;
	if (fake_below(200) == 0)
		for (unsigned i = 0; i < TLB_ENTRIES; i++)
			tlb->entry[i].kind = ENTRY_NONE;
}

static bool is_stale(const struct entry *entry)
{
	pfn_t pfn = pte_pfn(entry->pte);
	unsigned kind = frame_of(pfn)->kind;
	bool good = entry->kind == ENTRY_TABLE ? kind == FRAME_TABLE
					       : kind == FRAME_ANON || kind == FRAME_OBJECT || kind == FRAME_ZERO;

	return !good || fake_generation(pfn) != entry->generation;
}

/* The shadow check. */
static void check_entry(const struct entry *entry, uint64_t va)
{
	pfn_t pfn = pte_pfn(entry->pte);
	unsigned kind = frame_of(pfn)->kind;

	if (is_stale(entry))
		fake_fail("stale translation used: va %#llx, level %u, asid %u, frame %#llx is now of kind %u (%s)",
			  (unsigned long long)va, entry->level, entry->asid, (unsigned long long)pfn.v, kind,
			  kind == FRAME_FREE ? "freed" : "reused");
}

/* ---- The walk. */

static void check_encoding(pte_t pte, uint64_t va, unsigned level)
{
	const char *wrong = NULL;

	if (pte_is_table(pte) && (pte.v & (PTE_U | PTE_A | PTE_D)) != 0)
		wrong = "pointer with A, D or U";
	else if (pte_is_table(pte) && level == 0)
		wrong = "pointer on the last level";
	else if ((pte.v & (PTE_R | PTE_W)) == PTE_W)
		wrong = "W without R";
	else if (!pte_is_table(pte) && (pte.v & (PTE_U | PTE_G)) != PTE_U)
		wrong = "user leaf without U or with G";
	else if (pte.v >> 54 != 0 || !frame_exists(pte_pfn(pte)))
		wrong = "no such frame";
	if (wrong != NULL)
		fake_fail("bad entry %#llx for va %#llx on level %u: %s", (unsigned long long)pte.v,
			  (unsigned long long)va, level, wrong);
}

static bool permits(pte_t pte, enum access access)
{
	static const uint64_t need[] = { [ACCESS_READ] = PTE_R, [ACCESS_WRITE] = PTE_W, [ACCESS_EXEC] = PTE_X };

	return (pte.v & PTE_U) != 0 && (pte.v & need[access]) != 0;
}

static uint64_t ad_bits(enum access access)
{
	return access == ACCESS_WRITE ? PTE_A | PTE_D : PTE_A;
}

/* One step: the leaf's entry, or false for a page fault. `speculative` never sets D and takes no fault. */
static bool walk(struct tlb *tlb, uint64_t va, enum access access, bool speculative, pte_t *out)
{
	struct entry *from = lookup(tlb, va, ENTRY_TABLE);
	unsigned level = PT_ROOT;
	pfn_t table = tlb->root;

	if (from != NULL) {
		/* Between a write to satp and the fence behind it a hart may walk ahead of the fence: harmless. */
		if (speculative && is_stale(from))
			return false;
		check_entry(from, va);
		level = from->level - 1U;
		table = pte_pfn(from->pte);
	}
	for (;;) {
		_Atomic uint64_t *slot = pt_slot(table, pt_index(VADDR(va), level));
		/* acquire: a walk's accesses are ordered by address dependency */
		pte_t pte = PTE(atomic_load_explicit(slot, memory_order_acquire));
		uint64_t want = pte.v | ad_bits(access);

		if (!pte_is_valid(pte)) {
			if (fake_calm || fake_below(2) == 0)
				insert(tlb, va, level, pte, ENTRY_INVALID);
			return false;
		}
		check_encoding(pte, va, level);
		if (pte_is_table(pte)) {
			insert(tlb, va, level, pte, ENTRY_TABLE);
			table = pte_pfn(pte);
			level--;
			continue;
		}
		if (!permits(pte, access) || (pte.v != want && (svade || speculative))) {
			insert(tlb, va, level, pte, ENTRY_LEAF);
			return false;
		}
		if (pte.v != want && !atomic_compare_exchange_strong(slot, &pte.v, want))
			continue;
		pte.v = want;
		insert(tlb, va, level, pte, ENTRY_LEAF);
		*out = pte;
		return true;
	}
}

static bool translate(struct tlb *tlb, uint64_t va, enum access access, pte_t *out)
{
	struct entry *hit;

	if (va >= UINT64_C(1) << 38 || tlb->root.v == 0)
		return false;
	evict_some(tlb);
	hit = lookup(tlb, va, ENTRY_LEAF);
	if (hit != NULL) {
		check_entry(hit, va);
		if (!permits(hit->pte, access))
			return false;
		if ((hit->pte.v & ad_bits(access)) == ad_bits(access)) {
			*out = hit->pte;
			return true;
		}
		if (svade)
			return false;
		hit->kind = ENTRY_NONE; /* the hart walks again to set A or D */
	} else if (lookup(tlb, va, ENTRY_INVALID) != NULL) {
		return false;
	}
	return walk(tlb, va, access, false, out);
}

void fake_speculate(unsigned hart)
{
	struct tlb *tlb = &tlbs[hart];
	uint64_t va;
	pte_t unused;

	pthread_mutex_lock(&tlb->lock);
	va = tlb->recent[fake_below(RECENT)] + (fake_below(3) - 1) * PAGE_SIZE;
	if (tlb->root.v != 0 && va < USER_END && lookup(tlb, va, ENTRY_LEAF) == NULL)
		(void)walk(tlb, va, ACCESS_READ, true, &unused);
	pthread_mutex_unlock(&tlb->lock);
}

/* ---- Programs. */

bool fake_access(vaddr_t va, struct fake_op *op)
{
	struct tlb *tlb = &tlbs[hw_hart()];
	_Atomic uint64_t *data;
	pte_t pte;
	bool done;

	pthread_mutex_lock(&tlb->lock);
	tlb->recent[fake_below(RECENT)] = va.v & ~PAGE_MASK;
	done = translate(tlb, va.v, op->access, &pte);
	if (done) {
		op->frame = pte_pfn(pte);
		data = (_Atomic uint64_t *)((char *)frame_data(op->frame) + (va.v & PAGE_MASK));
		if (op->access == ACCESS_WRITE)
			atomic_store_explicit(data, op->value, memory_order_relaxed);
		else
			op->value = atomic_load_explicit(data, memory_order_relaxed);
	}
	pthread_mutex_unlock(&tlb->lock);
	return done;
}

enum fault fake_user(vaddr_t va, struct fake_op *op)
{
	for (op->faults = 0; op->faults < fake_max_faults; op->faults++) {
		enum fault fault;

		fake_interrupts();
		if (fake_access(va, op))
			return FAULT_OK;
		fault = op->faults % 2 == 0 ? space_fault_here(va, op->access)
					    : space_fault(space_current(), va, op->access);
		if (fault != FAULT_OK)
			return fault;
	}
	fake_fail("va %#llx: %u faults answered with FAULT_OK and the access %u still does not go through",
		  (unsigned long long)va.v, op->faults, op->access);
}

enum fault fake_load(vaddr_t va, uint64_t *value)
{
	struct fake_op op = { .access = ACCESS_READ };
	enum fault fault = fake_user(va, &op);

	*value = op.value;
	return fault;
}

enum fault fake_store(vaddr_t va, uint64_t value)
{
	struct fake_op op = { .access = ACCESS_WRITE, .value = value };

	return fake_user(va, &op);
}

/* ---- Fences. */

static bool page_fence_covers(const struct entry *entry, uint64_t va, uint16_t asid)
{
	return covers(entry, va, asid) &&
	       (entry->kind == ENTRY_LEAF || (entry->kind == ENTRY_INVALID && entry->level == 0));
}

/* bytes == 0: every level of the ASID. */
static void fence(struct tlb *tlb, uint64_t start, uint64_t bytes, uint16_t asid)
{
	pthread_mutex_lock(&tlb->lock);
	for (unsigned i = 0; i < TLB_ENTRIES; i++) {
		struct entry *entry = &tlb->entry[i];
		uint64_t va = entry->tag << shift_of(entry->level);

		if (bytes == 0 ? entry->asid == asid
			       : page_fence_covers(entry, MAX(va, start), asid) && MAX(va, start) < start + bytes)
			entry->kind = ENTRY_NONE;
	}
	pthread_mutex_unlock(&tlb->lock);
}

void hw_fence_page(vaddr_t va, uint16_t asid)
{
	fake_jitter();
	fake_counts(hw_hart())->fence_page++;
	fence(&tlbs[hw_hart()], va.v & ~PAGE_MASK, PAGE_SIZE, asid);
	fake_jitter();
}

void hw_fence_asid(uint16_t asid)
{
	fake_jitter();
	fake_counts(hw_hart())->fence_asid++;
	fence(&tlbs[hw_hart()], 0, 0, asid);
	fake_jitter();
}

void fake_tlb_flush(unsigned hart)
{
	pthread_mutex_lock(&tlbs[hart].lock);
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		tlbs[hart].entry[i].kind = ENTRY_NONE;
	pthread_mutex_unlock(&tlbs[hart].lock);
}

void hw_fence_all(void)
{
	fake_jitter();
	fake_counts(hw_hart())->fence_all++;
	fake_tlb_flush(hw_hart());
	fake_jitter();
}

void hw_remote_fence(uint64_t harts, vaddr_t start, uint64_t bytes, uint16_t asid)
{
	if (fake_window != NULL)
		fake_window();
	fake_jitter();
	fake_counts(hw_hart())->remote_calls++;
	for (unsigned i = 0; i < hw_harts(); i++) {
		if ((harts >> i & 1) == 0)
			continue;
		__atomic_fetch_add(&fake_counts(i)->remotes, 1, __ATOMIC_RELAXED);
		fence(&tlbs[i], start.v, bytes, asid);
	}
	fake_jitter();
}

/* ---- satp. */

void fake_tlb_root(unsigned hart, pfn_t root, uint16_t asid)
{
	struct tlb *tlb = &tlbs[hart];

	pthread_mutex_lock(&tlb->lock);
	tlb->root = root;
	tlb->asid = asid;
	pthread_mutex_unlock(&tlb->lock);
}

pfn_t fake_hart_root(unsigned hart)
{
	return tlbs[hart].root;
}

uint16_t fake_hart_asid(unsigned hart)
{
	return tlbs[hart].asid;
}

unsigned fake_tlb_holds(unsigned hart, vaddr_t va, uint16_t asid)
{
	unsigned held = 0;

	pthread_mutex_lock(&tlbs[hart].lock);
	for (unsigned i = 0; i < TLB_ENTRIES; i++)
		held += covers(&tlbs[hart].entry[i], va.v, asid);
	pthread_mutex_unlock(&tlbs[hart].lock);
	return held;
}
