"""What scripts/stackuse cannot see: the stacks, and where types say too much or too little."""
from collections import namedtuple

# What must stay free of each stack, beside a panic's own depth.
MARGIN = 2048

# A trap frame lies at the top of a thread's stack.
TRAP_FRAME = 304
THREAD = 16384 - TRAP_FRAME
KTHREADS = ["run", "slot_main", "thread_main", "tidy", "writer_main"]

Entry = namedtuple("Entry", "name functions stack panics")

# The name, where it begins, bytes of stack, and whether there must be room for a panic above that.
ENTRIES = [
    Entry("a thread of a program: calls, faults, interrupts", ["trap_entry", "trap_entry_cip453"], THREAD, True),
    Entry("a new thread of a program", ["thread_entry"], THREAD, True),
    Entry("the kernel's own threads", ["kernel_thread_entry"], THREAD, True),
    Entry("idle", ["idle_entry"], 16384, True),
    Entry("a hart that starts, and its idle", ["hart_main"], 16384, True),
    Entry("the boot hart: boot, and the thread main", ["boot_main"], 16384, True),
    Entry("a trap from the kernel", ["panic_trap"], 8192, False),
]

# A panic may come anywhere: its depth is added to every entry's, not to every chain.
PANIC = "hw_panic"

# Where a call through a pointer leads, if its type alone says too much, or none is known: functions by name, or by type. By the function that
# it is written in, or that it ended up in.
POINTERS = {
    "trap_call": ["i64(i64*)", "trap_call_clone", "trap_call_clone3", "trap_call_execve", "trap_call_rt_sigreturn"],
    "hpm_read": [],  # into its own table
    "trap_probe_hpm": [],  # back to where it was called
    "context_start": [],  # what a stack starts with is an entry
    "hw_page_copy": ["page_copy_plain", "page_copy_vector"],
    "hw_page_clear": ["page_clear_plain", "page_clear_vector", "page_clear_block"],
    "qsort": ["i32(i8*, i8*)"],
    "__i_vfprintf": ["__file_str_put", "sbi_putchar"],
    "kernel_thread_entry": KTHREADS,
    "run": ["thread_main", "tidy", "writer_main"],
    "hart_main": ["sched_hart_main"],
    "hart_serve_ipi": ["ipi_serve"],
    "klog": ["log_write", "sbi_write"],
    "log_raw": ["log_write", "sbi_write"],
    "log_flush": ["console_flush", "nothing"],
    "log_panic_begin": ["log_panic", "nothing"],
    "console_interrupt": ["void(%struct.uart*)", "tty_readable", "tty_writable"],
    "coremap_drain": ["give_back"],
    "take_slow": ["wanted"],
    "file_put": ["rights_collect"],
    "violation": ["audit_line", "say"],
    "boot_args_unknown": ["count_word", "take_unknown"],
    "mount_word": ["tell"],
    # drivers/ towards kernel/driver_events.c
    "sleep": ["i64()", "event_wait"],
    "transfer": ["i64()", "event_wait"],
    "settle": ["event_wait"],
    "sd_disk_run": ["event_wait"],
    "sifive_spi_interrupt": ["event_signal"],
    "submit": ["event_signal"],
    "slot_main": ["event_signal"],
}

# Calls that do not happen, or not on this stack: caller, callee, why.
CUT = {
    "trap_entry": {"trap_from_kernel": "has a stack of its own"},
    "trap_entry_cip453": {"trap_from_kernel": "has a stack of its own"},
}

# One function of each recursion, how often it can go round, why.
RECURSION = {
    # Tables of Sv39 have three levels.
    "each_below": (2, "levels of tables"),
    "each_child": (2, "levels of tables"),
    "table_take_down": (2, "levels of tables"),
    "own_below": (2, "levels of tables"),
    "bury": (2, "levels of tables"),
    "unlink_below": (2, "levels of tables"),
    "unlink_empty": (2, "levels of tables"),
    "audit_table": (2, "levels of tables"),
    "fork_table": (2, "levels of tables"),
    "eager_table": (2, "levels of tables"),
    "close_below": (2, "levels of tables"),
    "visit_below": (2, "levels of tables"),
    # An object's index has 6 bits a level, for 2^52 pages.
    "index_node_put": (8, "levels of an index"),
    "leaf_below": (8, "levels of an index"),
    "take_below": (8, "levels of an index"),
    "prune_below": (8, "levels of an index"),
    "count_below": (8, "levels of an index"),
    "dirty_below": (8, "levels of an index"),
    "audit_visit": (8, "levels of an index"),
    "file_put": (2, "a thread that drops messages leaves what they hold to itself (thread.dropping)"),
    "fat_commit": (1, "a commit frees nodes that have an entry; their directories have one, too, and are not files, so need no commit"),
    "gap_try": (1, "what the first walk calls makes a second, of other callbacks"),
    "tree_each_ram": (1, "what the first walk calls makes a second, of other callbacks"),
    "fdt_path_offset_namelen": (1, "all paths that libfdt is given begin with a slash, so none is an alias (drivers/dt.c)"),
    "spin_lock_slow": (1, "nobody is reported for waiting for the console's lock, by which reports are written (lib/lock.c)"),
    "qsort": (2, "it goes into the smaller part, and notes eight of the others: 2^16 elements"),
}
