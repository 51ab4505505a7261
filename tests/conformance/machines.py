"""
What runs cases: Linux, one boot for many of them, whose results are kept, and Corral, one boot for each. Each case may take
PATIENCE times its limit on both: the comparison is not about time.
"""
import collections
import contextlib
import dataclasses
import functools
import hashlib
import json
import os
import re
import select
import subprocess
import sys
import tempfile
import time

import cases as suites
from corral_lib import cpio, machine
from corral_lib.progress import Progress
from outcome import Run, failed

ROOT = suites.ROOT
LINUX_HARTS = 2      # what its calls mean does not depend on it
BOOT_LIMIT = 90      # seconds until Linux has its first case; QEMU and OpenSBI sometimes lose a hart on the way
PATIENCE = 2
# Huge pages off, and memory overcommitted always, as on Corral.
BOOT_ARGUMENTS = ("console=ttyS0 loglevel=0 mitigations=off transparent_hugepage=never "
                  "sysctl.vm.overcommit_memory=1")
DISK = 256 << 20     # bytes of the disk that some cases want, a FAT32 that is empty
BOOTS = 8            # how often Linux is booted, at most, without a case coming of it
TIMED_OUT = 124
DAMAGED = 123        # the case was content, but what it left on the disk is not a sound FAT
TYPICAL = 2.5        # seconds of a case that nobody has timed yet
JOB = os.path.basename(sys.argv[0])


def note(message):
    print(f"{JOB}: {message}", file=sys.stderr, flush=True)


def place(build, side, case, kind):
    directory = os.path.join(build, "conformance", side)
    os.makedirs(directory, exist_ok=True)
    return os.path.join(directory, case.name.replace("/", "-") + kind)


def make_disk(path):
    with open(path, "wb") as file:
        file.truncate(DISK)
    subprocess.run(["mkfs.fat", "-F", "32", path], stdout=subprocess.DEVNULL, check=True)


class Kept:
    """A dictionary in a file, which other runs may add to meanwhile."""

    def __init__(self, path):
        self.path = path
        self.known = self.load()

    def load(self):
        try:
            with open(self.path, encoding="utf-8") as file:
                return json.load(file)
        except (OSError, ValueError):
            return {}

    def add(self, new):
        self.known = self.load() | self.known | new
        with open(f"{self.path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump(self.known, file)
        os.replace(f"{self.path}.{os.getpid()}", self.path)


def progress_of(build, side, wanted, at_once=1):
    """Which case runs, and how long the rest will take if it takes what it took last."""
    return Progress(f"{JOB}, {side}", os.path.join(build, "conformance", "seconds.json"), [case.name for case in wanted], TYPICAL, at_once=at_once)


# ---- Linux: one boot for all that need the same machine, and another for those that are left when it ends early

@functools.cache
def file_digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).digest()


