/*
 * The table of system calls, by Linux/riscv64 number, and what is true of all of them. What is missing here is counted, one
 * counter a hart, and with debug=enosys named in the log (syscall_names.h).
 */
#include "kernel/syscall.h"

#include "firmware/log.h"
#include "firmware/trap.h"
#include "kernel/process.h"
#include "kernel/sys.h"
#include "kernel/sys_file.h"
#include "kernel/syscall_names.h"
#include "mm/slab.h"

syscall_fn *const syscall_table[SYSCALLS] = {
	[17] = sys_getcwd,
	[19] = sys_eventfd2,
	[23] = sys_dup,
	[24] = sys_dup3,
	[25] = sys_fcntl,
	[29] = sys_ioctl,
	[32] = sys_flock,
	[33] = sys_mknodat,
	[34] = sys_mkdirat,
	[35] = sys_unlinkat,
	[36] = sys_symlinkat,
	[37] = sys_linkat,
	[39] = sys_umount2,
	[40] = sys_mount,
	[43] = sys_statfs,
	[44] = sys_fstatfs,
	[45] = sys_truncate,
	[46] = sys_ftruncate,
	[47] = sys_fallocate,
	[48] = sys_faccessat,
	[49] = sys_chdir,
	[50] = sys_fchdir,
	[52] = sys_fchmod,
	[53] = sys_fchmodat,
	[54] = sys_fchownat,
	[55] = sys_fchown,
	[56] = sys_openat,
	[57] = sys_close,
	[59] = sys_pipe2,
	[61] = sys_getdents64,
	[62] = sys_lseek,
	[63] = sys_read,
	[64] = sys_write,
	[65] = sys_readv,
	[66] = sys_writev,
	[67] = sys_pread64,
	[68] = sys_pwrite64,
	[69] = sys_preadv,
	[70] = sys_pwritev,
	[71] = sys_sendfile,
	[72] = sys_pselect6,
	[73] = sys_ppoll,
	[78] = sys_readlinkat,
	[79] = sys_newfstatat,
	[80] = sys_fstat,
	[81] = sys_sync,
	[82] = sys_fsync,
	[83] = sys_fdatasync,
	[84] = sys_sync_file_range,
	[88] = sys_utimensat,
	[92] = sys_personality,
	[90] = sys_capget,
	[91] = sys_capset,
	[93] = sys_exit,
	[94] = sys_exit_group,
	[95] = sys_waitid,
	[96] = sys_set_tid_address,
	[98] = sys_futex,
	[99] = sys_set_robust_list,
	[100] = sys_get_robust_list,
	[101] = sys_nanosleep,
	[102] = sys_getitimer,
	[103] = sys_setitimer,
	[107] = sys_timer_create,
	[108] = sys_timer_gettime,
	[109] = sys_timer_getoverrun,
	[110] = sys_timer_settime,
	[111] = sys_timer_delete,
	[113] = sys_clock_gettime,
	[114] = sys_clock_getres,
	[115] = sys_clock_nanosleep,
	[118] = sys_sched_setparam,
	[119] = sys_sched_setscheduler,
	[120] = sys_sched_getscheduler,
	[121] = sys_sched_getparam,
	[122] = sys_sched_setaffinity,
	[123] = sys_sched_getaffinity,
	[124] = sys_sched_yield,
	[125] = sys_sched_get_priority_max,
	[126] = sys_sched_get_priority_min,
	[127] = sys_sched_rr_get_interval,
	[128] = sys_restart_syscall,
	[129] = sys_kill,
	[130] = sys_tkill,
	[131] = sys_tgkill,
	[132] = sys_sigaltstack,
	[133] = sys_rt_sigsuspend,
	[134] = sys_rt_sigaction,
	[135] = sys_rt_sigprocmask,
	[136] = sys_rt_sigpending,
	[137] = sys_rt_sigtimedwait,
	[138] = sys_rt_sigqueueinfo,
	[139] = trap_call_rt_sigreturn,
	[140] = sys_setpriority,
	[141] = sys_getpriority,
	[143] = sys_setreid,
	[144] = sys_setid,
	[145] = sys_setreid,
	[146] = sys_setid,
	[147] = sys_setresid,
	[148] = sys_getresid,
	[149] = sys_setresid,
	[150] = sys_getresid,
	[151] = sys_setfsid,
	[152] = sys_setfsid,
	[153] = sys_times,
	[154] = sys_setpgid,
	[155] = sys_getpgid,
	[156] = sys_getsid,
	[157] = sys_setsid,
	[158] = sys_getgroups,
	[159] = sys_setgroups,
	[160] = sys_uname,
	[161] = sys_sethostname,
	[162] = sys_setdomainname,
	[163] = sys_getrlimit,
	[164] = sys_setrlimit,
	[165] = sys_getrusage,
	[166] = sys_umask,
	[167] = sys_prctl,
	[168] = sys_getcpu,
	[169] = sys_gettimeofday,
	[172] = sys_getpid,
	[173] = sys_getppid,
	[174] = sys_getid,
	[175] = sys_getid,
	[176] = sys_getid,
	[177] = sys_getid,
	[178] = sys_gettid,
	[179] = sys_sysinfo,
	[194] = sys_shmget,
	[195] = sys_shmctl,
	[196] = sys_shmat,
	[197] = sys_shmdt,
	[198] = sys_socket,
	[199] = sys_socketpair,
	[204] = sys_getsockname,
	[205] = sys_getpeername,
	[206] = sys_sendto,
	[207] = sys_recvfrom,
	[208] = sys_setsockopt,
	[209] = sys_getsockopt,
	[210] = sys_shutdown,
	[211] = sys_sendmsg,
	[212] = sys_recvmsg,
	[243] = sys_recvmmsg,
	[269] = sys_sendmmsg,
	[214] = sys_brk,
	[215] = sys_munmap,
	[216] = sys_mremap,
	[227] = sys_msync,
	[228] = sys_mlock,
	[229] = sys_munlock,
	[230] = sys_mlockall,
	[231] = sys_munlockall,
	[232] = sys_mincore,
	[270] = sys_process_vm_readv,
	[271] = sys_process_vm_writev,
	[284] = sys_mlock2,
	[220] = trap_call_clone,
	[221] = trap_call_execve,
	[222] = sys_mmap,
	[223] = sys_fadvise64,
	[226] = sys_mprotect,
	[233] = sys_madvise,
	[240] = sys_rt_tgsigqueueinfo,
	[259] = sys_riscv_flush_icache,
	[260] = sys_wait4,
	[261] = sys_prlimit64,
	[213] = sys_readahead,
	[267] = sys_syncfs,
	[286] = sys_preadv2,
	[287] = sys_pwritev2,
	[274] = sys_sched_setattr,
	[275] = sys_sched_getattr,
	[276] = sys_renameat2,
	[278] = sys_getrandom,
	[279] = sys_memfd_create,
	[283] = sys_membarrier,
	[285] = sys_copy_file_range,
	[291] = sys_statx,
	[424] = sys_pidfd_send_signal,
	[434] = sys_pidfd_open,
	[435] = trap_call_clone3,
	[436] = sys_close_range,
	[438] = sys_pidfd_getfd,
	[439] = sys_faccessat2,
	[448] = sys_process_mrelease,
	[449] = sys_futex_waitv,
	[452] = sys_fchmodat2,
	[462] = sys_mseal,
};

