"""Runs a program on Corral or on Linux 6.12, in the same QEMU, and gives what it printed."""
import glob
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time

from corral_lib import cpio, machine, progress

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LINUX_ARGUMENTS = "console=ttyS0 loglevel=0 mitigations=off nokaslr sysctl.vm.overcommit_memory=1"
BOOT_LIMIT = 150  # seconds until Linux runs the program, under a plugin as well
LINUX_LIMIT = 1500
BOOTS = 3         # QEMU 7.2 and OpenSBI 1.1 lose a hart at times while Linux boots


class Failed(Exception):
    """One line: what could not be measured."""


def note(message):
    print(("\r\033[K" if progress.usable(sys.stderr) else "") + "perf: " + message, file=sys.stderr, flush=True)


def corral(args, harts, program, icount=False, mem=None, more=()):
    """What the program printed."""
    command = [os.path.join(ROOT, "scripts", "corral"), "run", "--build", args.build, "--kernel", args.kernel,
               "--harts", str(harts), "--mem", mem or args.mem, "--timeout", str(args.timeout), "--log", os.devnull,
               *(["--icount"] if icount else []), *more, "--", *program]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise Failed(f"{os.path.basename(program[0])} ended with status {done.returncode}: {''.join(last)}")
    return done.stdout.decode(errors="replace")


def medians(done):
    """Of the benchmark's JSON: name -> {"ns", "ipis", "fences", ...}; None for one that was skipped or failed."""
    results = {}
    for entry in done["benchmarks"]:
        if entry.get("error_occurred"):
            results[entry["run_name"]] = None
        elif entry.get("aggregate_name") == "median":
            results[entry["run_name"]] = {"ns": entry["real_time"], **{
                name: entry[name] for name in ("ipis", "fences", "local_fences", "remote_fences", "bytes") if name in entry}}
    return results


def bench_words(pattern, options):
    return ["--format=json", f"--filter={pattern}", *options]


def bench(args, harts, pattern, options=(), icount=True, mem=None, append=None):
    """Benchmark name -> {"ns", "ipis", "fences", ...}: medians; None for one that was skipped or failed."""
    program = [os.path.join(args.build, "user", "bench"), *bench_words(pattern, options)]
    more = ["--append", append] if append else []
    return medians(json.loads(corral(args, harts, program, icount=icount, mem=mem, more=more)))


def bench_on_linux(args, harts, pattern, options=(), icount=True, thp="never"):
    """The same of the same binary on Linux, with the kernel's release as "kernel". Huge pages "always": where Linux takes them."""
    options = [*options, "--thp"] if thp == "always" else options
    output = linux(args, harts, os.path.join(args.build, "user", "bench"), bench_words(pattern, options), icount=icount, thp=thp)
    text = re.search(r"^\{$.*?^\}$", output.replace("\033[K", ""), re.MULTILINE | re.DOTALL)  # on a console its progress is redrawn
    if not text:
        raise Failed(f"on Linux the benchmark gave no results: {output[-300:]}")
    done = json.loads(text[0])
    return medians(done) | {"kernel": done["context"]["kernel_release"]}


def linux_kernel():
    """The kernel that scripts/fetch brings for the conformance comparison."""
    command = [os.path.join(ROOT, "scripts", "fetch"), "deb", "linux", r"linux-image-6\.12\.[0-9]+\+deb13-riscv64", "./boot/*"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failed("Linux's kernel cannot be fetched")
    return glob.glob(os.path.join(done.stdout.decode().strip(), "boot", "vmlinu*"))[0]


INIT = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
int main(void)
{
	int status;
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, 0);
	sleep(SETTLE);
	puts("@@START");
	fflush(stdout);
	if (fork() == 0) {
		execl("/bin/program", "program", ARGUMENTS (char *)0);
		_exit(127);
	}
	wait(&status);
	printf("\n@@DONE %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
}
"""


def linux_init(args, words):
    """A first process that runs /bin/program with these words and says how it ended."""
    path = os.path.join(args.build, "perf", "init")
    text = ", ".join(json.dumps(word) for word in words)
    command = ["riscv64-linux-gnu-gcc", "-O2", "-static", "-x", "c", "-", "-o", path, "-DSETTLE=2",
               f"-DARGUMENTS={text + ',' if words else ''}"]
    subprocess.run(command, input=INIT.encode(), check=True)
    return path


def opensbi(version):
    """The firmware's file, of a version that this machine does not have."""
    part = "usr/lib/riscv64-linux-gnu/opensbi/generic"
    done = subprocess.run([os.path.join(ROOT, "scripts", "fetch"), "deb", f"opensbi-{version}", "opensbi", f"./{part}/*"],
                          stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise Failed(f"OpenSBI {version} cannot be fetched")
    return os.path.join(done.stdout.decode().strip(), part, "fw_dynamic.bin")


def linux(args, harts, program, words, qemu=(), icount=False, thp="never"):
    """What the program printed on Linux's console; as far as it came when its time was up. thp: transparent_hugepage=."""
    archive = cpio.Initramfs()
    archive.add(linux_init(args, words), "/init", 0o755)
    archive.add(program, "/bin/program", 0o755)
    kernel = linux_kernel()
    for _ in range(BOOTS):
        fd, path = machine.memory_file("linux", archive.to_bytes())
        command = ["qemu-system-riscv64", "-M", "virt", "-smp", str(harts), "-m", args.mem, "-nodefaults", "-display", "none",
                   "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel", kernel, "-initrd", path,
                   "-bios", opensbi("1.6"), "-append", f"{LINUX_ARGUMENTS} transparent_hugepage={thp}", *qemu]
        command += ["-icount", "shift=0,sleep=off,align=off"] if icount else []
        with tempfile.TemporaryFile() as errors, subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, pass_fds=(fd,),
                preexec_fn=machine.die_with_parent(os.getpid())) as process:
            try:
                output = read(process, min(args.timeout, LINUX_LIMIT))
            finally:
                os.close(fd)
        if output is not None:
            return output
        note("Linux did not come up; once more")
    raise Failed("Linux does not come up")


def read(process, timeout):
    """The console until the program has ended and QEMU after it, or its time is up; None where it never began."""
    text, deadline, started = "", time.monotonic() + BOOT_LIMIT, False
    try:
        while (left := deadline - time.monotonic()) > 0 and select.select([process.stdout], [], [], left)[0]:
            data = os.read(process.stdout.fileno(), machine.CHUNK)
            if not data:
                break
            text += data.decode(errors="replace").replace("\r\n", "\n").replace("\r", "\n")
            if not started and "@@START" in text:
                started, deadline = True, time.monotonic() + timeout
            if found := re.search(r"\n@@DONE (\d+)\n", text):
                if found[1] != "0":
                    raise Failed(f"on Linux the program ended with status {found[1]}: {text[-300:]}")
                process.wait(timeout=30)
                return text
    except subprocess.TimeoutExpired:
        return text
    finally:
        process.kill()
    return text if started else None
