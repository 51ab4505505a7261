/*
 * /proc/PID/maps, smaps, pagemap: a process's memory, region by region, as mm/region.c tells it. A region is what it was
 * when it was looked at; its descriptor may be gone, so nothing is followed from it.
 *
 * The numbers of smaps are exact at the moment that each table was looked at: what several entries name is shared, by the frames'
 * counts; a file's page is dirty when it was written to through this entry.
 */
#include <string.h>

#include "kernel/layout.h"
#include "kernel/process.h"
#include "kernel/proc_text.h"
#include "kernel/text.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/object.h"

#define PAGE_PRESENT (UINT64_C(1) << 63)
#define PAGE_FILE    (UINT64_C(1) << 61)
#define PAGEMAP_PART 512U
#define KIB(pages)   ((pages) * (PAGE_SIZE / 1024))

/* What of a process the names of regions come from. */
struct names {
	struct object *object; /* the executable's, counted; NULL: none. Compared, not looked into */
	uint64_t inode;
	uint64_t brk_start, brk, start_sp;
	char path[PROCESS_PATH_BYTES];
};

static void names_take(struct process *process, struct names *names)
{
	struct node *node = NULL;

	memset(names, 0, sizeof(*names));
	spin_lock(&process->lock, RANK_PROCESS);
	names->brk_start = process->brk_start;
	names->brk = process->brk;
	names->start_sp = process->start_sp;
	memcpy(names->path, process->path, sizeof(names->path));
	if (process->exe != NULL && process->space != NULL)
		node = process->exe->node;
	if (node != NULL)
		node_get(node);
	spin_unlock(&process->lock, RANK_PROCESS);
	if (node != NULL) {
		names->inode = node->inode;
		tree_enter();
		names->object = node->regular.object;
		if (names->object != NULL)
			object_get(names->object);
		tree_leave();
		node_put(node);
	}
}

static void names_drop(struct names *names)
{
	if (names->object != NULL)
		object_put(names->object);
}

static const char *region_name(const struct names *names, const struct space_region *region)
{
	if (region->object != NULL && region->object == names->object)
		return names->path;
	if (region->object != NULL && region->start.v == SIGRETURN_PAGE)
		return "[vdso]";
	if (region->object != NULL)
		return region->shared ? "/dev/zero (deleted)" : "";
	if (region->start.v < names->brk && region->end.v > names->brk_start)
		return "[heap]";
	return region->start.v <= names->start_sp && names->start_sp < region->end.v ? "[stack]" : "";
}

static void put_region(struct text *text, const struct names *names, const struct space_region *region)
{
	const char *name = region_name(names, region);
	size_t before = text->used;

	text_put(text, "%08llx-%08llx %c%c%c%c %08llx 00:%02x %llu", (unsigned long long)region->start.v,
		 (unsigned long long)region->end.v, (region->perm & PERM_R) != 0 ? 'r' : '-',
		 (region->perm & PERM_W) != 0 ? 'w' : '-', (region->perm & PERM_X) != 0 ? 'x' : '-',
		 region->shared ? 's' : 'p', (unsigned long long)(region->object != NULL ? region->offset : 0),
		 region->object != NULL ? 1U : 0U,
		 (unsigned long long)(region->object != NULL && region->object == names->object ? names->inode : 0));
	if (name[0] == 0)
		text_put(text, "\n");
	else
		text_put(text, "%*s %s\n", (int)(72 - MIN(text->used - before, 72U)), "", name);
}

/* ---- Every region in turn: none, once the process has ended. */

static void visit_regions(const struct text *text, struct process *process,
			  void (*visit)(void *ctx, const struct space_region *region), void *ctx)
{
	struct space *space = process_space(process);
	struct space_region region;

	if (space == NULL)
		return;
	for (vaddr_t at = VADDR(0); proc_goes_on(text) && space_next_region(space, at, &region); at = region.end)
		visit(ctx, &region);
	space_put(space);
}

struct listing {
	struct text *text;
	struct names names;
};

static void visit_named(struct text *text, struct process *process,
			void (*visit)(void *ctx, const struct space_region *region))
{
	struct listing listing = { .text = text };

	names_take(process, &listing.names);
	visit_regions(text, process, visit, &listing);
	names_drop(&listing.names);
}

static void maps_region(void *ctx, const struct space_region *region)
{
	struct listing *listing = ctx;

	put_region(listing->text, &listing->names, region);
}

void proc_maps(struct text *text, struct process *process)
{
	visit_named(text, process, maps_region);
}

/* ---- What they use. */

static void put_use(struct text *text, const struct space_use *use, uint64_t locked)
{
	uint64_t shared = use->shared_clean + use->shared_dirty, private = use->private_clean + use->private_dirty;
	struct {
		const char *name;
		uint64_t kib;
	} lines[] = {
		{ "Rss:", KIB(shared + private) },
		{ "Pss:", use->proportion >> SPACE_PROPORTION_SHIFT >> 10 },
		{ "Shared_Clean:", KIB(use->shared_clean) },
		{ "Shared_Dirty:", KIB(use->shared_dirty) },
		{ "Private_Clean:", KIB(use->private_clean) },
		{ "Private_Dirty:", KIB(use->private_dirty) },
		{ "Referenced:", KIB(shared + private) },
		{ "Anonymous:", KIB(use->anonymous) },
		{ "AnonHugePages:", 0 },
		{ "Swap:", 0 },
		{ "Locked:", KIB(locked) },
	};

	for (unsigned i = 0; i < ARRAY_LEN(lines); i++)
		text_put(text, "%-15s %8llu kB\n", lines[i].name, (unsigned long long)lines[i].kib);
}

