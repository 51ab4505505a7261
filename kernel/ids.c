/*
 * Ids, and finding processes and threads by them: the list of all processes, and two hash tables, by pid and by tid; and
 * references to processes that were found.
 *
 * Invariants: a process is in the list and its table while it is in the tree, zombies too; a thread is in its table while it
 * is in its process. An id is given again only when no process, thread, group or session has it.
 * Locks: the tree lock lives here and guards all of this.
 */
#include "kernel/ids.h"

#include "kernel/process.h"
#include "kernel/spare.h"
#include "mm/coremap.h"
#include "mm/slab.h"

#define ID_LIMIT 4194304U

static struct {
	struct spinlock lock;	/* RANK_PROCESS_TREE */
	struct list all;	/* process.link, oldest first [lock] */
	struct list *processes; /* by pid [lock] */
	struct list *threads;	/* by tid [lock] */
	uint32_t hash_mask;
	uint32_t last_id; /* [lock] */
	bool wrapped;	  /* [lock] */
} ids;

void tree_lock(void)
{
	spin_lock(&ids.lock, RANK_PROCESS_TREE);
}

void tree_unlock(void)
{
	spin_unlock(&ids.lock, RANK_PROCESS_TREE);
}

struct list *process_list_locked(void)
{
	return &ids.all;
}

void ids_init(void)
{
	uint64_t want = frames_total() / 64;
	uint32_t buckets = 64;

	while (buckets < want && buckets < 16384)
		buckets *= 2;
	ids.hash_mask = buckets - 1;
	ids.processes = kalloc(buckets * sizeof(struct list));
	ids.threads = kalloc(buckets * sizeof(struct list));
	CHECK(ids.processes != NULL && ids.threads != NULL);
	for (uint32_t i = 0; i < buckets; i++) {
		list_init(&ids.processes[i]);
		list_init(&ids.threads[i]);
	}
	spin_init(&ids.lock);
	list_init(&ids.all);
}

struct process *process_find_locked(uint32_t pid)
{
	struct list *bucket = &ids.processes[pid & ids.hash_mask];

	list_for_each (pos, bucket) {
		struct process *process = list_entry(pos, struct process, hash_link);

		if (process->pid == pid)
			return process;
	}
	return NULL;
}

struct thread *thread_find_locked(uint32_t tid)
{
	struct list *bucket = &ids.threads[tid & ids.hash_mask];

	list_for_each (pos, bucket) {
		struct thread *thread = list_entry(pos, struct thread, hash_link);

		if (thread->tid == tid)
			return thread;
	}
	return NULL;
}

static bool group_exists_locked(uint32_t id)
{
	list_for_each (pos, &ids.all) {
		struct process *process = list_entry(pos, struct process, link);

		if (process->group == id || process->session == id)
			return true;
	}
	return false;
}

uint32_t ids_new_locked(void)
{
	for (;;) {
		ids.last_id++;
		if (ids.last_id >= ID_LIMIT) {
			ids.last_id = 2;
			ids.wrapped = true;
		}
		if (!ids.wrapped)
			return ids.last_id;
		if (process_find_locked(ids.last_id) == NULL && thread_find_locked(ids.last_id) == NULL &&
		    !group_exists_locked(ids.last_id))
			return ids.last_id;
	}
}

void ids_add_thread_locked(struct thread *thread)
{
	list_add(&ids.threads[thread->tid & ids.hash_mask], &thread->hash_link);
}

void ids_add_process_locked(struct process *process)
{
	list_add_tail(&ids.all, &process->link);
	list_add(&ids.processes[process->pid & ids.hash_mask], &process->hash_link);
}

struct process *process_find(uint32_t pid)
{
	struct process *process;

	tree_lock();
	process = process_find_locked(pid);
	if (process != NULL)
		process_get(process);
	tree_unlock();
	return process;
}

void process_visit(void (*visit)(void *ctx, struct process *process), void *ctx)
{
	uint32_t last = 0;

	/* By age, and going on from the last pid seen: whatever ends meanwhile does not disturb. */
	for (;;) {
		struct process *found = NULL;

		tree_lock();
		list_for_each (pos, &ids.all) {
			struct process *process = list_entry(pos, struct process, link);

			if (process->pid > last && (found == NULL || process->pid < found->pid))
				found = process;
		}
		if (found != NULL)
			process_get(found);
		tree_unlock();
		if (found == NULL)
			return;
		last = found->pid;
		visit(ctx, found);
		process_put(found);
	}
}

/* ---- References. */

void process_get(struct process *process)
{
	/* relaxed: the caller holds a reference or the tree lock */
	atomic_fetch_add_explicit(&process->refs, 1, memory_order_relaxed);
}

void process_put(struct process *process)
{
	/* acq_rel: what others did with it is done before it is freed */
	if (atomic_fetch_sub_explicit(&process->refs, 1, memory_order_acq_rel) == 1)
		process_free(process);
}

struct space *process_space(struct process *process)
{
	struct space *space;

	spin_lock(&process->lock, RANK_PROCESS);
	space = process->space;
	if (space != NULL)
		space_get(space);
	spin_unlock(&process->lock, RANK_PROCESS);
	return space;
}
