/*
 * ppoll and pselect6.
 *
 * Each file that is asked about is held for as long as the call runs, so a close in another thread changes nothing here. A thread
 * is on the queues of all of them before it looks at any for the last time and blocks; whatever becomes true after the
 * look wakes it (kernel/wait.h).
 */
#include <string.h>

#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "kernel/wait.h"
#include "mm/slab.h"
#include "mm/space.h"

#define ALWAYS	   (POLLERR | POLLHUP | POLLNVAL)
#define POLLRDNORM 0x040U
#define POLLWRNORM 0x100U
#define NS_PER_SEC UINT64_C(1000000000)

struct pollfd {
	int32_t fd;
	int16_t events;
	int16_t revents;
};

struct poll_slot {
	struct file *file; /* NULL: none is asked about */
	struct wait_queue *queue;
	struct waiter waiter;
	uint32_t wanted;
	uint32_t found;
};

struct poll {
	struct poll_slot *slots;
	uint64_t count;
};

static unsigned slot_look(struct poll_slot *slot)
{
	uint32_t events = POLLIN | POLLOUT;

	slot->queue = NULL;
	if (slot->file == NULL)
		return slot->found;
	if (slot->file->ops->poll != NULL)
		events = slot->file->ops->poll(slot->file, &slot->queue);
	events |= ((events & POLLIN) != 0 ? POLLRDNORM : 0) | ((events & POLLOUT) != 0 ? POLLWRNORM : 0);
	slot->found = events & (slot->wanted | ALWAYS);
	return slot->found;
}

/* Looks at all; wait: and is on their queues before the look that counts. How many have something. */
static uint64_t poll_look(struct poll *poll, bool wait)
{
	uint64_t ready = 0;

	for (uint64_t i = 0; i < poll->count; i++) {
		struct poll_slot *slot = &poll->slots[i];

		if (slot_look(slot) == 0 && wait && ready == 0 && slot->queue != NULL) {
			wait_prepare(slot->queue, &slot->waiter);
			slot_look(slot);
		}
		ready += slot->found != 0;
	}
	return ready;
}

static void poll_leave(struct poll *poll)
{
	for (uint64_t i = 0; i < poll->count; i++) {
		if (poll->slots[i].queue != NULL)
			wait_finish(poll->slots[i].queue, &poll->slots[i].waiter);
		if (poll->slots[i].file != NULL)
			file_put(poll->slots[i].file);
	}
	kfree(poll->slots);
}

/* How many are ready; 0: the time is over. */
static int64_t poll_wait(struct poll *poll, uint64_t deadline_ns)
{
	uint64_t ready = poll_look(poll, false);
	int error = 0;

	while (ready == 0 && deadline_ns != 0) {
		ready = poll_look(poll, true);
		if (ready != 0 || error != 0)
			break;
		error = wait_block(deadline_ns);
		if (error == -EINTR)
			return error;
	}
	deadline_done();
	return (int64_t)ready;
}

/* A file that one asks about; a bad descriptor is POLLNVAL, a negative one nothing. */
static void slot_init(struct poll_slot *slot, int fd, unsigned wanted)
{
	slot->wanted = wanted;
	if (fd < 0)
		return;
	if (file_get(fd, &slot->file) != 0) {
		slot->file = NULL;
		slot->found = POLLNVAL;
	} else if ((file_flags(slot->file) & O_PATH) != 0) {
		file_put(slot->file);
		slot->file = NULL;
		slot->found = POLLNVAL;
	}
}

static int poll_create(struct poll *poll, uint64_t count)
{
	poll->count = count;
	poll->slots = kalloc((count + 1) * sizeof(*poll->slots));
	return poll->slots == NULL ? -ENOMEM : 0;
}

/* The deadline that a timespec asks for; 0: do not wait at all. */
static int deadline_read(uint64_t address, uint64_t *deadline_ns)
{
	uint64_t ns;
	int error;

	*deadline_ns = WAIT_FOREVER;
	if (address == 0)
		return 0;
	error = user_timespec(address, &ns);
	if (error == 0)
		*deadline_ns = ns == 0 ? 0 : deadline_after(ns);
	return error;
}

/* Linux tells how much of the time was left; nobody may rely on it, so a page that cannot take it is no error. */
static void deadline_write(uint64_t address, uint64_t deadline_ns)
{
	uint64_t now = time_ns();
	uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
	struct timespec out = { (int64_t)(left / NS_PER_SEC), (int64_t)(left % NS_PER_SEC) };

	if (address != 0 && deadline_ns != WAIT_FOREVER)
		(void)!user_write(current_space(), VADDR(address), &out, sizeof(out));
}

static int mask_swap(uint64_t address, uint64_t bytes)
{
	uint64_t mask;
	int error;

	if (address == 0)
		return 0;
	if (bytes != sizeof(mask))
		return -EINVAL;
	error = user_read(current_space(), &mask, VADDR(address), sizeof(mask));
	if (error == 0)
		signal_swap_mask(mask);
	return error;
}

/* ---- ppoll */

static int64_t poll_fds(struct pollfd *fds, uint64_t count, uint64_t deadline_ns)
{
	struct poll poll;
	int64_t result = poll_create(&poll, count);

	if (result != 0)
		return result;
	for (uint64_t i = 0; i < count; i++)
		slot_init(&poll.slots[i], fds[i].fd, (uint16_t)fds[i].events);
	result = poll_wait(&poll, deadline_ns);
	for (uint64_t i = 0; i < count; i++)
		fds[i].revents = (int16_t)poll.slots[i].found;
	poll_leave(&poll);
	return result;
}

