"""The host tests on a copy of the sources with a defect in it: quickest first, then under ASan and UBSan, then harts as threads."""
import os
import re
import shutil
import subprocess
import time

from corral_lib import jobs

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FOLDERS = ("lib", "mm", "fs", "kernel", "drivers", "firmware", "tests/unit", "tests/fakes")
THREADS = "concurrent cache_storm siblings".split()  # harts as threads
FRAMES = "coremap".split()  # long; of frames alone
FRAME_FILES = ("mm/coremap.c", "mm/coremap.h", "mm/buddy.c", "mm/cleared.c", "mm/slab.c")
FLAGS = "-std=gnu11 -O1 -g -fno-omit-frame-pointer -pthread -w -DCORRAL_DEBUG -I. -Itests/fakes/include".split()
ASAN = "-fsanitize=address,undefined -fno-sanitize-recover=undefined".split()
TSAN = "-fsanitize=thread -include tests/fakes/tsan_fence.h".split()
WRAP = "-Wl,--wrap=frame_alloc,--wrap=frame_alloc_zeroed,--wrap=frame_alloc_block,--wrap=kalloc".split()
COMMON = "lib/lock lib/watch tests/fakes/hw tests/fakes/tlb tests/fakes/alloc tests/unit/unit tests/unit/unit_mm tests/unit/threads tests/unit/store " \
         "tests/unit/model tests/unit/model_ops".split()


class Failed(Exception):
    pass


def tests_of(src):
    """Those of tests/unit that need mm/ and nothing else, but for harts as threads."""
    with open(os.path.join(src, "tests/unit/unit.mk"), encoding="utf-8") as file:
        text = file.read().replace("\\\n", " ")
    names = re.search(r"^UNIT_TESTS\s*:=(.*)$", text, re.MULTILINE)[1].split()
    return [name for name in names if "UNIT_EXTRA_" + name not in text and name not in THREADS + ["lock"]]


def run(command, where, limit=120, **env):
    """-> the exit status, or "hangs". What it started ends with it, and it with us: a test is a process of its own."""
    with jobs.session(command, cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, ASAN_OPTIONS="detect_leaks=0", **env)) as process:
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return "hangs"


class Build:
    """Objects and programs of one copy of the sources, made again where a file they come from is newer."""

    def __init__(self, src, out, flags):
        self.src, self.out, self.flags = src, out, flags
        with open(os.path.join(src, "mm", "sources.mk"), encoding="utf-8") as file:
            self.common = COMMON + ["mm/" + name for name in re.findall(r"(\w+)\.o", file.read())]
        os.makedirs(out, exist_ok=True)

    def stale(self, obj):
        try:
            made = os.stat(obj).st_mtime_ns
            with open(obj[:-2] + ".d", encoding="utf-8") as file:
                needs = file.read().replace("\\\n", " ").split(":", 1)[1].split()
            return any(os.stat(os.path.join(self.src, need)).st_mtime_ns > made for need in needs)
        except OSError:
            return True

    def compile(self, name):
        obj = os.path.join(self.out, name.replace("/", "-") + ".o")
        if self.stale(obj) and run(["gcc", *FLAGS, *self.flags, "-MMD", "-c", name + ".c", "-o", obj], self.src) != 0:
            raise Failed(name)
        return obj

    def test(self, name, limit, steps):
        """-> None where it passes, or how it does not"""
        archive = os.path.join(self.out, "libmm.a")
        program = os.path.join(self.out, "test_" + name)
        objects = [self.compile(common) for common in self.common]
        obj = self.compile("tests/unit/test_" + name)
        if os.path.exists(archive):
            os.remove(archive)
        if run(["ar", "rcsT", archive, *objects], self.src) != 0 or \
           run(["gcc", "-pthread", *self.flags, *WRAP, "-o", program, obj, archive, "-lcmocka"], self.src) != 0:
            raise Failed("linking " + name)
        status = run([program], self.src, limit, UNIT_STEPS=str(steps))
        return None if status == 0 else status if status == "hangs" else f"fails ({status})"


class Host:
    """A copy of the tree's sources, built plain and with sanitizers."""

    def __init__(self, where, steps):
        self.src, self.steps, self.where = os.path.join(where, "src"), steps, where
        shutil.rmtree(self.src, ignore_errors=True)
        for folder in FOLDERS:
            shutil.copytree(os.path.join(ROOT, folder), os.path.join(self.src, folder), copy_function=shutil.copy)
        self.plain = Build(self.src, os.path.join(where, "plain"), [])
        self.asan = Build(self.src, os.path.join(where, "asan"), ASAN)
        self.tsan = Build(self.src, os.path.join(where, "tsan"), TSAN)
        self.took, self.caught, self.code = {}, {}, {}
        self.tests = tests_of(self.src)

    def measure(self):
        """Each test on the sources as they are: how long they take, and that they pass."""
        for name in self.tests:
            began = time.monotonic()
            how = self.plain.test(name, 900, self.steps)
            if how:
                raise Failed(f"{name} {how} as the sources are")
            self.took[name] = time.monotonic() - began
        return ", ".join(f"{name} {self.took[name]:.1f}" for name in sorted(self.tests, key=self.took.get))

    def code_of(self, name):
        """The machine code of a file, or of one that includes a header; None where it does not compile."""
        unit, out = name if name.endswith(".c") else "mm/fault.c", os.path.join(self.where, "code.o")
        if run(["gcc", *[flag for flag in FLAGS if flag != "-g"], "-O2", "-c", unit, "-o", out], self.src) != 0:
            return None
        with open(out, "rb") as file:
            return file.read()

    def note(self, name):
        """Before the change, for `differs` after it."""
        if name not in self.code:
            self.code[name] = self.code_of(name)

    def differs(self, name):
        code = self.code_of(name)
        return code is not None and code != self.code[name]

    def order(self, name):
        """What caught others in the file first, then the quickest."""
        tests = [test for test in self.tests if test not in FRAMES or name in FRAME_FILES]
        return sorted(tests, key=lambda test: (-self.caught.get((name, test), 0), self.took[test]))

    def judge(self, build, tests, limit, steps, mutant):
        for name in tests:
            try:
                how = build.test(name, limit(name), steps)
            except Failed as error:
                return f"does not build: {error}"
            if how:
                self.caught[mutant["file"], name] = self.caught.get((mutant["file"], name), 0) + 1
                return f"{name} {how}"
        return None

    def quick(self, mutant):
        """-> (stage, how), or None"""
        tests = self.order(mutant["file"])
        how = self.judge(self.plain, tests, lambda name: 30 + 10 * self.took[name], self.steps, mutant)
        if how:
            return "host", how
        how = self.judge(self.asan, [name for name in tests if self.took[name] < 10], lambda name: 60 + 30 * self.took[name], self.steps, mutant)
        return ("host, sanitizers", how) if how else None

    def threads(self, mutant):
        how = self.judge(self.asan, THREADS, lambda name: 900, 50, mutant) or \
            self.judge(self.tsan, THREADS + ["evict"], lambda name: 900, 20, mutant)
        return ("host, harts as threads", how) if how else None
