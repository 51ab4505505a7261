/* /proc/PID's files but those on memory: who a process is, what it was given, what it may use. */
#include "kernel/mount.h"
#include "kernel/proc_text.h"

#include <string.h>

#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sched.h"
#include "kernel/sys.h"
#include "kernel/text.h"
#include "lib/errno.h"
#include "mm/space.h"

#define STRINGS_MAX  (UINT64_C(2) << 20) /* as much as execve takes */
#define POINTERS_MAX 0x20000U
#define PIECE	     256U
#define NS_PER_TICK  UINT64_C(10000000) /* of CLK_TCK */
#define KIB(pages)   ((unsigned long long)((pages) * (PAGE_SIZE / 1024)))

/* What a process says of itself, taken in one go. */
struct identity {
	char name[THREAD_NAME_BYTES];
	uint32_t id, ppid, group, session, umask;
	unsigned threads, policy, priority;
	int nice;
	char state;
	uint64_t pending, blocked, ignored, caught, shared_pending;
	uint64_t affinity;
	uint64_t faults, ticks;
};

static void identity_thread_locked(struct thread *thread, struct identity *out)
{
	out->faults += thread->faults;
	out->ticks += sched_ran(thread);
	/* relaxed: true at some moment */
	if (atomic_load_explicit(&thread->on_hart, memory_order_relaxed) != 0)
		out->state = 'R';
}

/* One thread's, or those of all, and the first one's name and signals. Whether there is such a thread. */
static bool identity_threads_locked(struct process *process, uint32_t tid, struct identity *out)
{
	struct thread *shown = NULL;

	if (tid == 0) {
		out->faults = process->usage.faults;
		out->ticks = process->usage.ticks;
	}
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (tid != 0 && thread->tid != tid)
			continue;
		identity_thread_locked(thread, out);
		if (shown == NULL)
			shown = thread;
	}
	out->id = tid != 0 ? tid : process->pid;
	if (shown == NULL)
		return tid == 0;
	memcpy(out->name, shown->name, sizeof(out->name));
	policy_show(shown, &out->policy, &out->priority);
	out->nice = atomic_load_explicit(&shown->nice, memory_order_relaxed);
	out->pending = shown->pending.set;
	out->blocked = shown->blocked;
	out->affinity = atomic_load_explicit(&shown->affinity, memory_order_relaxed);
	return true;
}

