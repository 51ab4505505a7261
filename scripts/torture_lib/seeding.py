"""Builds a copy of the kernel with a defect in it, runs it under the shadow TLB and under QEMU alone, and says who noticed."""
import os
import shutil
import subprocess

from torture_lib import shadow

ROOT = shadow.ROOT


class Seeding(Exception):
    """A defect that cannot be put in, or built."""


class Tree:
    """A scratch copy of the tree, and its build."""

    def __init__(self, build, name="defects"):
        self.root = os.path.join(os.path.abspath(build), name)
        self.kernel = os.path.join(self.root, "build", "virt-debug", "Image")
        self.before = {}
        names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split("\n")
        for name in filter(None, names):
            self._copy(name)
        fdt = os.path.join(self.root, "build", "libfdt")
        if not os.path.lexists(fdt):
            os.makedirs(os.path.dirname(fdt), exist_ok=True)
            os.symlink(os.path.join(ROOT, "build", "libfdt"), fdt)

    def _copy(self, name):
        """Unless it is the same: what make has built from it stays good."""
        source, target = os.path.join(ROOT, name), os.path.join(self.root, name)
        if not os.path.exists(source):
            return
        text = _read(source)
        if not os.path.exists(target) or _read(target) != text:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            with open(target, "wb") as file:
                file.write(text)
            shutil.copymode(source, target)

    def make(self, *variables):
        environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        done = subprocess.run(["make", "--no-print-directory", "-j2", "MODE=debug", *variables, "image"], cwd=self.root, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(environment, CORRAL_SETUP_DONE="1"))
        if done.returncode != 0:
            raise Seeding(done.stdout[-2000:])

    def put(self, defect):
        for path, old, new in defect.changes:
            target = os.path.join(self.root, path)
            text = _read(target).decode()
            self.before.setdefault(path, text)
            if text.count(old) != 1:
                raise Seeding(f"{defect.name}: {path} has {text.count(old)} times the text {old!r}; what seeds it has to follow")
            with open(target, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))

    def take_out(self):
        """As it was when the tree was copied, whatever has become of the original since."""
        for path, text in self.before.items():
            with open(os.path.join(self.root, path), "w", encoding="utf-8") as file:
                file.write(text)
        self.before = {}


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def noticed(done):
    return bool(done.total) or not done.good


def run_all(build, kernel, defect, plugin, tries):
    """The first run that noticed something, or the last; and which it was. More tries than one: with harts stopped at random, if plugin."""
    count = 0
    for attempt in range(tries):
        for run in defect.runs:
            count += 1
            delay = f"seed={attempt},one-in={(50, 400, 100)[attempt % 3]},most={(60, 300, 1500)[attempt % 3]}" if plugin and tries > 1 else None
            done = shadow.run(build, run.program, *run.args, harts=run.harts, append=run.append, kernel=kernel, plugin=plugin, delay=delay)
            if noticed(done):
                return done, count
    return done, count


def applies(defects):
    """What does not apply to the tree as it is: names."""
    wrong = []
    for defect in defects:
        if any(_read(os.path.join(ROOT, path)).decode().count(old) != 1 for path, old, _ in defect.changes):
            wrong.append(defect.name)
    return wrong


def table(build, defects, tries, say):
    """Tries each; says a line of a table for each. How many were missed with the plugins."""
    tree = Tree(build)
    missed = 0
    say("| defect | what | under the plugins | QEMU alone |\n|---|---|---|---|")
    for defect in defects:
        try:
            tree.put(defect)
            tree.make()
            seen, runs = run_all(build, tree.kernel, defect, True, tries)
            alone, runs_alone = run_all(build, tree.kernel, defect, False, tries)
        finally:
            tree.take_out()
        missed += not (noticed(seen) if tries > 1 else seen.total)
        say(f"| {defect.name} | {defect.what} | {verdict(seen)}, run {runs} | {verdict(alone)}, run {runs_alone} |")
    return missed


def verdict(done):
    if done.total:
        return f"{done.total} reports: {done.reports[0].split(':')[0]}"
    return "nothing" if done.good else "fails: " + why(done)


def why(done):
    """In a few words."""
    for line in (done.log + "\n" + done.output).splitlines():
        if any(word in line for word in ("CHECK(", "ASSERT(", "audit:", "failed", "panic")) and "audit: ok" not in line:
            return line.split("corral: ")[-1].strip()[:80]
    return f"status {done.status}"
