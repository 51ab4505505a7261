/* mm's per-hart block and the counters in it. Written by their own hart, so counting costs no shared line. */
#include "mm/hart.h"

#include "mm/coremap.h"
#include "mm/slab.h"

struct mm_hart *mm_harts;

const char *const mm_counter_name[MM_COUNTERS] = {
	[MM_ZERO_FILLS] = "zero_fills",		 [MM_ZERO_READS] = "zero_reads",
	[MM_COW_COPIES] = "cow_copies",		 [MM_COW_REUSES] = "cow_reuses",
	[MM_OBJECT_FAULTS] = "object_faults",	 [MM_MARKS] = "marks_set",
	[MM_SPURIOUS] = "spurious_faults",	 [MM_REFUSED] = "refused_faults",
	[MM_SHOOTDOWNS] = "shootdowns",		 [MM_IPIS] = "ipis",
	[MM_REMOTE_FENCES] = "remote_fences",	 [MM_FENCES_LOCAL] = "local_fences",
	[MM_SERVED] = "requests_served",	 [MM_TABLES_FREED] = "tables_freed",
	[MM_TABLES_SHARED] = "tables_shared",	 [MM_AROUND] = "pages_mapped_around",
	[MM_CLEARED_USES] = "cleared_uses",	 [MM_TABLES_COPIED] = "tables_copied",
	[MM_TABLES_TAKEN] = "tables_taken_over",
};

void mm_hart_init(void)
{
	mm_harts = kalloc(hw_harts() * sizeof(struct mm_hart));
	if (mm_harts == NULL)
		hw_panic("no memory: not even for mm's part of %u harts", hw_harts());
	for (unsigned h = 0; h < hw_harts(); h++) {
		for (unsigned kind = 0; kind < STOCK_KINDS; kind++)
			spin_init(&mm_harts[h].tables[kind].lock);
		mm_harts[h].zero = frame_zero();
		mm_harts[h].anon_group = 1;
		spin_init(&mm_harts[h].cleared.lock);
		hw_set_local(h, &mm_harts[h]);
	}
}

uint64_t mm_counter_of(unsigned hart, enum mm_counter counter)
{
	return atomic_load_explicit(&mm_harts[hart].counter[counter], memory_order_relaxed);
}

uint64_t mm_counter_sum(enum mm_counter counter)
{
	uint64_t sum = 0;

	for (unsigned h = 0; h < hw_harts(); h++)
		sum += mm_counter_of(h, counter);
	return sum;
}
