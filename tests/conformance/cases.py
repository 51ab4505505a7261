"""
What make conformance runs on Linux and on Corral. A suite is a function that gives cases; it builds what it needs from
what scripts/fetch brought (build/debian), and says why it cannot where it cannot.
"""
import glob
import importlib.util
import os
import pathlib
import re
import subprocess

import file_cases
from suite import CC, HERE, ROOT, Case, Missing, built, fetch, linux_image, needed_by


def linux_kernel():
    return glob.glob(os.path.join(linux_image(), "boot", "vmlinu*"))[0]


# What a FAT on a disk needs, in the order in which they are loaded.
MODULES = ("virtio_mmio", "virtio_blk", "nls_cp437", "nls_ascii", "nls_utf8", "fat", "vfat")


def linux_modules():
    """guest path: path here"""
    root = linux_image()
    found = [glob.glob(os.path.join(root, "**", name + ".ko*"), recursive=True) for name in MODULES]
    return {f"/modules/{number}": paths[0] for number, paths in enumerate(filter(None, found))}


def init(build, name="init"):
    source = os.path.join(HERE, name + ".c")
    return built(os.path.join(build, "conformance", name), [CC, "-static", "-O2", "-s", source], source)


# ---- The kernel's own tests, from its source package. What tests huge pages, KSM, userfaultfd, hugetlb, HMM, soft-dirty and
# memory failure is not among them: Corral has no counterpart.

SELFTESTS = {
    "mm/cow": {"limit": 20},
    "mm/cow-without-vmsplice": {"source": "cow", "without": r'\{\s*"vmsplice\(\)[^{}]*\},', "limit": 120},
    "mm/madv_populate": {}, "mm/map_fixed_noreplace": {}, "mm/map_populate": {},
    "mm/mlock-random-test": {"libs": ["-lcap"]}, "mm/mlock2-tests": {}, "mm/mrelease_test": {}, "mm/mremap_dontunmap": {},
    "mm/mremap_test": {"limit": 300, "mem": "1G"}, "mm/on-fault-limit": {},
    "mm/virtual_address_range": {"limit": 120}, "mm/gup_longterm": {}, "mm/pagemap_ioctl": {},
    "mm/mseal_test": {}, "mm/mdwe_test": {}, "mm/droppable": {}, "mm/mkdirty": {}, "mm/seal_elf": {},
    "mm/va_high_addr_switch": {}, "mm/soft-dirty": {}, "mm/compaction_test": {},
    "mincore/mincore_selftest": {}, "memfd/memfd_test": {"sources": ["common.c"], "limit": 120}, "sigaltstack/sas": {},
    "clone3/clone3": {}, "clone3/clone3_clear_sighand": {},
    "futex/functional/futex_wait": {}, "futex/functional/futex_wait_timeout": {},
    "futex/functional/futex_wait_wouldblock": {}, "futex/functional/futex_wait_private_mapped_file": {},
    "futex/functional/futex_wait_uninitialized_heap": {}, "futex/functional/futex_waitv": {},
    "futex/functional/futex_requeue": {"tries": 5},
    "filelock/ofdlocks": {}, "fchmodat2/fchmodat2_test": {},
    "core/close_range_test": {}, "filesystems/eventfd/eventfd_test": {},
    "riscv/sigreturn/sigreturn": {}, "riscv/mm/mmap_default": {}, "riscv/mm/mmap_bottomup": {},
    "timers/posix_timers": {}, "timers/nanosleep": {}, "timers/inconsistency-check": {"args": ["-t", "1"]},
    "timers/threadtest": {"args": ["-t", "2"]},
    "exec/non-regular": {}, "exec/null-argv": {},
    "membarrier/membarrier_test_single_thread": {}, "membarrier/membarrier_test_multi_thread": {},
    "prctl/set-process-name": {}, "prctl/set-anon-vma-name-test": {},
    "proc/fd-002-posix-eq": {}, "proc/proc-empty-vm": {}, "proc/proc-pid-vm": {}, "proc/proc-self-isnt-kthread": {},
    "proc/proc-tid0": {}, "proc/proc-uptime-001": {}, "proc/proc-uptime-002": {}, "proc/read": {}, "proc/self": {},
    "proc/thread-self": {},
    "pidfd/pidfd_test": {}, "pidfd/pidfd_open_test": {}, "pidfd/pidfd_poll_test": {"args": ["500"]}, "pidfd/pidfd_wait": {},
    "pidfd/pidfd_fdinfo_test": {}, "pidfd/pidfd_getfd_test": {},
    "size/get_size": {"bare": ["-nostartfiles"]},
    "nolibc/nolibc-test": {"sources": ["nolibc-test-linkage.c"],
                           "bare": ["-nostdlib", "-I{top}/tools/include/nolibc", "-include", "nolibc.h"]},
}
LEFT_OUT = {
    "mm/migration": "needs a machine with two NUMA nodes",
    "mm/memfd_secret": "memfd_secret is not part of the ABI (docs/abi.md)",
    "clone3/clone3_set_tid": "tests PID namespaces, which are not part of the ABI (docs/abi.md)",
    "futex/functional/futex_requeue_pi": "priority inheritance is not part of the ABI (docs/abi.md)",
    "core/unshare_test, exec/recursion-depth, proc/{fd-001-lookup,fd-003-kthread,proc-loadavg-001}":
        "unshare is not part of the ABI (docs/abi.md)",
    "tmpfs/bug-link-o-tmpfile": "unshare is not part of the ABI (docs/abi.md)",
    "splice/*": "splice is not part of the ABI (docs/abi.md)",
    "cachestat/*, openat2/*": "cachestat and openat2 are not part of the ABI (docs/abi.md)",
    "filesystems/fat/rename_exchange": "renameat2 has no RENAME_EXCHANGE (docs/abi.md)",
    "filesystems/{binderfs,devpts_pts,dnotify_test,epoll,overlayfs,statmount}":
        "test file systems and calls that are not part of the ABI (docs/abi.md)",
    "exec/execveat": "execveat is not part of the ABI (docs/abi.md)",
    "proc/{proc-self-map-files,proc-self-syscall,proc-self-wchan}*": "files of /proc that are not part of the ABI (docs/abi.md)",
}
FOLDERS = ("filelock", "fchmodat2", "mm", "memfd", "mincore", "futex", "sigaltstack", "clone3", "core", "filesystems/eventfd",
           "riscv", "timers", "exec", "prctl", "proc", "pidfd", "size", "nolibc", "membarrier", "*.h")


