/* What /proc says of disks and interrupts, in Linux's formats: diskstats, partitions, interrupts; and corral/disks. */
#include "drivers/block.h"
#include "drivers/plic.h"
#include "firmware/hart.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "lib/hw.h"

#define NS_PER_MS 1000000U

static unsigned long long load(const _Atomic uint64_t *count)
{
	/* relaxed: each was true when it was read */
	return atomic_load_explicit(count, memory_order_relaxed);
}

static unsigned long long milliseconds(const _Atomic uint64_t *ns)
{
	return load(ns) / NS_PER_MS;
}

static void put_operation(struct text *text, const struct block_counts *counts, enum block_op op)
{
	text_put(text, " %llu 0 %llu %llu", load(&counts->requests[op]), load(&counts->sectors[op]),
		 milliseconds(&counts->ns[op]));
}

/* Merges are done before there are requests: none is counted. */
void proc_diskstats(struct text *text)
{
	for (struct block_device *device = block_next(NULL); device != NULL; device = block_next(device)) {
		const struct block_counts *counts = &device->counts;

		text_put(text, "%4u %7u %s", device->major, device->minor, device->name);
		put_operation(text, counts, BLOCK_READ);
		put_operation(text, counts, BLOCK_WRITE);
		text_put(text, " %u %llu %llu 0 0 0 0 %llu %llu\n",
			 atomic_load_explicit(&counts->under_way, memory_order_relaxed), milliseconds(&counts->busy_ns),
			 milliseconds(&counts->ns[BLOCK_READ]) + milliseconds(&counts->ns[BLOCK_WRITE]) +
				 milliseconds(&counts->ns[BLOCK_FLUSH]),
			 load(&counts->requests[BLOCK_FLUSH]), milliseconds(&counts->ns[BLOCK_FLUSH]));
	}
}

void proc_partitions(struct text *text)
{
	text_put(text, "major minor  #blocks  name\n\n");
	for (struct block_device *device = block_next(NULL); device != NULL; device = block_next(device))
		text_put(text, "%4u  %7u %10llu %s\n", device->major, device->minor,
			 (unsigned long long)device->sectors / 2, device->name);
}

/* Of the devices themselves: how many requests they ever had at once, and how many have failed. */
void proc_disks(struct text *text)
{
	for (struct block_device *device = block_next(NULL); device != NULL; device = block_next(device))
		if (device->parent == NULL)
			text_put(text, "%s most_at_once %u failed %llu\n", device->name,
				 atomic_load_explicit(&device->counts.most_at_once, memory_order_relaxed),
				 load(&device->counts.failed));
}

static void put_line(struct text *text, unsigned source, const struct plic_line *line)
{
	text_put(text, "%3u:", source);
	for (unsigned hart = 0; hart < HW_MAX_HARTS; hart++) {
		uint64_t count = (hart == line->hart ? line->count : 0) + (hart == line->first ? line->count_first : 0);

		if ((harts_online() >> hart & 1) != 0)
			text_put(text, " %10llu", (unsigned long long)count);
	}
	text_put(text, "  RISC-V PLIC %4u Level     %s\n", source, line->name);
}

void proc_interrupts(struct text *text)
{
	struct plic_line line;

	text_put(text, "    ");
	for (unsigned hart = 0; hart < HW_MAX_HARTS; hart++)
		if ((harts_online() >> hart & 1) != 0)
			text_put(text, "       CPU%-2u", hart);
	text_put(text, "\n");
	for (unsigned source = 1; source < plic_sources(); source++)
		if (plic_line(source, &line))
			put_line(text, source, &line);
}
