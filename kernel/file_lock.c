/*
 * Advisory locks: flock (of an open file, on all of it), and fcntl's record locks (of a descriptor table, or of an open file: OFD).
 *
 * What is locked is a node, or an open file that has none. Flock and records do not see each other; records of either kind do.
 * An owner's records never overlap, and those of one type do not touch.
 *
 * Whoever must wait sleeps on the queue of the hash bucket and looks again whenever a lock of the bucket goes. F_SETLKW first looks whether
 * the owner that is in the way waits, over at most DEADLOCK_STEPS others, for the caller: EDEADLK, as on Linux.
 *
 * Locks: one (RANK_FILE) for all locks and waiters; memory is allocated before it is taken.
 */
#include "kernel/file_lock.h"

#include "kernel/process.h"
#include "kernel/sys_file.h"
#include "mm/slab.h"
#include "mm/space.h"

#define BUCKETS	       64U
#define DEADLOCK_STEPS 10U
#define END_MAX	       INT64_MAX

#define F_RDLCK 0
#define F_WRLCK 1
#define F_UNLCK 2

#define LOCK_SH	  1U
#define LOCK_EX	  2U
#define LOCK_NB	  4U
#define LOCK_UN	  8U
#define LOCK_MAND 32U

enum kind { KIND_FLOCK, KIND_RECORD, KIND_OFD };

struct lock {
	struct list link;
	const void *of;
	const void *owner; /* a table (KIND_RECORD) or an open file */
	enum kind kind;
	int type;
	int64_t start, end; /* both included */
	uint32_t pid;
};

/* A call that waits for a record. */
struct blocked {
	struct list link;
	const void *owner;
	const void *by; /* whose record is in the way */
};

/* As programs have it. */
struct flock {
	int16_t type, whence;
	int64_t start, bytes;
	int32_t pid;
	int32_t pad;
};

_Atomic uint32_t file_locks; /* of all files; written under the lock */

static struct {
	struct spinlock lock;
	bool ready;
	struct bucket {
		struct list locks;
		struct wait_queue queue;
	} bucket[BUCKETS];
	struct list blocked;
} locks;

static void locks_enter(void)
{
	spin_lock(&locks.lock, RANK_FILE);
	if (locks.ready)
		return;
	list_init(&locks.blocked);
	for (unsigned i = 0; i < BUCKETS; i++) {
		list_init(&locks.bucket[i].locks);
		wait_queue_init(&locks.bucket[i].queue);
	}
	locks.ready = true;
}

static void locks_leave(void)
{
	spin_unlock(&locks.lock, RANK_FILE);
}

static const void *locked_thing(const struct file *file)
{
	return file->node != NULL ? (const void *)file->node : file;
}

static struct bucket *bucket_of(const void *of)
{
	return &locks.bucket[((uintptr_t)of >> 6) * 2654435761U >> 16 & (BUCKETS - 1)];
}

static void add_locked(struct lock *lock)
{
	list_add_tail(&bucket_of(lock->of)->locks, &lock->link);
	/* relaxed: looked at by those who had to do with the lock's file, or see it later */
	atomic_fetch_add_explicit(&file_locks, 1, memory_order_relaxed);
}

static void remove_locked(struct lock *lock)
{
	list_del(&lock->link);
	/* relaxed: as above */
	atomic_fetch_sub_explicit(&file_locks, 1, memory_order_relaxed);
	wake_all(&bucket_of(lock->of)->queue);
	kfree(lock);
}

static bool same_owner(const struct lock *a, const struct lock *b)
{
	return a->kind == b->kind && a->owner == b->owner && a->of == b->of;
}

/* The first lock that keeps `want` from being had; NULL: none does. */
static struct lock *conflict_locked(const struct lock *want)
{
	list_for_each (pos, &bucket_of(want->of)->locks) {
		struct lock *lock = list_entry(pos, struct lock, link);

		if (lock->of == want->of && !same_owner(lock, want) &&
		    (lock->kind == KIND_FLOCK) == (want->kind == KIND_FLOCK) && lock->start <= want->end &&
		    want->start <= lock->end && (lock->type == F_WRLCK || want->type == F_WRLCK))
			return lock;
	}
	return NULL;
}

/* What an own lock of another type keeps of itself beside `want`: 0, 1 or 2 pieces, the second of them in *spare. */
static void cut_locked(struct lock *lock, const struct lock *want, struct lock **spare)
{
	bool before = lock->start<want->start, behind = lock->end> want->end;

	if (!before && !behind) {
		remove_locked(lock);
		return;
	}
	if (before && behind) {
		**spare = *lock;
		(*spare)->start = want->end + 1;
		add_locked(*spare);
		*spare = NULL;
	}
	if (before)
		lock->end = want->start - 1;
	else
		lock->start = want->end + 1;
	wake_all(&bucket_of(lock->of)->queue);
}

