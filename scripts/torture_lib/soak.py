"""
Everything together for a long time: tests/user/soak.c on eight harts, with programs that fork, make threads, write files in memory and on a
disk, and change memory. Quiet points between the rounds show frames that are lost; rounds that come to cost more show what slows down.

Compared is the processor time that QEMU took for a round: how long the round had to wait for this machine's processors is not in it.
"""
import os
import re
import selectors
import subprocess
import sys
import tempfile
import time

from corral_lib import machine
from torture_lib import shadow

ROOT = shadow.ROOT
PROGRAMS = ("storm @ 3 3 120", "switch_storm @", "file_storm @ /mnt 200 4", "file_storm @ /tmp 200 4", "fsx @ /mnt 400", "fork_storm",
            "threads", "futex_op", "fuzz_sockets @", "cow_threads", "file_cut 1", "signal_storm @", "exec_storm", "table_churn")
SEEDS = 5           # tests/user/soak.c: after so many rounds the same work comes again
SLOWER = 1.10       # the last part may cost that much of the first: harts that spin for one that the host has put by take 5 % more or less
DRIFT = 64          # frames at quiet points: what spare threads, tables and slabs of a hart come and go by
ROUND = re.compile(r"^round (\d+) programs (\d+) guest (\d+) used (\d+) free (\d+) cached (\d+) volumes (\d+)$")
ENDING = 600        # seconds that the last round and the machine's end may take


