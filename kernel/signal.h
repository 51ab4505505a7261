/* Signals, as Linux/riscv64 has them. Contract of signal.c and sigframe.c. */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include "lib/list.h"
#include "lib/types.h"

struct process;
struct thread;
struct trap_frame;

#define NSIG	  64
#define SIGHUP	  1
#define SIGINT	  2
#define SIGQUIT	  3
#define SIGILL	  4
#define SIGTRAP	  5
#define SIGABRT	  6
#define SIGBUS	  7
#define SIGFPE	  8
#define SIGKILL	  9
#define SIGUSR1	  10
#define SIGSEGV	  11
#define SIGUSR2	  12
#define SIGPIPE	  13
#define SIGALRM	  14
#define SIGTERM	  15
#define SIGCHLD	  17
#define SIGCONT	  18
#define SIGSTOP	  19
#define SIGTSTP	  20
#define SIGTTIN	  21
#define SIGTTOU	  22
#define SIGURG	  23
#define SIGXCPU	  24
#define SIGXFSZ	  25
#define SIGVTALRM 26
#define SIGPROF	  27
#define SIGWINCH  28
#define SIGIO	  29
#define SIGPWR	  30
#define SIGSYS	  31

#define SIG_DFL 0
#define SIG_IGN 1

#define SA_NOCLDSTOP 1U
#define SA_NOCLDWAIT 2U
#define SA_RESTART   0x10000000U
#define SA_NODEFER   0x40000000U
#define SA_RESETHAND 0x80000000U

#define SIG_BIT(n) (UINT64_C(1) << ((n)-1))

#define SI_USER	      0
#define SI_KERNEL     0x80
#define SI_QUEUE      (-1)
#define SI_TIMER      (-2)
#define SI_TKILL      (-6)
#define ILL_ILLOPC    1
#define SEGV_MAPERR   1
#define SEGV_ACCERR   2
#define BUS_ADRALN    1
#define BUS_ADRERR    2
#define TRAP_BRKPT    1
#define CLD_EXITED    1
#define CLD_KILLED    2
#define CLD_STOPPED   5
#define CLD_CONTINUED 6

/* As rt_sigaction passes it on riscv64: no restorer. */
struct sigaction_kernel {
	uint64_t handler; /* 0: default, 1: ignore */
	uint64_t flags;
	uint64_t mask;
};

struct sigaltstack {
	uint64_t sp;
	int32_t flags;
	uint64_t size;
};

/* What programs see: 128 bytes. */
struct siginfo {
	int32_t signo;
	int32_t error;
	int32_t code;
	int32_t pad;
	union {
		struct {
			int32_t id, overrun;
			uint64_t value;
		} timer; /* SI_TIMER */
		struct {
			int32_t pid;
			uint32_t uid;
			union {
				uint64_t value;
				int32_t status;
			};
			int64_t utime, stime;
		} sent;	       /* kill, sigqueue, SIGCHLD */
		uint64_t addr; /* faults */
		uint8_t bytes[112];
	};
};
_Static_assert(sizeof(struct siginfo) == 128, "siginfo is 128 bytes for programs");

struct sigpending {
	uint64_t set;
	struct list queue; /* struct sigqueue: who sent them, where there was memory to note it */
};

void sigpending_init(struct sigpending *pending);
void sigpending_clear(struct process *process, struct sigpending *pending);

/* Sends to a process (any of its threads that does not block it) or to one thread. info: copied.
 * 0, or -EAGAIN: too many are queued (RLIMIT_SIGPENDING). No lock held. */
int signal_process(struct process *process, const struct siginfo *info);
/* [tree lock held, so that the thread is alive] */
int signal_thread(struct thread *thread, const struct siginfo *info);

/* To all of a group; signal 0 only asks. 0 or -ESRCH. No lock held. sys_signal.c */
int64_t signal_group(uint32_t group, const struct siginfo *info);

/* [process lock] */
void signal_send_locked(struct process *process, const struct siginfo *info);
/* [process lock] Sending it would change nothing. Of SIGCHLD; others: whether the process is ending. */
bool signal_is_dropped_locked(struct process *process, int signo);

/* [process lock] From one of its timers (ptimer.c), by its key; tid 0: to any thread. false: nobody will take it. */
bool signal_timer_locked(struct process *process, uint32_t tid, const struct siginfo *info, uint32_t key);

/* SIGPIPE and its like, to the calling thread; handled when the call returns. */
void signal_self(int signo);

/* The calling thread's own fault: cannot be blocked or ignored. */
void signal_fault(int signo, int code, uint64_t address);

/* At the return to user mode: delivers, or ends the process. `call`: the trap was a system call. */
void signal_deliver(struct trap_frame *frame, bool call);

/* [process lock] A thread that could have taken signals in `set` no longer does: others are told of what is pending. */
void signal_retarget_locked(struct process *process, uint64_t set);

/* Whether wait_block must not block. For the calling thread. */
bool signal_waiting(const struct thread *thread);

/* Handlers become default. */
void signal_exec(struct process *process);
/* An action as a program gives it, to one process (share.c does it for all that share it). */
void signal_put_action(struct process *process, int signo, const struct sigaction_kernel *action);
void signal_put_action_locked(struct process *process, int signo, const struct sigaction_kernel *action);

/* Puts `mask` in place until the call has returned and signals have been handled with it (ppoll, rt_sigsuspend). */
void signal_swap_mask(uint64_t mask);

/* For the calls: the calling thread's mask and pending signals, its process's actions (action NULL: only ask). */
void signal_set_mask(uint64_t mask);
uint64_t signal_pending_set(void);
void signal_set_action(int signo, const struct sigaction_kernel *action, struct sigaction_kernel *old);
/* Signals in set are told to the calling thread although it blocks them (rt_sigtimedwait); what no longer is, to others. */
void signal_accept(uint64_t set);
/* Takes a pending signal of the set; false: none. */
bool signal_take(uint64_t set, struct siginfo *info);

/* The page with the rt_sigreturn trampoline, mapped into every program. */
int sigframe_init(void) MUST_CHECK;
struct space;
int sigframe_map(struct space *space) MUST_CHECK;
/* 0, or -EFAULT: the stack cannot take it. */
int sigframe_push(struct trap_frame *frame, const struct siginfo *info, const struct sigaction_kernel *action,
		  uint64_t mask) MUST_CHECK;

#endif