static bool touches(const struct lock *a, const struct lock *b)
{
	return (a->end == END_MAX || b->start <= a->end + 1) && (b->end == END_MAX || a->start <= b->end + 1);
}

/* Nobody is in the way: want becomes the owner's lock there, or (F_UNLCK) there is none. Takes what it needs of the two. */
static void set_locked(struct lock **want, struct lock **spare)
{
	struct lock *lock = *want;

	list_for_each_safe (pos, next, &bucket_of(lock->of)->locks) {
		struct lock *own = list_entry(pos, struct lock, link);

		if (!same_owner(own, lock))
			continue;
		if (own->type == lock->type && touches(own, lock)) {
			lock->start = MIN(lock->start, own->start);
			lock->end = MAX(lock->end, own->end);
			remove_locked(own);
		} else if (own->start <= lock->end && lock->start <= own->end) {
			cut_locked(own, lock, spare);
		}
	}
	if (lock->type == F_UNLCK)
		return;
	add_locked(lock);
	*want = NULL;
}

static bool would_deadlock_locked(const struct lock *want, const void *by)
{
	for (unsigned step = 0; step < DEADLOCK_STEPS && by != NULL; step++) {
		const void *next = NULL;

		if (by == want->owner)
			return true;
		list_for_each (pos, &locks.blocked) {
			const struct blocked *blocked = list_entry(pos, struct blocked, link);

			if (blocked->owner == by)
				next = blocked->by;
		}
		by = next;
	}
	return false;
}

/* A flock that is changed is given up first: who has to wait then has none, as on Linux. */
static void give_up_locked(const struct lock *want)
{
	list_for_each_safe (pos, next, &bucket_of(want->of)->locks) {
		struct lock *own = list_entry(pos, struct lock, link);

		if (same_owner(own, want))
			remove_locked(own);
	}
}

/* 0: it is had. 1: wait; or an errno. */
static int try_lock(struct lock **want, struct lock **spare, bool wait, struct blocked *blocked)
{
	const struct lock *in_way;
	int result = 0;

	locks_enter();
	list_del(&blocked->link);
	in_way = (*want)->type == F_UNLCK ? NULL : conflict_locked(*want);
	if (in_way != NULL && (*want)->kind == KIND_FLOCK)
		give_up_locked(*want);
	if (in_way == NULL) {
		set_locked(want, spare);
	} else if (!wait) {
		result = -EAGAIN;
	} else if ((*want)->kind == KIND_RECORD && in_way->kind == KIND_RECORD &&
		   would_deadlock_locked(*want, in_way->owner)) {
		result = -EDEADLK;
	} else {
		result = 1;
		if ((*want)->kind == KIND_RECORD) {
			blocked->by = in_way->owner;
			list_add_tail(&locks.blocked, &blocked->link);
		}
	}
	locks_leave();
	return result;
}

static int lock_wait(struct lock **want, struct lock **spare, bool wait)
{
	struct wait_queue *queue = &bucket_of((*want)->of)->queue;
	struct blocked blocked = { .owner = (*want)->owner };
	struct waiter waiter = { 0 };
	int result;

	list_init(&blocked.link);
	result = try_lock(want, spare, wait, &blocked);
	while (result == 1) {
		wait_prepare(queue, &waiter);
		result = try_lock(want, spare, wait, &blocked);
		if (result == 1)
			result = wait_block(WAIT_FOREVER) != 0 ? -EINTR : 1;
	}
	wait_finish(queue, &waiter);
	locks_enter();
	list_del(&blocked.link);
	locks_leave();
	return result;
}

static int lock_set(const struct lock *template, bool wait)
{
	struct lock *want = kalloc(sizeof(*want)), *spare = kalloc(sizeof(*spare));
	int error = -ENOMEM;

	if (want != NULL && spare != NULL) {
		*want = *template;
		error = lock_wait(&want, &spare, wait);
	}
	kfree(want);
	kfree(spare);
	return error;
}

/* ---- What goes by itself. */

static void remove_all(const void *of, const void *owner)
{
	locks_enter();
	list_for_each_safe (pos, next, &bucket_of(of)->locks) {
		struct lock *lock = list_entry(pos, struct lock, link);

		if (lock->of == of && lock->owner == owner)
			remove_locked(lock);
	}
	locks_leave();
}

void file_lock_closed_some(struct fd_table *table, struct file *file)
{
	remove_all(locked_thing(file), table);
}

void file_lock_release_some(struct file *file)
{
	remove_all(locked_thing(file), file);
}

