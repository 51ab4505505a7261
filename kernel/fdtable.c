/*
 * Descriptor tables: small integers to open files.
 *
 * Invariants: a slot that is taken holds one count of its file; no slot below `lowest` is free; `slots` has `size` places
 * and only grows; none from `top` on is taken. A file enters a table when it is complete, so no slot is ever half made.
 *
 * Locks: the table's (RANK_FILES) guards slots, size, lowest and limit. Memory is allocated and files are let go of
 * outside of it: the last file_put of a file calls its release.
 *
 * Races and where they are shut:
 *  close or dup3 in one thread, read in another: fdtable_lookup takes a count under the lock; the file is released when
 *    the slower one lets go of it. The read goes on on the file it began with, as on Linux.
 *  dup3 onto a descriptor, open that is about to return it: dup_to replaces the slot in one step under the lock; an open that is not
 *    done has no slot yet, and takes one that is free when it has one to take.
 *  fork's clone, close: clone copies slot and count together under the lock.
 *  two growing at once: who comes second finds the table grown and drops its own array.
 */
#include <string.h>

#include "kernel/file.h"
#include "kernel/file_lock.h"
#include "kernel/process.h"
#include "kernel/spare.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define FDTABLE_START  32U
#define FDTABLE_FORKED 8U  /* a copy's, at least */
#define FDTABLE_ROOM   64U /* Linux's, to begin with; both double */

struct fd_slot {
	struct file *file; /* NULL: free */
	bool cloexec;
};

struct fd_table {
	_Atomic uint32_t count;
	struct spinlock lock; /* RANK_FILES: all below */
	unsigned size;
	unsigned lowest;
	unsigned top; /* none from here on was ever taken */
	unsigned limit;
	struct fd_slot *slots;
	struct fd_slot own[FDTABLE_FORKED]; /* what slots is to begin with, after a fork; all free while it is not */
};

static void fdtable_lock(struct fd_table *table)
{
	spin_lock(&table->lock, RANK_FILES);
}

static void fdtable_unlock(struct fd_table *table)
{
	spin_unlock(&table->lock, RANK_FILES);
}

/* One that was put by has no file, no other slots than its own, and nobody has its lock. */
static void fdtable_free(struct fd_table *table)
{
	if (table->slots != table->own)
		kfree(table->slots);
	if (!spare_put(SPARE_FILES, table))
		kfree(table);
}

static struct fd_table *fdtable_new(unsigned size, unsigned limit)
{
	struct fd_table *table = spare_take(SPARE_FILES);

	if (table == NULL)
		table = kalloc(sizeof(*table));
	if (table == NULL)
		return NULL;
	table->slots = table->own;
	if (size > FDTABLE_FORKED)
		table->slots = kalloc(size * sizeof(*table->slots));
	if (table->slots == NULL) {
		fdtable_free(table);
		return NULL;
	}
	atomic_init(&table->count, 1);
	table->size = size;
	table->lowest = 0;
	table->top = 0;
	table->limit = limit;
	return table;
}

struct fd_table *fdtable_create(void)
{
	return fdtable_new(FDTABLE_START, FD_LIMIT_DEFAULT);
}

void fdtable_get(struct fd_table *table)
{
	/* relaxed: the caller has a reference */
	uint32_t old = atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);

	CHECK(old != 0 && old != UINT32_MAX);
}

/* A file that has left its slot, or whose table ends. */
static void let_go(struct fd_table *table, struct file *file)
{
	file_lock_closed(table, file);
	file_put(file);
}

void fdtable_put(struct fd_table *table)
{
	uint32_t old;

	if (table == NULL)
		return;
	/* acq_rel: what others did with the table before they let go of it is done */
	old = atomic_fetch_sub_explicit(&table->count, 1, memory_order_acq_rel);
	CHECK(old != 0);
	if (old != 1)
		return;
	for (unsigned i = 0; i < table->top; i++) {
		struct file *file = table->slots[i].file;

		if (file == NULL)
			continue;
		table->slots[i] = (struct fd_slot){ 0 };
		let_go(table, file);
	}
	fdtable_free(table);
}

