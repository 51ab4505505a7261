/* The system calls that are not about files (those: sys_file.h), by the file that has them. */
#ifndef KERNEL_SYS_H
#define KERNEL_SYS_H

#include "kernel/syscall.h"

/* fork.c, exec.c, futex.c, sigframe.c */
syscall_fn sys_clone, sys_clone3, sys_execve, sys_futex, sys_sigaltstack, sys_rt_sigreturn;

/* futex_waitv.c */
syscall_fn sys_futex_waitv;

/* sys_advise.c */
syscall_fn sys_madvise;

/* harden.c */
syscall_fn sys_mseal;

/* shm.c, sys_shm.c */
syscall_fn sys_shmget, sys_shmctl, sys_shmat, sys_shmdt;

/* sys_process.c */
syscall_fn sys_exit, sys_exit_group, sys_wait4, sys_waitid, sys_getpid, sys_gettid, sys_getppid, sys_set_tid_address;
syscall_fn sys_set_robust_list, sys_get_robust_list, sys_setpgid, sys_getpgid, sys_getsid, sys_setsid;

/* sys_signal.c */
syscall_fn sys_kill, sys_tkill, sys_tgkill, sys_rt_sigaction, sys_rt_sigprocmask, sys_rt_sigpending, sys_rt_sigsuspend;
syscall_fn sys_rt_sigtimedwait, sys_rt_sigqueueinfo, sys_rt_tgsigqueueinfo, sys_restart_syscall;

/* sys_memory.c */
syscall_fn sys_mmap, sys_munmap, sys_mprotect, sys_brk, sys_riscv_flush_icache;
syscall_fn sys_membarrier;

/* sys_remap.c, sys_peek.c */
syscall_fn sys_mremap, sys_process_vm_readv, sys_process_vm_writev;

/* pidfd.c */
syscall_fn sys_pidfd_open, sys_pidfd_send_signal, sys_pidfd_getfd, sys_process_mrelease;

/* sys_capability.c */
syscall_fn sys_capget, sys_capset;

/* sys_residency.c */
syscall_fn sys_mincore, sys_mlock, sys_mlock2, sys_munlock, sys_mlockall, sys_munlockall, sys_msync;

/* sys_time.c */
syscall_fn sys_clock_gettime, sys_clock_getres, sys_clock_nanosleep, sys_nanosleep, sys_gettimeofday, sys_times;

/* sys_timer.c */
syscall_fn sys_getitimer, sys_setitimer, sys_timer_create, sys_timer_gettime, sys_timer_getoverrun, sys_timer_settime;
syscall_fn sys_timer_delete;

/* sys_sched.c */
syscall_fn sys_sched_yield, sys_sched_setaffinity, sys_sched_getaffinity, sys_getcpu, sys_getpriority, sys_setpriority;
/* [tree lock] 0: the caller. */
struct thread *user_thread_locked(uint64_t tid);
/* sys_policy.c */
void policy_inherit(const struct thread *parent, struct thread *child);
void policy_show(const struct thread *thread, unsigned *policy, unsigned *priority);
syscall_fn sys_sched_getscheduler, sys_sched_setscheduler, sys_sched_getparam, sys_sched_setparam;
syscall_fn sys_sched_get_priority_max, sys_sched_get_priority_min, sys_sched_rr_get_interval;
syscall_fn sys_sched_getattr, sys_sched_setattr;

/* sys_identity.c */
syscall_fn sys_getid, sys_getresid, sys_setid, sys_setreid, sys_setresid, sys_setfsid, sys_getgroups, sys_setgroups;
syscall_fn sys_prctl;

/* sys_uname.c */
syscall_fn sys_uname, sys_sethostname, sys_setdomainname;

/* sys_info.c */
syscall_fn sys_prlimit64, sys_getrlimit, sys_setrlimit;
syscall_fn sys_getrusage, sys_sysinfo, sys_getrandom, sys_personality;

/* Nanoseconds of CLOCK_REALTIME as nanoseconds since the start, at least 0. */
uint64_t time_from_realtime(uint64_t ns);
uint64_t time_realtime_ns(void);
uint64_t time_realtime_at(uint64_t ticks); /* of the counter */
uint64_t ticks_to_ns(uint64_t ticks);
struct rusage;
struct process_usage;
/* Writes a struct rusage for the program. 0 or -EFAULT. */
int user_put_rusage(uint64_t address, const struct process_usage *usage) MUST_CHECK;

#endif
