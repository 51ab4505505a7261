/*
 * /dev: null, zero, full, random, urandom, tty, console. Stateless but for the terminal, which is tty.c's.
 *
 * Device nodes are known by their Linux numbers, so those of an initramfs work too.
 */
#include <string.h>

#include "kernel/random.h"
#include "kernel/tree.h"
#include "kernel/tty.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "mm/object.h"

#define ZERO_BYTES   (UINT64_C(1) << 38) /* all that a program can map */
#define ZERO_CHUNK   (UINT64_C(64) << 10)
#define RANDOM_CHUNK 256U

static int64_t dev_swallow(struct file *file, struct io *io, const uint64_t *at)
{
	(void)file;
	(void)at;
	return (int64_t)io->left;
}

static int64_t null_read(struct file *file, struct io *io, const uint64_t *at)
{
	(void)file;
	(void)io;
	(void)at;
	return 0;
}

static int64_t zero_read(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t done = 0;
	uint64_t n;

	(void)file;
	(void)at;
	do {
		n = io_clear(io, ZERO_CHUNK);
		done += n;
		io_yield(io);
	} while (n == ZERO_CHUNK && io->error == 0 && !wait_interrupted());
	return io_result(io, done);
}

static int64_t full_write(struct file *file, struct io *io, const uint64_t *at)
{
	(void)file;
	(void)at;
	return io->left == 0 ? 0 : -ENOSPC;
}

static int64_t random_read(struct file *file, struct io *io, const uint64_t *at)
{
	uint8_t chunk[RANDOM_CHUNK];
	uint64_t done = 0;
	uint64_t put;

	(void)file;
	(void)at;
	do {
		random_bytes(chunk, sizeof(chunk));
		put = io_put(io, chunk, sizeof(chunk));
		done += put;
		io_yield(io);
	} while (put == sizeof(chunk) && io->left != 0 && io->error == 0 && !wait_interrupted());
	return io_result(io, done);
}

static int64_t dev_seek(struct file *file, int64_t offset, unsigned whence)
{
	(void)file;
	(void)offset;
	(void)whence;
	return 0;
}

/* Every mapping has memory of its own. */
static int zero_object(struct file *file, struct object **out)
{
	(void)file;
	return object_create(ZERO_BYTES, NULL, 0, out);
}

static const struct file_ops null_ops = {
	.read = null_read, .write = dev_swallow, .seek = dev_seek, .gives_no_run = true
};
static const struct file_ops zero_ops = {
	.read = zero_read, .write = dev_swallow, .seek = dev_seek, .object = zero_object
};
static const struct file_ops full_ops = { .read = zero_read, .write = full_write, .seek = dev_seek };
static const struct file_ops random_ops = { .read = random_read, .write = dev_swallow, .seek = dev_seek };

static const struct {
	const char *path;
	uint64_t rdev;
	uint32_t mode;
	const struct file_ops *ops;
} devices[] = {
	{ "/dev/null", DEVICE(1, 3), 0666, &null_ops },	     { "/dev/zero", DEVICE(1, 5), 0666, &zero_ops },
	{ "/dev/full", DEVICE(1, 7), 0666, &full_ops },	     { "/dev/random", DEVICE(1, 8), 0666, &random_ops },
	{ "/dev/urandom", DEVICE(1, 9), 0666, &random_ops }, { "/dev/tty", DEVICE(5, 0), 0666, &tty_ops },
	{ "/dev/console", DEVICE(5, 1), 0600, &tty_ops },
};

const struct file_ops *dev_ops(uint64_t rdev)
{
	for (size_t i = 0; i < ARRAY_LEN(devices); i++) {
		if (devices[i].rdev == rdev)
			return devices[i].ops;
	}
	return NULL;
}

static const struct {
	const char *path;
	const char *target; /* NULL: a directory for everybody */
} others[] = {
	{ "/dev/shm", NULL },
	{ "/dev/fd", "/proc/self/fd" },
	{ "/dev/stdin", "/proc/self/fd/0" },
	{ "/dev/stdout", "/proc/self/fd/1" },
	{ "/dev/stderr", "/proc/self/fd/2" },
};

static int dev_place(const char *path, struct node *node)
{
	int error;

	node->fixed = true;
	error = tree_place(path, node);
	node_put(node);
	return error == -EEXIST ? 0 : error; /* the initramfs has one */
}

static int dev_others(void)
{
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(others) && error == 0; i++) {
		const char *target = others[i].target;
		struct node *node;

		error = target == NULL ? node_create(S_IFDIR | 01777U, &node)
				       : node_create_link(target, strlen(target), &node);
		if (error == 0)
			error = dev_place(others[i].path, node);
	}
	return error;
}

/* The folder, and what of it came with the initramfs. */
static int dev_fix(void)
{
	struct node *root = node_root();
	struct node *dev;
	int error = path_lookup(root, "/dev", 0, &dev);

	node_put(root);
	if (error != 0)
		return error;
	dev->fixed = true;
	list_for_each (pos, &dev->directory.entries)
		list_entry(pos, struct entry, link)->node->fixed = true;
	node_put(dev);
	return 0;
}

int dev_init(void)
{
	int error = 0;

	for (size_t i = 0; i < ARRAY_LEN(devices) && error == 0; i++) {
		struct node *node;

		error = node_create(S_IFCHR | devices[i].mode, &node);
		if (error != 0)
			break;
		node->rdev = devices[i].rdev;
		error = dev_place(devices[i].path, node);
	}
	if (error == 0)
		error = dev_others();
	return error == 0 ? dev_fix() : error;
}
