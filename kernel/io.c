/*
 * Moving bytes between the kernel and the ranges of a program's memory that a read or write names.
 *
 * Copies are cut at the program's page boundaries: a page is there or it is not, so a copy that fails has moved nothing,
 * and the count of what was moved is exact. A long copy runs with interrupts off, so it serves the other harts' requests as it
 * goes, and ends early when its thread is being killed. No state of its own, no locks; user_read and user_write take theirs, all of
 * which are inner to RANK_FILE.
 */
#include <string.h>

#include "kernel/file.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/touch.h"
#include "kernel/wait.h"
#include "lib/errno.h"
#include "mm/space.h"

#define PIECES_SERVE 16U  /* 64 KiB at most */
#define PIECES_YIELD 256U /* 1 MiB */

void io_init(struct io *io, struct space *space, const struct io_range *range, uint64_t bytes)
{
	*io = (struct io){ .space = space, .range = range, .left = bytes };
}

uint64_t io_next(struct io *io, uint64_t n, vaddr_t *at)
{
	uint64_t page;

	while (io->skip == io->range->bytes) {
		io->range++;
		io->skip = 0;
	}
	*at = VADDR(io->range->base.v + io->skip);
	n = MIN(MIN(n, io->left), io->range->bytes - io->skip);
	page = PAGE_SIZE - (at->v & PAGE_MASK);
	return io->space == NULL ? n : MIN(n, page);
}

enum io_way { IO_PUT, IO_CLEAR, IO_TAKE };

static int io_kernel_piece(enum io_way way, uint8_t *user, uint8_t *mine, uint64_t n)
{
	if (way == IO_PUT)
		memcpy(user, mine, n);
	else if (way == IO_CLEAR)
		memset(user, 0, n);
	else
		memcpy(mine, user, n);
	return 0;
}

static int io_user_piece(struct space *space, enum io_way way, vaddr_t user, uint8_t *mine, uint64_t n)
{
	if (way == IO_PUT)
		return user_write(space, user, mine, n);
	if (way == IO_CLEAR)
		return user_clear(space, user, n);
	return user_read(space, mine, user, n);
}

static bool io_breathe(struct io *io)
{
	if (++io->pieces % PIECES_SERVE != 0)
		return true;
	hw_relax();
	/* relaxed: acted upon when the call returns */
	if ((atomic_load_explicit(&current_thread()->work, memory_order_relaxed) & WORK_KILL) == 0)
		return true;
	io->error = -EINTR;
	return false;
}

bool io_advance(struct io *io, uint64_t n)
{
	io->skip += n;
	io->left -= n;
	return io->space == NULL || io_breathe(io);
}

void io_yield(struct io *io)
{
	if (io->pieces < PIECES_YIELD)
		return;
	io->pieces = 0;
	/* Timers first: who is to run next may be asleep until one of this hart's. */
	sched_breathe();
	sched_yield();
}

static uint64_t io_move(struct io *io, enum io_way way, uint8_t *mine, uint64_t n)
{
	uint64_t done = 0;

	n = MIN(n, io->left);
	io->error = 0;
	while (done < n) {
		vaddr_t at;
		uint64_t piece = io_next(io, n - done, &at);
		uint8_t *from = way == IO_CLEAR ? NULL : mine + done;

		if (io->space == NULL)
			io->error = io_kernel_piece(way, (uint8_t *)(uintptr_t)at.v, from, piece);
		else
			io->error = io_user_piece(io->space, way, at, from, piece);
		if (io->error != 0) {
			io->wanted = at;
			io->takes = way == IO_TAKE;
			break;
		}
		done += piece;
		if (!io_advance(io, piece))
			break;
	}
	return done;
}

uint64_t io_put(struct io *io, const void *src, uint64_t n)
{
	return io_move(io, IO_PUT, (uint8_t *)(uintptr_t)src, n);
}

uint64_t io_clear(struct io *io, uint64_t n)
{
	return io_move(io, IO_CLEAR, NULL, n);
}

uint64_t io_take(struct io *io, void *dst, uint64_t n)
{
	return io_move(io, IO_TAKE, dst, n);
}

void io_rewind(struct io *io, const struct io *then)
{
	io->range = then->range;
	io->skip = then->skip;
	io->left = then->left;
}

int io_touch(struct io *io)
{
	io->error = touch(io->space, io->wanted, io->takes ? ACCESS_READ : ACCESS_WRITE);
	return io->error;
}

int io_block(struct io *io, bool nonblocking, uint64_t deadline_ns)
{
	if (io->error == -EWANTED)
		return io_touch(io);
	return nonblocking ? -EAGAIN : wait_block(deadline_ns);
}

int64_t io_result(const struct io *io, uint64_t done)
{
	return done == 0 && io->error != 0 ? io->error : (int64_t)done;
}
