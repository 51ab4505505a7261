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

    def __init__(self, build):
        self.root = os.path.join(build, "defects")
        self.kernel = os.path.join(self.root, "build", "virt-debug", "Image")
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

    def make(self):
        environment = {key: value for key, value in os.environ.items() if key not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
        done = subprocess.run(["make", "--no-print-directory", "-j2", "MODE=debug", "image"], cwd=self.root, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(environment, CORRAL_SETUP_DONE="1"))
        if done.returncode != 0:
            raise Seeding(done.stdout[-2000:])

    def put(self, defect):
        for path, old, new in defect.changes:
            target = os.path.join(self.root, path)
            text = _read(target).decode()
            if text.count(old) != 1:
                raise Seeding(f"{defect.name}: {path} has {text.count(old)} times the text {old!r}; mend scripts/torture_lib/defects.py")
            with open(target, "w", encoding="utf-8") as file:
                file.write(text.replace(old, new))

    def take_out(self, defect):
        for path, _, _ in defect.changes:
            self._copy(path)


def _read(path):
    with open(path, "rb") as file:
        return file.read()


def run_all(build, kernel, runs, plugin):
    """The first run that noticed something, or the last."""
    for run in runs:
        done = shadow.run(build, run.program, *run.args, harts=run.harts, append=run.append, kernel=kernel, plugin=plugin)
        if done.total or not done.good:
            break
    return done


def applies(defects):
    """What does not apply to the tree as it is: names."""
    wrong = []
    for defect in defects:
        if any(_read(os.path.join(ROOT, path)).decode().count(old) != 1 for path, old, _ in defect.changes):
            wrong.append(defect.name)
    return wrong


def table(build, defects, say):
    """Tries each; says a line of a table for each. How many the plugin missed."""
    tree = Tree(build)
    missed = 0
    say("| defect | what | the shadow TLB | QEMU alone |\n|---|---|---|---|")
    for defect in defects:
        tree.put(defect)
        try:
            tree.make()
            seen = run_all(build, tree.kernel, defect.runs, True)
            alone = run_all(build, tree.kernel, defect.runs, False)
        finally:
            tree.take_out(defect)
        missed += seen.total == 0
        say(f"| {defect.name} | {defect.what} | {verdict(seen)} | {'nothing' if alone.good else 'fails: ' + why(alone)} |")
    return missed


def verdict(done):
    return f"{done.total} reports: {done.reports[0].split(':')[0]}" if done.total else "**missed**"


def why(done):
    """In a few words."""
    for line in (done.log + "\n" + done.output).splitlines():
        if any(word in line for word in ("CHECK(", "ASSERT(", "audit:", "failed", "panic")) and "audit: ok" not in line:
            return line.split("corral: ")[-1].strip()[:80]
    return f"status {done.status}"
