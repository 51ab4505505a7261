"""
How each program of this folder is run, and what must come of it. A case's name is its program's, or says more:

  program    the program, where it is not the case's name          args, stdin   what it is given
  status     exit status, 128 + n for signal n (default 0)         harts         on how many it is run, each by itself
  out        all it prints (default: it ends with "ok")            mem, limit    memory; seconds
  append     boot arguments beside audit=on                        qemu          arguments for QEMU
  seeded     gets a random seed as its first argument              files         puts broken executables in its arguments
  emulation  why qemu-riscv64 cannot run it, where it cannot: with CORRAL_USER_ON=emulation all others run there
"""
FEW = (1, 4)
SMP = (1, 2, 4, 8)
U74 = "-cpu rv64,mvendorid=0x489,marchid=0x8000000000000007,mimpid=0x20181004"
EVERY_BYTE = "".join(chr(c) for c in range(32, 127)) + "\n"

NO_UNMAP_FAULT = "QEMU keeps the host's pages, so that some faults do not come"
NO_EXEC = "execve reaches the host, which cannot run the program"
ERRNO = "QEMU's own errno differs"
FALLS_OVER = "QEMU itself falls over when memory goes from under it"
SLOW = "QEMU takes minutes for 64 GiB"

CASES = {
    # What a program finds, and how it ends.
    "args": {"args": ["one", "two words", '-x="q"', "last"]},
    "environment": {"append": "PATH=/mine FOO=bar", "out": "PATH=/mine\nFOO=bar\nHOME=/\nTERM=linux\nok\n",
                    "harts": (1,), "emulation": "the host's environment is not ours"},
    "stack_grow": {"emulation": "the emulator's stack does not grow"},
    "identity": {},
    "enosys": {},
    "errors_order": {"emulation": ERRNO},
    "registers": {"harts": SMP},
    "fp_switch": {"harts": SMP},
    "clock": {"harts": SMP},
    "limits": {"emulation": "QEMU does not pass these limits on"},
    "cpu_clock": {"harts": SMP},
    "policies": {"emulation": "the host may not let us"},
    "affinity": {"harts": SMP},
    "large_output": {"out": "".join(
        ("child %04d\n" % i if i % 100 == 50 else "") + "line %04d abcdefghijklmnopqrstuvwxyz\n" % i
        for i in range(300)) + "ok\n"},
    "echo": {"stdin": "one line\n", "out": "one line\nok\n"},
    "echo-nothing": {"program": "echo", "stdin": "", "out": "ok\n", "harts": (4,)},
    "echo-much": {"program": "echo", "stdin": EVERY_BYTE * 300, "out": EVERY_BYTE * 300 + "ok\n", "harts": (4,)},
    "die-return": {"program": "die", "args": ["return"], "status": 37, "harts": (1,)},
    "die-exit-255": {"program": "die", "args": ["exit-255"], "status": 255, "harts": (1,)},
    "die-exit-wraps": {"program": "die", "args": ["exit-wraps"], "status": 0x34, "harts": (1,)},
    "die-segv": {"program": "die", "args": ["segv"], "status": 128 + 11},
    "die-bus": {"program": "die", "args": ["bus"], "status": 128 + 7, "harts": (1,)},
    "die-abort": {"program": "die", "args": ["abort"], "status": 128 + 6, "harts": (1,)},
    "die-kill": {"program": "die", "args": ["kill"], "status": 128 + 9, "harts": (1,)},
    "die-ill": {"program": "die", "args": ["ill"], "status": 128 + 4, "harts": (1,)},
    "die-text": {"program": "die", "args": ["text"], "status": 128 + 11, "harts": (1,)},
    "die-jump": {"program": "die", "args": ["jump"], "status": 128 + 11, "harts": (1,)},
    "die-thread-exit": {"program": "die", "args": ["thread-exit"], "status": 41},
    "die-thread-segv": {"program": "die", "args": ["thread-segv"], "status": 128 + 11},

    # Copy-on-write.
    "cow_fork": {"harts": SMP},
    "cow_chain": {},
    "cow_many": {},
    "cow_readonly": {},
    "cow_last_ref": {"harts": SMP},
    "cow_threads": {"harts": SMP},
    "cow_threads-rfence": {"program": "cow_threads", "append": "tlb=rfence", "harts": (4,)},
    "cow_threads-u74": {"program": "cow_threads", "qemu": U74, "harts": (4,)},
    "cow_racer": {"harts": SMP},
    "cow_racer-rfence": {"program": "cow_racer", "append": "tlb=rfence", "harts": (4,)},
    "cow_siblings": {"harts": SMP},
    "dontneed_race": {"harts": SMP},
    "pipe_snapshot": {},
    "madvise_fork": {"harts": (1,), "emulation": "QEMU ignores this advice"},

    # Mappings.
    "zero_page": {"emulation": ERRNO},
    "mprotect_split": {"emulation": ERRNO},
    "munmap_split": {"emulation": NO_UNMAP_FAULT},
    "mmap_errors": {"emulation": ERRNO},
    "big_reserve": {"emulation": SLOW},
    "mseal": {"harts": SMP, "emulation": "QEMU has no such call"},
    "droppable": {"emulation": "QEMU ignores this advice"},
    "mdwe": {"emulation": "QEMU refuses this prctl"},
    "write_execute": {"harts": SMP},
    "mremap": {"harts": SMP, "emulation": NO_UNMAP_FAULT},
    "mlock": {"emulation": "QEMU does not lock"},
    "residency": {"emulation": ERRNO},
    "process_vm": {"emulation": ERRNO},
    "proc_mem": {"emulation": "the host's /proc/PID/mem has QEMU's addresses"},
    "leave_files": {"emulation": "it would leave them on the host"},
    "brk": {"emulation": NO_UNMAP_FAULT},
    "shared_anon": {"harts": SMP},
    "space_switch": {"harts": SMP},
    "switch_storm": {"seeded": True},
    "space_switch-u74": {"program": "space_switch", "qemu": U74, "harts": (4,)},
    "fault_same_page": {"harts": SMP},
    "exec_pages": {"harts": SMP},
    "exec_pages-rfence": {"program": "exec_pages", "append": "tlb=rfence", "harts": (4,)},

    # The same by other designs (docs/boot.md).
    "cow_fork-eager": {"program": "cow_fork", "append": "fork=eager", "harts": (4,)},
    "cow_threads-eager": {"program": "cow_threads", "append": "fork=eager asid=off", "harts": (4,)},
    "cow_fork-cow": {"program": "cow_fork", "append": "fork=cow batch=1", "harts": (4,)},
    "cow_racer-broadcast": {"program": "cow_racer", "append": "tlb=broadcast", "harts": (4,)},
    "fork_storm-eager": {"program": "fork_storm", "seeded": True, "append": "fork=eager tlb=broadcast", "harts": (4,), "limit": 120},
    "shootdown_munmap-batch": {"program": "shootdown_munmap", "append": "batch=7 asid=off", "harts": (4,)},
    "storm-broadcast": {"program": "storm", "seeded": True, "append": "tlb=broadcast batch=64 asid=off fork=cow", "harts": (2,), "limit": 120},

    # Shootdown.
    "shootdown_mprotect": {"harts": SMP},
    "shootdown_mprotect-rfence": {"program": "shootdown_mprotect", "append": "tlb=rfence", "harts": (2, 8)},
    "shootdown_mprotect-u74": {"program": "shootdown_mprotect", "qemu": U74, "harts": (4,)},
    "shootdown_munmap": {"harts": SMP},
    "shootdown_munmap-rfence": {"program": "shootdown_munmap", "append": "tlb=rfence", "harts": (2, 8)},
    "shootdown_munmap-u74": {"program": "shootdown_munmap", "qemu": U74, "harts": (4,)},
    "stale_frame": {"harts": SMP},
    "table_churn": {"harts": SMP, "emulation": FALLS_OVER},
    "table_churn-rfence": {"program": "table_churn", "append": "tlb=rfence", "harts": (4,), "emulation": FALLS_OVER},

    # The kernel's access to user memory, and what programs may not do to it.
    "user_copy": {"harts": SMP, "emulation": FALLS_OVER},
    "bad_pointers": {"emulation": ERRNO},
    "isolation": {"seeded": True, "emulation": "QEMU has no supervisor"},
    "isolation_calls": {"limit": 120, "emulation": FALLS_OVER},
    "isolation_leaks": {"seeded": True, "emulation": NO_EXEC},
    "isolation_later": {"emulation": NO_EXEC},
    "stack_lost": {},
    "fuzz_files": {"seeded": True, "harts": FEW, "emulation": "the names are the host's own files"},
    "fuzz_calls": {"seeded": True, "harts": SMP, "emulation": FALLS_OVER},
    "random_calls": {"seeded": True, "harts": FEW, "limit": 120, "emulation": FALLS_OVER},
    "random_compare": {"args": ["1", "20"], "harts": FEW, "emulation": FALLS_OVER},
    "soak": {"args": ["2", "1"], "harts": (1,)},
    "fail_alloc": {"append": "zero=demand", "emulation": "it takes the debug kernel"},
    "hogs": {"args": ["3", "1"], "mem": "64M", "harts": (1,), "limit": 120, "emulation": "it takes a small machine"},
    "oom": {"args": ["200"], "mem": "128M", "limit": 120, "emulation": "it takes a small machine"},

    # Processes and threads.
    "wait": {},
    "leftovers": {"harts": SMP},
    "pipes": {"harts": SMP, "emulation": ERRNO},
    "procfs": {"emulation": "QEMU makes up its own /proc/self", "harts": FEW},
    "smaps": {"emulation": "QEMU makes up its own /proc/self", "harts": FEW},
    "proc_task": {"emulation": "QEMU's threads and files are in /proc, too", "harts": FEW},
    "proc_storm": {"seeded": True, "harts": (1, 4, 8), "emulation": "Linux has no such files"},
    "proc_storm-trace": {"program": "proc_storm", "seeded": True, "harts": (1,), "append": "trace=fault,fork trace-records=16384"},
    "pidfds": {"harts": FEW, "emulation": "QEMU 7.2 has no process_mrelease"},
    "fuzz_sockets": {"seeded": True, "harts": FEW},
    "file_locks": {"harts": FEW},
    "fifos": {"harts": FEW},
    "sockets": {"harts": FEW, "emulation": ERRNO},
    "socket_messages": {"harts": FEW, "emulation": "QEMU copies messages itself, and loses none that cannot be written"},
    "socket_files": {"harts": FEW, "emulation": "QEMU passes the host less room for descriptors than it was given"},
    "seals": {"harts": FEW},
    "membarrier": {"harts": SMP, "emulation": "QEMU has no such call"},
    "names": {"harts": FEW, "emulation": "the host would be renamed"},
    "sync_calls": {"emulation": "QEMU does not look at what madvise names"},
    "chmod_links": {"emulation": "QEMU lacks the call"},
    "files": {"emulation": "QEMU runs, not the program, so /proc/self/exe can be written to"},
    "file_race": {"harts": SMP},
    "file_append": {"harts": SMP},
    "file_apart": {"harts": SMP},
    "directory_many": {},
    "file_times": {},
    "file_force": {"harts": FEW, "emulation": "QEMU has its own /proc/self/mem"},
    "map_many": {"harts": FEW, "emulation": "QEMU keeps its own account of mappings"},
    "file_cut": {"harts": SMP, "seeded": True, "emulation": NO_UNMAP_FAULT},
    "file_clone": {"harts": SMP},
    "fsx": {"seeded": True, "harts": SMP},
    "file_storm": {"seeded": True, "harts": SMP, "emulation": "x86's copies do not keep words whole"},
    "exec": {"files": True, "emulation": NO_EXEC},
    "long_calls": {"harts": SMP, "limit": 120},
    "fork_signals": {"harts": SMP, "emulation": "QEMU refuses this prctl"},
    "clone": {"harts": SMP, "emulation": "QEMU refuses most of clone's flags"},
    "self": {"emulation": "QEMU refuses much of prctl"},
    "scripts": {"emulation": NO_EXEC},
    "exec_storm": {"harts": SMP, "emulation": NO_EXEC},
    "threads": {"harts": SMP},
    "thread_exit": {"harts": SMP},
    "futex": {"harts": SMP},
    "shm": {"harts": SMP, "emulation": "QEMU counts no attachments"},
    "futex_waitv": {"harts": SMP, "emulation": "QEMU has no such call"},
    "futex_op": {"harts": SMP, "emulation": "QEMU has no robust lists"},
    "fork8": {"harts": SMP},
    "fork8-rfence": {"program": "fork8", "append": "tlb=rfence", "harts": (4,)},
    "fork_storm": {"harts": SMP},
    "storm": {"seeded": True, "harts": SMP, "limit": 120},
    "storm-rfence": {"program": "storm", "seeded": True, "append": "tlb=rfence", "harts": (4,), "limit": 120},
    "storm-u74": {"program": "storm", "seeded": True, "qemu": U74, "harts": (4,), "limit": 120},

    # Signals.
    "signal_fault": {},
    "signal_stack": {},
    "signal_send": {"harts": SMP},
    "signal_queue": {},
    "signal_handed_on": {"harts": SMP},
    "fuzz_signals": {"seeded": True, "harts": SMP},
    "signal_storm": {"seeded": True, "harts": SMP, "limit": 120},
    "timers": {"harts": SMP},
    "jobs": {"harts": SMP, "emulation": "QEMU passes on what SA_NOCLDSTOP holds back"},
    "hang_up": {"append": "tty=1", "emulation": "there may be no terminal to take"},
    "write_barrier": {"harts": SMP},
}
