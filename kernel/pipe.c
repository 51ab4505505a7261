/*
 * Pipes and FIFOs: a ring of 64 KiB, its pages allocated when bytes first reach them, and a wait queue for each end.
 *
 * A pipe belongs to a node of the tree, and lives as long: pipe2's have one without a name, a FIFO is one that has. So both
 * can be opened again (/proc/self/fd), however often; a FIFO's open waits for the other end.
 *
 * Invariants: put - got is the number of bytes inside, at most PIPE_BYTES; both count on and are taken modulo PIPE_BYTES. A write
 * of at most PIPE_BUF bytes goes in as a whole or waits, so those of several writers never mix. readers and writers count open files (and
 * opens that wait) of either kind; when both are 0, what is inside goes.
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
#include "kernel/sys.h"
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
	uint32_t readers, writers;
	uint64_t readers_ever, writers_ever; /* how often one came, for those who wait for it */
	bool duplex;			     /* a file has both ends, and waits for either among the readers */
	char *page[PIPE_PAGES];
	uint64_t time_ns;
	struct wait_queue read_queue, write_queue;
};

static void pipe_lock(struct pipe *pipe)
{
	spin_lock(&pipe->lock, RANK_FILE);
}

static void pipe_unlock(struct pipe *pipe)
{
	spin_unlock(&pipe->lock, RANK_FILE);
}

static void wake_readers(struct pipe *pipe)
{
	wake_all(&pipe->read_queue);
}

static void wake_writers(struct pipe *pipe)
{
	wake_all(&pipe->write_queue);
	if (pipe->duplex)
		wake_all(&pipe->read_queue);
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
	ended = *done != 0 || pipe->writers == 0;
	pipe_unlock(pipe);
	if (moved != 0)
		wake_writers(pipe);
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
		wait_prepare(&pipe->read_queue, &waiter);
		if (pipe_try_read(pipe, io, &done))
			break;
		error = io_block(io, (file_flags(file) & O_NONBLOCK) != 0, WAIT_FOREVER);
		if (error != 0) {
			io->error = error;
			break;
		}
	}
	wait_finish(&pipe->read_queue, &waiter);
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
	if (pipe->readers == 0)
		*error = -EPIPE;
	else if (room >= MIN(io->left, PIPE_BUF) || (*done + io->left > PIPE_BUF && room != 0))
		moved = pipe_in_locked(pipe, io, MIN(io->left, room));
	if (moved != 0)
		pipe->time_ns = time_realtime_ns();
	pipe_unlock(pipe);
	*done += moved;
	if (moved != 0)
		wake_readers(pipe);
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
		wait_prepare(&pipe->write_queue, &waiter);
		if (pipe_try_write(pipe, io, &done, &error))
			break;
		error = io_block(io, (file_flags(file) & O_NONBLOCK) != 0, WAIT_FOREVER);
		if (error != 0)
			break;
	}
	wait_finish(&pipe->write_queue, &waiter);
	if (error == -EPIPE)
		signal_self(SIGPIPE);
	return done != 0 ? (int64_t)done : error;
}

/* A FIFO that was opened for reading alone, when nobody wrote, hangs up only after somebody did: position is writers_ever then. */
static unsigned pipe_poll(struct file *file, struct wait_queue **queue)
{
	struct pipe *pipe = file->data;
	bool reads = file_may_read(file), writes = file_may_write(file);
	unsigned events = 0;

	*queue = reads ? &pipe->read_queue : &pipe->write_queue;
	pipe_lock(pipe);
	if (reads && pipe_used(pipe) != 0)
		events |= POLLIN;
	if (reads && pipe->writers == 0 && file->position != pipe->writers_ever)
		events |= POLLHUP;
	if (writes && PIPE_BYTES - pipe_used(pipe) >= PIPE_BUF)
		events |= POLLOUT;
	if (writes && pipe->readers == 0)
		events |= POLLERR;
	pipe_unlock(pipe);
	return events;
}

