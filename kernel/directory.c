/*
 * Open directories: getdents64 and seeking.
 *
 * The position is the cookie of the entry to go on with (0 and 1: "." and ".."), guarded by the tree's lock instead of the
 * file's. Records go to the program one by one under that lock: a fault there takes locks of mm/ alone, which are inner.
 */
#include <string.h>

#include "kernel/touch.h"
#include "kernel/tree.h"
#include "kernel/volume.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define MAGIC_START   (UINT64_C(1) << 40) /* positions of names that the directory makes up */
#define DIRENT_HEADER 19U		  /* offsetof(struct linux_dirent64, d_name) */

struct dirent {
	uint64_t inode;
	int64_t next; /* where to seek to for what follows */
	uint16_t bytes;
	uint8_t type;
	char name[NAME_MOST + 1 + 8];
} __attribute__((packed));

_Static_assert(offsetof(struct dirent, name) == DIRENT_HEADER, "as Linux has it");

/* 1: put; 0: it does not fit; or the error of the copy. */
static int dirent_put(struct io *io, uint64_t inode, uint8_t type, const char *name, uint64_t next)
{
	struct dirent record = { 0 };
	struct io before = *io;
	size_t bytes = strlen(name);

	record.inode = inode;
	record.next = (int64_t)next;
	record.bytes = (uint16_t)ALIGN_UP(DIRENT_HEADER + bytes + 1, 8U);
	record.type = type;
	memcpy(record.name, name, bytes);
	if (io->left < record.bytes)
		return 0;
	if (io_put(io, &record, record.bytes) == record.bytes)
		return 1;
	io_rewind(io, &before);
	return io->error;
}

/* The entry at the position; *next: the position behind it. False: the directory has ended. */
static bool directory_entry(struct file *file, const struct node **node, const char **name, uint64_t *next)
{
	struct entry *entry;

	*next = file->position + 1;
	if (file->position < 2) {
		*name = file->position == 0 ? "." : "..";
		*node = file->position == 0 ? file->node : file->node->directory.parent;
		return true;
	}
	entry = file->node->volume != NULL ? NULL : tree_next_locked(file->node, file->position);
	if (entry == NULL)
		return false;
	*name = entry->name;
	*node = entry->node;
	*next = entry->cookie + 1;
	return true;
}

/* Behind the entries: what the directory makes up, without a lock, as each name may take those of processes. */
static int directory_magic(struct file *file, struct io *io)
{
	const struct node_magic *magic = file->node->magic;
	uint64_t from = MAX(file->position, MAGIC_START) - MAGIC_START;
	struct magic_name found;
	int put = 1;

	if (magic == NULL || magic->next == NULL)
		return 1;
	while (put == 1 && magic->next(file->node, from, &found)) {
		from = found.next;
		put = dirent_put(io, MAGIC_START + from, found.type, found.name, MAGIC_START + from);
		if (put != 1)
			break;
		tree_enter();
		file->position = MAGIC_START + from;
		tree_leave();
	}
	return put;
}

/* On a volume: those that it has, without a lock. Positions are the volume's, behind "." and "..". */
static int directory_volume(struct file *file, struct io *io)
{
	struct fat_dirent *entry = kalloc(sizeof(*entry));
	uint64_t position = MIN(MAX(file->position, 2U) - 2, UINT32_MAX);
	uint32_t cursor = (uint32_t)position;
	int put = entry == NULL ? -ENOMEM : 1;

	while (put == 1) {
		int found = volume_next(file->node, &cursor, entry);

		if (found != 1) {
			put = found == 0 ? 1 : found;
			break;
		}
		put = dirent_put(io, entry->ino, entry->directory ? S_IFDIR >> 12 : S_IFREG >> 12, entry->name,
				 (uint64_t)cursor + 2);
		if (put != 1)
			break;
		tree_enter();
		file->position = (uint64_t)cursor + 2;
		tree_leave();
	}
	kfree(entry);
	return put;
}

/* As many as fit. 1: all of them; else what dirent_put said last. */
static int directory_entries(struct file *file, struct io *io)
{
	const struct node *node;
	const char *name;
	uint64_t next;
	int put = 1;

	tree_enter();
	touch_forbid();
	if (file->node->directory.removed)
		put = -ENOENT;
	while (put == 1 && directory_entry(file, &node, &name, &next)) {
		put = dirent_put(io, node->inode, (uint8_t)((node->mode & S_IFMT) >> 12), name, next);
		if (put == 1)
			file->position = next;
	}
	touch_allow();
	tree_leave();
	return put;
}

static int64_t directory_getdents(struct file *file, struct io *io)
{
	uint64_t before = io->left;
	int put;

	do {
		put = directory_entries(file, io);
	} while (put == -EWANTED && io_touch(io) == 0);
	if (put == 1)
		put = file->node->volume != NULL ? directory_volume(file, io) : directory_magic(file, io);
	if (file->node->volume == NULL)
		node_accessed(file->node);
	if (io->left != before)
		return (int64_t)(before - io->left);
	return put == 1 ? 0 : put == 0 ? -EINVAL : put == -EWANTED ? io->error : put;
}

static int64_t directory_seek(struct file *file, int64_t offset, unsigned whence)
{
	int64_t result = -EINVAL;

	tree_enter();
	if (whence <= 1 && !__builtin_add_overflow(whence == 1 ? (int64_t)file->position : 0, offset, &result) &&
	    result >= 0)
		file->position = (uint64_t)result;
	else
		result = -EINVAL;
	tree_leave();
	return result;
}

static int64_t directory_read(struct file *file, struct io *io, const uint64_t *at)
{
	(void)file;
	(void)io;
	(void)at;
	return -EISDIR;
}

static struct store *directory_store(struct file *file)
{
	(void)file;
	return NULL;
}

const struct file_ops directory_ops = {
	.store = directory_store,
	.read = directory_read,
	.seek = directory_seek,
	.getdents = directory_getdents,
	.gives_no_run = true,
};
