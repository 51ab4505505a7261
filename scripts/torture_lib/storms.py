"""
What scripts/torture run draws at random: a program, a machine, boot arguments, and what is done to it meanwhile. One number says it
all, so that what failed can be run again.
"""
import os
import random
import re
import subprocess
import threading
import time

from corral_lib import progress
from torture_lib import shadow

# Programs that need nothing but themselves, and which of them take a seed.
SEEDED = ("storm", "switch_storm", "switch_storm", "file_storm", "signal_storm", "file_cut", "fsx", "fuzz_calls", "fuzz_files", "fuzz_signals", "fuzz_sockets")
OTHERS = ("fork_storm", "exec_storm", "table_churn", "cow_threads", "cow_racer", "cow_last_ref", "cow_siblings", "dontneed_race", "fork8", "mremap",
          "shootdown_munmap", "shootdown_mprotect", "space_switch", "stale_frame", "fault_same_page", "shared_anon", "exec_pages", "threads",
          "thread_exit", "futex", "file_race", "file_append", "file_clone", "shm", "mseal", "leftovers", "fork_signals", "write_execute", "user_copy")
# Some say how long things take, which a machine that is held up does not keep.
TIMED = ("futex",)
# These end as soon as a call fails that should not, so only that the machine ends well is asked of them where memory fails.
KINDS = {"shadow": 5, "delay": 5, "plain": 2, "fail": 3, "each": 1, "oom": 1}
LIMIT = 240  # seconds for one


class Item:
    """One run, drawn from a number."""

    def __init__(self, number, only=None):
        draw = random.Random(number)
        kinds = [kind for kind in KINDS if not only or kind == only]
        self.number = number
        self.kind = draw.choices(kinds, [KINDS[kind] for kind in kinds])[0]
        self.harts = draw.choice((1, 2, 3, 4, 4, 6, 8, 8))
        self.program = draw.choice(SEEDED if draw.random() < 0.5 else OTHERS)
        self.megabytes, self.args = 256, []
        self.append = [draw.choice(("", "", "tlb=rfence", "tlb=broadcast")), draw.choice(("", "fork=all", "fork=cow", "fork=eager")),
                       draw.choice(("", "zero=demand")), draw.choice(("", "", "faultaround=1", "faultaround-anon=16")),
                       draw.choice(("", "", "asid=off")), draw.choice(("", "", "batch=1"))]
        self.delay = None
        if self.kind == "each":
            self.program = "fail_alloc"
            self.append[3] = ""
            if self.append[1] == "fork=eager":
                self.append[1] = ""  # each page of a fork is an allocation then, thousands, and each would fail in a fork of its own
        elif self.kind == "oom":
            self.program, self.args, self.megabytes = "oom", ["200"], 128
        elif self.kind == "fail":
            self.append.append(f"fail={draw.choice((31, 97, 300, 1000, 4000)) + draw.randrange(30)}")
        if self.program in SEEDED:
            self.args = [str(draw.randrange(1 << 31))]
        if self.kind != "plain" and self.program in TIMED:
            self.program = "threads"
        if self.kind == "delay" or (self.kind in ("shadow", "fail") and draw.random() < 0.4):
            self.delay = f"seed={draw.randrange(1 << 31)},one-in={draw.choice((30, 100, 500, 2000))},most={draw.choice((60, 100, 400, 1500))}"
        if self.kind != "delay" and self.delay is None:
            self.harts = min(self.harts, 8)

    def __str__(self):
        words = [self.kind, self.program, *self.args, f"harts={self.harts}", *filter(None, self.append)]
        return " ".join(words + ([f"delay({self.delay})"] if self.delay else []))

    def run(self, build):
        """The outcome, and why it is bad; or None."""
        try:
            done = shadow.run(build, self.program, *self.args, harts=self.harts, megabytes=self.megabytes, append=" ".join(self.append),
                              timeout=LIMIT, plugin=self.kind == "shadow", delay=self.delay)
        except subprocess.TimeoutExpired:
            return None, "the script itself hangs"
        return done, self.judge(done)

    def judge(self, done):
        if "audit: ok" not in done.log:
            return "no clean audit: " + (re.search(r"(panic|audit|cannot start).*", done.log) or ["it hangs, or the machine ended"])[0]
        if done.total:
            return f"{done.total} reports of the shadow TLB: {done.reports[0]}"
        if self.kind == "shadow" and not done.complete:
            return "the plugin said nothing"
        if done.status != 0 and self.kind != "fail":
            return f"status {done.status}"
        return None


class Torture:
    """Runs items, two at a time, until the time is up."""

    def __init__(self, build, seed, seconds, only, say):
        self.build, self.seed, self.only, self.say = build, seed, only, say
        self.end = time.monotonic() + seconds
        self.next, self.lock = 0, threading.Lock()
        self.counts = {}  # kind -> [runs, failures, seconds]
        self.line = progress.Line(self.text)

    def text(self):
        runs, failed = (sum(count[i] for count in self.counts.values()) for i in (0, 1))
        left = self.end - time.monotonic()
        return f"torture: {runs} runs, {failed} failed; " + (f"about {progress.duration(left)} left" if left > 0 else "the last ones end")

    def take(self):
        with self.lock:
            self.next += 1
            return Item(f"{self.seed}/{self.next}", self.only)

    def note(self, item, why, done, seconds):
        with self.lock:
            if shadow.running.stopped:
                return  # it was ended from outside, and says nothing
            self.line.clear()
            count = self.counts.setdefault(item.kind, [0, 0, 0.0])
            count[0] += 1
            count[1] += why is not None
            count[2] += seconds
            if why is None:
                self.say(f"{item.number}: {item}: {seconds:.0f} s")
                return
            self.say(f"{item.number}: {item}: FAILED: {why}\n    again: scripts/torture run --item {item.number}")
            path = os.path.join(self.build, "results", "torture-" + item.number.replace("/", "-") + ".txt")
            with open(path, "w", encoding="utf-8") as file:
                file.write(f"{item}\n{why}\n{done!r}\n")

    def work(self):
        while time.monotonic() < self.end and not shadow.running.stopped:
            item, began = self.take(), time.monotonic()
            done, why = item.run(self.build)
            self.note(item, why, done, time.monotonic() - began)

    def run(self, workers):
        """Whether all went well. Raises machine.Interrupted, after it has said what there was."""
        os.makedirs(os.path.join(self.build, "results"), exist_ok=True)
        threads = [threading.Thread(target=self.work) for _ in range(workers)]
        try:
            with self.line:
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
        finally:
            shadow.running.stop()
            for thread in threads:
                thread.join()
            self.summary()
        return not any(failed for _, failed, _ in self.counts.values())

    def summary(self):
        self.say("| kind | runs | failed | seconds |\n|---|---|---|---|")
        for kind, (runs, failed, seconds) in sorted(self.counts.items()):
            self.say(f"| {kind} | {runs} | {failed} | {seconds:.0f} |")


def again(build, number, only, say):
    """One item, once more, with all that it says."""
    item = Item(number, only)
    done, why = item.run(build)
    say(f"{item}: {why or 'ok'}\n{done!r}")
    return why is None