static int pipe_stat(struct file *file, struct file_stat *out)
{
	const struct pipe *pipe = file->data;

	node_stat(file->node, out);
	out->modified_ns = MAX(out->modified_ns, pipe->time_ns);
	out->changed_ns = MAX(out->changed_ns, pipe->time_ns);
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

/* ---- Ends that come and go. */

static void pipe_empty(struct pipe *pipe)
{
	for (unsigned i = 0; i < PIPE_PAGES; i++) {
		kfree(pipe->page[i]);
		pipe->page[i] = NULL;
	}
	pipe->got = pipe->put = 0;
}

static void pipe_leave(struct pipe *pipe, bool reads, bool writes)
{
	pipe_lock(pipe);
	pipe->readers -= reads;
	pipe->writers -= writes;
	if (pipe->readers == 0 && pipe->writers == 0) {
		pipe_empty(pipe);
		pipe->duplex = false;
	} else if (pipe->readers == 0 || pipe->writers == 0) {
		wake_readers(pipe);
		wake_writers(pipe);
	}
	pipe_unlock(pipe);
}

static void pipe_release(struct file *file)
{
	pipe_leave(file->data, file_may_read(file), file_may_write(file));
}

static const struct file_ops pipe_ops = {
	.read = pipe_read,
	.write = pipe_write,
	.poll = pipe_poll,
	.stat = pipe_stat,
	.ioctl = pipe_ioctl,
	.release = pipe_release,
};

bool file_is_pipe(const struct file *file)
{
	return file->ops == &pipe_ops;
}

/* What an open found when it came. */
struct arrival {
	bool partner;  /* the other end was there; it may have gone since */
	uint64_t seen; /* else how often it had been there */
	bool no_writer;
};

/* -ENXIO: a writer that does not wait, and no reader. */
static int pipe_join(struct pipe *pipe, bool reads, bool writes, bool needs_reader, struct arrival *arrival)
{
	int error = 0;

	pipe_lock(pipe);
	arrival->partner = (reads ? pipe->writers : pipe->readers) != 0;
	arrival->seen = reads ? pipe->writers_ever : pipe->readers_ever;
	arrival->no_writer = pipe->writers == 0;
	if (needs_reader && pipe->readers == 0) {
		error = -ENXIO;
	} else {
		pipe->readers += reads;
		pipe->writers += writes;
		pipe->readers_ever += reads;
		pipe->writers_ever += writes;
		pipe->duplex = pipe->duplex || (reads && writes);
		wake_readers(pipe);
		wake_writers(pipe);
	}
	pipe_unlock(pipe);
	return error;
}

/* Whether the other end is there, or has been since it was so often there. */
static bool partner_came(struct pipe *pipe, bool reads, uint64_t seen)
{
	bool came;

	pipe_lock(pipe);
	came = reads ? pipe->writers != 0 || pipe->writers_ever != seen
		     : pipe->readers != 0 || pipe->readers_ever != seen;
	pipe_unlock(pipe);
	return came;
}

static int wait_for_partner(struct pipe *pipe, bool reads, uint64_t seen)
{
	struct wait_queue *queue = reads ? &pipe->read_queue : &pipe->write_queue;
	struct waiter waiter = { 0 };
	int error = 0;

	while (error == 0) {
		wait_prepare(queue, &waiter);
		if (partner_came(pipe, reads, seen))
			break;
		error = wait_block(WAIT_FOREVER);
	}
	wait_finish(queue, &waiter);
	return error;
}

int fifo_open(struct node *node, unsigned flags, struct file **out)
{
	struct pipe *pipe = node->fifo.pipe;
	bool reads = (flags & O_ACCMODE) != O_WRONLY, writes = (flags & O_ACCMODE) != O_RDONLY;
	bool waits = !node->fifo.nameless && reads != writes;
	struct arrival arrival;
	int error;

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return -EINVAL;
	error = pipe_join(pipe, reads, writes, waits && writes && (flags & O_NONBLOCK) != 0, &arrival);
	if (error != 0)
		return error;
	if (waits && (flags & O_NONBLOCK) == 0 && !arrival.partner)
		error = wait_for_partner(pipe, reads, arrival.seen);
	if (error == 0)
		error = file_create(&pipe_ops, flags, node, pipe, out);
	if (error != 0) {
		pipe_leave(pipe, reads, writes);
		return error;
	}
	(*out)->position = waits && reads && arrival.no_writer && (flags & O_NONBLOCK) != 0 ? arrival.seen : 0;
	return 0;
}

/* ---- Making them. */

struct pipe *pipe_new(void)
{
	struct pipe *pipe = kalloc(sizeof(*pipe));

	if (pipe == NULL)
		return NULL;
	spin_init(&pipe->lock);
	wait_queue_init(&pipe->read_queue);
	wait_queue_init(&pipe->write_queue);
	return pipe;
}

/* With its node: nobody has it open. */
void pipe_free(struct pipe *pipe)
{
	CHECK(pipe->readers == 0 && pipe->writers == 0);
	kfree(pipe);
}

/* As node_open does it, without O_LARGEFILE: no pipe of pipe2 has that. */
static int pipe_end(struct node *node, unsigned flags, struct file **out)
{
	int error;

	node_get(node);
	error = fifo_open(node, flags, out);
	if (error != 0)
		node_put(node);
	return error;
}

int pipe_create(unsigned flags, struct file **reader, struct file **writer)
{
	struct node *node;
	int error = node_create(S_IFIFO | 0600U, &node);

	if (error != 0)
		return error;
	node->fifo.nameless = true;
	node->links = 1;
	flags &= O_NONBLOCK | O_DIRECT;
	error = pipe_end(node, O_RDONLY | flags, reader);
	if (error == 0) {
		error = pipe_end(node, O_WRONLY | flags, writer);
		if (error != 0)
			file_put(*reader);
	}
	node_put(node);
	return error;
}
