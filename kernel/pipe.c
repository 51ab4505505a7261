/*
 * Pipes: a ring of 64 KiB, its pages allocated when bytes first reach them, two open files, and a wait queue for each end.
 *
 * Invariants: put - got is the number of bytes inside, at most PIPE_BYTES; both count on and are taken modulo PIPE_BYTES. A write
 * of at most PIPE_BUF bytes goes in as a whole or waits, so those of several writers never mix.
 *
 * Locks: pipe->lock (RANK_FILE). Bytes are copied to and from programs under it: the copy is what must not mix with
 * another's. A fault there takes locks of mm/ alone, which are inner, and whoever spins meanwhile serves its hart's requests.
 *
 * Close against read or write in another thread: each end's count is of open files, which a call in progress holds; so an
 * end goes only when no call is on it. The other end's sleepers are woken by the release and see readers or writers at 0.
 */
#include "kernel/pipe.h"

#include <string.h>

#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/touch.h"
#include "kernel/tree.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "mm/slab.h"
#include "mm/space.h"

#define PIPE_PAGES 16U
#define PIPE_BYTES (PIPE_PAGES * (uint32_t)PAGE_SIZE)
#define PIPE_BUF   4096U
#define FIONREAD   0x541BU

struct pipe {
	struct spinlock lock; /* all below, but for the queues' own */
	uint32_t got, put;
	bool has_reader, has_writer;
	char *page[PIPE_PAGES];
	uint64_t inode;
	uint64_t time_ns;
	struct wait_queue queue[2];
	struct wait_queue *readers, *writers; /* those, or the one of a socket pair */
};

static void pipe_lock(struct pipe *pipe)
{
	spin_lock(&pipe->lock, RANK_FILE);
}

static void pipe_unlock(struct pipe *pipe)
{
	spin_unlock(&pipe->lock, RANK_FILE);
}

static uint32_t pipe_used(const struct pipe *pipe)
{
	return pipe->put - pipe->got;
}

/* The piece of the ring from `at` on that lies in one page: where, and at most n bytes of it. NULL: no memory for it. */
static char *pipe_piece(struct pipe *pipe, uint32_t at, uint32_t *n)
{
	uint32_t place = at % PIPE_BYTES;
	uint32_t in_page = place & (uint32_t)PAGE_MASK;
	char **page = &pipe->page[place >> PAGE_SHIFT];

	*n = MIN(*n, (uint32_t)PAGE_SIZE - in_page);
	if (*page == NULL)
		*page = kalloc(PAGE_SIZE);
	return *page == NULL ? NULL : *page + in_page;
}

static uint64_t pipe_out_locked(struct pipe *pipe, struct io *io)
{
	uint64_t done = 0;

	touch_forbid();
	while (pipe_used(pipe) != 0 && io->left != 0 && io->error == 0) {
		uint32_t n = pipe_used(pipe);
		const char *from = pipe_piece(pipe, pipe->got, &n);
		uint32_t moved = (uint32_t)io_put(io, from, n);

		pipe->got += moved;
		done += moved;
	}
	touch_allow();
	return done;
}

/* limit: how much may go in now, by the ring's room. */
static uint64_t pipe_in_locked(struct pipe *pipe, struct io *io, uint64_t limit)
{
	struct io before = *io;
	uint64_t done = 0;

	touch_forbid();
	while (done < limit && io->error == 0) {
		uint32_t n = (uint32_t)(limit - done);
		char *to = pipe_piece(pipe, pipe->put, &n);
		uint32_t moved;

		if (to == NULL) {
			io->error = -ENOMEM;
			break;
		}
		moved = (uint32_t)io_take(io, to, n);
		pipe->put += moved;
		done += moved;
	}
	touch_allow();
	if (io->error == -EWANTED && before.left <= PIPE_BUF) { /* goes in as a whole, so it has not begun */
		io_rewind(io, &before);
		pipe->put -= (uint32_t)done;
		return 0;
	}
	return done;
}

