/*
 * Processes: what threads share. Locks: the tree lock (one, RANK_PROCESS_TREE) guards parents, children, zombies and the
 * tables of ids; process->lock (RANK_PROCESS) guards what says [lock]. What says [own] only the process's own threads
 * change, under the lock, when there is just one of them; they read it without.
 */
#ifndef KERNEL_PROCESS_H
#define KERNEL_PROCESS_H

#include <stdatomic.h>

#include "kernel/job.h"
#include "kernel/ptimer.h"
#include "kernel/share.h"
#include "kernel/signal.h"
#include "kernel/thread.h"
#include "kernel/wait.h"
#include "lib/list.h"
#include "lib/lock.h"
#include "mm/space.h"

struct fd_table;
struct file;
struct node;

#define PROCESS_PATH_BYTES 256
#define RLIMITS		   16
#define RLIMIT_CPU	   0
#define RLIMIT_FSIZE	   1
#define RLIMIT_DATA	   2
#define RLIMIT_STACK	   3
#define RLIMIT_MEMLOCK	   8
#define RLIMIT_AS	   9
#define RLIMIT_NOFILE	   7
#define RLIMIT_SIGPENDING  11

/* Capability sets, of 41 bits each: only CAP_IPC_LOCK and CAP_SYS_RAWIO are ever asked for; the rest is remembered. */
enum { CAPABILITY_EFFECTIVE, CAPABILITY_PERMITTED, CAPABILITY_INHERITABLE, CAPABILITY_SETS };
#define CAPABILITIES_ALL ((UINT64_C(1) << 41) - 1)
#define CAP_IPC_LOCK	 (UINT64_C(1) << 14)
#define CAP_SYS_RAWIO	 (UINT64_C(1) << 17)

struct rlimit {
	uint64_t soft;
	uint64_t hard;
};

/* A sum over threads that have ended, or children that were waited for. */
struct process_usage {
	uint64_t ticks;
	uint64_t faults;
	uint64_t resident_kib; /* filled in where it is asked for */
};

struct process {
	struct spinlock lock; /* RANK_PROCESS */
	_Atomic uint32_t refs;
	uint32_t pid;

	struct space *space;	 /* [own]; NULL once it has ended */
	struct fd_table *files;	 /* [own]; NULL once it has ended */
	bool files_shared;	 /* with another process (CLONE_FILES): execve makes a copy first [own] */
	struct node *cwd;	 /* the files' own; one reference [lock] */
	struct file *exe;	 /* its executable, which nobody can write to meanwhile; one count [own] */
	uint32_t umask;		 /* the files' own [lock] */
	uint64_t brk_start, brk; /* the first page-aligned [lock] */
	uint64_t start_sp;	 /* where execve left argc, argv and what follows: /proc reads it [lock] */

	unsigned thread_count;	/* [lock] */
	bool ending;		/* exit_group or a deadly signal: no new threads [lock] */
	struct thread *execing; /* the thread that waits for all others to end [lock] */

	int status;	      /* as wait4 reports it; final when zombie [lock] */
	bool zombie;	      /* [tree lock] */
	bool forgotten;	      /* waited for: no longer in the tree [tree lock] */
	bool vforked;	      /* its parent waits for exec or exit; then false, and vfork_done is woken [lock] */
	uint32_t exit_signal; /* to the parent when it ends; 0: none */

	struct process *parent; /* NULL: the kernel's own child [tree lock] */
	_Atomic uint32_t
		parent_pid;	 /* for getppid, which takes no lock: 0: there is none; written under the tree lock */
	uint32_t group, session; /* ids [tree lock] */
	bool execed;		 /* setpgid by its parent is too late [tree lock] */
	int death_signal;	 /* to it when its parent ends [tree lock] */
	bool subreaper;		 /* orphans below it become its children [tree lock] */
	bool no_new_privs;	 /* with the next: only remembered; its own threads' */
	bool undumpable;
	_Atomic uint32_t barriers; /* what was registered for: sys_membarrier.c */

	uint32_t queued; /* entries of its and its threads' pending signals, and its timers [lock] */

	bool lock_future, lock_on_fault;     /* mlockall(MCL_FUTURE): of what is mapped from now on [lock] */
	struct process_usage usage;	     /* of threads that ended [lock] */
	struct process_usage children_usage; /* [lock] */
	uint64_t started_ns;
	uint64_t cpu_seen; /* ticks that its CPU clock has shown [lock] */

