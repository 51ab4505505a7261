"""Programs on the debug kernel under the shadow TLB (tests/plugin/shadow.c), and what it says of them."""
import os
import re
import subprocess
import tempfile
import threading

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Running:
    """The machines that run now, so that whoever is asked to stop can end them."""

    def __init__(self):
        self.lock, self.processes, self.stopped = threading.Lock(), set(), False

    def run(self, command, timeout):
        with self.lock:
            if self.stopped:
                return subprocess.CompletedProcess(command, -1, "")
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
            self.processes.add(process)
        with process:
            try:
                output, _ = process.communicate(timeout=timeout)
            except BaseException:
                process.kill()
                raise
            finally:
                with self.lock:
                    self.processes.discard(process)
        return subprocess.CompletedProcess(command, process.returncode, output)

    def stop(self):
        """No more: each corral ends its QEMU."""
        with self.lock:
            self.stopped = True
            for process in self.processes:
                process.terminate()


running = Running()


class Outcome:
    """A run: exit status, output, the kernel's log, what the plugin reported and what it has seen."""

    def __init__(self, done, log, text):
        self.status, self.output, self.log = done.returncode, done.stdout, log
        self.reports = re.findall(r"^report (.*)$", text, re.MULTILINE)
        total = re.search(r"^reports (\d+)$", text, re.MULTILINE)
        self.total = int(total[1]) if total else len(self.reports)
        self.complete = bool(total)
        seen = re.search(r"^seen (.*)$", text, re.MULTILINE)
        self.seen = {name: int(n) for n, name in re.findall(r"(\d+) ([^,]+)", seen[1])} if seen else {}

    @property
    def good(self):
        """Whether the program and the audit were content, whatever the plugin thought."""
        return self.status == 0 and "audit: ok" in self.log

    def __repr__(self):
        return (f"status {self.status}, {self.total} reports\n" + "\n".join(self.reports[:8]) +
                f"\nseen {self.seen}\n--- output\n{self.output[-1500:]}\n--- kernel\n{self.log[-2500:]}")


def run(build, program, *args, harts=4, megabytes=256, append="", ignore=None, kernel=None, timeout=120, plugin=True,
        delay=None):
    """program: a name of tests/user, or a path. Without the plugin: what QEMU alone sees. delay: arguments of tests/plugin/delay.c."""
    program = program if os.sep in program else os.path.join(build, "user", "tests", program)
    with tempfile.TemporaryDirectory() as scratch:
        out, log = os.path.join(scratch, "shadow"), os.path.join(scratch, "log")
        command = [os.path.join(ROOT, "scripts", "corral"), "run", "--build", build, "--kernel",
                   kernel or os.path.join(build, "virt-debug", "Image"), "--harts", str(harts), "--mem", f"{megabytes}M",
                   "--timeout", str(timeout), "--append", f"audit=on {append}", "--log", log]
        more = f"-plugin {os.path.join(build, 'perf', 'delay.so')},{delay} " if delay else ""
        if plugin:
            ignored = f",ignore={ignore}" if ignore else ""
            more += f"-plugin {os.path.join(build, 'perf', 'shadow.so')},out={out},ram={megabytes}{ignored}"
        command += ["--qemu-args", more] if more else []
        done = running.run(command + ["--", program, *args], timeout + 60)
        return Outcome(done, _read(log), _read(out))


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""
