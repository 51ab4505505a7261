/*
 * Open files in messages (SCM_RIGHTS), and why none is lost there.
 *
 * A message counts its files. Sockets in messages can so hold each other, or themselves, when nobody else does any more: then
 * their messages must go. rights_collect finds them: a socket whose file has no counts but messages' may be garbage (a candidate); it is
 * not if one of these messages is in the queue of a socket that is not garbage. So: count for each candidate the messages that
 * candidates have of it; those with others as well are alive, and so is what is in their queues, and so on; what is left is garbage, and
 * its messages are dropped. It runs when a socket loses a count that was not the last one, which is what every such group begins with.
 *
 * Why it may decide so: with in_flight_lock held no message with files enters or leaves a queue, also for MSG_PEEK; and where a file has no
 * counts but messages', nothing else can give it one. A count that goes meanwhile makes at worst garbage look alive, and
 * whoever took it away collects after us.
 *
 * Dropping a message may release a socket, whose messages are then dropped: messages_drop does that in a loop, not by calling
 * itself, however long the chain (thread->dropping).
 *
 * Locks: in_flight_lock (RANK_IN_FLIGHT), outer to those of the pairs, which are taken one at a time.
 */
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/socket.h"
#include "lib/errno.h"
#include "mm/slab.h"

#define SERVE_EVERY 1024U

static struct {
	struct spinlock lock;
	struct list sockets;	/* socket.flight [lock] */
	_Atomic uint32_t count; /* of sockets in the list; written under the lock */
	_Atomic uint32_t files; /* in all messages; likewise */
} in_flight = { .sockets = LIST_INIT(in_flight.sockets) };

void in_flight_enter(void)
{
	spin_lock(&in_flight.lock, RANK_IN_FLIGHT);
}

void in_flight_leave(void)
{
	spin_unlock(&in_flight.lock, RANK_IN_FLIGHT);
}

static void count_add(_Atomic uint32_t *count, uint32_t n)
{
	/* relaxed: only looked at to see whether there is anything to do, by those who have put a count of a file */
	atomic_fetch_add_explicit(count, n, memory_order_relaxed);
}

void rights_depart_locked(const struct rights *rights)
{
	count_add(&in_flight.files, rights->count);
	for (uint32_t i = 0; i < rights->count; i++) {
		struct socket *socket = socket_of(rights->file[i]);

		if (socket == NULL || socket->flights++ != 0)
			continue;
		list_add_tail(&in_flight.sockets, &socket->flight);
		count_add(&in_flight.count, 1);
	}
}

void rights_land_locked(const struct rights *rights)
{
	count_add(&in_flight.files, -rights->count);
	for (uint32_t i = 0; i < rights->count; i++) {
		struct socket *socket = socket_of(rights->file[i]);

		if (socket == NULL || --socket->flights != 0)
			continue;
		list_del(&socket->flight);
		count_add(&in_flight.count, -1U);
	}
}

int rights_may_depart(void)
{
	/* relaxed: a limit, which calls at once may exceed by a message each */
	return atomic_load_explicit(&in_flight.files, memory_order_relaxed) > fdtable_limit(current_process()->files)
		       ? -ETOOMANYREFS
		       : 0;
}

struct rights *rights_copy(const struct rights *rights)
{
	struct rights *copy = kalloc(sizeof(*copy));

	if (copy == NULL)
		return NULL;
	*copy = *rights;
	for (uint32_t i = 0; i < copy->count; i++)
		file_hold(copy->file[i]);
	return copy;
}

void rights_drop(struct rights *rights)
{
	if (rights == NULL)
		return;
	for (uint32_t i = 0; i < rights->count; i++)
		file_put(rights->file[i]);
	kfree(rights);
}

/* ---- Collecting. All [in flight]. */

static struct socket *next_candidate(struct list **pos)
{
	while (*pos != &in_flight.sockets) {
		struct socket *socket = list_entry(*pos, struct socket, flight);

		*pos = (*pos)->next;
		if (socket->candidate)
			return socket;
	}
	return NULL;
}

