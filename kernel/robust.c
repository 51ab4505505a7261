/*
 * What the end of a thread means to futexes: its robust list, and the word that pthread_join waits for. The list is the
 * program's, so every word of it may be anything; ROBUST_LIMIT ends a walk in circles.
 */
#include "kernel/futex.h"
#include "kernel/process.h"
#include "kernel/touch.h"
#include "lib/errno.h"
#include "mm/space.h"

#define FUTEX_OWNER_DIED 0x40000000U
#define FUTEX_WAITERS	 0x80000000U
#define FUTEX_TID_MASK	 0x3fffffffU
#define ROBUST_LIMIT	 2048

/*
 * A robust mutex whose owner ends: marked, and one waiter woken. pending: it was being locked or unlocked; when it is free the
 * one that was to be woken by the unlocking may still sleep.
 */
static void owner_died(struct space *space, vaddr_t va, uint32_t tid, bool pending)
{
	uint32_t value, old;
	int error;

	if ((va.v & 3) != 0 || user_read(space, &value, va, sizeof(value)) != 0)
		return;
	if (pending && value == 0)
		(void)futex_wake(space, va, 1);
	while ((value & FUTEX_TID_MASK) == tid) {
		error = user_cmpxchg_u32(space, va, value, (value & FUTEX_WAITERS) | FUTEX_OWNER_DIED, &old);
		if (error == -EAGAIN) {
			if (touch(space, va, ACCESS_WRITE) != 0)
				return;
			continue;
		}
		if (error != 0)
			return;
		if (old == value) {
			if ((value & FUTEX_WAITERS) != 0)
				(void)futex_wake(space, va, 1);
			return;
		}
		value = old;
	}
}

static void walk_robust_list(struct space *space, struct thread *thread)
{
	struct {
		uint64_t next;
		int64_t offset;
		uint64_t pending;
	} head;
	uint64_t entry;

	if (user_read(space, &head, VADDR(thread->robust_list), sizeof(head)) != 0)
		return;
	entry = head.next;
	for (unsigned i = 0; i < ROBUST_LIMIT && (entry & ~UINT64_C(1)) != thread->robust_list; i++) {
		uint64_t next;
		uint64_t at = entry & ~UINT64_C(1);

		if (user_read(space, &next, VADDR(at), sizeof(next)) != 0)
			break;
		if (((entry ^ head.pending) & ~UINT64_C(1)) != 0)
			owner_died(space, VADDR(at + (uint64_t)head.offset), thread->tid, false);
		entry = next;
	}
	if ((head.pending & ~UINT64_C(1)) != 0)
		owner_died(space, VADDR((head.pending & ~UINT64_C(1)) + (uint64_t)head.offset), thread->tid, true);
}

void futex_thread_exit(struct thread *thread)
{
	struct process *process = thread->process;
	struct space *space = process->space;
	uint32_t zero = 0;

	if (thread->robust_list != 0)
		walk_robust_list(space, thread);
	thread->robust_list = 0;
	/* Nobody else can look at the word: as on Linux it is not written, which would only break a page's sharing. */
	/* relaxed: whoever could raise them is a thread of this space, and so counted */
	if (thread->clear_child_tid == 0 ||
	    (process->thread_count == 1 && atomic_load_explicit(&space->users, memory_order_relaxed) == 1))
		return;
	if (user_write(space, VADDR(thread->clear_child_tid), &zero, sizeof(zero)) == 0)
		(void)futex_wake(space, VADDR(thread->clear_child_tid), 1);
	thread->clear_child_tid = 0;
}