def emulated(pid):
    """Seconds of a processor that the QEMU below the process has taken."""
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        children = file.read().split()
    for child in children:
        with open(f"/proc/{child}/stat", encoding="ascii") as file:
            name, fields = file.read().rsplit(")", 1)
        if "(qemu" in name:
            return sum(map(int, fields.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return 0


class Round:
    def __init__(self, found, seconds, used):
        self.number, self.programs, self.guest, _, self.free, self.cached, self.volumes = map(int, found.groups())
        self.known = self.free + self.cached + self.volumes  # a FAT volume keeps sectors of its table, ever more until there are a MiB
        self.seconds, self.used = seconds, used


def command(build, harts, seed, image, log, limit):
    words = [os.path.join(ROOT, "scripts", "corral"), "run", "--build", build, "--kernel", os.path.join(build, "virt-debug", "Image"),
             "--harts", str(harts), "--mem", "1G", "--append", "audit=on", "--timeout", str(limit), "--log", log,
             "--disk", f"{image}:/mnt"]
    for name in sorted({program.split()[0] for program in PROGRAMS}):
        words += ["--file", f"{os.path.join(build, 'user', 'tests', name)}:/bin/{name}"]
    return [*words, "--", os.path.join(build, "user", "tests", "soak"), "0", str(seed), *("/bin/" + program for program in PROGRAMS)]


def mean(values):
    values = list(values)
    return sum(values) / len(values)


def whole(rounds):
    """As many as have each seed equally often."""
    return rounds[:len(rounds) - len(rounds) % SEEDS]


class Soak:
    def __init__(self, minutes, keep, say):
        self.keep = keep
        self.seconds, self.say = minutes * 60, say
        self.rounds, self.other = [], []
        self.process, self.used = None, 0
        self.minute, self.began = 0, time.monotonic()
        self.terminal = sys.stderr.isatty()

    def line(self, text):
        found = ROUND.match(text)
        if not found:
            self.other.append(text)
            return
        used = emulated(self.process.pid)
        self.rounds.append(Round(found, time.monotonic() - self.began, used - self.used))
        self.used = used
        self.keep.write(f"{self.rounds[-1].seconds:.0f} {text} emulated {self.rounds[-1].used:.2f}\n")
        self.progress()

    def progress(self):
        """A line for each minute that is over; on a terminal what is left, too."""
        now = self.rounds[-1].seconds
        if now >= (self.minute + 1) * 60:
            part = [one for one in self.rounds if one.seconds >= self.minute * 60]
            self.minute = int(now // 60)
            self.say(f"minute {self.minute}: {len(self.rounds)} rounds, {sum(one.programs for one in self.rounds)} programs; a round takes "
                     f"{mean(one.used for one in part):.2f} s of a processor; frames free {min(one.free for one in part)} to "
                     f"{max(one.free for one in part)}, with what is cached and volumes keep {min(one.known for one in part)} to "
                     f"{max(one.known for one in part)}")
        if self.terminal:
            left = max(0, self.seconds - now) / 60
            print(f"\r\033[Ksoak: round {len(self.rounds)}, {left:.0f} minutes left\r", end="", file=sys.stderr, flush=True)

    def run(self, process):
        self.process = process
        text, end, told = "", self.began + self.seconds, False
        with selectors.DefaultSelector() as poll:
            poll.register(process.stdout, selectors.EVENT_READ)
            while True:
                if not told and time.monotonic() >= end:
                    process.stdin.close()
                    told = True
                if not poll.select(max(0.1, end - time.monotonic()) if not told else None):
                    continue
                data = os.read(process.stdout.fileno(), 65536)
                if not data:
                    return process.wait()
                text += data.decode(errors="replace")
                *lines, text = text.split("\n")
                for line in lines:
                    self.line(line)

    def verdict(self, status, log):
        """What is wrong: texts."""
        wrong = [] if status == 0 else [f"status {status}: " + " / ".join(self.other[-5:])]
        if "audit: ok" not in log:
            wrong.append("the audit at the end is not clean, or frames are missing")
        warm = self.rounds[SEEDS:]
        window = min(600, self.seconds / 3)
        last = max((one.seconds for one in warm), default=0) - window
        early = whole([one for one in warm if one.seconds < window])
        late = whole([one for one in warm if one.seconds >= last])
        if not early or not late:
            return wrong + ["too few rounds to say more"]
        ratio = mean(one.used for one in late) / mean(one.used for one in early)
        drift = min(one.known for one in early) - min(one.known for one in late)
        self.say(f"{len(self.rounds)} rounds, {sum(one.programs for one in self.rounds)} programs; the last {window / 60:.0f} minutes' rounds "
                 f"take {ratio:.3f} of the first's ({len(late)} and {len(early)} rounds); frames at quiet points, least, "
                 f"free: first {min(one.free for one in early)}, last {min(one.free for one in late)}; free, cached and volumes': first "
                 f"{min(one.known for one in early)}, last {min(one.known for one in late)}")
        if ratio > SLOWER:
            wrong.append(f"rounds have become slower: {ratio:.3f}")
        if drift > DRIFT:
            wrong.append(f"{drift} frames fewer are free, cached or kept by volumes")
        return wrong


def run(build, minutes, harts, seed, say):
    """Whether all was well."""
    with tempfile.TemporaryDirectory() as scratch:
        image, log = os.path.join(scratch, "disk.img"), os.path.join(scratch, "log")
        with open(image, "wb") as file:
            file.truncate(64 << 20)
        subprocess.run(["mkfs.fat", "-F", "32", "-s", "1", image], check=True, stdout=subprocess.DEVNULL)
        results = os.path.join(build, "results")
        os.makedirs(results, exist_ok=True)
        soak = Soak(minutes, open(os.path.join(results, "soak.txt"), "w", encoding="ascii", buffering=1), say)
        process = subprocess.Popen(command(build, harts, seed, image, log, int(minutes * 60) + ENDING), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=machine.die_with_parent(os.getpid()))
        try:
            status = soak.run(process)
        finally:
            process.terminate()  # scripts/corral takes its QEMU along
            process.wait()
        if soak.terminal:
            print("\r\033[K", end="", file=sys.stderr)
        with open(log, encoding="utf-8", errors="replace") as file:
            text = file.read()
        if subprocess.run(["fsck.fat", "-n", image], capture_output=True, check=False).returncode:
            say("what is on the disk is not sound: FAILED")
            return False
        wrong = soak.verdict(status, text)
        say(*(re.findall(r"audit: .*", text)[-1:] or ["no audit"]))
        for why in wrong:
            say("FAILED: " + why)
        return not wrong