static bool find_candidates(void)
{
	bool any = false;
	uint32_t looked = 0;

	list_for_each (pos, &in_flight.sockets) {
		struct socket *socket = list_entry(pos, struct socket, flight);

		/* acquire: pairs with file_put's release: what was done with the file before is seen */
		socket->candidate = atomic_load_explicit(&socket->file->count, memory_order_acquire) == socket->flights;
		socket->unknown = socket->flights;
		any = any || socket->candidate;
		if (++looked % SERVE_EVERY == 0)
			hw_relax();
	}
	return any;
}

/* Calls visit for each candidate that a message of the socket's holds. */
static void visit_held(struct socket *socket, void (*visit)(struct socket *held, struct socket **alive),
		       struct socket **alive)
{
	pair_lock(socket->pair);
	list_for_each (pos, &socket->messages) {
		const struct rights *rights = list_entry(pos, struct message, link)->rights;

		for (uint32_t i = 0; rights != NULL && i < rights->count; i++) {
			struct socket *held = socket_of(rights->file[i]);

			if (held != NULL && held->candidate)
				visit(held, alive);
		}
	}
	pair_unlock(socket->pair);
}

static void explain(struct socket *held, struct socket **alive)
{
	(void)alive;
	held->unknown--;
}

static void revive(struct socket *held, struct socket **alive)
{
	held->candidate = false;
	held->next = *alive;
	*alive = held;
}

static void revive_reached(void)
{
	struct socket *alive = NULL, *socket;
	struct list *pos = in_flight.sockets.next;

	while ((socket = next_candidate(&pos)) != NULL) {
		if (socket->unknown != 0)
			revive(socket, &alive);
	}
	while (alive != NULL) {
		socket = alive;
		alive = socket->next;
		visit_held(socket, revive, &alive);
		hw_relax();
	}
}

static void take_garbage(struct list *out)
{
	bool again = true;

	/* Taking messages out takes sockets off the list: from its start again each time. */
	while (again) {
		struct list *pos = in_flight.sockets.next;
		struct socket *socket = next_candidate(&pos);

		again = socket != NULL;
		if (!again)
			break;
		socket->candidate = false;
		pair_lock(socket->pair);
		socket_purge_locked(socket, true, out);
		pair_unlock(socket->pair);
		hw_relax();
	}
}

static void find_garbage(struct list *out)
{
	struct list *pos;
	struct socket *socket;

	in_flight_enter();
	if (find_candidates()) {
		pos = in_flight.sockets.next;
		while ((socket = next_candidate(&pos)) != NULL)
			visit_held(socket, explain, NULL);
		revive_reached();
		take_garbage(out);
	}
	in_flight_leave();
}

static void drop_all(struct list *messages)
{
	while (!list_empty(messages)) {
		struct message *message = list_first(messages, struct message, link);

		list_del(&message->link);
		rights_drop(message->rights);
		message_free(message);
	}
}

void messages_drop(struct list *messages)
{
	struct thread *thread = current_thread();

	while (thread->dropping != NULL && !list_empty(messages)) {
		struct list *first = messages->next;

		list_del(first);
		list_add_tail(thread->dropping, first);
	}
	if (list_empty(messages))
		return;
	thread->dropping = messages;
	do {
		thread->drop_again = false;
		drop_all(messages);
		if (thread->drop_again)
			find_garbage(messages);
	} while (thread->drop_again);
	thread->dropping = NULL;
}

void rights_collect(void)
{
	struct thread *thread = current_thread();
	struct list garbage;

	/* relaxed: if the last count but messages' has just gone, they were counted before that file_put's release */
	if (atomic_load_explicit(&in_flight.count, memory_order_relaxed) == 0)
		return;
	if (thread->dropping != NULL) {
		thread->drop_again = true;
		return;
	}
	list_init(&garbage);
	find_garbage(&garbage);
	messages_drop(&garbage);
}