/* Moves what there is; *done counts. True: the call is over. False: nothing to read yet, or a page is wanted. */
static bool pipe_try_read(struct pipe *pipe, struct io *io, uint64_t *done)
{
	uint64_t moved;
	bool ended;

	io->error = 0;
	pipe_lock(pipe);
	moved = pipe_out_locked(pipe, io);
	*done += moved;
	ended = *done != 0 || !pipe->has_writer;
	pipe_unlock(pipe);
	if (moved != 0)
		wake_all(pipe->writers);
	return io->error == -EWANTED ? false : ended || io->error != 0;
}

static int64_t pipe_read(struct file *file, struct io *io, const uint64_t *at)
{
	struct pipe *pipe = file->data;
	struct waiter waiter = { 0 };
	uint64_t done = 0;
	int error = 0;

	(void)at;
	if (io->left == 0 || pipe_try_read(pipe, io, &done))
		return io_result(io, done);
	for (;;) {
		wait_prepare(pipe->readers, &waiter);
		if (pipe_try_read(pipe, io, &done))
			break;
		error = io_block(io, (file_flags(file) & O_NONBLOCK) != 0, WAIT_FOREVER);
		if (error != 0) {
			io->error = error;
			break;
		}
	}
	wait_finish(pipe->readers, &waiter);
	return io_result(io, done);
}

/* Moves what can be moved now; *done counts. True: the call is over, by error (*error) or because all went in. */
static bool pipe_try_write(struct pipe *pipe, struct io *io, uint64_t *done, int *error)
{
	uint64_t room, moved = 0;

	*error = 0;
	io->error = 0;
	pipe_lock(pipe);
	room = PIPE_BYTES - pipe_used(pipe);
	if (!pipe->has_reader)
		*error = -EPIPE;
	else if (room >= MIN(io->left, PIPE_BUF) || (*done + io->left > PIPE_BUF && room != 0))
		moved = pipe_in_locked(pipe, io, MIN(io->left, room));
	if (moved != 0)
		pipe->time_ns = time_ns();
	pipe_unlock(pipe);
	*done += moved;
	if (moved != 0)
		wake_all(pipe->readers);
	if (*error == 0 && io->error != -EWANTED)
		*error = io->error;
	return *error != 0 || io->left == 0;
}

static int64_t pipe_write(struct file *file, struct io *io, const uint64_t *at)
{
	struct pipe *pipe = file->data;
	struct waiter waiter = { 0 };
	uint64_t done = 0;
	int error = 0;

	(void)at;
	if (io->left == 0)
		return 0;
	while (!pipe_try_write(pipe, io, &done, &error)) {
		wait_prepare(pipe->writers, &waiter);
		if (pipe_try_write(pipe, io, &done, &error))
			break;
		error = io_block(io, (file_flags(file) & O_NONBLOCK) != 0, WAIT_FOREVER);
		if (error != 0)
			break;
	}
	wait_finish(pipe->writers, &waiter);
	if (error == -EPIPE)
		signal_self(SIGPIPE);
	return done != 0 ? (int64_t)done : error;
}

static unsigned pipe_poll_read(struct file *file, struct wait_queue **queue)
{
	struct pipe *pipe = file->data;
	unsigned events;

	*queue = pipe->readers;
	pipe_lock(pipe);
	events = (pipe_used(pipe) != 0 ? POLLIN : 0) | (pipe->has_writer ? 0 : POLLHUP);
	pipe_unlock(pipe);
	return events;
}

static unsigned pipe_poll_write(struct file *file, struct wait_queue **queue)
{
	struct pipe *pipe = file->data;
	unsigned events;

	*queue = pipe->writers;
	pipe_lock(pipe);
	events = (PIPE_BYTES - pipe_used(pipe) >= PIPE_BUF ? POLLOUT : 0) | (pipe->has_reader ? 0 : POLLERR);
	pipe_unlock(pipe);
	return events;
}