	/*
	 * All above is zero in a new process. What follows one that was put by keeps, as the next wants it (spare.c): nobody waits, no timer
	 * was ever set, nothing is pending, on no list, in no ring; and what a child has a copy of is its last owner's.
	 */
	struct list threads;   /* thread.link [lock] */
	struct list children;  /* sibling [tree lock] */
	struct list sibling;   /* [tree lock] */
	struct list link;      /* of all processes, oldest first [tree lock] */
	struct list hash_link; /* in the table of pids [tree lock] */
	struct sharing sharing;
	struct wait_queue threads_gone;
	struct wait_queue ended; /* woken when zombie or forgotten becomes true */
	struct wait_queue vfork_done;
	struct wait_queue child_wait;
	struct job job;		   /* [lock] */
	struct sigpending pending; /* [lock] */
	struct ptimers timers;	   /* [lock] */

	/* What a child has a copy of. heritage: equal where all of it is; see process_differs_locked. */
	uint64_t heritage;			/* [lock] */
	uint64_t capabilities[CAPABILITY_SETS]; /* [lock] */
	struct rlimit limits[RLIMITS];		/* [lock] */
	char path[PROCESS_PATH_BYTES];		/* of the executable: absolute, links followed [lock] */
	uint64_t actions_set;			/* bit n - 1 clear: action[n - 1] is all zero [lock] */
	struct sigaction_kernel action[NSIG];	/* [lock] */
};

#define PROCESS_CLEARED_BYTES offsetof(struct process, threads)

static inline struct process *current_process(void)
{
	return current_thread()->process;
}

static inline struct space *current_space(void)
{
	return current_thread()->process->space;
}

void process_get(struct process *process);
void process_put(struct process *process);

/*
 * A descriptor table that another process shares is left to it, and the calling process, of one thread, gets a copy. 0, or
 * -ENOMEM.
 */
int process_unshare_files(void) MUST_CHECK;

/* One more reference, or NULL: no such process (a zombie is one). */
struct process *process_find(uint32_t pid);
struct process *process_find_locked(uint32_t pid); /* the same without one [tree lock] */
/* All processes, oldest first, zombies too: each with a reference while visit runs, with no lock held. */
void process_visit(void (*visit)(void *ctx, struct process *process), void *ctx);
/* Its space with a reference, or NULL once it has ended. For looking in from outside (/proc). */
struct space *process_space(struct process *process);

/* exit_group: ends all threads of the calling process; status as wait4 reports it. */
_Noreturn void process_exit(int status);
/* The calling thread must end because thread->work says WORK_KILL. */
_Noreturn void thread_exit(void);

/* Makes every other thread of the process end and waits for that: execve. 0, or -EINTR: this one is being killed. */
int process_single_thread(void) MUST_CHECK;

/* [process->lock] Marks the process as ending with this status, unless it already is, and all threads as killed. */
void process_end_locked(struct process *process, int status);

/* After exec or in exit: the vfork parent goes on. */
void process_vfork_done(struct process *process);

/* [process->lock] Its capabilities, limits or path have changed: they are like nobody's any more. */
void process_differs_locked(struct process *process);

/* A process without space, files or threads, not in the tree. 0 or -ENOMEM. */
int process_create(struct process **out) MUST_CHECK;
/* What it has of its parent (whose lock is held), but for what share.h copies; what the first has. */
void process_inherit_locked(struct process *parent, struct process *child);
void process_be_first(struct process *process);
/*
 * Puts a process and its first thread into the tree and the tables of ids; sibling: as a child of parent's parent. -EINTR: the
 * caller, which is parent's, has a signal to take first (not where parent is NULL).
 */
int process_publish(struct process *process, struct thread *thread, struct process *parent, bool sibling);
/* Memory, files, directory: gives them back. No thread is in it, or ever was. */
void process_release(struct process *process);
/* Adds a further thread: 0, or -EAGAIN when the process is ending. */
int process_add_thread(struct process *process, struct thread *thread) MUST_CHECK;

void process_init(void);
/* Waits until the process that has no parent has ended; its status as wait4 reports it. Then ends all others. */
int process_wait_first(void);
void process_end_all(void);

/* The lock of the tree, for signal.c's kill(-1) and the like. */
void tree_lock(void);
void tree_unlock(void);

/* [tree lock] */
struct thread *thread_find_locked(uint32_t tid);
struct list *process_list_locked(void);
/* Takes a zombie out of the tree; the caller then puts the tree's reference, without the lock. */
void process_forget_locked(struct process *process);

#endif
