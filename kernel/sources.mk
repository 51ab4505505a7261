# Traps, scheduling, processes, signals; then files.
# System V shared memory; mseal, PR_SET_MDWE; madvise.
kernel-y := shm.o sys_shm.o harden.o sys_advise.o watchdog.o
kernel-y += main.o trap.o syscall.o wait.o timer.o ptimer.o runqueue.o sched.o fp.o quiesce.o process.o heritage.o spare.o ids.o fork.o exec.o elf.o fail.o script.o signal.o sigframe.o job.o share.o \
	futex.o futex_waitv.o robust.o random.o touch.o sys_process.o sys_signal.o sys_memory.o sys_remap.o sys_residency.o sys_peek.o sys_capability.o sys_time.o sys_timer.o sys_sched.o sys_info.o sys_uname.o sys_membarrier.o sys_identity.o
# Disks and the page cache.
kernel-y += driver_events.o blockdev.o blockstore.o disk.o fsdisk.o kthread.o mutex.o cache.o cache_ahead.o cache_file.o cache_write.o cache_reclaim.o io_object.o sys_sync.o
kernel-y += cpio.o dev.o directory.o fdtable.o file.o files.o initramfs.o io.o line.o open.o path.o pipe.o proc.o proc_pid.o proc_maps.o proc_text.o regular.o reflink.o seal.o eventfd.o socket.o \
	sys_fd.o sys_copy.o sys_io.o sys_path.o sys_poll.o sys_stat.o text.o tree.o node.o tty.o tty_jobs.o
kernel-y += proc_caches.o proc_corral.o proc_tables.o trace.o proc_disk.o proc_fd.o proc_mem.o sys_policy.o
kernel-y += file_lock.o pidfd.o socket_queue.o socket_rights.o socket_message.o socket_control.o socket_options.o
kernel-y += mount.o sys_mount.o sys_statfs.o volume.o volume_file.o volume_names.o volume_stat.o