static int pipe_stat(struct file *file, struct file_stat *out)
{
	struct pipe *pipe = file->data;

	*out = (struct file_stat){ .device = 3,
				   .inode = pipe->inode,
				   .mode = S_IFIFO | 0600U,
				   .links = 1,
				   .block_size = PAGE_SIZE,
				   .time_ns = pipe->time_ns };
	return 0;
}

static int64_t pipe_ioctl(struct file *file, uint64_t request, uint64_t argument)
{
	struct pipe *pipe = file->data;
	uint32_t used;

	if (request != FIONREAD)
		return -ENOTTY;
	pipe_lock(pipe);
	used = pipe_used(pipe);
	pipe_unlock(pipe);
	return user_write(current_space(), VADDR(argument), &used, sizeof(used));
}

static void pipe_free(struct pipe *pipe)
{
	for (unsigned i = 0; i < PIPE_PAGES; i++)
		kfree(pipe->page[i]);
	kfree(pipe);
}

/* The end is gone; the last one frees. The other end's files may be going at the same time: the lock says who is last. */
static void pipe_close(struct pipe *pipe, bool *end)
{
	bool last;

	pipe_lock(pipe);
	*end = false;
	last = !pipe->has_reader && !pipe->has_writer;
	if (!last) { /* under the lock, so that the other end cannot free it before it is woken */
		wake_all(pipe->readers);
		wake_all(pipe->writers);
	}
	pipe_unlock(pipe);
	if (last)
		pipe_free(pipe);
}

static void pipe_release_read(struct file *file)
{
	struct pipe *pipe = file->data;

	pipe_close(pipe, &pipe->has_reader);
}

static void pipe_release_write(struct file *file)
{
	struct pipe *pipe = file->data;

	pipe_close(pipe, &pipe->has_writer);
}

static const struct file_ops pipe_read_ops = {
	.read = pipe_read,
	.poll = pipe_poll_read,
	.stat = pipe_stat,
	.ioctl = pipe_ioctl,
	.release = pipe_release_read,
};

static const struct file_ops pipe_write_ops = {
	.write = pipe_write,
	.poll = pipe_poll_write,
	.stat = pipe_stat,
	.ioctl = pipe_ioctl,
	.release = pipe_release_write,
};

bool file_is_pipe(const struct file *file)
{
	return file->ops == &pipe_read_ops || file->ops == &pipe_write_ops;
}

static struct pipe *pipe_new(struct wait_queue *shared)
{
	static _Atomic uint64_t inodes = 1;
	struct pipe *pipe = kalloc(sizeof(*pipe));

	if (pipe == NULL)
		return NULL;
	spin_init(&pipe->lock);
	wait_queue_init(&pipe->queue[0]);
	wait_queue_init(&pipe->queue[1]);
	pipe->readers = shared != NULL ? shared : &pipe->queue[0];
	pipe->writers = shared != NULL ? shared : &pipe->queue[1];
	/* relaxed: only uniqueness counts */
	pipe->inode = atomic_fetch_add_explicit(&inodes, 1, memory_order_relaxed);
	pipe->time_ns = time_ns();
	return pipe;
}

int pipe_create(unsigned flags, struct wait_queue *shared, struct file **reader, struct file **writer)
{
	struct pipe *pipe = pipe_new(shared);
	int error;

	if (pipe == NULL)
		return -ENOMEM;
	error = file_create(&pipe_read_ops, O_RDONLY | (flags & (O_NONBLOCK | O_DIRECT)), NULL, pipe, reader);
	if (error != 0) {
		pipe_free(pipe);
		return error;
	}
	pipe->has_reader = true;
	error = file_create(&pipe_write_ops, O_WRONLY | (flags & (O_NONBLOCK | O_DIRECT)), NULL, pipe, writer);
	if (error != 0)
		file_put(*reader); /* takes the pipe with it */
	else
		pipe->has_writer = true;
	return error;
}
