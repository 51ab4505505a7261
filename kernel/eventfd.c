/*
 * eventfd2: a count that can be waited for.
 *
 * Locks: event->lock (RANK_FILE) guards the count. Readers and writers sleep on one queue, and every change wakes them
 * all: those who find nothing for them sleep again.
 */
#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "kernel/wait.h"
#include "mm/slab.h"

#define EFD_SEMAPHORE 1U
#define COUNT_MAX     (UINT64_MAX - 1)

struct event {
	struct spinlock lock;
	uint64_t count; /* [lock] */
	bool semaphore;
	struct wait_queue queue;
};

/* How much a read takes; 0: nothing is there. */
static uint64_t event_take(struct event *event)
{
	uint64_t taken;

	spin_lock(&event->lock, RANK_FILE);
	taken = event->semaphore && event->count != 0 ? 1 : event->count;
	event->count -= taken;
	spin_unlock(&event->lock, RANK_FILE);
	return taken;
}

static bool event_add(struct event *event, uint64_t n)
{
	bool fits;

	spin_lock(&event->lock, RANK_FILE);
	fits = n <= COUNT_MAX - event->count;
	if (fits)
		event->count += n;
	spin_unlock(&event->lock, RANK_FILE);
	return fits;
}

/* Does it now or waits until it can be done: a read (*value is what it took) or a write of *value. */
static int event_wait(struct file *file, bool write, uint64_t *value)
{
	struct event *event = file->data;
	struct waiter waiter = { 0 };
	uint64_t n = *value;
	int error = 0;

	for (;;) {
		wait_prepare(&event->queue, &waiter);
		if (write ? event_add(event, n) : (*value = event_take(event)) != 0)
			break;
		error = (file_flags(file) & O_NONBLOCK) != 0 ? -EAGAIN : wait_block(WAIT_FOREVER);
		if (error != 0)
			break;
	}
	wait_finish(&event->queue, &waiter);
	if (error == 0)
		wake_all(&event->queue);
	return error;
}

static int64_t event_read(struct file *file, struct io *io, const uint64_t *at)
{
	uint64_t value = 0;
	int error;

	(void)at;
	if (io->left < sizeof(value))
		return -EINVAL;
	error = event_wait(file, false, &value);
	if (error != 0)
		return error;
	return io_put(io, &value, sizeof(value)) == sizeof(value) ? (int64_t)sizeof(value) : -EFAULT;
}

static int64_t event_write_piece(struct file *file, struct io *io)
{
	uint64_t value;
	int error;

	if (io->range->bytes != sizeof(value))
		return -EINVAL;
	if (io_take(io, &value, sizeof(value)) != sizeof(value))
		return -EFAULT;
	if (value == UINT64_MAX)
		return -EINVAL;
	error = event_wait(file, true, &value);
	return error != 0 ? error : (int64_t)sizeof(value);
}

/* Each piece of a vector is a write of its own, of exactly a word, as on Linux. */
static int64_t event_write(struct file *file, struct io *io, const uint64_t *at)
{
	int64_t done = 0, result;

	(void)at;
	do {
		result = event_write_piece(file, io);
		done += MAX(result, 0);
		for (; result > 0 && io->left != 0 && io->skip == io->range->bytes; io->skip = 0)
			io->range++;
	} while (result > 0 && io->left != 0);
	return done != 0 ? done : result;
}

static unsigned event_poll(struct file *file, struct wait_queue **queue)
{
	struct event *event = file->data;
	unsigned events;

	*queue = &event->queue;
	spin_lock(&event->lock, RANK_FILE);
	events = (event->count != 0 ? POLLIN : 0) | (event->count < COUNT_MAX ? POLLOUT : 0);
	spin_unlock(&event->lock, RANK_FILE);
	return events;
}

static int event_stat(struct file *file, struct file_stat *out)
{
	(void)file;
	*out = (struct file_stat){ .device = 4, .inode = 1, .mode = 0600U, .links = 1, .block_size = PAGE_SIZE };
	return 0;
}

static void event_release(struct file *file)
{
	kfree(file->data);
}

static const struct file_ops event_ops = {
	.read = event_read,
	.write = event_write,
	.takes_words = true,
	.poll = event_poll,
	.stat = event_stat,
	.release = event_release,
};

int64_t sys_eventfd2(const uint64_t *a)
{
	unsigned flags = (uint32_t)a[1];
	struct event *event;
	struct file *file;
	int error;

	if ((flags & ~(EFD_SEMAPHORE | O_NONBLOCK | O_CLOEXEC)) != 0)
		return -EINVAL;
	event = kalloc(sizeof(*event));
	if (event == NULL)
		return -ENOMEM;
	spin_init(&event->lock);
	wait_queue_init(&event->queue);
	event->count = (uint32_t)a[0];
	event->semaphore = (flags & EFD_SEMAPHORE) != 0;
	error = file_create(&event_ops, O_RDWR | (flags & O_NONBLOCK), NULL, event, &file);
	if (error != 0) {
		kfree(event);
		return error;
	}
	error = fdtable_install(current_process()->files, file, (flags & O_CLOEXEC) != 0, 0);
	if (error < 0)
		file_put(file);
	return error;
}