static int identity_take(struct process *process, uint32_t tid, struct identity *out)
{
	bool found;

	memset(out, 0, sizeof(*out));
	out->state = 'S';
	tree_lock();
	out->ppid = atomic_load_explicit(&process->parent_pid, memory_order_relaxed);
	out->group = process->group;
	out->session = process->session;
	spin_lock(&process->lock, RANK_PROCESS);
	found = identity_threads_locked(process, tid, out);
	if (process->job.stopped)
		out->state = 'T';
	if (process->zombie)
		out->state = 'Z';
	out->umask = process->umask;
	out->threads = process->thread_count;
	out->shared_pending = process->pending.set;
	for (int i = 0; i < NSIG; i++) {
		uint64_t handler = process->action[i].handler;

		if (handler == 1)
			out->ignored |= UINT64_C(1) << i;
		else if (handler != 0)
			out->caught |= UINT64_C(1) << i;
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	tree_unlock();
	return found ? 0 : -ESRCH;
}

static const char *state_name(char state)
{
	switch (state) {
	case 'R':
		return "R (running)";
	case 'Z':
		return "Z (zombie)";
	case 'T':
		return "T (stopped)";
	default:
		return "S (sleeping)";
	}
}

static void put_memory(struct text *text, struct process *process)
{
	struct proc_sizes sizes;

	proc_measure(process, &sizes);
	if (sizes.pages == 0)
		return;
	text_put(text, "VmPeak:\t%8llu kB\nVmSize:\t%8llu kB\nVmLck:\t%8u kB\nVmPin:\t%8u kB\n", KIB(sizes.pages),
		 KIB(sizes.pages), 0U, 0U);
	text_put(text,
		 "VmHWM:\t%8llu kB\nVmRSS:\t%8llu kB\nRssAnon:\t%8llu kB\nRssFile:\t%8u kB\nRssShmem:\t%8llu kB\n",
		 KIB(sizes.resident), KIB(sizes.resident), KIB(sizes.resident - sizes.shared), 0U, KIB(sizes.shared));
	text_put(text, "VmData:\t%8llu kB\nVmStk:\t%8llu kB\nVmExe:\t%8llu kB\nVmLib:\t%8u kB\nVmSwap:\t%8u kB\n",
		 KIB(sizes.data), KIB(sizes.stack), KIB(sizes.text), 0U, 0U);
}

int proc_status(struct text *text, struct process *process, uint32_t tid)
{
	struct identity who;

	if (identity_take(process, tid, &who) != 0)
		return -ESRCH;
	text_put(text, "Name:\t%s\nUmask:\t%04o\nState:\t%s\nTgid:\t%u\nNgid:\t0\nPid:\t%u\nPPid:\t%u\nTracerPid:\t0\n",
		 who.name, who.umask, state_name(who.state), process->pid, who.id, who.ppid);
	text_put(text, "Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t \nKthread:\t0\n");
	put_memory(text, process);
	text_put(text, "Threads:\t%u\nSigQ:\t0/0\nSigPnd:\t%016llx\nShdPnd:\t%016llx\nSigBlk:\t%016llx\n", who.threads,
		 (unsigned long long)who.pending, (unsigned long long)who.shared_pending,
		 (unsigned long long)who.blocked);
	text_put(text, "SigIgn:\t%016llx\nSigCgt:\t%016llx\nNoNewPrivs:\t0\nSeccomp:\t0\nCpus_allowed:\t%llx\n",
		 (unsigned long long)who.ignored, (unsigned long long)who.caught, (unsigned long long)who.affinity);
	return 0;
}

int proc_stat(struct text *text, struct process *process, uint32_t tid)
{
	struct proc_sizes sizes;
	struct identity who;
	unsigned long long cpu;

	if (identity_take(process, tid, &who) != 0)
		return -ESRCH;
	proc_measure(process, &sizes);
	cpu = ticks_to_ns(who.ticks) / NS_PER_TICK;
	text_put(text, "%u (%s) %c %u %u %u 1281 -1 0 %llu 0 0 0 %llu 0 0 0 %d %d %u 0 %llu %llu %llu %llu", who.id,
		 who.name, who.state, who.ppid, who.group, who.session, (unsigned long long)who.faults, cpu,
		 who.priority != 0 ? -1 - (int)who.priority : 20 + who.nice, who.nice, who.threads,
		 (unsigned long long)(process->started_ns / NS_PER_TICK), (unsigned long long)sizes.pages * PAGE_SIZE,
		 (unsigned long long)sizes.resident, (unsigned long long)UINT64_MAX);
	text_put(text, " 0 0 %llu 0 0 %llu %llu %llu %llu 0 0 0 17 0 %u %u 0 0 0 0 0 0 0 0 0 0 0\n",
		 (unsigned long long)process->start_sp, (unsigned long long)who.pending,
		 (unsigned long long)who.blocked, (unsigned long long)who.ignored, (unsigned long long)who.caught,
		 who.priority, who.policy);
	return 0;
}

int proc_comm(struct text *text, struct process *process, uint32_t tid)
{
	struct identity who;

	if (identity_take(process, tid, &who) != 0)
		return -ESRCH;
	text_put(text, "%s\n", who.name);
	return 0;
}

int proc_set_comm(uint32_t pid, uint32_t tid, const char *name)
{
	struct process *process = current_process();
	int error = -EINVAL;

	if (process->pid != pid)
		return -EINVAL;
	spin_lock(&process->lock, RANK_PROCESS);
	list_for_each (pos, &process->threads) {
		struct thread *thread = list_entry(pos, struct thread, link);

		if (error != 0 && (tid == 0 || thread->tid == tid)) {
			strncpy(thread->name, name, sizeof(thread->name) - 1);
			error = 0;
		}
	}
	spin_unlock(&process->lock, RANK_PROCESS);
	return error;
}

/* ---- What execve gave it. */

/* A string with its final 0, as it is now. False: not to be read, or long enough. */
static bool put_string(struct text *text, struct space *space, uint64_t at, size_t limit)
{
	char piece[PIECE];

	while (text->used < limit) {
		uint64_t n = MIN(PIECE, PAGE_SIZE - (at & PAGE_MASK));
		const char *end;

		if (user_read(space, piece, VADDR(at), n) != 0)
			return false;
		end = memchr(piece, 0, n);
		n = end != NULL ? (uint64_t)(end - piece) : n;
		text_put(text, "%.*s", (int)n, piece);
		at += n;
		if (end != NULL) {
			text_put(text, "%c", 0);
			return !text->failed;
		}
	}
	return false;
}

/* From where the stack began: argc, argv, NULL, envp, NULL. The environment or the arguments, as their pointers stand now. */
static void put_strings(struct text *text, struct process *process, bool environment)
{
	struct space *space = process_space(process);
	uint64_t at = process->start_sp;
	uint64_t argc = 0, string = 0;

	if (space == NULL)
		return;
	if (user_read(space, &argc, VADDR(at), sizeof(argc)) != 0 || argc > POINTERS_MAX)
		argc = 0;
	at += sizeof(argc) + (environment ? (argc + 1) * sizeof(string) : 0);
	for (uint64_t i = 0; i < (environment ? POINTERS_MAX : argc); i++, at += sizeof(string)) {
		if (user_read(space, &string, VADDR(at), sizeof(string)) != 0 || string == 0 ||
		    !put_string(text, space, string, STRINGS_MAX))
			break;
	}
	space_put(space);
}

void proc_cmdline(struct text *text, struct process *process)
{
	put_strings(text, process, false);
}

void proc_environ(struct text *text, struct process *process)
{
	put_strings(text, process, true);
}

/* ---- Limits */

static void put_limit(struct text *text, uint64_t value)
{
	if (value == UINT64_MAX)
		text_put(text, "%-20s ", "unlimited");
	else
		text_put(text, "%-20llu ", (unsigned long long)value);
}

void proc_limits(struct text *text, struct process *process)
{
	static const struct {
		const char *name, *unit;
	} names[RLIMITS] = {
		{ "Max cpu time", "seconds" },	   { "Max file size", "bytes" },
		{ "Max data size", "bytes" },	   { "Max stack size", "bytes" },
		{ "Max core file size", "bytes" }, { "Max resident set", "bytes" },
		{ "Max processes", "processes" },  { "Max open files", "files" },
		{ "Max locked memory", "bytes" },  { "Max address space", "bytes" },
		{ "Max file locks", "locks" },	   { "Max pending signals", "signals" },
		{ "Max msgqueue size", "bytes" },  { "Max nice priority", "" },
		{ "Max realtime priority", "" },   { "Max realtime timeout", "us" },
	};
	struct rlimit limits[RLIMITS];

	spin_lock(&process->lock, RANK_PROCESS);
	memcpy(limits, process->limits, sizeof(limits));
	spin_unlock(&process->lock, RANK_PROCESS);
	text_put(text, "%-25s %-20s %-20s %-10s\n", "Limit", "Soft Limit", "Hard Limit", "Units");
	for (unsigned i = 0; i < RLIMITS; i++) {
		text_put(text, "%-25s ", names[i].name);
		put_limit(text, limits[i].soft);
		put_limit(text, limits[i].hard);
		text_put(text, "%-10s\n", names[i].unit);
	}
}

void proc_mounts(struct text *text, struct process *process)
{
	(void)process;
	mounts_text(text);
}