int64_t sys_ppoll(const uint64_t *a)
{
	uint64_t count = (uint32_t)a[1];
	uint64_t deadline_ns;
	struct pollfd *fds;
	int64_t result;
	int error = deadline_read(a[2], &deadline_ns);

	if (error == 0)
		error = mask_swap(a[3], a[4]);
	if (error == 0 && count > fdtable_limit(current_process()->files))
		error = -EINVAL;
	if (error != 0)
		return error;
	fds = kalloc((count + 1) * sizeof(*fds));
	if (fds == NULL)
		return -ENOMEM;
	result = user_read(current_space(), fds, VADDR(a[0]), count * sizeof(*fds));
	if (result == 0)
		result = poll_fds(fds, count, deadline_ns);
	if (result >= 0 && user_write(current_space(), VADDR(a[0]), fds, count * sizeof(*fds)) != 0)
		result = -EFAULT;
	deadline_write(a[2], deadline_ns);
	kfree(fds);
	return result;
}

/* ---- pselect6 */

#define SELECT_SETS 3U
#define SELECT_IN   (POLLIN | POLLHUP | POLLERR)
#define SELECT_OUT  (POLLOUT | POLLERR)

static const uint32_t select_events[SELECT_SETS] = { SELECT_IN, SELECT_OUT, POLLPRI };

struct select {
	uint64_t address[SELECT_SETS];
	uint64_t *set[SELECT_SETS];
	uint64_t count; /* descriptors */
	uint64_t bytes; /* of one set */
};

static int select_read(struct select *select)
{
	uint64_t *words = kalloc(SELECT_SETS * select->bytes + sizeof(*words));
	int error = 0;

	if (words == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < SELECT_SETS; i++) {
		select->set[i] = words + i * (select->bytes / sizeof(*words));
		if (select->address[i] != 0 && error == 0)
			error = user_read(current_space(), select->set[i], VADDR(select->address[i]), select->bytes);
	}
	if (error != 0)
		kfree(words);
	return error;
}

static bool bit_get(const uint64_t *set, uint64_t i)
{
	return (set[i / 64] >> (i % 64) & 1) != 0;
}

static uint32_t select_wanted(const struct select *select, uint64_t fd)
{
	uint32_t wanted = 0;

	for (unsigned i = 0; i < SELECT_SETS; i++)
		wanted |= bit_get(select->set[i], fd) ? select_events[i] : 0;
	return wanted;
}

/* The sets become what was found. How many bits are set. */
static int64_t select_result(struct select *select, const struct poll *poll)
{
	int64_t bits = 0;

	/* What is behind the last one, in its word, is none of ours and not ready either. */
	for (uint64_t fd = 0; fd < select->bytes * 8; fd++) {
		for (unsigned i = 0; i < SELECT_SETS; i++) {
			uint64_t bit = UINT64_C(1) << (fd % 64);

			if ((select->set[i][fd / 64] & bit) == 0)
				continue;
			if (fd < select->count && (poll->slots[fd].found & select_events[i]) != 0)
				bits++;
			else
				select->set[i][fd / 64] &= ~bit;
		}
	}
	return bits;
}

static int64_t select_wait(struct select *select, uint64_t deadline_ns)
{
	struct poll poll;
	int64_t result = poll_create(&poll, select->count);

	if (result != 0)
		return result;
	for (uint64_t fd = 0; fd < select->count; fd++) {
		uint32_t wanted = select_wanted(select, fd);

		if (wanted == 0)
			continue;
		slot_init(&poll.slots[fd], (int)fd, wanted);
		if (poll.slots[fd].found == POLLNVAL)
			result = -EBADF;
	}
	if (result == 0)
		result = poll_wait(&poll, deadline_ns);
	if (result >= 0)
		result = select_result(select, &poll);
	poll_leave(&poll);
	return result;
}

static int64_t select_run(struct select *select, uint64_t deadline_ns)
{
	int64_t result = select_read(select);

	if (result != 0)
		return result;
	result = select_wait(select, deadline_ns);
	for (unsigned i = 0; i < SELECT_SETS && result >= 0; i++) {
		if (select->address[i] != 0 &&
		    user_write(current_space(), VADDR(select->address[i]), select->set[i], select->bytes) != 0)
			result = -EFAULT;
	}
	kfree(select->set[0]);
	return result;
}

int64_t sys_pselect6(const uint64_t *a)
{
	struct select select = { .address = { a[1], a[2], a[3] } };
	uint64_t mask[2] = { 0, 0 };
	uint64_t deadline_ns;
	int64_t result = (int)a[0] < 0 ? -EINVAL : deadline_read(a[4], &deadline_ns);

	if (result == 0 && a[5] != 0)
		result = user_read(current_space(), mask, VADDR(a[5]), sizeof(mask));
	if (result == 0)
		result = mask_swap(mask[0], mask[1]);
	if (result != 0)
		return result;
	select.count = MIN((uint64_t)(uint32_t)a[0], fdtable_room(current_process()->files));
	select.bytes = ALIGN_UP(select.count, 64U) / 8;
	result = select_run(&select, deadline_ns);
	deadline_write(a[4], deadline_ns);
	return result;
}