class Linux:
    def __init__(self, args):
        self.args = args
        self.kernel = suites.linux_kernel()
        self.init = suites.init(args.build)
        self.volume = suites.init(args.build, "volume")
        self.modules = suites.linux_modules()
        self.cache = Kept(os.path.join(args.build, "conformance", "linux.json"))
        self.progress = None

    def key(self, case):
        digest = hashlib.sha256(os.path.basename(self.kernel).encode())
        for path in (self.init, case.program, *case.files.values()):
            digest.update(file_digest(path))
        for path in (self.volume, *self.modules.values()) if case.volume else ():
            digest.update(file_digest(path))
        digest.update(json.dumps([case.args, case.stdin, case.limit, case.linux_mem, BOOT_ARGUMENTS]).encode())
        return digest.hexdigest()

    def run(self, wanted):
        """Case name -> Run"""
        keys = {case.name: self.key(case) for case in wanted}
        left = [case for case in wanted if self.args.fresh or keys[case.name] not in self.cache.known]
        with progress_of(self.args.build, "Linux", left) as self.progress:
            left = self.run_all(left, keys)
        if left:
            note(f"Linux does not come to {', '.join(case.name for case in left)}")
        known = self.cache.known
        return {case.name: Run(**known[keys[case.name]]) for case in wanted if keys[case.name] in known}

    def run_all(self, left, keys):
        """Those that Linux does not come to. The others are kept, each as soon as it is done."""
        tries, fruitless = collections.Counter(), 0
        while left and fruitless < BOOTS:
            like = left[0]
            done = self.boot([case for case in left if (case.linux_mem, case.volume) == (like.linux_mem, like.volume)], like,
                             lambda name, run: self.cache.add({keys[name]: dataclasses.asdict(run)}))
            tries.update(list(done))
            left = [case for case in left
                    if case.name not in done or (failed(case, done[case.name]) and tries[case.name] < case.tries)]
            fruitless = 0 if done else fruitless + 1
        return left

    def archive(self, wanted):
        archive = cpio.Initramfs()
        archive.add(self.init, "/init", 0o755)
        archive.add(self.volume, "/bin/volume", 0o755)
        for guest, host in self.modules.items():
            archive.add(host, guest)
        lines = []
        for number, case in enumerate(wanted):
            program = f"/bin/{number}/{os.path.basename(case.program)}"
            if "/busybox" in case.program:
                program = case.guest
            archive.add(case.program, program, 0o755)
            for guest, host in case.files.items():
                if guest.lstrip("/") not in archive.entries:
                    archive.add(host, guest)
            archive.add_bytes(f"/stdin/{number}", case.stdin.encode())
            command = ["/bin/volume"] * case.volume + [program, *case.args]
            lines.append("\t".join([case.name, str(case.limit * PATIENCE), f"/stdin/{number}", *command]))
        archive.add_bytes("/cases", "".join(line + "\n" for line in lines).encode())
        return archive.to_bytes()

    def boot(self, wanted, like, arrived):
        """Case name -> Run, of those that it came to; arrived(name, run) is called for each at once. like: one of them."""
        fd, path = machine.memory_file("linux", self.archive(wanted))
        command = ["qemu-system-riscv64", "-M", "virt", "-smp", str(LINUX_HARTS), "-m", like.linux_mem, "-nodefaults",
                   "-display", "none", "-serial", "stdio", "-monitor", "none", "-no-reboot", "-kernel", self.kernel,
                   "-initrd", path, "-append", BOOT_ARGUMENTS]
        with contextlib.ExitStack() as files:
            files.callback(os.close, fd)
            if like.volume:
                disk = files.enter_context(tempfile.NamedTemporaryFile(suffix=".img"))
                make_disk(disk.name)
                command += ["-drive", f"file={disk.name},format=raw,if=none,id=disk,cache=unsafe", "-device",
                            "virtio-blk-device,drive=disk"]
            process = files.enter_context(subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, pass_fds=(fd,),
                preexec_fn=machine.die_with_parent(os.getpid())))
            files.callback(process.kill)
            return self.read(process, wanted, arrived)

    def seconds(self, name):
        self.progress.end(name)
        return self.progress.taken[f"{self.progress.what} {name}"]

    def read(self, process, wanted, arrived):
        """Reads the console until it closes, or says nothing for longer than a case may take."""
        by_name = {case.name: case for case in wanted}
        done, text, current, raw = {}, "", None, b""
        deadline = time.monotonic() + BOOT_LIMIT
        while (left := deadline - time.monotonic()) > 0:
            if not select.select([process.stdout], [], [], left)[0]:
                break
            data = os.read(process.stdout.fileno(), machine.CHUNK)
            if not data:
                break
            raw += data
            whole = raw[:len(raw) - raw.endswith(b"\r")]  # its line feed may be on its way
            raw = raw[len(whole):]
            text += whole.decode(errors="replace").replace("\r\n", "\n")
            while found := re.search(r"\n@@(BEGIN|END) (\S+)(?: (\d+))?\n", text):
                if found[1] == "BEGIN":
                    current = found[2]
                    self.progress.begin(current)
                    deadline = time.monotonic() + by_name[current].limit * PATIENCE + BOOT_LIMIT
                elif found[2] == current:
                    done[current] = Run(int(found[3]), text[:found.start()], seconds=self.seconds(current))
                    arrived(current, done[current])
                text = text[found.end():]
        if current and current not in done:
            done[current] = Run(TIMED_OUT, text, seconds=self.seconds(current))  # it took the machine with it
            arrived(current, done[current])
        return done