static bool fdtable_has(const struct fd_table *table, int fd)
{
	return fd >= 0 && (unsigned)fd < table->size && table->slots[fd].file != NULL;
}

/* Makes room for descriptor `want`. Called without the lock. */
static int fdtable_grow(struct fd_table *table, unsigned want)
{
	unsigned size = FDTABLE_START;
	struct fd_slot *slots;
	struct fd_slot *old;

	if (want >= FD_LIMIT_MAX)
		return -EMFILE;
	while (size <= want)
		size *= 2;
	slots = kalloc(size * sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	fdtable_lock(table);
	old = slots;
	if (size > table->size) {
		old = table->slots;
		memcpy(slots, old, table->size * sizeof(*slots));
		table->slots = slots;
		table->size = size;
	}
	if (old == table->own) {
		memset(old, 0, sizeof(table->own));
		old = NULL;
	}
	fdtable_unlock(table);
	kfree(old);
	return 0;
}

static unsigned fdtable_find_free(const struct fd_table *table, unsigned from)
{
	unsigned fd = MAX(from, table->lowest);

	while (fd < table->size && table->slots[fd].file != NULL)
		fd++;
	return fd;
}

static int fdtable_install_locked(struct fd_table *table, struct file *file, bool cloexec, unsigned from, unsigned *at)
{
	unsigned fd = fdtable_find_free(table, from);

	*at = fd;
	if (fd >= table->limit)
		return -EMFILE;
	if (fd >= table->size)
		return -EAGAIN;
	table->slots[fd] = (struct fd_slot){ .file = file, .cloexec = cloexec };
	table->top = MAX(table->top, fd + 1);
	if (from <= table->lowest)
		table->lowest = fd + 1;
	return (int)fd;
}

int fdtable_install(struct fd_table *table, struct file *file, bool cloexec, unsigned from)
{
	for (;;) {
		unsigned want;
		int fd;

		fdtable_lock(table);
		fd = fdtable_install_locked(table, file, cloexec, from, &want);
		fdtable_unlock(table);
		if (fd != -EAGAIN)
			return fd;
		fd = fdtable_grow(table, want);
		if (fd != 0)
			return fd;
	}
}

int fdtable_lookup(struct fd_table *table, int fd, struct file **out)
{
	int error = -EBADF;

	fdtable_lock(table);
	if (fdtable_has(table, fd)) {
		*out = table->slots[fd].file;
		file_hold(*out);
		error = 0;
	}
	fdtable_unlock(table);
	return error;
}

int file_get(int fd, struct file **out)
{
	return fdtable_lookup(current_process()->files, fd, out);
}

/* The file that was there, whose count is now the caller's; or NULL. */
static struct file *fdtable_take_locked(struct fd_table *table, unsigned fd)
{
	struct file *file = table->slots[fd].file;

	table->slots[fd] = (struct fd_slot){ 0 };
	table->lowest = MIN(table->lowest, fd);
	return file;
}

int fdtable_close(struct fd_table *table, int fd)
{
	struct file *file = NULL;

	fdtable_lock(table);
	if (fdtable_has(table, fd))
		file = fdtable_take_locked(table, (unsigned)fd);
	fdtable_unlock(table);
	if (file == NULL)
		return -EBADF;
	let_go(table, file);
	return 0;
}

static int fdtable_dup_locked(struct fd_table *table, int from, int to, bool cloexec, struct file **old)
{
	if (to < 0 || (unsigned)to >= table->limit || !fdtable_has(table, from))
		return -EBADF;
	if ((unsigned)to >= table->size)
		return -EAGAIN;
	*old = table->slots[to].file;
	file_hold(table->slots[from].file);
	table->slots[to] = (struct fd_slot){ .file = table->slots[from].file, .cloexec = cloexec };
	table->top = MAX(table->top, (unsigned)to + 1);
	return to;
}

int fdtable_dup_to(struct fd_table *table, int from, int to, bool cloexec)
{
	struct file *old = NULL;
	int fd;

	for (;;) {
		fdtable_lock(table);
		fd = fdtable_dup_locked(table, from, to, cloexec, &old);
		fdtable_unlock(table);
		if (fd != -EAGAIN)
			break;
		fd = fdtable_grow(table, (unsigned)to);
		if (fd != 0)
			return fd;
	}
	if (old != NULL)
		let_go(table, old);
	return fd;
}

int fdtable_cloexec(struct fd_table *table, int fd)
{
	int result = -EBADF;

	fdtable_lock(table);
	if (fdtable_has(table, fd))
		result = table->slots[fd].cloexec;
	fdtable_unlock(table);
	return result;
}

int fdtable_set_cloexec(struct fd_table *table, int fd, bool cloexec)
{
	int error = -EBADF;

	fdtable_lock(table);
	if (fdtable_has(table, fd)) {
		table->slots[fd].cloexec = cloexec;
		error = 0;
	}
	fdtable_unlock(table);
	return error;
}

/* The next file in [*fd, last] that is to go, taken out of its slot; *fd moves behind it. NULL: none is left. */
static struct file *fdtable_take_next(struct fd_table *table, unsigned *fd, unsigned last, bool cloexec_only)
{
	struct file *file = NULL;

	fdtable_lock(table);
	for (; file == NULL && *fd <= last && *fd < table->size; ++*fd) {
		if (table->slots[*fd].file != NULL && (table->slots[*fd].cloexec || !cloexec_only))
			file = fdtable_take_locked(table, *fd);
	}
	fdtable_unlock(table);
	return file;
}

void fdtable_exec(struct fd_table *table)
{
	unsigned fd = 0;
	struct file *file;

	while ((file = fdtable_take_next(table, &fd, UINT32_MAX, true)) != NULL)
		let_go(table, file);
}

void fdtable_close_range(struct fd_table *table, unsigned first, unsigned last, bool cloexec_only)
{
	struct file *file;

	if (!cloexec_only) {
		while ((file = fdtable_take_next(table, &first, last, false)) != NULL)
			let_go(table, file);
		return;
	}
	fdtable_lock(table);
	for (unsigned fd = first; fd <= last && fd < table->size; fd++)
		table->slots[fd].cloexec = true;
	fdtable_unlock(table);
}

unsigned fdtable_limit(const struct fd_table *table)
{
	return table->limit;
}

unsigned fdtable_room(struct fd_table *table)
{
	unsigned size;

	fdtable_lock(table);
	size = table->size;
	fdtable_unlock(table);
	return MAX(size, FDTABLE_ROOM);
}

void fdtable_set_limit(struct fd_table *table, unsigned limit)
{
	fdtable_lock(table);
	table->limit = limit;
	fdtable_unlock(table);
}

static bool fdtable_copy_locked(struct fd_table *to, const struct fd_table *from)
{
	if (to->size < from->top)
		return false;
	for (unsigned fd = 0; fd < from->top; fd++) {
		struct file *file = from->slots[fd].file;

		if (file == NULL)
			continue;
		to->slots[fd] = from->slots[fd];
		file_hold(file);
	}
	to->top = from->top;
	to->lowest = from->lowest;
	to->limit = from->limit;
	return true;
}

int fdtable_clone(struct fd_table *table, struct fd_table **out)
{
	unsigned size = FDTABLE_FORKED;
	bool done;

	for (;;) {
		struct fd_table *clone = fdtable_new(size, FD_LIMIT_DEFAULT);

		if (clone == NULL)
			return -ENOMEM;
		fdtable_lock(table);
		done = fdtable_copy_locked(clone, table);
		while (size < table->top)
			size *= 2;
		fdtable_unlock(table);
		if (done) {
			*out = clone;
			return 0;
		}
		fdtable_put(clone);
	}
}