def uapi():
    """Compiler flags for the headers of the Linux that the tests belong to."""
    root = os.path.join(fetch("deb", "uapi", "linux-libc-dev", "./usr/*"), "usr")
    found = [path for parts in (("include", "riscv64-linux-gnu"), ("lib", "linux", "uapi", "riscv"), ("include",))
             for path in glob.glob(os.path.join(root, *parts))]
    return [word for path in found for word in ("-isystem", path)]


def shortened(source, target, pattern):
    """A copy of a source without what matches, which is written only where it changes."""
    with open(source, encoding="utf-8") as file:
        text = re.sub(pattern, "", file.read())
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if not os.path.exists(target) or open(target, encoding="utf-8").read() != text:
        with open(target, "w", encoding="utf-8") as file:
            file.write(text)
    return target


def selftests(build):
    top = fetch("source", "kernel-tests", "linux", *(f"*/tools/testing/selftests/{name}" for name in FOLDERS),
                "*/tools/include", "*/mm/gup_test.h")
    tests = os.path.join(top, "tools", "testing", "selftests")
    cap = os.path.join(fetch("deb", "libcap", "libcap-dev"), "usr")
    place = os.path.join(build, "conformance", "selftests")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, "local_config.h"), "w", encoding="ascii"):
        pass  # what the Makefile of mm finds out: no liburing
    flags = ["-static", "-O2", "-s", "-w", "-U_FORTIFY_SOURCE", "-D_GNU_SOURCE", "-D_FILE_OFFSET_BITS=64", "-I", place,
             "-I", top, "-I", tests, *uapi(), "-isystem", os.path.join(cap, "include"),
             *("-L" + path for path in glob.glob(os.path.join(cap, "lib", "riscv64-*")))]
    yield from LEFT_OUT.items()
    for name, given in SELFTESTS.items():
        more = dict(given)
        folder = os.path.join(tests, os.path.dirname(name))
        sources = [more.pop("source", os.path.basename(name)) + ".c", *more.pop("sources", ())]
        sources += ["vm_util.c", "thp_settings.c"] if name.startswith("mm/") else []
        sources = [os.path.join(folder, file) for file in sources]
        if "without" in more:
            sources[0] = shortened(sources[0], os.path.join(place, name + ".c"), more.pop("without"))
        bare = [word.format(top=top) for word in more.pop("bare", ())]  # its own start-up, or a library of its own
        sources += [] if bare else [os.path.join(HERE, "unbuffered.c")]
        command = [CC, *flags, "-I", folder, "-I", os.path.join(folder, "..", "include"), *bare,
                   *sources, *more.pop("libs", ()), *([] if bare else ["-lrt", "-pthread", "-lm"])]
        try:
            program = built(os.path.join(place, name), command, *sources)
        except Missing as error:
            yield name, str(error)
            continue
        yield Case(name, program, tap=True, **more)