# ---- Corral: a boot each, as many at once as this machine has processors for

class Corral:
    def __init__(self, args, harts):
        self.args, self.harts = args, harts
        self.side = f"corral-{harts}"
        self.at_once = args.jobs or max(1, (os.cpu_count() or 1) // min(harts, 2))
        self.progress = None
        self.running, self.ended = {}, None  # pidfd: (process, case)
        self.poll = select.poll()

    def command(self, case):
        command = [os.path.join(ROOT, "scripts", "corral"), "run", "--build", self.args.build, "--kernel", self.args.kernel,
                   "--harts", str(self.harts), "--mem", case.mem, "--timeout", str(case.limit * PATIENCE), "--log",
                   place(self.args.build, self.side, case, ".log"), "--append", "debug=enosys audit=on"]
        for guest, host in case.files.items():
            command += ["--file", f"{host}:{guest}"]
        if case.volume:
            command += ["--disk", f"{self.disk(case)}:/mnt"]
        return [*command, "--", case.program, *case.args]

    def disk(self, case):
        return place(self.args.build, self.side, case, ".img")

    def start(self, case):
        if case.volume:
            make_disk(self.disk(case))
        with contextlib.ExitStack() as files:
            stdin = files.enter_context(tempfile.TemporaryFile()) if case.stdin else subprocess.DEVNULL
            if case.stdin:
                stdin.write(case.stdin.encode())
                stdin.seek(0)
            out = files.enter_context(open(place(self.args.build, self.side, case, ".txt"), "wb"))
            process = subprocess.Popen(self.command(case), stdin=stdin, stdout=out, stderr=subprocess.STDOUT,
                                       preexec_fn=machine.die_with_parent(os.getpid()))
        fd = os.pidfd_open(process.pid)
        self.running[fd] = process, case
        self.poll.register(fd, select.POLLIN)
        self.progress.begin(case.name)

    def end(self, fd):
        process, case = self.running.pop(fd)
        self.poll.unregister(fd)
        os.close(fd)
        self.progress.end(case.name)
        seconds = self.progress.taken[f"{self.progress.what} {case.name}"]
        with open(place(self.args.build, self.side, case, ".txt"), encoding="utf-8", errors="replace") as file:
            output = file.read()
        log = ""  # where nothing was booted
        with contextlib.suppress(FileNotFoundError), open(place(self.args.build, self.side, case, ".log"), encoding="utf-8", errors="replace") as file:
            log = file.read()
        status = process.wait()
        if case.volume:
            checked = subprocess.run(["fsck.fat", "-n", self.disk(case)], capture_output=True, text=True, check=False)
            if checked.returncode:
                status, output = status or DAMAGED, f"{output}\n--- fsck.fat\n{checked.stdout}"
            os.unlink(self.disk(case))
        return case, Run(status, output, log, seconds)

    def run(self, wanted):
        """Case name -> Run. Where it is ended early, self.ended is the signal, and those that came to an end are there."""
        left, tries, done = collections.deque(wanted), collections.Counter(), {}
        with progress_of(self.args.build, self.side, wanted, self.at_once) as self.progress:
            try:
                while left or self.running:
                    while left and len(self.running) < self.at_once:
                        self.start(left.popleft())
                    for fd, _ in self.poll.poll():
                        case, run = self.end(fd)
                        tries[case.name] += 1
                        done[case.name] = run
                        if failed(case, run) and tries[case.name] < case.tries:
                            left.append(case)
            except machine.Interrupted as error:
                self.ended = error.signum
            finally:
                for process, _ in self.running.values():
                    process.terminate()
                for process, case in self.running.values():
                    process.wait()
                    if case.volume:
                        os.unlink(self.disk(case))
        return done