/* ---- Calls. */

int64_t sys_flock(const uint64_t *a)
{
	uint32_t how = (uint32_t)a[1] & ~LOCK_NB;
	struct lock want = { .kind = KIND_FLOCK, .end = END_MAX };
	struct file *file;
	int error;

	/* As on Linux, where they never meant anything. */
	if ((how & LOCK_MAND) != 0)
		return 0;
	if (how != LOCK_SH && how != LOCK_EX && how != LOCK_UN)
		return -EINVAL;
	error = file_get((int)a[0], &file);
	if (error != 0)
		return error;
	want.of = locked_thing(file);
	want.owner = file;
	want.type = how == LOCK_SH ? F_RDLCK : how == LOCK_EX ? F_WRLCK : F_UNLCK;
	if ((file_flags(file) & O_PATH) != 0 || (how != LOCK_UN && !file_may_read(file) && !file_may_write(file)))
		error = -EBADF;
	else
		error = lock_set(&want, ((uint32_t)a[1] & LOCK_NB) == 0);
	file_put(file);
	return error;
}

/* Where l_whence starts. */
static int base_of(struct file *file, int whence, int64_t *base)
{
	struct file_stat stat;
	int error = 0;

	*base = 0;
	if (whence == 1) {
		spin_lock(&file->lock, RANK_FILE);
		*base = (int64_t)file->position;
		spin_unlock(&file->lock, RANK_FILE);
	} else if (whence == 2) {
		error = file_stat(file, &stat);
		*base = error == 0 ? (int64_t)stat.bytes : 0;
	} else if (whence != 0) {
		error = -EINVAL;
	}
	return error;
}

/* The program's range as a lock's. -EINVAL, -EOVERFLOW. */
static int range_of(struct file *file, const struct flock *given, struct lock *want)
{
	int64_t base;
	int error = base_of(file, given->whence, &base);

	if (error != 0)
		return error;
	if (given->start > INT64_MAX - base)
		return -EOVERFLOW;
	want->start = base + given->start;
	want->end = END_MAX;
	if (want->start < 0)
		return -EINVAL;
	if (given->bytes > 0) {
		if (given->bytes - 1 > INT64_MAX - want->start)
			return -EOVERFLOW;
		want->end = want->start + given->bytes - 1;
	} else if (given->bytes < 0) {
		if (want->start + given->bytes < 0)
			return -EINVAL;
		want->end = want->start - 1;
		want->start += given->bytes;
	}
	return 0;
}

static int64_t get_lock(const struct lock *want, struct flock *given, uint64_t argument)
{
	const struct lock *in_way;

	if (want->type == F_UNLCK)
		return -EINVAL;
	locks_enter();
	in_way = conflict_locked(want);
	given->type = F_UNLCK;
	if (in_way != NULL) {
		*given = (struct flock){ .type = (int16_t)in_way->type, .start = in_way->start };
		given->bytes = in_way->end == END_MAX ? 0 : in_way->end - in_way->start + 1;
		given->pid = in_way->kind == KIND_OFD ? -1 : (int32_t)in_way->pid;
	}
	locks_leave();
	return user_write(current_space(), VADDR(argument), given, sizeof(*given));
}

/* A close of the descriptor in another thread may have come before the lock: then that is nobody's to remove. */
static bool still_open(int fd, const struct file *file)
{
	struct file *now;
	int error = file_get(fd, &now);

	if (error == 0)
		file_put(now);
	return error == 0 && now == file;
}

int64_t file_lock_fcntl(int fd, struct file *file, uint32_t command, uint64_t argument)
{
	bool ofd = command >= F_OFD_GETLK, get = command == F_GETLK || command == F_OFD_GETLK;
	struct lock want = { .of = locked_thing(file), .pid = current_process()->pid };
	struct flock given;
	int error = user_read(current_space(), &given, VADDR(argument), sizeof(given));

	if (error != 0)
		return error;
	want.kind = ofd ? KIND_OFD : KIND_RECORD;
	want.owner = ofd ? (const void *)file : current_process()->files;
	want.type = given.type;
	if (given.type < F_RDLCK || given.type > F_UNLCK || (ofd && given.pid != 0))
		return -EINVAL;
	error = range_of(file, &given, &want);
	if (error != 0)
		return error;
	if (get)
		return get_lock(&want, &given, argument);
	if ((want.type == F_RDLCK && !file_may_read(file)) || (want.type == F_WRLCK && !file_may_write(file)))
		return -EBADF;
	error = lock_set(&want, command == F_SETLKW || command == F_OFD_SETLKW);
	if (error == 0 && !ofd && !still_open(fd, file))
		file_lock_closed(current_process()->files, file);
	return error;
}
