/*
 * process_vm_readv and process_vm_writev: another process's memory, through its page tables and the direct map.
 *
 * The other space is held by a reference, so that it stays while its process ends. Pages are copied through a buffer: one
 * page table's lock at a time, so two processes that read each other cannot wait for each other.
 */
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "kernel/sys_file.h"
#include "lib/errno.h"
#include "mm/slab.h"
#include "mm/space.h"

/* A place in a list of pieces. */
struct cursor {
	struct io_range *piece;
	uint64_t left;	 /* pieces */
	uint64_t offset; /* in the first */
};

/* The bytes that can be copied in one go, at most n; 0 at the end of either list. */
static uint64_t span(struct cursor *cursor, uint64_t n)
{
	while (cursor->left != 0 && cursor->offset == cursor->piece->bytes) {
		cursor->piece++;
		cursor->left--;
		cursor->offset = 0;
	}
	return cursor->left == 0 ? 0 : MIN(n, cursor->piece->bytes - cursor->offset);
}

static vaddr_t here(const struct cursor *cursor)
{
	return VADDR(cursor->piece->base.v + cursor->offset);
}

/* At most `most` bytes. */
static int64_t copy(struct space *from, struct cursor *source, struct space *to, struct cursor *target, uint64_t most,
		    void *buffer)
{
	uint64_t done = 0, n;

	while ((n = span(target, span(source, MIN(PAGE_SIZE, most - done)))) != 0) {
		/* Not across a page of the source: what can be had of it is copied before the rest is refused. */
		n = MIN(n, PAGE_SIZE - (here(source).v & PAGE_MASK));
		n = MIN(n, PAGE_SIZE - (here(target).v & PAGE_MASK));
		if (user_read(from, buffer, here(source), n) != 0 || user_write(to, here(target), buffer, n) != 0)
			return done != 0 ? (int64_t)done : -EFAULT;
		source->offset += n;
		target->offset += n;
		done += n;
		sched_breathe();
	}
	return (int64_t)done;
}

static int list_alloc(struct cursor *cursor, uint64_t count)
{
	*cursor = (struct cursor){ .left = count };
	if (count == 0)
		return 0;
	if (count > RANGES_MAX)
		return -EINVAL;
	cursor->piece = kalloc(count * sizeof(struct io_range));
	return cursor->piece == NULL ? -ENOMEM : 0;
}

/* Its own pieces: as those of a readv. */
static int read_mine(struct cursor *cursor, uint64_t address, uint64_t count, uint64_t *bytes)
{
	int error = list_alloc(cursor, count);

	*bytes = 0;
	return error != 0 || count == 0 ? error : user_ranges(cursor->piece, address, count, bytes);
}

static int read_others(struct cursor *cursor, uint64_t address, uint64_t count)
{
	int error = list_alloc(cursor, count);

	if (error == 0 && count != 0)
		error = user_read(current_space(), cursor->piece, VADDR(address), count * sizeof(struct io_range));
	for (uint64_t i = 0; error == 0 && i < count; i++)
		error = cursor->piece[i].bytes > INT64_MAX ? -EINVAL : 0;
	return error;
}

static int64_t transfer(const uint64_t *a, bool writing)
{
	struct cursor mine, others;
	struct io_range *my_list, *others_list;
	uint64_t bytes;
	struct process *process = NULL;
	struct space *space = NULL;
	void *buffer = NULL;
	int64_t result;

	if (a[5] != 0)
		return -EINVAL;
	result = read_mine(&mine, a[1], a[2], &bytes);
	my_list = mine.piece;
	if (result != 0 || bytes == 0) { /* with nothing of its own nothing else is looked at, as on Linux */
		kfree(my_list);
		return result;
	}
	result = read_others(&others, a[3], a[4]);
	others_list = others.piece;
	if (result == 0 && (process = process_find((uint32_t)a[0])) == NULL)
		result = -ESRCH;
	if (result == 0 && (space = process_space(process)) == NULL)
		result = -ESRCH;
	if (result == 0 && (buffer = kalloc(PAGE_SIZE)) == NULL)
		result = -ENOMEM;
	if (result == 0)
		result = writing ? copy(current_space(), &mine, space, &others, bytes, buffer)
				 : copy(space, &others, current_space(), &mine, bytes, buffer);
	kfree(buffer);
	if (space != NULL)
		space_put(space);
	if (process != NULL)
		process_put(process);
	kfree(others_list);
	kfree(my_list);
	return result;
}

int64_t sys_process_vm_readv(const uint64_t *a)
{
	return transfer(a, false);
}

int64_t sys_process_vm_writev(const uint64_t *a)
{
	return transfer(a, true);
}