# ---- Our own programs of tests/user, which must behave the same on Linux.

def user_module(name):
    spec = importlib.util.spec_from_file_location("user_" + name, os.path.join(ROOT, "tests", "user", name + ".py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def user_cases():
    return user_module("cases").CASES


def broken_files(build, program):
    """exec's broken executables, made from itself: guest path: path here."""
    directory = pathlib.Path(build, "conformance", "broken")
    directory.mkdir(parents=True, exist_ok=True)
    names = user_module("broken").broken_executables(directory, pathlib.Path(program))
    return {f"/broken/{name}": str(directory / name) for name in names}


SMALL, TOO_MUCH = "256M", "400"  # for oom: as small as Linux boots in, and its argument in MiB


def expectation(case):
    status = case.get("status", 0)
    return {"stdin": case.get("stdin", ""), "status": status, "out": case.get("out") if status == 0 else None,
            "ends": "ok\n" if status == 0 and "out" not in case else "", "limit": case.get("limit", 60)}


def ours(build):
    for name, case in user_cases().items():
        if any(key in case for key in ("append", "qemu")):
            continue  # variants of the machine
        program = os.path.join(build, "user", "tests", case.get("program", name))
        if not os.path.exists(program):
            yield "user/" + name, "not built"
            continue
        args = (["1"] if case.get("seeded") else []) + case.get("args", [])
        more = {}
        if case.get("files"):
            more["files"] = broken_files(build, program)
            args = args + list(more["files"])
        if "mem" in case:
            more.update(mem=SMALL, linux_mem=SMALL)
            args = [TOO_MUCH]
        yield Case("user/" + name, program, args, **expectation(case), **more)


# ---- musl: its start-up, threads and wrappers instead of glibc's, under some of the same programs.

MUSL = ("args", "brk", "clock", "clone", "cow_fork", "cow_threads", "cpu_clock", "exec_storm", "files", "fork8", "fp_switch",
        "futex", "futex_op", "identity", "jobs", "mmap_errors", "mremap", "pipes", "process_vm", "procfs", "registers", "scripts",
        "seals", "self", "shared_anon", "shm", "signal_fault", "signal_send", "signal_stack", "sockets",
        "thread_exit", "threads", "wait", "write_barrier")
# Names of glibc's own, which it wants for arguments that others take for int.
MUSL_TYPES = ("-D__rlimit_resource_t=int", "-D__priority_which_t=int")


PIE = {"pie": "0x1000", "pie-2M": "0x200000", "pie-16M": "0x1000000"}


def musl(build):
    root = os.path.join(fetch("deb", "musl", "musl-dev"), "usr")
    include = os.path.join(root, "include", "riscv64-linux-musl")
    lib = os.path.join(root, "lib", "riscv64-linux-musl")
    own = subprocess.run([CC, "-print-file-name=include"], capture_output=True, text=True, check=True).stdout.strip()
    flags = ["-std=gnu11", "-O2", "-s", "-w", "-nostdinc", "-nostdlib", "-D_GNU_SOURCE", *MUSL_TYPES, "-isystem", include,
             "-isystem", own, "-I", ROOT, "-I", os.path.join(ROOT, "tests", "user"), *uapi()]
    cases = user_cases()

    def case(name, source, start, kind, **more):
        command = [CC, *flags, *kind, os.path.join(lib, start), os.path.join(lib, "crti.o"), source, "-L" + lib,
                   "-Wl,--start-group", "-lc", "-lgcc", "-latomic", "-Wl,--end-group", os.path.join(lib, "crtn.o")]
        try:
            return Case("musl/" + name, built(os.path.join(build, "conformance", "musl", name), command, source), **more)
        except Missing as error:
            return "musl/" + name, str(error)

    for name in MUSL:
        yield case(name, os.path.join(ROOT, "tests", "user", name + ".c"), "crt1.o", ["-static"],
                   args=cases[name].get("args", []), **expectation(cases[name]))
    for name, align in PIE.items():
        kind = ["-fPIE", "-static-pie", "-Wl,--no-dynamic-linker", "-Wl,-z,max-page-size=" + align]
        yield case(name, os.path.join(HERE, "pie.c"), "rcrt1.o", kind, args=[align], ends="ok\n")


# ---- A shell script's use of it all.

def busybox(_build):
    directory = fetch("deb", "busybox-static", "busybox-static")
    program = os.path.join(directory, "usr", "bin", "busybox")
    script = os.path.join(HERE, "script.sh")
    yield Case("busybox/script", program, ["sh", "/script.sh"], tap=True, limit=120, files={"/script.sh": script})


# ---- stress-ng's stressors, verifying themselves, for a fixed number of operations each. Debian's program is linked
# dynamically: its own loader is the program here, which is static, and loads the rest.

STRESSORS = {
    "bigheap": 20, "brk": 200, "clone": 50, "close": 100, "dup": 20, "eventfd": 200, "exec": 10, "fault": 100, "fork": 100,
    "futex": 200, "getrandom": 20, "itimer": 20, "kill": 200, "madvise": 2, "malloc": 200, "memfd": 2, "mincore": 50,
    "mlock": 20, "mmap": 2, "mmapfixed": 20, "mmapfork": 1, "mprotect": 50, "mremap": 5, "msync": 20, "munmap": 2,
    "mutex": 100, "nanosleep": 10, "null": 100, "pipe": 200, "pipeherd": 20, "poll": 50, "pthread": 50, "rlimit": 10,
    "shm": 2, "sigabrt": 20, "sigchld": 50, "sigfpe": 20, "signal": 200, "signest": 10, "sigpending": 100, "sigpipe": 50,
    "sigq": 100, "sigrt": 100, "sigsegv": 100, "sigsuspend": 100, "sigtrap": 50, "sockpair": 10, "stack": 20,
    "stackmmap": 10, "switch": 200, "tlb-shootdown": 10, "timer": 20, "vfork": 100, "vm": 50, "vm-addr": 4, "vm-rw": 10,
    "vm-segv": 10, "wait": 20, "yield": 200, "zero": 50, "zombie": 50,
}
LIBRARIES = ("libacl1", "libapparmor1", "libbsd0", "libc6", "libcrypt1", "libdrm2", "libegl1", "libexpat1", "libgbm1",
             "libgcc-s1", "libgles2", "libglvnd0", "libgmp10", "libjpeg62-turbo", "libjudydebian1", "libkmod2", "libmd0",
             "libmpfr6", "libsctp1", "libssl3t64", r"libstdc\+\+6", "libxxhash0", "libzstd1", "zlib1g")


def stress_ng(_build):
    root = os.path.join(fetch("deb", "stress-ng", " ".join(("stress-ng", *LIBRARIES)), "./usr/[bl]i[nb]/*"),
                        "usr")
    program = os.path.join(root, "bin", "stress-ng")
    libraries = needed_by(program, os.path.join(root, "lib", "riscv64-linux-gnu"))
    loader = libraries.pop("ld-linux-riscv64-lp64d.so.1")
    files = {"/lib/" + name: path for name, path in libraries.items()} | {"/bin/stress-ng": program}
    common = ["--library-path", "/lib", "/bin/stress-ng", "--verify", "--timeout", "30", "--no-rand-seed", "--vm-bytes", "8M",
              "--mmap-bytes", "8M"]
    for name, operations in STRESSORS.items():
        args = ["--library-path", "/lib", "/bin/stress-ng", "--" + name, "2", f"--{name}-ops", str(operations), "--verify",
                "--temp-path", "/tmp", "--timeout", "30", "--no-rand-seed", "--vm-bytes", "8M", "--mmap-bytes", "8M"]
        yield Case("stress-ng/" + name, loader, args, mem="1G", limit=60, files=files, skips=(3, 4))
    yield from file_cases.stressors(loader, files, common)


SUITES = {"stress-ng": stress_ng, "selftests": selftests, "user": ours, "musl": musl, "busybox": busybox, "databases": file_cases.databases}