static void put_flags(struct text *text, const struct space_region *region)
{
	text_put(text, "VmFlags:%s%s%s%s mr mw me%s%s\n", (region->perm & PERM_R) != 0 ? " rd" : "",
		 (region->perm & PERM_W) != 0 ? " wr" : "", (region->perm & PERM_X) != 0 ? " ex" : "",
		 region->shared ? " sh" : "", region->shared ? " ms" : "", region->lock != SPACE_UNLOCKED ? " lo" : "");
}

static void smaps_region(void *ctx, const struct space_region *region)
{
	struct listing *listing = ctx;
	struct text *text = listing->text;

	put_region(text, &listing->names, region);
	text_put(text, "Size:           %8llu kB\nKernelPageSize: %8u kB\nMMUPageSize:    %8u kB\n",
		 (unsigned long long)(region->end.v - region->start.v) >> 10, 4U, 4U);
	put_use(text, &region->use, region->lock != SPACE_UNLOCKED ? region->resident : 0);
	put_flags(text, region);
}

void proc_smaps(struct text *text, struct process *process)
{
	visit_named(text, process, smaps_region);
}

struct rollup {
	struct space_use use;
	uint64_t locked;
};

static void rollup_region(void *ctx, const struct space_region *region)
{
	struct rollup *sum = ctx;

	sum->use.shared_clean += region->use.shared_clean;
	sum->use.shared_dirty += region->use.shared_dirty;
	sum->use.private_clean += region->use.private_clean;
	sum->use.private_dirty += region->use.private_dirty;
	sum->use.anonymous += region->use.anonymous;
	sum->use.proportion += region->use.proportion;
	sum->locked += region->lock != SPACE_UNLOCKED ? region->resident : 0;
}

void proc_smaps_rollup(struct text *text, struct process *process)
{
	struct rollup sum = { .locked = 0 };

	visit_regions(text, process, rollup_region, &sum);
	text_put(text, "%08llx-%08llx ---p 00000000 00:00 0                          [rollup]\n", 0ULL,
		 (unsigned long long)USER_END);
	put_use(text, &sum.use, sum.locked);
}

static void measure_region(void *ctx, const struct space_region *region)
{
	uint64_t pages = (region->end.v - region->start.v) >> PAGE_SHIFT;
	struct proc_sizes *out = ctx;

	out->pages += pages;
	out->resident += region->resident;
	out->shared += region->resident - region->use.anonymous;
	if (!region->shared && (region->perm & PERM_W) != 0)
		out->data += pages;
	if ((region->perm & PERM_X) != 0)
		out->text += pages;
	if (region->end.v == STACK_TOP)
		out->stack += pages;
}

void proc_measure(struct process *process, struct proc_sizes *out)
{
	memset(out, 0, sizeof(*out));
	visit_regions(NULL, process, measure_region, out);
}

void proc_statm(struct text *text, struct process *process)
{
	struct proc_sizes sizes;

	proc_measure(process, &sizes);
	text_put(text, "%llu %llu %llu %llu 0 %llu 0\n", (unsigned long long)sizes.pages,
		 (unsigned long long)sizes.resident, (unsigned long long)sizes.shared, (unsigned long long)sizes.text,
		 (unsigned long long)sizes.data);
}

/* ---- pagemap: a word a page; no frame numbers, as for those on Linux who may not see them. */

static uint64_t pagemap_word(struct space *space, const struct space_region *region, uint64_t va)
{
	uint8_t there = 0;

	if (va < region->start.v || space_resident(space, VADDR(va), 1, &there) != 0 || there == 0)
		return 0;
	return PAGE_PRESENT | (region->object != NULL ? PAGE_FILE : 0);
}

static int64_t pagemap_copy(struct space *space, struct io *io, uint64_t start)
{
	struct space_region region = { .start = VADDR(0), .end = VADDR(0) };
	uint64_t va = start / sizeof(uint64_t) * PAGE_SIZE;
	uint64_t done = 0;
	bool more = true;

	io->error = 0;
	while (va < USER_END && io->left != 0 && io->error == 0) {
		uint64_t word;

		if (more && va >= region.end.v)
			more = space_next_region(space, VADDR(va), &region);
		if (!more)
			region.start = VADDR(USER_END);
		word = pagemap_word(space, &region, va);
		done += io_put(io, &word, sizeof(word));
		va += PAGE_SIZE;
		if (va / PAGE_SIZE % PAGEMAP_PART == 0)
			io_yield(io);
	}
	return io_result(io, done);
}

static int64_t pagemap_read(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t start = at != NULL ? *at : file->position;
	struct process *process;
	struct space *space;
	int64_t done;

	if (start % sizeof(uint64_t) != 0 || io->left % sizeof(uint64_t) != 0)
		return -EINVAL;
	process = process_find(file->node->pid);
	if (process == NULL)
		return -ESRCH;
	space = process_space(process);
	process_put(process);
	if (space == NULL)
		return 0;
	done = pagemap_copy(space, io, start);
	space_put(space);
	if (at == NULL && done > 0) {
		spin_lock(&file->lock, RANK_FILE);
		file->position = start + (uint64_t)done;
		spin_unlock(&file->lock, RANK_FILE);
	}
	return done;
}

const struct file_ops pagemap_ops = { .read = pagemap_read, .seek = proc_seek };
