/*
 * /proc/PID/mem: a process's memory, read and written at its addresses (the file's position), as mm/force.c does it.
 *
 * The file is of the space that the process had when it was looked up: after an execve, or the process's end, there is nothing to
 * read. The space is held for a call at a time, so an open file keeps no memory. Errors are Linux's (fs/proc/base.c, mem_rw): EIO
 * where nothing can be moved, EFAULT for the caller's own buffer, whatever was moved before.
 *
 * Locks: none held while memory is copied, but mm's; file->lock for the position. Bytes go through a page of the kernel's, so
 * that nobody holds the locks of two spaces.
 */
#include "kernel/cache.h"
#include "kernel/process.h"
#include "kernel/proc_text.h"
#include "kernel/tree.h"
#include "lib/errno.h"
#include "mm/slab.h"
#include "mm/space.h"

/* Counted; NULL: it has ended, or runs another program. */
static struct space *mem_space(const struct node *node)
{
	struct process *process = process_find(node->pid);
	struct space *space;

	if (process == NULL)
		return NULL;
	space = process_space(process);
	process_put(process);
	if (space != NULL && space->serial != node->space) {
		space_put(space);
		space = NULL;
	}
	return space;
}

/* What mm/ did not get at may be a page that only a device has: it is read in, whatever the program may do with it. Whether to look again. */
static bool mem_read_in(struct space *space, uint64_t at, bool *there)
{
	struct object *object;
	uint64_t index;
	bool again = false;

	if (space_object_at(space, VADDR(at), &object, &index) != 0)
		return false;
	if (object_store(object) != NULL) {
		/* One that is there was read in since, or may not be written: another look tells. */
		bool was_there = object_has(object, index);

		again = was_there ? !*there : cache_read_in(object_store(object), index) == 0;
		*there = was_there;
	}
	object_put(object);
	return again;
}

static uint64_t mem_force(struct space *space, char *buffer, uint64_t at, uint64_t n, bool writing)
{
	uint64_t done = 0;
	bool there = false;

	do {
		uint64_t part = writing ? force_write(space, VADDR(at + done), buffer + done, n - done)
					: force_read(space, buffer + done, VADDR(at + done), n - done);

		there = there && part == 0;
		done += part;
	} while (done < n && mem_read_in(space, at + done, &there));
	return done;
}

/* One page's worth at most: bytes moved, -EFAULT: the caller's buffer; 0: not to be had. */
static int64_t mem_part(struct space *space, struct io *io, uint64_t at, bool writing, void *buffer)
{
	uint64_t n = MIN(io->left, PAGE_SIZE);

	if (writing) {
		if (io_take(io, buffer, n) != n)
			return io->error;
		return (int64_t)mem_force(space, buffer, at, n, true);
	}
	n = mem_force(space, buffer, at, n, false);
	return io_put(io, buffer, n) != n ? io->error : (int64_t)n;
}

static int64_t mem_copy(struct space *space, struct io *io, uint64_t *at, bool writing, void *buffer)
{
	int64_t done = 0;

	io->error = 0;
	while (io->left != 0) {
		uint64_t want = MIN(io->left, PAGE_SIZE);
		int64_t n = mem_part(space, io, *at, writing, buffer);

		if (n <= 0)
			return n < 0 ? n : done != 0 ? done : -EIO;
		done += n;
		*at += (uint64_t)n;
		if ((uint64_t)n < want)
			break;
		io_yield(io);
		if (io->error != 0)
			break;
	}
	return done;
}

static int64_t mem_move(struct file *file, struct io *io, const uint64_t *at, bool writing)
{
	uint64_t place = at != NULL ? *at : file->position;
	struct space *space = mem_space(file->node);
	void *buffer;
	int64_t done;

	if (space == NULL)
		return 0;
	buffer = kalloc(PAGE_SIZE);
	done = buffer == NULL ? -ENOMEM : mem_copy(space, io, &place, writing, buffer);
	kfree(buffer);
	space_put(space);
	if (at == NULL) {
		spin_lock(&file->lock, RANK_FILE);
		file->position = place;
		spin_unlock(&file->lock, RANK_FILE);
	}
	return done;
}

static int64_t mem_read(struct file *file, struct io *io, const uint64_t *at)
{
	return mem_move(file, io, at, false);
}

static int64_t mem_write(struct file *file, struct io *io, const uint64_t *at)
{
	return mem_move(file, io, at, true);
}

/* Any address, those too that look negative. */
static int64_t mem_seek(struct file *file, int64_t offset, unsigned whence)
{
	int64_t result = -EINVAL;

	spin_lock(&file->lock, RANK_FILE);
	if (whence <= 1) {
		file->position = (whence == 1 ? file->position : 0) + (uint64_t)offset;
		result = (int64_t)file->position;
	}
	spin_unlock(&file->lock, RANK_FILE);
	return result;
}

static const struct file_ops mem_ops = { .read = mem_read, .write = mem_write, .seek = mem_seek };

void proc_mem_node(struct node *node, struct process *process)
{
	struct space *space = process_space(process);

	node->ops = &mem_ops;
	node->space = space == NULL ? 0 : space->serial;
	if (space != NULL)
		space_put(space);
}