struct counter {
	uint64_t calls; /* written by its hart, with interrupts off */
} CACHE_ALIGNED;

static struct {
	struct counter *unknown; /* hw_harts() of them */
	bool log;
} state;

void syscall_init(bool log_unknown)
{
	state.unknown = kalloc(sizeof(struct counter) * hw_harts());
	CHECK(state.unknown != NULL);
	state.log = log_unknown;
}

int64_t sys_unknown(const uint64_t *a)
{
	const struct thread *thread = current_thread();
	uint64_t number = thread_frame(thread)->a7;
	const char *name = number < SYSCALLS ? syscall_names[number] : NULL;

	(void)a;
	state.unknown[hw_hart()].calls++;
	if (state.log)
		klog("enosys: %s (process %u) calls %s (%lu)", thread->name, thread->process->pid,
		     name ? name : "what Linux does not have, either", (unsigned long)number);
	return -ENOSYS;
}

uint64_t syscalls_unknown(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < hw_harts(); i++)
		sum += state.unknown[i].calls;
	return sum;
}

/* read, write and their kind, wait and futex: signal(7), "Interruption of system calls". */
bool syscall_restarts(uint64_t number, bool wanted)
{
	switch (number) {
	case 220: /* clone: has only looked for signals */
	case 435: /* clone3 */
		return true;
	case 25:  /* fcntl */
	case 29:  /* ioctl */
	case 32:  /* flock */
	case 56:  /* openat */
	case 63:  /* read */
	case 64:  /* write */
	case 65:  /* readv */
	case 66:  /* writev */
	case 67:  /* pread64 */
	case 68:  /* pwrite64 */
	case 69:  /* preadv */
	case 70:  /* pwritev */
	case 286: /* preadv2 */
	case 287: /* pwritev2 */
	case 71:  /* sendfile */
	case 95:  /* waitid */
	case 206: /* sendto */
	case 207: /* recvfrom */
	case 211: /* sendmsg */
	case 212: /* recvmsg */
	case 243: /* recvmmsg */
	case 260: /* wait4 */
	case 269: /* sendmmsg */
	case 278: /* getrandom */
	case 449: /* futex_waitv: its time-out is a deadline */
		return wanted;
	case 98: /* futex: without a time-out */
		return wanted && thread_frame(current_thread())->a3 == 0;
	default:
		return false;
	}
}
